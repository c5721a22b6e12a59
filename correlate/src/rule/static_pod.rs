//! Static Pods: what a kubelet runs from files or URLs, whatever the API server says.
//!
//! An action is one load, change or removal of a static Pod. No request of the API leads to it, so that it is a gap
//! by its nature, unless the Pod was there before: declared, listed earlier, or loaded earlier by the same kubelet.
//! The mirror Pod that the kubelet creates afterwards accounts for nothing; it is evidence.
//!
//! Page: `docs/rules/static-pod.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::kubelet::{KubeletLine, PodRef, PodSource, SyncOp};
use auditgap_records::report::Path;
use auditgap_records::runtime::RuntimeLine;

use super::{Rule, RuleInfo};
use crate::fact::{AuditFact, Fact, Verb};
use crate::ledger::requests::summary;
use crate::verdict::{Cite, How};
use crate::world::{Seen, World};

mod act;
mod baseline;
mod judge;
mod settings;

use act::{Act, Kind, Source};
use settings::KubeletFeed;

/// The rule.
pub static INFO: RuleInfo = RuleInfo {
    name: "static-pod",
    path: Path::StaticPod,
    techniques: &["SP1", "SP2", "SP3", "SP4", "SP5", "SP6"],
    attack: &["T1610", "T1543.005", "T1564", "T1036.005", "T1562.001"],
    next_steps: &[
        "Read the manifest on the node, and find who wrote it: shell sessions, configuration management, the host's own audit log.",
        "Keep a copy of the manifest and of the container's file system before anything is removed.",
        "Take the manifest away; deleting the mirror Pod through the API stops nothing.",
        "If it was planned, declare it: give the manifest with --inventory.",
    ],
};

/// A kubelet that starts loads what it has within this time.
const START: Duration = Duration::from_secs(30);

/// A node that comes up creates its Pods within this time.
const NODE_START: Duration = Duration::from_secs(60);

/// A removal and an addition this close together are a change.
const REPLACED: Duration = Duration::from_secs(5);

/// Records of one load from different feeds stand this close together.
const SAME_LOAD: Duration = Duration::from_secs(10);

/// The mirror Pod follows within the old Pod's time to end (30 s by default) and a sync of the kubelet.
const MIRROR: Duration = Duration::from_secs(45);

/// An action is judged this long after it began.
const SETTLE: Duration = Duration::from_secs(75);

/// UIDs remembered of one Pod.
const UIDS: usize = 16;

/// Static Pods remembered at the most: an attacker with a manifest folder may not grow the list for ever.
const PODS: usize = 50_000;

/// What is known of a static Pod.
#[derive(Debug, Default)]
struct Known {
    /// UIDs that it had on the node: each is made of its manifest.
    uids: BTreeSet<String>,
    loaded: bool,
    /// Told of as a gap.
    told: bool,
}

/// The rule's state.
#[derive(Debug, Default)]
pub struct StaticPods {
    /// By namespace and name. The name holds the node's.
    pods: BTreeMap<(String, String), Known>,
    open: Vec<Act>,
    kubelets: BTreeMap<u16, KubeletFeed>,
    /// When each node's user, and each runtime's feed, was first seen.
    nodes: BTreeMap<String, Timestamp>,
    runtimes: BTreeMap<u16, Timestamp>,
    /// Sandboxes of static Pods, by id.
    sandboxes: BTreeMap<String, (String, String)>,
    /// Manifests that were not run, each told once.
    ignored: BTreeSet<String>,
}

impl Rule for StaticPods {
    fn observe(&mut self, seen: Seen<'_>, world: &mut World) {
        match seen.fact {
            Fact::Kubelet(line) => self.observe_kubelet(seen, line, world),
            Fact::Audit(fact) if fact.is_node => self.observe_request(seen, fact, world),
            Fact::Runtime(line) => self.observe_runtime(seen, line, world),
            _ => {}
        }
    }

    fn tick(&mut self, world: &mut World) {
        if self.open.is_empty() {
            return;
        }
        let due = world.clock - SETTLE;
        self.judge_where(|act| act.first <= due, world);
    }

    fn finish(&mut self, world: &mut World) {
        self.judge_where(|_| true, world);
        self.not_watched(world);
    }
}

