//! The verdict on one container or sandbox, and the words for it.

use std::time::Duration;

use auditgap_records::report::{Confidence, ExpectedRequest, GapObject, Path, Severity};
use auditgap_records::runtime::SandboxIdentity;
use auditgap_records::{Interval, Timestamp};

use super::{INFO, Key, Made, RuntimeContainer, explained, open};
use crate::kubelet_uri::shown;
use crate::ledger::verbosity::Shown;
use crate::policy::CandidateRequest;
use crate::runtime_view::{attribute, is_cri_id, short_id};
use crate::verdict::{Cite, GapDraft, How};
use crate::world::World;

/// A kubelet looks at its containers once a second and tells what changed.
pub(super) const PLEG: Duration = Duration::from_secs(4);

/// The audit trail must reach this far back for a Pod's creation to be missing in it: a Pod may wait for its node's
/// resources, volumes and images before its sandbox is made.
const POD_AGE: Duration = Duration::from_mins(10);

/// Distance between the moment that a log and an event stream give one action.
const LAG: Duration = Duration::from_millis(500);

impl RuntimeContainer {
    pub(super) fn judge(&mut self, made: &Made, world: &mut World) {
        let namespace = made.event.as_ref().map(|(namespace, _)| namespace.clone());
        if let Some(identity) = made.identity.clone() {
            return self.judge_sandbox(made, &identity, world);
        }
        if let Some((sandbox, _)) = made.parent.clone() {
            return self.judge_container(made, &sandbox, world);
        }
        if made.labelled {
            // Docker: the labels are what cri-dockerd sets, and what anybody can set.
            let claims = world.ledger.containers.get(&made.id).map(|container| SandboxIdentity {
                name: container.pod_name.clone().into(),
                namespace: container.pod_namespace.clone().into(),
                uid: container.pod_uid.clone().into(),
                attempt: 0,
            });
            return match claims {
                Some(identity) => self.judge_sandbox(made, &identity, world),
                None => explained(made, world, How::Lineage),
            };
        }
        let namespace = namespace.unwrap_or_default();
        if namespace.is_empty() {
            return self.judge_unlabelled(made, world);
        }
        if !world.ledger.containers.is_kubelet_namespace(&namespace) {
            return self.report_foreign(made, &namespace, world);
        }
        self.judge_without_cri(made, world);
    }

    /// Containers that the kubelet makes with Docker are all labelled.
    fn judge_unlabelled(&mut self, made: &Made, world: &mut World) {
        if world.ledger.containers.get(&made.id).is_some_and(|container| container.known_to_kubelet) {
            return explained(made, world, How::Lineage);
        }
        let mut draft = draft(made);
        draft.techniques = vec!["RT2"];
        draft.confidence = Confidence::High;
        draft.title = format!("Container {} made in Docker without a Pod", short_id(&made.id));
        draft.why.push_str(
            " Docker was asked for it without the labels that the kubelet's containers carry: it belongs to no Pod, \
             and neither the kubelet nor the API server knows of it.",
        );
        self.open(made, draft, world);
    }

    fn report_foreign(&mut self, made: &Made, namespace: &str, world: &mut World) {
        let mut draft = draft(made);
        let surroundings = self.surroundings.get(&(made.node.clone(), namespace.to_owned()));
        let near = |cite: &&Cite| cite.time <= made.first && cite.time >= made.first - open::QUIET;
        draft.evidence.extend(surroundings.into_iter().flatten().filter(near).cloned());
        draft.techniques = vec!["RT3"];
        draft.confidence = Confidence::Certain;
        let namespace = shown(namespace);
        draft.title = format!("Container {} made in the runtime's namespace {namespace}", short_id(&made.id));
        draft.why.push_str(&format!(
            " It lives in the runtime's namespace {namespace}, which is not the kubelet's. The kubelet sees nothing \
             of what is there, and no Pod can lead to it."
        ));
        self.open(made, draft, world);
    }

