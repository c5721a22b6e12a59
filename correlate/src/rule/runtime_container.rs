//! Containers and sandboxes that the runtime made and that no Pod of the API server asked for.
//!
//! An action is a container or a sandbox that comes to be: by the runtime's own event, by the answer of a CRI call, or
//! by both, which are one. It is explained by a Pod that the API server or the kubelet knows. A container that was not
//! made through CRI, or in another of the runtime's namespaces than the kubelet's, is a gap by its nature.
//!
//! Page: `docs/rules/runtime-container.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use auditgap_records::kubelet::KubeletLine;
use auditgap_records::report::Path;
use auditgap_records::runtime::{RuntimeEvent, RuntimeEventKind, RuntimeLine, SandboxIdentity};
use auditgap_records::{FeedKind, Timestamp};

use super::{Rule, RuleInfo};
use crate::fact::Fact;
use crate::ledger::verbosity::Shown;
use crate::patience::Patience;
use crate::runtime_view::short_id;
use crate::verdict::{Cite, How};
use crate::world::{Seen, World};

mod judge;
mod open;
#[cfg(test)]
mod tests;

use open::OpenGaps;

/// The rule.
pub static INFO: RuleInfo = RuleInfo {
    name: "runtime-container",
    path: Path::RuntimeSocket,
    techniques: &["RT1", "RT2", "RT3"],
    attack: &["T1610", "T1611", "T1564"],
    next_steps: &[
        "Look at the container while it is there: its image, its mounts, its processes, its network (`ctr -n NAMESPACE containers info ID`).",
        "Find who was at the runtime's socket: the process in the evidence, else logins to the node at that time.",
        "Take the node out of service, keep its disk and memory, and build it anew: whoever uses the runtime's socket is root there.",
        "Replace what was readable on the node: service account tokens, image pull secrets, the kubelet's certificate.",
    ],
};

/// Containers that wait for their verdict, at the most.
const WAITING: usize = 100_000;

/// Records kept of one container until its verdict, at the most.
const EVIDENCE: usize = 64;

/// How often it is looked whether a quiet log has spoken.
const AGAIN: Duration = Duration::from_secs(10);

/// CRI requests without an answer that are remembered, at the most.
const REQUESTS: usize = 10_000;

/// A sandbox or container that came to be.
#[derive(Debug)]
struct Made {
    node: String,
    id: String,
    first: Timestamp,
    evidence: Vec<Cite>,
    /// The runtime's own namespace and the image, where an event told.
    event: Option<(String, String)>,
    /// The Pod that labels name (Docker).
    labelled: bool,
    /// The Pod that a sandbox was asked for.
    identity: Option<SandboxIdentity<'static>>,
    /// The sandbox that a container was asked for, and its name.
    parent: Option<(String, String)>,
    deleted: Option<Timestamp>,
}

impl Made {
    /// A CRI call made it.
    fn through_cri(&self) -> bool {
        self.identity.is_some() || self.parent.is_some()
    }
}

/// Node, the runtime's own namespace, id. The namespace is empty for what was made through CRI.
type Key = (String, String, String);

/// A CRI request whose answer did not come yet.
#[derive(Debug)]
struct Request {
    node: String,
    time: Timestamp,
    /// What its answer repeats.
    subject: String,
    failed: bool,
}

/// The rule's state.
#[derive(Debug, Default)]
pub struct RuntimeContainer {
    made: BTreeMap<Key, Made>,
    order: BTreeMap<(Timestamp, u64), Key>,
    next: u64,
    requests: Vec<Request>,
    /// UIDs whose containers a kubelet killed because it knew no such Pod.
    orphans: BTreeMap<(String, String), Cite>,
    /// Namespaces and images that came to be in a runtime's namespace, for the story of containers there.
    surroundings: BTreeMap<(String, String), Vec<Cite>>,
    gaps: OpenGaps,
    looked: Option<Timestamp>,
    patience: Patience,
    /// The recording is over: nothing more is to be waited for.
    over: bool,
}

impl Rule for RuntimeContainer {
    fn observe(&mut self, seen: Seen<'_>, world: &mut World) {
        match seen.fact {
            Fact::Runtime(line) => self.observe_runtime(seen, line, world),
            Fact::Kubelet(line) => {
                if let KubeletLine::OrphanedPod { pod_uid } = &**line {
                    let cite =
                        seen.cite("kubelet: cleans up the containers of a Pod that it had not seen before");
                    let node = world.node_of(seen.feed).to_owned();
                    self.orphans.insert((node, pod_uid.to_string()), cite);
                }
            }
            _ => {}
        }
    }

    fn tick(&mut self, world: &mut World) {
        let first = self.order.first_key_value().map(|((first, _), _)| *first);
        let settled = self.patience.settled(first, world);
        self.judge_until(settled, world);
        if self.looked.is_none_or(|looked| world.clock >= looked + Duration::from_secs(30)) {
            self.looked = Some(world.clock);
            self.gaps.give_quiet(world);
            let before = world.clock - open::QUIET;
            self.surroundings.retain(|_, cites| {
                cites.retain(|cite| cite.time >= before);
                !cites.is_empty()
            });
            self.orphans.retain(|_, cite| cite.time >= before);
            self.requests.retain(|request| request.time >= before);
        }
    }