impl StaticPods {
    fn observe_kubelet(&mut self, seen: Seen<'_>, line: &KubeletLine<'_>, world: &mut World) {
        match line {
            KubeletLine::Started => self.kubelets.entry(seen.feed).or_default().start(seen.time),
            KubeletLine::Pleg { .. } => self.kubelets.entry(seen.feed).or_default().tells_loads = true,
            KubeletLine::SyncLoop { op, source, pods } => {
                self.kubelets.entry(seen.feed).or_default().tells_loads = true;
                if *source == PodSource::Api {
                    return;
                }
                for pod in pods {
                    match op {
                        SyncOp::Add => self.added(seen, pod, *source, world),
                        SyncOp::Update => self.updated(seen, pod, world),
                        SyncOp::Remove => self.removed(seen, pod, world),
                        SyncOp::Delete | SyncOp::Reconcile => {}
                    }
                }
            }
            KubeletLine::MirrorPodCreating { pod } => {
                let cite = seen.cite(format!("kubelet: creating a mirror Pod for {}", words(pod)));
                self.mirrored(seen, pod, cite, None, world);
            }
            KubeletLine::MirrorPodFailed { pod, error } if !error.contains("already exists") => {
                let cite = seen.cite(format!("kubelet: no mirror Pod for {}: {error}", words(pod)));
                self.mirrored(seen, pod, cite, Some(error), world);
            }
            KubeletLine::MirrorPodDeleted { pod } => self.mirror_deleted(seen, pod, world),
            KubeletLine::StaticPodPath { path } => self.path(seen, path, world),
            KubeletLine::StaticPodUrl { url } => self.url(seen, url, world),
            KubeletLine::ManifestIgnored { path, reason } => self.ignored(seen, path, reason, world),
            _ => {}
        }
    }

    /// A kubelet added a Pod from a file or URL.
    fn added(&mut self, seen: Seen<'_>, pod: &PodRef<'_>, source: PodSource, world: &mut World) {
        let from = if source == PodSource::Http { "a URL" } else { "a file" };
        let cite = seen.cite(format!("kubelet: static Pod {} loaded from {from}", words(pod)));
        let uid = pod.uid.as_deref().unwrap_or_default();
        let key = key_of(pod);
        if let Some(act) = self.open_act(&key) {
            let joins = match act.kind {
                Kind::Removed if seen.time <= act.first + REPLACED => {
                    act.kind = Kind::Changed;
                    true
                }
                Kind::Removed => false,
                Kind::Appeared | Kind::Changed => seen.time <= act.first + SAME_LOAD,
            };
            if joins {
                act.add(cite, Source::Kubelet);
                act.set_uid(uid);
                act.http |= source == PodSource::Http;
                self.remember(&key, uid);
                return;
            }
        }
        let loaded = self.pods.get(&key).is_some_and(|known| known.loaded);
        if loaded && !self.is_new_uid(&key, uid) {
            world.verdicts.explained(How::Restart);
            return;
        }
        let kind = if loaded { Kind::Changed } else { Kind::Appeared };
        let kubelet = self.kubelets.entry(seen.feed).or_default();
        let mut act = Act::new(kind, key, cite, Source::Kubelet);
        act.at_start = kubelet.starting(seen.time);
        act.starts_before = kubelet.starts.saturating_sub(1);
        act.http = source == PodSource::Http;
        act.set_uid(uid);
        world.instance(seen.feed).clone_into(&mut act.node);
        self.open(act, world);
    }

    fn updated(&mut self, seen: Seen<'_>, pod: &PodRef<'_>, world: &mut World) {
        let cite = seen.cite(format!("kubelet: manifest of static Pod {} changed", words(pod)));
        let mut act = Act::new(Kind::Changed, key_of(pod), cite, Source::Kubelet);
        act.set_uid(pod.uid.as_deref().unwrap_or_default());
        world.instance(seen.feed).clone_into(&mut act.node);
        self.open(act, world);
    }

    fn removed(&mut self, seen: Seen<'_>, pod: &PodRef<'_>, world: &mut World) {
        let cite = seen.cite(format!("kubelet: static Pod {} is gone from its source", words(pod)));
        let mut act = Act::new(Kind::Removed, key_of(pod), cite, Source::Kubelet);
        world.instance(seen.feed).clone_into(&mut act.node);
        self.open(act, world);
    }

    /// A kubelet is about to create a mirror Pod, or failed to: also without verbosity.
    fn mirrored(
        &mut self,
        seen: Seen<'_>,
        pod: &PodRef<'_>,
        cite: Cite,
        error: Option<&str>,
        world: &mut World,
    ) {
        let key = key_of(pod);
        if let Some(act) = self.open_act(&key) {
            if act.kind == Kind::Removed {
                act.come_back(false);
            }
            if act.kind != Kind::Removed && seen.time <= act.first + MIRROR {
                act.refuse(error);
                act.add(cite, Source::Mirror);
                return;
            }
        }
        let kubelet = self.kubelets.entry(seen.feed).or_default();
        if kubelet.tells_loads || self.pods.contains_key(&key) {
            return;
        }
        let mut act = Act::new(Kind::Appeared, key, cite, Source::Mirror);
        act.at_start = kubelet.starting(seen.time);
        act.refuse(error);
        world.instance(seen.feed).clone_into(&mut act.node);
        self.open(act, world);
    }

