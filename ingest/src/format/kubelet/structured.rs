//! Messages with pairs: Kubernetes 1.21 and later, and all of JSON.

use auditgap_records::Text;
use auditgap_records::kubelet::{KubeletLine, PodRef, PodSource, SyncOp};

use crate::format::flag::without_credentials;
use crate::format::klog::{Fields, Pairs, Value};
use crate::format::{go_text, httplog};

use super::http;
use super::pods::{self, LifecycleEvent};

/// What a message says; `None` if it is of no interest, `Err` if it is and cannot be read.
pub(super) fn line<'a>(message: &str, pairs: Pairs<'a>) -> Result<Option<KubeletLine<'a>>, String> {
    let line = match message {
        "HTTP" => http(httplog::from_fields(&pairs.read()?)?),
        "SyncLoop ADD" => sync_loop(SyncOp::Add, pairs)?,
        "SyncLoop UPDATE" => sync_loop(SyncOp::Update, pairs)?,
        "SyncLoop REMOVE" => sync_loop(SyncOp::Remove, pairs)?,
        "SyncLoop DELETE" => sync_loop(SyncOp::Delete, pairs)?,
        "SyncLoop RECONCILE" => sync_loop(SyncOp::Reconcile, pairs)?,
        "SyncLoop (PLEG): event for pod" => lifecycle(pairs, true)?,
        "SyncLoop (PLEG): pod does not exist, ignore irrelevant event" => lifecycle(pairs, false)?,
        "Clean up containers for orphaned pod we had not seen before"
        | "Clean up orphaned pod containers" => {
            KubeletLine::OrphanedPod { pod_uid: pairs.read()?.need("podUID")? }
        }
        "Kubelet version" | "Server version" | "Started kubelet" => KubeletLine::Started,
        "Starting to listen" => listening(pairs, false)?,
        "Starting to listen read-only" => listening(pairs, true)?,
        "Adding static pod path" | "Adding pod path" => {
            KubeletLine::StaticPodPath { path: pairs.read()?.need("path")? }
        }
        "Adding pod URL with HTTP header" => {
            KubeletLine::StaticPodUrl { url: without_credentials(pairs.read()?.need("URL")?) }
        }
        "Generated UID" => {
            let fields = pairs.read()?;
            let pod = PodRef { uid: Some(fields.need("podUID")?), ..pod(&fields)? };
            KubeletLine::StaticPodUid { pod, source: without_credentials(fields.need("source")?) }
        }
        "Creating a mirror pod for static pod" => {
            KubeletLine::MirrorPodCreating { pod: pod(&pairs.read()?)? }
        }
        "Failed creating a mirror pod" | "Failed creating a mirror pod for" => {
            let fields = pairs.read()?;
            KubeletLine::MirrorPodFailed { pod: pod(&fields)?, error: fields.need("err")? }
        }
        "Deleting a mirror pod"
        | "Deleted mirror pod as it didn't match the static Pod"
        | "Deleted mirror pod because it is outdated" => {
            KubeletLine::MirrorPodDeleted { pod: pod(&pairs.read()?)? }
        }
        "Created PodSandbox for pod" => {
            let fields = pairs.read()?;
            KubeletLine::SandboxCreated { pod: pod(&fields)?, sandbox: fields.need("podSandboxID")? }
        }
        "Killing container with a grace period" | "Killing container with a grace period override" => {
            killing(&pairs.read()?)?
        }
        "Exec-Probe runProbe" => probe(&pairs.read()?, true)?,
        "Probe succeeded" | "Probe failed" | "Probe errored" => probe(&pairs.read()?, false)?,
        _ => return rarer(message, pairs),
    };
    Ok(Some(line))
}

