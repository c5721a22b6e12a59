//! etcd's zap console form: `ts<TAB>level<TAB>[logger<TAB>]caller<TAB>msg[<TAB>{"k": v}]`, a stack trace on the lines
//! after it.

use auditgap_records::{Body, Text, Timestamp};

use super::etcd::fields::Fields;
use super::etcd::line::{self, Message};
use super::{LineContext, LineFormat, Parsed};

/// etcd 3.6 and later with `--log-format=console`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EtcdConsole;

impl LineFormat for EtcdConsole {
    fn starts_entry(&self, line: &[u8]) -> bool {
        matches!(line, [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'-', ..])
            && line.contains(&b'\t')
    }

    fn parse<'a>(&self, text: &'a str, _context: &LineContext) -> Parsed<'a> {
        let line = text.lines().next().unwrap_or_default();
        let Some((stamp, rest)) = line.split_once('\t') else {
            return Parsed::Unknown;
        };
        let Some((level, rest)) = rest.split_once('\t') else {
            return Parsed::Unknown;
        };
        if !matches!(level, "debug" | "info" | "warn" | "error" | "dpanic" | "panic" | "fatal") {
            return Parsed::Unknown;
        }
        let Some(time) = Timestamp::parse(stamp) else {
            return Parsed::Reject(
                "first column is not a time, expected 2006-01-02T15:04:05.000000Z0700".to_owned(),
            );
        };
        let Some((message, fields)) = message_and_fields(rest) else {
            return Parsed::Reject("no caller and message after the level".to_owned());
        };
        let Some(kind) = Message::of(message) else {
            return Parsed::Record(time, Body::Other);
        };
        let fields = match fields.map(serde_json::from_str::<Fields<'a>>).transpose() {
            Ok(fields) => fields.unwrap_or_default(),
            Err(error) => return Parsed::Reject(format!("fields are not a JSON object: {error}")),
        };
        Parsed::Record(time, line::body(kind, Text::Borrowed(message), fields))
    }
}

/// Leaves out the logger's name and the caller, `file.go:123`.
fn message_and_fields(rest: &str) -> Option<(&str, Option<&str>)> {
    let (first, after) = rest.split_once('\t')?;
    let rest = if is_caller(first) {
        after
    } else {
        after.split_once('\t').filter(|(second, _)| is_caller(second))?.1
    };
    Some(match rest.split_once('\t') {
        Some((message, fields)) => (message, Some(fields)),
        None => (rest, None),
    })
}

fn is_caller(column: &str) -> bool {
    column.rsplit_once(".go:").is_some_and(|(_, line)| line.bytes().all(|byte| byte.is_ascii_digit()))
}
