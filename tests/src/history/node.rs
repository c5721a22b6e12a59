//! What a node's components say: the kubelet, containerd, and containerd's events.

use super::stamp;
use super::world::{Stream, World};
use super::{MICRO, MILLI};

/// Where a call of the kubelet's exec family comes from.
#[derive(Clone, Debug)]
pub(crate) struct Http<'a> {
    pub(crate) method: &'a str,
    pub(crate) uri: &'a str,
    pub(crate) agent: &'a str,
    pub(crate) source: &'a str,
    /// Status; `None` for a stream.
    pub(crate) code: Option<u16>,
    pub(crate) took: i64,
}

/// How something is run in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exec {
    /// CRI `ExecSync`: probes, hooks, `/run`.
    Sync,
    /// CRI `Exec`: streams.
    Stream,
    /// containerd's own API: the CRI plugin knows nothing.
    Direct,
}

impl World {
    /// A line of a kubelet's log, if its verbosity has it.
    pub(crate) fn kubelet(&mut self, node: usize, verbosity: u8, text: &str) {
        if verbosity > self.options.kubelet_verbosity {
            return;
        }
        let stream = Stream::Kubelet(node);
        let stamp = stamp::klog(self.stamp(stream, self.now));
        self.say(stream, self.now, format!("I{stamp}    1{node}44 {text}"));
    }

    /// An error line of a kubelet's log.
    pub(crate) fn kubelet_error(&mut self, node: usize, text: &str) {
        let stream = Stream::Kubelet(node);
        let stamp = stamp::klog(self.stamp(stream, self.now));
        self.say(stream, self.now, format!("E{stamp}    1{node}44 {text}"));
    }

    /// A request that a kubelet has served.
    pub(crate) fn kubelet_http(&mut self, node: usize, http: &Http<'_>) {
        let outcome = http.code.map_or_else(|| "hijacked=true".to_owned(), |code| format!("resp={code}"));
        let line = format!(
            r#"httplog.go:134] "HTTP" verb="{}" URI="{}" latency="{}" userAgent="{}" audit-ID="" srcIP="{}" {outcome}"#,
            http.method,
            http.uri,
            stamp::duration(http.took),
            http.agent,
            http.source
        );
        self.kubelet(node, 3, &line);
    }

    /// A line of containerd's log at info.
    pub(crate) fn containerd(&mut self, node: usize, message: &str) {
        self.containerd_line(node, "info", message, "");
    }

    /// A line of containerd's log at debug, if it logs that.
    pub(crate) fn containerd_debug(&mut self, node: usize, message: &str) {
        if self.options.containerd_debug {
            self.containerd_line(node, "debug", message, "");
        }
    }

