//! Audit events in the legacy text form: `--audit-log-format=legacy`, and the events that kube-apiserver writes into
//! its own log when a backend failed.
//!
//! Source of the shape: `k8s.io/apiserver/pkg/audit/format.go`. Values are Go-quoted. Of the source addresses it keeps
//! the *first*, which a client can set, so none is taken over.

use std::borrow::Cow;

use auditgap_records::audit::{AuditEvent, ObjectRef};
use auditgap_records::{Body, Text, Timestamp};

use super::audit::blank;
use super::go_text::{quoted_length, unescape};
use super::{LineContext, LineFormat, Parsed};

/// Audit events as text.
pub(crate) struct AuditLegacy;

impl LineFormat for AuditLegacy {
    fn starts_entry(&self, line: &[u8]) -> bool {
        line.first().is_some_and(u8::is_ascii_digit)
    }

    fn parse<'a>(&self, text: &'a str, _context: &LineContext) -> Parsed<'a> {
        let Some((time, fields)) = text.split_once(" AUDIT: ") else { return Parsed::Unknown };
        let Some(time) = Timestamp::parse(time) else { return Parsed::Unknown };
        match event(time, fields) {
            Ok(event) => Parsed::Record(event.staged, Body::Audit(Box::new(event))),
            Err(reason) => Parsed::Reject(reason),
        }
    }
}

fn event(time: Timestamp, mut rest: &str) -> Result<AuditEvent<'_>, String> {
    let mut event = AuditEvent { received: time, staged: time, ..blank() };
    let mut namespace = Text::default();
    let (mut has_id, mut has_stage) = (false, false);
    while let Some((key, tail)) = rest.trim_start().split_once('=') {
        let length =
            quoted_length(tail).ok_or_else(|| format!("value of `{key}` is not quoted, or has no end"))?;
        let value = unescape(&tail[1..length - 1]);
        rest = &tail[length..];
        match key {
            "id" => {
                event.audit_id = value;
                has_id = true;
            }
            "stage" => {
                event.stage = value.parse().map_err(|()| "unknown `stage`".to_owned())?;
                has_stage = true;
            }
            "method" => event.verb = value,
            "user" => event.user.name = known(value).unwrap_or_default(),
            "groups" => event.user.groups = groups(&value),
            "as" => event.impersonated = known(value),
            "user-agent" => event.user_agent = value,
            "namespace" => namespace = known(value).unwrap_or_default(),
            "uri" => event.uri = value,
            "response" => event.code = value.parse().ok(),
            _ => {}
        }
    }
    if !has_id || !has_stage {
        return Err("no `id` or no `stage`; expected id=\"…\" stage=\"…\" …".to_owned());
    }
    event.object = object(&event.uri, namespace);
    Ok(event)
}

/// `None` for the marks of absence.
fn known(value: Text<'_>) -> Option<Text<'_>> {
    (!matches!(value.as_ref(), "<none>" | "<self>" | "<lookup>" | "<unknown>" | "")).then_some(value)
}

/// `"a","b"`: quoted once more within the quoted value.
fn groups<'a>(list: &str) -> Vec<Text<'a>> {
    let mut groups = Vec::new();
    let mut rest = list;
    while let Some(length) = quoted_length(rest) {
        groups.push(Cow::Owned(unescape(&rest[1..length - 1]).into_owned()));
        rest = rest[length..].trim_start_matches(',');
    }
    groups
}

/// The object as the request's path names it: `/api/v1/namespaces/ns/pods/name/log`, `/apis/group/v1/…`.
fn object<'a>(uri: &str, namespace: Text<'a>) -> Option<ObjectRef<'a>> {
    let path = uri.split('?').next()?;
    let mut segments = path.trim_matches('/').split('/');
    let group = match segments.next()? {
        "api" => "",
        "apis" => segments.next()?,
        _ => return None,
    };
    segments.next()?;
    let mut rest: Vec<&str> = segments.filter(|segment| !segment.is_empty()).collect();
    if rest.first() == Some(&"watch") {
        rest.remove(0);
    }
    // A third segment below a namespace is a resource in it, except for the namespace's own subresources.
    let in_namespace = rest.len() > 2 && rest[0] == "namespaces" && !matches!(rest[2], "status" | "finalize");
    if in_namespace {
        rest.drain(..2);
    }
    let owned =
        |index: usize| rest.get(index).map_or(Cow::Borrowed(""), |text| Cow::Owned((*text).to_owned()));
    if rest.is_empty() {
        return None;
    }
    Some(ObjectRef {
        group: Cow::Owned(group.to_owned()),
        resource: owned(0),
        name: owned(1),
        subresource: owned(2),
        namespace,
        uid: Cow::Borrowed(""),
        resource_version: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::testing::context;

    #[test]
    fn a_line_gives_an_event() {
        let text = "2026-03-01T11:00:00.443001758Z AUDIT: id=\"i\" stage=\"ResponseComplete\" ip=\"10.0.0.1\" method=\"patch\" user=\"ann\" groups=\"\\\"a\\\",\\\"b\\\"\" as=\"bob\" asgroups=\"<lookup>\" user-agent=\"curl \\\"x\\\"\" namespace=\"ns\" uri=\"/api/v1/namespaces/ns/secrets/x?a=b\" response=\"201\"";
        let Parsed::Record(time, Body::Audit(event)) = AuditLegacy.parse(text, &context()) else {
            panic!("no event")
        };
        assert_eq!(time, Timestamp::parse("2026-03-01T11:00:00.443001758Z").unwrap());
        assert_eq!((&*event.verb, &*event.user.name, event.code), ("patch", "ann", Some(201)));
        assert_eq!(event.user.groups, ["a", "b"]);
        assert_eq!((event.impersonated.as_deref(), &*event.user_agent), (Some("bob"), "curl \"x\""));
        assert_eq!(event.source_ip, None, "the first address is the client's to choose");
        let object = event.object.unwrap();
        assert_eq!((&*object.resource, &*object.namespace, &*object.name), ("secrets", "ns", "x"));
    }

    #[test]
    fn paths_name_objects() {
        for (uri, expected) in [
            ("/api/v1/nodes/n/proxy/exec/a/b", Some(("", "nodes", "n", "proxy"))),
            ("/api/v1/namespaces/ns", Some(("", "namespaces", "ns", ""))),
            ("/api/v1/namespaces/ns/finalize", Some(("", "namespaces", "ns", "finalize"))),
            ("/apis/apps/v1/namespaces/ns/deployments", Some(("apps", "deployments", "", ""))),
            ("/api/v1/watch/pods?x", Some(("", "pods", "", ""))),
            ("/healthz", None),
            ("/api/v1", None),
            ("", None),
        ] {
            let object = object(uri, Text::default());
            let found = object
                .as_ref()
                .map(|object| (&*object.group, &*object.resource, &*object.name, &*object.subresource));
            assert_eq!(found, expected, "{uri}");
        }
    }

    #[test]
    fn broken_lines_say_why() {
        for (text, expected) in [
            ("2026-03-01T11:00:00Z AUDIT: id=\"i", "has no end"),
            ("2026-03-01T11:00:00Z AUDIT: id=\"i\" stage=\"x\"", "unknown `stage`"),
            ("2026-03-01T11:00:00Z AUDIT: id=\"i\"", "no `stage`"),
        ] {
            let Parsed::Reject(reason) = AuditLegacy.parse(text, &context()) else { panic!("{text}") };
            assert!(reason.contains(expected), "{reason}");
        }
        assert_eq!(AuditLegacy.parse("x AUDIT: id", &context()), Parsed::Unknown);
    }
}
