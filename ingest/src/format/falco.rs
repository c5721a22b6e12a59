//! Falco's JSON output: one alert an object.
//!
//! Which `output_fields` there are depends on the rule's text; values may be null, empty, `<NA>`, numbers or strings.
//! Alerts of the `k8s_audit` source are made from the audit trail itself and so prove nothing beside it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use auditgap_records::host::{FileAccess, HostEvent, Process};
use auditgap_records::{Body, Text, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::auditd::syscall::Call;
use super::command::mask_command;
use super::raw_json::scalar;
use super::{LineContext, LineFormat, Parsed};

/// Reads Falco's alerts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Falco;

impl LineFormat for Falco {
    fn parse<'a>(&self, text: &'a str, context: &LineContext) -> Parsed<'a> {
        if !text.starts_with('{') {
            return Parsed::Unknown;
        }
        let alert: Alert<'a> = match serde_json::from_str(text) {
            Ok(alert) => alert,
            Err(error) if text.contains("\"output_fields\"") || text.contains("\"rule\"") => {
                return Parsed::Reject(format!("the alert's JSON cannot be read: {error}"));
            }
            Err(_) => return Parsed::Unknown,
        };
        let Some(time) = alert.time().or(context.transport_time) else {
            return Parsed::Reject("a Falco alert without a time: expected time or evt.time".to_owned());
        };
        Parsed::Record(time, alert.event().map_or(Body::Other, Body::Host))
    }
}

#[derive(Debug, Deserialize)]
struct Alert<'a> {
    #[serde(borrow)]
    rule: Cow<'a, str>,
    #[serde(borrow)]
    priority: Cow<'a, str>,
    #[serde(borrow, default)]
    source: Cow<'a, str>,
    #[serde(borrow)]
    time: Option<Cow<'a, str>>,
    #[serde(borrow)]
    output_fields: Option<BTreeMap<Cow<'a, str>, &'a RawValue>>,
}

impl<'a> Alert<'a> {
    fn time(&self) -> Option<Timestamp> {
        let told = self.time.as_deref().and_then(Timestamp::parse);
        let iso = || self.field("evt.time.iso8601").and_then(|text| Timestamp::parse(&text));
        told.or_else(|| self.number("evt.time").map(Timestamp)).or_else(iso)
    }

