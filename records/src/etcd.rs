//! What etcd's log and a watch on its key space say.

use bounded_static::ToStatic;

use crate::record::Text;

/// One operation on keys within an etcd request. Values are never kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, ToStatic)]
pub struct KeyOp<'a> {
    /// What is done.
    pub kind: KeyOpKind,
    /// Key, lossily decoded from bytes.
    pub key: Text<'a>,
    /// End of a range, excluded; empty for a single key.
    pub range_end: Text<'a>,
    /// Length of the value that a put writes, in bytes.
    pub value_size: Option<u64>,
    /// Lease of a put, 0 if none.
    pub lease: i64,
    /// Limit of a range, 0 if none.
    pub limit: i64,
    /// The range returns keys or a count, not values.
    pub keys_or_count_only: bool,
}

/// Kinds of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ToStatic)]
pub enum KeyOpKind {
    /// Read.
    Range,
    /// Write.
    Put,
    /// Delete.
    DeleteRange,
}

/// A condition of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, ToStatic)]
pub struct Compare<'a> {
    /// Key.
    pub key: Text<'a>,
    /// `MOD`, `VERSION`, `CREATE`, `VALUE` or `LEASE`.
    pub target: Text<'a>,
    /// `EQUAL` (the default), `GREATER`, `LESS` or `NOT_EQUAL`.
    pub result: Text<'a>,
    /// The revision compared with, for `MOD`.
    pub mod_revision: Option<i64>,
}

/// Which line told of a request: each has other fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ToStatic)]
pub enum RequestLine {
    /// `request stats`: remote address, no user.
    Stats,
    /// `apply request took too long`: user on writes, no remote.
    Apply,
    /// `applyEntryNormal` and `Apply`: user on writes, no remote.
    Raft,
}

/// A request to etcd.
#[derive(Clone, Debug, PartialEq, Eq, ToStatic)]
pub struct EtcdRequest<'a> {
    /// Which line told.
    pub line: RequestLine,
    /// RPC: `KV/Put`, `KV/Txn`, `KV/Range`, `KV/DeleteRange`, `KV/Compact`, `Lease/LeaseGrant`, `Auth/UserAdd`, …
    pub method: Text<'a>,
    /// Peer `address:port`.
    pub remote: Option<Text<'a>>,
    /// Common name of the client's certificate.
    pub user: Option<Text<'a>>,
    /// Raft request id (`header.ID`), the same on every member.
    pub request_id: Option<u64>,
    /// How long it took, in nanoseconds.
    pub took: i64,
    /// Conditions of a transaction.
    pub compares: Vec<Compare<'a>>,
    /// Operations if the conditions hold; the operations themselves outside a transaction.
    pub success: Vec<KeyOp<'a>>,
    /// Operations if they do not.
    pub failure: Vec<KeyOp<'a>>,
    /// Keys read or deleted, if told.
    pub response_count: Option<i64>,
    /// Size of the answer in bytes.
    pub response_size: Option<i64>,
    /// Size of the request in bytes.
    pub request_size: Option<i64>,
}

/// One line of an etcd member's log.
#[derive(Clone, Debug, PartialEq, Eq, ToStatic)]
pub enum EtcdLine<'a> {
    /// A request. Sampled on busy members: presence proves, absence never.
    Request(Box<EtcdRequest<'a>>),
    /// A command with its caller (`found command name`, debug).
    CommandName {
        /// Common name of the client's certificate.
        user: Text<'a>,
    },
    /// A connection refused at the TLS layer.
    RejectedConnection {
        /// Peer `address:port`.
        remote: Text<'a>,
        /// Why.
        error: Text<'a>,
        /// On the peer port, not the client port.
        peer: bool,
    },
    /// A whole copy of the database is sent to a client.
    Snapshot {
        /// Bytes.
        size: Option<u64>,
        /// The line at its end.
        done: bool,
    },
    /// The HTTP gateway was used.
    Gateway {
        /// The name it shows (the server's own).
        user: Text<'a>,
    },
    /// History before a revision was erased.
    Compaction {
        /// That revision.
        revision: Option<i64>,
        /// At the request (`compact tree index`) rather than at the end of the work.
        begun: bool,
    },
    /// The file was rewritten without its free pages.
    Defragmented {
        /// The line at its beginning.
        begun: bool,
    },
    /// Users, roles or authentication itself changed.
    AuthChanged {
        /// The message.
        what: Text<'a>,
        /// User or role.
        name: Text<'a>,
    },
    /// Credentials were refused.
    AuthFailed {
        /// The message.
        what: Text<'a>,
        /// User, if told.
        user: Text<'a>,
    },
    /// Members were added, removed or changed.
    MemberChanged {
        /// The message.
        what: Text<'a>,
        /// The member.
        member: Text<'a>,
    },
    /// State was replaced from a snapshot or a backup.
    Restored {
        /// The message.
        what: Text<'a>,
        /// Revision afterwards, if told.
        revision: Option<i64>,
    },
    /// The process started.
    Started {
        /// `force-new-cluster` was set.
        force_new_cluster: bool,
        /// Version.
        version: Text<'a>,
        /// Member name.
        name: Text<'a>,
    },
    /// TLS of the client port (`starting with client TLS`).
    ClientTls {
        /// Client certificates are demanded.
        client_cert_auth: bool,
        /// The CA file.
        trusted_ca: Text<'a>,
    },
    /// The client port is plain text.
    ServingInsecurely {
        /// Address.
        address: Text<'a>,
    },
    /// The process ended.
    Stopping,
}

/// What a revision did to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ToStatic)]
pub enum RevisionKind {
    /// Written.
    Put,
    /// Deleted.
    Delete,
}

/// One change of one key, from a watch: the complete and unsampled ledger of writes.
#[derive(Clone, Debug, PartialEq, Eq, ToStatic)]
pub struct Revision<'a> {
    /// Written or deleted.
    pub kind: RevisionKind,
    /// Key, lossily decoded from bytes.
    pub key: Text<'a>,
    /// Revision of the store that the change made. All changes of one transaction share it.
    pub mod_revision: i64,
    /// Revision in which the key was created; 0 if not told.
    pub create_revision: i64,
    /// Number of writes since its creation; 1 for a create, 0 for a delete.
    pub version: i64,
    /// Lease that the key is bound to, if told and not 0.
    pub lease: Option<i64>,
    /// Length of the value in bytes, if told.
    pub value_length: Option<u64>,
    /// First bytes of the value: `k8s\0`, `{`, `k8s:enc:…`. Never more than the envelope.
    pub encoding: Option<Text<'a>>,
    /// The object's UID as far as it is readable.
    pub uid: Option<Text<'a>>,
    /// The change happened before the watch began: its time is that of delivery.
    pub replayed: bool,
}
