//! The API server's own log, klog text or JSON: never evidence of a request's audit record, only of the health of
//! the audit trail.

use auditgap_records::record::{ApiServerLine, LegacyAuditEvent};
use auditgap_records::{Body, Text, Timestamp};
use bounded_static::IntoBoundedStatic;

use crate::format::httplog::{self, Access};
use crate::format::klog::{self, Fields, Message, Pairs};
use crate::format::{LineContext, LineFormat, Parsed, flag};

/// The format of the API server's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApiServer;

impl LineFormat for ApiServer {
    fn starts_entry(&self, line: &[u8]) -> bool {
        klog::starts_entry(line)
    }

    fn parse<'a>(&self, text: &'a str, context: &LineContext) -> Parsed<'a> {
        klog::parse(text, context, |message| Ok(line(message)?.map(Body::ApiServer)))
    }
}

/// What a message says; `None` if it is of no interest, `Err` if it is and cannot be read.
fn line(message: Message<'_>) -> Result<Option<ApiServerLine<'_>>, String> {
    match message {
        Message::Free(text) => free(text),
        Message::Structured { text, pairs } => {
            let known = structured(&text, pairs)?;
            if known.is_some() || matches!(pairs, Pairs::Text(_)) {
                return Ok(known);
            }
            // JSON does not tell free text from a message with pairs.
            match text {
                Text::Borrowed(text) => free(text),
                Text::Owned(text) => free(&text).map(IntoBoundedStatic::into_static),
            }
        }
    }
}

fn structured<'a>(message: &str, pairs: Pairs<'a>) -> Result<Option<ApiServerLine<'a>>, String> {
    match message {
        "HTTP" => {
            let access = pairs.read().and_then(|fields| httplog::from_fields(&fields));
            access.map(|access| Some(request(access))).map_err(|reason| format!("\"HTTP\" line: {reason}"))
        }
        // One line for each step of the shutdown; the first one says that it begins.
        "[graceful-termination] shutdown event" => {
            let name = pairs.read()?.text("name");
            Ok((name.as_deref() == Some("ShutdownInitiated")).then_some(ApiServerLine::Stopping))
        }
        _ => Ok(None),
    }
}

fn request(access: Access<'_>) -> ApiServerLine<'_> {
    ApiServerLine::Request {
        verb: access.verb,
        uri: access.uri,
        audit_id: access.audit_id,
        source: access.source,
        latency: access.latency,
        code: access.code,
    }
}

const LENIENT: &str = "falling back to lenient decoding";

fn free(text: &str) -> Result<Option<ApiServerLine<'_>>, String> {
    if let Some((name, value)) = flag::read(text) {
        return Ok(Some(ApiServerLine::Flag { name, value }));
    }
    if let Some(rest) = text.strip_prefix("Error in audit plugin '") {
        let broken = "audit plugin error of another shape than 'NAME' affecting N audit events: ERROR";
        return plugin_error(rest).map(Some).ok_or_else(|| broken.to_owned());
    }
    if text.starts_with("verb=\"") {
        return httplog::from_pairs_alone(text).map(|access| Some(request(access)));
    }
    if text.starts_with("Serving securely on ") {
        return Ok(Some(ApiServerLine::Started));
    }
    if text.starts_with("Shutting down kubernetes service endpoint reconciler")
        || text.starts_with("Stopped listening on ")
    {
        return Ok(Some(ApiServerLine::Stopping));
    }
    if text.starts_with("audit buffer queue blocked") {
        return Ok(Some(ApiServerLine::AuditBufferFull));
    }
    if text.starts_with("Audit policy")
        && let Some((_, error)) = text.split_once(LENIENT)
    {
        return Ok(Some(ApiServerLine::AuditPolicyLenient {
            error: error.trim_start_matches([':', ' ']).into(),
        }));
    }
    // The access log of old versions begins with an upper-case method.
    let is_method = text.as_bytes().get(1).is_some_and(u8::is_ascii_uppercase);
    Ok(is_method.then(|| httplog::from_sentence(text).map(request)).flatten())
}

/// `NAME' affecting N audit events: ERROR`, a line `Impacted events:` and the events as legacy text.
fn plugin_error(rest: &str) -> Option<ApiServerLine<'_>> {
    let (plugin, rest) = rest.split_once("' affecting ")?;
    let (count, rest) = rest.split_once(" audit events: ")?;
    let (error, events) = rest.split_once("\nImpacted events:").unwrap_or((rest, ""));
    Some(ApiServerLine::AuditPluginError {
        plugin: plugin.into(),
        events: count.parse().ok()?,
        error: error.trim_end().into(),
        impacted: events.lines().filter_map(legacy_event).collect(),
    })
}

/// An audit event in the legacy text form, `TIME AUDIT: id="…" stage="…" …`; `None` if the line is none.
fn legacy_event(line: &str) -> Option<LegacyAuditEvent<'_>> {
    let (time, pairs) = line.split_once(" AUDIT: ")?;
    let fields = Fields::from_text(pairs).ok()?;
    Some(LegacyAuditEvent {
        audit_id: fields.text("id")?,
        stage: fields.text("stage")?,
        verb: fields.text("method")?,
        user: fields.text("user")?,
        uri: fields.text("uri")?,
        // `<deferred>` while there is no answer yet.
        code: fields.text("response")?.parse().ok(),
        time: Timestamp::parse(time.trim_start())?,
    })
}

#[cfg(test)]
mod tests;
