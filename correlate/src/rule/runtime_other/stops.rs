//! Whether the kubelet itself ended a container.

use std::time::Duration;

use auditgap_records::Timestamp;

use super::{Act, Moments, RuntimeOther};
use crate::ledger::verbosity::Shown;
use crate::world::World;

/// Lines of two daemons about one moment.
pub(super) const LAG: Duration = Duration::from_secs(2);

/// A Pod's containers are stopped this soon after the kubelet was told that it goes.
const LEAVING: Duration = Duration::from_secs(5);

/// A process that memory ran out for ends this soon.
const OOM: Duration = Duration::from_mins(1);

/// Between the kubelet's word that it kills a container and the call lie its hooks.
const GRACE: Duration = Duration::from_hours(1);

impl RuntimeOther {
    /// Whether the kubelet said that it ends this container, or its Pod.
    pub(super) fn is_kubelets_work(&self, act: &Act, world: &World) -> bool {
        if within(&self.killing, &act.node, &act.subject, act.time, GRACE, LAG) {
            return true;
        }
        let Some(container) = world.ledger.containers.get(&act.subject) else { return false };
        let pod = format!("{}/{}", container.pod_namespace, container.pod_name);
        let leaves = |name: &str| within(&self.leaving, &act.node, name, act.time, LEAVING, LAG);
        leaves(&pod) || (!container.pod_uid.is_empty() && leaves(&container.pod_uid))
    }

    /// Whether CRI was asked to end it, or its sandbox, or memory ran out.
    pub(super) fn is_ended_otherwise(&self, act: &Act, world: &World) -> bool {
        let ends = |subject: &str| within(&self.stopping, &act.node, subject, act.time, GRACE, LAG);
        let sandbox = world.ledger.containers.get(&act.subject).map(|container| container.sandbox.clone());
        ends(&act.subject)
            || sandbox.is_some_and(|sandbox| ends(&sandbox))
            || within(&self.oom, &act.node, &act.subject, act.time, OOM, LAG)
    }
}

/// Whether the kubelet's log would tell that it kills a container.
pub(super) fn tells_kills(act: &Act, world: &World) -> bool {
    world.ever_shows(&act.node, Shown::SyncLoop)
        && world.would_show(&act.node, Shown::SyncLoop, act.time - LAG)
        && world.would_show(&act.node, Shown::SyncLoop, act.time + LAG)
}

fn within(
    moments: &Moments,
    node: &str,
    subject: &str,
    time: Timestamp,
    before: Duration,
    after: Duration,
) -> bool {
    moments.get(&(node.to_owned(), subject.to_owned())).is_some_and(|moments| {
        moments.iter().any(|moment| *moment + before >= time && *moment <= time + after)
    })
}
