//! The vocabulary of auditgap: time, feeds, object references, records and their typed bodies, verdicts, and the
//! report contract.
//!
//! Plain data. This crate knows no log format, no rule of matching, no file and no clock: `chrono` is built without
//! its `clock` feature, so "now" cannot be asked here and must be handed in.

pub mod audit;
pub mod etcd;
pub mod feed;
pub mod host;
pub mod inventory;
pub mod kubelet;
pub mod pod;
pub mod record;
pub mod report;
pub mod runtime;
pub mod time;

pub use feed::{Feed, FeedKind};
pub use record::{Body, Position, Record, Reject, Text};
pub use time::{Interval, Timestamp};
