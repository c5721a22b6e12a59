//! etcd's zap JSON: `{"level":"debug","ts":"…","caller":"…","msg":"request stats",…}`.
//!
//! Sampled by default on every version: of equal messages within a second the first 100 are written, then every
//! hundredth. A line proves that something happened; the absence of one proves nothing.

use auditgap_records::{Body, Timestamp};
use memchr::memmem;

use super::etcd::fields::Fields;
use super::etcd::line::{self, Message};
use super::{LineContext, LineFormat, Parsed};

/// etcd 3.5 and later, or 3.4 with `--logger=zap`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EtcdJson;

impl LineFormat for EtcdJson {
    fn parse<'a>(&self, text: &'a str, _context: &LineContext) -> Parsed<'a> {
        let text = text.trim();
        if !text.starts_with('{') {
            return Parsed::Unknown;
        }
        if let Some(time) = noise(text) {
            return Parsed::Record(time, Body::Other);
        }
        let mut fields: Fields<'a> = match serde_json::from_str(text) {
            Ok(fields) => fields,
            Err(error) => return Parsed::Reject(format!("not a JSON object: {error}")),
        };
        let Some(message) = fields.take_text("msg") else {
            return Parsed::Unknown;
        };
        let Some(stamp) = fields.take_text("ts") else {
            return Parsed::Unknown;
        };
        let Some(time) = Timestamp::parse(&stamp) else {
            return Parsed::Reject(
                "field `ts` is not a time, expected 2006-01-02T15:04:05.000000Z0700".to_owned(),
            );
        };
        let body = match Message::of(&message) {
            Some(kind) => line::body(kind, message, fields),
            None => Body::Other,
        };
        Parsed::Record(time, body)
    }
}

/// The time of a line whose message is of no interest, found without reading the line as JSON: most lines of a debug
/// log. Within a JSON string a quote is escaped, so the patterns can only stand for fields.
fn noise(text: &str) -> Option<Timestamp> {
    let message = simple_field(text, "\"msg\":\"")?;
    if Message::of(message).is_some() || !text.ends_with('}') {
        return None;
    }
    Timestamp::parse(simple_field(text, "\"ts\":\"")?)
}

/// The text of a field up to its first quote, escaped or not: no message of interest has an escape. `None` if the field
/// is written in another way.
fn simple_field<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let from = memmem::find(text.as_bytes(), start.as_bytes())? + start.len();
    let value = text.get(from..)?;
    let end = memchr::memchr(b'"', value.as_bytes())?;
    Some(&value[..end])
}
