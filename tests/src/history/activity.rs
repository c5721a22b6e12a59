//! What people and controllers do to a healthy cluster. All of it must be explained.

use super::call::{
    CONFIG_MAP, Call, DEPLOYMENT, ENDPOINT_SLICE, IP_ADDRESS, NAMESPACE, POD, REPLICA_SET, SECRET, SERVICE,
    SERVICE_ACCOUNT, WIDGET, Write,
};
use super::node::{Exec, Http};
use super::people;
use super::upkeep::{NAMESPACES, WORKLOADS};
use super::world::World;
use super::{MILLI, SECOND};
use crate::random::Random;

/// No activity begins so shortly before the end that its consequences could be cut off.
pub(crate) const LAST_START: i64 = 45 * SECOND;

type Activity = fn(&mut World);

const ACTIVITIES: &[Activity] = &[
    rollout,
    rollout,
    rollout,
    crash,
    exec,
    exec,
    logs,
    port_forward,
    evict,
    force_delete,
    secrets,
    config,
    config,
    no_op,
    dry_run,
    conflict,
    forbidden,
    absent,
    service,
    widget,
    collection,
    pull_image,
];

/// Things that happen at most once in a history.
const ONCE: &[Activity] = &[namespace_comes_and_goes, kubelet_restart, api_server_restart];

pub(crate) fn start(world: &mut World) {
    world.later(SECOND, next);
    for activity in ONCE {
        if world.random.chance(50) {
            let delay = world.random.between(3 * SECOND, world.end - world.from - LAST_START);
            let activity = *activity;
            world.later(delay, activity);
        }
    }
}

fn next(world: &mut World) {
    if world.now >= world.end - LAST_START {
        return;
    }
    if let Some(activity) = world.random.pick(ACTIVITIES).copied() {
        activity(world);
    }
    let delay = world.millis(400, 3_500);
    world.later(delay, next);
}

fn place(random: &mut Random) -> (&'static str, &'static str) {
    (random.word(NAMESPACES), random.word(WORKLOADS))
}

/// A person patches a Deployment; its controller makes a ReplicaSet, new Pods come and old ones go.
fn rollout(world: &mut World) {
    let (namespace, workload) = place(&mut world.random);
    world.call(Call::new(people::developer(), "patch", DEPLOYMENT, namespace, workload).puts());
    let owner = format!("{workload}-{}", world.random.suffix(9));
    let old = world.some_pod().filter(|pod| pod.namespace == namespace);
    world.later(12 * MILLI, move |world| {
        let controller = people::controller("deployment-controller");
        let uid = world.random.uid();
        world.call(Call::new(controller.clone(), "create", REPLICA_SET, namespace, &owner).of(&uid).puts());
        world.event(controller.clone(), namespace, workload);
        world.call(
            Call::new(controller.clone(), "update", DEPLOYMENT, namespace, workload)
                .on("status")
                .answered(409),
        );
        world.later(15 * MILLI, move |world| {
            world.call(Call::new(controller, "update", DEPLOYMENT, namespace, workload).on("status").puts());
            // Several in one burst: creates without a name, to be told apart by count.
            for _ in 0..world.random.between(1, 3) {
                let pod = world.pod(namespace, &owner);
                world.create_pod(pod);
            }
            let replica_sets = people::controller("replicaset-controller");
            world.later(30 * MILLI, {
                let owner = owner.clone();
                move |world| {
                    world.call(
                        Call::new(replica_sets, "update", REPLICA_SET, namespace, &owner).on("status").puts(),
                    );
                }
            });
            if let Some(old) = old {
                world.later(3 * SECOND, move |world| {
                    world.delete_pod(old.number, people::controller("replicaset-controller"));
                });
            }
        });
    });
}

fn crash(world: &mut World) {
    if let Some(pod) = world.some_pod() {
        world.crash(pod.number);
    }
}

/// `kubectl exec`: WebSocket since 1.31 (audit verb `get`), SPDY before (`create`).
fn exec(world: &mut World) {
    let Some(pod) = world.some_pod() else { return };
    let websocket = world.random.chance(70);
    let (words, audit_query, kubelet_query) = *world
        .random
        .pick(&[
            ("id", "command=id", "command=id"),
            ("cat /etc/passwd", "command=cat&command=%2Fetc%2Fpasswd", "command=cat&command=%2Fetc%2Fpasswd"),
            ("sh -c ls /", "command=sh&command=-c&command=ls+%2F", "command=sh&command=-c&command=ls+%2F"),
        ])
        .unwrap_or(&("id", "command=id", "command=id"));
    let lasting = world.millis(5, 3_000);
    let mut call = Call::new(
        people::developer(),
        if websocket { "get" } else { "create" },
        POD,
        &pod.namespace,
        &pod.name,
    )
    .on("exec")
    .answered(101);
    call.query = format!("?{audit_query}&container=app&stderr=true&stdout=true");
    let uri = format!("/exec/{}/{}/app?{kubelet_query}&error=1&output=1", pod.namespace, pod.name);
    let took = lasting + 40 * MILLI;
    stream(world, &call, pod.node, if websocket { "GET" } else { "POST" }, uri, took);
    world.later(4 * MILLI, move |world| {
        world.runtime_exec(pod.node, &pod.container, Exec::Stream, words, None, lasting);
    });
}

