//! The verdict on what was done to a container, and the words for it.

use std::time::Duration;

use auditgap_records::Interval;
use auditgap_records::report::{Confidence, GapObject, Path, Severity};

use super::{Act, INFO, Kind, RuntimeOther, stops};
use crate::kubelet_uri::{Endpoint, KubeletUri, proxied, shown};
use crate::ledger::containers::Container;
use crate::ledger::verbosity::Shown;
use crate::runtime_view::{attribute, container_words, short_id, threads};
use crate::verdict::{GapDraft, How};
use crate::world::World;

/// How far a request may be from what it does.
const NEAR: Duration = Duration::from_secs(2);

impl RuntimeOther {
    pub(super) fn judge(&mut self, act: &Act, world: &mut World) {
        match act.kind {
            Kind::Stop => self.judge_stop(act, world),
            Kind::Killed => self.judge_killed(act, world),
            Kind::Paused => judge_paused(act, world),
            Kind::Checkpointed => judge_checkpoint(act, world),
            Kind::Namespace => self.judge_namespace(act, world),
        }
    }

    fn judge_stop(&self, act: &Act, world: &mut World) {
        if self.is_kubelets_work(act, world) {
            return world.verdicts.explained(How::Kubelet);
        }
        if !stops::tells_kills(act, world) {
            return world.cannot_judge(
                Path::RuntimeSocket,
                "containers stopped through CRI while no kubelet log tells whether the kubelet did it",
                "give the kubelet's log at --v=2 for the same time",
                act.time,
            );
        }
        let container = world.ledger.containers.get(&act.subject).cloned();
        let place = container_words(&act.subject, container.as_ref());
        let title = format!("{} stopped through CRI, and not by the kubelet", capital(&place));
        let mut draft = draft(act, container.as_ref(), title, world);
        draft.techniques = vec!["RT5"];
        draft.severity = Severity::High;
        draft.confidence =
            if world.ever_shows(&act.node, Shown::Killing) { Confidence::High } else { Confidence::Medium };
        draft.why = format!(
            "At {} the runtime was asked through CRI to stop {place}. A kubelet says so when it kills a container, and \
             says why its Pod goes; this one said neither. Somebody else called the runtime's socket.",
            act.time
        );
        world.report(draft);
    }

    /// A main process that ended as by a signal. A crash looks alike: worth no more than a hint.
    fn judge_killed(&self, act: &Act, world: &mut World) {
        let container = world.ledger.containers.get(&act.subject).cloned();
        let Some(container) = container.filter(|container| !container.name.is_empty()) else { return };
        let told = world.would_show(&act.node, Shown::CriCalls, act.time);
        if !told
            || !stops::tells_kills(act, world)
            || self.is_kubelets_work(act, world)
            || self.is_ended_otherwise(act, world)
        {
            return;
        }
        let place = container_words(&act.subject, Some(&container));
        let title = format!("{} ended as if killed, by neither the kubelet nor CRI", capital(&place));
        let mut draft = draft(act, Some(&container), title, world);
        draft.techniques = vec!["RT5"];
        draft.severity = Severity::Info;
        draft.confidence = Confidence::Low;
        draft.why = format!(
            "At {} the main process of {place} ended with status {}, as after a signal. The kubelet did not kill it, \
             CRI was not asked to, and no memory ran out. It may have been killed at the runtime's socket or on the \
             node; a program that kills itself looks the same.",
            act.time, act.exit_status
        );
        world.report(draft);
    }

    fn judge_namespace(&self, act: &Act, world: &mut World) {
        // With a container or an image in it, it is part of their story.
        if world.ledger.containers.is_kubelet_namespace(&act.subject)
            || self.images.is_used(&act.node, &act.subject)
        {
            return world.verdicts.explained(How::Lineage);
        }
        let name = shown(&act.subject);
        let mut draft = draft(act, None, format!("Namespace {name} made in the runtime"), world);
        draft.techniques = vec!["RT3"];
        "namespace of the runtime".clone_into(&mut draft.object.resource);
        draft.object.name.clone_from(&name);
        draft.confidence = Confidence::Certain;
        draft.why = format!(
            "At {} the namespace {name} was made in the runtime. Kubelets use one namespace of their own and see \
             nothing of others.",
            act.time
        );
        world.report(draft);
    }
}

fn judge_paused(act: &Act, world: &mut World) {
    let container = world.ledger.containers.get(&act.subject).cloned();
    let place = container_words(&act.subject, container.as_ref());
    let mut draft = draft(act, container.as_ref(), format!("{} paused", capital(&place)), world);
    draft.techniques = vec!["RT5"];
    draft.confidence = Confidence::High;
    draft.why = format!(
        "At {} {place} was frozen. Kubelets pause no container, and no request to the API server can: somebody called \
         the runtime's socket.",
        act.time
    );
    world.report(draft);
}

/// A kubelet writes a container's memory out when it is asked to, by its own API only.
fn judge_checkpoint(act: &Act, world: &mut World) {
    let container = world.ledger.containers.get(&act.subject).cloned();
    if let Some(container) = &container
        && is_requested(act, container, world)
    {
        return world.verdicts.explained(How::Request);
    }
    let place = container_words(&act.subject, container.as_ref());
    let title = format!("Memory of {place} written out (checkpoint) without a request");
    let mut draft = draft(act, container.as_ref(), title, world);
    draft.techniques = vec!["KL10"];
    draft.severity = Severity::High;
    draft.confidence = Confidence::High;
    draft.why = format!(
        "At {} the memory of {place} was written to disk: keys, tokens and data of its processes with it. The API \
         server leads there only through the node's proxy, and there is no record of such a request.",
        act.time
    );
    world.report(draft);
}

fn is_requested(act: &Act, container: &Container, world: &World) -> bool {
    world.ledger.streams.iter().any(|stream| {
        let Some(uri) = proxied(&stream.fact.uri).map(KubeletUri::parse) else { return false };
        let until = stream.ended.unwrap_or(stream.received + world.context.settings.request_timeout);
        uri.endpoint == Endpoint::Checkpoint
            && Interval::new(stream.received, until).widened(NEAR).contains(act.time)
            && uri.target.is_some_and(|target| {
                target.namespace == container.pod_namespace && target.pod == container.pod_name
            })
    })
}

fn draft(act: &Act, container: Option<&Container>, title: String, world: &World) -> GapDraft {
    let mut draft = GapDraft::new(&INFO, title, act.evidence.clone());
    draft.node.clone_from(&act.node);
    let pod = container.filter(|container| !container.pod_name.is_empty());
    draft.object = match pod {
        Some(container) => GapObject {
            resource: "pods".to_owned(),
            namespace: shown(&container.pod_namespace),
            name: shown(&container.pod_name),
            uid: shown(&container.pod_uid),
            key: shown(&act.subject),
            ..GapObject::default()
        },
        None => GapObject {
            resource: "container".to_owned(),
            name: short_id(&act.subject),
            key: shown(&act.subject),
            ..GapObject::default()
        },
    };
    draft.threads = threads(&act.subject, container);
    attribute(&mut draft, &act.node, act.time, world);
    draft
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
