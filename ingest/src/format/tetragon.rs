//! Tetragon's JSON export: one object a line, with one of `process_exec`, `process_kprobe`, … and `time`.
//!
//! 64-bit numbers come as strings, fields that are false or zero are left out, and spaces vary on purpose.

use std::borrow::Cow;

use auditgap_records::host::{FileAccess, HostEvent, Process};
use auditgap_records::{Body, Text, Timestamp};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::auditd::syscall::opens_for_writing;
use super::command::mask_command;
use super::raw_json::scalar;
use super::{LineContext, LineFormat, Parsed};

/// Reads Tetragon's export.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tetragon;

impl LineFormat for Tetragon {
    fn parse<'a>(&self, text: &'a str, context: &LineContext) -> Parsed<'a> {
        if !text.starts_with('{') {
            return Parsed::Unknown;
        }
        let line: Line<'a> = match serde_json::from_str(text) {
            Ok(line) => line,
            Err(error) if text.contains("\"process_") => {
                return Parsed::Reject(format!("the event's JSON cannot be read: {error}"));
            }
            Err(_) => return Parsed::Unknown,
        };
        if !line.is_event() {
            return Parsed::Unknown;
        }
        let Some(time) = line.time.as_deref().and_then(Timestamp::parse).or(context.transport_time) else {
            return Parsed::Reject("a Tetragon event without a readable time: expected RFC 3339".to_owned());
        };
        Parsed::Record(time, line.event().map_or(Body::Other, Body::Host))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    time: Option<Cow<'a, str>>,
    #[serde(borrow)]
    process_exec: Option<Exec<'a>>,
    #[serde(borrow)]
    process_kprobe: Option<Probe<'a>>,
    #[serde(borrow)]
    process_lsm: Option<Probe<'a>>,
    #[serde(borrow)]
    rate_limit_info: Option<RateLimit<'a>>,
    #[serde(borrow)]
    process_throttle: Option<Throttle<'a>>,
    process_exit: Option<IgnoredAny>,
    process_tracepoint: Option<IgnoredAny>,
    process_loader: Option<IgnoredAny>,
    process_uprobe: Option<IgnoredAny>,
    process_usdt: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Exec<'a> {
    #[serde(borrow)]
    process: Option<Actor<'a>>,
}

#[derive(Debug, Deserialize)]
struct Probe<'a> {
    #[serde(borrow)]
    process: Option<Actor<'a>>,
    #[serde(borrow, default)]
    function_name: Cow<'a, str>,
    #[serde(borrow, default)]
    policy_name: Cow<'a, str>,
    #[serde(borrow, default)]
    args: Vec<Argument<'a>>,
    #[serde(borrow, rename = "return")]
    returned: Option<Argument<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Actor<'a> {
    pid: Option<u32>,
    uid: Option<u32>,
    auid: Option<u32>,
    #[serde(borrow)]
    binary: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Cow<'a, str>,
    #[serde(borrow)]
    flags: Cow<'a, str>,
    #[serde(borrow)]
    docker: Cow<'a, str>,
    #[serde(borrow)]
    pod: Option<Pod<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pod<'a> {
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    container: Option<Container<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    maybe_exec_probe: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Argument<'a> {
    #[serde(borrow, rename = "string_arg")]
    string: Option<Cow<'a, str>>,
    #[serde(rename = "int_arg")]
    int: Option<i64>,
    #[serde(rename = "uint_arg")]
    uint: Option<u32>,
    #[serde(borrow, rename = "file_arg")]
    file: Option<Named<'a>>,
    #[serde(borrow, rename = "path_arg")]
    path: Option<Named<'a>>,
    #[serde(borrow, rename = "sockaddrun_arg")]
    socket: Option<Named<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
struct RateLimit<'a> {
    /// A 64-bit number, so a string.
    #[serde(borrow)]
    number_of_dropped_process_events: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Throttle<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
}

impl<'a> Line<'a> {
    fn is_event(&self) -> bool {
        self.process_exec.is_some()
            || self.process_kprobe.is_some()
            || self.process_lsm.is_some()
            || self.rate_limit_info.is_some()
            || self.process_throttle.is_some()
            || [
                &self.process_exit,
                &self.process_tracepoint,
                &self.process_loader,
                &self.process_uprobe,
                &self.process_usdt,
            ]
            .into_iter()
            .any(Option::is_some)
    }

