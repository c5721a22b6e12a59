//! From a format's name to its parser, and to how its entries are put together from lines.

use super::{Format, LineContext, LineFormat, Parsed, auditd, klog};

/// How entries come out of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assembly {
    /// What framing and envelopes give is an entry.
    Whole,
    /// A line that does not begin an entry continues the one before.
    Continued,
    /// Lines with the same key are one entry, wherever they stand.
    Grouped,
}

impl Format {
    pub(crate) fn assembly(self) -> Assembly {
        match self {
            Self::AuditJson
            | Self::AuditGke
            | Self::EtcdJson
            | Self::EtcdWatch
            | Self::DockerEvents
            | Self::CtrEvents
            | Self::Inotify
            | Self::Falco
            | Self::Tetragon => Assembly::Whole,
            Self::AuditLegacy
            | Self::Kubelet
            | Self::ApiServer
            | Self::OtherKlog
            | Self::EtcdConsole
            | Self::EtcdCapnslog
            | Self::Containerd
            | Self::Crio => Assembly::Continued,
            Self::Auditd => Assembly::Grouped,
        }
    }

    /// The parser of the format's entries.
    pub(crate) fn parser(self) -> &'static dyn LineFormat {
        match self {
            Self::AuditJson => &super::audit::AuditJson,
            Self::AuditLegacy => &super::audit_legacy::AuditLegacy,
            Self::AuditGke => &super::audit_gke::AuditGke,
            Self::Kubelet => &super::kubelet::Kubelet,
            Self::ApiServer => &super::apiserver::ApiServer,
            Self::OtherKlog => &OtherKlog,
            Self::EtcdJson => &super::etcd_json::EtcdJson,
            Self::EtcdConsole => &super::etcd_console::EtcdConsole,
            Self::EtcdCapnslog => &super::etcd_capnslog::EtcdCapnslog,
            Self::EtcdWatch => &super::etcd_watch::EtcdWatch,
            Self::Containerd => &super::containerd::Containerd,
            Self::CtrEvents => &super::ctr_events::CtrEvents,
            Self::Crio => &super::crio::Crio,
            Self::DockerEvents => &super::docker_events::DockerEvents,
            Self::Auditd => &auditd::Auditd,
            Self::Inotify => &super::inotify::Inotify,
            Self::Falco => &super::falco::Falco,
            Self::Tetragon => &super::tetragon::Tetragon,
        }
    }

    /// For a grouped format: the key of a line's entry, and whether the line is its last.
    pub(crate) fn group_of(self, line: &str) -> Option<(String, bool)> {
        if self != Self::Auditd {
            return None;
        }
        let key = auditd::event_key(line.as_bytes())?;
        let node = String::from_utf8_lossy(key.node);
        Some((format!("{node} {} {}", key.millis, key.serial), auditd::ends_event(line.as_bytes())))
    }
}

/// klog of a component that says nothing of interest.
struct OtherKlog;

impl LineFormat for OtherKlog {
    fn starts_entry(&self, line: &[u8]) -> bool {
        klog::starts_entry(line)
    }

    fn parse<'a>(&self, text: &'a str, context: &LineContext) -> Parsed<'a> {
        match klog::read(text, context) {
            Ok(entry) => Parsed::Record(entry.time, auditgap_records::Body::Other),
            Err(klog::NotRead::Unknown) => Parsed::Unknown,
            Err(klog::NotRead::Broken(reason)) => Parsed::Reject(reason),
        }
    }
}
