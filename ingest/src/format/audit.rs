//! `audit.k8s.io/v1` events as JSON: the log backend's lines and the webhook's lists.
//!
//! Source of the shape: `k8s.io/apiserver/pkg/apis/audit/v1/types.go` and `plugin/pkg/audit/{log,webhook}`. Bodies
//! are kept raw and unread; what matching does not need is skipped.

use auditgap_records::audit::{AuditEvent, Level, ObjectRef, Stage, User};
use auditgap_records::{Body, Text, Timestamp};

use super::{LineContext, LineFormat, Parsed};
use crate::json::Reader;

/// What CloudWatch puts at the end of a message that was too long for it.
const CLOUDWATCH_CUT: &str = "[Truncated...]";

/// Audit events as JSON.
pub(crate) struct AuditJson;

impl LineFormat for AuditJson {
    fn parse<'a>(&self, text: &'a str, _context: &LineContext) -> Parsed<'a> {
        match parse_event(text) {
            Ok(event) => Parsed::Record(event.staged, Body::Audit(event)),
            Err(Refusal::Foreign) => parse_list(text),
            Err(Refusal::Broken(reason)) => Parsed::Reject(reason),
        }
    }
}

/// Why a text is no audit event.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It is something else.
    Foreign,
    /// It is one, and broken.
    Broken(String),
}

/// An EventList that stands in one line among single events. Its items carry no kind.
fn parse_list(text: &str) -> Parsed<'_> {
    let Some(list) = crate::shape::member(text, "items").filter(|list| list.starts_with('[')) else {
        return Parsed::Unknown;
    };
    let mut records = Vec::new();
    for item in crate::shape::elements(list) {
        match parse_event(item.value) {
            Ok(event) => records.push((event.staged, Body::Audit(event))),
            Err(Refusal::Foreign) => return Parsed::Unknown,
            Err(Refusal::Broken(reason)) => return Parsed::Reject(reason),
        }
    }
    Parsed::Records(records)
}

/// Reads one event.
pub(crate) fn parse_event(text: &str) -> Result<Box<AuditEvent<'_>>, Refusal> {
    let mut fields = Fields::default();
    let mut reader = Reader::new(text);
    let whole = reader.object(|reader, key| fields.take(reader, key)).is_some() && reader.is_at_end();
    if whole { fields.finish() } else { Err(refusal_of_broken(text, reader.at())) }
}

/// The fields of an event as far as they have been read.
#[derive(Default)]
struct Fields<'a> {
    level: Text<'a>,
    audit_id: Option<Text<'a>>,
    stage: Option<Text<'a>>,
    verb: Option<Text<'a>>,
    uri: Text<'a>,
    user: User<'a>,
    impersonated: Text<'a>,
    source_ip: Option<Text<'a>>,
    user_agent: Text<'a>,
    object: Option<ObjectRef<'a>>,
    code: Option<i64>,
    message: Text<'a>,
    details_uid: Text<'a>,
    request_object: Option<&'a str>,
    response_object: Option<&'a str>,
    received: Text<'a>,
    staged: Text<'a>,
    decision: Text<'a>,
    reason: Text<'a>,
    issued_credential_id: Text<'a>,
    truncated: bool,
}

impl<'a> Fields<'a> {
    #[inline]
    fn take(&mut self, reader: &mut Reader<'a>, key: &str) -> Option<()> {
        match key {
            "level" => self.level = reader.string()?,
            "auditID" => self.audit_id = Some(reader.string()?),
            "stage" => self.stage = Some(reader.string()?),
            "requestURI" => self.uri = reader.string()?,
            "verb" => self.verb = Some(reader.string()?),
            "user" => reader.object(|reader, key| self.take_user(reader, key))?,
            "impersonatedUser" => reader.object(|reader, key| match key {
                "username" => reader.string().map(|name| self.impersonated = name),
                _ => reader.skip(),
            })?,
            // The last is the only one that a client cannot set.
            "sourceIPs" => self.source_ip = last(reader)?,
            "userAgent" => self.user_agent = reader.string()?,
            "objectRef" => self.object = object(reader)?,
            "responseStatus" => reader.object(|reader, key| self.take_status(reader, key))?,
            "requestObject" => self.request_object = body(reader)?,
            "responseObject" => self.response_object = body(reader)?,
            "requestReceivedTimestamp" => self.received = reader.string()?,
            "stageTimestamp" => self.staged = reader.string()?,
            "annotations" => reader.object(|reader, key| self.take_annotation(reader, key))?,
            _ => reader.skip()?,
        }
        Some(())
    }

    fn take_user(&mut self, reader: &mut Reader<'a>, key: &str) -> Option<()> {
        match key {
            "username" => self.user.name = reader.string()?,
            "groups" => {
                self.user.groups.clear();
                reader.array(|reader| {
                    self.user.groups.push(reader.string()?);
                    Some(())
                })?;
            }
            "extra" => reader.object(|reader, key| {
                let slot = match key {
                    "authentication.kubernetes.io/credential-id" => &mut self.user.credential_id,
                    "authentication.kubernetes.io/pod-name" => &mut self.user.pod_name,
                    "authentication.kubernetes.io/node-name" => &mut self.user.node_name,
                    _ => return reader.skip(),
                };
                *slot = last(reader)?;
                Some(())
            })?,
            _ => reader.skip()?,
        }
        Some(())
    }

