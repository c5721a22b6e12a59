//! What else is done at a runtime's socket: images brought in, containers stopped, killed, paused or checkpointed,
//! namespaces made.
//!
//! Stopping and pulling is the kubelet's daily work; it is explained by the kubelet's own lines and by CRI's. Pausing is
//! not, and neither is bringing in an image by another way than a pull.
//!
//! Page: `docs/rules/runtime-other.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use auditgap_records::kubelet::{KubeletLine, SyncOp};
use auditgap_records::report::Path;
use auditgap_records::runtime::{RuntimeEvent, RuntimeEventKind, RuntimeLine};
use auditgap_records::{FeedKind, Timestamp};

use super::{Rule, RuleInfo};
use crate::fact::Fact;
use crate::runtime_view::short_id;
use crate::verdict::Cite;
use crate::world::{Seen, World};

mod acts;
mod images;
mod stops;
#[cfg(test)]
mod tests;

use images::Images;

/// The rule.
pub static INFO: RuleInfo = RuleInfo {
    name: "runtime-other",
    path: Path::RuntimeSocket,
    techniques: &["RT3", "RT5", "RT6", "KL10"],
    attack: &["T1562.001", "T1525", "T1612", "T1005"],
    next_steps: &[
        "Find who was at the runtime's socket: the process in the evidence, else logins to the node at that time.",
        "See what the container guarded, or what the image holds, and whether anything was started from it.",
        "Remove the image; let the kubelet start the container again, and compare the gap in its work with other events.",
        "Take the node out of service and build it anew: whoever uses the runtime's socket is root there.",
    ],
};

/// Acts that wait for their verdict, at the most.
const WAITING: usize = 100_000;

/// How long the kubelet's and CRI's lines about a container are remembered: grace periods are long.
const MEMORY: Duration = Duration::from_hours(1);

/// How often it is looked whether a quiet log has spoken.
const AGAIN: Duration = Duration::from_secs(10);

/// Lines about one container or Pod that are remembered, at the most.
const NOTED: usize = 64;

/// Acts on one container within this time are one.
const SAME: Duration = Duration::from_mins(2);

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// CRI was asked to stop it.
    Stop,
    /// Its main process ended as one that was killed does.
    Killed,
    /// It was frozen.
    Paused,
    /// Its memory was written out.
    Checkpointed,
    /// A namespace of the runtime was made.
    Namespace,
}

#[derive(Debug)]
struct Act {
    kind: Kind,
    node: String,
    /// Container, or name of a namespace.
    subject: String,
    time: Timestamp,
    exit_status: u32,
    evidence: Vec<Cite>,
}

/// By node and container id, or by node and Pod (`namespace/name`).
type Moments = BTreeMap<(String, String), Vec<Timestamp>>;

/// The rule's state.
#[derive(Debug, Default)]
pub struct RuntimeOther {
    acts: BTreeMap<(Timestamp, u64), Act>,
    next: u64,
    /// The kubelet said that it kills the container.
    killing: Moments,
    /// The kubelet was told that a Pod goes.
    leaving: Moments,
    /// CRI was asked to stop or remove a container, or to stop or remove a sandbox.
    stopping: Moments,
    /// The kernel killed for want of memory.
    oom: Moments,
    /// Last act of each kind on each container.
    last: BTreeMap<(String, String, Kind), Timestamp>,
    images: Images,
    looked: Option<Timestamp>,
    /// The recording is over: nothing more is to be waited for.
    over: bool,
}

impl Rule for RuntimeOther {
    fn observe(&mut self, seen: Seen<'_>, world: &mut World) {
        match seen.fact {
            Fact::Runtime(line) => self.observe_runtime(seen, line, world),
            Fact::Kubelet(line) => self.observe_kubelet(seen, line, world),
            _ => {}
        }
    }

    fn tick(&mut self, world: &mut World) {
        let due = world.clock - world.context.settings.request_timeout;
        self.judge_until(due, world);
        if self.looked.is_none_or(|looked| world.clock >= looked + Duration::from_mins(1)) {
            self.looked = Some(world.clock);
            let before = due - MEMORY;
            for moments in [&mut self.killing, &mut self.leaving, &mut self.stopping, &mut self.oom] {
                moments.retain(|_, moments| {
                    moments.retain(|moment| *moment >= before);
                    !moments.is_empty()
                });
            }
            self.last.retain(|_, moment| *moment >= before);
        }
    }

    fn finish(&mut self, world: &mut World) {
        self.over = true;
        self.judge_until(Timestamp::MAX, world);
        if world.feeds.has(FeedKind::Runtime) && !world.feeds.has(FeedKind::Kubelet) {
            world.verdicts.not_watched(
                Path::RuntimeSocket,
                "no kubelet log: whether the kubelet itself stopped a container cannot be told",
                "give the kubelets' logs at --v=2 (--kubelet)",
            );
        }
    }
}

impl RuntimeOther {
    fn observe_runtime(&mut self, seen: Seen<'_>, line: &RuntimeLine<'static>, world: &mut World) {
        let node = world.node_of(seen.feed).to_owned();
        match line {
            RuntimeLine::StopContainer { container, done: false } => {
                let cite =
                    seen.cite(format!("runtime: container {} is stopped through CRI", short_id(container)));
                note(&mut self.stopping, &node, container, seen.time);
                self.act(Kind::Stop, node, container, cite, 0, world);
            }
            RuntimeLine::RemoveContainer { container } => {
                note(&mut self.stopping, &node, container, seen.time);
            }
            RuntimeLine::StopPodSandbox { sandbox } | RuntimeLine::RemovePodSandbox { sandbox } => {
                note(&mut self.stopping, &node, sandbox, seen.time);
            }
            RuntimeLine::PullImage { image, done } => self.images.pull(&node, image, *done, seen.time),
            RuntimeLine::Started => self.images.started(&node, seen.time),
            RuntimeLine::Event(event) => self.observe_event(seen, event, node, world),
            _ => {}
        }
    }

