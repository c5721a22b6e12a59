//! Pods that a node runs or reports on and that nobody created.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use auditgap_records::kubelet::PodRef;
use auditgap_records::report::{Confidence, ExpectedRequest, GapObject, Severity};
use auditgap_records::{Interval, Timestamp};

use super::INFO;
use super::beginning::{Beginning, Listed, listed};
use crate::fact::{AuditFact, Verb};
use crate::ledger::requests::summary;
use crate::policy::CandidateRequest;
use crate::verdict::{Cite, GapDraft};
use crate::world::{Seen, World};

/// What a kubelet gets from the API server after its start was there before.
const START: Duration = Duration::from_secs(30);
/// It may have to wait for the API server: the first Pods it gets belong to its start, whenever they come.
const FIRST_PODS: Duration = Duration::from_secs(5);
/// A Pod reaches its node within milliseconds of its binding, and within this time if the node is busy.
const BOUND_BEFORE: Duration = Duration::from_secs(30);
const BOUND_AFTER: Duration = Duration::from_secs(2);

/// Pods remembered at the most, and records of one.
const PODS: usize = 100_000;
const CITES: usize = 8;

/// A Pod's traces.
#[derive(Debug)]
struct Sighting {
    first: Timestamp,
    /// A kubelet took it up while it ran: it is new.
    added: Option<Timestamp>,
    node: String,
    uid: String,
    cites: Vec<Cite>,
}

/// Pods seen on nodes.
#[derive(Debug, Default)]
pub(super) struct GhostPods {
    open: BTreeMap<(String, String), Sighting>,
    /// When the first of them was seen.
    earliest: Option<Timestamp>,
    /// Told or explained.
    settled: BTreeSet<(String, String)>,
    /// Created or bound on record; and loaded from files.
    accounted: BTreeSet<(String, String)>,
    /// More Pods than can be remembered: nobody can be said not to be among them.
    full: bool,
    /// A binding of a Pod to a node was recorded: where no policy tells, this shows that they are.
    bindings_recorded: bool,
    /// By namespace: creates whose name is not recorded, less bindings of Pods with no create of their own.
    unnamed: BTreeMap<String, i64>,
    /// First Pods from the API server after each kubelet's last start.
    first_pods: BTreeMap<u16, Timestamp>,
}

impl GhostPods {
    pub(super) fn observe_static(&mut self, pods: &[PodRef<'_>]) {
        for pod in pods {
            self.account((pod.namespace.to_string(), pod.name.to_string()));
        }
    }

    fn account(&mut self, key: (String, String)) -> bool {
        self.full |= self.accounted.len() >= PODS;
        !self.full && self.accounted.insert(key)
    }

    pub(super) fn observe_request(&mut self, seen: Seen<'_>, fact: &AuditFact) {
        if &*fact.resource != "pods" || !fact.group.is_empty() || fact.dry_run || !fact.verb.writes() {
            return;
        }
        let key = (fact.namespace.to_string(), fact.name.to_string());
        match (fact.verb, &*fact.subresource) {
            (Verb::Create, "") if fact.name.is_empty() && fact.succeeded() => {
                *self.unnamed.entry(key.0).or_default() += 1;
            }
            // The first stage of a create knows no name yet.
            (Verb::Create, "") if fact.name.is_empty() => {}
            // Of a refused mirror the kubelet still runs the Pod; a request without an end may have created it.
            (Verb::Create, "") if fact.is_node || fact.succeeded() || fact.code == 0 => {
                self.account(key);
            }
            (Verb::Create, "binding") if fact.succeeded() => {
                self.bindings_recorded = true;
                if !self.accounted.contains(&key) && self.account(key.clone()) {
                    *self.unnamed.entry(key.0).or_default() -= 1;
                }
            }
            (Verb::Patch, "") if fact.code == 201 => {
                self.account(key);
            }
            (Verb::Patch | Verb::Update, "status") if fact.is_node && fact.succeeded() => {
                let cite = seen.cite(summary(fact));
                let node = fact.node().unwrap_or_default();
                self.sight(key, cite, None, node, &fact.uid);
            }
            _ => {}
        }
    }

    pub(super) fn observe_added(&mut self, seen: Seen<'_>, pods: &[PodRef<'_>], world: &World) {
        let node = world.instance(seen.feed);
        let starting = world.ledger.lifecycle.kubelet_started(node, seen.time, START);
        let first = self.first_pods.entry(seen.feed).or_insert(seen.time);
        if starting {
            *first = (*first).max(seen.time);
        }
        let at_start = starting || seen.time <= *first + FIRST_PODS;
        for pod in pods {
            let words = format!("kubelet: Pod {}/{} taken up from the API server", pod.namespace, pod.name);
            let key = (pod.namespace.to_string(), pod.name.to_string());
            let added = (!at_start).then_some(seen.time);
            self.sight(key, seen.cite(words), added, node, pod.uid.as_deref().unwrap_or_default());
        }
    }

