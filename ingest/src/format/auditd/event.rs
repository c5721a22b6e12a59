//! The records of one audit event, put together.

use std::borrow::Cow;
use std::collections::BTreeMap;

use auditgap_records::Text;
use auditgap_records::host::{FileAccess, HostEvent, Process};

use super::field::{Fields, Value, find, into_text, split_enriched};
use super::head::{Head, Kind};
use super::syscall::{Call, directory_argument, is_working_directory, name_of, opens_for_writing};
use crate::format::command::mask_command;

/// Separates the keys of a rule that has several.
const KEY_SEPARATOR: char = '\u{1}';
/// The audit user id of a process that no login began.
const UNSET: u32 = u32::MAX;

/// Records of one event, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Event<'a> {
    call: Option<Syscall<'a>>,
    directory: Option<Text<'a>>,
    paths: Vec<PathItem<'a>>,
    arguments: BTreeMap<u32, Vec<u8>>,
    title: Option<Text<'a>>,
    socket: Option<Text<'a>>,
    open_how: Option<u64>,
    changes: Vec<String>,
}

#[derive(Debug, Default)]
struct Syscall<'a> {
    name: Cow<'a, str>,
    success: bool,
    arguments: [u64; 4],
    rule: Text<'a>,
    process: Process<'a>,
}

#[derive(Debug)]
struct PathItem<'a> {
    name: Text<'a>,
    kind: NameKind,
}

/// What a PATH record is to its call (`nametype=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameKind {
    Parent,
    Create,
    Delete,
    /// `NORMAL`, and `UNKNOWN` when the call failed.
    Subject,
}

impl<'a> Event<'a> {
    /// Takes in one record.
    pub(super) fn add(&mut self, head: &Head<'_>, body: &'a str) {
        let (kernel, interpreted) = split_enriched(body);
        match head.kind {
            Kind::Syscall => self.call = Some(Syscall::read(kernel, interpreted)),
            Kind::Cwd => self.directory = find(kernel, "cwd").and_then(Value::text),
            Kind::Path => self.paths.extend(PathItem::read(kernel)),
            Kind::Execve => self.add_arguments(kernel),
            Kind::ProcTitle => self.title = find(kernel, "proctitle").and_then(Value::text),
            Kind::SockAddr => self.socket = socket_path(kernel, interpreted),
            Kind::OpenHow => {
                self.open_how = find(kernel, "oflag").and_then(|value| parse_number(value.raw, 8));
            }
            Kind::ConfigChange => self.changes.extend(config_change(kernel)),
            Kind::DaemonChange => self.changes.push(daemon_change(kernel)),
            Kind::EndOfEvent | Kind::UserSpace | Kind::Follower | Kind::Other => {}
        }
    }

    /// `a0="ctr" a1=6576 …`; a long one comes as `a2_len=… a2[0]=… a2[1]=…`, over several records.
    fn add_arguments(&mut self, kernel: &str) {
        for (key, value) in Fields(kernel) {
            let Some(key) = key.strip_prefix('a') else { continue };
            let index = key.split_once('[').map_or(key, |(index, _)| index);
            let Ok(index) = index.parse::<u32>() else { continue };
            let text = value.bytes().unwrap_or_else(|| value.raw.as_bytes().to_vec());
            self.arguments.entry(index).or_default().extend(text);
        }
    }

