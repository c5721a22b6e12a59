//! `ctr events`: what containerd itself did, whoever asked. `time namespace topic JSON`, the time as Go prints one.
//!
//! The events carry no Kubernetes identity (but for an update's labels); they are joined to Pods by container id.
//! `exited_at` is text in 1.6 and an object from 1.7 on; the line's own time is the event's, so it is not read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use auditgap_records::runtime::{RuntimeEvent, RuntimeEventKind, RuntimeLine, SandboxIdentity};
use auditgap_records::{Body, Text, Timestamp};
use serde::Deserialize;

use super::{LineContext, LineFormat, Parsed};

/// Reads `ctr events`.
#[derive(Clone, Copy, Debug, Default)]
pub struct CtrEvents;

impl LineFormat for CtrEvents {
    fn parse<'a>(&self, text: &'a str, _: &LineContext) -> Parsed<'a> {
        let Some(line) = Line::split(text) else { return Parsed::Unknown };
        let Some(time) = line.time() else {
            return Parsed::Reject(
                "the time is not as Go prints one: expected `2006-01-02 15:04:05.9 +0000 UTC`".to_owned(),
            );
        };
        let payload = match serde_json::from_str(if line.payload.is_empty() { "{}" } else { line.payload }) {
            Ok(payload) => payload,
            Err(error) => return Parsed::Reject(format!("the event's JSON cannot be read: {error}")),
        };
        Parsed::Record(time, Body::Runtime(RuntimeLine::Event(event(line.namespace, line.topic, payload))))
    }
}

struct Line<'a> {
    date: &'a str,
    clock: &'a str,
    offset: &'a str,
    namespace: &'a str,
    topic: &'a str,
    payload: &'a str,
}

impl<'a> Line<'a> {
    fn split(text: &'a str) -> Option<Self> {
        let mut words = text.splitn(7, ' ');
        let (date, clock, offset, _abbreviation) =
            (words.next()?, words.next()?, words.next()?, words.next()?);
        let (namespace, topic) = (words.next()?, words.next()?);
        let payload = words.next().unwrap_or_default().trim();
        let dated = date.len() == 10 && date.as_bytes()[4] == b'-' && offset.starts_with(['+', '-']);
        (dated && topic.starts_with('/')).then_some(Self { date, clock, offset, namespace, topic, payload })
    }

    fn time(&self) -> Option<Timestamp> {
        Timestamp::parse(&format!("{} {}{}", self.date, self.clock, self.offset))
    }
}

/// The fields of all events that are used; each event has some of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Payload<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    container_id: Option<Text<'a>>,
    #[serde(borrow)]
    sandbox_id: Option<Text<'a>>,
    #[serde(borrow)]
    exec_id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    key: Option<Text<'a>>,
    #[serde(borrow)]
    digest: Option<Text<'a>>,
    #[serde(borrow)]
    image: Option<Text<'a>>,
    pid: Option<u32>,
    exit_status: Option<u32>,
    #[serde(borrow)]
    labels: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
}

fn kind_of(topic: &str) -> RuntimeEventKind {
    match topic {
        "/containers/create" => RuntimeEventKind::ContainerCreate,
        "/containers/update" => RuntimeEventKind::ContainerUpdate,
        "/containers/delete" => RuntimeEventKind::ContainerDelete,
        "/tasks/create" => RuntimeEventKind::TaskCreate,
        "/tasks/start" => RuntimeEventKind::TaskStart,
        "/tasks/exit" => RuntimeEventKind::TaskExit,
        "/tasks/delete" => RuntimeEventKind::TaskDelete,
        "/tasks/oom" => RuntimeEventKind::TaskOom,
        "/tasks/exec-added" => RuntimeEventKind::ExecAdded,
        "/tasks/exec-started" => RuntimeEventKind::ExecStarted,
        "/tasks/paused" => RuntimeEventKind::TaskPaused,
        "/tasks/resumed" => RuntimeEventKind::TaskResumed,
        "/tasks/checkpointed" => RuntimeEventKind::TaskCheckpointed,
        "/images/create" => RuntimeEventKind::ImageCreate,
        "/images/update" => RuntimeEventKind::ImageUpdate,
        "/images/delete" => RuntimeEventKind::ImageDelete,
        "/namespaces/create" => RuntimeEventKind::NamespaceCreate,
        "/namespaces/delete" => RuntimeEventKind::NamespaceDelete,
        _ if topic.starts_with("/sandboxes/") => RuntimeEventKind::Sandbox,
        _ => RuntimeEventKind::Other,
    }
}