    fn event(self) -> Option<HostEvent<'a>> {
        if let Some(exec) = self.process_exec {
            let actor = exec.process?;
            // Such a process ran before Tetragon did: it is told of, not started.
            if actor.flags.split(' ').any(|flag| flag == "procFS") {
                return None;
            }
            let maybe_probe = actor.maybe_probe();
            return Some(HostEvent::Exec { process: actor.process(), rule: Cow::Borrowed(""), maybe_probe });
        }
        if let Some(limit) = self.rate_limit_info {
            let events = limit
                .number_of_dropped_process_events
                .and_then(scalar)
                .and_then(|number| number.parse().ok());
            return Some(HostEvent::Loss { events });
        }
        if let Some(throttle) = self.process_throttle {
            return (throttle.kind != "THROTTLE_STOP").then_some(HostEvent::Loss { events: None });
        }
        self.process_kprobe.or(self.process_lsm).map(Probe::event)
    }
}

impl<'a> Actor<'a> {
    fn maybe_probe(&self) -> bool {
        let container = self.pod.as_ref().and_then(|pod| pod.container.as_ref());
        container.is_some_and(|container| container.maybe_exec_probe)
    }

    fn process(self) -> Process<'a> {
        let comm = self.binary.rsplit('/').next().unwrap_or_default().to_owned();
        let command = if self.arguments.is_empty() {
            self.binary.clone()
        } else {
            Cow::Owned(format!("{} {}", self.binary, self.arguments))
        };
        let told =
            self.pod.as_ref().and_then(|pod| pod.container.as_ref()).map(|container| container.id.clone());
        // `containerd://<id>`; outside Kubernetes only the first 31 digits, in `docker`.
        let container =
            told.filter(|id| !id.is_empty()).map_or(self.docker, |id| match id.split_once("://") {
                Some((_, id)) => Cow::Owned(id.to_owned()),
                None => id,
            });
        Process {
            pid: self.pid,
            comm: Cow::Owned(comm),
            exe: self.binary,
            command: mask_command(command),
            uid: self.uid,
            login_uid: self.auid.filter(|uid| *uid != u32::MAX),
            container: Some(container).filter(|id| !id.is_empty()),
            pod: self.pod.map(|pod| (pod.namespace, pod.name)),
        }
    }
}

