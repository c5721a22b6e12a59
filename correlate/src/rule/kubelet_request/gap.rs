//! A request to a kubelet that nothing accounts for, in words.

use std::collections::BTreeSet;
use std::net::IpAddr;

use auditgap_records::report::{Actor, Confidence, GapObject, Severity};

use super::attribution::{Access, Attribution, Source};
use super::{Action, INFO, Outcome};
use crate::kubelet_uri::{Endpoint, shown};
use crate::verdict::GapDraft;

/// Writes the gap.
pub(super) fn draft(
    action: &Action,
    attribution: &Attribution,
    access: &Access,
    api_server_addresses: &BTreeSet<Box<str>>,
) -> GapDraft {
    let mut evidence = vec![action.cite()];
    evidence.extend(attribution.evidence.iter().cloned());
    let mut draft = GapDraft::new(&INFO, title(action), evidence);
    draft.techniques = techniques(action, attribution, access);
    draft.severity = severity(action, attribution, access);
    draft.confidence = match attribution.source {
        Source::Kubelet if !attribution.is_api_server => Confidence::Certain,
        _ => Confidence::High,
    };
    draft.node.clone_from(&action.node);
    draft.object = object(action);
    draft.actor = Actor {
        user: attribution.user.clone(),
        source_ip: action.address().to_owned(),
        user_agent: shown(&action.user_agent),
        candidates: attribution.candidates.clone(),
        ..Actor::default()
    };
    draft.why = why(action, attribution, access, api_server_addresses);
    if let Some(target) = &action.uri.target {
        draft.threads.push(format!("pod:{}/{}", target.namespace, target.pod));
    }
    if !attribution.user.is_empty() {
        draft.threads.push(format!("user:{}", attribution.user));
    }
    // What one client does at a node is one story. Many share an API server's address, and all share the loopback one.
    let address = action.address();
    let is_shared = api_server_addresses.contains(address)
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if draft.severity > Severity::Info && !address.is_empty() && !is_shared {
        draft.threads.push(format!("kubelet-client:{}:{address}", action.node));
    }
    draft
}

/// What repeated requests have in common, so that they are one gap.
pub(super) fn fold_key(action: &Action, draft: &GapDraft) -> String {
    let path = if action.uri.endpoint.is_monitoring() {
        format!("{:?}", action.uri.endpoint)
    } else {
        action.uri.path.clone()
    };
    let code = if draft.severity == Severity::Info { 0 } else { action.code.unwrap_or_default() };
    let reasons: Vec<&str> = action.notes.iter().map(|note| note.summary.as_str()).collect();
    [
        action.node.as_str(),
        &action.method,
        &path,
        &code.to_string(),
        action.address(),
        &action.user_agent,
        &draft.actor.user,
        &draft.techniques.join(","),
        &reasons.join(","),
    ]
    .join("\n")
}

fn title(action: &Action) -> String {
    let Action { method, node, .. } = action;
    let path = action.uri.path_shown();
    let place = match &action.uri.target {
        Some(target) => {
            let pod = shown(&format!("{}/{}", target.namespace, target.pod));
            format!("Pod {pod}, past the API server")
        }
        None => "past the API server".to_owned(),
    };
    let request = format!("{method} {path} at the kubelet of {node}");
    match (action.outcome(), action.code) {
        (Outcome::Refused | Outcome::Failed, Some(code)) => {
            let word = if action.outcome() == Outcome::Refused { "Refused" } else { "Failed" };
            let pod = action.uri.target.as_ref().map_or_else(String::new, |target| {
                format!(" for Pod {}", shown(&format!("{}/{}", target.namespace, target.pod)))
            });
            format!("{word} request{pod}, past the API server: {request}, answered {code}")
        }
        _ => format!("{} {place}: {request}", what(action.uri.endpoint)),
    }
}

/// What was done, in words that a place follows.
fn what(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Exec | Endpoint::Run => "Command in",
        Endpoint::Attach => "Attached to",
        Endpoint::PortForward => "Port forwarded to",
        Endpoint::ContainerLogs => "Logs read of",
        Endpoint::Checkpoint => "Memory written out of",
        Endpoint::NodeLogs => "Node's log files read",
        Endpoint::Pods | Endpoint::RunningPods => "Pods of a node listed",
        Endpoint::Configz => "Kubelet's configuration read",
        Endpoint::Debug => "Kubelet's internals read",
        Endpoint::Metrics | Endpoint::Stats | Endpoint::Health => "Monitoring read",
        Endpoint::Other => "Request",
    }
}

fn object(action: &Action) -> GapObject {
    match &action.uri.target {
        Some(target) => GapObject {
            resource: "pods".to_owned(),
            namespace: shown(&target.namespace),
            name: shown(&target.pod),
            uid: shown(&target.uid),
            key: action.uri.path_shown(),
            ..GapObject::default()
        },
        None => GapObject {
            resource: "kubelet".to_owned(),
            name: action.node.clone(),
            key: action.uri.path_shown(),
            ..GapObject::default()
        },
    }
}

