//! One file per log format.
//!
//! A format is a pure function from the text of one entry to what it says. Framing (lines, multi-line entries),
//! compression and envelopes are peeled off before (see [`crate`]).

pub mod apiserver;
pub(crate) mod audit;
pub(crate) mod audit_gke;
mod audit_legacy;
pub mod auditd;
mod command;
pub mod containerd;
mod cri_metadata;
pub mod crio;
pub mod ctr_events;
mod dispatch;
pub mod docker_events;
mod etcd;
pub mod etcd_capnslog;
pub mod etcd_console;
pub mod etcd_json;
pub mod etcd_watch;
pub mod falco;
pub(crate) mod flag;
pub(crate) mod go_text;
pub(crate) mod httplog;
pub mod inotify;
pub(crate) mod klog;
pub mod kubelet;
mod logfmt;
mod raw_json;
#[cfg(test)]
mod testing;
pub mod tetragon;

pub(crate) use dispatch::Assembly;

use auditgap_records::{Body, FeedKind, Timestamp};

use crate::clock::ClockHint;

/// The log formats that are recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// `audit.k8s.io/v1` events as JSON: one a line, or EventList bodies.
    AuditJson,
    /// `audit.k8s.io/v1` events in the legacy text form.
    AuditLegacy,
    /// Google Cloud Audit Logs entries of a GKE cluster.
    AuditGke,
    /// A kubelet's log: klog text or JSON.
    Kubelet,
    /// The API server's own log: klog text or JSON.
    ApiServer,
    /// Another Kubernetes component's klog (controller manager, scheduler): recognised, not used.
    OtherKlog,
    /// etcd 3.5 and later, or 3.4 with zap: JSON lines.
    EtcdJson,
    /// etcd 3.6 and later with `--log-format console`.
    EtcdConsole,
    /// etcd 3.4 with capnslog.
    EtcdCapnslog,
    /// A watch on etcd: `etcdctl watch -w json`, gateway JSON, or auditgap's own JSON lines.
    EtcdWatch,
    /// containerd's log: logfmt or JSON.
    Containerd,
    /// `ctr events`.
    CtrEvents,
    /// CRI-O's log: logfmt or JSON.
    Crio,
    /// `docker events --format '{{json .}}'`.
    DockerEvents,
    /// Raw Linux audit records.
    Auditd,
    /// `inotifywait -m --timefmt %s --format '%T %w %e %f'`.
    Inotify,
    /// Falco JSON output.
    Falco,
    /// Tetragon JSON export.
    Tetragon,
}

impl Format {
    /// The kind of feed that the format belongs to; `None` for what is recognised and not used.
    pub fn kind(self) -> Option<FeedKind> {
        match self {
            Self::AuditJson | Self::AuditLegacy | Self::AuditGke => Some(FeedKind::Audit),
            Self::Kubelet => Some(FeedKind::Kubelet),
            Self::ApiServer => Some(FeedKind::ApiServer),
            Self::OtherKlog => None,
            Self::EtcdJson | Self::EtcdConsole | Self::EtcdCapnslog | Self::EtcdWatch => Some(FeedKind::Etcd),
            Self::Containerd | Self::CtrEvents | Self::Crio | Self::DockerEvents => Some(FeedKind::Runtime),
            Self::Auditd | Self::Inotify | Self::Falco | Self::Tetragon => Some(FeedKind::Host),
        }
    }

    /// The format in words, as reports show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuditJson => "audit.k8s.io/v1 JSON",
            Self::AuditLegacy => "audit legacy text",
            Self::AuditGke => "GKE Cloud Audit Logs",
            Self::Kubelet => "kubelet klog",
            Self::ApiServer => "kube-apiserver klog",
            Self::OtherKlog => "klog of another component",
            Self::EtcdJson => "etcd zap JSON",
            Self::EtcdConsole => "etcd zap console",
            Self::EtcdCapnslog => "etcd capnslog",
            Self::EtcdWatch => "etcd watch",
            Self::Containerd => "containerd log",
            Self::CtrEvents => "ctr events",
            Self::Crio => "CRI-O log",
            Self::DockerEvents => "docker events",
            Self::Auditd => "Linux audit",
            Self::Inotify => "inotifywait",
            Self::Falco => "Falco JSON",
            Self::Tetragon => "Tetragon JSON",
        }
    }
}

/// What a parser may know of an entry beside its text.
#[derive(Clone, Copy, Debug)]
pub struct LineContext {
    /// For stamps without year or zone.
    pub clock: ClockHint,
    /// When the transport (journald, CRI log, shipper) saw the entry, if it says.
    pub transport_time: Option<Timestamp>,
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "returned once for each entry and taken apart at once: a box would cost more"
)]
pub enum Parsed<'a> {
    /// A record. `Body::Other` for a well-formed line of no interest.
    Record(Timestamp, Body<'a>),
    /// Several records in one entry (a watch response with several events).
    Records(Vec<(Timestamp, Body<'a>)>),
    /// Not a line of this format: counted by shape.
    Unknown,
    /// Of this format and broken. Says what is wrong and what was expected.
    Reject(String),
}

/// A log format: one entry's text to what it says.
pub trait LineFormat {
    /// Whether a physical line begins a new entry; otherwise it continues the one before.
    fn starts_entry(&self, _line: &[u8]) -> bool {
        true
    }

    /// Reads one entry, which may hold several lines. Never panics.
    fn parse<'a>(&self, text: &'a str, context: &LineContext) -> Parsed<'a>;
}
