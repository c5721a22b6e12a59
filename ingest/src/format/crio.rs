//! CRI-O's log, logfmt or JSON. Pods are named `namespace/pod/container`, without a UID.
//!
//! Exec, ExecSync, Attach and PortForward are told only at debug level, by the interceptor that prints each request.
//! Times are RFC 3339, in releases up to about 1.31 with a space for the `T`.

use std::borrow::Cow;

use auditgap_records::runtime::{ExecCall, RuntimeEvent, RuntimeEventKind, RuntimeLine, SandboxIdentity};
use auditgap_records::{Body, Text};

use super::cri_metadata::for_each_field;
use super::logfmt::{self, Entry};
use super::{LineContext, LineFormat, Parsed};

/// Reads CRI-O's log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Crio;

impl LineFormat for Crio {
    fn starts_entry(&self, line: &[u8]) -> bool {
        logfmt::starts_entry(line)
    }

    fn parse<'a>(&self, text: &'a str, context: &LineContext) -> Parsed<'a> {
        let Some(entry) = Entry::read(text) else { return Parsed::Unknown };
        let Some(time) = entry.time(context) else {
            return Parsed::Reject("a CRI-O line without a readable time: expected RFC 3339".to_owned());
        };
        if !is_telling(entry.first_word()) {
            return Parsed::Record(time, Body::Other);
        }
        let Some(message) = entry.message() else {
            return Parsed::Reject("the message has no closing quote: the line was cut".to_owned());
        };
        if message == "Started container" {
            return started(&entry).map_or(Parsed::Record(time, Body::Other), |lines| {
                Parsed::Records(lines.into_iter().map(|line| (time, Body::Runtime(line))).collect())
            });
        }
        Parsed::Record(time, read(&message).map_or(Body::Other, Body::Runtime))
    }
}

/// Whether a line that begins with this word may be more than noise.
fn is_telling(word: &str) -> bool {
    matches!(
        word,
        "Running"
            | "Ran"
            | "Starting"
            | "Started"
            | "Stopping"
            | "Stopped"
            | "Removing"
            | "Removed"
            | "Pulling"
            | "Pulled"
            | "Request"
            | "Checkpointed"
            | "Caught"
    )
}

/// The only line that joins a container to its sandbox: the creation is told from here, since the lines of the
/// creation itself would give a container without a Pod.
fn started<'a>(entry: &Entry<'a>) -> Option<Vec<RuntimeLine<'a>>> {
    let container = entry.field("containerID")?;
    let start = RuntimeLine::StartContainer { container: container.clone(), done: true };
    let Some(sandbox) = entry.field("sandboxID") else { return Some(vec![start]) };
    let name = entry.field("description").map(|description| container_of(&description)).unwrap_or_default();
    Some(vec![RuntimeLine::CreateContainer { sandbox, name, container: Some(container) }, start])
}

fn read(message: &str) -> Option<RuntimeLine<'static>> {
    if let Some(request) = message.strip_prefix("Request: ") {
        return debug_request(request);
    }
    if message.starts_with("Starting CRI-O") {
        return Some(RuntimeLine::Started);
    }
    let (what, subject) = match message.split_once(": ") {
        Some(parts) => parts,
        None => (message, ""),
    };
    match what {
        "Running pod sandbox" => run_pod_sandbox(subject, None),
        "Starting container" => {
            Some(RuntimeLine::StartContainer { container: first_word(subject), done: false })
        }
        "Stopping container" => {
            Some(RuntimeLine::StopContainer { container: first_word(subject), done: false })
        }
        "Removing container" => Some(RuntimeLine::RemoveContainer { container: first_word(subject) }),
        "Stopping pod sandbox" => Some(RuntimeLine::StopPodSandbox { sandbox: first_word(subject) }),
        "Removed pod sandbox" => Some(RuntimeLine::RemovePodSandbox { sandbox: first_word(subject) }),
        "Checkpointed container" => Some(RuntimeLine::Event(checkpointed(first_word(subject)))),
        "Pulling image" => Some(RuntimeLine::PullImage { image: first_word(subject), done: false }),
        "Pulled image" => Some(RuntimeLine::PullImage { image: first_word(subject), done: true }),
        _ => answer(what, subject),
    }
}

