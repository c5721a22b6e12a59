//! The journal and syslog: `journalctl -o json`, and lines with the prefix that `journalctl` and syslog daemons put.
//!
//! The journal keeps each line of a service's output as an entry of its own: a record of several lines is several
//! envelopes of one stream.

use std::borrow::Cow;

use auditgap_records::{Text, Timestamp};

use super::Inner;
use crate::shape::{elements, member, member_string, string};

/// One object of `journalctl -o json`.
pub(super) fn open_json(text: &str) -> Option<Inner<'_>> {
    let message = message(member(text, "MESSAGE")?)?;
    // The source's own stamp is nearer to the event; entries from a service's output have the journal's alone.
    let time = ["_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"]
        .into_iter()
        .find_map(|key| Timestamp::from_micros(member_string(text, key)?.parse().ok()?));
    let parts: Vec<Text<'_>> = ["_HOSTNAME", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER", "_PID", "_STREAM_ID"]
        .into_iter()
        .map(|key| member_string(text, key).unwrap_or_default())
        .collect();
    Some(Inner { time, stream: parts.join("/").into(), ..Inner::new(message, None) })
}

/// A string, or null when it was too long to be shown, or an array: of bytes where it was no printable text, of
/// several such values where the field was given several times.
fn message(value: &str) -> Option<Text<'_>> {
    match value.as_bytes().first()? {
        b'"' => string(value),
        b'n' => Some(Text::default()),
        b'[' => {
            let bytes: Option<Vec<u8>> = elements(value).map(|element| element.value.parse().ok()).collect();
            if let Some(bytes) = bytes {
                return Some(String::from_utf8_lossy(&bytes).into_owned().into());
            }
            let lines: Option<Vec<Text<'_>>> = elements(value)
                .map(|element| if element.value.starts_with('[') { None } else { message(element.value) })
                .collect();
            lines.map(|lines| lines.join("\n").into())
        }
        _ => None,
    }
}

/// A line with a syslog prefix, or a remark of `journalctl` itself (`-- Boot … --`), which holds nothing.
pub(super) fn open_prefixed(line: &str) -> Option<Inner<'_>> {
    if line.starts_with("-- ") && line.ends_with(" --") {
        return Some(Inner::new(Text::default(), None));
    }
    let line = match line.strip_prefix('<') {
        Some(rest) => {
            let (priority, rest) = rest.split_once('>')?;
            if priority.len() > 3 || !is_number(priority) {
                return None;
            }
            if let Some(rest) = rest.strip_prefix("1 ") {
                return open_rfc5424(rest);
            }
            rest
        }
        None => line,
    };
    let (time, rest) = local_stamp(line).map(|rest| (None, rest)).or_else(|| full_stamp(line))?;
    let (host, rest) = rest.split_once(' ')?;
    let (tag, text) = rest.split_once(": ").or_else(|| Some((rest.strip_suffix(':')?, "")))?;
    if host.is_empty() || !is_tag(tag) {
        return None;
    }
    let stream = line.get(line.len() - rest.len() - host.len() - 1..line.len() - text.len())?;
    Some(Inner { time, stream: Cow::Borrowed(stream), ..Inner::new(Cow::Borrowed(text), None) })
}

/// `TIME HOST APP PID MSGID - TEXT` behind `<PRI>1 `.
fn open_rfc5424(rest: &str) -> Option<Inner<'_>> {
    let mut words = rest.splitn(6, ' ');
    let time = words.next()?;
    let origin: Vec<&str> = words.by_ref().take(3).collect();
    words.next()?;
    let tail = words.next()?;
    let text = match tail.strip_prefix('-') {
        Some(rest) => rest,
        // Structured data may be several blocks; a bracket within is escaped.
        None => tail.split_once("] ").or_else(|| Some((tail.strip_suffix(']')?, "")))?.1,
    };
    let text = text.strip_prefix(' ').unwrap_or(text).trim_start_matches('\u{feff}');
    Some(Inner {
        time: Timestamp::parse(time),
        stream: origin.join("/").into(),
        ..Inner::new(text.into(), None)
    })
}

/// What follows `Nov 23 11:00:00 ` or `Nov  3 11:00:00.123456 `. The stamp itself says neither year nor zone, nor
/// more than the entry's own does.
fn local_stamp(line: &str) -> Option<&str> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = line.get(..3)?;
    let day = line.get(3..7)?.strip_prefix(' ')?.strip_suffix(' ')?;
    let (clock, rest) = line.get(7..)?.split_once(' ')?;
    let well_formed = MONTHS.contains(&month) && is_number(day.trim_start()) && is_clock(clock);
    well_formed.then_some(rest)
}

