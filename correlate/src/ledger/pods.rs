//! Pods: who made them, and what they run by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::etcd::{Revision, RevisionKind};
use auditgap_records::inventory::{Inventory, PodFacts, SpecCommand};
use auditgap_records::kubelet::{KubeletLine, PodSource, SyncOp};

use crate::fact::{AuditFact, Verb};
use crate::ledger::requests::summary;
use crate::verdict::Cite;
use crate::world::Seen;

/// How a Pod's existence is accounted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A recorded create by name.
    Created,
    /// A recorded binding to a node (name and UID), as the scheduler makes it.
    Bound,
    /// A recorded create by the kubelet's own user: the mirror of a static Pod.
    Mirror,
    /// Listed in the inventory taken before.
    Inventory,
}

/// What is known of one Pod (by namespace and name; a name may be used again by another UID).
#[derive(Clone, Debug, Default)]
pub struct Pod {
    /// Accounted for by these, with the record that shows it.
    pub origins: BTreeMap<Origin, Option<Cite>>,
    /// UIDs that requests, the inventory or etcd gave it.
    pub uids: BTreeSet<String>,
    /// When it was first seen loaded from a file or URL, by node.
    pub from_file: BTreeMap<String, Timestamp>,
    /// When it was first seen loaded from the API server, by node.
    pub from_api: BTreeMap<String, Timestamp>,
    /// The kubelet's own mirror: the UID that the static Pod has on the node.
    pub mirror_uid: Option<String>,
    /// Probes and hooks, from bodies or the inventory.
    pub commands: Vec<SpecCommand>,
    /// Whether a body told its spec at all, so that missing commands mean none.
    pub spec_known: bool,
    /// Images, by container name.
    pub images: BTreeMap<String, String>,
    /// Host paths.
    pub host_paths: BTreeSet<String>,
    /// Secrets.
    pub secrets: BTreeSet<String>,
    /// Service account.
    pub service_account: String,
    /// Controlling owner.
    pub owner: Option<String>,
    /// Who created it.
    pub creator: String,
    /// Last record about it.
    last: Option<Timestamp>,
    deleted: bool,
}

/// A create of a Pod whose name the record does not tell.
#[derive(Clone, Debug)]
pub struct UnnamedCreate {
    /// When it was received.
    pub received: Timestamp,
    /// When it ended.
    pub staged: Timestamp,
    /// Namespace.
    pub namespace: String,
    /// `generateName`, or empty.
    pub generate_name: String,
    /// Who.
    pub user: String,
    /// The record.
    pub cite: Cite,
    /// Spec, if told.
    pub facts: Option<Box<PodFacts>>,
}

/// How long after its deletion a Pod may still show: grace periods above an hour are not in use.
const GRACE: Duration = Duration::from_secs(3_600);

/// All Pods of the last while.
#[derive(Debug, Default)]
pub struct Pods {
    by_name: BTreeMap<(String, String), Pod>,
    names_of_uid: BTreeMap<String, (String, String)>,
    /// Deleted Pods by when they are surely gone.
    deletions: BTreeSet<(Timestamp, (String, String))>,
    unnamed: Vec<UnnamedCreate>,
    namespaces: BTreeSet<String>,
    nodes: BTreeSet<String>,
}

impl Pods {
    pub(crate) fn take_in_inventory(&mut self, inventory: &Inventory) {
        for snapshot in &inventory.snapshots {
            self.namespaces.extend(snapshot.namespaces.iter().cloned());
            self.nodes.extend(snapshot.nodes.iter().cloned());
            for facts in &snapshot.pods {
                self.take_in_spec(facts);
            }
        }
    }

