//! Ways around the API server, each with what it really leaves behind.

use auditgap_records::report::Path;

use super::activity::LAST_START;
use super::call::{BINDING, CONFIG_MAP, Call, POD, SECRET, TOKEN_REVIEW};
use super::etcd::Client;
use super::node::{Exec, Http};
use super::people;
use super::pod::Pod;
use super::upkeep::{NAMESPACES, WORKLOADS};
use super::world::{World, node_name};
use super::{EtcdLog, MILLI, Options, SECOND};

type Bypass = fn(&mut World);

/// For how long a single deed leaves traces.
const BRIEF: i64 = 2 * SECOND;

/// Before this a node's log may not have its first line yet, and a log that has not begun proves nothing.
const FIRST_START: i64 = 20 * SECOND;

pub(crate) fn start(world: &mut World) {
    let visible = visible(&world.options);
    for _ in 0..world.options.bypasses {
        let Some(bypass) = world.random.pick(&visible).copied() else { return };
        let delay = world.random.between(FIRST_START, world.end - world.from - LAST_START);
        world.later(delay, bypass);
    }
}

/// The bypasses that leave a trace in what is recorded.
fn visible(options: &Options) -> Vec<Bypass> {
    let mut list: Vec<Bypass> =
        vec![ctr_run, ctr_foreign, ctr_exec, static_pod, static_pod_unseen, cri_pod, snapshot];
    if options.etcd_watch || options.etcd_log != EtcdLog::Info {
        list.extend([put_secret as Bypass, put_binding, delete_config, hidden_write, ghost_pod]);
    }
    if options.etcd_watch {
        list.push(like_the_api_server);
    }
    if options.kubelet_verbosity >= 3 {
        list.extend([kubelet_exec as Bypass, kubelet_run, kubelet_pods]);
    }
    list
}

fn etcdctl(world: &mut World) -> Client {
    let port = world.random.between(32_768, 60_999);
    let user = world.random.word(&["etcd-healthcheck-client", "backup-operator"]);
    Client { user: user.to_owned(), remote: format!("10.0.3.66:{port}"), bare: true }
}

fn somewhere(world: &mut World) -> (&'static str, &'static str) {
    (world.random.word(NAMESPACES), world.random.word(WORKLOADS))
}

fn put_secret(world: &mut World) {
    let name = format!("backdoor-{}", world.random.suffix(5));
    world.inject("a Secret put into etcd", &[Path::EtcdApi], &name, BRIEF);
    let client = etcdctl(world);
    let now = world.now;
    world.put(now, &SECRET.key("kube-system", &name), None, &client);
}

fn put_binding(world: &mut World) {
    let name = format!("cluster-helper-{}", world.random.suffix(5));
    world.inject("a ClusterRoleBinding put into etcd", &[Path::EtcdApi], &name, BRIEF);
    let client = etcdctl(world);
    let now = world.now;
    world.put(now, &BINDING.key("", &name), None, &client);
}

fn delete_config(world: &mut World) {
    let (namespace, workload) = somewhere(world);
    world.inject("a ConfigMap deleted in etcd", &[Path::EtcdApi], workload, BRIEF);
    let client = etcdctl(world);
    let now = world.now;
    let key = CONFIG_MAP.key(namespace, workload);
    world.delete(now, &key, &client);
    // Somebody misses it and makes it again, properly.
    world.later(SECOND, move |world| {
        world.call(Call::new(people::developer(), "create", CONFIG_MAP, namespace, workload).puts());
    });
}

/// A direct write a moment after a legitimate one on the same key.
fn hidden_write(world: &mut World) {
    let (namespace, workload) = somewhere(world);
    world.inject("a write hidden beside a legitimate one", &[Path::EtcdApi], workload, BRIEF);
    world.call(Call::new(people::administrator(), "patch", SECRET, namespace, workload).puts());
    let delay = world.millis(6, 900);
    world.later(delay, move |world| {
        let client = etcdctl(world);
        let now = world.now;
        world.put(now, &SECRET.key(namespace, workload), None, &client);
    });
}

/// A write with the API server's certificate and in the shape of its transactions: only the missing request tells.
fn like_the_api_server(world: &mut World) {
    let name = format!("override-{}", world.random.suffix(5));
    world.inject("a transaction like the API server's", &[Path::EtcdApi], &name, BRIEF);
    let now = world.now;
    world.txn_put(now, &CONFIG_MAP.key("kube-system", &name), None);
}

