//! What kubelets tell of commands that they were asked to run, and of probes.

use std::collections::VecDeque;
use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::kubelet::KubeletLine;
use auditgap_records::runtime::ExecCall;

use super::Exec;
use crate::kubelet_uri::{Endpoint, KubeletUri};
use crate::ledger::containers::Container;
use crate::world::Seen;

/// Lines remembered of each kind, at the most.
const REMEMBERED: usize = 50_000;

/// The probe's line comes just before its command is run.
const PROBE_BEFORE: Duration = Duration::from_millis(1_500);

/// Lines of two daemons about one moment.
const LAG: Duration = Duration::from_millis(500);

#[derive(Debug)]
struct Served {
    node: String,
    start: Timestamp,
    end: Timestamp,
    uri: KubeletUri,
    used: bool,
}

#[derive(Debug)]
struct Probed {
    node: String,
    time: Timestamp,
    /// Namespace and name, where told.
    pod: Option<(String, String)>,
    uid: String,
    container: String,
    command: Option<String>,
    used: bool,
}

/// What kubelets told.
#[derive(Debug, Default)]
pub(super) struct Witnesses {
    served: VecDeque<Served>,
    probed: VecDeque<Probed>,
}

impl Witnesses {
    pub(super) fn observe(&mut self, seen: Seen<'_>, line: &KubeletLine<'_>, node: &str) {
        match line {
            KubeletLine::Http { uri, latency, code, .. } if !matches!(code, Some(401 | 403)) => {
                let uri = KubeletUri::parse(uri);
                if !uri.endpoint.executes() {
                    return;
                }
                let latency = Duration::from_nanos(u64::try_from(*latency).unwrap_or_default());
                push(
                    &mut self.served,
                    Served {
                        node: node.to_owned(),
                        start: seen.time - latency,
                        end: seen.time,
                        uri,
                        used: false,
                    },
                );
            }
            KubeletLine::Probe { pod, pod_uid, container_name, command, exec: true } => push(
                &mut self.probed,
                Probed {
                    node: node.to_owned(),
                    time: seen.time,
                    pod: pod.as_ref().map(|pod| (pod.namespace.to_string(), pod.name.to_string())),
                    uid: pod_uid.as_deref().unwrap_or_default().to_owned(),
                    container: container_name.to_string(),
                    command: command.as_deref().map(ToOwned::to_owned),
                    used: false,
                },
            ),
            _ => {}
        }
    }

    /// Whether the kubelet ran a probe that is this exec. One line stands for one exec.
    pub(super) fn take_probe(&mut self, exec: &Exec, container: &Container) -> bool {
        let fits = |probed: &&mut Probed| {
            let pod =
                probed.pod.as_ref().map_or(
                    !probed.uid.is_empty() && probed.uid == container.pod_uid,
                    |(namespace, name)| *namespace == container.pod_namespace && *name == container.pod_name,
                );
            !probed.used
                && probed.node == exec.node
                && pod
                && (container.name.is_empty() || probed.container == container.name)
                && same_command(exec.command.as_deref(), probed.command.as_deref())
                && probed.time <= exec.time + LAG
                && probed.time + PROBE_BEFORE >= exec.time
        };
        let nearest = self
            .probed
            .iter_mut()
            .filter(fits)
            .min_by_key(|probed| probed.time.nanos_since(exec.time).saturating_abs());
        nearest.map(|probed| probed.used = true).is_some()
    }

    /// Whether the kubelet served a request that is this exec. One request stands for one exec.
    pub(super) fn take_request(&mut self, exec: &Exec, container: &Container) -> bool {
        let fits = |served: &&mut Served| {
            let Some(target) = &served.uri.target else { return false };
            !served.used
                && served.node == exec.node
                && (served.uri.endpoint == Endpoint::Attach) == (exec.call == Some(ExecCall::Attach))
                && target.namespace == container.pod_namespace
                && target.pod == container.pod_name
                && (container.name.is_empty() || target.container == container.name)
                && same_command(exec.command.as_deref(), asked(&served.uri).as_deref())
                && served.start <= exec.time + LAG
                && served.end + LAG >= exec.time
        };
        let nearest = self
            .served
            .iter_mut()
            .filter(fits)
            .min_by_key(|served| served.start.nanos_since(exec.time).saturating_abs());
        nearest.map(|served| served.used = true).is_some()
    }

    pub(super) fn forget(&mut self, before: Timestamp) {
        self.served.retain(|served| served.end >= before);
        self.probed.retain(|probed| probed.time >= before);
    }
}

/// The command that a kubelet's URI asks for, its words joined by spaces as the runtime's log shows them.
pub(super) fn asked(uri: &KubeletUri) -> Option<String> {
    let name = match uri.endpoint {
        Endpoint::Run => "cmd",
        Endpoint::Exec => "command",
        _ => return None,
    };
    Some(uri.values(name).collect::<Vec<_>>().join(" "))
}

/// Commands that are not told may be any.
pub(super) fn same_command(left: Option<&str>, right: Option<&str>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => left == right,
        _ => true,
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() >= REMEMBERED {
        queue.pop_front();
    }
    queue.push_back(item);
}