    fn field(&self, name: &str) -> Option<Text<'a>> {
        let raw: &'a RawValue = self.output_fields.as_ref()?.get(name).copied()?;
        scalar(raw).filter(|text| !matches!(text.as_ref(), "" | "<NA>"))
    }

    fn first(&self, names: &[&str]) -> Option<Text<'a>> {
        names.iter().find_map(|name| self.field(name))
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.field(name)?.parse().ok()
    }

    fn is(&self, name: &str) -> bool {
        self.field(name).is_some_and(|text| text == "true")
    }

    fn process(&self) -> Process<'a> {
        let container = self.first(&["container.full_id", "container.id"]).filter(|id| id != "host");
        Process {
            pid: self.number("proc.pid"),
            comm: self.field("proc.name").unwrap_or_default(),
            exe: self.first(&["proc.exepath", "proc.exe"]).unwrap_or_default(),
            command: mask_command(self.field("proc.cmdline").unwrap_or_default()),
            uid: self.number("user.uid"),
            login_uid: self.number("user.loginuid").filter(|uid| *uid != u32::MAX),
            container,
            pod: self.field("k8s.ns.name").zip(self.field("k8s.pod.name")),
        }
    }

    fn event(&self) -> Option<HostEvent<'a>> {
        match self.source.as_ref() {
            "k8s_audit" => return None,
            "internal" => {
                let drops = self.rule.contains("drop");
                return drops.then(|| HostEvent::Loss { events: self.number("n_drops") });
            }
            _ => {}
        }
        let (process, rule) = (self.process(), self.rule.clone());
        let call = self.field("evt.type");
        match call.as_deref().map(Call::of) {
            Some(Call::Exec) => return Some(HostEvent::Exec { process, rule, maybe_probe: false }),
            Some(Call::Connect) => {
                if let Some(path) = self.field("fd.name").and_then(|name| socket_path(&name)) {
                    return Some(HostEvent::Connect { path, process, rule });
                }
            }
            what => {
                if let Some((path, access)) = self.file(call.as_deref().unwrap_or_default(), what) {
                    let success = !self.is("evt.failed")
                        && self.field("evt.res").is_none_or(|result| result == "SUCCESS");
                    return Some(HostEvent::File { path, access, process, rule, success });
                }
            }
        }
        Some(HostEvent::Alert { rule, priority: self.priority.clone(), process })
    }

    fn file(&self, call: &str, what: Option<Call>) -> Option<(Text<'a>, FileAccess)> {
        const PATHS: [&str; 5] = ["fs.path.name", "fd.name", "evt.arg.path", "evt.arg.name", "evt.abspath"];
        const TARGETS: [&str; 3] = ["fs.path.target", "evt.arg.newpath", "evt.arg.linkpath"];
        let path = || self.first(&PATHS);
        let (path, access) = match what {
            Some(Call::Names) if call.starts_with("unlink") || call == "rmdir" => {
                (path(), FileAccess::Delete)
            }
            Some(Call::Names) => (self.first(&TARGETS).or_else(path), FileAccess::Create),
            Some(Call::Create) => (path(), FileAccess::Create),
            Some(Call::Write) => (path(), FileAccess::Write),
            Some(Call::Attributes) => (path(), FileAccess::Attributes),
            Some(Call::Open(_)) | None => (path(), self.open_access()),
            Some(Call::Other | Call::Exec | Call::Connect | Call::Bind) => return None,
        };
        path.filter(|path| path.starts_with('/')).map(|path| (path, access))
    }

    /// Reading or writing: by the flags if the rule prints them, else by what the rule is called.
    fn open_access(&self) -> FileAccess {
        let flags = self.first(&["evt.arg.flags", "evt.arg[1]"]).unwrap_or_default();
        let writes = ["O_WRONLY", "O_RDWR", "O_TRUNC"].iter().any(|flag| flags.contains(flag));
        if flags.contains("O_F_CREATED") {
            FileAccess::Create
        } else if writes || self.is("evt.is_open_write") {
            FileAccess::Write
        } else if flags.contains("O_RDONLY") || self.is("evt.is_open_read") {
            FileAccess::Read
        } else {
            let rule = self.rule.to_ascii_lowercase();
            let writes = ["write", "modif", "creat"].iter().any(|word| rule.contains(word));
            if writes { FileAccess::Write } else { FileAccess::Read }
        }
    }
}

