//! A Pod as the API server shows it or a manifest declares it, as far as matching needs it.
//!
//! Deserialises from whatever carries the object: a listing, a manifest, the body of an audit event.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};

use crate::inventory::{PodFacts, SpecCause, SpecCommand};
use crate::time::Timestamp;

/// `periodSeconds` that the API server fills in (`k8s.io/kubernetes/pkg/apis/core/v1/defaults.go`).
const DEFAULT_PERIOD: u32 = 10;

/// A Pod object. Unknown fields are passed over, absent ones are empty.
#[derive(Deserialize)]
pub struct PodObject {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    spec: Spec,
    #[serde(default, deserialize_with = "or_default")]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    namespace: String,
    uid: String,
    #[serde(deserialize_with = "or_default")]
    creation_timestamp: String,
    #[serde(deserialize_with = "or_default")]
    annotations: BTreeMap<String, Option<String>>,
    #[serde(deserialize_with = "or_default")]
    owner_references: Vec<Owner>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Owner {
    kind: String,
    name: String,
    controller: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(deserialize_with = "or_default")]
    node_name: String,
    #[serde(deserialize_with = "or_default")]
    service_account_name: String,
    #[serde(deserialize_with = "or_default")]
    containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    init_containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    ephemeral_containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    volumes: Vec<Volume>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    #[serde(deserialize_with = "or_default")]
    image: String,
    liveness_probe: Option<Probe>,
    readiness_probe: Option<Probe>,
    startup_probe: Option<Probe>,
    #[serde(deserialize_with = "or_default")]
    lifecycle: Lifecycle,
    #[serde(deserialize_with = "or_default")]
    env: Vec<Variable>,
    #[serde(deserialize_with = "or_default")]
    env_from: Vec<VariableSource>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Probe {
    exec: Option<Exec>,
    period_seconds: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Lifecycle {
    post_start: Option<Hook>,
    pre_stop: Option<Hook>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hook {
    exec: Option<Exec>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Exec {
    #[serde(deserialize_with = "or_default")]
    command: Vec<String>,
}

/// An environment variable, without its value.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Variable {
    value_from: Option<ValueFrom>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ValueFrom {
    secret_key_ref: Option<Named>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct VariableSource {
    secret_ref: Option<Named>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Volume {
    host_path: Option<HostPath>,
    secret: Option<SecretVolume>,
    projected: Option<Projected>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HostPath {
    path: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SecretVolume {
    secret_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Projected {
    #[serde(deserialize_with = "or_default")]
    sources: Vec<ProjectedSource>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ProjectedSource {
    secret: Option<Named>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    #[serde(rename = "containerStatuses", deserialize_with = "or_default")]
    containers: Vec<ContainerStatus>,
    #[serde(rename = "initContainerStatuses", deserialize_with = "or_default")]
    init: Vec<ContainerStatus>,
    #[serde(rename = "ephemeralContainerStatuses", deserialize_with = "or_default")]
    ephemeral: Vec<ContainerStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    name: String,
    #[serde(rename = "containerID", deserialize_with = "or_default")]
    container_id: String,
}

/// `null` is what an absent field is.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl PodObject {
    /// What it says; `None` if it is another kind of object. A Pod that is yet to be named has no name.
    pub fn facts(self) -> Option<PodFacts> {
        let pod = self;
        if pod.kind.as_deref().is_some_and(|kind| kind != "Pod") {
            return None;
        }
        let Metadata { name, namespace, uid, creation_timestamp, mut annotations, owner_references } =
            pod.metadata;
        let mut facts = PodFacts {
            namespace,
            name,
            uid,
            node: pod.spec.node_name,
            mirror_of: ["kubernetes.io/config.mirror", "kubernetes.io/config.hash"]
                .into_iter()
                .find_map(|annotation| annotations.remove(annotation)?),
            created: Timestamp::parse(&creation_timestamp),
            service_account: pod.spec.service_account_name,
            owner: owner_references
                .into_iter()
                .find(|owner| owner.controller == Some(true))
                .map(|owner| format!("{}/{}", owner.kind, owner.name)),
            host_paths: pod
                .spec
                .volumes
                .iter()
                .filter_map(|volume| Some(volume.host_path.as_ref()?.path.clone()))
                .collect(),
            secrets: mounted_secrets(pod.spec.volumes),
            ..PodFacts::default()
        };
        for status in pod.status.containers.into_iter().chain(pod.status.init).chain(pod.status.ephemeral) {
            let id = status.container_id.split_once("://").map_or(status.container_id.as_str(), |(_, id)| id);
            if !id.is_empty() {
                facts.containers.insert(status.name, id.to_owned());
            }
        }
        let Spec { containers, init_containers, ephemeral_containers, .. } = pod.spec;
        for container in containers.into_iter().chain(init_containers).chain(ephemeral_containers) {
            add_container(container, &mut facts);
        }
        Some(facts)
    }
}

fn mounted_secrets(volumes: Vec<Volume>) -> BTreeSet<String> {
    let mut secrets = BTreeSet::new();
    for volume in volumes {
        secrets.extend(volume.secret.map(|secret| secret.secret_name));
        let sources = volume.projected.map(|projected| projected.sources).unwrap_or_default();
        secrets.extend(sources.into_iter().filter_map(|source| Some(source.secret?.name)));
    }
    secrets
}

fn add_container(container: Container, facts: &mut PodFacts) {
    let Container { name, image, liveness_probe, readiness_probe, startup_probe, lifecycle, env, env_from } =
        container;
    let mut command = |cause, exec: Option<Exec>, period_seconds| {
        if let Some(Exec { command }) = exec {
            facts.commands.push(SpecCommand { container: name.clone(), cause, command, period_seconds });
        }
    };
    for probe in [liveness_probe, readiness_probe, startup_probe].into_iter().flatten() {
        command(SpecCause::Probe, probe.exec, probe.period_seconds.unwrap_or(DEFAULT_PERIOD));
    }
    for hook in [lifecycle.post_start, lifecycle.pre_stop].into_iter().flatten() {
        command(SpecCause::Hook, hook.exec, 0);
    }
    facts
        .secrets
        .extend(env.into_iter().filter_map(|variable| Some(variable.value_from?.secret_key_ref?.name)));
    facts.secrets.extend(env_from.into_iter().filter_map(|source| Some(source.secret_ref?.name)));
    facts.images.insert(name, image);
}
