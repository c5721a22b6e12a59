//! A feed: one log stream with an identity.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a feed watches. A record can only speak for the kind of the feed that it came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedKind {
    /// The API server's audit trail: what should account for everything else.
    Audit,
    /// A kubelet's own log.
    Kubelet,
    /// etcd: a member's log, or a watch on its key space.
    Etcd,
    /// A container runtime: its log or its events.
    Runtime,
    /// The host below: auditd, Falco, Tetragon, file notifications.
    Host,
    /// The API server's own log: restarts, audit plugin errors, its access log. Never evidence of a request's
    /// audit record, only of the trail's health.
    #[serde(rename = "apiserver")]
    ApiServer,
}

impl FeedKind {
    /// The word used on the command line, in reports and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Kubelet => "kubelet",
            Self::Etcd => "etcd",
            Self::Runtime => "runtime",
            Self::Host => "host",
            Self::ApiServer => "apiserver",
        }
    }
}

impl fmt::Display for FeedKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The identity of one log stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Feed {
    /// What it watches.
    pub kind: FeedKind,
    /// Which API server, node or etcd member: what the command line or the credential says, never what a line says.
    pub instance: String,
    /// What tells two feeds of the same kind and instance apart: the file's or the folder's name.
    pub source: String,
    /// The recognised format, in words: `audit.k8s.io/v1 JSON lines`, `klog text`.
    pub format: String,
}

impl Feed {
    /// The feed's name in reports: kind, instance and source.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.kind, self.instance, self.source)
    }
}
