//! The verdict on one load, change or removal, and the words for it.

use std::fmt::Write as _;
use std::time::Duration;

use auditgap_records::FeedKind;
use auditgap_records::host::{FileAccess, HostEvent};
use auditgap_records::report::{Confidence, ExpectedRequest, GapObject, Path, Severity};

use super::act::{Act, Kind, Source};
use super::baseline::{self, Listing, Load};
use super::sandbox::is_manifest_hash;
use super::{INFO, StaticPods};
use crate::fact::Verb;
use crate::key::ObjectKey;
use crate::ledger::host::{HostTrace, process_words};
use crate::verdict::{GapDraft, How};
use crate::world::World;

/// A kubelet that is not told of a new file looks every 20 s.
const WRITTEN_BEFORE: Duration = Duration::from_secs(30);
const WRITTEN_AFTER: Duration = Duration::from_secs(2);

/// How long a deletion of a mirror Pod through the API takes to reach the kubelet's own deletion of it.
const API_DELETION: Duration = Duration::from_secs(90);

/// Where installers have kubelets read manifests from.
const MANIFESTS: [&str; 3] = ["/etc/kubernetes/manifests", "/etc/kubelet.d", "/var/lib/rancher/"];

/// Names that installers give to the control plane's static Pods, before the node's name.
const CONTROL_PLANE: [&str; 4] = ["kube-apiserver-", "kube-controller-manager-", "kube-scheduler-", "etcd-"];

impl StaticPods {
    pub(super) fn judge(&mut self, act: Act, world: &mut World) {
        let (namespace, name) = &act.key;
        let load = Load {
            time: act.first,
            namespace,
            name,
            uid: &act.uid,
            at_start: act.at_start && act.starts_before == 0,
        };
        let listing = baseline::listing(&world.context.inventory, load);
        // Where the kubelet tells of its loads, a mirror Pod without one is a new copy of a mirror that was lost.
        let copy = act.source < Source::Mirror && self.watches(&act.node, world);
        let kind = match act.kind {
            Kind::Appeared if copy => return world.verdicts.explained(How::Kubelet),
            Kind::Appeared if listing == Listing::Known => return world.verdicts.explained(How::Baseline),
            Kind::Appeared if listing == Listing::Differs => Kind::Changed,
            Kind::Appeared if listing == Listing::None && act.at_start && !complete_before(&act) => {
                let reason = "static Pods were there when a kubelet or node started, and no inventory from before lists any";
                let cure = "declare them: --inventory with the manifests' folder, or with `kubectl get pods -A -o json`";
                return world.cannot_judge(Path::StaticPod, reason, cure, act.first);
            }
            Kind::Changed if act.same => return world.verdicts.explained(How::Restart),
            Kind::Changed if declared(&act, world) => return world.verdicts.explained(How::Baseline),
            // Deleted through the API, a mirror comes back: the Pod itself was never touched.
            Kind::Changed | Kind::Removed
                if act.source < Source::Kubelet && mirror_deleted_by_request(&act, world) =>
            {
                return world.verdicts.explained(How::Kubelet);
            }
            Kind::Changed | Kind::Removed
                if act.source == Source::Mirror && !world.has_feed(FeedKind::Audit) =>
            {
                let reason = "a mirror Pod was deleted, and whether through the API or for a changed manifest cannot be told";
                let cure = "give the audit log, or run the kubelet with --v=2";
                return world.cannot_judge(Path::StaticPod, reason, cure, act.first);
            }
            // A node that goes down ends the sandboxes of all its Pods, too.
            Kind::Removed if act.source == Source::Runtime && !self.is_told(&act) => {
                let reason = "the runtime ended a static Pod, and whether its manifest is gone or its node went down cannot be told";
                let cure = "give the kubelets' logs (--kubelet NODE=FILE), written with --v=2";
                return world.cannot_judge(Path::StaticPod, reason, cure, act.first);
            }
            kind => kind,
        };
        if let Some(known) = self.pods.get_mut(&act.key) {
            known.told = true;
        }
        let draft = self.draft(kind, act, world);
        world.report(draft);
    }

    fn is_told(&self, act: &Act) -> bool {
        self.pods.get(&act.key).is_some_and(|known| known.told)
    }

