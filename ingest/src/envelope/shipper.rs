//! Records of Fluent Bit, Vector, Fluentd and Logstash: the original line in one member, metadata beside it.

use auditgap_records::{Text, Timestamp};

use super::{Inner, text_of, time_of, without_break};
use crate::shape::{Member, member_string, members};

/// Where shippers put the line, in the order of preference.
const LINE: [&str; 4] = ["log", "message", "MESSAGE", "event"];
/// Where they put the time.
const TIME: [&str; 5] = ["time", "timestamp", "@timestamp", "date", "_time"];

/// Whether an object holds a line in a member that shippers use. What the line is decides the rest.
pub(super) fn is_record(text: &str) -> bool {
    line_of(text).is_some()
}

pub(super) fn open(text: &str) -> Option<Inner<'_>> {
    let line = without_break(text_of(line_of(text)?)?);
    let mut inner = Inner::new(line, time(text));
    let mut logtag = None;
    let mut parts: Vec<Text<'_>> = Vec::new();
    for Member { key, value } in members(text).take(64) {
        match key {
            "stream" | "file" | "host" | "_SYSTEMD_UNIT" | "_PID" => {
                parts.extend(crate::shape::string(value));
            }
            "kubernetes" => {
                for name in ["pod_id", "pod_uid", "pod_name", "container_name"] {
                    parts.extend(member_string(value, name));
                }
            }
            "logtag" => logtag = crate::shape::string(value),
            _ => {}
        }
    }
    inner.partial = logtag.as_deref() == Some("P");
    inner.stream = Text::Owned(parts.join("/"));
    Some(inner)
}

fn line_of(text: &str) -> Option<&str> {
    LINE.into_iter().find_map(|key| {
        let value = crate::shape::member(text, key)?;
        value.starts_with(['"', '{']).then_some(value)
    })
}

fn time(text: &str) -> Option<Timestamp> {
    TIME.into_iter().find_map(|key| time_of(crate::shape::member(text, key)?))
}
