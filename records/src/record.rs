//! A record: one parsed log entry with its place and its typed body.

use std::borrow::Cow;

use bounded_static::ToStatic;
use serde::{Deserialize, Serialize};

use crate::audit::AuditEvent;
use crate::etcd::{EtcdLine, Revision};
use crate::host::HostEvent;
use crate::kubelet::KubeletLine;
use crate::runtime::RuntimeLine;
use crate::time::Timestamp;

/// Text that borrows from the raw line where it stands there unescaped, and owns it where it had to be decoded.
pub type Text<'a> = Cow<'a, str>;

/// Where a record's raw bytes are, so that they can be shown again: a file and the bytes of the entry in its
/// decompressed content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Number of the file, in the order in which the reader listed them.
    pub file: u32,
    /// First line of the entry, from 1.
    pub line: u32,
    /// First byte of the entry in the decompressed file, from 0.
    pub offset: u64,
    /// Length of the entry in bytes, without its final line break.
    pub length: u32,
    /// Place within an entry that carries several records (an EventList, a batch envelope), from 0.
    pub item: u32,
}

/// One parsed log entry. Borrows from the bytes it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<'a> {
    /// Event time: when the thing was done, as the component says. For audit the stage's time; for a line written
    /// at a request's end the end.
    pub time: Timestamp,
    /// When the transport first saw the entry, if it says.
    pub seen: Option<Timestamp>,
    /// Where the raw bytes are.
    pub position: Position,
    /// Keyed hash of what identifies the record: equal for two deliveries of one entry, whatever way it came.
    pub digest: u64,
    /// What it says.
    pub body: Body<'a>,
}

/// The typed body of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Body<'a> {
    /// An audit event of the API server. Boxed: it is far larger than the others.
    Audit(Box<AuditEvent<'a>>),
    /// A line of a kubelet's log.
    Kubelet(KubeletLine<'a>),
    /// A line of the API server's own log.
    ApiServer(ApiServerLine<'a>),
    /// A line of an etcd member's log.
    Etcd(EtcdLine<'a>),
    /// A revision seen by a watch on etcd.
    Revision(Revision<'a>),
    /// A line or an event of a container runtime.
    Runtime(RuntimeLine<'a>),
    /// Something that the host saw.
    Host(HostEvent<'a>),
    /// A well-formed line of no interest. It still shows that the feed is alive.
    Other,
}

/// What the API server's own log tells about the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, ToStatic)]
pub enum ApiServerLine<'a> {
    /// A flag of the command line, dumped at start (`FLAG: --name="value"`).
    Flag {
        /// Name without dashes.
        name: Text<'a>,
        /// Value without quotes.
        value: Text<'a>,
    },
    /// The process starts to serve.
    Started,
    /// The process is told to end.
    Stopping,
    /// An audit backend failed to store events; the events follow as legacy text, if any.
    AuditPluginError {
        /// `log` or `webhook`.
        plugin: Text<'a>,
        /// How many audit events are affected.
        events: u64,
        /// The error in the component's words.
        error: Text<'a>,
        /// The affected events that the line lists.
        impacted: Vec<LegacyAuditEvent<'a>>,
    },
    /// The audit buffer was full: events were dropped.
    AuditBufferFull,
    /// The policy file had errors and was read leniently: misspelled fields widen rules.
    AuditPolicyLenient {
        /// The error in the component's words.
        error: Text<'a>,
    },
    /// A request, from the access log (`--v=3` and above).
    Request {
        /// Upper-case verb of the access log, not the audit verb.
        verb: Text<'a>,
        /// Path and query.
        uri: Text<'a>,
        /// Audit-ID, cut to 64 characters.
        audit_id: Text<'a>,
        /// Peer address and port.
        source: Text<'a>,
        /// Duration in nanoseconds.
        latency: i64,
        /// HTTP status; `None` when the connection was hijacked.
        code: Option<u16>,
    },
}

/// An audit event in the legacy text form.
#[derive(Clone, Debug, PartialEq, Eq, ToStatic)]
pub struct LegacyAuditEvent<'a> {
    /// `id="…"`.
    pub audit_id: Text<'a>,
    /// `stage="…"`.
    pub stage: Text<'a>,
    /// `method="…"`: the audit verb.
    pub verb: Text<'a>,
    /// `user="…"`.
    pub user: Text<'a>,
    /// `uri="…"`.
    pub uri: Text<'a>,
    /// `response="…"`, if it is a number.
    pub code: Option<u16>,
    /// Time of the line.
    pub time: Timestamp,
}

/// An entry that could not be read, kept with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// Where it stands.
    pub position: Position,
    /// What is wrong with it, and what was expected.
    pub reason: String,
}