    fn sight(&mut self, key: (String, String), cite: Cite, added: Option<Timestamp>, node: &str, uid: &str) {
        if self.accounted.contains(&key) || self.settled.contains(&key) {
            return;
        }
        if (self.open.len() >= PODS && !self.open.contains_key(&key)) || self.settled.len() >= PODS {
            return;
        }
        let first = cite.time;
        self.earliest = Some(self.earliest.map_or(first, |earliest| earliest.min(first)));
        let sighting = self.open.entry(key).or_insert_with(|| Sighting {
            first,
            added,
            node: node.to_owned(),
            uid: uid.to_owned(),
            cites: Vec::new(),
        });
        if sighting.cites.len() < CITES {
            sighting.cites.push(cite);
        }
        // The node may report on it in the moment in which it takes it up. What was seen at a start, or reported on
        // long before, is not new when it is added again.
        if first <= sighting.first + FIRST_PODS {
            sighting.added = sighting.added.or(added);
        }
    }

    pub(super) fn judge_until(&mut self, due: Timestamp, beginning: &Beginning, world: &mut World) {
        if self.earliest.is_none_or(|earliest| earliest > due) {
            return;
        }
        let ready: Vec<_> = self.open.extract_if(.., |_, sighting| sighting.first <= due).collect();
        self.earliest = self.open.values().map(|sighting| sighting.first).min();
        for (key, sighting) in ready {
            self.judge(&key, sighting, beginning, world);
            self.settled.insert(key);
        }
    }

    fn judge(&self, key: &(String, String), sighting: Sighting, beginning: &Beginning, world: &mut World) {
        let (namespace, name) = key;
        let known = world.ledger.pods.get(namespace, name);
        let is_static = known.is_some_and(|pod| !pod.from_file.is_empty() || pod.mirror_uid.is_some());
        let open_creates = self.unnamed.get(namespace).is_some_and(|count| *count > 0);
        if self.full || self.accounted.contains(key) || is_static || open_creates {
            return;
        }
        let listing = listed(
            &world.context.inventory,
            sighting.first,
            |snapshot| !snapshot.pods.is_empty(),
            |snapshot| snapshot.pods.iter().any(|pod| pod.namespace == *namespace && pod.name == *name),
        );
        let since = match (listing, sighting.added, beginning.of_cluster()) {
            (Listed::Yes, _, _) => return,
            (_, Some(added), _) => added - BOUND_BEFORE,
            (_, None, Some(first)) => first,
            // A listing of one namespace says nothing of another.
            (Listed::NotSince(since), None, None) if lists_everywhere(world, since) => since,
            _ => return,
        };
        let span = Interval::new(since, sighting.first + BOUND_AFTER);
        let mut draft = draft(key, sighting, span);
        if world.context.policy.is_none() {
            // Whose creates are left out is not known. Nearly every Pod is bound by the scheduler, on record if any is.
            if !self.bindings_recorded {
                return;
            }
            draft.confidence = Confidence::Medium;
        }
        let candidate = CandidateRequest {
            verbs: &["create"],
            groups: &[""],
            resource: "pods",
            subresource: "",
            namespace: Some(namespace),
            name: Some(name),
        };
        let absence = world.weigh_absence(span, &[candidate]);
        world.judge_absence(draft, absence);
    }
}

/// Whether the listing of a moment has Pods of more than one namespace.
fn lists_everywhere(world: &World, as_of: Timestamp) -> bool {
    world.context.inventory.snapshots.iter().filter(|snapshot| snapshot.as_of == Some(as_of)).any(
        |snapshot| {
            let mut namespaces = snapshot.pods.iter().map(|pod| &pod.namespace);
            let first = namespaces.next();
            namespaces.any(|namespace| Some(namespace) != first)
        },
    )
}

fn draft((namespace, name): &(String, String), sighting: Sighting, span: Interval) -> GapDraft {
    let title = format!("Pod {namespace}/{name} runs on a node, and nobody created it");
    let first = sighting.first;
    let mut draft = GapDraft::new(&INFO, title, sighting.cites);
    draft.severity = if namespace == "kube-system" { Severity::Critical } else { Severity::High };
    draft.confidence = Confidence::High;
    draft.techniques = vec!["ET1"];
    draft.node = sighting.node;
    draft.object = GapObject {
        resource: "pods".to_owned(),
        namespace: namespace.clone(),
        name: name.clone(),
        uid: sighting.uid,
        ..GapObject::default()
    };
    let expected = |subresource: &str| ExpectedRequest {
        verb: "create".to_owned(),
        resource: "pods".to_owned(),
        subresource: subresource.to_owned(),
        namespace: namespace.clone(),
        name: name.clone(),
    };
    draft.expected.requests = vec![expected(""), expected("binding")];
    draft.expected.window = Some(span);
    draft.threads = vec![format!("pod:{namespace}/{name}")];
    let node = if draft.node.is_empty() { "A node" } else { draft.node.as_str() };
    draft.why = format!(
        "{node} had the Pod {namespace}/{name} from the API server at {first}. No request created it or bound it to a \
         node, and it was not there before: it was written to etcd directly."
    );
    draft
}
