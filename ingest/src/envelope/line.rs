//! Container log files on a node: the CRI form of containerd and CRI-O, and Docker's json-file; and lines behind a time.
//!
//! The runtimes cut lines longer than 16 KiB into several envelopes.

use auditgap_records::{Text, Timestamp};

use super::{Inner, without_break};
use crate::format::klog;
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

/// `2026-11-23T11:00:00.123456789Z text`.
pub(super) fn open_stamped(text: &str) -> Option<Inner<'_>> {
    let (time, line) = text.split_once(' ')?;
    Some(Inner::new(Text::Borrowed(line), Some(Timestamp::parse(time)?)))
}

/// Whether behind a time there is what only a component's own line begins with: much else begins with a time.
pub(super) fn begins_entry_behind_time(text: &str) -> bool {
    open_stamped(text).is_some_and(|inner| {
        inner.text.starts_with(['{', '['])
            || inner.text.starts_with("time=\"")
            || klog::stamp(&inner.text).is_some()
    })
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