fn event<'a>(namespace: &'a str, topic: &str, payload: Payload<'a>) -> RuntimeEvent<'a> {
    let mut kind = kind_of(topic);
    let mut exec = payload.exec_id;
    let subject = match (payload.container_id, payload.id) {
        (Some(container), Some(process)) => {
            // The id of a task's exit or deletion is that of the process: the container's own for its main process.
            if process != container && !process.is_empty() {
                if kind == RuntimeEventKind::TaskExit {
                    kind = RuntimeEventKind::ExecExit;
                }
                exec = exec.or(Some(process));
            }
            container
        }
        (container, id) => {
            let rest = payload.sandbox_id.or(payload.name).or(payload.key).or(payload.digest);
            container.or(id).or(rest).unwrap_or_default()
        }
    };
    let exits = matches!(
        kind,
        RuntimeEventKind::TaskExit | RuntimeEventKind::ExecExit | RuntimeEventKind::TaskDelete
    );
    RuntimeEvent {
        namespace: Cow::Borrowed(namespace),
        kind,
        subject,
        image: payload.image,
        exec,
        pid: payload.pid,
        exit_status: exits.then_some(payload.exit_status.unwrap_or(0)),
        command: None,
        identity: payload.labels.as_ref().and_then(identity_of_labels),
    }
}

