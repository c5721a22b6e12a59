//! What the host below the cluster saw: auditd, Falco, Tetragon, file notifications. Always enrichment: attribution
//! and earlier traces, never needed for a verdict.

use bounded_static::ToStatic;

use crate::record::Text;

/// A process on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, ToStatic)]
pub struct Process<'a> {
    /// Process id.
    pub pid: Option<u32>,
    /// Short name.
    pub comm: Text<'a>,
    /// Path of the executable.
    pub exe: Text<'a>,
    /// Command line, words joined by spaces; empty if not told.
    pub command: Text<'a>,
    /// User id it runs as.
    pub uid: Option<u32>,
    /// User id of the login it comes from (auid); `None` when unset.
    pub login_uid: Option<u32>,
    /// Container id (12 or more hex digits), if it runs in one.
    pub container: Option<Text<'a>>,
    /// Namespace and name of its Pod, if told.
    pub pod: Option<(Text<'a>, Text<'a>)>,
}

/// What was done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ToStatic)]
pub enum FileAccess {
    /// Created, or moved to here.
    Create,
    /// Written.
    Write,
    /// Deleted, or moved away.
    Delete,
    /// Read.
    Read,
    /// Owner, mode or other attributes changed.
    Attributes,
}

/// One thing that the host saw.
#[derive(Clone, Debug, PartialEq, Eq, ToStatic)]
pub enum HostEvent<'a> {
    /// A file was touched.
    File {
        /// Absolute path where it could be made so.
        path: Text<'a>,
        /// What was done.
        access: FileAccess,
        /// By whom; empty fields where the source does not tell (file notifications).
        process: Process<'a>,
        /// Keys of the audit rule, or name of the Falco rule.
        rule: Text<'a>,
        /// The call succeeded.
        success: bool,
    },
    /// A program was started.
    Exec {
        /// The process.
        process: Process<'a>,
        /// Keys of the audit rule, or name of the Falco rule.
        rule: Text<'a>,
        /// Tetragon's guess that this is a probe.
        maybe_probe: bool,
    },
    /// A process connected to a Unix socket.
    Connect {
        /// Path of the socket.
        path: Text<'a>,
        /// By whom.
        process: Process<'a>,
        /// Keys of the audit rule, or name of the Falco rule.
        rule: Text<'a>,
    },
    /// An alert that fits none of the above.
    Alert {
        /// Name of the rule.
        rule: Text<'a>,
        /// Priority word.
        priority: Text<'a>,
        /// By whom.
        process: Process<'a>,
    },
    /// The host's own auditing was changed or switched off.
    AuditingChanged {
        /// What happened.
        what: Text<'a>,
    },
    /// The source says that it lost events.
    Loss {
        /// How many, if told.
        events: Option<u64>,
    },
}
