//! Who talks to the API server.

/// A client of the API server.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) user: String,
    pub(crate) groups: Vec<String>,
    pub(crate) agent: String,
    pub(crate) address: String,
}

fn actor(user: &str, groups: &[&str], agent: &str, address: &str) -> Actor {
    Actor {
        user: user.to_owned(),
        groups: groups
            .iter()
            .map(|group| (*group).to_owned())
            .chain(["system:authenticated".to_owned()])
            .collect(),
        agent: agent.to_owned(),
        address: address.to_owned(),
    }
}

/// A controller of the controller manager, by its service account.
pub(crate) fn controller(name: &str) -> Actor {
    actor(
        &format!("system:serviceaccount:kube-system:{name}"),
        &["system:serviceaccounts", "system:serviceaccounts:kube-system"],
        &format!(
            "kube-controller-manager/v1.34.1 (linux/amd64) kubernetes/93248f9/system:serviceaccount:kube-system:{name}"
        ),
        "10.0.0.10",
    )
}

pub(crate) fn controller_manager() -> Actor {
    let agent = "kube-controller-manager/v1.34.1 (linux/amd64) kubernetes/93248f9/leader-election";
    actor("system:kube-controller-manager", &[], agent, "10.0.0.10")
}

pub(crate) fn scheduler() -> Actor {
    let agent = "kube-scheduler/v1.34.1 (linux/amd64) kubernetes/93248f9/scheduler";
    actor("system:kube-scheduler", &[], agent, "10.0.0.10")
}

pub(crate) fn node(number: usize) -> Actor {
    actor(
        &format!("system:node:{}", super::world::node_name(number)),
        &["system:nodes"],
        "kubelet/v1.34.1 (linux/amd64) kubernetes/93248f9",
        &format!("10.0.1.{}", 10 + number),
    )
}

/// The API server towards itself.
pub(crate) fn api_server() -> Actor {
    actor(
        "system:apiserver",
        &["system:masters"],
        "kube-apiserver/v1.34.1 (linux/amd64) kubernetes/93248f9",
        "::1",
    )
}

pub(crate) fn developer() -> Actor {
    actor(
        "alice@example.com",
        &["developers"],
        "kubectl/v1.34.1 (linux/amd64) kubernetes/93248f9",
        "198.51.100.7",
    )
}

pub(crate) fn administrator() -> Actor {
    actor(
        "kubernetes-admin",
        &["kubeadm:cluster-admins"],
        "kubectl/v1.34.1 (linux/amd64) kubernetes/93248f9",
        "198.51.100.8",
    )
}
