//! klog, the log format of Kubernetes' components: a header with severity, time and place, then either free text or
//! a quoted message with `key=value` pairs; or the same as a JSON object a line (`--logging-format=json`).
//!
//! Layout of the header: `k8s.io/klog/v2/internal/buffer`; of the pairs: `k8s.io/klog/v2/internal/serialize`; of
//! the JSON: `k8s.io/component-base/logs/json`.

mod fields;
mod json;

use auditgap_records::{Body, Text, Timestamp};

use crate::clock::LocalStamp;
use crate::format::go_text;
use crate::format::{LineContext, Parsed};

pub(crate) use fields::{Fields, Value};

/// One klog entry, read as far as it takes to tell whether it is of interest.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry<'a> {
    /// When it was written.
    pub(crate) time: Timestamp,
    /// The message, without its pairs.
    pub(crate) message: Message<'a>,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Message<'a> {
    /// A quoted message with pairs.
    Structured {
        /// The message, unquoted.
        text: Text<'a>,
        /// The pairs, not yet read.
        pairs: Pairs<'a>,
    },
    /// Free text of one or more lines.
    Free(&'a str),
}

/// The pairs of an entry in the form in which they stand there. Reading them is left to those who need them: most
/// lines are noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairs<'a> {
    /// ` key=value key=value`.
    Text(&'a str),
    /// The whole JSON object.
    Json(&'a str),
}

impl<'a> Pairs<'a> {
    /// Reads the pairs; `Err` says what is broken.
    pub(crate) fn read(self) -> Result<Fields<'a>, String> {
        match self {
            Self::Text(text) => Fields::from_text(text),
            Self::Json(text) => json::fields(text),
        }
    }
}

/// Why an entry was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotRead {
    /// It is not klog.
    Unknown,
    /// It is klog, and broken as told.
    Broken(String),
}

