//! `audit.k8s.io/v1` events as JSON: the log backend's lines and the webhook's lists.
//!
//! Source of the shape: `k8s.io/apiserver/pkg/apis/audit/v1/types.go` and `plugin/pkg/audit/{log,webhook}`.

use auditgap_records::audit::{AuditEvent, Level, ObjectRef, Stage, User};
use auditgap_records::{Body, Timestamp};

use super::audit_wire::{WireEvent, WireList, WireObject};
use super::{LineContext, LineFormat, Parsed};

/// What CloudWatch puts at the end of a message that was too long for it.
const CLOUDWATCH_CUT: &str = "[Truncated...]";

/// Audit events as JSON.
pub(crate) struct AuditJson;

impl LineFormat for AuditJson {
    fn parse<'a>(&self, text: &'a str, _context: &LineContext) -> Parsed<'a> {
        match parse_event(text) {
            Ok(event) => Parsed::Record(event.staged, Body::Audit(Box::new(event))),
            Err(Refusal::Foreign) => parse_list(text),
            Err(Refusal::Broken(reason)) => Parsed::Reject(reason),
        }
    }
}

/// Why a text is no audit event.
pub(crate) enum Refusal {
    /// It is something else.
    Foreign,
    /// It is one, and broken.
    Broken(String),
}

/// An EventList whose items stand in one line among single events.
fn parse_list(text: &str) -> Parsed<'_> {
    if !text.contains("\"items\"") {
        return Parsed::Unknown;
    }
    let Ok(list) = serde_json::from_str::<WireList<'_>>(text) else { return Parsed::Unknown };
    let mut records = Vec::with_capacity(list.items.len());
    for item in list.items {
        match parse_event(item.get()) {
            Ok(event) => records.push((event.staged, Body::Audit(Box::new(event)))),
            Err(Refusal::Foreign) => return Parsed::Unknown,
            Err(Refusal::Broken(reason)) => return Parsed::Reject(reason),
        }
    }
    Parsed::Records(records)
}

/// Reads one event.
#[inline]
pub(crate) fn parse_event(text: &str) -> Result<AuditEvent<'_>, Refusal> {
    match serde_json::from_str::<WireEvent<'_>>(text) {
        Ok(wire) => from_wire(wire),
        Err(error) => Err(refusal_of_broken(text, &error)),
    }
}

fn from_wire(wire: WireEvent<'_>) -> Result<AuditEvent<'_>, Refusal> {
    let (Some(audit_id), Some(stage), Some(verb)) = (wire.audit_id, wire.stage, wire.verb) else {
        return Err(Refusal::Foreign);
    };
    let stage = stage.0.parse::<Stage>().map_err(|()| {
        Refusal::Broken("unknown `stage`, expected RequestReceived, ResponseStarted, ResponseComplete or Panic".into())
    })?;
    let level = wire.level.unwrap_or_default().0.parse::<Level>().map_err(|()| {
        Refusal::Broken("unknown `level`, expected None, Metadata, Request or RequestResponse".into())
    })?;
    let received = time(&wire.request_received_timestamp.0, "requestReceivedTimestamp")?;
    let staged = time(&wire.stage_timestamp.0, "stageTimestamp")?;
    let (Some(received), Some(staged)) = (received.or(staged), staged.or(received)) else {
        return Err(Refusal::Broken("no `requestReceivedTimestamp` and no `stageTimestamp`".into()));
    };
    let extra = wire.user.extra.unwrap_or_default();
    let status = wire.response_status.unwrap_or_default();
    let annotations = wire.annotations.unwrap_or_default();
    Ok(AuditEvent {
        level,
        audit_id: audit_id.0,
        stage,
        uri: wire.request_uri.0,
        verb: verb.0,
        user: User {
            name: wire.user.username.0,
            groups: wire.user.groups.0,
            credential_id: extra.credential_id,
            pod_name: extra.pod_name,
            node_name: extra.node_name,
        },
        impersonated: wire.impersonated_user.and_then(|user| user.username.some()),
        source_ip: wire.source_ips.0,
        user_agent: wire.user_agent.0,
        object: wire.object_ref.map(object),
        code: status.code.and_then(|code| u16::try_from(code).ok()).filter(|code| *code != 0),
        message: status.message.some(),
        details_uid: status.details.and_then(|details| details.uid.some()),
        received,
        staged,
        allowed: annotations.decision.as_deref().map(|decision| decision == "allow"),
        authorization_reason: annotations.reason,
        issued_credential_id: annotations.issued_credential_id,
        truncated: annotations.truncated,
        request_object: wire.request_object.map(serde_json::value::RawValue::get),
        response_object: wire.response_object.map(serde_json::value::RawValue::get),
    })
}

fn object(wire: WireObject<'_>) -> ObjectRef<'_> {
    ObjectRef {
        group: wire.api_group.0,
        resource: wire.resource.0,
        subresource: wire.subresource.0,
        namespace: wire.namespace.0,
        name: wire.name.0,
        uid: wire.uid.0,
        resource_version: wire.resource_version.0.parse().ok(),
    }
}

/// Reads a time; absent is no error.
fn time(text: &str, field: &str) -> Result<Option<Timestamp>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    match Timestamp::parse(text) {
        Some(time) => Ok(Some(time)),
        None => Err(Refusal::Broken(format!("`{field}` is no RFC 3339 time"))),
    }
}

/// Tells a broken event from a line of something else, and says which event it was as far as can be read.
#[cold]
fn refusal_of_broken(text: &str, error: &serde_json::Error) -> Refusal {
    let id = audit_id_within(text);
    if !text.trim_start().starts_with('{') || (id.is_none() && !text.contains("audit.k8s.io/")) {
        return Refusal::Foreign;
    }
    let what = if text.trim_end().ends_with(CLOUDWATCH_CUT) {
        "audit event cut by CloudWatch".to_owned()
    } else {
        // The error's own words name a field or a column, never a value.
        format!("not a whole audit event: {} at column {}", category(error), error.column())
    };
    match id {
        Some(id) => Refusal::Broken(format!("{what}; auditID {id}")),
        None => Refusal::Broken(what),
    }
}

fn category(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Syntax => "broken JSON",
        serde_json::error::Category::Data => "a field of another type than expected",
        serde_json::error::Category::Io => "unreadable",
    }
}

/// The audit id of an event that does not parse, if it looks like one.
fn audit_id_within(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("\"auditID\":\"")?;
    let (id, _) = rest.split_once('"')?;
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (plain && !id.is_empty() && id.len() <= 64).then_some(id)
}
