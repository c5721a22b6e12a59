//! The life of a Pod, from the controller that makes it to the node that buries it.

use super::call::{Call, EVENT, POD};
use super::node::Exec;
use super::people;
use super::world::World;
use super::{MICRO, MILLI, SECOND};

const IMAGE: &str = "registry.example.com/shop/web:1.9";
const PAUSE: &str = "registry.k8s.io/pause:3.10";
/// How long an Event lives in this cluster. Short, so that expiry is seen within a history.
const EVENT_LIFE: i64 = 75 * SECOND;

/// A Pod.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) number: u64,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// UID in the API.
    pub(crate) uid: String,
    /// UID that the runtime is told: differs for static Pods.
    pub(crate) runtime_uid: String,
    pub(crate) node: usize,
    /// ReplicaSet that it belongs to.
    pub(crate) owner: String,
    /// Words of its liveness probe; empty if it has none.
    pub(crate) probe: Vec<&'static str>,
    pub(crate) sandbox: String,
    pub(crate) container: String,
    pub(crate) attempt: u32,
    /// It was there before the recording.
    pub(crate) old: bool,
}

impl Pod {
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// It is no bypass: one of a workload, or a static Pod of the baseline.
    pub(crate) fn is_proper(&self) -> bool {
        self.old || !self.owner.is_empty()
    }

    fn metadata(&self) -> String {
        format!(
            "&PodSandboxMetadata{{Name:{},Uid:{},Namespace:{},Attempt:0,}}",
            self.name, self.runtime_uid, self.namespace
        )
    }

    /// The Pod's spec and owner as JSON, to follow its metadata.
    pub(crate) fn spec(&self) -> String {
        let probe = if self.probe.is_empty() {
            String::new()
        } else {
            let words: Vec<String> = self.probe.iter().map(|word| format!("\"{word}\"")).collect();
            format!(
                r#","livenessProbe":{{"exec":{{"command":[{}]}},"periodSeconds":10,"timeoutSeconds":1}}"#,
                words.join(",")
            )
        };
        format!(
            r#","spec":{{"containers":[{{"name":"app","image":"{IMAGE}"{probe}}}],"nodeName":"{}"}}"#,
            super::world::node_name(self.node)
        )
    }
}

impl World {
    /// A Pod that nobody has made yet.
    pub(crate) fn pod(&mut self, namespace: &str, owner: &str) -> Pod {
        const PROBES: &[&[&str]] =
            &[&[], &["cat", "/tmp/healthy"], &["/bin/sh", "-c", "wget -qO- localhost:8080/ready"]];
        let suffix = self.random.suffix(5);
        let uid = self.random.uid();
        Pod {
            number: self.number(),
            namespace: namespace.to_owned(),
            name: format!("{owner}-{suffix}"),
            runtime_uid: uid.clone(),
            uid,
            node: self.random.below(self.options.nodes as u64) as usize,
            owner: owner.to_owned(),
            probe: self.random.pick(PROBES).map(|words| words.to_vec()).unwrap_or_default(),
            sandbox: self.random.hex(64),
            container: self.random.hex(64),
            attempt: 0,
            old: false,
        }
    }

    /// Some running Pod of a workload.
    pub(crate) fn some_pod(&mut self) -> Option<Pod> {
        let numbers: Vec<u64> = self
            .pods
            .values()
            .filter(|pod| !pod.owner.is_empty() && pod.namespace != "doomed")
            .map(|pod| pod.number)
            .collect();
        let number = self.random.pick(&numbers).copied()?;
        self.pods.get(&number).cloned()
    }

    /// An Event about something, which expires.
    pub(crate) fn event(&mut self, actor: people::Actor, namespace: &str, about: &str) {
        let name = format!("{about}.{}", self.random.hex(16));
        let uid = self.random.uid();
        let mut call = Call::new(actor, "create", EVENT, namespace, &name).of(&uid);
        call.writes.push(super::call::Write::PutFor(EVENT.key(namespace, &name), EVENT_LIFE));
        self.call(call);
    }

    /// A controller makes a Pod with a generated name, the scheduler binds it, the node runs it.
    pub(crate) fn create_pod(&mut self, pod: Pod) {
        let mut call =
            Call::new(people::controller("replicaset-controller"), "create", POD, &pod.namespace, "");
        call.made.clone_from(&pod.name);
        call.rest = pod.spec();
        self.call(call.of(&pod.uid).puts());
        let owner = pod.owner.clone();
        let namespace = pod.namespace.clone();
        self.later(7 * MILLI, move |world| {
            world.event(people::controller("replicaset-controller"), &namespace, &owner);
        });
        self.later(9 * MILLI, move |world| world.bind_pod(pod));
    }

