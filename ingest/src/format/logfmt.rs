//! The lines of logrus, which containerd and CRI-O log with: `time="…" level=… msg="…" key=value` or one JSON object.
//!
//! A bare value holds only letters, digits and `-._/@^+`; anything else is quoted as Go's `%q` does.

use std::borrow::Cow;
use std::collections::BTreeMap;

use auditgap_records::{Text, Timestamp};
use serde_json::value::RawValue;

use super::LineContext;
use super::go_text::{quoted_length, unescape};
use super::raw_json::string;

/// Whether a physical line begins a logrus entry; a stack trace of a dying daemon does not.
pub(crate) fn starts_entry(line: &[u8]) -> bool {
    line.starts_with(b"time=") || line.starts_with(b"{")
}

/// One logrus line, decoded no further than asked.
#[derive(Debug)]
pub(crate) enum Entry<'a> {
    /// `key=value` text.
    Text {
        /// The stamp, unquoted.
        time: Option<Text<'a>>,
        /// From the value of `msg` on, its quote included; empty if there is none.
        message: &'a str,
    },
    /// One JSON object, its values not yet decoded.
    Json(BTreeMap<Cow<'a, str>, &'a RawValue>),
}

impl<'a> Entry<'a> {
    /// Reads as much as is needed to date and dispatch a line; `None` when it is no logrus line at all.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        // Further lines are a stack trace: logrus itself quotes line breaks.
        let text = text.lines().next()?;
        if text.starts_with('{') {
            let object: BTreeMap<Cow<'a, str>, &'a RawValue> = serde_json::from_str(text).ok()?;
            return object.contains_key("msg").then_some(Self::Json(object));
        }
        if !text.starts_with("time=") && !text.starts_with("level=") {
            return None;
        }
        let mut fields = Fields { rest: text };
        let mut time = None;
        loop {
            if let Some(message) = fields.rest.trim_start().strip_prefix("msg=") {
                return Some(Self::Text { time, message });
            }
            if let ("time", value) = fields.next()? {
                time = Some(value);
            }
        }
    }

    /// When the line was written; the transport's time where the line has no stamp of its own.
    pub(crate) fn time(&self, context: &LineContext) -> Option<Timestamp> {
        let stamp = match self {
            Self::Text { time, .. } => time.clone(),
            Self::Json(_) => self.field("time"),
        };
        match stamp {
            Some(stamp) => Timestamp::parse(&stamp),
            None => context.transport_time,
        }
    }

    /// The message's first word: enough to tell noise apart without decoding what may be a whole Pod spec.
    pub(crate) fn first_word(&self) -> &'a str {
        let start = match self {
            Self::Text { message, .. } => message,
            Self::Json(object) => object.get("msg").map_or("", |value| value.get()),
        };
        let start = start.strip_prefix('"').unwrap_or(start);
        start.split([' ', '"', '\n', ':']).next().unwrap_or_default()
    }

    /// The message, decoded; `None` when its closing quote is missing.
    pub(crate) fn message(&self) -> Option<Text<'a>> {
        match self {
            Self::Text { message, .. } => value(message).map(|(decoded, _)| decoded),
            Self::Json(object) => object.get("msg").and_then(|raw| string(raw)),
        }
    }

    /// A field that follows the message, if it is text.
    pub(crate) fn field(&self, name: &str) -> Option<Text<'a>> {
        match self {
            Self::Text { message, .. } => {
                let (_, rest) = value(message)?;
                Fields { rest }.find(|(key, _)| *key == name).map(|(_, value)| value)
            }
            Self::Json(object) => object.get(name).and_then(|raw| string(raw)),
        }
    }
}

/// The `key=value` pairs of a line, in order. Ends at the first thing that is none.
struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, Text<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, rest) = self.rest.trim_start_matches(' ').split_once('=')?;
        let (decoded, rest) = value(rest)?;
        self.rest = rest;
        Some((key, decoded))
    }
}

/// A bare or quoted value at the start of `text`, and what follows it.
fn value(text: &str) -> Option<(Text<'_>, &str)> {
    if text.starts_with('"') {
        return go_quoted(text);
    }
    let end = text.find([' ', '\n']).unwrap_or(text.len());
    Some((Cow::Borrowed(&text[..end]), &text[end..]))
}

/// A string as Go's `%q` and the protobuf text format quote it at the start of `text`, and what follows it.
/// `None` when it does not begin or end with a quote.
pub(crate) fn go_quoted(text: &str) -> Option<(Text<'_>, &str)> {
    let (quoted, rest) = text.split_at_checked(quoted_length(text)?)?;
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    Some((unescape(inner), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_strings_decode_as_go_wrote_them() {
        for (text, expected, rest) in [
            (r#""plain" x=1"#, "plain", " x=1"),
            (r#""a \"b\" \\c""#, r#"a "b" \c"#, ""),
            (r#""tab\tnul\x00 \u00e4 \U0001f600 \303\244""#, "tab\tnul\0 ä 😀 ä", ""),
            (r#""""#, "", ""),
        ] {
            let (decoded, left) = go_quoted(text).unwrap();
            assert_eq!((decoded.as_ref(), left), (expected, rest), "{text}");
        }
        for text in ["", "bare", r#""open"#, r#""ends in \"#] {
            assert_eq!(go_quoted(text), None, "{text}");
        }
    }

    #[test]
    fn a_line_gives_its_message_and_fields_in_both_encodings() {
        for text in [
            r#"time="2026-11-23T11:00:00Z" level=info msg="shim \"x\" gone" error="no \"y\"" id=abc"#,
            r#"{"error":"no \"y\"","id":"abc","level":"info","msg":"shim \"x\" gone","time":"2026-11-23T11:00:00Z"}"#,
        ] {
            let entry = Entry::read(text).unwrap();
            assert_eq!(entry.first_word(), "shim", "{text}");
            assert_eq!(entry.message().unwrap(), r#"shim "x" gone"#, "{text}");
            assert_eq!(entry.field("id").unwrap(), "abc", "{text}");
            assert_eq!(entry.field("error").unwrap(), r#"no "y""#, "{text}");
            assert_eq!(entry.field("absent"), None, "{text}");
            let traced = format!("{text}\n\ngoroutine 1 [running]:\nmsg=\"other\"");
            assert_eq!(Entry::read(&traced).unwrap().message().unwrap(), r#"shim "x" gone"#, "{traced}");
        }
    }
}
