//! etcd 3.4's default log: `2026-11-23 11:00:00.076462 W | etcdserver: message`, in local time, without fields.
//!
//! Messages are sentences; each is taken apart as the source formats it, and handed on as the fields that the same
//! event has in zap's form.

use auditgap_records::etcd::EtcdLine;
use auditgap_records::{Body, Text, Timestamp};

use super::etcd::escape::{split_quoted, unescape};
use super::etcd::fields::{Fields, Scalar};
use super::etcd::line::{self, Message};
use super::{LineContext, LineFormat, Parsed};

/// etcd 3.4 and earlier with `--logger=capnslog`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EtcdCapnslog;

/// Length of `2006-01-02 15:04:05.000000`.
const STAMP: usize = 26;

impl LineFormat for EtcdCapnslog {
    fn starts_entry(&self, line: &[u8]) -> bool {
        line.len() > STAMP
            && matches!(line, [b'0'..=b'9', _, _, _, b'-', ..])
            && line[10] == b' '
            && line[19] == b'.'
    }

    fn parse<'a>(&self, text: &'a str, context: &LineContext) -> Parsed<'a> {
        if !self.starts_entry(text.as_bytes()) {
            return Parsed::Unknown;
        }
        let Some((stamp, rest)) = text.split_at_checked(STAMP) else {
            return Parsed::Unknown;
        };
        let Some((head, message)) = rest.split_once(" | ") else {
            return Parsed::Unknown;
        };
        // At debug level the caller stands between: ` [server.go:123] W`.
        if !head.ends_with([' ', 'C', 'E', 'W', 'N', 'I', 'D', 'T']) || head.len() > 200 {
            return Parsed::Unknown;
        }
        let Some(local) = Timestamp::parse(stamp) else {
            return Parsed::Reject(
                "begins with a broken time, expected 2006-01-02 15:04:05.000000".to_owned(),
            );
        };
        let zone = i64::from(context.clock.zone_seconds).saturating_mul(1_000_000_000);
        let time = Timestamp(local.0.saturating_sub(zone));
        // `package: message`; the package has no spaces.
        let message = match message.split_once(": ") {
            Some((package, message)) if !package.contains(' ') => message,
            _ => message,
        };
        Parsed::Record(time, body(message.trim_end()).unwrap_or(Body::Other))
    }
}

fn body(message: &str) -> Option<Body<'_>> {
    requests(message)
        .or_else(|| connections(message))
        .or_else(|| maintenance(message))
        .or_else(|| authentication(message))
        .or_else(|| members(message))
        .or_else(|| process(message))
}

/// Slow, failed and traced requests.
fn requests(message: &str) -> Option<Body<'_>> {
    let mut fields = Fields::default();
    if let Some((prefix, rest)) =
        message.split_once("request \"").filter(|(prefix, _)| is_apply_prefix(prefix))
    {
        let quoted = &message[message.len() - rest.len() - 1..];
        let (request, rest) = split_quoted(quoted)?;
        fields.set("request", Scalar::Text(unescape(request).into()));
        if prefix == "failed to apply " {
            fields.set(
                "error",
                Scalar::Text(rest.rsplit_once("err is ").map_or("failed", |(_, error)| error).into()),
            );
        } else {
            let (result, rest) = split_quoted(rest.strip_prefix(" with result ")?)?;
            let took = rest.strip_prefix(" took too long (")?.split(')').next()?;
            let name = if result.starts_with("error:") { "error" } else { "response" };
            fields.set(name, Scalar::Text(unescape(result).into()));
            fields.set("took", Scalar::Text(took.into()));
        }
        return Some(line::body(Message::Apply, Text::default(), fields));
    }
    let mut rest = message.strip_prefix("start time = ")?.split_once(", ")?.1;
    for (label, name) in
        [("time spent = ", "time spent"), ("remote = ", "remote"), ("response type = ", "response type")]
    {
        let (value, after) = rest.strip_prefix(label)?.split_once(", ")?;
        fields.set(name, Scalar::Text(value.into()));
        rest = after;
    }
    for (label, name) in [
        ("request count = ", "request count"),
        ("request size = ", "request size"),
        ("response count = ", "response count"),
        ("response size = ", "response size"),
    ] {
        let (value, after) = rest.strip_prefix(label)?.split_once(", ")?;
        fields.set(name, Scalar::Number(value.parse().ok()?));
        rest = after;
    }
    fields.set("request content", Scalar::Text(rest.strip_prefix("request content = ")?.into()));
    Some(line::body(Message::Stats, Text::default(), fields))
}

fn is_apply_prefix(prefix: &str) -> bool {
    matches!(prefix, "" | "failed to apply " | "read-only range " | "read-only txn ")
}

/// `rejected connection from "…" (error "…", ServerName "…")`, and the gateway.
fn connections(message: &str) -> Option<Body<'_>> {
    if let Some(quoted) = message.strip_prefix("rejected connection from ") {
        let (remote, rest) = split_quoted(quoted)?;
        let (error, _) = split_quoted(rest.strip_prefix(" (error ")?)?;
        let (remote, error) = (unescape(remote).into(), unescape(error).into());
        return Some(Body::Etcd(EtcdLine::RejectedConnection { remote, error, peer: false }));
    }
    if let Some(user) = message.strip_prefix("ignoring common name in gRPC-gateway proxy request ") {
        return Some(Body::Etcd(EtcdLine::Gateway { user: user.into() }));
    }
    let user = message.strip_prefix("found common name ")?;
    Some(Body::Etcd(EtcdLine::CommandName { user: user.into() }))
}