    /// A container in the kubelet's namespace of which no CRI call tells.
    fn judge_without_cri(&mut self, made: &Made, world: &mut World) {
        let mut draft = draft(made);
        draft.techniques = vec!["RT2"];
        let id = short_id(&made.id);
        draft.title = format!("Container {id} made past the kubelet, in its own namespace");
        if !is_cri_id(&made.id) {
            draft.confidence = Confidence::Certain;
            draft.why.push_str(
                " Its id is not of the form that the CRI interface gives: it was made by another client of the \
                 runtime, in the kubelet's own namespace.",
            );
            return self.open(made, draft, world);
        }
        if self.is_left_by_failure(made, world) {
            return explained(made, world, How::Lineage);
        }
        let log_covers = world.would_show(&made.node, Shown::CriCalls, made.first + LAG)
            && world.would_show(&made.node, Shown::CriCalls, made.first - LAG);
        if log_covers {
            draft.confidence = Confidence::Certain;
            draft.why.push_str(
                " The runtime's log, which tells every container that is made through CRI, has no such call for it: \
                 it was made by another client of the runtime, in the kubelet's own namespace. Pod labels on it \
                 would be that client's word.",
            );
            return self.open(made, draft, world);
        }
        if world.ledger.containers.get(&made.id).is_some_and(|container| container.known_to_kubelet) {
            return explained(made, world, How::Lineage);
        }
        let lived = made.deleted.is_none_or(|deleted| deleted > made.first + PLEG);
        if lived && kubelet_looked(made, world) {
            draft.why.push_str(
                " The kubelet tells of every container of its Pods within seconds, and never told of this one.",
            );
            return self.open(made, draft, world);
        }
        world.cannot_judge(
            Path::RuntimeSocket,
            "containers of which neither the runtime's log nor the kubelet tells who asked for them",
            "give the log of containerd at level info for the same time, or the kubelet's log at --v=2",
            made.first,
        );
    }

    fn judge_container(&mut self, made: &Made, sandbox: &str, world: &mut World) {
        let key: Key = (made.node.clone(), String::new(), sandbox.to_owned());
        let name = made.parent.as_ref().map(|(_, name)| shown(name)).unwrap_or_default();
        let words = format!(" Container {name} was made in it.");
        let limit = world.context.settings.evidence_limit;
        if self.gaps.join(&key, made.evidence.clone(), &words, limit) {
            return;
        }
        let known = |id: &str| {
            world
                .ledger
                .containers
                .get(id)
                .is_some_and(|known| known.known_to_kubelet || known.inventory || known.cri.is_some())
        };
        if known(sandbox) || world.ledger.containers.get(&made.id).is_some_and(|own| own.known_to_kubelet) {
            return explained(made, world, How::Lineage);
        }
        if made.deleted.is_none_or(|deleted| deleted > made.first + PLEG) && kubelet_looked(made, world) {
            let mut draft = draft(made);
            draft.techniques = vec!["RT1"];
            draft.title = format!("Container {name} made through CRI in a sandbox of no known Pod");
            draft.why.push_str(
                " It was asked for through CRI; the kubelet tells of every container of its Pods within seconds, and \
                 never told of this one.",
            );
            return self.open(made, draft, world);
        }
        world.cannot_judge(
            Path::RuntimeSocket,
            "containers in sandboxes that predate the recording",
            "give the kubelet's log at --v=2, or the runtime's log from the start of these Pods",
            made.first,
        );
    }