/// The path in a Unix socket's name, `ffff8c…->ffff8d… /run/x.sock`.
fn socket_path(name: &str) -> Option<Text<'static>> {
    name.split(' ').rfind(|word| word.starts_with('/')).map(|path| Cow::Owned(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::testing::{context, host};

    fn line(rule: &str, source: &str, fields: &str) -> String {
        format!(
            r#"{{"hostname":"n1","output":"x","output_fields":{{{fields}}},"priority":"Warning","rule":"{rule}","source":"{source}","tags":["t"],"time":"2026-11-23T11:35:43.583093167Z"}}"#
        )
    }

    #[test]
    fn an_alert_becomes_what_it_is_about() {
        let process = Process { comm: "sh".into(), ..Process::default() };
        let file = |path: &'static str, access| HostEvent::File {
            path: path.into(),
            access,
            process: process.clone(),
            rule: "r".into(),
            success: true,
        };
        for (fields, expected) in [
            (
                r#""evt.type":"openat","fd.name":"/d/f","evt.arg.flags":"O_RDONLY|O_CLOEXEC""#,
                file("/d/f", FileAccess::Read),
            ),
            (
                r#""evt.type":"openat","fd.name":"/d/f","evt.arg.flags":"O_WRONLY|O_TRUNC""#,
                file("/d/f", FileAccess::Write),
            ),
            (
                r#""evt.type":"openat","fd.name":"/d/f","evt.arg.flags":"O_WRONLY|O_CREAT|O_F_CREATED""#,
                file("/d/f", FileAccess::Create),
            ),
            (
                r#""evt.type":"open","fd.name":"/d/f","evt.is_open_write":"true""#,
                file("/d/f", FileAccess::Write),
            ),
            (r#""evt.type":"unlinkat","fs.path.name":"/d/f""#, file("/d/f", FileAccess::Delete)),
            (
                r#""evt.type":"rename","evt.arg.oldpath":"/d/a","evt.arg.newpath":"/d/f""#,
                file("/d/f", FileAccess::Create),
            ),
            (r#""evt.type":"fchmodat","fs.path.name":"/d/f""#, file("/d/f", FileAccess::Attributes)),
            (r#""fd.name":"/d/f""#, file("/d/f", FileAccess::Read)),
            (
                r#""evt.type":"connect","fd.name":"ff01->ff02 /run/containerd/containerd.sock""#,
                HostEvent::Connect {
                    path: "/run/containerd/containerd.sock".into(),
                    process: process.clone(),
                    rule: "r".into(),
                },
            ),
            (
                r#""evt.type":"execve""#,
                HostEvent::Exec { process: process.clone(), rule: "r".into(), maybe_probe: false },
            ),
            (
                r#""evt.type":"connect","fd.name":"10.0.0.1:1->10.0.0.2:443""#,
                HostEvent::Alert { rule: "r".into(), priority: "Warning".into(), process: process.clone() },
            ),
            (
                r#""evt.type":"ptrace","fd.name":null"#,
                HostEvent::Alert { rule: "r".into(), priority: "Warning".into(), process: process.clone() },
            ),
        ] {
            let line = line("r", "syscall", &format!("{fields},\"proc.name\":\"sh\""));
            assert_eq!(host(&Falco, &line), Some(expected), "{line}");
        }
    }

    #[test]
    fn who_it_was_is_read_from_every_kind_of_value() {
        let fields = r#""evt.type":"execve","container.id":"4c2b21624d44","container.full_id":"<NA>","k8s.ns.name":"default","k8s.pod.name":"web","proc.pid":7,"proc.name":"sh","proc.exepath":"/bin/sh","proc.cmdline":"sh -c \"id\"","user.uid":"0","user.loginuid":-1"#;
        let expected = Process {
            pid: Some(7),
            comm: "sh".into(),
            exe: "/bin/sh".into(),
            command: "sh -c \"id\"".into(),
            uid: Some(0),
            login_uid: None,
            container: Some("4c2b21624d44".into()),
            pod: Some(("default".into(), "web".into())),
        };
        let line = line("r", "syscall", fields);
        let expected = HostEvent::Exec { process: expected, rule: "r".into(), maybe_probe: false };
        assert_eq!(host(&Falco, &line), Some(expected));
    }

    #[test]
    fn alerts_made_from_the_audit_trail_are_no_evidence_and_drops_are_losses() {
        assert_eq!(host(&Falco, &line("r", "k8s_audit", r#""ka.verb":"create""#)), None);
        let drops = line("Falco internal: syscall event drop", "internal", r#""n_drops":"12""#);
        assert_eq!(host(&Falco, &drops), Some(HostEvent::Loss { events: Some(12) }));
        let note = line("Falco internal: metrics snapshot", "internal", "");
        assert_eq!(host(&Falco, &note), None);
    }

    #[test]
    fn the_time_is_found_where_it_stands() {
        let full = line("r", "syscall", r#""evt.time":1795433743583093167"#);
        let bare = full.replace(r#","time":"2026-11-23T11:35:43.583093167Z""#, "");
        for line in [full, bare] {
            let parsed = Falco.parse(&line, &context());
            assert!(matches!(parsed, Parsed::Record(Timestamp(1_795_433_743_583_093_167), _)), "{line}");
        }
        assert!(matches!(Falco.parse(r#"{"rule":"r","priority":"Notice"}"#, &context()), Parsed::Reject(_)));
        assert_eq!(Falco.parse(r#"{"a":1}"#, &context()), Parsed::Unknown);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*", call in "[a-z]*", name in "[^\"\\\\]*") {
            let _ = Falco.parse(&text, &context());
            let fields = format!(r#""evt.type":"{call}","fd.name":"{name}""#);
            let _ = Falco.parse(&line("r", "syscall", &fields), &context());
        }
    }
}