    fn containerd_line(&mut self, node: usize, level: &str, message: &str, fields: &str) {
        let stream = Stream::Containerd(node);
        let time = stamp::nanos(self.stamp(stream, self.now));
        self.say(
            stream,
            self.now,
            format!(r#"time="{time}" level={level} msg="{}"{fields}"#, message.replace('"', "\\\"")),
        );
    }

    /// An event of containerd.
    pub(crate) fn runtime_event(&mut self, node: usize, namespace: &str, topic: &str, body: &str) {
        let stream = Stream::RuntimeEvents(node);
        let time = stamp::go(self.stamp(stream, self.now));
        self.say(stream, self.now, format!("{time} {namespace} {topic} {{{body}}}"));
    }

    /// The events of a container that is made and started, over 70 ms.
    pub(crate) fn runtime_starts(
        &mut self,
        node: usize,
        namespace: &'static str,
        container: &str,
        image: &str,
    ) {
        let id = container.to_owned();
        let process = self.random.between(2_000, 60_000);
        self.runtime_event(
            node,
            namespace,
            "/snapshot/prepare",
            &format!(r#""key":"{id}","parent":"sha256:241d""#),
        );
        self.runtime_event(
            node,
            namespace,
            "/containers/create",
            &format!(r#""id":"{id}","image":"{image}","runtime":{{"name":"io.containerd.runc.v2"}}"#),
        );
        self.later(50 * MILLI, move |world| {
            world.runtime_event(
                node,
                namespace,
                "/tasks/create",
                &format!(r#""container_id":"{id}","bundle":"/run/containerd/io.containerd.runtime.v2.task/{namespace}/{id}","io":{{}},"pid":{process}"#),
            );
            world.later(8 * MILLI, move |world| {
                world.runtime_event(node, namespace, "/tasks/start", &format!(r#""container_id":"{id}","pid":{process}"#));
            });
        });
    }

    /// The events of a container's main process that ends.
    pub(crate) fn runtime_exits(
        &mut self,
        node: usize,
        namespace: &'static str,
        container: &str,
        status: u32,
    ) {
        let at = stamp::nanos(self.stamp(Stream::RuntimeEvents(node), self.now));
        let status = if status == 0 { String::new() } else { format!(r#","exit_status":{status}"#) };
        let id = container.to_owned();
        self.runtime_event(
            node,
            namespace,
            "/tasks/exit",
            &format!(r#""container_id":"{id}","id":"{id}","pid":4711{status},"exited_at":"{at}""#),
        );
        self.later(22 * MILLI, move |world| {
            world.runtime_event(
                node,
                namespace,
                "/tasks/delete",
                &format!(r#""container_id":"{id}","pid":4711{status},"exited_at":"{at}""#),
            );
            world.containerd_line(
                node,
                "info",
                "shim disconnected",
                &format!(" id={id} namespace={namespace}"),
            );
        });
    }

    /// Something runs in a container for some time: the runtime's side.
    pub(crate) fn runtime_exec(
        &mut self,
        node: usize,
        container: &str,
        exec: Exec,
        command: &str,
        id: Option<&str>,
        lasting: i64,
    ) {
        let generated = self.random.hex(64);
        let id = id.unwrap_or(&generated).to_owned();
        let container = container.to_owned();
        match exec {
            Exec::Sync => self.containerd_debug(
                node,
                &format!(r#"ExecSync for "{container}" with command [{command}] and timeout 1 (s)"#),
            ),
            Exec::Stream => {
                self.containerd_debug(
                    node,
                    &format!(r#"Exec for "{container}" with command [{command}], tty false and stdin false"#),
                );
            }
            Exec::Direct => {}
        }
        self.later(700 * MICRO, move |world| {
            if exec != Exec::Direct {
                world.containerd_debug(
                    node,
                    &format!(r#"Generated exec id "{id}" for container "{container}""#),
                );
            }
            world.runtime_event(
                node,
                "k8s.io",
                "/tasks/exec-added",
                &format!(r#""container_id":"{container}","exec_id":"{id}""#),
            );
            world.later(32 * MILLI, move |world| {
                world.runtime_event(
                    node,
                    "k8s.io",
                    "/tasks/exec-started",
                    &format!(r#""container_id":"{container}","exec_id":"{id}","pid":31337"#),
                );
                world.later(lasting, move |world| {
                    let at = stamp::nanos(world.stamp(Stream::RuntimeEvents(node), world.now));
                    world.runtime_event(
                        node,
                        "k8s.io",
                        "/tasks/exit",
                        &format!(
                            r#""container_id":"{container}","id":"{id}","pid":31337,"exited_at":"{at}""#
                        ),
                    );
                    match exec {
                        Exec::Sync => {
                            world.containerd_debug(
                                node,
                                &format!(r#"ExecSync for "{container}" returns with exit code 0"#),
                            );
                        }
                        Exec::Stream => world.containerd_debug(
                            node,
                            &format!(r#"Exec process "{id}" exits with exit code 0 and error <nil>"#),
                        ),
                        Exec::Direct => {}
                    }
                });
            });
        });
    }
}
