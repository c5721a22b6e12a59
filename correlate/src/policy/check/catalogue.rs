//! The requests whose records the detections rest on, by path and technique of the catalogue.

use auditgap_records::audit::Level;
use auditgap_records::report::Path;

use super::Effect;
use super::watch::{Lost, Wanted, Watch, Weak};
use crate::policy::candidates::Sender;

const WRITE: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];
const CHANGE: &[&str] = &["update", "patch"];
const CONNECT: &[&str] = &["get", "create"];

/// A request whose record need not have bodies.
const fn seen(
    verbs: &'static [&'static str],
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
) -> Wanted {
    Wanted { verbs, group, resource, subresource, level: Level::Metadata }
}

/// Writes of an object.
const fn written(group: &'static str, resource: &'static str) -> Wanted {
    seen(WRITE, group, resource, "")
}

/// Writes whose response is the object: with it, the record has the resulting `resourceVersion`.
const fn versioned(group: &'static str, resource: &'static str) -> Wanted {
    let level = Level::RequestResponse;
    Wanted { verbs: &["create", "update", "patch"], group, resource, subresource: "", level }
}

/// Tells a Pod's name, whoever chose it.
pub(super) const POD_BINDING: Wanted = seen(&["create"], "", "pods", "binding");

const POD_WRITES: &[Wanted] = &[
    written("", "pods"),
    POD_BINDING,
    seen(&["create"], "", "pods", "eviction"),
    seen(CHANGE, "", "pods", "status"),
    seen(CHANGE, "", "pods", "ephemeralcontainers"),
    seen(CHANGE, "", "pods", "resize"),
];

const WORKLOAD_WRITES: &[Wanted] = &[
    written("apps", "deployments"),
    written("apps", "replicasets"),
    written("apps", "daemonsets"),
    written("apps", "statefulsets"),
    written("batch", "jobs"),
    written("batch", "cronjobs"),
    written("", "replicationcontrollers"),
    seen(CHANGE, "apps", "deployments", "scale"),
    seen(CHANGE, "apps", "statefulsets", "scale"),
    seen(CHANGE, "apps", "deployments", "status"),
    seen(CHANGE, "apps", "daemonsets", "status"),
    seen(CHANGE, "batch", "jobs", "status"),
];

const RBAC_WRITES: &[Wanted] = &[
    written("rbac.authorization.k8s.io", "clusterrolebindings"),
    written("rbac.authorization.k8s.io", "clusterroles"),
    written("rbac.authorization.k8s.io", "rolebindings"),
    written("rbac.authorization.k8s.io", "roles"),
];

