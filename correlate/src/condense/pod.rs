//! A Pod's JSON to what matching needs of it.

use std::collections::{BTreeMap, BTreeSet};

use auditgap_records::Timestamp;
use auditgap_records::inventory::{PodFacts, SpecCause, SpecCommand};
use serde::Deserialize;

#[derive(Deserialize)]
struct Pod {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    uid: Option<String>,
    #[serde(default)]
    creation_timestamp: Option<String>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(default)]
    owner_references: Option<Vec<Owner>>,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    controller: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    node_name: Option<String>,
    #[serde(default)]
    service_account_name: Option<String>,
    #[serde(default)]
    containers: Option<Vec<Container>>,
    #[serde(default)]
    init_containers: Option<Vec<Container>>,
    #[serde(default)]
    ephemeral_containers: Option<Vec<Container>>,
    #[serde(default)]
    volumes: Option<Vec<Volume>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    #[serde(default)]
    name: String,
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    liveness_probe: Option<Handler>,
    #[serde(default)]
    readiness_probe: Option<Handler>,
    #[serde(default)]
    startup_probe: Option<Handler>,
    #[serde(default)]
    lifecycle: Option<Lifecycle>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lifecycle {
    #[serde(default)]
    post_start: Option<Handler>,
    #[serde(default)]
    pre_stop: Option<Handler>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Handler {
    #[serde(default)]
    exec: Option<Exec>,
    #[serde(default)]
    period_seconds: Option<u32>,
}

#[derive(Deserialize)]
struct Exec {
    #[serde(default)]
    command: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    #[serde(default)]
    host_path: Option<HostPath>,
    #[serde(default)]
    secret: Option<SecretVolume>,
}

#[derive(Deserialize)]
struct HostPath {
    #[serde(default)]
    path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecretVolume {
    #[serde(default)]
    secret_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerStatus {
    #[serde(default)]
    name: String,
    #[serde(default, rename = "containerID")]
    container_id: Option<String>,
}

/// `periodSeconds` that the API server fills in (`pkg/apis/core/v1/defaults.go`).
const DEFAULT_PROBE_PERIOD: u32 = 10;

/// Reads a Pod's JSON. `None` for anything else: a patch, a Status, a list.
pub fn pod_facts(json: &str) -> Option<PodFacts> {
    let pod: Pod = serde_json::from_str(json).ok()?;
    if pod.kind.as_deref().is_some_and(|kind| kind != "Pod") {
        return None;
    }
    let mut facts = PodFacts {
        namespace: pod.metadata.namespace.unwrap_or_default(),
        name: pod.metadata.name.unwrap_or_default(),
        uid: pod.metadata.uid.unwrap_or_default(),
        node: pod.spec.node_name.unwrap_or_default(),
        created: pod.metadata.creation_timestamp.as_deref().and_then(Timestamp::parse),
        service_account: pod.spec.service_account_name.unwrap_or_default(),
        ..PodFacts::default()
    };
    let annotations = pod.metadata.annotations.unwrap_or_default();
    let mirror = annotations
        .get("kubernetes.io/config.mirror")
        .or_else(|| annotations.get("kubernetes.io/config.hash"));
    facts.mirror_of = mirror.and_then(|value| value.as_str()).map(str::to_owned);
    let owners = pod.metadata.owner_references.unwrap_or_default();
    facts.owner =
        owners.iter().find(|owner| owner.controller).map(|owner| format!("{}/{}", owner.kind, owner.name));
    for container in [pod.spec.containers, pod.spec.init_containers, pod.spec.ephemeral_containers]
        .into_iter()
        .flatten()
        .flatten()
    {
        facts.commands.extend(commands(&container));
        if let Some(image) = container.image {
            facts.images.insert(container.name, image);
        }
    }
    for volume in pod.spec.volumes.unwrap_or_default() {
        facts.host_paths.extend(volume.host_path.map(|host| host.path));
        facts.secrets.extend(volume.secret.and_then(|secret| secret.secret_name));
    }
    for status in pod.status.container_statuses.unwrap_or_default() {
        if let Some((_, id)) = status.container_id.as_deref().and_then(|id| id.split_once("://")) {
            facts.containers.insert(status.name, id.to_owned());
        }
    }
    let nothing = facts == PodFacts { mirror_of: facts.mirror_of.clone(), ..PodFacts::default() };
    (!nothing).then_some(facts)
}

/// What the kubelet runs in a container by itself.
fn commands(container: &Container) -> BTreeSet<SpecCommand> {
    let probes = [&container.liveness_probe, &container.readiness_probe, &container.startup_probe];
    let hooks = container.lifecycle.as_ref().map(|lifecycle| [&lifecycle.post_start, &lifecycle.pre_stop]);
    let tagged = probes.into_iter().map(|handler| (SpecCause::Probe, handler));
    let tagged = tagged.chain(hooks.into_iter().flatten().map(|handler| (SpecCause::Hook, handler)));
    tagged
        .filter_map(|(cause, handler)| {
            let handler = handler.as_ref()?;
            let command = handler.exec.as_ref()?.command.clone()?;
            let period_seconds = match cause {
                SpecCause::Probe => handler.period_seconds.unwrap_or(DEFAULT_PROBE_PERIOD),
                SpecCause::Hook => 0,
            };
            Some(SpecCommand { container: container.name.clone(), cause, command, period_seconds })
        })
        .collect()
}