    fn finish(&mut self, world: &mut World) {
        self.over = true;
        self.judge_until(Timestamp::MAX, world);
        self.gaps.give_all(world);
        say_what_was_not_watched(world);
    }
}

impl RuntimeContainer {
    fn observe_runtime(&mut self, seen: Seen<'_>, line: &RuntimeLine<'static>, world: &mut World) {
        let node = world.node_of(seen.feed).to_owned();
        match line {
            RuntimeLine::RunPodSandbox { identity, sandbox, error } => {
                let subject = format!("{identity:?}");
                match (sandbox, error) {
                    (Some(sandbox), _) => {
                        self.answered(&node, &subject);
                        let pod = format!("{}/{}", identity.namespace, identity.name);
                        let cite = seen.cite(format!("runtime: CRI made sandbox {sandbox} for Pod {pod}"));
                        if let Some(made) = self.made(&node, "", sandbox, cite, world) {
                            made.identity = Some(identity.clone());
                        }
                    }
                    (None, Some(_)) => {
                        let open = self.requests.iter_mut().rev().find(|open| open.is(&node, &subject));
                        if let Some(request) = open {
                            request.failed = true;
                        }
                    }
                    (None, None) => self.asked(node, seen.time, subject),
                }
            }
            RuntimeLine::CreateContainer { sandbox, name, container } => {
                let subject = format!("{sandbox}/{name}");
                let Some(container) = container else { return self.asked(node, seen.time, subject) };
                self.answered(&node, &subject);
                let cite = seen.cite(format!(
                    "runtime: CRI made container {name} ({container}) in sandbox {}",
                    short_id(sandbox)
                ));
                if let Some(made) = self.made(&node, "", container, cite, world) {
                    made.parent = Some((sandbox.to_string(), name.to_string()));
                }
            }
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
        let RuntimeEvent { namespace, subject, .. } = event;
        match event.kind {
            RuntimeEventKind::ContainerCreate => {
                let image = event.image.as_deref().unwrap_or_default();
                let cite = seen.cite(format!(
                    "runtime: container {subject} created in namespace {namespace} of {image}"
                ));
                if let Some(made) = self.made(&node, namespace, subject, cite, world) {
                    made.event = Some((namespace.to_string(), image.to_owned()));
                    made.labelled = event.identity.is_some();
                }
            }
            RuntimeEventKind::TaskStart
            | RuntimeEventKind::TaskExit
            | RuntimeEventKind::TaskDelete
            | RuntimeEventKind::ContainerDelete => {
                let key = (node, namespace.to_string(), subject.to_string());
                let cite =
                    seen.cite(format!("runtime: container {subject} of {namespace}: {}", words(event.kind)));
                let ends = event.kind == RuntimeEventKind::ContainerDelete;
                if let Some(made) = self.made.get_mut(&key) {
                    if made.evidence.len() < EVIDENCE {
                        made.evidence.push(cite);
                    }
                    made.deleted = made.deleted.or(ends.then_some(seen.time));
                } else if !self.gaps.add_evidence(&key, &cite)
                    && world.ledger.containers.is_kubelet_namespace(&key.1)
                {
                    self.gaps.add_evidence(&(key.0, String::new(), key.2), &cite);
                }
            }
            RuntimeEventKind::NamespaceCreate => {
                let cite = seen.cite(format!("runtime: namespace {subject} created"));
                self.surroundings.entry((node, subject.to_string())).or_default().push(cite);
            }
            RuntimeEventKind::ImageCreate => {
                let cite = seen.cite(format!("runtime: image {subject} came to namespace {namespace}"));
                self.surroundings.entry((node, namespace.to_string())).or_default().push(cite);
            }
            _ => {}
        }
    }

    fn asked(&mut self, node: String, time: Timestamp, subject: String) {
        if self.requests.len() >= REQUESTS {
            self.requests.remove(0);
        }
        self.requests.push(Request { node, time, subject, failed: false });
    }

    fn answered(&mut self, node: &str, subject: &str) {
        if let Some(index) = self.requests.iter().position(|request| request.is(node, subject)) {
            self.requests.remove(index);
        }
    }

    /// The entry for something made. What was made through CRI and has an event in the kubelet's namespace becomes
    /// one action when it is judged.
    fn made(
        &mut self,
        node: &str,
        namespace: &str,
        id: &str,
        cite: Cite,
        world: &mut World,
    ) -> Option<&mut Made> {
        let key = (node.to_owned(), namespace.to_owned(), id.to_owned());
        if !self.made.contains_key(&key) {
            if self.made.len() >= WAITING {
                let reason = "more containers at once than can be held";
                world.cannot_judge(
                    Path::RuntimeSocket,
                    reason,
                    "look into what floods the runtime",
                    cite.time,
                );
                return None;
            }
            self.next += 1;
            self.order.insert((cite.time, self.next), key.clone());
        }
        let made = self.made.entry(key).or_insert_with(|| Made {
            node: node.to_owned(),
            id: id.to_owned(),
            first: cite.time,
            evidence: Vec::new(),
            event: None,
            labelled: false,
            identity: None,
            parent: None,
            deleted: None,
        });
        made.evidence.push(cite);
        Some(made)
    }

    fn judge_until(&mut self, due: Timestamp, world: &mut World) {
        while let Some((moment, _)) = self.order.first_key_value() {
            if moment.0 > due {
                break;
            }
            let Some(((moment, number), key)) = self.order.pop_first() else { break };
            let Some(made) = self.made.get(&key) else { continue };
            // What is known now may be forgotten when a quiet log has spoken.
            if !self.is_known(made, world) && !world.is_told(&made.node, made.first + judge::PLEG, self.over)
            {
                self.order.insert((moment + AGAIN, number), key);
                continue;
            }
            self.judge_key(&key, world);
        }
    }

    fn judge_key(&mut self, key: &Key, world: &mut World) {
        let Some(mut made) = self.made.remove(key) else { return };
        self.join_halves(key, &mut made, world);
        // A container is judged after its sandbox.
        if let Some((sandbox, _)) = &made.parent {
            let sandbox = (made.node.clone(), String::new(), sandbox.clone());
            self.judge_key(&sandbox, world);
        }
        self.judge(&made, world);
    }

    /// The runtime's event and CRI's answer are two records of one action.
    fn join_halves(&mut self, key: &Key, made: &mut Made, world: &World) {
        let (node, namespace, id) = key;
        let other = if namespace.is_empty() {
            let is_other = |(other, _): &(&Key, &Made)| {
                other.0 == *node
                    && other.2 == *id
                    && !other.1.is_empty()
                    && world.ledger.containers.is_kubelet_namespace(&other.1)
            };
            self.made.iter().find(is_other).map(|(key, _)| key.clone())
        } else if world.ledger.containers.is_kubelet_namespace(namespace) {
            Some((node.clone(), String::new(), id.clone()))
        } else {
            None
        };
        let Some(other) = other.and_then(|key| self.made.remove(&key)) else { return };
        made.evidence.extend(other.evidence);
        made.event = made.event.take().or(other.event);
        made.identity = made.identity.take().or(other.identity);
        made.parent = made.parent.take().or(other.parent);
        made.labelled |= other.labelled;
        made.deleted = made.deleted.or(other.deleted);
    }

    /// Whether a CRI request that failed, or was never answered, left this container behind for a moment.
    fn is_left_by_failure(&mut self, made: &Made, world: &World) -> bool {
        if made.deleted.is_none() {
            return false;
        }
        let since = made.first - world.context.settings.request_timeout;
        let is_its = |request: &Request| {
            request.node == made.node && since <= request.time && request.time <= made.first
        };
        let Some(index) = self.requests.iter().rposition(is_its) else { return false };
        self.requests.remove(index);
        true
    }
}

impl Request {
    fn is(&self, node: &str, subject: &str) -> bool {
        !self.failed && self.node == node && self.subject == subject
    }
}

fn words(kind: RuntimeEventKind) -> &'static str {
    match kind {
        RuntimeEventKind::TaskStart => "started",
        RuntimeEventKind::TaskExit => "ended",
        RuntimeEventKind::TaskDelete => "its process was removed",
        _ => "deleted",
    }
}

