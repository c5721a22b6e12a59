//! What a request to a kubelet asks for, by its URI; and the audited requests that lead to the same URI.
//!
//! Routes: `k8s.io/kubernetes/pkg/kubelet/server/server.go`. How the API server writes such a URI:
//! `k8s.io/kubernetes/pkg/registry/core/pod/strategy.go`.

use auditgap_records::kubelet::KubeletLine;
use percent_encoding::percent_decode_str;

/// Characters of a path or a command that are shown.
const SHOWN: usize = 200;

/// What a path of the kubelet's API serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Endpoint {
    /// A command in a container, with its streams.
    Exec,
    /// The streams of a container's main process.
    Attach,
    /// A command in a container, its output in the answer.
    Run,
    /// A connection into a Pod's network.
    PortForward,
    /// A container's output.
    ContainerLogs,
    /// A container's memory, written to the node's disk.
    Checkpoint,
    /// Files of the node below `/var/log`.
    NodeLogs,
    /// The specs of all Pods of the node.
    Pods,
    /// The Pods that the runtime has.
    RunningPods,
    /// The kubelet's configuration.
    Configz,
    /// Profiles and flags of the process.
    Debug,
    /// Counters.
    Metrics,
    /// Usage of Pods and node.
    Stats,
    /// Health.
    Health,
    /// Anything else.
    Other,
}

impl Endpoint {
    fn of(first: &str) -> Self {
        match first {
            "exec" => Self::Exec,
            "attach" => Self::Attach,
            "run" => Self::Run,
            "portForward" => Self::PortForward,
            "containerLogs" => Self::ContainerLogs,
            "checkpoint" => Self::Checkpoint,
            "logs" => Self::NodeLogs,
            "pods" => Self::Pods,
            "runningpods" => Self::RunningPods,
            "configz" => Self::Configz,
            "debug" => Self::Debug,
            "metrics" => Self::Metrics,
            "stats" | "spec" => Self::Stats,
            "healthz" | "livez" | "readyz" | "statusz" | "flagz" => Self::Health,
            _ => Self::Other,
        }
    }

    /// The subresource of a Pod through which the API server leads to this path.
    pub(crate) fn pod_subresource(self) -> Option<&'static str> {
        match self {
            Self::Exec => Some("exec"),
            Self::Attach => Some("attach"),
            Self::PortForward => Some("portforward"),
            Self::ContainerLogs => Some("log"),
            _ => None,
        }
    }

    /// Whether it runs commands, or takes over the input of one that runs.
    pub(crate) fn executes(self) -> bool {
        matches!(self, Self::Exec | Self::Run | Self::Attach)
    }

    /// Whether clusters read it all the time and it tells nothing of what workloads do.
    pub(crate) fn is_monitoring(self) -> bool {
        matches!(self, Self::Metrics | Self::Stats | Self::Health)
    }

    /// The subresources of `nodes`, any of which the kubelet asks leave for
    /// (`k8s.io/kubernetes/pkg/kubelet/server/auth.go`).
    pub(crate) fn node_subresources(self) -> &'static [&'static str] {
        match self {
            Self::Exec
            | Self::Attach
            | Self::Run
            | Self::PortForward
            | Self::ContainerLogs
            | Self::Debug
            | Self::Other => &["proxy"],
            Self::Checkpoint => &["checkpoint", "proxy"],
            Self::NodeLogs => &["log", "proxy"],
            Self::Pods | Self::RunningPods => &["pods", "proxy"],
            Self::Configz => &["configz", "proxy"],
            Self::Metrics => &["metrics", "proxy"],
            Self::Stats => &["stats", "proxy"],
            Self::Health => &["healthz", "statusz", "flagz", "proxy"],
        }
    }
}

/// The Pod, and where told the container, that a path names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// Namespace.
    pub(crate) namespace: String,
    /// Name of the Pod.
    pub(crate) pod: String,
    /// UID: the API server never writes one.
    pub(crate) uid: String,
    /// Name of the container, or empty.
    pub(crate) container: String,
}