    fn observe_event(
        &mut self,
        seen: Seen<'_>,
        event: &RuntimeEvent<'static>,
        node: String,
        world: &mut World,
    ) {
        let subject = &*event.subject;
        match event.kind {
            RuntimeEventKind::TaskOom => note(&mut self.oom, &node, subject, seen.time),
            RuntimeEventKind::TaskExit => {
                let status = event.exit_status.unwrap_or_default();
                // 128 and the number of SIGKILL or SIGTERM.
                if matches!(status, 137 | 143) {
                    let cite = seen
                        .cite(format!("runtime: container {} ended with status {status}", short_id(subject)));
                    self.act(Kind::Killed, node, subject, cite, status, world);
                }
            }
            RuntimeEventKind::TaskPaused => {
                let cite = seen.cite(format!("runtime: container {} paused", short_id(subject)));
                self.act(Kind::Paused, node, subject, cite, 0, world);
            }
            RuntimeEventKind::TaskCheckpointed => {
                let cite = seen.cite(format!("runtime: container {} checkpointed", short_id(subject)));
                self.act(Kind::Checkpointed, node, subject, cite, 0, world);
            }
            RuntimeEventKind::NamespaceCreate => {
                let cite = seen.cite(format!("runtime: namespace {subject} created"));
                self.act(Kind::Namespace, node, subject, cite, 0, world);
            }
            RuntimeEventKind::ImageCreate | RuntimeEventKind::ImageUpdate => {
                let verb = if event.kind == RuntimeEventKind::ImageCreate { "created" } else { "updated" };
                let cite = seen.cite(format!("runtime: image {subject} {verb}"));
                let is_new = event.kind == RuntimeEventKind::ImageCreate;
                self.images.came(node, &event.namespace, subject, is_new, cite);
            }
            RuntimeEventKind::ContainerCreate => {
                self.images.container(&node, &event.namespace, seen.time);
            }
            _ => {}
        }
    }

    fn observe_kubelet(&mut self, seen: Seen<'_>, line: &KubeletLine<'_>, world: &World) {
        let node = world.node_of(seen.feed);
        match line {
            KubeletLine::KillingContainer { container, .. } => {
                note(&mut self.killing, node, container, seen.time);
            }
            KubeletLine::SyncLoop { op: SyncOp::Delete | SyncOp::Remove, pods, .. } => {
                for pod in pods {
                    let pod = format!("{}/{}", pod.namespace, pod.name);
                    note(&mut self.leaving, node, &pod, seen.time);
                }
            }
            KubeletLine::OrphanedPod { pod_uid } => note(&mut self.leaving, node, pod_uid, seen.time),
            _ => {}
        }
    }

    /// Takes in an act, unless it goes on with one that came just before.
    fn act(&mut self, kind: Kind, node: String, subject: &str, cite: Cite, status: u32, world: &mut World) {
        let key = (node.clone(), subject.to_owned(), kind);
        let again = self.last.get(&key).is_some_and(|last| cite.time <= *last + SAME);
        if again {
            let pending = self
                .acts
                .values_mut()
                .rev()
                .find(|act| act.kind == kind && act.node == node && act.subject == subject);
            if let Some(act) = pending {
                act.evidence.push(cite);
                act.evidence.truncate(NOTED);
            }
            return;
        }
        if self.acts.len() >= WAITING {
            let reason = "more stopped and killed containers at once than can be held";
            world.cannot_judge(Path::RuntimeSocket, reason, "look into what floods the runtime", cite.time);
            return;
        }
        self.last.insert(key, cite.time);
        self.next += 1;
        let time = cite.time;
        self.acts.insert(
            (time, self.next),
            Act { kind, node, subject: subject.to_owned(), time, exit_status: status, evidence: vec![cite] },
        );
    }

    /// Whether an act need not wait for a kubelet's log that is quiet. What speaks for it now may be forgotten then.
    fn is_ready(&self, act: &Act, world: &World) -> bool {
        match act.kind {
            Kind::Stop if !self.is_kubelets_work(act, world) => {}
            Kind::Killed if !self.is_kubelets_work(act, world) && !self.is_ended_otherwise(act, world) => {}
            _ => return true,
        }
        world.is_told(&act.node, act.time + stops::LAG, self.over)
    }

    fn judge_until(&mut self, due: Timestamp, world: &mut World) {
        while let Some((moment, _)) = self.acts.first_key_value() {
            if moment.0 > due {
                break;
            }
            let Some(((moment, number), act)) = self.acts.pop_first() else { break };
            if self.is_ready(&act, world) {
                self.judge(&act, world);
            } else {
                self.acts.insert((moment + AGAIN, number), act);
            }
        }
        self.images.judge_until(due, self.over, world);
    }
}

fn note(moments: &mut Moments, node: &str, subject: &str, time: Timestamp) {
    let moments = moments.entry((node.to_owned(), subject.to_owned())).or_default();
    if moments.len() >= NOTED {
        moments.remove(0);
    }
    moments.push(time);
}