const GUARD_WRITES: &[Wanted] = &[
    written("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    written("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    written("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    written("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
    written("networking.k8s.io", "networkpolicies"),
    written("", "resourcequotas"),
    written("", "limitranges"),
];

/// What is worth an exact match.
const REVISIONS: &[Wanted] = &[
    versioned("", "pods"),
    versioned("apps", "deployments"),
    versioned("apps", "daemonsets"),
    versioned("apps", "statefulsets"),
    versioned("batch", "jobs"),
    versioned("batch", "cronjobs"),
    versioned("rbac.authorization.k8s.io", "clusterrolebindings"),
    versioned("rbac.authorization.k8s.io", "clusterroles"),
    versioned("rbac.authorization.k8s.io", "rolebindings"),
    versioned("rbac.authorization.k8s.io", "roles"),
    versioned("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    versioned("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    versioned("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    versioned("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
    versioned("networking.k8s.io", "networkpolicies"),
];

/// What most clusters hold beside; at Metadata the key and the time are enough to go by.
const OTHER_WRITES: &[Wanted] = &[
    seen(WRITE, "", "configmaps", ""),
    seen(WRITE, "", "services", ""),
    seen(WRITE, "", "endpoints", ""),
    seen(WRITE, "", "namespaces", ""),
    seen(CHANGE, "", "namespaces", "finalize"),
    seen(WRITE, "", "nodes", ""),
    seen(CHANGE, "", "nodes", "status"),
    seen(WRITE, "", "persistentvolumes", ""),
    seen(WRITE, "", "persistentvolumeclaims", ""),
    seen(WRITE, "apiextensions.k8s.io", "customresourcedefinitions", ""),
    seen(WRITE, "apiregistration.k8s.io", "apiservices", ""),
    seen(WRITE, "certificates.k8s.io", "certificatesigningrequests", ""),
    seen(CHANGE, "certificates.k8s.io", "certificatesigningrequests", "approval"),
    seen(WRITE, "discovery.k8s.io", "endpointslices", ""),
    seen(WRITE, "networking.k8s.io", "ingresses", ""),
    seen(WRITE, "storage.k8s.io", "storageclasses", ""),
];

/// All watches, in the order of the catalogue.
pub(super) const WATCHES: &[Watch] = &[
    Watch {
        path: Path::StaticPod,
        technique: &["SP1", "SP2", "SP3", "SP4", "SP6"],
        sender: Sender::Node,
        requests: &[seen(&["create", "delete"], "", "pods", "")],
        lost: Some(Lost {
            effect: Effect::Blinds,
            text: "the mirror Pod that a kubelet creates for a manifest leaves no record: a static Pod is known from \
                   its own node's logs alone, which whoever dropped the manifest can change",
            level: Level::Metadata,
            note: "",
        }),
        weak: None,
    },
    Watch {
        path: Path::StaticPod,
        technique: &["SP5", "SP7"],
        sender: Sender::Node,
        requests: &[seen(CHANGE, "coordination.k8s.io", "leases", "")],
        lost: Some(Lost {
            effect: Effect::Weakens,
            text: "a pause in a node's lease renewals, as when its kubelet is restarted with another configuration or \
                   cut off from the API server, is not seen",
            level: Level::Metadata,
            note: "It costs one record per node every ten seconds.",
        }),
        weak: None,
    },
    Watch {
        path: Path::KubeletApi,
        technique: &["KL2", "KL3", "KL8"],
        sender: Sender::Anyone,
        requests: &[
            seen(CONNECT, "", "pods", "exec"),
            seen(CONNECT, "", "pods", "attach"),
            seen(CONNECT, "", "pods", "portforward"),
        ],
        lost: Some(Lost {
            effect: Effect::Blinds,
            text: "a session that a kubelet served by way of the API server cannot be told from one that was opened \
                   at the kubelet directly",
            level: Level::Metadata,
            note: "",
        }),
        weak: None,
    },
    Watch {
        path: Path::KubeletApi,
        technique: &["KL9"],
        sender: Sender::Anyone,
        requests: &[seen(&["get"], "", "pods", "log")],
        lost: Some(Lost {
            effect: Effect::Blinds,
            text: "container logs read by way of the API server cannot be told from those read at the kubelet",
            level: Level::Metadata,
            note: "",
        }),
        weak: None,
    },
    Watch {
        path: Path::KubeletApi,
        technique: &["KL1", "KL7"],
        sender: Sender::Anyone,
        requests: &[seen(CONNECT, "", "nodes", "proxy")],
        lost: Some(Lost {
            effect: Effect::Blinds,
            text: "kubelet requests relayed through nodes/proxy, with the command in their path, leave no record and \
                   look like direct ones",
            level: Level::Metadata,
            note: "",
        }),
        weak: None,
    },
    Watch {
        path: Path::KubeletApi,
        technique: &["KL1", "KL2", "KL3", "KL5", "KL8"],
        sender: Sender::Node,
        requests: &[Wanted {
            verbs: &["create"],
            group: "authorization.k8s.io",
            resource: "subjectaccessreviews",
            subresource: "",
            level: Level::Request,
        }],
        lost: Some(Lost {
            effect: Effect::Weakens,
            text: "who called a kubelet directly is not told: the kubelet's own question to the API server is the \
                   only record with that name",
            level: Level::Request,
            note: "",
        }),
        weak: Some(Weak {
            text: "the kubelet's question about a direct caller carries the caller's name in its body",
            advised: true,
            note: "",
        }),
    },
    Watch {
        path: Path::KubeletApi,
        technique: &["KL1", "KL2", "KL5"],
        sender: Sender::Node,
        requests: &[seen(&["create"], "authentication.k8s.io", "tokenreviews", "")],
        lost: Some(Lost {
            effect: Effect::Weakens,
            text: "that a kubelet had a token checked, the first sign of a direct call, is not seen",
            level: Level::Metadata,
            note: "Not above Metadata: the body is the bearer token itself.",
        }),
        weak: None,
    },
    Watch {
        path: Path::EtcdApi,
        technique: &["ET1", "ET8"],
        sender: Sender::Anyone,
        requests: POD_WRITES,
        lost: Some(Lost {
            effect: Effect::Blinds,
            text: "a Pod written to etcd directly cannot be told from one written by a request that was not recorded",
            level: Level::Metadata,
            note: "",
        }),
        weak: None,
    },
    Watch {
        path: Path::EtcdApi,
        technique: &["ET1", "ET8"],
        sender: Sender::Anyone,
        requests: WORKLOAD_WRITES,
        lost: Some(Lost {
            effect: Effect::Blinds,
            text: "workloads written to etcd directly, from which controllers then make Pods, go unnoticed",
            level: Level::Metadata,
            note: "",
        }),
        weak: None,
    },
    Watch {
        path: Path::EtcdApi,
        technique: &["ET2", "ET8"],
        sender: Sender::Anyone,
        requests: RBAC_WRITES,
        lost: Some(Lost {
            effect: Effect::Blinds,
            text: "permissions granted by writing to etcd directly cannot be told from those granted by request",
            level: Level::RequestResponse,
            note: "",
        }),
        weak: None,
    },
    Watch {
        path: Path::EtcdApi,
        technique: &["ET3", "ET8"],
        sender: Sender::Anyone,
        requests: &[written("", "secrets"), seen(WRITE, "", "serviceaccounts", "")],
        lost: Some(Lost {
            effect: Effect::Blinds,
            text: "Secrets and service accounts written to etcd directly go unnoticed",
            level: Level::Metadata,
            note: "Not above Metadata: the bodies are the secrets.",
        }),
        weak: None,
    },
    Watch {
        path: Path::EtcdApi,
        technique: &["ET7"],
        sender: Sender::Anyone,
        requests: &[
            seen(&["delete", "deletecollection"], "", "events", ""),
            seen(&["delete", "deletecollection"], "events.k8s.io", "events", ""),
        ],
        lost: Some(Lost {
            effect: Effect::Blinds,
            text: "Events deleted in etcd, as one does to cover tracks, cannot be told from Events deleted by request",
            level: Level::Metadata,
            note: "Requests that delete Events are rare (the server lets them expire by itself), so this costs next \
                   to nothing.",
        }),
        weak: None,
    },
    Watch {
        path: Path::EtcdApi,
        technique: &["ET8"],
        sender: Sender::Anyone,
        requests: &[
            seen(&["create", "update", "patch"], "", "events", ""),
            seen(&["create", "update", "patch"], "events.k8s.io", "events", ""),
        ],
        lost: Some(Lost {
            effect: Effect::Weakens,
            text: "Events written to etcd directly go unnoticed",
            level: Level::Metadata,
            note: "It costs one record per Event, which is why most policies leave them out; forged Events mislead, \
                   but give no power.",
        }),
        weak: None,
    },
    Watch {
        path: Path::EtcdApi,
        technique: &["ET7", "ET8"],
        sender: Sender::Anyone,
        requests: GUARD_WRITES,
        lost: Some(Lost {
            effect: Effect::Blinds,
            text: "admission webhooks, admission policies, network policies and quotas removed or changed in etcd go \
                   unnoticed",
            level: Level::RequestResponse,
            note: "",
        }),
        weak: None,
    },
    Watch {
        path: Path::EtcdApi,
        technique: &["ET12"],
        sender: Sender::Anyone,
        requests: &[seen(WRITE, "coordination.k8s.io", "leases", "")],
        lost: Some(Lost {
            effect: Effect::Blinds,
            text: "leader-election and node leases rewritten in etcd cannot be told from their renewals",
            level: Level::Metadata,
            note: "Renewals come every few seconds from every leader and node.",
        }),
        weak: None,
    },
    Watch {
        path: Path::EtcdApi,
        technique: &["ET8"],
        sender: Sender::Anyone,
        requests: OTHER_WRITES,
        lost: Some(Lost {
            effect: Effect::Blinds,
            text: "other objects written to etcd directly go unnoticed",
            level: Level::Metadata,
            note: "",
        }),
        weak: None,
    },
    Watch {
        path: Path::EtcdApi,
        technique: &["ET1", "ET2", "ET7", "ET8"],
        sender: Sender::Anyone,
        requests: REVISIONS,
        lost: None,
        weak: Some(Weak {
            text: "the resulting resourceVersion is in no record, so revisions are matched by key and time, and a \
                   direct write that hides beside a legitimate one on the same object may be taken for it",
            advised: true,
            note: "",
        }),
    },
    Watch {
        path: Path::EtcdApi,
        technique: &["ET3"],
        sender: Sender::Anyone,
        requests: &[versioned("", "secrets")],
        lost: None,
        weak: Some(Weak {
            text: "revisions of Secrets are matched by key and time, not by the exact resourceVersion",
            advised: false,
            note: "Best left so: the version comes with the body, and the body is the secret. Match by key and time \
                   still finds a direct write unless it hides within milliseconds of a legitimate one.",
        }),
    },
    Watch {
        path: Path::RuntimeSocket,
        technique: &["RT1", "RT2", "RT3", "RT6"],
        sender: Sender::Anyone,
        requests: &[seen(&["create"], "", "pods", "")],
        lost: Some(Lost {
            effect: Effect::Blinds,
            text: "a container whose Pod was created without a record cannot be told from one started through the \
                   runtime's socket",
            level: Level::Request,
            note: "",
        }),
        weak: None,
    },
    Watch {
        path: Path::RuntimeSocket,
        technique: &["RT1"],
        sender: Sender::Anyone,
        requests: &[seen(CHANGE, "", "pods", "ephemeralcontainers")],
        lost: Some(Lost {
            effect: Effect::Blinds,
            text: "a debug container that was asked for looks like one added through the socket",
            level: Level::Metadata,
            note: "",
        }),
        weak: None,
    },
    Watch {
        path: Path::RuntimeSocket,
        technique: &["RT4"],
        sender: Sender::Anyone,
        requests: &[seen(CONNECT, "", "pods", "exec"), seen(CONNECT, "", "pods", "attach")],
        lost: Some(Lost {
            effect: Effect::Blinds,
            text: "a command run in a container through the socket cannot be told from `kubectl exec`",
            level: Level::Metadata,
            note: "",
        }),
        weak: None,
    },
    Watch {
        path: Path::RuntimeSocket,
        technique: &["RT4", "RT7"],
        sender: Sender::Anyone,
        requests: &[Wanted {
            verbs: &["create"],
            group: "",
            resource: "pods",
            subresource: "",
            level: Level::Request,
        }],
        lost: None,
        weak: Some(Weak {
            text: "Pod specifications are not in the log, so mounts of the runtime's socket are not seen, and exec \
                   probes are known from an inventory or from etcd only",
            advised: true,
            note: "",
        }),
    },
    Watch {
        path: Path::RuntimeSocket,
        technique: &["RT5"],
        sender: Sender::Anyone,
        requests: &[
            seen(&["delete", "deletecollection"], "", "pods", ""),
            seen(&["create"], "", "pods", "eviction"),
        ],
        lost: Some(Lost {
            effect: Effect::Blinds,
            text: "a container killed through the socket cannot be told from one whose Pod was deleted",
            level: Level::Metadata,
            note: "",
        }),
        weak: None,
    },
    Watch {
        path: Path::AuditTrail,
        technique: &["AU1"],
        sender: Sender::Node,
        requests: &[seen(CHANGE, "coordination.k8s.io", "leases", "")],
        lost: Some(Lost {
            effect: Effect::Weakens,
            text: "without the nodes' steady lease renewals an audit log that was cut off looks like a quiet cluster",
            level: Level::Metadata,
            note: "",
        }),
        weak: None,
    },
];