    /// Notes a Pod's spec, which says nothing of how the Pod came to be.
    fn take_in_spec(&mut self, facts: &PodFacts) {
        if facts.name.is_empty() {
            return;
        }
        let key = (facts.namespace.clone(), facts.name.clone());
        if !facts.uid.is_empty() {
            self.names_of_uid.insert(facts.uid.clone(), key.clone());
        }
        if let Some(uid) = &facts.mirror_of {
            self.names_of_uid.insert(uid.clone(), key.clone());
        }
        let pod = self.by_name.entry(key).or_default();
        if !facts.uid.is_empty() {
            pod.uids.insert(facts.uid.clone());
        }
        pod.mirror_uid = facts.mirror_of.clone().or(pod.mirror_uid.take());
        for command in &facts.commands {
            if !pod.commands.contains(command) {
                pod.commands.push(command.clone());
            }
        }
        pod.spec_known |= !facts.images.is_empty();
        pod.images.extend(facts.images.clone());
        pod.host_paths.extend(facts.host_paths.iter().cloned());
        pod.secrets.extend(facts.secrets.iter().cloned());
        if pod.service_account.is_empty() {
            pod.service_account.clone_from(&facts.service_account);
        }
        if pod.owner.is_none() {
            pod.owner.clone_from(&facts.owner);
        }
    }

    pub(crate) fn observe_request(&mut self, seen: Seen<'_>, fact: &AuditFact) {
        if &*fact.resource == "namespaces" && fact.verb == Verb::Create && fact.succeeded() {
            self.namespaces.insert(fact.name.to_string());
        }
        if !fact.namespace.is_empty() && fact.succeeded() {
            // Whatever lives in a namespace shows that it exists.
            if !self.namespaces.contains(&*fact.namespace) {
                self.namespaces.insert(fact.namespace.to_string());
            }
        }
        if &*fact.resource != "pods" || !fact.group.is_empty() || !fact.verb.writes() || fact.dry_run {
            return;
        }
        if let Some(facts) = &fact.pod
            && fact.succeeded()
        {
            let mut facts = (**facts).clone();
            if facts.name.is_empty() {
                facts.name = fact.name.to_string();
            }
            if facts.namespace.is_empty() {
                facts.namespace = fact.namespace.to_string();
            }
            self.take_in_spec(&facts);
        }
        let ended = fact.code != 0;
        if !ended || !fact.succeeded() {
            return;
        }
        let cite =
            || Cite { time: seen.time, feed: seen.feed, position: seen.position, summary: summary(fact) };
        let origin = match (fact.verb, &*fact.subresource) {
            (Verb::Create, "") if fact.is_node => Origin::Mirror,
            (Verb::Create, "") => Origin::Created,
            (Verb::Patch, "") if fact.code == 201 => Origin::Created,
            (Verb::Create, "binding") => Origin::Bound,
            (Verb::Delete, "") => {
                if let Some(pod) = self.by_name.get_mut(&(fact.namespace.to_string(), fact.name.to_string()))
                {
                    pod.last = Some(seen.time);
                    pod.deleted = true;
                    // A deletion that was asked for may take its grace period to come about.
                    let gone = seen.time + GRACE;
                    self.deletions.insert((gone, (fact.namespace.to_string(), fact.name.to_string())));
                }
                return;
            }
            _ => return,
        };
        if fact.name.is_empty() {
            self.unnamed.push(UnnamedCreate {
                received: fact.received,
                staged: fact.staged,
                namespace: fact.namespace.to_string(),
                generate_name: fact.generate_name.to_string(),
                user: fact.user.to_string(),
                cite: cite(),
                facts: fact.pod.clone(),
            });
            return;
        }
        let key = (fact.namespace.to_string(), fact.name.to_string());
        if !fact.uid.is_empty() {
            self.names_of_uid.insert(fact.uid.to_string(), key.clone());
        }
        if !fact.submitted_uid.is_empty() {
            self.names_of_uid.insert(fact.submitted_uid.to_string(), key.clone());
        }
        // A binding names what an earlier create did not: its spec and its creator are that create's.
        let from_unnamed = (origin == Origin::Bound)
            .then(|| {
                self.unnamed.iter().rev().find(|create| {
                    create.namespace == *fact.namespace
                        && !create.generate_name.is_empty()
                        && fact.name.starts_with(&create.generate_name)
                })
            })
            .flatten()
            .cloned();
        if let Some(create) = &from_unnamed
            && let Some(facts) = &create.facts
        {
            let named = PodFacts {
                name: fact.name.to_string(),
                namespace: fact.namespace.to_string(),
                ..(**facts).clone()
            };
            self.take_in_spec(&named);
        }
        let pod = self.by_name.entry(key).or_default();
        pod.last = Some(seen.time);
        pod.deleted = false;
        pod.origins.insert(origin, Some(cite()));
        if origin == Origin::Mirror {
            pod.mirror_uid = Some(fact.submitted_uid.to_string()).filter(|uid| !uid.is_empty());
        } else {
            for uid in [&fact.uid, &fact.submitted_uid] {
                if !uid.is_empty() {
                    pod.uids.insert(uid.to_string());
                }
            }
        }
        if origin == Origin::Created {
            pod.creator = fact.user.to_string();
        } else if pod.creator.is_empty() {
            pod.creator = from_unnamed.map(|create| create.user).unwrap_or_default();
        }
    }