fn port_forward(world: &mut World) {
    let Some(pod) = world.some_pod() else { return };
    let call =
        Call::new(people::developer(), "get", POD, &pod.namespace, &pod.name).on("portforward").answered(101);
    let took = world.millis(200, 4_000);
    stream(world, &call, pod.node, "GET", format!("/portForward/{}/{}", pod.namespace, pod.name), took);
}

/// A stream through the API server: it begins at the kubelet a little later, and each says so in its own way.
fn stream(world: &mut World, call: &Call, node: usize, method: &'static str, uri: String, took: i64) {
    let received = world.now;
    let answered = received + world.millis(5, 9);
    let begin = world.millis(2, 5);
    let agent = call.actor.agent.clone();
    let port = world.random.between(32_768, 60_999);
    let end = received + begin + took;
    let closed = end + world.millis(-1, 4);
    world.audit_stream(call, received, answered, closed);
    world.later(begin + took, move |world| {
        let http =
            Http { method, uri: &uri, agent: &agent, source: &format!("10.0.0.10:{port}"), code: None, took };
        world.kubelet_http(node, &http);
    });
}

fn logs(world: &mut World) {
    let Some(pod) = world.some_pod() else { return };
    let mut call = Call::new(people::developer(), "get", POD, &pod.namespace, &pod.name).on("log");
    "?container=app&tailLines=5".clone_into(&mut call.query);
    let received = world.now;
    let (begin, took) = (world.millis(1, 3), world.millis(2, 4));
    world.audit_stream(&call, received, received + begin + took + MILLI, received + begin + took + 2 * MILLI);
    world.later(begin + took, move |world| {
        let uri = format!("/containerLogs/{}/{}/app?tailLines=5", pod.namespace, pod.name);
        let http = Http {
            method: "GET",
            uri: &uri,
            agent: "Go-http-client/1.1",
            source: "10.0.0.10:59106",
            code: Some(200),
            took,
        };
        world.kubelet_http(pod.node, &http);
    });
}

/// An eviction writes its Pod twice: a condition, then the deletion.
fn evict(world: &mut World) {
    let Some(pod) = world.some_pod() else { return };
    world.pods.remove(&pod.number);
    let call = Call::new(people::administrator(), "create", POD, &pod.namespace, &pod.name)
        .on("eviction")
        .of(&pod.uid)
        .with_status();
    world.call(call.puts().puts());
    world.later(14 * MILLI, move |world| world.kill_pod(pod));
}