/// A URI of a kubelet's API, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KubeletUri {
    /// What it serves.
    pub(crate) endpoint: Endpoint,
    /// The Pod it is about.
    pub(crate) target: Option<Target>,
    /// The path, decoded.
    pub(crate) path: String,
    query: Vec<(String, String)>,
}

impl KubeletUri {
    /// Takes a URI apart; never fails.
    pub(crate) fn parse(uri: &str) -> Self {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let path =
            percent_decode_str(if path.is_empty() { "/" } else { path }).decode_utf8_lossy().into_owned();
        let mut parts = path.trim_start_matches('/').split('/');
        let endpoint = Endpoint::of(parts.next().unwrap_or_default());
        let rest: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        let target = target(endpoint, &rest);
        Self { endpoint, target, query: pairs(query), path }
    }

    /// Values of a parameter, in order.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The same for two URIs that ask for the same.
    pub(crate) fn canonical(&self) -> String {
        let mut text = self.path.clone();
        for (name, value) in &self.query {
            // A character that no decoded part is likely to have keeps parts apart.
            text.push('\n');
            text.push_str(name);
            text.push('=');
            text.push_str(value);
        }
        text
    }

    /// The command that it runs, for a person.
    pub(crate) fn command_shown(&self) -> Option<String> {
        let name = if self.endpoint == Endpoint::Run { "cmd" } else { "command" };
        let words: Vec<&str> = self.values(name).collect();
        (!words.is_empty()).then(|| shown(&words.join(" ")))
    }

    /// The path, for a person.
    pub(crate) fn path_shown(&self) -> String {
        shown(&self.path)
    }
}

fn target(endpoint: Endpoint, rest: &[&str]) -> Option<Target> {
    let with_container = match endpoint {
        Endpoint::Exec
        | Endpoint::Attach
        | Endpoint::Run
        | Endpoint::ContainerLogs
        | Endpoint::Checkpoint => true,
        Endpoint::PortForward => false,
        _ => return None,
    };
    let (namespace, pod, uid, container) = match (rest, with_container) {
        ([namespace, pod, container], true) => (namespace, pod, &"", container),
        ([namespace, pod, uid, container], true) => (namespace, pod, uid, container),
        ([namespace, pod, uid], false) => (namespace, pod, uid, &""),
        ([namespace, pod], _) => (namespace, pod, &"", &""),
        _ => return None,
    };
    Some(Target {
        namespace: (*namespace).to_owned(),
        pod: (*pod).to_owned(),
        uid: (*uid).to_owned(),
        container: (*container).to_owned(),
    })
}

/// The parameters of a query that both servers take: Go drops a pair with a semicolon.
fn pairs(query: &str) -> Vec<(String, String)> {
    let kept = query.split('&').filter(|pair| !pair.contains(';'));
    kept.flat_map(|pair| form_urlencoded::parse(pair.as_bytes()))
        .map(|(k, v)| (k.into_owned(), v.into_owned()))
        .collect()
}

/// The query of an audited request, as its server takes it.
pub(crate) fn audited_query(uri: &str) -> Vec<(String, String)> {
    uri.split_once('?').map(|(_, query)| pairs(query)).unwrap_or_default()
}

/// The URI that a kubelet is sent for an audited request through `nodes/NAME/proxy`.
pub(crate) fn proxied(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("/nodes/")?;
    let (_, rest) = rest.split_once('/')?;
    let rest = rest.strip_prefix("proxy")?;
    matches!(rest.as_bytes().first(), None | Some(b'/' | b'?')).then_some(rest)
}

/// The verb that the kubelet asks leave for (`k8s.io/kubernetes/pkg/kubelet/server/auth.go`).
pub(crate) fn authorisation_verb(method: &str) -> &'static str {
    match method {
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "get",
    }
}

