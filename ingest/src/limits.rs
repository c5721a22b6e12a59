//! What ingest is willing to hold in memory and to expand. Log text is hostile: nothing grows without an end.

/// Bounds on buffers. The defaults suit files of a real cluster and keep a scan well below 200 MB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest physical line, and longest entry of several lines, in bytes. An audit event with bodies is cut by the
    /// API server at 100 KiB if truncation is on and reaches some MiB if it is off.
    pub line: usize,
    /// Longest JSON document that is not split into its items, in bytes.
    pub document: usize,
    /// Most entries that are gathered at one time from interleaved streams (CRI partial lines, journald units).
    pub streams: usize,
    /// Most events of the Linux audit log that are open at one time.
    pub groups: usize,
    /// Most bytes that one compressed file may expand to.
    pub expanded: u64,
    /// Most bytes of output for each byte of compressed input, once [`Limits::ratio_from`] bytes have come out.
    pub ratio: u64,
    /// Output below which the ratio is not looked at, in bytes.
    pub ratio_from: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line: 16 << 20,
            document: 64 << 20,
            streams: 256,
            groups: 64,
            expanded: 64 << 30,
            // Repetitive logs reach about 60; a file of zeros reaches 1000.
            ratio: 250,
            ratio_from: 64 << 20,
        }
    }
}