    fn bind_pod(&mut self, pod: Pod) {
        let mut call = Call::new(people::scheduler(), "create", POD, &pod.namespace, &pod.name)
            .on("binding")
            .of(&pod.uid)
            .with_status();
        call.reference_uid.clone_from(&pod.uid);
        self.call(call.puts());
        let (namespace, name) = (pod.namespace.clone(), pod.name.clone());
        self.later(8 * MILLI, move |world| world.event(people::scheduler(), &namespace, &name));
        self.later(6 * MILLI, move |world| {
            let line =
                format!(r#"kubelet.go:2724] "SyncLoop ADD" source="api" pods=["{}"]"#, pod.full_name());
            world.kubelet(pod.node, 2, &line);
            world.patch_status(&pod);
            let delay = world.millis(300, 600);
            world.later(delay, move |world| world.run_pod(pod));
        });
    }

    /// The node reports a Pod's status.
    pub(crate) fn patch_status(&mut self, pod: &Pod) {
        let pod = pod.clone();
        self.later(6 * MILLI, move |world| {
            // The API server has no status to patch of a Pod that is gone.
            if world.etcd.revision_of(&POD.key(&pod.namespace, &pod.name)).is_none() {
                return;
            }
            let call = Call::new(people::node(pod.node), "patch", POD, &pod.namespace, &pod.name)
                .on("status")
                .of(&pod.uid);
            world.call(call.puts());
        });
    }

    /// The node starts a Pod's sandbox and container.
    pub(crate) fn run_pod(&mut self, pod: Pod) {
        let node = pod.node;
        self.containerd(node, &format!("RunPodSandbox for {}", pod.metadata()));
        self.later(3 * MILLI, move |world| {
            world.runtime_starts(node, "k8s.io", &pod.sandbox, PAUSE);
            world.later(65 * MILLI, move |world| {
                world.containerd(
                    node,
                    &format!(r#"RunPodSandbox for {} returns sandbox id "{}""#, pod.metadata(), pod.sandbox),
                );
                let line = format!(
                    r#"kuberuntime_manager.go:1622] "Created PodSandbox for pod" podSandboxID="{}" pod="{}""#,
                    pod.sandbox,
                    pod.full_name()
                );
                world.kubelet(node, 4, &line);
                world.later(5 * MILLI, move |world| world.run_container(pod));
            });
        });
    }

    /// The node makes and starts a container in a Pod's sandbox.
    pub(crate) fn run_container(&mut self, pod: Pod) {
        let node = pod.node;
        let metadata = format!("&ContainerMetadata{{Name:app,Attempt:{},}}", pod.attempt);
        self.containerd(
            node,
            &format!(r#"CreateContainer within sandbox "{}" for container {metadata}"#, pod.sandbox),
        );
        self.runtime_starts(node, "k8s.io", &pod.container, IMAGE);
        self.later(12 * MILLI, move |world| {
            world.containerd(
                node,
                &format!(
                    r#"CreateContainer within sandbox "{}" for {metadata} returns container id "{}""#,
                    pod.sandbox, pod.container
                ),
            );
            world.containerd(node, &format!(r#"StartContainer for "{}""#, pod.container));
            world.later(60 * MILLI, move |world| world.container_started(pod));
        });
    }

    fn container_started(&mut self, pod: Pod) {
        self.containerd(pod.node, &format!(r#"StartContainer for "{}" returns successfully"#, pod.container));
        for id in [&pod.container, &pod.sandbox] {
            self.pleg(&pod, "ContainerStarted", id);
        }
        self.patch_status(&pod);
        let (node, namespace, name) = (pod.node, pod.namespace.clone(), pod.name.clone());
        self.event(people::node(node), &namespace, &name);
        let (number, attempt) = (pod.number, pod.attempt);
        let probed = !pod.probe.is_empty();
        self.pods.insert(number, pod);
        if probed {
            let delay = self.millis(2_000, 10_000);
            self.later(delay, move |world| world.probe(number, attempt));
        }
    }

    fn pleg(&mut self, pod: &Pod, event: &str, container: &str) {
        let line = format!(
            r#"kubelet.go:2752] "SyncLoop (PLEG): event for pod" pod="{}" event={{"ID":"{}","Type":"{event}","Data":"{container}"}}"#,
            pod.full_name(),
            pod.runtime_uid
        );
        self.kubelet(pod.node, 2, &line);
    }

    /// A liveness probe that executes something, every ten seconds as long as the container lives.
    pub(crate) fn probe(&mut self, number: u64, attempt: u32) {
        let Some(pod) = self.pods.get(&number).filter(|pod| pod.attempt == attempt).cloned() else { return };
        if self.now >= self.end {
            return;
        }
        let words: Vec<String> = pod.probe.iter().map(|word| format!("\"{word}\"")).collect();
        let line = format!(
            r#"prober.go:156] "Exec-Probe runProbe" pod="{}" containerName="app" execCommand=[{}]"#,
            pod.full_name(),
            words.join(",")
        );
        self.kubelet(pod.node, 4, &line);
        let container = pod.container.clone();
        let command = pod.probe.join(" ");
        self.later(500 * MICRO, move |world| {
            world.runtime_exec(pod.node, &container, Exec::Sync, &command, None, MILLI);
        });
        self.later(10 * SECOND, move |world| world.probe(number, attempt));
    }

    /// A Pod's container ends by itself and is started again.
    pub(crate) fn crash(&mut self, number: u64) {
        let Some(mut pod) = self.pods.remove(&number) else { return };
        self.runtime_exits(pod.node, "k8s.io", &pod.container, 1);
        self.later(800 * MILLI, move |world| {
            world.pleg(&pod, "ContainerDied", &pod.container);
            world.patch_status(&pod);
            pod.attempt += 1;
            pod.container = world.random.hex(64);
            world.later(SECOND, move |world| world.run_container(pod));
        });
    }

    /// Somebody deletes a Pod with its grace period; the node then kills it and deletes it for good.
    pub(crate) fn delete_pod(&mut self, number: u64, actor: people::Actor) {
        let Some(pod) = self.pods.remove(&number) else { return };
        self.call(Call::new(actor, "delete", POD, &pod.namespace, &pod.name).of(&pod.uid).puts());
        self.later(12 * MILLI, move |world| world.kill_pod(pod));
    }

    /// The node kills a Pod whose deletion has begun.
    pub(crate) fn kill_pod(&mut self, pod: Pod) {
        let node = pod.node;
        self.kubelet(
            node,
            2,
            &format!(r#"kubelet.go:2740] "SyncLoop DELETE" source="api" pods=["{}"]"#, pod.full_name()),
        );
        self.stop_container(&pod);
        self.later(1_400 * MILLI, move |world| {
            world.stop_sandbox(&pod);
            world.patch_status(&pod);
            world.later(700 * MILLI, move |world| {
                let call =
                    Call::new(people::node(node), "delete", POD, &pod.namespace, &pod.name).of(&pod.uid);
                world.call(call.puts().deletes());
                world.later(9 * MILLI, move |world| world.bury(&pod));
            });
        });
    }

    /// The node stops a Pod's container.
    pub(crate) fn stop_container(&mut self, pod: &Pod) {
        let line = format!(
            r#"kuberuntime_container.go:915] "Killing container with a grace period" pod="{}" podUID="{}" containerName="app" containerID="containerd://{}" gracePeriod=30"#,
            pod.full_name(),
            pod.runtime_uid,
            pod.container
        );
        self.kubelet(pod.node, 2, &line);
        let pod = pod.clone();
        self.later(4 * MILLI, move |world| {
            world.containerd(
                pod.node,
                &format!(r#"StopContainer for "{}" with timeout 30 (s)"#, pod.container),
            );
            world.containerd(
                pod.node,
                &format!(r#"Stop container "{}" with signal terminated"#, pod.container),
            );
            world.later(1_200 * MILLI, move |world| {
                world.runtime_exits(pod.node, "k8s.io", &pod.container, 143);
                world.later(35 * MILLI, move |world| {
                    world.containerd(
                        pod.node,
                        &format!(r#"StopContainer for "{}" returns successfully"#, pod.container),
                    );
                });
            });
        });
    }

    /// The node stops the sandbox of a Pod that it knows.
    pub(crate) fn stop_sandbox(&mut self, pod: &Pod) {
        self.pleg(pod, "ContainerDied", &pod.container);
        self.pleg(pod, "ContainerDied", &pod.sandbox);
        self.runtime_stops_sandbox(pod);
    }

    /// A sandbox is stopped through CRI: the runtime's side.
    pub(crate) fn runtime_stops_sandbox(&mut self, pod: &Pod) {
        self.containerd(pod.node, &format!(r#"StopPodSandbox for "{}""#, pod.sandbox));
        self.runtime_exits(pod.node, "k8s.io", &pod.sandbox, 137);
        let pod = pod.clone();
        self.later(30 * MILLI, move |world| {
            world.containerd(
                pod.node,
                &format!(r#"StopPodSandbox for "{}" returns successfully"#, pod.sandbox),
            );
        });
    }

    /// The node removes what is left of a Pod.
    pub(crate) fn bury(&mut self, pod: &Pod) {
        let node = pod.node;
        self.kubelet(
            node,
            2,
            &format!(r#"kubelet.go:2740] "SyncLoop DELETE" source="api" pods=["{}"]"#, pod.full_name()),
        );
        self.kubelet(
            node,
            2,
            &format!(r#"kubelet.go:2734] "SyncLoop REMOVE" source="api" pods=["{}"]"#, pod.full_name()),
        );
        self.containerd(node, &format!(r#"RemoveContainer for "{}""#, pod.container));
        self.runtime_event(node, "k8s.io", "/containers/delete", &format!(r#""id":"{}""#, pod.container));
        self.containerd(node, &format!(r#"RemoveContainer for "{}" returns successfully"#, pod.container));
        let sandbox = pod.sandbox.clone();
        self.later(20 * SECOND, move |world| {
            world.containerd(node, &format!(r#"RemovePodSandbox for "{sandbox}""#));
            world.runtime_event(node, "k8s.io", "/containers/delete", &format!(r#""id":"{sandbox}""#));
            world.containerd(node, &format!(r#"RemovePodSandbox "{sandbox}" returns successfully"#));
        });
    }
}
