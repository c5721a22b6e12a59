//! etcd keys and API objects: two names of one thing.
//!
//! Storage layout: `k8s.io/kubernetes/pkg/kubeapiserver/default_storage_factory_builder.go` and
//! `k8s.io/apiserver/pkg/registry/generic/registry/store.go`.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// An object as it is stored: the same for a request about it and for a key that holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// API group, where the group is part of the key (custom resources); empty for built-in kinds.
    pub group: Box<str>,
    /// Plural resource.
    pub resource: Box<str>,
    /// Namespace, or empty.
    pub namespace: Box<str>,
    /// Name; empty for a collection.
    pub name: Box<str>,
}

/// Built-in groups whose name is not part of a key.
const GROUPLESS: [&str; 22] = [
    "",
    "admissionregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

impl ObjectKey {
    /// From the parts of an audit event's `objectRef`.
    pub fn of_request(group: &str, resource: &str, namespace: &str, name: &str) -> Self {
        let (group, namespace) = (stored_group(group), stored_namespace(resource, namespace));
        Self {
            group: group.into(),
            resource: resource.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// From an etcd key; `None` for a key that is not an API server's.
    pub fn of_key(key: &str, prefixes: &[String]) -> Option<Self> {
        let rest = prefixes.iter().find_map(|prefix| key.strip_prefix(prefix.as_str())?.strip_prefix('/'))?;
        let (first, rest) = rest.split_once('/')?;
        if first.contains('.') {
            let (resource, rest) = rest.split_once('/')?;
            return Some(Self::scoped(first, resource, rest));
        }
        let (resource, rest) = match (first, rest.split_once('/')) {
            ("services", Some(("specs", rest))) => ("services", rest),
            ("services", Some(("endpoints", rest))) => ("endpoints", rest),
            ("minions", _) => ("nodes", rest),
            ("controllers", _) => ("replicationcontrollers", rest),
            ("ingress", _) => ("ingresses", rest),
            _ => (first, rest),
        };
        Some(Self::scoped("", resource, rest))
    }

    fn scoped(group: &str, resource: &str, rest: &str) -> Self {
        let (namespace, name) = rest.split_once('/').unwrap_or(("", rest));
        Self {
            group: group.into(),
            resource: resource.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The collection that holds the object.
    #[must_use]
    pub fn collection(&self) -> Self {
        Self { name: Box::default(), ..self.clone() }
    }
}

/// Identity of an object, or of anything named by a few texts: a 128-bit hash that no two names share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    // Two halves, since a whole would be aligned to sixteen bytes in every map.
    high: u64,
    low: u64,
}

impl Identity {
    /// From the texts that make up the name.
    pub fn of(parts: &[&str]) -> Self {
        let mut hasher = SipHasher13::new();
        for part in parts {
            hasher.write(part.as_bytes());
            // No UTF-8 text has this byte, so that no two lists of texts read the same.
            hasher.write_u8(0xff);
        }
        let hash = hasher.finish128();
        Self { high: hash.h1, low: hash.h2 }
    }
}

impl ObjectKey {
    /// The object's identity.
    pub fn identity(&self) -> Identity {
        Identity::of(&[&self.group, &self.resource, &self.namespace, &self.name])
    }

    /// The identity of the object that a request is about.
    pub fn identity_of_request(group: &str, resource: &str, namespace: &str, name: &str) -> Identity {
        Identity::of(&[stored_group(group), resource, stored_namespace(resource, namespace), name])
    }
}

fn stored_group(group: &str) -> &str {
    if GROUPLESS.contains(&group) { "" } else { group }
}

/// A request for a Namespace carries its name twice; the key is cluster-scoped.
fn stored_namespace<'a>(resource: &str, namespace: &'a str) -> &'a str {
    if resource == "namespaces" { "" } else { namespace }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.resource)?;
        if !self.group.is_empty() {
            write!(formatter, ".{}", self.group)?;
        }
        for part in [&self.namespace, &self.name] {
            if !part.is_empty() {
                write!(formatter, "/{part}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_a_request_name_the_same_object() {
        let prefixes = crate::Settings::default().key_prefixes;
        for (key, request) in [
            ("/registry/pods/team-a/web", ("", "pods", "team-a", "web")),
            ("/registry/minions/node-1", ("", "nodes", "", "node-1")),
            ("/registry/services/specs/a/b", ("", "services", "a", "b")),
            ("/registry/services/endpoints/a/b", ("", "endpoints", "a", "b")),
            ("/registry/deployments/a/b", ("apps", "deployments", "a", "b")),
            ("/registry/namespaces/a", ("", "namespaces", "a", "a")),
            (
                "/registry/clusterroles/system:node",
                ("rbac.authorization.k8s.io", "clusterroles", "", "system:node"),
            ),
            ("/registry/ingress/a/b", ("networking.k8s.io", "ingresses", "a", "b")),
            ("/registry/example.com/widgets/a/b", ("example.com", "widgets", "a", "b")),
            ("/registry/example.com/clusterwidgets/b", ("example.com", "clusterwidgets", "", "b")),
            (
                "/registry/apiextensions.k8s.io/customresourcedefinitions/w.example.com",
                ("apiextensions.k8s.io", "customresourcedefinitions", "", "w.example.com"),
            ),
            ("/kubernetes.io/pods/a/b", ("", "pods", "a", "b")),
        ] {
            let (group, resource, namespace, name) = request;
            let expected = ObjectKey::of_request(group, resource, namespace, name);
            assert_eq!(ObjectKey::of_key(key, &prefixes), Some(expected), "{key}");
        }
        for key in ["compact_rev_key", "/tmp/x", "/registryx/pods/a/b", "/registry/health", ""] {
            assert_eq!(ObjectKey::of_key(key, &prefixes), None, "{key}");
        }
    }
}
