//! What a cluster does when nobody does anything: leases, heartbeats, expiry, compaction. And what was there before.

use std::fmt::Write as _;

use super::call::{CONFIG_MAP, Call, DEPLOYMENT, LEASE, NAMESPACE, NODE, POD, REPLICA_SET, SECRET};
use super::node::Http;
use super::people;
use super::pod::Pod;
use super::stamp;
use super::world::{World, node_name};
use super::{MILLI, SECOND};

/// Namespaces of workloads.
pub(crate) const NAMESPACES: &[&str] = &["shop", "billing"];
/// Workloads, in each namespace.
pub(crate) const WORKLOADS: &[&str] = &["web", "cart", "ledger"];
/// A lease that outlives the history: what it is bound to does not expire in it.
const FOR_EVER: i64 = 3_600 * SECOND;

pub(crate) fn start(world: &mut World) {
    before(world);
    for node in 0..world.options.nodes {
        world.every(10 * SECOND, node_lease, node);
        world.every(30 * SECOND, node_status, node);
        world.every(15 * SECOND, scrape, node);
    }
    for server in 0..world.options.api_servers {
        world.every(10 * SECOND, master_lease, server);
        world.every(10 * SECOND, peer_lease, server);
    }
    world.every(2 * SECOND, leader_leases, 0);
    world.every(3 * SECOND, reads, 0);
    world.every(300 * SECOND, compaction, 0);
}