fn explained(made: &Made, world: &mut World, how: How) {
    if world.verdicts.is_tracing()
        && let Some(first) = made.evidence.first()
    {
        let container = world.ledger.containers.get(&made.id);
        let pod = container.map_or_else(String::new, |it| format!("{}/{}", it.pod_namespace, it.pod_name));
        let mut cite = first.clone();
        cite.summary = format!("{}, which belongs to what was asked for", cite.summary);
        world.verdicts.trace(how, &[&made.id, &pod], cite);
    }
    world.verdicts.explained(how);
}

fn say_what_was_not_watched(world: &mut World) {
    let verdicts = &mut world.verdicts;
    if !world.feeds.has(FeedKind::Runtime) {
        verdicts.not_watched(
            Path::RuntimeSocket,
            "no feed of a container runtime",
            "give the runtime's log and its events (--runtime): containerd's or CRI-O's log, `ctr events`, `docker events`",
        );
        return;
    }
    let states = 0..u16::try_from(world.feeds.states.len()).unwrap_or(u16::MAX);
    let shows = |shown| states.clone().any(|feed| world.ledger.verbosity.has_shown(feed, shown));
    if !shows(Shown::Events) {
        verdicts.not_watched(
            Path::RuntimeSocket,
            "no events of the container runtime: containers in other namespaces of containerd cannot be seen",
            "record `ctr events` (it shows all namespaces), or `docker events`, on every node",
        );
    }
    if !shows(Shown::CriCalls) {
        verdicts.not_watched(
            Path::RuntimeSocket,
            "no CRI calls in any runtime log: what the kubelet asked for cannot be told from what others asked for",
            "give the log of containerd or CRI-O at level info or lower",
        );
    }
}
