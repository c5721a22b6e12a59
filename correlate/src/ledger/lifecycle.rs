//! Starts and ends of components: after them, what was there before is seen anew.

use std::collections::BTreeMap;
use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::kubelet::KubeletLine;
use auditgap_records::record::ApiServerLine;
use auditgap_records::runtime::RuntimeLine;

use crate::fact::AuditFact;
use crate::world::Seen;

/// Starts remembered per component: a crash loop may not grow the list for ever.
const REMEMBERED: usize = 256;

/// Starts and ends of components.
#[derive(Debug, Default)]
pub struct Lifecycle {
    kubelets: BTreeMap<String, Vec<Timestamp>>,
    runtimes: BTreeMap<String, Vec<Timestamp>>,
    api_server_starts: Vec<Timestamp>,
    api_server_stops: Vec<Timestamp>,
    bootstraps: Vec<Timestamp>,
}

impl Lifecycle {
    pub(crate) fn observe_kubelet(&mut self, seen: Seen<'_>, line: &KubeletLine<'_>, node: &str) {
        if *line == KubeletLine::Started {
            remember(self.kubelets.entry(node.to_owned()).or_default(), seen.time);
        }
    }

    pub(crate) fn observe_runtime(&mut self, seen: Seen<'_>, line: &RuntimeLine<'_>, node: &str) {
        if *line == RuntimeLine::Started {
            remember(self.runtimes.entry(node.to_owned()).or_default(), seen.time);
        }
    }

    pub(crate) fn observe_api_server(&mut self, seen: Seen<'_>, line: &ApiServerLine<'_>) {
        match line {
            ApiServerLine::Started => remember(&mut self.api_server_starts, seen.time),
            ApiServerLine::Stopping => remember(&mut self.api_server_stops, seen.time),
            _ => {}
        }
    }

    /// An API server that starts reconciles its built-in objects as `system:apiserver`.
    pub(crate) fn observe_request(&mut self, seen: Seen<'_>, fact: &AuditFact) {
        let bootstrap =
            &*fact.user == "system:apiserver" && matches!(&*fact.resource, "clusterroles" | "flowschemas");
        if bootstrap && self.bootstraps.last().is_none_or(|last| seen.time > *last + Duration::from_secs(10))
        {
            remember(&mut self.bootstraps, seen.time);
        }
    }

    /// Whether a node's kubelet started within `span` before a moment.
    pub fn kubelet_started(&self, node: &str, moment: Timestamp, span: Duration) -> bool {
        self.kubelets.get(node).is_some_and(|starts| within(starts, moment, span))
    }

    /// Whether a node's runtime started within `span` before a moment.
    pub fn runtime_started(&self, node: &str, moment: Timestamp, span: Duration) -> bool {
        self.runtimes.get(node).is_some_and(|starts| within(starts, moment, span))
    }

    /// Whether an API server started within `span` before a moment, by its log or by what it does when it starts.
    pub fn api_server_started(&self, moment: Timestamp, span: Duration) -> bool {
        within(&self.api_server_starts, moment, span) || within(&self.bootstraps, moment, span)
    }

    /// Whether an API server was told to stop within `span` before a moment.
    pub fn api_server_stopped(&self, moment: Timestamp, span: Duration) -> bool {
        within(&self.api_server_stops, moment, span)
    }
}

fn remember(moments: &mut Vec<Timestamp>, moment: Timestamp) {
    if moments.len() >= REMEMBERED {
        moments.remove(0);
    }
    moments.push(moment);
}

fn within(moments: &[Timestamp], moment: Timestamp, span: Duration) -> bool {
    moments.iter().any(|start| *start <= moment && moment <= *start + span)
}