/// What follows `2026-11-23T11:00:00+0000 ` (`-o short-iso`) or `Mon 2026-11-23 11:00:00 UTC ` (`-o short-full`), and
/// the moment if the zone is told as a number or is UTC.
fn full_stamp(line: &str) -> Option<(Option<Timestamp>, &str)> {
    let (first, rest) = line.split_once(' ')?;
    if let Some(time) = Timestamp::parse(first) {
        return Some((Some(time), rest));
    }
    let mut words = rest.splitn(4, ' ');
    let (date, clock, zone, rest) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if first.len() != 3 || !is_clock(clock) {
        return None;
    }
    let time = Timestamp::parse(&format!("{date}T{clock}"))?;
    Some(((zone == "UTC").then_some(time), rest))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `11:00:00`, perhaps with a fraction.
fn is_clock(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8
        && bytes.get(2) == Some(&b':')
        && bytes.get(5) == Some(&b':')
        && bytes.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'))
}

/// `kubelet[123]`, `kubelet` or `(kubelet)[123]`.
fn is_tag(tag: &str) -> bool {
    !tag.is_empty() && tag.len() <= 128 && !tag.bytes().any(|byte| byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(inner: Option<Inner<'_>>) -> Option<(String, Option<String>, String)> {
        inner.map(|inner| {
            (inner.text.into_owned(), inner.time.map(|time| time.to_string()), inner.stream.into_owned())
        })
    }

    fn expected(text: &str, time: Option<&str>, stream: &str) -> (String, Option<String>, String) {
        (text.to_owned(), time.map(str::to_owned), stream.to_owned())
    }

    #[test]
    fn json_entries_of_all_message_forms() {
        let rest = r#""__REALTIME_TIMESTAMP":"1795433743583093","_HOSTNAME":"n1","_SYSTEMD_UNIT":"kubelet.service","SYSLOG_IDENTIFIER":"(kubelet)","_PID":"7","_STREAM_ID":"s""#;
        let stream = "n1/kubelet.service/(kubelet)/7/s";
        let time = Some("2026-11-23T11:35:43.583093Z");
        for (message, text) in [
            (r#""I1123 11:00:00.0 \"x\"""#, "I1123 11:00:00.0 \"x\""),
            (r#""\tcontinued""#, "\tcontinued"),
            ("[9, 73,255]", "\tI\u{fffd}"),
            (r#"["a","b"]"#, "a\nb"),
            ("null", ""),
        ] {
            let line = format!(r#"{{"MESSAGE":{message},{rest}}}"#);
            assert_eq!(opened(open_json(&line)), Some(expected(text, time, stream)), "{line}");
        }
        let nearer =
            r#"{"MESSAGE":"x","__REALTIME_TIMESTAMP":"9000000","_SOURCE_REALTIME_TIMESTAMP":"1000000"}"#;
        assert_eq!(opened(open_json(nearer)), Some(expected("x", Some("1970-01-01T00:00:01Z"), "////")));
        for line in [r#"{"MESSAGE":7}"#, r#"{"MESSAGE":[[[1]]]}"#, r#"{"message":"x"}"#, "", r#"{"MESSAGE":"#]
        {
            assert_eq!(opened(open_json(line)), None, "{line}");
        }
    }

    #[test]
    fn prefixes_of_journalctl_and_syslog() {
        let stream = "n1 kubelet[7]: ";
        for (prefix, time) in [
            ("Nov 23 11:00:00 n1 kubelet[7]: ", None),
            ("Nov  3 11:00:00.123456 n1 kubelet[7]: ", None),
            ("<30>Nov 23 11:00:00 n1 kubelet[7]: ", None),
            ("2026-11-23T11:00:00+0800 n1 kubelet[7]: ", Some("2026-11-23T03:00:00Z")),
            ("2026-11-23T11:00:00.5Z n1 kubelet[7]: ", Some("2026-11-23T11:00:00.500Z")),
            ("Mon 2026-11-23 11:00:00 UTC n1 kubelet[7]: ", Some("2026-11-23T11:00:00Z")),
            ("Mon 2026-11-23 11:00:00 CET n1 kubelet[7]: ", None),
        ] {
            for text in ["I1123 11:00:00.123456       7 a.go:1] x: y", "        goroutine 1 [running]:", ""] {
                let line = format!("{prefix}{text}");
                assert_eq!(opened(open_prefixed(&line)), Some(expected(text, time, stream)), "{line}");
            }
        }
        assert_eq!(opened(open_prefixed("Nov 23 11:00:00 n1 k:")), Some(expected("", None, "n1 k:")));
        let modern = "<30>1 2026-11-23T11:00:00Z n1 kubelet 7 - ";
        for text in ["- a b", "[x@1 y=\"z\"] a b", "- \u{feff}a b"] {
            let line = format!("{modern}{text}");
            let expected = Some(expected("a b", Some("2026-11-23T11:00:00Z"), "n1/kubelet/7"));
            assert_eq!(opened(open_prefixed(&line)), expected, "{line}");
        }
        assert_eq!(opened(open_prefixed("-- Boot 12ab --")), Some(expected("", None, "")));
    }

    #[test]
    fn other_lines_have_no_prefix() {
        for line in [
            "",
            "I1123 11:00:00.123456       7 a.go:1] x: y",
            "Nov 23 11:00:00 n1",
            "Nov 23 11:00:00 n1 two words: x",
            "Nox 23 11:00:00 n1 k: x",
            "2026-11-23 11:00:00.076462 W | etcdserver: x",
            "2026-11-23T11:00:00Z stderr F x",
            "<x>Nov 23 11:00:00 n1 k: x",
            "µµµ µ µµ:",
        ] {
            assert_eq!(opened(open_prefixed(line)), None, "{line}");
        }
    }
}
