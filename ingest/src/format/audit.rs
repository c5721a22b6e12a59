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
    let mut fields = Fields { event: Box::new(blank()), found: Found::default(), fault: None };
    let mut reader = Reader::new(text);
    let whole = reader.object(|reader, key| fields.take(reader, key)).is_some() && reader.is_at_end();
    if whole { fields.finish() } else { Err(refusal_of_broken(text, reader.at())) }
}

/// An event that says nothing yet.
pub(crate) fn blank<'a>() -> AuditEvent<'a> {
    AuditEvent {
        level: Level::Metadata,
        audit_id: Text::default(),
        stage: Stage::ResponseComplete,
        uri: Text::default(),
        verb: Text::default(),
        user: User::default(),
        impersonated: None,
        source_ip: None,
        user_agent: Text::default(),
        object: None,
        code: None,
        message: None,
        details_uid: None,
        received: Timestamp::MIN,
        staged: Timestamp::MIN,
        allowed: None,
        authorization_reason: None,
        issued_credential_id: None,
        truncated: false,
        request_object: None,
        response_object: None,
    }
}

/// An event as far as it has been read. It is filled in place: it is large, and there are millions.
struct Fields<'a> {
    event: Box<AuditEvent<'a>>,
    found: Found,
    fault: Option<&'static str>,
}

/// Which of the members that make an event were there.
#[derive(Default)]
struct Found {
    audit_id: bool,
    level: bool,
    stage: bool,
    verb: bool,
}

impl<'a> Fields<'a> {
    #[inline]
    fn take(&mut self, reader: &mut Reader<'a>, key: &str) -> Option<()> {
        let event = &mut *self.event;
        match key {
            "level" => {
                self.found.level = true;
                match reader.string()?.parse() {
                    Ok(level) => event.level = level,
                    Err(()) => {
                        self.fault =
                            Some("unknown `level`, expected None, Metadata, Request or RequestResponse");
                    }
                }
            }
            "auditID" => {
                self.found.audit_id = true;
                event.audit_id = reader.string()?;
            }
            "stage" => {
                self.found.stage = true;
                match reader.string()?.parse() {
                    Ok(stage) => event.stage = stage,
                    Err(()) => {
                        self.fault = Some(
                            "unknown `stage`, expected RequestReceived, ResponseStarted, ResponseComplete or Panic",
                        );
                    }
                }
            }
            "requestURI" => event.uri = reader.string()?,
            "verb" => {
                self.found.verb = true;
                event.verb = reader.string()?;
            }
            "user" => reader.object(|reader, key| take_user(&mut event.user, reader, key))?,
            "impersonatedUser" => reader.object(|reader, key| match key {
                "username" => text(reader, &mut event.impersonated),
                _ => reader.skip(),
            })?,
            // The last is the only one that a client cannot set.
            "sourceIPs" => last(reader, &mut event.source_ip)?,
            "userAgent" => event.user_agent = reader.string()?,
            "objectRef" => take_object(&mut event.object, reader)?,
            "responseStatus" => reader.object(|reader, key| take_status(event, reader, key))?,
            "requestObject" => body(reader, &mut event.request_object)?,
            "responseObject" => body(reader, &mut event.response_object)?,
            "requestReceivedTimestamp" => match time(reader)? {
                Some(time) => event.received = time,
                None => self.fault = Some("`requestReceivedTimestamp` is no RFC 3339 time"),
            },
            "stageTimestamp" => match time(reader)? {
                Some(time) => event.staged = time,
                None => self.fault = Some("`stageTimestamp` is no RFC 3339 time"),
            },
            "annotations" => reader.object(|reader, key| take_annotation(event, reader, key))?,
            _ => reader.skip()?,
        }
        Some(())
    }