    fn judge_sandbox(&mut self, made: &Made, identity: &SandboxIdentity<'static>, world: &mut World) {
        if let Some(how) = self.how_known(made, identity, world) {
            return explained(made, world, how);
        }
        let pod = shown(&format!("{}/{}", identity.namespace, identity.name));
        let mut draft = draft(made);
        draft.techniques = vec!["RT1"];
        draft.title = format!("Sandbox for Pod {pod} made through CRI: no such Pod was ever created");
        draft.object = GapObject {
            resource: "pods".to_owned(),
            namespace: shown(&identity.namespace),
            name: shown(&identity.name),
            uid: shown(&identity.uid),
            key: made.id.clone(),
            ..GapObject::default()
        };
        draft.threads.push(format!("pod:{}/{}", identity.namespace, identity.name));
        let uid = if identity.uid.is_empty() { "none told" } else { &identity.uid };
        draft.why.push_str(&format!(
            " Whoever asked named it Pod {pod} with UID {}. The API server has no record of a Pod of that name and \
             UID being created or bound to a node, and it was not listed before.",
            shown(uid)
        ));
        let window = Interval::new(listed(made.first, world).max(made.first - POD_AGE), made.first + LAG);
        draft.expected.window = Some(window);
        draft.expected.requests = ["", "binding"]
            .map(|subresource| ExpectedRequest {
                verb: "create".to_owned(),
                resource: "pods".to_owned(),
                subresource: subresource.to_owned(),
                ..ExpectedRequest::default()
            })
            .to_vec();
        if let Some(orphan) = self.orphan(&made.node, identity, made.first) {
            draft.confidence = Confidence::Certain;
            draft.evidence.push(orphan);
            draft.why.push_str(
                " The kubelet found its containers, knew of no such Pod, and began to kill them: it was not the \
                 kubelet that asked for the sandbox.",
            );
            return self.open(made, draft, world);
        }
        if world.would_show(&made.node, Shown::SyncLoop, made.first + PLEG)
            && world.would_show(&made.node, Shown::SyncLoop, made.first)
        {
            draft.confidence = Confidence::High;
            draft.why.push_str(
                " The kubelet never told of such a Pod either, while it tells of every Pod that it is given: it was \
                 not the kubelet that asked for the sandbox.",
            );
            return self.open(made, draft, world);
        }
        // Without the kubelet's log only a young Pod's creation can be missing.
        let age = Duration::from_nanos(made.first.nanos_since(window.from).unsigned_abs());
        let starting = made
            .evidence
            .iter()
            .any(|cite| world.ledger.lifecycle.runtime_started(world.instance(cite.feed), made.first, age));
        if identity.attempt > 0 || starting {
            return cannot_tell(made, world);
        }
        draft.confidence = Confidence::Medium;
        let candidates = [CandidateRequest {
            verbs: &["create"],
            groups: &[""],
            resource: "pods",
            subresource: "",
            namespace: Some(&identity.namespace),
            name: Some(&identity.name),
        }];
        let absence = world.weigh_absence(window, &candidates);
        if matches!(absence, crate::world::Absence::Unknown(..)) {
            return cannot_tell(made, world);
        }
        world.judge_absence(draft, absence);
    }

    /// Whether something speaks for a container or sandbox already.
    pub(super) fn is_known(&self, made: &Made, world: &World) -> bool {
        let to_kubelet =
            world.ledger.containers.get(&made.id).is_some_and(|container| container.known_to_kubelet);
        to_kubelet
            || made.identity.as_ref().is_some_and(|identity| self.how_known(made, identity, world).is_some())
    }