/// Whether a line shows that its kubelet logs its requests, which it does at `--v=3`.
pub(crate) fn logs_requests(line: &KubeletLine<'_>) -> bool {
    match line {
        KubeletLine::Http { .. }
        | KubeletLine::RequestAttributes { .. }
        | KubeletLine::Probe { exec: true, .. } => true,
        KubeletLine::Flag { name, value } => {
            name == "v" && value.parse::<u32>().is_ok_and(|verbosity| verbosity >= 3)
        }
        _ => false,
    }
}

/// A text that a client chose, short and without control characters.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter })
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target_of(uri: &str) -> Option<(String, String, String, String)> {
        let target = KubeletUri::parse(uri).target?;
        Some((target.namespace, target.pod, target.uid, target.container))
    }

    #[test]
    fn a_uri_names_what_it_serves_and_whom() {
        for (uri, endpoint, target) in [
            ("/exec/a/web/c?command=id", Endpoint::Exec, Some(("a", "web", "", "c"))),
            ("/exec/a/web/1234/c?command=id", Endpoint::Exec, Some(("a", "web", "1234", "c"))),
            ("/run/a/web/c", Endpoint::Run, Some(("a", "web", "", "c"))),
            ("/portForward/a/web", Endpoint::PortForward, Some(("a", "web", "", ""))),
            ("/portForward/a/web/1234?port=80", Endpoint::PortForward, Some(("a", "web", "1234", ""))),
            ("/containerLogs/a/w%65b/c?follow=true", Endpoint::ContainerLogs, Some(("a", "web", "", "c"))),
            ("/checkpoint/a/web/c", Endpoint::Checkpoint, Some(("a", "web", "", "c"))),
            ("/pods", Endpoint::Pods, None),
            ("/runningpods/", Endpoint::RunningPods, None),
            ("/logs/../x", Endpoint::NodeLogs, None),
            ("/metrics/cadvisor", Endpoint::Metrics, None),
            ("/debug/pprof/heap", Endpoint::Debug, None),
            ("/exec", Endpoint::Exec, None),
            ("", Endpoint::Other, None),
        ] {
            assert_eq!(KubeletUri::parse(uri).endpoint, endpoint, "{uri}");
            let target = target.map(|(a, b, c, d)| (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned()));
            assert_eq!(target_of(uri), target, "{uri}");
        }
    }

    #[test]
    fn a_query_is_read_as_the_servers_read_it() {
        let uri =
            KubeletUri::parse("/exec/a/b/c?command=sh&command=-c&command=echo+a%3B+ls&command=id;x&tty=1");
        assert_eq!(uri.values("command").collect::<Vec<_>>(), ["sh", "-c", "echo a; ls"]);
        assert_eq!(uri.values("tty").collect::<Vec<_>>(), ["1"]);
        let other = KubeletUri::parse("/exec/a/b/c?command=sh&command=-c&command=echo%20a%3b%20ls&tty=1");
        assert_eq!(uri.canonical(), other.canonical());
    }

    #[test]
    fn a_proxied_request_tells_the_kubelets_uri() {
        for (uri, expected) in [
            ("/api/v1/nodes/n/proxy/run/a/b/c?cmd=id", Some("/run/a/b/c?cmd=id")),
            ("/api/v1/nodes/https:n:10250/proxy/pods", Some("/pods")),
            ("/api/v1/nodes/n/proxy", Some("")),
            ("/api/v1/nodes/n/proxyx", None),
            ("/api/v1/namespaces/a/pods/b/proxy/x", None),
            ("/api/v1/nodes/n", None),
        ] {
            assert_eq!(proxied(uri), expected, "{uri}");
        }
    }

    #[test]
    fn what_is_shown_is_short_and_printable() {
        assert_eq!(shown("a\u{1b}[31m"), "a\u{fffd}[31m");
        assert_eq!(shown(&"x".repeat(500)).chars().count(), SHOWN + 1);
    }
}
