//! Bytes to records.
//!
//! Pure: bytes in, records and rejects out. Knows no file, socket, clock or verdict. Nothing in here panics on any
//! input, and nothing stops at a bad line: what cannot be read is handed on as a reject with its place and reason.

pub mod clock;
pub mod format;

pub use format::{Format, LineContext, LineFormat, Parsed};