    /// How the Pod that a sandbox is for is accounted for.
    fn how_known(&self, made: &Made, identity: &SandboxIdentity<'static>, world: &World) -> Option<How> {
        let ledger = &world.ledger;
        if ledger.containers.get(&made.id).is_some_and(|container| container.known_to_kubelet) {
            return Some(How::Lineage);
        }
        let named = ledger.pods.name_of_uid(&identity.uid).filter(|_| !identity.uid.is_empty());
        let same_name = named
            .is_some_and(|(namespace, name)| *namespace == *identity.namespace && *name == *identity.name);
        if same_name {
            return Some(How::Lineage);
        }
        if self.orphan(&made.node, identity, made.first).is_some() {
            return None;
        }
        if let Some(pod) = ledger.pods.get(&identity.namespace, &identity.name) {
            let by_kubelet = !pod.from_file.is_empty() || !pod.from_api.is_empty();
            let uid_fits =
                identity.uid.is_empty() || pod.uids.is_empty() || pod.from_file.contains_key(&made.node);
            if uid_fits && (by_kubelet || !pod.origins.is_empty() || !pod.uids.is_empty()) {
                return Some(How::Lineage);
            }
            // Created once more under its name, by a request that does not tell the UID.
            if by_kubelet && !world.ever_shows(&made.node, Shown::Pleg) {
                return Some(How::Lineage);
            }
        }
        if world.would_show(&made.node, Shown::SyncLoop, made.first) {
            return None;
        }
        let unnamed = ledger.pods.unnamed_creates(&identity.namespace).any(|create| {
            create.received <= made.first
                && (create.generate_name.is_empty() || identity.name.starts_with(&create.generate_name))
        });
        unnamed.then_some(How::Lineage)
    }

    fn orphan(&self, node: &str, identity: &SandboxIdentity<'_>, after: Timestamp) -> Option<Cite> {
        if identity.uid.is_empty() {
            return None;
        }
        let orphan = self.orphans.get(&(node.to_owned(), identity.uid.to_string()))?;
        (orphan.time >= after - LAG).then(|| orphan.clone())
    }

    fn open(&mut self, made: &Made, mut draft: GapDraft, world: &mut World) {
        attribute(&mut draft, &made.node, made.first, world);
        let namespace = match (&made.event, made.through_cri()) {
            (Some((namespace, _)), false) => namespace.clone(),
            _ => String::new(),
        };
        self.gaps.insert((made.node.clone(), namespace, made.id.clone()), draft, world);
    }
}

/// When Pods were listed before a moment: whatever is younger must have been created since.
fn listed(moment: Timestamp, world: &World) -> Timestamp {
    let snapshots = world.context.inventory.snapshots.iter().filter(|snapshot| !snapshot.pods.is_empty());
    let times = snapshots.filter_map(|snapshot| snapshot.as_of).filter(|as_of| *as_of <= moment);
    times.max().unwrap_or(Timestamp::MIN)
}

/// Whether the node's kubelet told of its containers at the time when it would have told of this one.
fn kubelet_looked(made: &Made, world: &World) -> bool {
    world.would_show(&made.node, Shown::Pleg, made.first + PLEG)
        && world.would_show(&made.node, Shown::Pleg, made.first)
}

fn cannot_tell(made: &Made, world: &mut World) {
    world.cannot_judge(
        Path::RuntimeSocket,
        "sandboxes of Pods that predate the recording, or of which neither kubelet nor audit trail tells",
        "give the kubelet's log at --v=2, the audit log from before, or a list of Pods (`kubectl get pods -A -o json`)",
        made.first,
    );
}

fn draft(made: &Made) -> GapDraft {
    let mut draft = GapDraft::new(&INFO, String::new(), made.evidence.clone());
    draft.severity = Severity::High;
    draft.confidence = Confidence::High;
    draft.node.clone_from(&made.node);
    let (namespace, image) = made.event.clone().unwrap_or_default();
    draft.object = GapObject {
        resource: "container".to_owned(),
        namespace: shown(&namespace),
        name: short_id(&made.id),
        key: if namespace.is_empty() { made.id.clone() } else { format!("{namespace}/{}", made.id) },
        ..GapObject::default()
    };
    draft.threads = vec![format!("container:{}", made.id)];
    draft.why = match image.as_str() {
        "" => format!("At {} container {} was made.", made.first, shown(&made.id)),
        image => {
            format!("At {} container {} was made of image {}.", made.first, shown(&made.id), shown(image))
        }
    };
    if !image.is_empty() {
        draft.threads.push(format!("image:{image}"));
    }
    draft
}
