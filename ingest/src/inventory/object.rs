//! Kubernetes objects as JSON: lists and single ones.

use auditgap_records::inventory::Snapshot;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::times;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
}

/// Adds a document's objects to a snapshot; `false` if it is nothing of the kind.
pub(super) fn read(json: &str, snapshot: &mut Snapshot) -> bool {
    let Ok(document) = serde_json::from_str::<Document<'_>>(json) else {
        return false;
    };
    // Audit events come in a list of this shape too.
    if document.api_version.is_empty() || document.api_version.starts_with("audit.k8s.io/") {
        return false;
    }
    let recognised = match (document.kind.strip_suffix("List"), document.items) {
        (Some(kind), Some(items)) => {
            for item in items {
                add(item.get(), kind, snapshot);
            }
            true
        }
        _ => add(json, &document.kind, snapshot),
    };
    if recognised {
        snapshot.as_of = snapshot.as_of.max(times::latest(json));
    }
    recognised
}

/// Adds one object. In a typed list the objects do not say their kind, the list does.
fn add(json: &str, kind_of_list: &str, snapshot: &mut Snapshot) -> bool {
    let Ok(item) = serde_json::from_str::<Item>(json) else {
        return false;
    };
    let kind = if item.kind.is_empty() { kind_of_list } else { &item.kind };
    let Metadata { name, namespace } = item.metadata;
    if name.is_empty() {
        return false;
    }
    match kind {
        "Pod" => {
            let Some(facts) = super::pod_facts(json) else {
                return false;
            };
            if facts.uid.is_empty() {
                // What a kubelet assumes of a manifest that names none.
                let namespace = if namespace.is_empty() { "default".to_owned() } else { namespace };
                snapshot.manifests.insert((namespace, name));
            } else {
                snapshot.pods.push(facts);
            }
        }
        "Namespace" => {
            snapshot.namespaces.insert(name);
        }
        "Node" => {
            snapshot.nodes.insert(name);
        }
        "ClusterRoleBinding" => {
            snapshot.bindings.insert(format!("ClusterRoleBinding/{name}"));
        }
        "RoleBinding" => {
            snapshot.bindings.insert(format!("RoleBinding/{namespace}/{name}"));
        }
        _ => return false,
    }
    true
}
