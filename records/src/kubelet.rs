//! What a kubelet's log says, in one vocabulary for all its versions.

use bounded_static::ToStatic;

use crate::record::Text;

/// A Pod as a kubelet names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ToStatic)]
pub struct PodRef<'a> {
    /// Namespace.
    pub namespace: Text<'a>,
    /// Name.
    pub name: Text<'a>,
    /// UID, if the line has it (older versions).
    pub uid: Option<Text<'a>>,
}

/// Where a kubelet has a Pod from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ToStatic)]
pub enum PodSource {
    /// The API server.
    Api,
    /// A manifest file.
    File,
    /// A manifest URL.
    Http,
}

/// What the sync loop was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ToStatic)]
pub enum SyncOp {
    /// The source has a Pod that it had not: also after a restart of the kubelet.
    Add,
    /// The Pod's spec changed.
    Update,
    /// The source no longer has the Pod.
    Remove,
    /// Graceful deletion began.
    Delete,
    /// Its status was changed by somebody else.
    Reconcile,
}

/// One line of a kubelet's log.
#[derive(Clone, Debug, PartialEq, Eq, ToStatic)]
pub enum KubeletLine<'a> {
    /// A request served on 10250 or 10255, written at its *end* (`--v=3`).
    Http {
        /// HTTP method.
        method: Text<'a>,
        /// Path and query.
        uri: Text<'a>,
        /// How long it took, in nanoseconds: time − latency is its beginning.
        latency: i64,
        /// Chosen by the client.
        user_agent: Text<'a>,
        /// Peer `address:port`.
        source: Text<'a>,
        /// HTTP status; `None` when the connection was hijacked (a stream).
        code: Option<u16>,
        /// The user that a refused request names in `addedInfo`.
        forbidden_user: Option<Text<'a>>,
    },
    /// `SyncLoop ADD|UPDATE|REMOVE|DELETE|RECONCILE` (`--v=2`; RECONCILE 4).
    SyncLoop {
        /// What happened.
        op: SyncOp,
        /// Where from.
        source: PodSource,
        /// Which Pods.
        pods: Vec<PodRef<'a>>,
    },
    /// `SyncLoop (PLEG)`: a container changed its state.
    Pleg {
        /// Name, if the line has it.
        pod: Option<PodRef<'a>>,
        /// UID that the runtime knows the Pod by.
        pod_uid: Text<'a>,
        /// `ContainerStarted`, `ContainerDied`, …
        event: Text<'a>,
        /// Container or sandbox id.
        container: Text<'a>,
        /// False: "pod does not exist, ignore irrelevant event".
        known_pod: bool,
    },
    /// A mirror Pod is about to be created for a static Pod.
    MirrorPodCreating {
        /// The static Pod.
        pod: PodRef<'a>,
    },
    /// The API server refused the mirror Pod: the static Pod runs unseen.
    MirrorPodFailed {
        /// The static Pod.
        pod: PodRef<'a>,
        /// The API server's answer.
        error: Text<'a>,
    },
    /// A mirror Pod was deleted, since it no longer matches or its static Pod is gone.
    MirrorPodDeleted {
        /// The static Pod.
        pod: PodRef<'a>,
    },
    /// Static Pods are read from this path.
    StaticPodPath {
        /// File or folder.
        path: Text<'a>,
    },
    /// Static Pods are read from this URL.
    StaticPodUrl {
        /// The URL.
        url: Text<'a>,
    },
    /// A UID was made for a static Pod: ties it to its file (`--v=5`).
    StaticPodUid {
        /// The Pod.
        pod: PodRef<'a>,
        /// File or URL.
        source: Text<'a>,
    },
    /// A manifest was read and not run: dotted name, error, directory.
    ManifestIgnored {
        /// File.
        path: Text<'a>,
        /// Why.
        reason: Text<'a>,
    },
    /// Containers of a Pod that the kubelet never had: it kills them.
    OrphanedPod {
        /// The UID that the runtime has.
        pod_uid: Text<'a>,
    },
    /// The kubelet itself kills a container.
    KillingContainer {
        /// The Pod.
        pod: PodRef<'a>,
        /// Name of the container in the Pod.
        container_name: Text<'a>,
        /// `containerd://<id>`, the scheme removed.
        container: Text<'a>,
    },
    /// The kubelet asks the runtime for a sandbox.
    SandboxCreated {
        /// The Pod.
        pod: PodRef<'a>,
        /// Sandbox id.
        sandbox: Text<'a>,
    },
    /// A probe ran (`--v=4`).
    Probe {
        /// The Pod.
        pod: Option<PodRef<'a>>,
        /// Pod UID, if given.
        pod_uid: Option<Text<'a>>,
        /// Name of the container in the Pod.
        container_name: Text<'a>,
        /// Command of an exec probe, its words joined by spaces, if given.
        command: Option<Text<'a>>,
        /// The line tells of an exec probe.
        exec: bool,
    },
    /// Authorisation refused a request.
    Forbidden {
        /// Who asked.
        user: Text<'a>,
        /// Verb of the authorisation attributes.
        verb: Text<'a>,
        /// Subresources that were tried.
        subresources: Vec<Text<'a>>,
    },
    /// Credentials did not authenticate.
    AuthenticationFailed {
        /// The error in the component's words.
        error: Text<'a>,
    },
    /// The caller of a request, from the attributes line (`--v=5`).
    RequestAttributes {
        /// Who asked.
        user: Text<'a>,
        /// Verb.
        verb: Text<'a>,
        /// Subresources.
        subresources: Vec<Text<'a>>,
    },
    /// A TLS handshake failed.
    TlsFailed {
        /// Peer `address:port`.
        source: Text<'a>,
        /// The error.
        error: Text<'a>,
    },
    /// The process started; all Pods will be added again.
    Started,
    /// It listens.
    Listening {
        /// Port.
        port: u16,
        /// The port without authentication.
        read_only: bool,
    },
    /// A flag of the command line.
    Flag {
        /// Name without dashes.
        name: Text<'a>,
        /// Value without quotes.
        value: Text<'a>,
    },
    /// The kubelet cannot reach the API server or its node object.
    ApiServerUnreachable {
        /// The error.
        error: Text<'a>,
    },
}