    fn mirror_deleted(&mut self, seen: Seen<'_>, pod: &PodRef<'_>, world: &mut World) {
        let key = key_of(pod);
        let cite = seen.cite(format!("kubelet: mirror Pod of {} deleted", words(pod)));
        if let Some(act) = self.open_act(&key)
            && seen.time <= act.first + MIRROR
        {
            act.add(cite, Source::Mirror);
            return;
        }
        let tells_loads = self.kubelets.entry(seen.feed).or_default().tells_loads;
        if !tells_loads {
            let mut act = Act::new(Kind::Removed, key, cite, Source::Mirror);
            world.instance(seen.feed).clone_into(&mut act.node);
            self.open(act, world);
        }
    }

    /// Requests of a node's user about Pods.
    fn observe_request(&mut self, seen: Seen<'_>, fact: &AuditFact, world: &mut World) {
        let Some(node) = fact.node() else { return };
        if !self.nodes.contains_key(node) && self.nodes.len() < PODS {
            self.nodes.insert(node.to_owned(), seen.time);
        }
        let about_pod = &*fact.resource == "pods" && fact.subresource.is_empty() && fact.group.is_empty();
        if !about_pod || fact.name.is_empty() || fact.code == 0 {
            return;
        }
        match fact.verb {
            Verb::Create => self.mirror_requested(seen, fact, node, world),
            Verb::Delete if fact.succeeded() => self.mirror_delete_requested(seen, fact, node, world),
            _ => {}
        }
    }

    /// A node's user creates no other Pods than mirrors.
    fn mirror_requested(&mut self, seen: Seen<'_>, fact: &AuditFact, node: &str, world: &mut World) {
        let key = (fact.namespace.to_string(), fact.name.to_string());
        let uid = &*fact.submitted_uid;
        let refused = (!fact.succeeded()).then(|| format!("the API server answered {}", fact.code));
        let exists = fact.code == 409;
        let new_uid = self.is_new_uid(&key, uid);
        let cite = seen.cite(summary(fact));
        if let Some(act) = self.open_act(&key)
            && seen.time <= act.first + MIRROR + REPLACED
        {
            node.clone_into(&mut act.node);
            act.come_back(!uid.is_empty() && !new_uid);
            if act.kind != Kind::Removed {
                act.set_uid(uid);
                if !exists {
                    act.refuse(refused.as_deref());
                    act.add(cite, Source::Audit);
                }
            }
            self.remember(&key, uid);
            return;
        }
        let known = self.pods.contains_key(&key);
        if known && !new_uid {
            if fact.succeeded() {
                world.verdicts.explained(How::Kubelet);
            }
            return;
        }
        if exists && !known {
            // Its mirror was there before.
            self.note(&key, uid);
            return;
        }
        let kind = if known { Kind::Changed } else { Kind::Appeared };
        let mut act = Act::new(kind, key, cite, Source::Audit);
        act.at_start = self.nodes.get(node).is_some_and(|first| seen.time <= *first + NODE_START);
        act.refuse(refused.as_deref());
        act.set_uid(uid);
        node.clone_into(&mut act.node);
        self.open(act, world);
    }

    fn mirror_delete_requested(&mut self, seen: Seen<'_>, fact: &AuditFact, node: &str, world: &mut World) {
        let key = (fact.namespace.to_string(), fact.name.to_string());
        let cite = seen.cite(summary(fact));
        if let Some(act) = self.open_act(&key)
            && seen.time <= act.first + MIRROR
        {
            act.add(cite, Source::Audit);
            return;
        }
        if self.pods.contains_key(&key) && !self.watches(node, world) {
            let mut act = Act::new(Kind::Removed, key, cite, Source::Audit);
            node.clone_into(&mut act.node);
            self.open(act, world);
        }
    }

