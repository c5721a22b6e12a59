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

use super::{Rule, RuleInfo};
use crate::fact::Fact;
use crate::verdict::{Cite, How};
use crate::world::{Seen, World};

mod act;
mod baseline;
mod judge;
mod mirror;
mod sandbox;
mod settings;

use act::{Act, Kind, Source};
use settings::{CUT_OFF, KubeletFeed};

/// The rule.
pub static INFO: RuleInfo = RuleInfo {
    name: "static-pod",
    path: Path::StaticPod,
    techniques: &["SP1", "SP2", "SP3", "SP4", "SP5", "SP6", "SP7"],
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
    /// The node by its own name, from its requests: a log is often named after its file.
    node: String,
    /// Told of as a gap.
    told: bool,
}

/// The rule's state.
#[derive(Debug, Default)]
pub struct StaticPods {
    /// By namespace and name. The name holds the node's.
    pods: BTreeMap<(String, String), Known>,
    /// Actions whose records still come in; one for each Pod at the most.
    open: BTreeMap<(String, String), Act>,
    /// When the first of them began.
    earliest: Option<Timestamp>,
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
        let due = world.clock - SETTLE;
        if self.earliest.is_none_or(|earliest| earliest > due) {
            return;
        }
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
            KubeletLine::ApiServerUnreachable { .. } => self.cut_off(seen, world),
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
        act.other_source = act.at_start && kubelet.new_source;
        act.cut_off = kubelet.cut_off(seen.time);
        act.set_uid(uid);
        world.instance(seen.feed).clone_into(&mut act.node);
        self.open(act, world);
    }

    /// A kubelet could not reach the API server: what it loaded right before has no mirror Pod either.
    fn cut_off(&mut self, seen: Seen<'_>, world: &World) {
        let kubelet = self.kubelets.entry(seen.feed).or_default();
        kubelet.lost_the_api_server(seen.time);
        if kubelet.starting(seen.time) {
            return;
        }
        let node = world.instance(seen.feed);
        for act in self.open.values_mut().filter(|act| act.node == node) {
            if act.source == Source::Kubelet && seen.time <= act.first + CUT_OFF {
                act.cut_off = true;
            }
        }
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

    /// Opens an action. What was open about the Pod is over.
    fn open(&mut self, mut act: Act, world: &mut World) {
        let key = act.key.clone();
        if let Some(over) = self.open.remove(&key) {
            self.judge(over, world);
        }
        let loaded = act.kind != Kind::Removed;
        self.note(&key, &act.uid);
        if let Some(known) = self.pods.get_mut(&key) {
            known.loaded = loaded;
            if !known.node.is_empty() {
                act.node.clone_from(&known.node);
            }
        }
        self.earliest = Some(self.earliest.map_or(act.first, |earliest| earliest.min(act.first)));
        self.open.insert(key, act);
    }

    fn open_act(&mut self, key: &(String, String)) -> Option<&mut Act> {
        self.open.get_mut(key)
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

    fn at_home(&mut self, key: &(String, String), node: &str) {
        if let Some(known) = self.pods.get_mut(key) {
            node.clone_into(&mut known.node);
        }
    }

    /// Whether a UID shows another manifest than any seen of this Pod.
    fn is_new_uid(&self, key: &(String, String), uid: &str) -> bool {
        let Some(known) = self.pods.get(key) else { return !uid.is_empty() };
        // The first UID of a Pod that was known by name alone is simply its own.
        !uid.is_empty() && !known.uids.is_empty() && !known.uids.contains(uid)
    }

    /// Whether a kubelet's own log tells of the loads of the node whose runtime a feed speaks of.
    fn watches_beside(&self, runtime: u16, world: &World) -> bool {
        let node = world.node_of(runtime);
        self.kubelets.iter().any(|(feed, kubelet)| kubelet.tells_loads && world.node_of(*feed) == node)
    }

    /// Whether a kubelet's own log tells of the loads of a node.
    fn watches(&self, node: &str, world: &World) -> bool {
        self.kubelets.iter().filter(|(_, kubelet)| kubelet.tells_loads).any(|(feed, _)| {
            let instance = world.instance(*feed);
            // A log whose name is no node's may be any node's.
            instance == node || !self.nodes.contains_key(instance)
        })
    }

    fn judge_where(&mut self, due: impl Fn(&Act) -> bool, world: &mut World) {
        let ready: Vec<Act> = self.open.extract_if(.., |_, act| due(act)).map(|(_, act)| act).collect();
        self.earliest = self.open.values().map(|act| act.first).min();
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

#[cfg(test)]
mod tests;