    fn command(&mut self) -> Text<'a> {
        let arguments = std::mem::take(&mut self.arguments);
        if arguments.is_empty() {
            // The title is cut at 128 bytes and can be rewritten by the program: second choice.
            let title = self.title.take().unwrap_or_default();
            return if title.contains('\0') {
                Cow::Owned(title.trim_end_matches('\0').replace('\0', " "))
            } else {
                title
            };
        }
        let words: Vec<Vec<u8>> = arguments.into_values().collect();
        Cow::Owned(into_text(words.join(&b' ')))
    }

    /// What the event says. Empty when it is of no interest.
    pub(super) fn finish(mut self) -> Vec<HostEvent<'a>> {
        let command = mask_command(self.command());
        let Some(mut call) = self.call.take() else {
            return self
                .changes
                .into_iter()
                .map(|what| HostEvent::AuditingChanged { what: what.into() })
                .collect();
        };
        call.process.command = command;
        if !self.changes.is_empty() {
            return self.changes.iter().map(|what| auditing_changed(what, &call.process)).collect();
        }
        match Call::of(&call.name) {
            Call::Exec if call.success => {
                vec![HostEvent::Exec { process: call.process, rule: call.rule, maybe_probe: false }]
            }
            Call::Connect if call.success => {
                let path = self.socket.or_else(|| self.paths.into_iter().next().map(|path| path.name));
                path.map(|path| HostEvent::Connect { path, process: call.process, rule: call.rule })
                    .into_iter()
                    .collect()
            }
            Call::Exec | Call::Connect => Vec::new(),
            what => self.files(&call, what),
        }
    }

    fn files(&self, call: &Syscall<'a>, what: Call) -> Vec<HostEvent<'a>> {
        let event = |path: &PathItem<'a>, access| HostEvent::File {
            path: self.absolute(&path.name, call, path.kind),
            access,
            process: call.process.clone(),
            rule: call.rule.clone(),
            success: call.success,
        };
        let created =
            |name: &str| self.paths.iter().any(|path| path.kind == NameKind::Create && path.name == name);
        let mut events = Vec::new();
        for path in &self.paths {
            let access = match path.kind {
                NameKind::Parent => continue,
                // What a rename replaces is written over rather than deleted.
                NameKind::Delete if created(&path.name) => continue,
                NameKind::Delete => FileAccess::Delete,
                NameKind::Create => FileAccess::Create,
                NameKind::Subject => self.access(call, what),
            };
            events.push(event(path, access));
        }
        events
    }

    fn access(&self, call: &Syscall<'a>, what: Call) -> FileAccess {
        match what {
            Call::Open(argument) => {
                let flags = argument.and_then(|index| call.arguments.get(index).copied()).or(self.open_how);
                if flags.is_some_and(opens_for_writing) { FileAccess::Write } else { FileAccess::Read }
            }
            Call::Create | Call::Write | Call::Bind => FileAccess::Write,
            // A source that only got another name.
            Call::Attributes | Call::Names => FileAccess::Attributes,
            Call::Exec | Call::Connect | Call::Other => FileAccess::Read,
        }
    }

    /// A path from the root, as far as the event tells where it begins.
    fn absolute(&self, name: &Text<'a>, call: &Syscall<'a>, kind: NameKind) -> Text<'a> {
        if name.starts_with('/') {
            return tidy(name.clone());
        }
        let from_working_directory = directory_argument(&call.name, kind == NameKind::Create)
            .and_then(|index| call.arguments.get(index).copied())
            .is_none_or(is_working_directory);
        let base = if from_working_directory {
            self.directory.as_ref()
        } else {
            let parents = self.paths.iter().filter(|path| path.kind == NameKind::Parent);
            parents.map(|path| &path.name).find(|name| name.starts_with('/'))
        };
        match base {
            Some(base) => tidy(Cow::Owned(format!("{base}/{name}"))),
            None => name.clone(),
        }
    }
}

impl<'a> Syscall<'a> {
    fn read(kernel: &'a str, interpreted: &'a str) -> Self {
        let mut call = Self { success: true, ..Self::default() };
        let (mut arch, mut number) = ("", "");
        for (key, value) in Fields(kernel) {
            match key {
                "arch" => arch = value.raw,
                "syscall" => number = value.raw,
                "success" => call.success = value.raw == "yes",
                "a0" => call.arguments[0] = parse_number(value.raw, 16).unwrap_or_default(),
                "a1" => call.arguments[1] = parse_number(value.raw, 16).unwrap_or_default(),
                "a2" => call.arguments[2] = parse_number(value.raw, 16).unwrap_or_default(),
                "a3" => call.arguments[3] = parse_number(value.raw, 16).unwrap_or_default(),
                "pid" => call.process.pid = value.raw.parse().ok(),
                "uid" => call.process.uid = value.raw.parse().ok(),
                "auid" => call.process.login_uid = value.raw.parse().ok().filter(|uid| *uid != UNSET),
                "comm" => call.process.comm = value.text().unwrap_or_default(),
                "exe" => call.process.exe = value.text().unwrap_or_default(),
                "key" => call.rule = keys(value),
                _ => {}
            }
        }
        call.name = match (find(interpreted, "SYSCALL"), number.parse()) {
            (Some(name), _) => Cow::Borrowed(name.raw),
            (None, Ok(number)) => Cow::Borrowed(name_of(arch, number).unwrap_or_default()),
            // Already interpreted, as `ausearch -i` prints it.
            (None, Err(_)) => Cow::Borrowed(number),
        };
        call
    }
}