/// A Pod put into etcd: the node takes it for one of the API's.
fn ghost_pod(world: &mut World) {
    let mut pod = world.pod("default", "ghost");
    pod.probe.clear();
    world.inject("a Pod put into etcd", &[Path::EtcdApi, Path::RuntimeSocket], &pod.name, 12 * SECOND);
    let client = etcdctl(world);
    let now = world.now;
    world.put(now, &POD.key(&pod.namespace, &pod.name), None, &client);
    world.later(6 * MILLI, move |world| {
        world.kubelet(
            pod.node,
            2,
            &format!(r#"kubelet.go:2724] "SyncLoop ADD" source="api" pods=["{}"]"#, pod.full_name()),
        );
        world.patch_status(&pod);
        // No owner: nothing else picks it for its activities.
        let pod = Pod { owner: String::new(), ..pod };
        world.later(400 * MILLI, move |world| world.run_pod(pod));
    });
}

/// Who asks the kubelet directly is looked up with the API server, at times.
fn token_review(world: &mut World, node: usize) {
    let mut call = Call::new(people::node(node), "create", TOKEN_REVIEW, "", "");
    concat!(
        r#","spec":{"token":"eyJhbGciOiJSUzI1NiJ9.c3RvbGVu.c2VjcmV0"},"status":{"authenticated":true,"#,
        r#""user":{"username":"system:serviceaccount:tools:robot","groups":["system:serviceaccounts"]}}"#
    )
    .clone_into(&mut call.rest);
    world.call(call);
}

fn kubelet_request(
    world: &mut World,
    node: usize,
    method: &'static str,
    uri: String,
    code: Option<u16>,
    took: i64,
) {
    token_review(world, node);
    let port = world.random.between(32_768, 60_999);
    world.later(8 * MILLI + took, move |world| {
        let http = Http {
            method,
            uri: &uri,
            agent: "curl/8.14.1",
            source: &format!("10.0.3.66:{port}"),
            code,
            took,
        };
        world.kubelet_http(node, &http);
    });
}

fn kubelet_exec(world: &mut World) {
    let Some(pod) = world.some_pod() else { return };
    world.inject("exec on a kubelet", &[Path::KubeletApi], &pod.name, BRIEF);
    let took = world.millis(45, 600);
    let uri = format!("/exec/{}/{}/app?command=whoami&output=1&error=1", pod.namespace, pod.name);
    kubelet_request(world, pod.node, "POST", uri, None, took);
    world.later(12 * MILLI, move |world| {
        world.runtime_exec(pod.node, &pod.container, Exec::Stream, "whoami", None, took - 40 * MILLI);
    });
}

fn kubelet_run(world: &mut World) {
    let Some(pod) = world.some_pod() else { return };
    world.inject("run on a kubelet", &[Path::KubeletApi], &pod.name, BRIEF);
    let took = 48 * MILLI;
    kubelet_request(
        world,
        pod.node,
        "POST",
        format!("/run/{}/{}/app?cmd=hostname", pod.namespace, pod.name),
        Some(200),
        took,
    );
    world.later(12 * MILLI, move |world| {
        world.runtime_exec(pod.node, &pod.container, Exec::Sync, "hostname", None, 2 * MILLI);
    });
}

fn kubelet_pods(world: &mut World) {
    let node = world.random.below(world.options.nodes as u64) as usize;
    world.inject("the Pod list of a kubelet", &[Path::KubeletApi], "", BRIEF);
    kubelet_request(world, node, "GET", "/pods".to_owned(), Some(200), 3 * MILLI);
}

fn ctr_run(world: &mut World) {
    // Sixty-four hexadecimal digits look like the kubelet's containers, a word does not.
    let id = if world.random.chance(50) {
        world.random.hex(64)
    } else {
        format!("miner{}", world.random.below(99))
    };
    let named = id.chars().take(12).collect::<String>();
    world.inject("a container run in k8s.io", &[Path::RuntimeSocket], &named, BRIEF);
    let node = world.random.below(world.options.nodes as u64) as usize;
    world.runtime_starts(node, "k8s.io", &id, "registry.example.com/tools/miner:latest");
}

fn ctr_foreign(world: &mut World) {
    let namespace = world.random.word(&["default", "moby", "buildkit"]);
    let id = format!("helper{}", world.random.below(99));
    world.inject("a container run in another namespace", &[Path::RuntimeSocket], &id, BRIEF);
    let node = world.random.below(world.options.nodes as u64) as usize;
    world.runtime_starts(node, namespace, &id, "registry.example.com/tools/shell:latest");
}

fn ctr_exec(world: &mut World) {
    let Some(pod) = world.some_pod() else { return };
    // At info the log does not tell the CRI plugin's own ids from others that look the same.
    let id = if world.options.containerd_debug && world.random.chance(50) {
        world.random.hex(64)
    } else {
        format!("shell{}", world.random.below(99))
    };
    let named: String = pod.container.chars().take(12).collect();
    world.inject("an exec by ctr", &[Path::RuntimeSocket], &named, BRIEF);
    world.runtime_exec(pod.node, &pod.container, Exec::Direct, "", Some(&id), 30 * MILLI);
}

/// A static Pod as the node sees it: not from the API, with a UID that is a hash.
fn dropped_manifest(world: &mut World, namespace: &str) -> Pod {
    let mut pod = world.pod(namespace, "");
    pod.name = format!("agent{}-{}", world.random.suffix(4), node_name(pod.node));
    pod.runtime_uid = world.random.hex(32);
    pod.probe.clear();
    pod
}

fn static_pod_added(world: &mut World, pod: &Pod) {
    let full = pod.full_name();
    world.kubelet(pod.node, 2, &format!(r#"kubelet.go:2724] "SyncLoop ADD" source="file" pods=["{full}"]"#));
    world.kubelet(
        pod.node,
        0,
        &format!(r#"kubelet.go:3514] "Creating a mirror pod for static pod" pod="{full}""#),
    );
}

/// A manifest dropped into the folder of static Pods; the node mirrors it in the API.
fn static_pod(world: &mut World) {
    let pod = dropped_manifest(world, "kube-system");
    world.inject("a static Pod", &[Path::StaticPod], &pod.name, 12 * SECOND);
    static_pod_added(world, &pod);
    let mut call = Call::new(people::node(pod.node), "create", POD, &pod.namespace, &pod.name).of(&pod.uid);
    call.reference_uid.clone_from(&pod.runtime_uid);
    call.rest = pod.spec();
    world.later(MILLI, move |world| world.call(call.puts()));
    world.later(9 * MILLI, {
        let pod = pod.clone();
        move |world| {
            world.kubelet(
                pod.node,
                2,
                &format!(r#"kubelet.go:2724] "SyncLoop ADD" source="api" pods=["{}"]"#, pod.full_name()),
            );
        }
    });
    world.later(300 * MILLI, move |world| world.run_pod(pod));
}

/// A static Pod of a namespace that does not exist: it runs, and the API never knows.
fn static_pod_unseen(world: &mut World) {
    let pod = dropped_manifest(world, "nowhere");
    world.inject("a static Pod without a mirror", &[Path::StaticPod], &pod.name, 12 * SECOND);
    static_pod_added(world, &pod);
    let mut call = Call::new(people::node(pod.node), "create", POD, &pod.namespace, &pod.name).answered(404);
    call.reference_uid.clone_from(&pod.runtime_uid);
    world.later(MILLI, move |world| world.call(call));
    let line = format!(
        r#"kubelet.go:3516] "Failed creating a mirror pod" err="namespaces \"nowhere\" not found" pod="{}""#,
        pod.full_name()
    );
    let node = pod.node;
    world.later(6 * MILLI, move |world| world.kubelet_error(node, &line));
    world.later(300 * MILLI, move |world| {
        // The API server refuses its status, too: only the runtime's side goes on.
        let id = pod.sandbox.clone();
        world.containerd(
            node,
            &format!(
                "RunPodSandbox for &PodSandboxMetadata{{Name:{},Uid:{},Namespace:nowhere,Attempt:0,}}",
                pod.name, pod.runtime_uid
            ),
        );
        world.runtime_starts(node, "k8s.io", &id, "registry.k8s.io/pause:3.10");
        world.later(70 * MILLI, move |world| {
            world.containerd(
                node,
                &format!(
                    "RunPodSandbox for &PodSandboxMetadata{{Name:{},Uid:{},Namespace:nowhere,Attempt:0,}} returns sandbox id \"{id}\"",
                    pod.name, pod.runtime_uid
                ),
            );
        });
    });
}

/// A sandbox through CRI: containerd logs it as if a kubelet had asked, and the kubelet knows nothing of it.
fn cri_pod(world: &mut World) {
    let mut pod = world.pod("shop", "rogue");
    pod.probe.clear();
    world.inject("a sandbox run through CRI", &[Path::RuntimeSocket], &pod.name, 6 * SECOND);
    let node = pod.node;
    let metadata =
        format!("&PodSandboxMetadata{{Name:{},Uid:{},Namespace:shop,Attempt:0,}}", pod.name, pod.uid);
    world.containerd(node, &format!("RunPodSandbox for {metadata}"));
    world.runtime_starts(node, "k8s.io", &pod.sandbox, "registry.k8s.io/pause:3.10");
    let (sandbox, uid) = (pod.sandbox.clone(), pod.uid.clone());
    world.later(70 * MILLI, move |world| {
        world.containerd(node, &format!(r#"RunPodSandbox for {metadata} returns sandbox id "{sandbox}""#));
    });
    world.later(2 * SECOND, move |world| {
        let line = format!(
            r#"kubelet_pods.go:1414] "Clean up containers for orphaned pod we had not seen before" podUID="{uid}" killPodOptions="<internal error: json: unsupported type: chan<- struct {{}}>""#
        );
        world.kubelet(node, 2, &line);
        world.runtime_stops_sandbox(&pod);
    });
}

fn snapshot(world: &mut World) {
    world.inject("a snapshot of etcd", &[Path::EtcdApi], "", BRIEF);
    world.say_etcd(
        "v3rpc/maintenance.go:160",
        "sending database snapshot to client",
        r#","total-bytes":1404928,"size":"1.4 MB","storage-version":"3.6.0""#,
    );
}
