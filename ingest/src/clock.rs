//! Time stamps without year or zone (klog, capnslog, syslog): what to assume, and where it comes from.

use auditgap_records::Timestamp;

/// What is assumed of a log whose time stamps are incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockHint {
    /// A moment near which the log was written; the year that brings a stamp nearest to it is taken.
    pub near: Timestamp,
    /// Seconds east of UTC of the clock that wrote the stamps.
    pub zone_seconds: i32,
}
