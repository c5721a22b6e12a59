//! What is known of Kubernetes' built-in resources: their groups, what a write to them is worth to an attacker, and
//! which system users write them as a matter of routine.

use auditgap_records::report::Severity;

/// API groups that serve a built-in resource. Where several do, a write through any of them reaches the same key.
pub(crate) fn groups_of(resource: &str) -> &'static [&'static str] {
    match resource {
        "deployments" | "daemonsets" | "replicasets" => &["apps", "extensions"],
        "statefulsets" | "controllerrevisions" => &["apps"],
        "jobs" | "cronjobs" => &["batch"],
        "horizontalpodautoscalers" => &["autoscaling"],
        "events" => &["", "events.k8s.io"],
        "poddisruptionbudgets" => &["policy"],
        "roles" | "rolebindings" | "clusterroles" | "clusterrolebindings" => &["rbac.authorization.k8s.io"],
        "ingresses" => &["networking.k8s.io", "extensions"],
        "networkpolicies" | "ingressclasses" | "ipaddresses" | "servicecidrs" => &["networking.k8s.io"],
        "leases" | "leasecandidates" => &["coordination.k8s.io"],
        "endpointslices" => &["discovery.k8s.io"],
        "storageclasses"
        | "volumeattachments"
        | "csidrivers"
        | "csinodes"
        | "csistoragecapacities"
        | "volumeattributesclasses" => &["storage.k8s.io"],
        "certificatesigningrequests" | "clustertrustbundles" | "podcertificaterequests" => {
            &["certificates.k8s.io"]
        }
        "mutatingwebhookconfigurations"
        | "validatingwebhookconfigurations"
        | "validatingadmissionpolicies"
        | "validatingadmissionpolicybindings"
        | "mutatingadmissionpolicies"
        | "mutatingadmissionpolicybindings" => &["admissionregistration.k8s.io"],
        "flowschemas" | "prioritylevelconfigurations" => &["flowcontrol.apiserver.k8s.io"],
        "priorityclasses" => &["scheduling.k8s.io"],
        "runtimeclasses" => &["node.k8s.io"],
        "resourceclaims" | "resourceclaimtemplates" | "resourceslices" | "deviceclasses" => {
            &["resource.k8s.io"]
        }
        "storageversions" => &["internal.apiserver.k8s.io"],
        "storageversionmigrations" => &["storagemigration.k8s.io"],
        _ => &[""],
    }
}

/// What an unrecorded write or delete of an object is worth.
pub(crate) fn write_severity(resource: &str, namespace: &str, deletes: bool) -> Severity {
    let system = namespace.starts_with("kube-");
    if resource == "events" && !deletes {
        // A made-up Event misleads its reader and grants nothing.
        return Severity::Info;
    }
    match resource {
        "clusterroles"
        | "clusterrolebindings"
        | "mutatingwebhookconfigurations"
        | "validatingwebhookconfigurations"
        | "validatingadmissionpolicies"
        | "validatingadmissionpolicybindings"
        | "mutatingadmissionpolicies"
        | "mutatingadmissionpolicybindings"
        | "customresourcedefinitions"
        | "apiservices"
        | "certificatesigningrequests" => Severity::Critical,
        "secrets" | "roles" | "rolebindings" | "pods" | "deployments" | "daemonsets" | "statefulsets"
        | "jobs" | "cronjobs" | "replicasets" | "serviceaccounts"
            if system =>
        {
            Severity::Critical
        }
        "events" | "leases" | "endpointslices" | "ipaddresses" => Severity::Medium,
        _ => Severity::High,
    }
}

/// Whether a principal is so many that anything may be done by one of them.
pub(crate) fn is_broad(principal: &str) -> bool {
    let principal = principal.strip_prefix("members of ").unwrap_or(principal);
    matches!(
        principal,
        "system:masters" | "system:authenticated" | "system:unauthenticated" | "system:serviceaccounts"
    )
}

/// Whether a system user that the policy leaves out writes such objects every day. If it does, a write without a
/// record is what the policy makes of its routine; if it does not, the write is somebody else's.
pub(crate) fn writes_by_routine(principal: &str, resource: &str, namespace: &str) -> bool {
    let principal = principal.strip_prefix("members of ").unwrap_or(principal);
    let names = principal.split(" as a member of ");
    for name in names {
        let routine = match name {
            "system:nodes" | "kubelet" => matches!(
                resource,
                "nodes"
                    | "pods"
                    | "leases"
                    | "events"
                    | "csinodes"
                    | "certificatesigningrequests"
                    | "volumeattachments"
                    | "resourceslices"
                    | "podcertificaterequests"
            ),
            "system:apiserver" => match resource {
                "clusterroles"
                | "clusterrolebindings"
                | "roles"
                | "rolebindings"
                | "flowschemas"
                | "prioritylevelconfigurations"
                | "apiservices"
                | "customresourcedefinitions"
                | "priorityclasses"
                | "ipaddresses"
                | "servicecidrs"
                | "storageversions"
                | "leases"
                | "namespaces" => true,
                "services" | "endpoints" | "endpointslices" => namespace == "default",
                "configmaps" => namespace == "kube-system",
                _ => false,
            },
            "system:kube-scheduler" => matches!(resource, "pods" | "leases" | "endpoints" | "events"),
            "system:kube-proxy" => matches!(resource, "events"),
            "system:masters"
            | "system:authenticated"
            | "system:unauthenticated"
            | "system:serviceaccounts" => true,
            name if name.starts_with("system:node:") => {
                matches!(resource, "nodes" | "pods" | "leases" | "events")
            }
            name if name == "system:kube-controller-manager"
                || name == "system:cloud-controller-manager"
                || name.starts_with("system:serviceaccount:kube-system:")
                || name == "system:serviceaccounts:kube-system" =>
            {
                !matches!(
                    resource,
                    "roles"
                        | "rolebindings"
                        | "clusterrolebindings"
                        | "mutatingwebhookconfigurations"
                        | "validatingwebhookconfigurations"
                )
            }
            _ => false,
        };
        if routine {
            return true;
        }
    }
    false
}