/// The cluster as it was: objects in etcd, Pods on the nodes, and the inventory that lists them.
fn before(world: &mut World) {
    let mut items = Vec::new();
    for namespace in NAMESPACES {
        world.etcd.exists_already(&NAMESPACE.key("", namespace));
        for workload in WORKLOADS {
            world.etcd.exists_already(&DEPLOYMENT.key(namespace, workload));
            world.etcd.exists_already(&CONFIG_MAP.key(namespace, workload));
            world.etcd.exists_already(&SECRET.key(namespace, workload));
            let owner = format!("{workload}-{}", world.random.suffix(9));
            world.etcd.exists_already(&REPLICA_SET.key(namespace, &owner));
            let mut pod = world.pod(namespace, &owner);
            pod.old = true;
            items.push(listed(world, &pod, ""));
            settle(world, pod);
        }
    }
    for node in 0..world.options.nodes {
        world.etcd.exists_already(&NODE.key("", &node_name(node)));
        world.etcd.exists_already(&LEASE.key("kube-node-lease", &node_name(node)));
        let mut pod = world.pod("kube-system", "");
        pod.name = format!("kube-proxy-static-{}", node_name(node));
        pod.runtime_uid = world.random.hex(32);
        pod.node = node;
        pod.probe.clear();
        pod.old = true;
        let mirror = format!(
            r#","annotations":{{"kubernetes.io/config.hash":"{0}","kubernetes.io/config.mirror":"{0}","kubernetes.io/config.source":"file"}}"#,
            pod.runtime_uid
        );
        items.push(listed(world, &pod, &mirror));
        settle(world, pod);
    }
    for name in ["kube-scheduler", "kube-controller-manager"] {
        world.etcd.exists_already(&LEASE.key("kube-system", name));
    }
    let list =
        format!(r#"{{"kind":"List","apiVersion":"v1","metadata":{{}},"items":[{}]}}"#, items.join(","));
    world.inventory.insert("inventory/pods.json".to_owned(), list);
    let mut namespaces = String::new();
    for name in NAMESPACES.iter().chain(&["default", "kube-system", "kube-public", "kube-node-lease"]) {
        let comma = if namespaces.is_empty() { "" } else { "," };
        let _ = write!(
            namespaces,
            r#"{comma}{{"kind":"Namespace","apiVersion":"v1","metadata":{{"name":"{name}","creationTimestamp":"{}"}}}}"#,
            stamp::seconds(world.from - 7_200 * SECOND)
        );
    }
    let list = format!(r#"{{"kind":"List","apiVersion":"v1","metadata":{{}},"items":[{namespaces}]}}"#);
    world.inventory.insert("inventory/namespaces.json".to_owned(), list);
}

/// A Pod that has been running for long.
fn settle(world: &mut World, pod: Pod) {
    world.etcd.exists_already(&POD.key(&pod.namespace, &pod.name));
    let (number, probed) = (pod.number, !pod.probe.is_empty());
    world.pods.insert(number, pod);
    if probed {
        let delay = world.millis(0, 10_000);
        world.later(delay, move |world| world.probe(number, 0));
    }
}

/// A Pod as `kubectl get pods -o json` lists it.
fn listed(world: &World, pod: &Pod, annotations: &str) -> String {
    let created = stamp::seconds(world.from - 3_600 * SECOND);
    let owner = if pod.owner.is_empty() {
        format!(
            r#","ownerReferences":[{{"apiVersion":"v1","kind":"Node","name":"{}","controller":true}}]"#,
            node_name(pod.node)
        )
    } else {
        format!(
            r#","ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"{}","controller":true}}]"#,
            pod.owner
        )
    };
    format!(
        r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{}","namespace":"{}","uid":"{}","creationTimestamp":"{created}"{annotations}{owner}}}{},"status":{{"phase":"Running","startTime":"{created}","containerStatuses":[{{"name":"app","containerID":"containerd://{}"}}]}}}}"#,
        pod.name,
        pod.namespace,
        pod.uid,
        pod.spec(),
        pod.container
    )
}

fn node_lease(world: &mut World, node: usize) {
    world.call(Call::new(people::node(node), "update", LEASE, "kube-node-lease", &node_name(node)).puts());
}

fn node_status(world: &mut World, node: usize) {
    world.call(Call::new(people::node(node), "patch", NODE, "", &node_name(node)).on("status").puts());
}

fn leader_leases(world: &mut World, _: usize) {
    world.call(Call::new(people::scheduler(), "update", LEASE, "kube-system", "kube-scheduler").puts());
    let delay = world.millis(100, 900);
    world.later(delay, |world| {
        world.call(
            Call::new(
                people::controller_manager(),
                "update",
                LEASE,
                "kube-system",
                "kube-controller-manager",
            )
            .puts(),
        );
    });
}

fn master_lease(world: &mut World, server: usize) {
    let now = world.now;
    world.txn_put(now, &format!("/registry/masterleases/10.0.0.{}", 10 + server), Some(FOR_EVER));
}

fn peer_lease(world: &mut World, server: usize) {
    let now = world.now;
    world.txn_put(
        now,
        &format!("/registry/peerserverleases/apiserver-{server}bq7xk5w2mzr4tn6vd9h3fjg8"),
        Some(FOR_EVER),
    );
}

/// The API server's compactor: it agrees with its peers over a key outside the registry, then compacts.
fn compaction(world: &mut World, _: usize) {
    let now = world.now;
    world.txn_put(now, "compact_rev_key", None);
    let revision = world.etcd.revision() - 400;
    world.later(2 * MILLI, move |world| {
        world.say_etcd("mvcc/index.go:194", "compact tree index", &format!(r#","revision":{revision}"#));
        world.say_etcd(
            "mvcc/kvstore_compaction.go:72",
            "finished scheduled compaction",
            &format!(r#","compact-revision":{revision},"took":"4.1ms","hash":3171414513"#),
        );
    });
}

/// Reads: most of what an API server is asked.
fn reads(world: &mut World, _: usize) {
    let namespace = world.random.word(NAMESPACES);
    let name = world.random.word(WORKLOADS);
    let actor =
        if world.random.chance(50) { people::developer() } else { people::controller("endpoint-controller") };
    let verb = if world.random.chance(50) { "get" } else { "list" };
    let mut call = Call::new(actor, verb, CONFIG_MAP, namespace, if verb == "get" { name } else { "" });
    if world.random.chance(5) {
        call.code = 404;
    }
    world.call(call);
}

/// Monitoring asks the kubelet directly, as it does everywhere.
fn scrape(world: &mut World, node: usize) {
    world.kubelet_http(
        node,
        &Http {
            method: "GET",
            uri: "/metrics/cadvisor",
            agent: "Prometheus/3.5.0",
            source: "10.0.2.15:41876",
            code: Some(200),
            took: 9 * MILLI,
        },
    );
}