    fn draft(&self, kind: Kind, act: Act, world: &World) -> GapDraft {
        let (namespace, name) = act.key.clone();
        let what = match kind {
            Kind::Appeared => "appeared",
            Kind::Changed => "changed",
            Kind::Removed => "removed",
        };
        let title = format!("Static Pod {namespace}/{name} {what} on its node, without the API server");
        let mut draft = GapDraft::new(&INFO, title, act.cites);
        draft.count = 1;
        draft.node = act.node;
        draft.confidence = match act.source {
            Source::Kubelet => Confidence::Certain,
            Source::Audit | Source::Mirror if kind == Kind::Appeared => Confidence::Certain,
            Source::Audit | Source::Mirror => Confidence::High,
            Source::Runtime => Confidence::Medium,
        };
        let system = namespace == "kube-system";
        let control_plane = system && CONTROL_PLANE.iter().any(|prefix| name.starts_with(prefix));
        let refusal = act.refused.as_deref().and_then(refusal);
        draft.severity = match kind {
            Kind::Appeared if system || refusal.is_some() => Severity::Critical,
            Kind::Changed if system => Severity::Critical,
            Kind::Removed if control_plane => Severity::Critical,
            _ => Severity::High,
        };
        draft.techniques = techniques(kind, refusal, &act.uid, act.http || act.other_source);
        if act.cut_off && kind == Kind::Appeared {
            draft.techniques.push("SP7");
        }
        draft.object = GapObject {
            resource: "pods".to_owned(),
            namespace: namespace.clone(),
            name: name.clone(),
            uid: act.uid.clone(),
            ..GapObject::default()
        };
        draft.threads = vec![format!("pod:{namespace}/{name}")];
        let verb = if kind == Kind::Removed { "delete" } else { "create" };
        draft.expected.requests = vec![ExpectedRequest {
            verb: verb.to_owned(),
            resource: "pods".to_owned(),
            namespace: namespace.clone(),
            name: name.clone(),
            ..ExpectedRequest::default()
        }];
        let node = if draft.node.is_empty() { "a node" } else { draft.node.as_str() };
        let from = if act.http { "a URL" } else { "a manifest on the node" };
        draft.why = match kind {
            Kind::Appeared => format!(
                "At {} the kubelet of {node} began to run {namespace}/{name} from {from}. Nobody asked the API server \
                 for it, and no admission was asked. It is neither declared nor listed from before.",
                act.first
            ),
            Kind::Changed => format!(
                "At {} the kubelet of {node} took up another manifest for the static Pod {namespace}/{name}. What runs \
                 under this name is no longer what ran before, and no request of the API led to it.",
                act.first
            ),
            Kind::Removed => format!(
                "At {} the manifest of the static Pod {namespace}/{name} was gone from {node}, and the kubelet ended \
                 the Pod. No request of the API led to it.",
                act.first
            ),
        };
        if let Some(error) = &act.refused
            && refusal.is_some()
        {
            let _ = write!(
                draft.why,
                " Its mirror Pod was refused ({error}): it runs, and the API server does not show it."
            );
        }
        if act.cut_off && kind == Kind::Appeared {
            draft.why.push_str(" The kubelet could not reach the API server at that time: what it ran meanwhile was shown nowhere.");
        }
        if !act.uid.is_empty() && kind != Kind::Removed && !is_manifest_hash(&act.uid) {
            let _ = write!(
                draft.why,
                " Its manifest sets the UID {} so that it looks like a Pod of the API server.",
                act.uid
            );
        }
        self.attribute(act.first, world, &mut draft);
        draft
    }

    /// Looks for who wrote the manifest: the last touch of the manifests' folder before the kubelet's reaction.
    fn attribute(&self, moment: auditgap_records::Timestamp, world: &World, draft: &mut GapDraft) {
        let own = self.kubelets.values().flat_map(|kubelet| kubelet.paths.iter().map(String::as_str));
        let folders: Vec<&str> = own.chain(MANIFESTS).collect();
        let traces: Vec<&HostTrace> = world
            .ledger
            .host
            .near(moment, WRITTEN_BEFORE, WRITTEN_AFTER)
            .filter(|trace| match &trace.event {
                HostEvent::File { path, access, .. } => {
                    matches!(access, FileAccess::Create | FileAccess::Write | FileAccess::Delete)
                        && folders.iter().any(|folder| path.starts_with(folder))
                }
                _ => false,
            })
            .collect();
        let reacted = moment + Duration::from_millis(500);
        let Some(last) = traces.iter().map(|trace| trace.cite.time).filter(|time| *time <= reacted).max()
        else {
            return;
        };
        for trace in traces {
            if trace.cite.time < last - WRITTEN_AFTER || trace.cite.time > last + WRITTEN_AFTER {
                continue;
            }
            if let Some(process) = trace.process()
                && !(process.exe.is_empty() && process.comm.is_empty())
            {
                draft.actor.process = process_words(process);
            }
            draft.evidence.push(trace.cite.clone());
        }
    }
}

/// Whether all static Pods of the node are known from an earlier start in this recording.
fn complete_before(act: &Act) -> bool {
    act.source == Source::Kubelet && act.starts_before > 0
}

/// Whether a person declared the Pod as it now is.
fn declared(act: &Act, world: &World) -> bool {
    let (namespace, name) = &act.key;
    !act.uid.is_empty()
        && world.context.inventory.snapshots.iter().filter(|snapshot| snapshot.declared).any(|snapshot| {
            snapshot.pods.iter().any(|pod| {
                pod.namespace == *namespace
                    && pod.name == *name
                    && pod.mirror_of.as_deref() == Some(act.uid.as_str())
            })
        })
}

/// Whether somebody else than a node deleted the mirror Pod through the API.
fn mirror_deleted_by_request(act: &Act, world: &World) -> bool {
    let key = ObjectKey::of_request("", "pods", &act.key.0, &act.key.1);
    world.ledger.requests.of_object(&key).any(|(_, request)| {
        let fact = &request.fact;
        fact.verb == Verb::Delete
            && fact.subresource.is_empty()
            && fact.succeeded()
            && !fact.is_node
            && fact.received <= act.first + WRITTEN_AFTER
            && act.first <= fact.staged + API_DELETION
    })
}

/// Why the API server has no mirror of a Pod: the technique that this is. An API server out of reach refuses nothing.
fn refusal(error: &str) -> Option<&'static str> {
    let refused = ["forbidden", "denied", "invalid", "may not", "answered 403", "answered 422", "admission"];
    if error.contains("not found") || error.contains("answered 404") {
        Some("SP2")
    } else if refused.iter().any(|sign| error.contains(sign)) {
        Some("SP3")
    } else {
        None
    }
}

fn techniques(kind: Kind, refusal: Option<&'static str>, uid: &str, elsewhere: bool) -> Vec<&'static str> {
    let mut techniques = vec![match kind {
        Kind::Appeared => refusal.unwrap_or("SP1"),
        Kind::Changed | Kind::Removed => "SP4",
    }];
    if elsewhere {
        techniques.push("SP5");
    }
    if kind != Kind::Removed && !uid.is_empty() && !is_manifest_hash(uid) {
        techniques.push("SP6");
    }
    techniques
}