/// `kubectl delete --force`: gone from etcd at once, the node follows.
fn force_delete(world: &mut World) {
    let Some(pod) = world.some_pod() else { return };
    world.pods.remove(&pod.number);
    let call = Call::new(people::developer(), "delete", POD, &pod.namespace, &pod.name).of(&pod.uid);
    world.call(call.puts().deletes());
    world.later(12 * MILLI, move |world| {
        let line = format!(r#"kubelet.go:2740] "SyncLoop DELETE" source="api" pods=["{}"]"#, pod.full_name());
        world.kubelet(pod.node, 2, &line);
        world.stop_container(&pod);
        world.later(1_400 * MILLI, move |world| {
            world.stop_sandbox(&pod);
            world.later(100 * MILLI, move |world| {
                world.bury(&pod);
                let call = Call::new(people::node(pod.node), "delete", POD, &pod.namespace, &pod.name);
                world.call(call.answered(404));
            });
        });
    });
}

fn secrets(world: &mut World) {
    let (namespace, workload) = place(&mut world.random);
    world.call(Call::new(people::administrator(), "update", SECRET, namespace, workload).puts());
}

fn config(world: &mut World) {
    let (namespace, _) = place(&mut world.random);
    let name = format!("flags-{}", world.random.suffix(5));
    let uid = world.random.uid();
    world.call(Call::new(people::developer(), "create", CONFIG_MAP, namespace, &name).of(&uid).puts());
    let updates = world.random.between(0, 4);
    let mut delay = 0;
    for _ in 0..updates {
        delay += world.millis(20, 900);
        let name = name.clone();
        world.later(delay, move |world| {
            world.call(Call::new(people::developer(), "patch", CONFIG_MAP, namespace, &name).puts());
        });
    }
    delay += world.millis(50, 5_000);
    world.later(delay, move |world| {
        let call =
            Call::new(people::developer(), "delete", CONFIG_MAP, namespace, &name).of(&uid).with_status();
        world.call(call.deletes());
    });
}

/// A patch that changes nothing: 200, the old revision, no transaction.
fn no_op(world: &mut World) {
    let (namespace, workload) = place(&mut world.random);
    world.call(Call::new(people::developer(), "patch", CONFIG_MAP, namespace, workload));
}

fn dry_run(world: &mut World) {
    let (namespace, _) = place(&mut world.random);
    let name = format!("draft-{}", world.random.suffix(5));
    let mut call = Call::new(people::developer(), "create", CONFIG_MAP, namespace, &name);
    "?dryRun=All&fieldManager=kubectl-create".clone_into(&mut call.query);
    world.call(call);
}

fn conflict(world: &mut World) {
    let (namespace, workload) = place(&mut world.random);
    world.call(Call::new(people::developer(), "update", CONFIG_MAP, namespace, workload).answered(409));
    world.later(8 * MILLI, move |world| {
        world.call(Call::new(people::developer(), "update", CONFIG_MAP, namespace, workload).puts());
    });
}

fn forbidden(world: &mut World) {
    let (namespace, workload) = place(&mut world.random);
    world.call(Call::new(people::developer(), "delete", SECRET, namespace, workload).answered(403));
}

fn absent(world: &mut World) {
    let (namespace, _) = place(&mut world.random);
    world.call(Call::new(people::developer(), "delete", CONFIG_MAP, namespace, "never-was").answered(404));
}

/// A Service comes and goes; the API server allots its port and address below its request.
fn service(world: &mut World) {
    let (namespace, _) = place(&mut world.random);
    let name = format!("front-{}", world.random.suffix(4));
    let uid = world.random.uid();
    let mut call = Call::new(people::developer(), "create", SERVICE, namespace, &name).of(&uid);
    call.writes.push(Write::Put("/registry/ranges/servicenodeports".to_owned()));
    let address = format!("10.96.{}.{}", world.random.below(250), world.random.below(250));
    let (slice, slice_uid) = (format!("{name}-{}", world.random.suffix(5)), world.random.uid());
    world.call(call.puts());
    world.call(Call::new(people::api_server(), "create", IP_ADDRESS, "", &address).puts());
    let mut make_slice =
        Call::new(people::controller("endpointslice-controller"), "create", ENDPOINT_SLICE, namespace, "")
            .of(&slice_uid);
    make_slice.made.clone_from(&slice);
    world.later(11 * MILLI, move |world| world.call(make_slice.puts()));
    let delay = world.millis(2_000, 8_000);
    world.later(delay, move |world| {
        let mut call = Call::new(people::developer(), "delete", SERVICE, namespace, &name).of(&uid);
        call = call.deletes();
        call.writes.push(Write::Put("/registry/ranges/servicenodeports".to_owned()));
        world.call(call);
        world.call(
            Call::new(people::api_server(), "delete", IP_ADDRESS, "", &address).with_status().deletes(),
        );
        world.later(13 * MILLI, move |world| {
            let collector = people::controller("generic-garbage-collector");
            let call = Call::new(collector, "delete", ENDPOINT_SLICE, namespace, &slice)
                .of(&slice_uid)
                .with_status();
            world.call(call.deletes());
        });
    });
}

/// A custom resource: its group is in its key.
fn widget(world: &mut World) {
    let (namespace, _) = place(&mut world.random);
    let name = format!("widget-{}", world.random.suffix(5));
    let uid = world.random.uid();
    world.call(Call::new(people::developer(), "create", WIDGET, namespace, &name).of(&uid).puts());
    let delay = world.millis(30, 2_000);
    world.later(delay, move |world| {
        world.call(Call::new(people::developer(), "patch", WIDGET, namespace, &name).of(&uid).puts());
    });
}

/// `kubectl delete configmaps -l …`: one request, many deletes.
fn collection(world: &mut World) {
    let (namespace, _) = place(&mut world.random);
    let tag = world.random.suffix(4);
    let count = world.random.between(1, 6);
    let names: Vec<String> = (0..count).map(|index| format!("batch-{tag}-{index}")).collect();
    for name in &names {
        world.call(Call::new(people::developer(), "create", CONFIG_MAP, namespace, name).puts());
    }
    world.later(SECOND, move |world| {
        let mut call = Call::new(people::developer(), "deletecollection", CONFIG_MAP, namespace, "");
        call.query = format!("?labelSelector=batch%3D{tag}");
        call.writes = names.iter().map(|name| Write::Delete(CONFIG_MAP.key(namespace, name))).collect();
        world.call(call);
    });
}

fn namespace_comes_and_goes(world: &mut World) {
    const DOOMED: &str = "doomed";
    let uid = world.random.uid();
    world.call(Call::new(people::administrator(), "create", NAMESPACE, "", DOOMED).of(&uid).puts());
    world.later(20 * MILLI, |world| {
        let controller = people::controller("service-account-controller");
        world.call(Call::new(controller, "create", SERVICE_ACCOUNT, DOOMED, "default").puts());
        for name in ["one", "two", "three"] {
            world.call(Call::new(people::developer(), "create", CONFIG_MAP, DOOMED, name).puts());
        }
    });
    world.later(6 * SECOND, move |world| {
        world.call(Call::new(people::administrator(), "delete", NAMESPACE, "", DOOMED).of(&uid).puts());
        world.later(5 * SECOND, move |world| {
            let controller = || people::controller("namespace-controller");
            world.call(Call::new(controller(), "update", NAMESPACE, "", DOOMED).on("status").of(&uid).puts());
            for kind in [CONFIG_MAP, SERVICE_ACCOUNT, SECRET] {
                let mut call = Call::new(controller(), "deletecollection", kind, DOOMED, "");
                let folder = format!("/registry/{}/{DOOMED}/", kind.folder);
                call.writes = world.etcd.keys_below(&folder).map(|key| Write::Delete(key.clone())).collect();
                world.call(call);
            }
            world.later(60 * MILLI, move |world| {
                // The last finalizer is gone: the update deletes, and answers with what it read.
                world.call(
                    Call::new(controller(), "update", NAMESPACE, "", DOOMED)
                        .on("finalize")
                        .of(&uid)
                        .deletes(),
                );
            });
        });
    });
}

/// A kubelet restarts: all its Pods are added again.
fn kubelet_restart(world: &mut World) {
    let node = world.random.below(world.options.nodes as u64) as usize;
    world.kubelet(node, 0, r#"server.go:545] "Kubelet version" kubeletVersion="v1.34.1""#);
    world.kubelet(node, 0, r#"kubelet.go:397] "Adding static pod path" path="/etc/kubernetes/manifests""#);
    world.later(200 * MILLI, move |world| {
        world.kubelet(node, 0, r#"server.go:193] "Starting to listen" address="0.0.0.0" port=10250"#);
        world.kubelet(node, 0, r#"server.go:1291] "Started kubelet""#);
        let here: Vec<_> =
            world.pods.values().filter(|pod| pod.node == node && pod.is_proper()).cloned().collect();
        for pod in here.iter().filter(|pod| pod.owner.is_empty()) {
            let line =
                format!(r#"kubelet.go:2724] "SyncLoop ADD" source="file" pods=["{}"]"#, pod.full_name());
            world.kubelet(node, 2, &line);
            world.kubelet(
                node,
                0,
                &format!(
                    r#"kubelet.go:3514] "Creating a mirror pod for static pod" pod="{}""#,
                    pod.full_name()
                ),
            );
            let mut call =
                Call::new(people::node(node), "create", POD, &pod.namespace, &pod.name).answered(409);
            call.reference_uid.clone_from(&pod.runtime_uid);
            world.call(call);
        }
        let names: Vec<String> = here.iter().map(|pod| format!("\"{}\"", pod.full_name())).collect();
        let line = format!(r#"kubelet.go:2724] "SyncLoop ADD" source="api" pods=[{}]"#, names.join(","));
        world.later(300 * MILLI, move |world| world.kubelet(node, 2, &line));
    });
}

/// An API server goes: its lease is deleted by itself, and put again when it is back.
fn api_server_restart(world: &mut World) {
    let now = world.now;
    world.txn_delete(now, "/registry/masterleases/10.0.0.10");
}

/// A kubelet pulls an image for a Pod.
fn pull_image(world: &mut World) {
    let node = world.random.below(world.options.nodes as u64) as usize;
    let image = format!("registry.example.com/shop/job:{}", world.random.below(90));
    let pod = world.pod("shop", "job");
    let full = pod.full_name();
    world.kubelet(node, 3, &format!(r#"event.go:389] "Event occurred" object="{full}" fieldPath="spec.containers{{app}}" kind="Pod" apiVersion="v1" type="Normal" reason="Pulling" message="Pulling image \"{image}\"""#));
    world.containerd(node, &format!(r#"PullImage "{image}""#));
    world.later(900 * MILLI, move |world| {
        let digest = world.random.hex(64);
        world.runtime_event(
            node,
            "k8s.io",
            "/images/create",
            &format!(r#""name":"{image}","labels":{{"io.cri-containerd.image":"managed"}}"#),
        );
        world.containerd(node, &format!(r#"PullImage "{image}" returns image reference "sha256:{digest}""#));
    });
}
