//! `docker events --format '{{json .}}'`: one object an event.
//!
//! Pods are known by the kubelet's labels, which cri-dockerd copies, else by the name it gives its containers,
//! `k8s_<container>_<pod>_<namespace>_<uid>_<attempt>`. An exec's command is told in the action's own name.

use std::borrow::Cow;
use std::collections::BTreeMap;

use auditgap_records::runtime::{RuntimeEvent, RuntimeEventKind, RuntimeLine, SandboxIdentity};
use auditgap_records::{Body, Text, Timestamp};
use serde::Deserialize;

use super::ctr_events::identity_of_labels;
use super::{LineContext, LineFormat, Parsed};

/// Reads Docker's events.
#[derive(Clone, Copy, Debug, Default)]
pub struct DockerEvents;

impl LineFormat for DockerEvents {
    fn parse<'a>(&self, text: &'a str, context: &LineContext) -> Parsed<'a> {
        if !text.starts_with('{') {
            return Parsed::Unknown;
        }
        let event: Event<'a> = match serde_json::from_str(text) {
            Ok(event) => event,
            Err(error) if text.contains("\"Action\"") => {
                return Parsed::Reject(format!("the event's JSON cannot be read: {error}"));
            }
            Err(_) => return Parsed::Unknown,
        };
        let Some(time) = event.time().or(context.transport_time) else {
            return Parsed::Reject("a Docker event without a time: expected timeNano or time".to_owned());
        };
        Parsed::Record(
            time,
            runtime_event(event).map_or(Body::Other, |event| Body::Runtime(RuntimeLine::Event(event))),
        )
    }
}

#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(rename = "Type", borrow)]
    kind: Cow<'a, str>,
    #[serde(rename = "Action", borrow)]
    action: Cow<'a, str>,
    #[serde(rename = "Actor", borrow)]
    actor: Actor<'a>,
    time: Option<i64>,
    #[serde(rename = "timeNano")]
    time_nano: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Actor<'a> {
    #[serde(rename = "ID", borrow, default)]
    id: Cow<'a, str>,
    #[serde(rename = "Attributes", borrow)]
    attributes: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
}

impl Event<'_> {
    fn time(&self) -> Option<Timestamp> {
        let seconds = || self.time.and_then(|seconds| Timestamp::from_unix(seconds, 0));
        self.time_nano.filter(|nanos| *nanos > 0).map(Timestamp).or_else(seconds)
    }
}

/// What an action is in the common vocabulary; `None` when it is of no interest.
fn kind_of(object: &str, action: &str) -> Option<RuntimeEventKind> {
    Some(match (object, action) {
        ("container", "create") => RuntimeEventKind::ContainerCreate,
        ("container", "update" | "rename") => RuntimeEventKind::ContainerUpdate,
        ("container", "destroy") => RuntimeEventKind::ContainerDelete,
        ("container", "start") => RuntimeEventKind::TaskStart,
        ("container", "die") => RuntimeEventKind::TaskExit,
        ("container", "oom") => RuntimeEventKind::TaskOom,
        ("container", "pause") => RuntimeEventKind::TaskPaused,
        ("container", "unpause") => RuntimeEventKind::TaskResumed,
        ("container", "checkpoint") => RuntimeEventKind::TaskCheckpointed,
        ("container", "exec_create") => RuntimeEventKind::ExecAdded,
        ("container", "exec_start") => RuntimeEventKind::ExecStarted,
        ("container", "exec_die") => RuntimeEventKind::ExecExit,
        // A health check tells nothing of a caller.
        ("container", "health_status") => return None,
        // Stopped, killed, attached to, copied from: who asked is not told.
        ("container", _) => RuntimeEventKind::Other,
        ("image", "pull" | "load" | "import") => RuntimeEventKind::ImageCreate,
        ("image", "tag") => RuntimeEventKind::ImageUpdate,
        ("image", "untag" | "delete") => RuntimeEventKind::ImageDelete,
        _ => return None,
    })
}