/// Whether a physical line begins a klog entry, text or JSON. Any other continues the entry before it: stack traces,
/// multi-line values, raw line breaks in free text.
pub(crate) fn starts_entry(line: &[u8]) -> bool {
    match line.first() {
        None | Some(b'\t' | b' ') => false,
        Some(b'{') => {
            line.starts_with(br#"{"ts":"#)
                // An audit event that the API server printed into the same stream.
                || line.starts_with(br#"{"kind":"Event","#)
                || (line.starts_with(br#"{""#)
                    && memchr::memmem::find(line, br#""ts":"#).is_some()
                    && memchr::memmem::find(line, br#""msg":"#).is_some())
        }
        Some(_) => header_offset(line).is_some(),
    }
}

/// The stamp of the header that a line begins with, if it is klog text.
pub(crate) fn stamp(line: &str) -> Option<LocalStamp> {
    let offset = header_offset(line.as_bytes())?;
    stamp_at(line.as_bytes().get(offset..)?)
}

/// Reads an entry of a component. `body` says what a message means to it: `None` if it is of no interest, `Err` if it is
/// and cannot be read.
pub(crate) fn parse<'a>(
    text: &'a str,
    context: &LineContext,
    body: impl FnOnce(Message<'a>) -> Result<Option<Body<'a>>, String>,
) -> Parsed<'a> {
    let entry = match read(text, context) {
        Ok(entry) => entry,
        Err(NotRead::Unknown) => return Parsed::Unknown,
        Err(NotRead::Broken(reason)) => return Parsed::Reject(reason),
    };
    match body(entry.message) {
        Ok(body) => Parsed::Record(entry.time, body.unwrap_or(Body::Other)),
        Err(reason) => Parsed::Reject(reason),
    }
}

/// Reads an entry.
pub(crate) fn read<'a>(entry: &'a str, context: &LineContext) -> Result<Entry<'a>, NotRead> {
    let entry = entry.trim_end_matches(['\n', '\r']);
    if entry.starts_with('{') {
        return json::entry(entry);
    }
    let offset = header_offset(entry.as_bytes()).ok_or(NotRead::Unknown)?;
    let header = entry.get(offset..).ok_or(NotRead::Unknown)?;
    let stamp = stamp_at(header.as_bytes()).ok_or(NotRead::Unknown)?;
    let rest = after_place(header).ok_or(NotRead::Unknown)?;
    let time = stamp.resolve(context.clock, context.transport_time).ok_or_else(|| {
        NotRead::Broken("klog header whose month, day or time of day does not exist".to_owned())
    })?;
    let Some(length) = go_text::quoted_length(rest) else {
        if rest.starts_with('"') {
            return Err(NotRead::Broken("klog message with an opening quote and no closing one".to_owned()));
        }
        return Ok(Entry { time, message: Message::Free(rest) });
    };
    let text = go_text::unescape(rest.get(1..length - 1).unwrap_or_default());
    let pairs = Pairs::Text(rest.get(length..).unwrap_or_default());
    Ok(Entry { time, message: Message::Structured { text, pairs } })
}

/// How far a component word (`kubelet `, `??? `) may push the header to the right.
const LONGEST_PREFIX: usize = 64;

/// Where the header begins: at once, or behind one word as forks of Kubernetes write it.
fn header_offset(line: &[u8]) -> Option<usize> {
    if is_header(line) {
        return Some(0);
    }
    let reach = line.get(..LONGEST_PREFIX).unwrap_or(line);
    let offset = memchr::memchr(b' ', reach)? + 1;
    (offset > 1 && is_header(line.get(offset..)?)).then_some(offset)
}

/// The header's beginning; `0` stands for any digit.
const HEADER: &[u8; 22] = b"L0000 00:00:00.000000 ";

/// `Lmmdd hh:mm:ss.uuuuuu `, by its punctuation and digits.
fn is_header(line: &[u8]) -> bool {
    let Some(head) = line.first_chunk::<22>() else { return false };
    matches!(head[0], b'I' | b'W' | b'E' | b'F')
        && head.iter().zip(HEADER).skip(1).all(|(byte, pattern)| match pattern {
            b'0' => byte.is_ascii_digit(),
            _ => byte == pattern,
        })
}

fn stamp_at(header: &[u8]) -> Option<LocalStamp> {
    let number = |from: usize, to: usize| -> Option<u32> {
        header.get(from..to)?.iter().try_fold(0_u32, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'))
        })
    };
    Some(LocalStamp {
        year: None,
        month: number(1, 3)?,
        day: number(3, 5)?,
        hour: number(6, 8)?,
        minute: number(9, 11)?,
        second: number(12, 14)?,
        nanos: number(15, 21)? * 1_000,
    })
}

/// The message behind ` threadid file:line] `.
fn after_place(header: &str) -> Option<&str> {
    let place = header.get(21..)?;
    let end = memchr::memchr(b']', place.as_bytes())?;
    let (thread, file) = place.get(..end)?.trim_ascii_start().split_once(' ')?;
    let line_digits = file.bytes().rev().take_while(u8::is_ascii_digit).count();
    let has_line = file.as_bytes().get(..file.len() - line_digits)?.ends_with(b":");
    if !has_line || file.contains(' ') || !thread.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let rest = place.get(end + 1..)?;
    Some(rest.strip_prefix(' ').unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ClockHint;

    fn context() -> LineContext {
        let near = Timestamp::parse("2026-11-23T12:00:00Z").unwrap();
        LineContext { clock: ClockHint { near, zone_seconds: 0 }, transport_time: None }
    }

    #[test]
    fn entries_start_with_a_header_or_a_json_object() {
        for (line, starts) in [
            ("I1123 11:56:57.679743   29044 httplog.go:134] \"HTTP\"", true),
            ("E1231 23:59:59.000000 12345678 dir/file.go:1] x", true),
            ("kubelet I1123 11:56:57.679743   29044 a.go:1] x", true),
            ("??? W1123 11:56:57.679743   29044 a.go:1] x", true),
            (r#"{"ts":1795433710350.77,"caller":"a.go:1","msg":"x","v":2}"#, true),
            (r#"{"caller":"a.go:1","msg":"x","ts":1795433710350.77}"#, true),
            (r#"{"kind":"Event"}"#, false),
            (r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata"}"#, true),
            ("\tI1123 11:56:57.679743   29044 a.go:1] x", false),
            (" > addedInfo=<", false),
            ("goroutine 1161 [running]:", false),
            ("I1123 11:56", false),
            ("", false),
        ] {
            assert_eq!(starts_entry(line.as_bytes()), starts, "{line}");
        }
    }

    #[test]
    fn headers_give_time_and_message() {
        let time = Timestamp::parse("2026-11-23T11:56:57.679743Z").unwrap();
        for (line, message) in [
            ("I1123 11:56:57.679743   29044 server.go:187] Version: v1", Message::Free("Version: v1")),
            ("I1123 11:56:57.679743 12345678 server.go:187] ", Message::Free("")),
            (
                "??? I1123 11:56:57.679743       1 server.go:187] \"a \\\"b\\\"\" k=1\n",
                Message::Structured { text: "a \"b\"".into(), pairs: Pairs::Text(" k=1") },
            ),
        ] {
            assert_eq!(read(line, &context()), Ok(Entry { time, message }), "{line}");
        }
        let json = r#"{"ts":1795435017679.743,"caller":"a.go:1","msg":"x","v":2}"#;
        let message = Message::Structured { text: "x".into(), pairs: Pairs::Json(json) };
        assert_eq!(read(json, &context()), Ok(Entry { time, message }));
    }

    #[test]
    fn what_is_not_klog_is_unknown_and_what_is_broken_is_told() {
        for line in
            ["", "I1123 11:56:57.679743 no place", "{}", "{\"ts\":1}", "I1123 11:56:57.679743 x a.go:1] y"]
        {
            assert_eq!(read(line, &context()), Err(NotRead::Unknown), "{line}");
        }
        for line in [
            "I1399 11:56:57.679743 1 a.go:1] x",
            "I1123 11:56:57.679743 1 a.go:1] \"open",
            r#"{"ts":1,"msg":"#,
        ] {
            assert!(matches!(read(line, &context()), Err(NotRead::Broken(_))), "{line}");
        }
    }
}