    #[inline]
    fn finish(self) -> Result<Box<AuditEvent<'a>>, Refusal> {
        let Self { mut event, found, fault } = self;
        if !(found.audit_id && found.stage && found.verb) {
            return Err(Refusal::Foreign);
        }
        if let Some(fault) = fault {
            return Err(broken(fault));
        }
        if !found.level {
            return Err(broken("no `level`"));
        }
        match (event.received == Timestamp::MIN, event.staged == Timestamp::MIN) {
            (true, true) => return Err(broken("no `requestReceivedTimestamp` and no `stageTimestamp`")),
            (true, false) => event.received = event.staged,
            (false, true) => event.staged = event.received,
            (false, false) => {}
        }
        Ok(event)
    }
}

fn take_user<'a>(user: &mut User<'a>, reader: &mut Reader<'a>, key: &str) -> Option<()> {
    match key {
        "username" => user.name = reader.string()?,
        "groups" => {
            user.groups.clear();
            reader.array(|reader| {
                user.groups.push(reader.string()?);
                Some(())
            })?;
        }
        "extra" => reader.object(|reader, key| {
            let slot = match key {
                "authentication.kubernetes.io/credential-id" => &mut user.credential_id,
                "authentication.kubernetes.io/pod-name" => &mut user.pod_name,
                "authentication.kubernetes.io/node-name" => &mut user.node_name,
                _ => return reader.skip(),
            };
            last(reader, slot)
        })?,
        _ => reader.skip()?,
    }
    Some(())
}

fn take_object<'a>(slot: &mut Option<ObjectRef<'a>>, reader: &mut Reader<'a>) -> Option<()> {
    *slot = None;
    reader.object(|reader, key| {
        let object = slot.get_or_insert_default();
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
    })
}

fn take_status<'a>(event: &mut AuditEvent<'a>, reader: &mut Reader<'a>, key: &str) -> Option<()> {
    match key {
        "message" => text(reader, &mut event.message),
        "code" => {
            event.code = u16::try_from(reader.integer()?).ok().filter(|code| *code != 0);
            Some(())
        }
        "details" => reader.object(|reader, key| match key {
            "uid" => text(reader, &mut event.details_uid),
            _ => reader.skip(),
        }),
        _ => reader.skip(),
    }
}

fn take_annotation<'a>(event: &mut AuditEvent<'a>, reader: &mut Reader<'a>, key: &str) -> Option<()> {
    match key {
        "authorization.k8s.io/decision" => {
            let decision = reader.string()?;
            event.allowed = (!decision.is_empty()).then(|| decision == "allow");
        }
        "authorization.k8s.io/reason" => text(reader, &mut event.authorization_reason)?,
        "authentication.kubernetes.io/issued-credential-id" => text(reader, &mut event.issued_credential_id)?,
        "audit.k8s.io/truncated" => event.truncated = reader.string()? == "true",
        _ => reader.skip()?,
    }
    Some(())
}

/// A string, of which the empty one is none.
fn text<'a>(reader: &mut Reader<'a>, slot: &mut Option<Text<'a>>) -> Option<()> {
    let text = reader.string()?;
    *slot = (!text.is_empty()).then_some(text);
    Some(())
}

/// The last string of a list.
fn last<'a>(reader: &mut Reader<'a>, slot: &mut Option<Text<'a>>) -> Option<()> {
    *slot = None;
    reader.array(|reader| {
        *slot = Some(reader.string()?);
        Some(())
    })
}

/// A body, raw; `null` is none.
fn body<'a>(reader: &mut Reader<'a>, slot: &mut Option<&'a str>) -> Option<()> {
    *slot = Some(reader.raw()?).filter(|raw| *raw != "null");
    Some(())
}

/// A time: `Some(None)` if it is none. An empty one counts as absent.
#[expect(clippy::option_option, reason = "no JSON string, and a string that is no time, are told apart")]
fn time(reader: &mut Reader<'_>) -> Option<Option<Timestamp>> {
    let text = reader.string()?;
    if text.is_empty() {
        return Some(Some(Timestamp::MIN));
    }
    Some(Timestamp::parse(&text))
}

fn broken(reason: &str) -> Refusal {
    Refusal::Broken(reason.to_owned())
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
    } else if at >= text.len() || !text.trim_end().ends_with('}') {
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

#[cfg(test)]
mod tests;