/// Lines that hold the id before the colon: `Created container <id>: namespace/pod/container`.
fn answer(what: &str, description: &str) -> Option<RuntimeLine<'static>> {
    if let Some(rest) = what.strip_prefix("Ran pod sandbox ") {
        return run_pod_sandbox(description, Some(first_word(rest)));
    }
    if let Some(container) = what.strip_prefix("Started container ") {
        return Some(RuntimeLine::StartContainer { container: first_word(container), done: true });
    }
    if let Some(container) = what.strip_prefix("Stopped container ") {
        return Some(RuntimeLine::StopContainer { container: first_word(container), done: true });
    }
    matches!(what, "Caught SIGTERM" | "Caught SIGINT").then_some(RuntimeLine::Stopping)
}

fn run_pod_sandbox(description: &str, sandbox: Option<Text<'static>>) -> Option<RuntimeLine<'static>> {
    let (namespace, rest) = description.split_once('/')?;
    let name = rest.split('/').next()?;
    let identity = SandboxIdentity {
        name: Cow::Owned(name.to_owned()),
        namespace: Cow::Owned(namespace.to_owned()),
        uid: Cow::Borrowed(""),
        attempt: 0,
    };
    Some(RuntimeLine::RunPodSandbox { identity, sandbox, error: None })
}

/// A container's memory was written out: the same event as containerd's.
fn checkpointed(container: Text<'static>) -> RuntimeEvent<'static> {
    RuntimeEvent {
        namespace: Cow::Borrowed(""),
        kind: RuntimeEventKind::TaskCheckpointed,
        subject: container,
        image: None,
        exec: None,
        pid: None,
        exit_status: None,
        command: None,
        identity: None,
    }
}

/// The last part of `namespace/pod/container`.
fn container_of(description: &str) -> Text<'static> {
    Cow::Owned(description.rsplit('/').next().unwrap_or_default().to_owned())
}

fn first_word(text: &str) -> Text<'static> {
    Cow::Owned(text.split(' ').next().unwrap_or_default().to_owned())
}

/// `*v1.ExecRequest: &ExecRequest{ContainerId:…,Cmd:[sh -c id],Tty:true,…}`, or in the protobuf text format
/// `*v1.ExecRequest: container_id:"…" cmd:"sh" cmd:"-c" …`.
fn debug_request(request: &str) -> Option<RuntimeLine<'static>> {
    let (kind, text) = request.split_once(": ")?;
    let call = match kind.rsplit('.').next()? {
        "ExecRequest" => ExecCall::Exec,
        "ExecSyncRequest" => ExecCall::ExecSync,
        "AttachRequest" => ExecCall::Attach,
        "PortForwardRequest" => {
            let sandbox = Call::read(text, "PodSandboxId:")?.id;
            return Some(RuntimeLine::PortForward { sandbox });
        }
        _ => return None,
    };
    let Call { id: container, command } = Call::read(text, "ContainerId:")?;
    Some(RuntimeLine::Exec { container, command, call, done: false })
}

struct Call {
    id: Text<'static>,
    command: Text<'static>,
}

