//! Bytes to records.
//!
//! Pure: bytes in, records and rejects out. Knows no file, socket, clock or verdict. Nothing in here panics on any
//! input, and nothing stops at a bad line: what cannot be read is handed on as a reject with its place and reason.

pub mod clock;
mod decompress;
mod detect;
mod digest;
mod envelope;
pub mod format;
mod framing;
pub mod inventory;
mod json;
mod limits;
mod parser;
mod redact;
mod shape;

pub use decompress::{Compression, Expander, ExpansionError};
pub use detect::{Detection, HEAD, Unrecognised, detect};
pub use digest::DigestKey;
pub use envelope::Envelope;
pub use format::{Format, LineContext, LineFormat, Parsed};
pub use framing::Framing;
pub use limits::Limits;
pub use parser::{Options, Parser, Sink, parse_audit_lines};
pub use redact::redact;