fn techniques(action: &Action, attribution: &Attribution, access: &Access) -> Vec<&'static str> {
    let posts = &*action.method == "POST";
    let mut ids = vec![match action.uri.endpoint {
        Endpoint::Run => "KL2",
        Endpoint::Exec | Endpoint::Attach | Endpoint::PortForward if posts => "KL2",
        Endpoint::Exec | Endpoint::Attach | Endpoint::PortForward => "KL3",
        Endpoint::ContainerLogs | Endpoint::NodeLogs => "KL9",
        Endpoint::Checkpoint => "KL10",
        _ => "KL1",
    }];
    let is_anonymous = attribution.user == "system:anonymous";
    let no_credentials = action.code == Some(401) && attribution.evidence.is_empty();
    if (is_anonymous && action.outcome() == Outcome::Refused) || no_credentials {
        ids.push("KL5");
    } else if is_anonymous || access.anonymous.is_some() {
        ids.push("KL4");
    }
    if access.read_only.is_some() {
        ids.push("KL6");
    }
    if attribution.is_api_server {
        ids.push("KL8");
    }
    ids
}

fn severity(action: &Action, attribution: &Attribution, access: &Access) -> Severity {
    let endpoint = action.uri.endpoint;
    let reads = matches!(&*action.method, "GET" | "HEAD");
    match action.outcome() {
        // A kubelet that fails to answer its scrapers is no attempt at anything.
        Outcome::Failed if endpoint.is_monitoring() && reads && action.code >= Some(500) => Severity::Info,
        Outcome::Refused | Outcome::Failed => Severity::Low,
        Outcome::Unclear => Severity::Medium,
        Outcome::Done => {
            let is_anonymous = attribution.user == "system:anonymous" || access.anonymous.is_some();
            let is_system =
                action.uri.target.as_ref().is_some_and(|target| target.namespace == "kube-system");
            match endpoint {
                _ if endpoint.executes() && (is_anonymous || is_system) => Severity::Critical,
                _ if endpoint.executes() => Severity::High,
                Endpoint::Checkpoint => Severity::High,
                Endpoint::PortForward
                | Endpoint::ContainerLogs
                | Endpoint::NodeLogs
                | Endpoint::Pods
                | Endpoint::RunningPods => Severity::Medium,
                _ if endpoint.is_monitoring() && reads => Severity::Info,
                _ => Severity::Low,
            }
        }
    }
}

fn why(
    action: &Action,
    attribution: &Attribution,
    access: &Access,
    api_server_addresses: &BTreeSet<Box<str>>,
) -> String {
    let Action { node, method, start, .. } = action;
    let path = action.uri.path_shown();
    let answer = match (action.outcome(), action.code) {
        (Outcome::Done, _) => "served it".to_owned(),
        (Outcome::Refused, Some(code)) => format!("refused it ({code})"),
        (Outcome::Unclear, Some(code)) => {
            format!("answered {code}, as it does when the command was run and failed")
        }
        (_, code) => format!("answered {}", code.unwrap_or_default()),
    };
    let mut why = format!("At {start} the kubelet of {node} was sent {method} {path}, and {answer}.");
    if let Some(command) = action.uri.command_shown() {
        why.push_str(&format!(" The command was `{command}`."));
    }
    why.push_str(match action.uri.endpoint.pod_subresource() {
        Some(_) => {
            " Had it come through the API server, there would be a record of a request into that Pod or through the node's proxy at that moment; there is none that accounts for it."
        }
        None => {
            " The API server leads there only through the node's proxy, and there is no record of such a request that accounts for it."
        }
    });
    match attribution.source {
        Source::Kubelet => why.push_str(&format!(" The kubelet names the caller: {}.", attribution.user)),
        Source::Review => {
            why.push_str(&format!(" At that moment the kubelet had {} reviewed.", attribution.user));
        }
        Source::Unknown if !attribution.candidates.is_empty() => {
            why.push_str(&format!(" It may have been {}.", attribution.candidates.join(", or ")));
        }
        Source::Unknown => {}
    }
    if !attribution.credential.is_empty() {
        why.push_str(&format!(" The credential was {}.", attribution.credential));
    }
    if attribution.is_api_server {
        why.push_str(
            " That is an API server's own identity towards kubelets: its key is in other hands, or the API server is.",
        );
    }
    let address = action.address();
    if !api_server_addresses.is_empty() && !api_server_addresses.contains(address) {
        why.push_str(&format!(" It came from {address}, from where no API server's request came."));
    }
    let remarks: Vec<&str> =
        [&access.anonymous, &access.read_only].into_iter().flatten().map(String::as_str).collect();
    if !remarks.is_empty() {
        why.push_str(&format!(" No review was asked for, and {}.", remarks.join(", and ")));
    }
    why
}
