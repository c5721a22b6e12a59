//! What a container runtime's log and events say, in one vocabulary for containerd, CRI-O and Docker.

use bounded_static::ToStatic;

use crate::record::Text;

/// A Pod as it was named to the runtime. Whoever calls the socket chooses it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ToStatic)]
pub struct SandboxIdentity<'a> {
    /// Pod name.
    pub name: Text<'a>,
    /// Pod namespace.
    pub namespace: Text<'a>,
    /// Pod UID: dashed from the API, 32 hex digits for a static Pod. Empty where the runtime does not say (CRI-O).
    pub uid: Text<'a>,
    /// Attempt.
    pub attempt: u32,
}

/// One line or event of a container runtime.
#[derive(Clone, Debug, PartialEq, Eq, ToStatic)]
pub enum RuntimeLine<'a> {
    /// CRI RunPodSandbox. The request has no id, the answer has.
    RunPodSandbox {
        /// Who it claims to be.
        identity: SandboxIdentity<'a>,
        /// Sandbox id, in the answer.
        sandbox: Option<Text<'a>>,
        /// The error, if it failed.
        error: Option<Text<'a>>,
    },
    /// CRI CreateContainer. The request has no id, the answer has.
    CreateContainer {
        /// Sandbox it belongs to.
        sandbox: Text<'a>,
        /// Name of the container in the Pod.
        name: Text<'a>,
        /// Container id, in the answer.
        container: Option<Text<'a>>,
    },
    /// CRI StartContainer.
    StartContainer {
        /// Container id.
        container: Text<'a>,
        /// The answer, not the request.
        done: bool,
    },
    /// CRI StopContainer, or the kill that follows it.
    StopContainer {
        /// Container id.
        container: Text<'a>,
        /// The answer, not the request.
        done: bool,
    },
    /// CRI RemoveContainer.
    RemoveContainer {
        /// Container id.
        container: Text<'a>,
    },
    /// CRI StopPodSandbox.
    StopPodSandbox {
        /// Sandbox id.
        sandbox: Text<'a>,
    },
    /// CRI RemovePodSandbox.
    RemovePodSandbox {
        /// Sandbox id.
        sandbox: Text<'a>,
    },
    /// CRI Exec, ExecSync or Attach (debug level).
    Exec {
        /// Container id.
        container: Text<'a>,
        /// The command, its words joined by spaces; word boundaries are lost in the log.
        command: Text<'a>,
        /// Which call.
        call: ExecCall,
        /// The answer, not the request.
        done: bool,
    },
    /// The id that the CRI plugin made for an exec (debug level). A client of containerd's own API leaves none.
    ExecIdGenerated {
        /// Container id.
        container: Text<'a>,
        /// Exec id.
        exec: Text<'a>,
    },
    /// CRI PortForward.
    PortForward {
        /// Sandbox id.
        sandbox: Text<'a>,
    },
    /// CRI PullImage.
    PullImage {
        /// Reference.
        image: Text<'a>,
        /// The answer, not the request.
        done: bool,
    },
    /// An event of containerd (`ctr events`) or Docker.
    Event(RuntimeEvent<'a>),
    /// The process that kept a container is gone.
    ShimDisconnected {
        /// Container or sandbox id.
        container: Text<'a>,
    },
    /// The daemon started.
    Started,
    /// The daemon ended.
    Stopping,
}

/// Which CRI call ran something in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ToStatic)]
pub enum ExecCall {
    /// Streaming: `kubectl exec`, the kubelet's `/exec`.
    Exec,
    /// Synchronous: probes, hooks, the kubelet's `/run`.
    ExecSync,
    /// Joined to the main process.
    Attach,
}

/// An event of the runtime itself.
#[derive(Clone, Debug, PartialEq, Eq, ToStatic)]
pub struct RuntimeEvent<'a> {
    /// The runtime's own namespace (`k8s.io` for the kubelet's containers), not a Kubernetes namespace. Empty for Docker.
    pub namespace: Text<'a>,
    /// What happened.
    pub kind: RuntimeEventKind,
    /// Container id; image or namespace name for those kinds.
    pub subject: Text<'a>,
    /// Image, on a container's creation.
    pub image: Option<Text<'a>>,
    /// Exec id.
    pub exec: Option<Text<'a>>,
    /// Process id on the host.
    pub pid: Option<u32>,
    /// Exit status; 0 where the event leaves it out.
    pub exit_status: Option<u32>,
    /// Command, where the event tells (Docker).
    pub command: Option<Text<'a>>,
    /// The Pod that labels claim (Docker).
    pub identity: Option<SandboxIdentity<'a>>,
}

/// Kinds of runtime event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ToStatic)]
pub enum RuntimeEventKind {
    /// `/containers/create`.
    ContainerCreate,
    /// `/containers/update`.
    ContainerUpdate,
    /// `/containers/delete`.
    ContainerDelete,
    /// `/tasks/create`.
    TaskCreate,
    /// `/tasks/start`.
    TaskStart,
    /// `/tasks/exit` of the main process.
    TaskExit,
    /// `/tasks/exit` of an exec.
    ExecExit,
    /// `/tasks/delete`.
    TaskDelete,
    /// `/tasks/oom`.
    TaskOom,
    /// `/tasks/exec-added`.
    ExecAdded,
    /// `/tasks/exec-started`.
    ExecStarted,
    /// `/tasks/paused`.
    TaskPaused,
    /// `/tasks/resumed`.
    TaskResumed,
    /// `/tasks/checkpointed`: memory was written out.
    TaskCheckpointed,
    /// `/images/create`.
    ImageCreate,
    /// `/images/update`.
    ImageUpdate,
    /// `/images/delete`.
    ImageDelete,
    /// `/namespaces/create`.
    NamespaceCreate,
    /// `/namespaces/delete`.
    NamespaceDelete,
    /// `/sandboxes/create` and kin of containerd 2.
    Sandbox,
    /// Any other topic (snapshots, content).
    Other,
}
