//! Free text: all messages before Kubernetes 1.21, and what still has no pairs.

use auditgap_records::Text;
use auditgap_records::kubelet::{KubeletLine, PodRef, SyncOp};

use crate::format::flag::{self, without_credentials};
use crate::format::{go_text, httplog};

use super::http;
use super::pods::{self, LifecycleEvent};
use super::structured::{is_unreachable, pod_source};

/// What a message says; `None` if it is of no interest, `Err` if it is and cannot be read.
pub(super) fn line(text: &str) -> Result<Option<KubeletLine<'_>>, String> {
    if let Some((name, value)) = flag::read(text) {
        return Ok(Some(KubeletLine::Flag { name, value }));
    }
    if let Some(rest) = text.strip_prefix("SyncLoop (") {
        return sync_loop(rest);
    }
    if text.starts_with("verb=\"") {
        return httplog::from_pairs_alone(text).map(|access| Some(http(access)));
    }
    Ok(started(text)
        .or_else(|| about_pod(text))
        .or_else(|| refused(text))
        .or_else(|| manifest(text))
        .or_else(|| {
            // Methods are upper case; most other messages are told apart by their second letter.
            text.as_bytes()
                .get(1)
                .is_some_and(u8::is_ascii_uppercase)
                .then(|| httplog::from_sentence(text).map(http))?
        }))
}

/// `ADD, "api"): "web_default(uid)"` and `PLEG): "web_default(uid)", event: &pleg.PodLifecycleEvent{…}`.
fn sync_loop(rest: &str) -> Result<Option<KubeletLine<'_>>, String> {
    let broken = || "`SyncLoop` line of another shape than (OP, \"source\"): \"pods\"".to_owned();
    if let Some(event) = rest.strip_prefix("PLEG): ") {
        return lifecycle(event).map(Some);
    }
    let op = match rest.split_once([',', ')']).map(|(op, _)| op) {
        Some("ADD") => SyncOp::Add,
        Some("UPDATE") => SyncOp::Update,
        Some("REMOVE") => SyncOp::Remove,
        Some("DELETE") => SyncOp::Delete,
        Some("RECONCILE") => SyncOp::Reconcile,
        _ => return Ok(None),
    };
    let (_, rest) = rest.split_once(", ").ok_or_else(broken)?;
    let (source, rest) = quoted(rest).ok_or_else(broken)?;
    let (pods, _) = rest.strip_prefix("): ").and_then(quoted).ok_or_else(broken)?;
    // Names, namespaces and UIDs hold no comma.
    let pods = pods.split(", ").filter(|pod| !pod.is_empty()).map(pods::named).collect();
    Ok(Some(KubeletLine::SyncLoop { op, source: pod_source(source)?, pods }))
}

fn lifecycle(rest: &str) -> Result<KubeletLine<'_>, String> {
    let (pod, rest) = quoted(rest).map_or((None, rest), |(pod, rest)| (Some(pods::named(pod)), rest));
    let event =
        rest.find('&').and_then(|at| rest.get(at..)).ok_or("`SyncLoop (PLEG)` line without an event")?;
    let event = LifecycleEvent::read(event)?;
    Ok(KubeletLine::Pleg {
        known_pod: pod.is_some(),
        pod,
        pod_uid: event.pod_uid,
        event: event.kind,
        container: event.container.unwrap_or_default(),
    })
}

fn started(text: &str) -> Option<KubeletLine<'_>> {
    if text == "Started kubelet" || text.starts_with("Version: v") {
        return Some(KubeletLine::Started);
    }
    let rest = text.strip_prefix("Starting to listen ")?;
    let (read_only, address) = match rest.strip_prefix("read-only ") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let port = address.strip_prefix("on ")?.rsplit_once(':')?.1.trim_end().parse().ok()?;
    Some(KubeletLine::Listening { port, read_only })
}

