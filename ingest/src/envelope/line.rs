//! Container log files on a node: the CRI form of containerd and CRI-O, and Docker's json-file.
//!
//! Both cut lines longer than 16 KiB into several envelopes.

use auditgap_records::{Text, Timestamp};

use super::{Inner, without_break};
use crate::shape::{member, member_string};

/// `2026-11-23T11:00:00.123456789Z stderr F text`.
pub(super) fn open_cri(text: &str) -> Option<Inner<'_>> {
    let (time, rest) = text.split_once(' ')?;
    let (stream, rest) = rest.split_once(' ')?;
    if !matches!(stream, "stdout" | "stderr") {
        return None;
    }
    let (tags, line) = rest.split_once(' ').unwrap_or((rest, ""));
    let partial = match tags.split(':').next()? {
        "P" => true,
        "F" => false,
        _ => return None,
    };
    let time = Timestamp::parse(time)?;
    Some(Inner { text: Text::Borrowed(line), time: Some(time), stream: Text::Borrowed(stream), partial })
}

/// Whether an object has just the members of a json-file line.
pub(super) fn is_docker(keys: &[&str]) -> bool {
    keys.contains(&"log")
        && keys.contains(&"stream")
        && keys.contains(&"time")
        && keys.iter().all(|key| matches!(*key, "log" | "stream" | "time" | "attrs"))
}

/// `{"log":"text\n","stream":"stdout","time":"…"}`. A line is whole when it ends with a line break.
pub(super) fn open_docker(text: &str) -> Option<Inner<'_>> {
    let line = member_string(text, "log")?;
    let stream = member_string(text, "stream")?;
    let time = super::time_of(member(text, "time")?)?;
    let partial = !line.ends_with('\n');
    let text = if partial { line } else { without_break(line) };
    Some(Inner { text, time: Some(time), stream, partial })
}
