//! An exec that nothing accounts for, in words.

use auditgap_records::report::{Confidence, ExpectedRequest, GapObject, Severity};
use auditgap_records::runtime::ExecCall;

use super::{Exec, INFO};
use crate::kubelet_uri::shown;
use crate::ledger::containers::Container;
use crate::runtime_view::{attribute, command_shown, container_words, short_id, threads};
use crate::verdict::GapDraft;
use crate::world::World;

/// Why an exec is a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ground {
    /// In a container of another of the runtime's namespaces.
    ForeignNamespace,
    /// Its id is not one that CRI gives.
    ForeignId,
    /// The runtime's log tells CRI calls, and none for it.
    NoCriCall,
    /// Through CRI, and the kubelet's log tells its requests, and none for it.
    NotTheKubelet,
    /// Through CRI, and no request was recorded.
    NoRequest,
    /// On no probe's beat, and no request was recorded.
    OffBeat,
}

pub(super) fn fold_key(exec: &Exec, ground: Ground) -> String {
    let command = exec.command.as_deref().unwrap_or_default();
    format!("{}\n{}\n{ground:?}\n{command}", exec.node, exec.container)
}

pub(super) fn draft(exec: &Exec, container: Option<&Container>, ground: Ground, world: &World) -> GapDraft {
    let place = container_words(&exec.container, container);
    let command = exec.command.as_deref().map(command_shown);
    let mut draft =
        GapDraft::new(&INFO, title(exec, &place, command.as_deref(), ground), exec.evidence.clone());
    draft.severity = Severity::High;
    draft.confidence = match ground {
        Ground::ForeignNamespace | Ground::ForeignId | Ground::NoCriCall => Confidence::Certain,
        Ground::NotTheKubelet | Ground::NoRequest => Confidence::High,
        Ground::OffBeat => Confidence::Medium,
    };
    draft.node.clone_from(&exec.node);
    let (namespace, name, uid) = container
        .map(|known| (shown(&known.pod_namespace), shown(&known.pod_name), shown(&known.pod_uid)))
        .unwrap_or_default();
    draft.object = GapObject {
        resource: if name.is_empty() { "container" } else { "pods" }.to_owned(),
        name: if name.is_empty() { short_id(&exec.container) } else { name },
        namespace,
        uid,
        key: shown(&exec.container),
        ..GapObject::default()
    };
    draft.threads = threads(&exec.container, container);
    let subresource = if exec.call == Some(ExecCall::Attach) { "attach" } else { "exec" };
    draft.expected.requests = [("pods", subresource), ("nodes", "proxy")]
        .map(|(resource, subresource)| ExpectedRequest {
            verb: "create".to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            ..ExpectedRequest::default()
        })
        .to_vec();
    draft.why = why(exec, &place, command.as_deref(), ground);
    attribute(&mut draft, &exec.node, exec.time, world);
    draft
}

fn title(exec: &Exec, place: &str, command: Option<&str>, ground: Ground) -> String {
    let what = match (exec.call, command) {
        (Some(ExecCall::Attach), _) => format!("Attached to {place}"),
        (_, Some(command)) => format!("Command `{command}` run in {place}"),
        (_, None) => format!("Command run in {place}"),
    };
    match ground {
        Ground::ForeignNamespace => format!("{what}, outside the kubelet's namespace"),
        Ground::ForeignId | Ground::NoCriCall => format!("{what}, past the kubelet"),
        Ground::NotTheKubelet => format!("{what} on the runtime's socket, and not by the kubelet"),
        Ground::NoRequest => format!("{what} without a request"),
        Ground::OffBeat => format!("{what} on no probe's beat and without a request"),
    }
}

fn why(exec: &Exec, place: &str, command: Option<&str>, ground: Ground) -> String {
    let mut why = format!("At {} a command was run in {place}.", exec.time);
    if let Some(command) = command {
        why.push_str(&format!(" It was `{command}`."));
    }
    why.push_str(match ground {
        Ground::ForeignNamespace => {
            " The container is in a namespace of the runtime that the kubelet does not use: no Pod and no request to \
             the API server can lead there."
        }
        Ground::ForeignId => {
            " The exec's id was chosen by whoever asked: the CRI interface, through which kubelets run commands, \
             gives ids of 64 hexadecimal digits. It was another client of the runtime's socket."
        }
        Ground::NoCriCall => {
            " The runtime's log tells every command that is run through CRI, and has none for this exec: it was \
             another client of the runtime's socket."
        }
        Ground::NotTheKubelet => {
            " It is no probe and no hook of the Pod. The API server recorded no such request, and the kubelet, which \
             tells every request that it serves, served none: somebody else called the runtime's socket."
        }
        Ground::NoRequest => {
            " It is no probe and no hook of the Pod, and no recorded request to the API server accounts for it: \
             somebody called the kubelet's API or the runtime's socket."
        }
        Ground::OffBeat => {
            " Logs do not tell which command it was. It is no hook of the Pod's spec, and no probe was due: those that \
             the spec has came at their own times before and after it. No recorded request to the API server accounts \
             for it: somebody called the kubelet's API or the runtime's socket."
        }
    });
    why
}
