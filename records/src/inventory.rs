//! What is known of a cluster beside its logs: Pods and other objects listed at some moment.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A command that the kubelet itself runs in a container, from the Pod's spec.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SpecCommand {
    /// Name of the container in the Pod.
    pub container: String,
    /// Why it is run.
    pub cause: SpecCause,
    /// The words of the command.
    pub command: Vec<String>,
    /// `periodSeconds` of a probe (default 10), 0 for a hook.
    pub period_seconds: u32,
}

/// Why a command is run by the kubelet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpecCause {
    /// Liveness, readiness or startup probe.
    Probe,
    /// `postStart` or `preStop` hook.
    Hook,
}

/// What matching needs of a Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodFacts {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID that the API server gave.
    pub uid: String,
    /// Node it is bound to.
    pub node: String,
    /// `kubernetes.io/config.hash` or `config.mirror`: it is the mirror of a static Pod with this runtime UID.
    pub mirror_of: Option<String>,
    /// When the API object was made.
    pub created: Option<Timestamp>,
    /// Service account.
    pub service_account: String,
    /// Controlling owner, as `Kind/name`.
    pub owner: Option<String>,
    /// Probes and hooks that execute something.
    pub commands: Vec<SpecCommand>,
    /// Images, by container name.
    pub images: BTreeMap<String, String>,
    /// Container ids from the status, by container name, the scheme removed.
    pub containers: BTreeMap<String, String>,
    /// Host paths it mounts.
    pub host_paths: BTreeSet<String>,
    /// Secrets it mounts or reads.
    pub secrets: BTreeSet<String>,
}

/// Objects listed at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Where it was read from.
    pub source: String,
    /// The latest time found in it: it was taken then or later. `None` if it has no time at all.
    pub as_of: Option<Timestamp>,
    /// A person named it as the declared state, on the command line.
    pub declared: bool,
    /// Pods.
    pub pods: Vec<PodFacts>,
    /// Namespaces, if they were listed.
    pub namespaces: BTreeSet<String>,
    /// Nodes, if they were listed.
    pub nodes: BTreeSet<String>,
    /// Role bindings and cluster role bindings, as `ClusterRoleBinding/name` and `RoleBinding/namespace/name`.
    pub bindings: BTreeSet<String>,
    /// Container ids known to the runtime (`ctr containers ls`, `crictl ps`).
    pub containers: BTreeSet<String>,
    /// Image names known to the runtime.
    pub images: BTreeSet<String>,
    /// Static Pod manifests found as files: Pod namespace and name, without the node's suffix.
    pub manifests: BTreeSet<(String, String)>,
}

/// All that is known beside the logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Snapshots; the engine orders them by `as_of`.
    pub snapshots: Vec<Snapshot>,
    /// kubelet configuration files found, as `(source, key, value)` flattened for reports.
    pub settings: Vec<(String, String, String)>,
}
