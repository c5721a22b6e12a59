//! Envelopes of the managed clouds.

use auditgap_records::Text;

use super::{Inner, text_of, time_of, without_break};
use crate::shape::{member, member_string, string};

/// `{"id":…,"timestamp":1510109208016,"message":"…"}` of CloudWatch Logs.
pub(super) fn open_cloudwatch(text: &str) -> Option<Inner<'_>> {
    let line = text_of(member(text, "message")?)?;
    let mut inner = Inner::new(without_break(line), member(text, "timestamp").and_then(time_of));
    inner.stream = member_string(text, "logStreamName").unwrap_or_default();
    Some(inner)
}

/// `{"time":…,"category":"kube-audit","properties":{"log":"…","pod":"…"}}` of Azure diagnostics. The properties, and
/// the log within, may each be JSON or a string of JSON. `time` is that of the upload and says nothing.
pub(super) fn open_azure(text: &str) -> Option<Inner<'_>> {
    let properties = text_of(member(text, "properties")?)?;
    let (line, stream) = match properties {
        Text::Borrowed(properties) => parts(properties)?,
        Text::Owned(properties) => {
            let (line, stream) = parts(&properties)?;
            (Text::Owned(line.into_owned()), Text::Owned(stream.into_owned()))
        }
    };
    Some(Inner { text: without_break(line), time: None, stream, partial: false })
}

fn parts(properties: &str) -> Option<(Text<'_>, Text<'_>)> {
    let line = text_of(member(properties, "log")?)?;
    Some((line, member_string(properties, "pod").unwrap_or_default()))
}

/// A `LogEntry` with `textPayload`, or `jsonPayload.message` as node agents write it.
pub(super) fn open_cloud_logging(text: &str) -> Option<Inner<'_>> {
    let line = member(text, "textPayload").and_then(string).or_else(|| {
        let payload = member(text, "jsonPayload")?;
        ["MESSAGE", "message", "log"].into_iter().find_map(|key| member_string(payload, key))
    })?;
    let time = member(text, "timestamp").and_then(time_of);
    let stream = member(text, "resource").and_then(|resource| member(resource, "labels")).unwrap_or_default();
    Some(Inner { text: without_break(line), time, stream: Text::Borrowed(stream), partial: false })
}