impl Call {
    fn read(text: &str, id_field: &str) -> Option<Self> {
        if text.starts_with('&') {
            let (_, fields) = text.split_once('{')?;
            let fields = fields.strip_prefix(id_field)?;
            let (id, rest) = fields.split_once(',')?;
            // What follows the command is a flag or a number: its own text cannot hide the last bracket.
            let command = rest
                .strip_prefix("Cmd:[")
                .and_then(|rest| rest.rsplit_once("],"))
                .map_or("", |(command, _)| command);
            return Some(Self { id: Cow::Owned(id.to_owned()), command: Cow::Owned(command.to_owned()) });
        }
        let mut id = None;
        let mut words = Vec::new();
        for_each_field(text, |key, value| match key {
            "container_id" | "pod_sandbox_id" => id = Some(Cow::Owned(value.to_owned())),
            "cmd" => words.push(value.to_owned()),
            _ => {}
        })?;
        Some(Self { id: id?, command: Cow::Owned(words.join(" ")) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::testing::{context, runtime};
    use auditgap_records::Timestamp;

    #[test]
    fn every_line_is_understood() {
        let run = |sandbox: Option<&'static str>| {
            let identity = SandboxIdentity {
                name: "web-0".into(),
                namespace: "default".into(),
                uid: "".into(),
                attempt: 0,
            };
            Some(RuntimeLine::RunPodSandbox { identity, sandbox: sandbox.map(Into::into), error: None })
        };
        let exec = |call, command: &'static str| {
            Some(RuntimeLine::Exec { container: "c1".into(), command: command.into(), call, done: false })
        };
        let stop = |done| Some(RuntimeLine::StopContainer { container: "c1".into(), done });
        for (message, expected) in [
            ("Running pod sandbox: default/web-0/POD", run(None)),
            ("Ran pod sandbox s1 with infra container: default/web-0/POD", run(Some("s1"))),
            ("Creating container: default/web-0/app", None),
            ("Created container c1: default/web-0/app", None),
            (
                "Starting container: c1",
                Some(RuntimeLine::StartContainer { container: "c1".into(), done: false }),
            ),
            ("Stopping container: c1 (timeout: 30s)", stop(false)),
            ("Stopped container c1: default/web-0/app", stop(true)),
            ("Removing container: c1", Some(RuntimeLine::RemoveContainer { container: "c1".into() })),
            ("Removed container c1: default/web-0/app", None),
            ("Stopping pod sandbox: s1", Some(RuntimeLine::StopPodSandbox { sandbox: "s1".into() })),
            ("Removed pod sandbox: s1", Some(RuntimeLine::RemovePodSandbox { sandbox: "s1".into() })),
            ("Pulling image: r/i:1", Some(RuntimeLine::PullImage { image: "r/i:1".into(), done: false })),
            (
                "Pulled image: r/i@sha256:00",
                Some(RuntimeLine::PullImage { image: "r/i@sha256:00".into(), done: true }),
            ),
            (
                "Request: *v1.ExecRequest: &ExecRequest{ContainerId:c1,Cmd:[sh -c echo ],x],Tty:true,Stdin:true,}",
                exec(ExecCall::Exec, "sh -c echo ],x"),
            ),
            (
                "Request: *v1.ExecSyncRequest: &ExecSyncRequest{ContainerId:c1,Cmd:[cat /ok],Timeout:1,}",
                exec(ExecCall::ExecSync, "cat /ok"),
            ),
            (
                r#"Request: *v1.ExecRequest: container_id:"c1"  cmd:"sh"  cmd:"-c"  cmd:"id \"x\""  tty:true"#,
                exec(ExecCall::Exec, r#"sh -c id "x""#),
            ),
            (
                "Request: *v1.AttachRequest: &AttachRequest{ContainerId:c1,Stdin:true,}",
                exec(ExecCall::Attach, ""),
            ),
            (
                "Request: *v1.PortForwardRequest: &PortForwardRequest{PodSandboxId:s1,Port:[80],}",
                Some(RuntimeLine::PortForward { sandbox: "s1".into() }),
            ),
            ("Response: *v1.ExecResponse: &ExecResponse{Url:http://x,}", None),
            ("Checkpointed container: c1", Some(RuntimeLine::Event(checkpointed("c1".into())))),
            ("Starting CRI-O, version: 1.30.0, git: unknown", Some(RuntimeLine::Started)),
            ("Caught SIGTERM", Some(RuntimeLine::Stopping)),
            ("Checking image status: r/i:1", None),
        ] {
            let json = serde_json::to_string(message).unwrap();
            for line in [
                format!(
                    "time=\"2026-11-23T11:00:00.1Z\" level=info msg={message:?} id=q name=/runtime.v1.RuntimeService/X"
                ),
                format!("time=\"2026-11-23 11:00:00.100000000Z\" level=info msg={message:?} file=\"a.go:1\""),
                format!("{{\"level\":\"info\",\"msg\":{json},\"time\":\"2026-11-23T11:00:00Z\"}}"),
            ] {
                assert_eq!(runtime(&Crio, &line), expected, "{line}");
            }
        }
    }

    #[test]
    fn a_start_joins_the_container_to_its_sandbox() {
        let line = "time=\"2026-11-23T11:00:00Z\" level=info msg=\"Started container\" PID=7 containerID=c1 \
                    description=default/web-0/app id=q name=/runtime.v1.RuntimeService/StartContainer sandboxID=s1";
        let time = Timestamp::parse("2026-11-23T11:00:00Z").unwrap();
        let create = RuntimeLine::CreateContainer {
            sandbox: "s1".into(),
            name: "app".into(),
            container: Some("c1".into()),
        };
        let start = RuntimeLine::StartContainer { container: "c1".into(), done: true };
        let expected = Parsed::Records(vec![(time, Body::Runtime(create)), (time, Body::Runtime(start))]);
        assert_eq!(Crio.parse(line, &context()), expected);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(word in "(Running pod sandbox: |Request: \\*v1.ExecRequest: &|Started container|x)", rest in ".*") {
            let _ = Crio.parse(&rest, &context());
            let _ = Crio.parse(&format!("time=\"2026-11-23T11:35:43Z\" level=info msg=\"{word}{rest}\""), &context());
        }
    }
}