fn runtime_event(event: Event<'_>) -> Option<RuntimeEvent<'_>> {
    let (action, command) = match event.action.split_once(": ") {
        Some((action, command)) => (action, Some(command)),
        None => (event.action.as_ref(), None),
    };
    let kind = kind_of(&event.kind, action)?;
    let command =
        command.filter(|_| matches!(kind, RuntimeEventKind::ExecAdded | RuntimeEventKind::ExecStarted));
    let command = command.map(|command| Cow::Owned(command.to_owned()));
    let attributes = event.actor.attributes.unwrap_or_default();
    let exits = matches!(kind, RuntimeEventKind::TaskExit | RuntimeEventKind::ExecExit);
    let exit_code = || attributes.get("exitCode").and_then(|code| code.parse().ok()).unwrap_or(0);
    Some(RuntimeEvent {
        namespace: Cow::Borrowed(""),
        kind,
        subject: event.actor.id,
        image: attributes.get("image").filter(|_| kind == RuntimeEventKind::ContainerCreate).cloned(),
        exec: attributes.get("execID").cloned(),
        pid: None,
        exit_status: exits.then(exit_code),
        command,
        identity: identity_of_labels(&attributes).or_else(|| identity_of_name(attributes.get("name")?)),
    })
}

/// Kubernetes names hold no `_`, so the parts are certain; a conflict adds a random one behind.
fn identity_of_name(name: &Text<'_>) -> Option<SandboxIdentity<'static>> {
    let mut parts = name.strip_prefix("k8s_")?.split('_').skip(1);
    let (pod, namespace, uid) = (parts.next()?, parts.next()?, parts.next()?);
    Some(SandboxIdentity {
        name: Cow::Owned(pod.to_owned()),
        namespace: Cow::Owned(namespace.to_owned()),
        uid: Cow::Owned(uid.to_owned()),
        attempt: parts.next().and_then(|attempt| attempt.parse().ok()).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::testing::{context, runtime};

    fn line(kind: &str, action: &str, attributes: &str) -> String {
        format!(
            r#"{{"status":"x","id":"c1","Type":"{kind}","Action":"{action}","Actor":{{"ID":"c1","Attributes":{attributes}}},"scope":"local","time":1795433743,"timeNano":1795433743583093167}}"#
        )
    }

    #[test]
    fn every_action_is_understood() {
        use RuntimeEventKind as Kind;
        let plain = |kind| RuntimeEvent {
            namespace: "".into(),
            kind,
            subject: "c1".into(),
            image: None,
            exec: None,
            pid: None,
            exit_status: None,
            command: None,
            identity: None,
        };
        let web = |attempt| {
            Some(SandboxIdentity {
                name: "web".into(),
                namespace: "default".into(),
                uid: "u-1".into(),
                attempt,
            })
        };
        let labels = r#"{"io.kubernetes.pod.name":"web","io.kubernetes.pod.namespace":"default","io.kubernetes.pod.uid":"u-1","image":"r/i:1"}"#;
        for (kind, action, attributes, expected) in [
            (
                "container",
                "create",
                labels,
                Some(RuntimeEvent {
                    image: Some("r/i:1".into()),
                    identity: web(0),
                    ..plain(Kind::ContainerCreate)
                }),
            ),
            (
                "container",
                "start",
                r#"{"name":"k8s_app_web_default_u-1_2_0a1b2c3d"}"#,
                Some(RuntimeEvent { identity: web(2), ..plain(Kind::TaskStart) }),
            ),
            (
                "container",
                "die",
                r#"{"exitCode":"137","name":"rogue"}"#,
                Some(RuntimeEvent { exit_status: Some(137), ..plain(Kind::TaskExit) }),
            ),
            (
                "container",
                "exec_create: sh -c id: x",
                r#"{"execID":"e1"}"#,
                Some(RuntimeEvent {
                    exec: Some("e1".into()),
                    command: Some("sh -c id: x".into()),
                    ..plain(Kind::ExecAdded)
                }),
            ),
            (
                "container",
                "exec_die",
                r#"{"execID":"e1","exitCode":"0"}"#,
                Some(RuntimeEvent { exec: Some("e1".into()), exit_status: Some(0), ..plain(Kind::ExecExit) }),
            ),
            ("container", "kill", r#"{"signal":"15"}"#, Some(plain(Kind::Other))),
            ("container", "destroy", "null", Some(plain(Kind::ContainerDelete))),
            ("container", "health_status: healthy", "{}", None),
            ("image", "pull", "{}", Some(plain(Kind::ImageCreate))),
            ("network", "connect", "{}", None),
        ] {
            let line = line(kind, action, attributes);
            assert_eq!(runtime(&DockerEvents, &line), expected.map(RuntimeLine::Event), "{line}");
        }
    }

    #[test]
    fn the_time_is_the_finest_that_is_told() {
        let fine = line("container", "start", "{}");
        let coarse = fine.replace(",\"timeNano\":1795433743583093167", "");
        for (line, expected) in [(fine, 1_795_433_743_583_093_167), (coarse, 1_795_433_743_000_000_000)] {
            assert!(
                matches!(DockerEvents.parse(&line, &context()), Parsed::Record(Timestamp(time), _) if time == expected)
            );
        }
    }

    #[test]
    fn broken_and_foreign_lines_are_told_apart() {
        for (line, rejected) in [
            (r#"{"Type":"container","Action":"start","Actor":"#, true),
            (r#"{"Type":"container","Action":"start","Actor":{"ID":"c"}}"#, true),
            (r#"{"a":1}"#, false),
            ("2026-11-23T11:35:43Z container start", false),
        ] {
            let parsed = DockerEvents.parse(line, &context());
            assert_eq!(matches!(parsed, Parsed::Reject(_)), rejected, "{parsed:?}");
            assert_eq!(parsed == Parsed::Unknown, !rejected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*", action in "[a-z_]*:? ?.*") {
            let _ = DockerEvents.parse(&text, &context());
            let _ = DockerEvents.parse(&line("container", &action.replace(['"', '\\'], ""), "{}"), &context());
        }
    }
}