/// Refusals, manifests not run, and an API server out of reach.
fn rarer<'a>(message: &str, pairs: Pairs<'a>) -> Result<Option<KubeletLine<'a>>, String> {
    let line = match message {
        "Forbidden" | "Authorization error" => {
            let (user, verb, subresources) = attributes(&pairs.read()?)?;
            KubeletLine::Forbidden { user, verb, subresources }
        }
        "Node request attributes" => {
            let (user, verb, subresources) = attributes(&pairs.read()?)?;
            KubeletLine::RequestAttributes { user, verb, subresources }
        }
        "Unable to authenticate the request due to an error" => {
            KubeletLine::AuthenticationFailed { error: pairs.read()?.need("err")? }
        }
        "Ignored pod manifest, because it starts with dots" => {
            ignored(pairs.read()?.need("eventName")?, "its name starts with a dot".into())
        }
        "Could not process manifest file" => {
            let fields = pairs.read()?;
            ignored(fields.need("path")?, fields.need("err")?)
        }
        "Provided manifest path is a directory, not recursing into manifest path" => {
            ignored(pairs.read()?.need("path")?, "it is a directory within the manifest path".into())
        }
        "Manifest path is not a directory or file" => {
            ignored(pairs.read()?.text("path").unwrap_or_default(), "neither a file nor a directory".into())
        }
        "Unable to process watch event" => match unprocessed(&pairs.read()?.need("err")?) {
            Some(line) => line,
            None => return Ok(None),
        },
        "No need to create a mirror pod, since failed to get node info from the cluster"
        | "Failed to update lease"
        | "Failed to ensure lease exists, will retry"
        | "Unable to register node with API server"
        | "Error updating node status, will retry"
        | "Error getting the current node from lister"
        | "Error getting node" => match pairs.read()?.text("err").filter(|error| is_unreachable(error)) {
            Some(error) => KubeletLine::ApiServerUnreachable { error },
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    Ok(Some(line))
}

fn ignored<'a>(path: Text<'a>, reason: Text<'a>) -> KubeletLine<'a> {
    KubeletLine::ManifestIgnored { path, reason }
}

/// Whether an error means that the API server did not answer or does not know the node, rather than that it refused
/// one request.
pub(super) fn is_unreachable(error: &str) -> bool {
    const SIGNS: [&str; 10] = [
        "connection refused",
        "connection reset",
        "no route to host",
        "network is unreachable",
        "i/o timeout",
        "TLS handshake timeout",
        "context deadline exceeded",
        "no such host",
        "EOF",
        "not found",
    ];
    SIGNS.iter().any(|sign| error.contains(sign))
}

fn sync_loop(op: SyncOp, pairs: Pairs<'_>) -> Result<KubeletLine<'_>, String> {
    let fields = pairs.read()?;
    let source = pod_source(&fields.need("source")?)?;
    let pods = pods::pods(fields.get("pods").ok_or("`pods` is missing")?)?;
    Ok(KubeletLine::SyncLoop { op, source, pods })
}

pub(super) fn pod_source(word: &str) -> Result<PodSource, String> {
    match word {
        "api" => Ok(PodSource::Api),
        "file" => Ok(PodSource::File),
        "http" => Ok(PodSource::Http),
        _ => Err("the source is none of api, file and http".to_owned()),
    }
}

fn lifecycle(pairs: Pairs<'_>, known_pod: bool) -> Result<KubeletLine<'_>, String> {
    let fields = pairs.read()?;
    let event = LifecycleEvent::read(fields.get("event").ok_or("`event` is missing")?.raw())?;
    Ok(KubeletLine::Pleg {
        pod: fields.get("pod").map(pods::pod),
        pod_uid: event.pod_uid,
        event: event.kind,
        container: event.container.unwrap_or_default(),
        known_pod,
    })
}

fn pod<'a>(fields: &Fields<'a>) -> Result<PodRef<'a>, String> {
    fields.get("pod").map(pods::pod).ok_or_else(|| "`pod` is missing".to_owned())
}

fn listening(pairs: Pairs<'_>, read_only: bool) -> Result<KubeletLine<'_>, String> {
    let port = pairs.read()?.need("port")?.parse().map_err(|_| "`port` is not a port number".to_owned())?;
    Ok(KubeletLine::Listening { port, read_only })
}

fn killing<'a>(fields: &Fields<'a>) -> Result<KubeletLine<'a>, String> {
    let id = fields.get("containerID").ok_or("`containerID` is missing")?;
    Ok(KubeletLine::KillingContainer {
        pod: pod(fields)?,
        container_name: fields.need("containerName")?,
        container: container_id(id),
    })
}

/// `containerd://<id>` without its scheme, or the `ID` of the object that JSON logs have.
fn container_id(value: Value<'_>) -> Text<'_> {
    #[derive(serde::Deserialize)]
    struct ContainerId<'a> {
        #[serde(rename = "ID", borrow)]
        id: Text<'a>,
    }
    if let Ok(object) = serde_json::from_str::<ContainerId<'_>>(value.raw()) {
        return object.id;
    }
    match value.text() {
        Text::Borrowed(text) => text.split_once("://").map_or(text, |(_, id)| id).into(),
        Text::Owned(text) => {
            text.split_once("://").map_or_else(|| text.clone(), |(_, id)| id.to_owned()).into()
        }
    }
}

fn probe<'a>(fields: &Fields<'a>, exec: bool) -> Result<KubeletLine<'a>, String> {
    Ok(KubeletLine::Probe {
        pod: fields.get("pod").map(pods::pod),
        pod_uid: fields.text("podUID"),
        container_name: fields.need("containerName")?,
        command: fields.get("execCommand").map(|words| words.list().join(" ").into()),
        exec,
    })
}

type Attributes<'a> = (Text<'a>, Text<'a>, Vec<Text<'a>>);

fn attributes<'a>(fields: &Fields<'a>) -> Result<Attributes<'a>, String> {
    // Several subresources are tried since fine-grained authorisation (1.32); before there was one.
    let subresources = fields.get("subresource(s)").or_else(|| fields.get("subresource"));
    Ok((fields.need("user")?, fields.need("verb")?, subresources.map(Value::list).unwrap_or_default()))
}

/// `can't process config file "/path": why`.
fn unprocessed(error: &str) -> Option<KubeletLine<'static>> {
    let (_, rest) = error.split_once("can't process config file ")?;
    let length = go_text::quoted_length(rest)?;
    let path = go_text::unescape(rest.get(1..length - 1)?);
    let reason = rest.get(length..)?.trim_start_matches([':', ' ']);
    Some(ignored(path.into_owned().into(), reason.to_owned().into()))
}