    fn observe_runtime(&mut self, seen: Seen<'_>, line: &RuntimeLine<'_>, world: &mut World) {
        let first = *self.runtimes.entry(seen.feed).or_insert(seen.time);
        let (identity, sandbox) = match line {
            RuntimeLine::RunPodSandbox { identity, sandbox: Some(sandbox), .. } => (identity, sandbox),
            RuntimeLine::StopPodSandbox { sandbox } => return self.sandbox_stopped(seen, sandbox, world),
            _ => return,
        };
        let key = (identity.namespace.to_string(), identity.name.to_string());
        let uid = &*identity.uid;
        let cite = seen.cite(format!(
            "runtime: sandbox for static Pod {}/{}, UID {uid}",
            identity.namespace, identity.name
        ));
        let new_uid = self.is_new_uid(&key, uid);
        if let Some(act) = self.open_act(&key)
            && seen.time <= act.first + MIRROR
        {
            if act.source == Source::Runtime {
                act.come_back(!new_uid);
            }
            act.set_uid(uid);
            act.add(cite, Source::Runtime);
            self.note_sandbox(sandbox, &key);
            self.remember(&key, uid);
            return;
        }
        let known = self.pods.contains_key(&key);
        if known {
            self.note_sandbox(sandbox, &key);
        }
        if known && !new_uid {
            self.remember(&key, uid);
            return;
        }
        // Unknown Pods are told by their UID, which is no UUID; and only a first sandbox shows that one is new.
        let by_uid = is_manifest_hash(uid) && identity.attempt == 0;
        if !known && (!by_uid || self.watches("", world)) {
            return;
        }
        let kind = if known { Kind::Changed } else { Kind::Appeared };
        let mut act = Act::new(kind, key, cite, Source::Runtime);
        let node = world.instance(seen.feed);
        act.at_start = seen.time <= first + NODE_START
            || world.ledger.lifecycle.runtime_started(node, seen.time, NODE_START);
        act.set_uid(uid);
        node.clone_into(&mut act.node);
        self.note_sandbox(sandbox, &act.key);
        self.open(act, world);
    }

    /// A sandbox of a static Pod ended: without a kubelet's log this is how a removal shows, unless another follows.
    fn sandbox_stopped(&mut self, seen: Seen<'_>, sandbox: &str, world: &mut World) {
        let Some(key) = self.sandboxes.remove(sandbox) else { return };
        let (namespace, name) = &key;
        let cite = seen.cite(format!("runtime: sandbox of static Pod {namespace}/{name} stopped"));
        if let Some(act) = self.open_act(&key)
            && seen.time <= act.first + MIRROR
        {
            act.add(cite, Source::Runtime);
        } else if !self.watches("", world) {
            let mut act = Act::new(Kind::Removed, key, cite, Source::Runtime);
            world.instance(seen.feed).clone_into(&mut act.node);
            self.open(act, world);
        }
    }

    /// Opens an action. What was open about the Pod is over.
    fn open(&mut self, act: Act, world: &mut World) {
        let key = act.key.clone();
        self.judge_where(|open| open.key == key, world);
        let loaded = act.kind != Kind::Removed;
        self.note(&key, &act.uid);
        if let Some(known) = self.pods.get_mut(&key) {
            known.loaded = loaded;
        }
        self.open.push(act);
    }

    fn open_act(&mut self, key: &(String, String)) -> Option<&mut Act> {
        self.open.iter_mut().find(|act| act.key == *key)
    }

    fn note_sandbox(&mut self, sandbox: &str, key: &(String, String)) {
        if self.sandboxes.len() < PODS {
            self.sandboxes.insert(sandbox.to_owned(), key.clone());
        }
    }

    /// Notes a Pod as static.
    fn note(&mut self, key: &(String, String), uid: &str) {
        if self.pods.len() < PODS || self.pods.contains_key(key) {
            self.pods.entry(key.clone()).or_default();
        }
        self.remember(key, uid);
    }

    fn remember(&mut self, key: &(String, String), uid: &str) {
        if let Some(known) = self.pods.get_mut(key)
            && !uid.is_empty()
            && known.uids.len() < UIDS
        {
            known.uids.insert(uid.to_owned());
        }
    }

    /// Whether a UID shows another manifest than any seen of this Pod.
    fn is_new_uid(&self, key: &(String, String), uid: &str) -> bool {
        let Some(known) = self.pods.get(key) else { return !uid.is_empty() };
        // The first UID of a Pod that was known by name alone is simply its own.
        !uid.is_empty() && !known.uids.is_empty() && !known.uids.contains(uid)
    }

    /// Whether a kubelet's own log tells of the loads of a node; of any node if none is named.
    fn watches(&self, node: &str, world: &World) -> bool {
        self.kubelets.iter().filter(|(_, kubelet)| kubelet.tells_loads).any(|(feed, _)| {
            let instance = world.instance(*feed);
            // A log whose name is no node's may be any node's.
            node.is_empty() || instance == node || !self.nodes.contains_key(instance)
        })
    }

    fn judge_where(&mut self, due: impl Fn(&Act) -> bool, world: &mut World) {
        if !self.open.iter().any(&due) {
            return;
        }
        let (ready, open): (Vec<_>, Vec<_>) = std::mem::take(&mut self.open).into_iter().partition(due);
        self.open = open;
        for act in ready {
            self.judge(act, world);
        }
    }
}

fn key_of(pod: &PodRef<'_>) -> (String, String) {
    (pod.namespace.to_string(), pod.name.to_string())
}

fn words(pod: &PodRef<'_>) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

/// A kubelet makes 32 hexadecimal digits of a manifest, where the API server gives a UUID.
fn is_manifest_hash(uid: &str) -> bool {
    uid.len() == 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