    pub(crate) fn observe_kubelet(&mut self, seen: Seen<'_>, line: &KubeletLine<'_>, node: &str) {
        let (source, pods) = match line {
            KubeletLine::SyncLoop { op: SyncOp::Add, source, pods } => (*source, pods.as_slice()),
            // Below verbosity 2 only these tell of a static Pod.
            KubeletLine::MirrorPodCreating { pod } | KubeletLine::MirrorPodFailed { pod, .. } => {
                (PodSource::File, std::slice::from_ref(pod))
            }
            _ => return,
        };
        for reference in pods {
            let pod = self
                .by_name
                .entry((reference.namespace.to_string(), reference.name.to_string()))
                .or_default();
            pod.last = Some(seen.time);
            let times = match source {
                PodSource::Api => &mut pod.from_api,
                PodSource::File | PodSource::Http => &mut pod.from_file,
            };
            times.entry(node.to_owned()).or_insert(seen.time);
        }
    }

    pub(crate) fn observe_revision(&mut self, seen: Seen<'_>, revision: &Revision<'_>) {
        let Some(rest) = revision.key.split_once("/pods/").map(|(_, rest)| rest) else { return };
        let Some((namespace, name)) = rest.split_once('/') else { return };
        let key = (namespace.to_owned(), name.to_owned());
        let pod = self.by_name.entry(key.clone()).or_default();
        pod.last = Some(seen.time);
        pod.deleted = revision.kind == RevisionKind::Delete;
        if pod.deleted {
            self.deletions.insert((seen.time, key));
        } else if let Some(uid) = &revision.uid {
            pod.uids.insert(uid.to_string());
            self.names_of_uid.insert(uid.to_string(), key);
        }
    }

    /// A Pod by namespace and name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Pod> {
        self.by_name.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Namespace and name that a UID was given to, in the API or on a node.
    pub fn name_of_uid(&self, uid: &str) -> Option<&(String, String)> {
        self.names_of_uid.get(uid)
    }

    /// Creates whose name is not recorded, in a namespace.
    pub fn unnamed_creates<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a UnnamedCreate> {
        self.unnamed.iter().filter(move |create| create.namespace == namespace)
    }

    /// Whether a namespace is known to exist: listed, created, or lived in.
    pub fn knows_namespace(&self, namespace: &str) -> bool {
        self.namespaces.contains(namespace)
    }

    pub(crate) fn forget(&mut self, before: Timestamp) {
        // A Pod lives longer than any window: only what is deleted, or only ever seen in passing, is let go.
        self.unnamed.retain(|create| create.staged >= before);
        while self.deletions.first().is_some_and(|(gone, _)| *gone < before) {
            let Some((_, key)) = self.deletions.pop_first() else { break };
            // It may have been made anew since.
            let gone = self
                .by_name
                .get(&key)
                .is_some_and(|pod| pod.deleted && pod.last.is_none_or(|last| last < before));
            if gone && let Some(pod) = self.by_name.remove(&key) {
                for uid in pod.uids.iter().chain(&pod.mirror_uid) {
                    self.names_of_uid.remove(uid);
                }
            }
        }
    }
}