/// Snapshots, compaction, defragmentation.
fn maintenance(message: &str) -> Option<Body<'_>> {
    let snapshot = |rest: &str, done| {
        let size = rest.rsplit_once('[').and_then(|(_, size)| size.split(' ').next()?.parse().ok());
        EtcdLine::Snapshot { size, done }
    };
    let number = |rest: &str| rest.split(' ').next().and_then(|revision| revision.parse().ok());
    Some(Body::Etcd(if let Some(rest) = message.strip_prefix("sending database snapshot to client ") {
        snapshot(rest, false)
    } else if let Some(rest) = message.strip_prefix("successfully sent database snapshot to client ") {
        snapshot(rest, true)
    } else if let Some(rest) = message.strip_prefix("store.index: compact ") {
        EtcdLine::Compaction { revision: number(rest), begun: true }
    } else if let Some(rest) = message.strip_prefix("finished scheduled compaction at ") {
        EtcdLine::Compaction { revision: number(rest), begun: false }
    } else if message.starts_with("starting to defragment the storage backend") {
        EtcdLine::Defragmented { begun: true }
    } else if message.starts_with("finished defragmenting the storage backend") {
        EtcdLine::Defragmented { begun: false }
    } else if message.starts_with("finished restoring mvcc store")
        || message.starts_with("finished applying incoming snapshot")
    {
        EtcdLine::Restored { what: message.into(), revision: None }
    } else {
        return None;
    }))
}

/// Changes of users and roles, and refusals.
fn authentication(message: &str) -> Option<Body<'_>> {
    let changed =
        |name: &str| EtcdLine::AuthChanged { what: message.to_owned().into(), name: name.to_owned().into() };
    let last = |text: &str| text.rsplit(' ').next().unwrap_or_default().to_owned();
    let line = if matches!(message, "Authentication enabled" | "Authentication disabled") {
        changed("")
    } else if let Some(user) = ["added a new user: ", "deleted a user: ", "changed a password of a user: "]
        .iter()
        .find_map(|start| message.strip_prefix(start))
    {
        changed(user)
    } else if ["granted role ", "revoked role ", "revoked key ", "deleted role "]
        .iter()
        .any(|start| message.starts_with(start))
    {
        changed(&last(message))
    } else if let Some(role) = message.strip_prefix("Role ").and_then(|rest| rest.strip_suffix(" is created"))
    {
        changed(role)
    } else if let Some((role, _)) =
        message.strip_prefix("role ").and_then(|rest| rest.split_once("'s permission of key "))
    {
        changed(role)
    } else if let Some(user) = message.strip_prefix("authentication failed, invalid password for user ") {
        EtcdLine::AuthFailed { what: "invalid password".into(), user: user.into() }
    } else if message.starts_with("invalid auth token") {
        // What follows is the token's fingerprint, or the token.
        EtcdLine::AuthFailed { what: "invalid auth token".into(), user: Text::default() }
    } else if let Some(rest) = message.strip_prefix("invalid user name ") {
        let user = rest.strip_suffix(" for permission checking")?;
        EtcdLine::AuthFailed { what: "cannot find a user for permission check".into(), user: user.into() }
    } else {
        return None;
    };
    Some(Body::Etcd(line))
}

/// `added member <id> [<urls>] to cluster <id>` and its relatives. Members read back at start (`… from store`) did not
/// change.
fn members(message: &str) -> Option<Body<'_>> {
    let what = ["added member", "removed member", "promote member", "updated member"]
        .into_iter()
        .find(|what| message.starts_with(what))?;
    if message.ends_with(" from store") {
        return None;
    }
    let rest = message[what.len()..].trim_start();
    let end = [" to cluster ", " from cluster ", " in cluster "].iter().find_map(|mark| rest.rfind(mark));
    let member = &rest[..end.unwrap_or(rest.len())];
    Some(Body::Etcd(EtcdLine::MemberChanged {
        what: what.into(),
        member: member.replace(['[', ']'], "").into(),
    }))
}

/// Start, listeners, end.
fn process(message: &str) -> Option<Body<'_>> {
    let started = |force_new_cluster, version: &str| EtcdLine::Started {
        force_new_cluster,
        version: version.to_owned().into(),
        name: Text::default(),
    };
    Some(Body::Etcd(if let Some(version) = message.strip_prefix("etcd Version: ") {
        started(false, version)
    } else if message == "force new cluster" {
        started(true, "")
    } else if let Some(info) = message.strip_prefix("ClientTLS: ") {
        line::client_tls(info)
    } else if let Some(rest) = message.strip_prefix("serving insecure client requests on ") {
        EtcdLine::ServingInsecurely { address: rest.split(',').next().unwrap_or_default().into() }
    } else if message.starts_with("received ") && message.ends_with(" signal, shutting down...") {
        EtcdLine::Stopping
    } else {
        return None;
    }))
}