fn about_pod(text: &str) -> Option<KubeletLine<'_>> {
    if let Some((pod, _)) = text.strip_prefix("Creating a mirror pod for static pod ").and_then(quoted) {
        return Some(KubeletLine::MirrorPodCreating { pod: pods::named(pod) });
    }
    if let Some((pod, rest)) = text.strip_prefix("Failed creating a mirror pod for ").and_then(quoted) {
        return Some(KubeletLine::MirrorPodFailed { pod: pods::named(pod), error: after_colon(rest) });
    }
    let deleted =
        text.strip_prefix("Deleting a mirror pod ").or_else(|| text.strip_prefix("Deleted mirror pod "));
    if let Some((pod, _)) = deleted.and_then(quoted) {
        return Some(KubeletLine::MirrorPodDeleted { pod: pods::named(pod) });
    }
    if let Some((sandbox, rest)) = text.strip_prefix("Created PodSandbox ").and_then(quoted) {
        let (pod, _) = rest.strip_prefix(" for pod ").and_then(quoted)?;
        return Some(KubeletLine::SandboxCreated { pod: pods::named(pod), sandbox: sandbox.into() });
    }
    if let Some((uid, rest)) = text.strip_prefix("Generated UID ").and_then(quoted) {
        let (name, rest) = rest.strip_prefix(" pod ").and_then(quoted)?;
        let pod = PodRef { uid: Some(uid.into()), ..pods::named(name) };
        return Some(KubeletLine::StaticPodUid {
            pod,
            source: without_credentials(rest.strip_prefix(" from ")?.into()),
        });
    }
    let (container, _) = text.strip_prefix("Killing container ").and_then(quoted)?;
    let (_, id) = container.split_once("://")?;
    Some(KubeletLine::KillingContainer {
        pod: PodRef::default(),
        container_name: Text::default(),
        container: id.into(),
    })
}

fn refused(text: &str) -> Option<KubeletLine<'_>> {
    if let Some(rest) = text.strip_prefix("http: TLS handshake error from ") {
        let (source, error) = rest.split_once(": ")?;
        return Some(KubeletLine::TlsFailed { source: source.into(), error: error.into() });
    }
    if let Some(error) = text.strip_prefix("Unable to authenticate the request due to an error: ") {
        return Some(KubeletLine::AuthenticationFailed { error: error.into() });
    }
    if text.starts_with("Forbidden (user=") {
        let (_, attributes) = text.rsplit_once(", verb=")?;
        let (verb, rest) = attributes.split_once(", ")?;
        let subresources = rest.rsplit_once('=')?.1.trim_end_matches(')').trim_matches(['[', ']']);
        return Some(KubeletLine::Forbidden {
            user: httplog::forbidden_user(text)?,
            verb: verb.into(),
            subresources: subresources.split_ascii_whitespace().map(Text::Borrowed).collect(),
        });
    }
    ["Error updating node status, will retry: ", "failed to ensure node lease exists, will retry in "]
        .into_iter()
        .find_map(|lead| text.strip_prefix(lead))
        .or_else(|| {
            text.strip_prefix("Unable to register node ").filter(|rest| rest.contains(" with API server: "))
        })
        .filter(|error| is_unreachable(error))
        .map(|error| KubeletLine::ApiServerUnreachable { error: error.into() })
}

fn manifest(text: &str) -> Option<KubeletLine<'_>> {
    if let Some(path) = text.strip_prefix("Adding pod path: ") {
        return Some(KubeletLine::StaticPodPath { path: path.into() });
    }
    if let Some((url, _)) = text.strip_prefix("Adding pod url ").and_then(quoted) {
        return Some(KubeletLine::StaticPodUrl { url: without_credentials(url.into()) });
    }
    if let Some(rest) = text.strip_prefix("Ignored pod manifest: ") {
        let (path, _) = rest.rsplit_once(", because it starts with dots")?;
        return Some(KubeletLine::ManifestIgnored {
            path: path.into(),
            reason: "its name starts with a dot".into(),
        });
    }
    let (path, rest) = text.strip_prefix("Can't process manifest file ").and_then(quoted)?;
    Some(KubeletLine::ManifestIgnored { path: path.into(), reason: after_colon(rest) })
}

/// The inside of the quoted string that `text` begins with, as it stands there, and what follows. What stands in
/// such places holds nothing that needs an escape, unless somebody forged it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let length = go_text::quoted_length(text)?;
    Some((text.get(1..length - 1)?, text.get(length..)?))
}

fn after_colon(rest: &str) -> Text<'_> {
    rest.trim_start_matches([':', ' ']).into()
}