    fn take_status(&mut self, reader: &mut Reader<'a>, key: &str) -> Option<()> {
        match key {
            "message" => self.message = reader.string()?,
            "code" => self.code = Some(reader.integer()?),
            "details" => reader.object(|reader, key| match key {
                "uid" => reader.string().map(|uid| self.details_uid = uid),
                _ => reader.skip(),
            })?,
            _ => reader.skip()?,
        }
        Some(())
    }

    fn take_annotation(&mut self, reader: &mut Reader<'a>, key: &str) -> Option<()> {
        match key {
            "authorization.k8s.io/decision" => self.decision = reader.string()?,
            "authorization.k8s.io/reason" => self.reason = reader.string()?,
            "authentication.kubernetes.io/issued-credential-id" => {
                self.issued_credential_id = reader.string()?
            }
            "audit.k8s.io/truncated" => self.truncated = reader.string()? == "true",
            _ => reader.skip()?,
        }
        Some(())
    }

    #[inline]
    fn finish(self) -> Result<Box<AuditEvent<'a>>, Refusal> {
        let (Some(audit_id), Some(stage), Some(verb)) = (self.audit_id, self.stage, self.verb) else {
            return Err(Refusal::Foreign);
        };
        let stage: Stage = stage.parse().map_err(|()| {
            broken("unknown `stage`, expected RequestReceived, ResponseStarted, ResponseComplete or Panic")
        })?;
        let level: Level = self
            .level
            .parse()
            .map_err(|()| broken("unknown `level`, expected None, Metadata, Request or RequestResponse"))?;
        let received = time(&self.received, "requestReceivedTimestamp")?;
        let staged = time(&self.staged, "stageTimestamp")?;
        let (Some(received), Some(staged)) = (received.or(staged), staged.or(received)) else {
            return Err(broken("no `requestReceivedTimestamp` and no `stageTimestamp`"));
        };
        Ok(Box::new(AuditEvent {
            level,
            audit_id,
            stage,
            uri: self.uri,
            verb,
            user: self.user,
            impersonated: some(self.impersonated),
            source_ip: self.source_ip,
            user_agent: self.user_agent,
            object: self.object,
            code: self.code.and_then(|code| u16::try_from(code).ok()).filter(|code| *code != 0),
            message: some(self.message),
            details_uid: some(self.details_uid),
            received,
            staged,
            allowed: some(self.decision).map(|decision| decision == "allow"),
            authorization_reason: some(self.reason),
            issued_credential_id: some(self.issued_credential_id),
            truncated: self.truncated,
            request_object: self.request_object,
            response_object: self.response_object,
        }))
    }
}

fn object<'a>(reader: &mut Reader<'a>) -> Option<Option<ObjectRef<'a>>> {
    let mut object = ObjectRef::default();
    let mut any = false;
    reader.object(|reader, key| {
        any = true;
        match key {
            "resource" => object.resource = reader.string()?,
            "namespace" => object.namespace = reader.string()?,
            "name" => object.name = reader.string()?,
            "uid" => object.uid = reader.string()?,
            "apiGroup" => object.group = reader.string()?,
            "resourceVersion" => object.resource_version = reader.string()?.parse().ok(),
            "subresource" => object.subresource = reader.string()?,
            _ => reader.skip()?,
        }
        Some(())
    })?;
    Some(any.then_some(object))
}

/// The last string of a list.
fn last<'a>(reader: &mut Reader<'a>) -> Option<Option<Text<'a>>> {
    let mut last = None;
    reader.array(|reader| {
        last = Some(reader.string()?);
        Some(())
    })?;
    Some(last)
}

/// A body, raw; `null` is none.
fn body<'a>(reader: &mut Reader<'a>) -> Option<Option<&'a str>> {
    let raw = reader.raw()?;
    Some((raw != "null").then_some(raw))
}

fn some(text: Text<'_>) -> Option<Text<'_>> {
    (!text.is_empty()).then_some(text)
}

fn broken(reason: &str) -> Refusal {
    Refusal::Broken(reason.to_owned())
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
fn refusal_of_broken(text: &str, at: usize) -> Refusal {
    let id = audit_id_within(text);
    if !text.trim_start().starts_with('{') || (id.is_none() && !text.contains("audit.k8s.io/")) {
        return Refusal::Foreign;
    }
    let what = if text.trim_end().ends_with(CLOUDWATCH_CUT) {
        "audit event cut by CloudWatch".to_owned()
    } else if at >= text.len() {
        "audit event that ends too early".to_owned()
    } else {
        // Where, not what: the value may be a secret.
        format!("not a well-formed audit event: unexpected JSON at byte {at}")
    };
    match id {
        Some(id) => Refusal::Broken(format!("{what}; auditID {id}")),
        None => Refusal::Broken(what),
    }
}

/// The audit id of an event that does not parse, if it looks like one.
fn audit_id_within(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("\"auditID\":\"")?;
    let (id, _) = rest.split_once('"')?;
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (plain && !id.is_empty() && id.len() <= 64).then_some(id)
}