impl<'a> PathItem<'a> {
    fn read(kernel: &'a str) -> Option<Self> {
        let kind = match find(kernel, "nametype").map_or("", |value| value.raw) {
            "PARENT" => NameKind::Parent,
            "CREATE" => NameKind::Create,
            "DELETE" => NameKind::Delete,
            _ => NameKind::Subject,
        };
        Some(Self { name: find(kernel, "name")?.text()?, kind })
    }
}

fn keys(value: Value<'_>) -> Text<'_> {
    match value.text() {
        Some(keys) if keys.contains(KEY_SEPARATOR) => Cow::Owned(keys.replace(KEY_SEPARATOR, ",")),
        keys => keys.unwrap_or_default(),
    }
}

/// The path of a Unix socket: from `SADDR={ saddr_fam=local path=… }`, else from the bytes of a `sockaddr_un`.
fn socket_path<'a>(kernel: &'a str, interpreted: &'a str) -> Option<Text<'a>> {
    let told =
        find(interpreted, "SADDR").or_else(|| find(kernel, "saddr").filter(|value| value.raw.contains('=')));
    if let Some(told) = told {
        let family = find(told.raw, "saddr_fam").or_else(|| find(told.raw, "fam"))?;
        let path = told.raw.split_once(" path=").map(|(_, path)| Cow::Borrowed(path.trim()));
        return if family.raw == "local" { path } else { None };
    }
    let bytes = find(kernel, "saddr")?.bytes()?;
    let ([1, 0] | [0, 1], path) = bytes.split_at_checked(2)? else { return None };
    let text = match path {
        [] => return None,
        // An abstract name: all that follows, shown as `ss` does.
        [0, name @ ..] => [b"@", name].concat(),
        path => path.split(|byte| *byte == 0).next()?.to_vec(),
    };
    Some(Cow::Owned(into_text(text)))
}

/// A CONFIG_CHANGE that may weaken auditing, in words. Rules that are added and auditing that is switched on are none.
fn config_change(kernel: &str) -> Option<String> {
    let operation = find(kernel, "op").map_or("", |value| value.raw);
    let refused = find(kernel, "res").is_some_and(|value| value.raw == "0");
    let harmless = match operation {
        "add_rule" => true,
        "set" => Fields(kernel).any(|(key, value)| match key {
            "audit_enabled" | "audit_pid" => value.raw != "0",
            "audit_backlog_limit" | "audit_backlog_wait_time" | "audit_failure" | "audit_rate_limit" => {
                find(kernel, "old").is_some_and(|old| old.raw == value.raw)
            }
            _ => false,
        }),
        _ => false,
    };
    if harmless {
        return None;
    }
    let mut what = operation.to_owned();
    for (key, value) in Fields(kernel) {
        if !matches!(key, "op" | "auid" | "ses" | "subj" | "list" | "res") {
            what = format!("{what} {key}={}", value.text().unwrap_or_default());
        }
    }
    if refused {
        what.push_str(" (refused)");
    }
    Some(what)
}

fn daemon_change(kernel: &str) -> String {
    let operation = find(kernel, "op").map_or("ended", |value| value.raw);
    let by = find(kernel, "auid").map_or("", |value| value.raw);
    format!("auditd: {operation} (auid {by})")
}

fn auditing_changed(what: &str, process: &Process<'_>) -> HostEvent<'static> {
    let by = if process.exe.is_empty() { &process.comm } else { &process.exe };
    let what = if by.is_empty() { what.to_owned() } else { format!("{what} by {by}") };
    HostEvent::AuditingChanged { what: Cow::Owned(what) }
}

/// A number as the kernel prints it in that base, with or without its prefix.
fn parse_number(text: &str, radix: u32) -> Option<u64> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, radix).ok()
}

/// Takes `.`, `..` and doubled slashes out of an absolute path, by its text alone.
fn tidy(path: Text<'_>) -> Text<'_> {
    let plain = !path.contains("//") && !path.split('/').any(|part| matches!(part, "." | ".."));
    if plain {
        return path;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Cow::Owned(format!("/{}", parts.join("/")))
}