/// The Pod that the kubelet's labels name; `None` without them.
pub(crate) fn identity_of_labels<'a>(
    labels: &BTreeMap<Cow<'a, str>, Cow<'a, str>>,
) -> Option<SandboxIdentity<'a>> {
    Some(SandboxIdentity {
        name: labels.get("io.kubernetes.pod.name")?.clone(),
        namespace: labels.get("io.kubernetes.pod.namespace").cloned().unwrap_or_default(),
        uid: labels.get("io.kubernetes.pod.uid").cloned().unwrap_or_default(),
        attempt: 0,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::testing::{context, runtime};

    fn plain(kind: RuntimeEventKind, subject: &'static str) -> RuntimeEvent<'static> {
        RuntimeEvent {
            namespace: "k8s.io".into(),
            kind,
            subject: subject.into(),
            image: None,
            exec: None,
            pid: None,
            exit_status: None,
            command: None,
            identity: None,
        }
    }

    #[test]
    fn every_topic_is_understood_in_every_version() {
        use RuntimeEventKind as Kind;
        for (topic, json, expected) in [
            (
                "/containers/create",
                r#"{"id":"c","image":"r/i:1","runtime":{"name":"io.containerd.runc.v2"}}"#,
                RuntimeEvent { image: Some("r/i:1".into()), ..plain(Kind::ContainerCreate, "c") },
            ),
            (
                "/containers/update",
                r#"{"id":"c","labels":{"io.kubernetes.pod.name":"p","io.kubernetes.pod.namespace":"n","io.kubernetes.pod.uid":"u"}}"#,
                RuntimeEvent {
                    identity: Some(SandboxIdentity {
                        name: "p".into(),
                        namespace: "n".into(),
                        uid: "u".into(),
                        attempt: 0,
                    }),
                    ..plain(Kind::ContainerUpdate, "c")
                },
            ),
            ("/containers/delete", r#"{"id":"c"}"#, plain(Kind::ContainerDelete, "c")),
            (
                "/tasks/create",
                r#"{"container_id":"c","bundle":"/run/x","rootfs":[{"type":"overlay"}],"io":{"terminal":true},"pid":7}"#,
                RuntimeEvent { pid: Some(7), ..plain(Kind::TaskCreate, "c") },
            ),
            (
                "/tasks/exit",
                r#"{"container_id":"c","id":"c","pid":7,"exit_status":137,"exited_at":"2026-11-23T11:56:35.8Z"}"#,
                RuntimeEvent { pid: Some(7), exit_status: Some(137), ..plain(Kind::TaskExit, "c") },
            ),
            (
                "/tasks/exit",
                r#"{"container_id":"c","id":"x","pid":7,"exited_at":{"seconds":1,"nanos":2}}"#,
                RuntimeEvent {
                    pid: Some(7),
                    exit_status: Some(0),
                    exec: Some("x".into()),
                    ..plain(Kind::ExecExit, "c")
                },
            ),
            (
                "/tasks/exec-added",
                r#"{"container_id":"c","exec_id":"x"}"#,
                RuntimeEvent { exec: Some("x".into()), ..plain(Kind::ExecAdded, "c") },
            ),
            (
                "/tasks/exec-started",
                r#"{"container_id":"c","exec_id":"x","pid":8}"#,
                RuntimeEvent { exec: Some("x".into()), pid: Some(8), ..plain(Kind::ExecStarted, "c") },
            ),
            (
                "/tasks/checkpointed",
                r#"{"container_id":"c","checkpoint":"y"}"#,
                plain(Kind::TaskCheckpointed, "c"),
            ),
            ("/images/create", r#"{"name":"r/i:1"}"#, plain(Kind::ImageCreate, "r/i:1")),
            ("/namespaces/create", r#"{"name":"moby"}"#, plain(Kind::NamespaceCreate, "moby")),
            ("/sandboxes/start", r#"{"sandbox_id":"s"}"#, plain(Kind::Sandbox, "s")),
            ("/snapshot/prepare", r#"{"key":"c","parent":"sha256:00"}"#, plain(Kind::Other, "c")),
            ("/tasks/paused", "", plain(Kind::TaskPaused, "")),
        ] {
            let line = format!("2026-11-23 11:35:43.5 +0000 UTC k8s.io {topic} {json}");
            assert_eq!(runtime(&CtrEvents, &line), Some(RuntimeLine::Event(expected)), "{line}");
        }
    }

    #[test]
    fn times_are_as_go_prints_them() {
        let expected = Timestamp::parse("2026-11-23T11:35:43.58Z").unwrap();
        for stamp in [
            "2026-11-23 11:35:43.58 +0000 UTC",
            "2026-11-23 13:35:43.58 +0200 CEST",
            "2026-11-23 14:35:43.58 +0300 +03",
        ] {
            let line = format!("{stamp} default /containers/delete {{\"id\":\"c\"}}");
            assert!(
                matches!(CtrEvents.parse(&line, &context()), Parsed::Record(time, _) if time == expected),
                "{line}"
            );
        }
    }

    #[test]
    fn broken_and_foreign_lines_are_told_apart() {
        for (line, rejected) in [
            ("2026-11-23 11:35:43 +0000 UTC k8s.io /tasks/exit {\"container_id\":", true),
            ("2026-11-33 11:35:43 +0000 UTC k8s.io /tasks/exit {}", true),
            ("2026-11-23 11:35:43 +0000 UTC k8s.io nothing {}", false),
            ("time=\"x\"", false),
        ] {
            let parsed = CtrEvents.parse(line, &context());
            assert_eq!(matches!(parsed, Parsed::Reject(_)), rejected, "{parsed:?}");
            assert_eq!(parsed == Parsed::Unknown, !rejected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*", topic in "/[a-z/]*") {
            let _ = CtrEvents.parse(&text, &context());
            let _ = CtrEvents.parse(&format!("2026-11-23 11:35:43 +0000 UTC k8s.io {topic} {text}"), &context());
        }
    }
}