impl<'a> Probe<'a> {
    fn event(self) -> HostEvent<'a> {
        let rule =
            if self.policy_name.is_empty() { self.function_name.clone() } else { self.policy_name.clone() };
        let success = self.returned.as_ref().and_then(|value| value.int).is_none_or(|value| value >= 0);
        let path = self.path();
        let access = self.access();
        let socket =
            self.args.iter().find_map(|argument| argument.socket.as_ref()).map(|socket| socket.path.clone());
        let process = self.process.map(Actor::process).unwrap_or_default();
        match (socket, path) {
            (Some(path), _) if self.function_name.contains("connect") => {
                HostEvent::Connect { path, process, rule }
            }
            (_, Some(path)) => HostEvent::File { path, access, process, rule, success },
            _ => HostEvent::Alert { rule, priority: Cow::Borrowed(""), process },
        }
    }

    fn path(&self) -> Option<Text<'a>> {
        self.args.iter().find_map(|argument| {
            let named = argument.file.as_ref().or(argument.path.as_ref()).map(|file| file.path.clone());
            named.or_else(|| argument.string.clone()).filter(|path| path.starts_with('/'))
        })
    }

    /// What the hooked function does to the file; the number beside it is a permission mask, protection or open flags.
    fn access(&self) -> FileAccess {
        const WRITE: i64 = 2;
        let name = self.function_name.as_ref();
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        let number = self.args.iter().find_map(|argument| argument.int.or(argument.uint.map(i64::from)));
        if has(&["unlink", "rmdir"]) {
            FileAccess::Delete
        } else if has(&["chmod", "chown", "setattr", "xattr"]) {
            FileAccess::Attributes
        } else if has(&["create", "mknod", "mkdir", "rename", "link"]) {
            FileAccess::Create
        } else if has(&["write", "truncate"]) {
            FileAccess::Write
        } else {
            let writes = match number {
                Some(mask) if has(&["permission", "mmap"]) => mask & WRITE != 0,
                Some(flags) if has(&["open"]) => u64::try_from(flags).is_ok_and(opens_for_writing),
                _ => false,
            };
            if writes { FileAccess::Write } else { FileAccess::Read }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::testing::{context, host};

    const PROCESS: &str = r#"{"exec_id":"x", "pid":7, "uid":0, "auid":4294967295, "binary":"/bin/sh", "arguments":"-c \"id a\"", "flags":"execve clone", "pod":{"namespace":"default", "name":"web", "container":{"id":"containerd://c1", "maybe_exec_probe":true}}}"#;

    fn line(event: &str) -> String {
        format!(r#"{{{event}, "node_name":"n1", "time":"2026-11-23T11:35:43.583093167Z"}}"#)
    }

    fn process() -> Process<'static> {
        Process {
            pid: Some(7),
            comm: "sh".into(),
            exe: "/bin/sh".into(),
            command: "/bin/sh -c \"id a\"".into(),
            uid: Some(0),
            login_uid: None,
            container: Some("c1".into()),
            pod: Some(("default".into(), "web".into())),
        }
    }

    #[test]
    fn every_event_is_understood() {
        for (event, expected) in [
            (
                format!(r#""process_exec":{{"process":{PROCESS}}}"#),
                Some(HostEvent::Exec { process: process(), rule: "".into(), maybe_probe: true }),
            ),
            (format!(r#""process_exec":{{"process":{}}}"#, PROCESS.replace("execve clone", "procFS auid")), None),
            (format!(r#""process_exit":{{"process":{PROCESS}}}"#), None),
            (
                r#""process_exec":{"process":{"pid":9, "binary":"/usr/bin/ctr", "docker":"0123456789abcdef0123456789abcde"}}"#
                    .to_owned(),
                Some(HostEvent::Exec {
                    process: Process {
                        pid: Some(9),
                        comm: "ctr".into(),
                        exe: "/usr/bin/ctr".into(),
                        command: "/usr/bin/ctr".into(),
                        container: Some("0123456789abcdef0123456789abcde".into()),
                        ..Process::default()
                    },
                    rule: "".into(),
                    maybe_probe: false,
                }),
            ),
            (
                r#""rate_limit_info":{"number_of_dropped_process_events":"12"}"#.to_owned(),
                Some(HostEvent::Loss { events: Some(12) }),
            ),
            (r#""process_throttle":{"type":"THROTTLE_START"}"#.to_owned(), Some(HostEvent::Loss { events: None })),
            (r#""process_throttle":{"type":"THROTTLE_STOP"}"#.to_owned(), None),
        ] {
            let line = line(&event);
            assert_eq!(host(&Tetragon, &line), expected, "{line}");
        }
    }

    #[test]
    fn a_hook_tells_what_was_done_to_which_file_or_socket() {
        let file = |path: &'static str, access, success| HostEvent::File {
            path: path.into(),
            access,
            process: process(),
            rule: "policy".into(),
            success,
        };
        for (function, args, expected) in [
            (
                "security_file_permission",
                r#"[{"file_arg":{"path":"/d/f"}}, {"int_arg":4}]"#,
                file("/d/f", FileAccess::Read, true),
            ),
            (
                "security_file_permission",
                r#"[{"file_arg":{"path":"/d/f"}}, {"int_arg":2}], "return":{"int_arg":-1}"#,
                file("/d/f", FileAccess::Write, false),
            ),
            (
                "security_path_truncate",
                r#"[{"path_arg":{"path":"/d/f"}}]"#,
                file("/d/f", FileAccess::Write, true),
            ),
            (
                "__x64_sys_openat",
                r#"[{"int_arg":577}, {"string_arg":"/d/f"}]"#,
                file("/d/f", FileAccess::Write, true),
            ),
            (
                "security_path_unlink",
                r#"[{"path_arg":{"path":"/d/f"}}]"#,
                file("/d/f", FileAccess::Delete, true),
            ),
            (
                "security_socket_connect",
                r#"[{"sockaddrun_arg":{"family":"AF_UNIX", "path":"/run/x.sock"}}]"#,
                HostEvent::Connect { path: "/run/x.sock".into(), process: process(), rule: "policy".into() },
            ),
            (
                "commit_creds",
                r#"[{"process_credentials_arg":{"uid":0}}]"#,
                HostEvent::Alert { rule: "policy".into(), priority: "".into(), process: process() },
            ),
        ] {
            for kind in ["process_kprobe", "process_lsm"] {
                let event = format!(
                    r#""{kind}":{{"process":{PROCESS}, "function_name":"{function}", "policy_name":"policy", "args":{args}}}"#
                );
                let line = line(&event);
                assert_eq!(host(&Tetragon, &line), Some(expected.clone()), "{line}");
            }
        }
    }

    #[test]
    fn broken_and_foreign_lines_are_told_apart() {
        for (line, rejected) in [
            (r#"{"process_exec":{"process":"#, true),
            (r#"{"process_exit":{}}"#, true),
            (r#"{"time":"2026-11-23T11:35:43Z"}"#, false),
            ("{", false),
            ("", false),
        ] {
            let parsed = Tetragon.parse(line, &context());
            assert_eq!(matches!(parsed, Parsed::Reject(_)), rejected, "{parsed:?}");
            assert_eq!(parsed == Parsed::Unknown, !rejected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*", function in "[a-z_]*", path in "[^\"\\\\]*") {
            let _ = Tetragon.parse(&text, &context());
            let event = format!(
                r#""process_kprobe":{{"function_name":"{function}", "args":[{{"string_arg":"{path}"}}, {{"int_arg":-1}}]}}"#
            );
            let _ = Tetragon.parse(&line(&event), &context());
        }
    }
}
