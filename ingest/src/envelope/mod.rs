//! What shippers and clouds wrap around a component's own lines, peeled by content.
//!
//! Field sets: Fluent Bit `plugins/out_http`, Vector `src/sinks/http` and `src/sources/kubernetes_logs`, kubelet's CRI
//! log files, Docker's json-file driver, OTLP `proto/logs/v1`, CloudWatch Logs subscriptions, Azure Event Hubs
//! diagnostic records, Google Cloud Logging `LogEntry`.

mod cloud;
mod journald;
mod line;
mod otlp;
mod shipper;

use auditgap_records::{Text, Timestamp};

use crate::shape::{elements, member, members, string};

/// Deepest nesting of envelopes that is opened.
pub(crate) const MAX_DEPTH: usize = 4;

/// The kinds of envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Envelope {
    /// A JSON array, or an object whose list member holds the entries: EventList, Azure `records`, CloudWatch
    /// `logEvents` and `events`.
    List,
    /// One CloudWatch log event.
    CloudWatch,
    /// One Azure diagnostic record.
    Azure,
    /// One `LogEntry` of Google Cloud Logging that carries a component's text.
    CloudLogging,
    /// A record of Fluent Bit, Vector or their kin: the line in `log` or `message`.
    Shipper,
    /// A line of Docker's json-file driver.
    DockerJson,
    /// A line of a CRI log file.
    Cri,
    /// A line behind a time, as `kubectl logs --timestamps` and exports of CloudWatch write it.
    Stamped,
    /// A line of `journalctl -o json`.
    Journald,
    /// A line with a syslog prefix, as `journalctl` prints it.
    Syslog,
    /// An OTLP logs request as JSON.
    Otlp,
}

impl Envelope {
    /// The envelope in words, as reports show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::List => "JSON list",
            Self::CloudWatch => "CloudWatch",
            Self::Azure => "Azure diagnostics",
            Self::CloudLogging => "Cloud Logging",
            Self::Shipper => "shipper JSON",
            Self::DockerJson => "docker json-file",
            Self::Cri => "CRI log",
            Self::Stamped => "stamped lines",
            Self::Journald => "journald JSON",
            Self::Syslog => "syslog",
            Self::Otlp => "OTLP JSON",
        }
    }
}

/// What was in an envelope.
#[derive(Clone, Debug)]
pub(crate) struct Inner<'a> {
    /// The wrapped text.
    pub(crate) text: Text<'a>,
    /// When the transport saw it, if it says.
    pub(crate) time: Option<Timestamp>,
    /// What tells interleaved streams apart: container and output, unit and process.
    pub(crate) stream: Text<'a>,
    /// More of the same line follows in the stream's next envelope.
    pub(crate) partial: bool,
}

impl<'a> Inner<'a> {
    pub(crate) fn new(text: Text<'a>, time: Option<Timestamp>) -> Self {
        Self { text, time, stream: Text::Borrowed(""), partial: false }
    }
}

/// Members of a list object that hold the entries.
pub(crate) const LIST_MEMBERS: [&str; 5] = ["items", "records", "logEvents", "events", "data"];

/// Opens an envelope of a kind; `None` if the text is no such envelope.
pub(crate) fn open(kind: Envelope, text: &str) -> Option<Vec<Inner<'_>>> {
    match kind {
        Envelope::List => open_list(text),
        Envelope::CloudWatch => cloud::open_cloudwatch(text).map(|inner| vec![inner]),
        Envelope::Azure => cloud::open_azure(text).map(|inner| vec![inner]),
        Envelope::CloudLogging => cloud::open_cloud_logging(text).map(|inner| vec![inner]),
        Envelope::Shipper => shipper::open(text).map(|inner| vec![inner]),
        Envelope::DockerJson => line::open_docker(text).map(|inner| vec![inner]),
        Envelope::Cri => line::open_cri(text).map(|inner| vec![inner]),
        Envelope::Stamped => line::open_stamped(text).map(|inner| vec![inner]),
        Envelope::Journald => journald::open_json(text).map(|inner| vec![inner]),
        Envelope::Syslog => journald::open_prefixed(text).map(|inner| vec![inner]),
        Envelope::Otlp => otlp::open(text),
    }
}

/// The kind of envelope that a text is, judged by its members alone. The caller has made sure that it is no entry of
/// a component.
pub(crate) fn recognise(text: &str) -> Option<Envelope> {
    let text = text.trim_start();
    match text.as_bytes().first()? {
        b'[' => Some(Envelope::List),
        b'{' => recognise_object(text),
        b'0'..=b'9' if line::open_cri(text).is_some() => Some(Envelope::Cri),
        b'0'..=b'9' if line::begins_entry_behind_time(text) => Some(Envelope::Stamped),
        b'0'..=b'9' | b'A'..=b'Z' | b'<' | b'-' if journald::open_prefixed(text).is_some() => {
            Some(Envelope::Syslog)
        }
        _ => None,
    }
}

fn recognise_object(text: &str) -> Option<Envelope> {
    let keys: Vec<&str> = members(text).take(64).map(|member| member.key).collect();
    let has = |key: &str| keys.contains(&key);
    if has("resourceLogs") {
        return Some(Envelope::Otlp);
    }
    if list_member(text).is_some() {
        return Some(Envelope::List);
    }
    if has("MESSAGE")
        && keys.iter().any(|key| key.starts_with("__REALTIME") || key.starts_with("_SOURCE_REALTIME"))
    {
        return Some(Envelope::Journald);
    }
    if has("properties") && (has("category") || has("operationName")) {
        return Some(Envelope::Azure);
    }
    if (has("textPayload") || has("jsonPayload")) && (has("insertId") || has("logName")) {
        return Some(Envelope::CloudLogging);
    }
    if has("message") && (has("eventId") || has("ingestionTime") || has("logStreamName")) {
        return Some(Envelope::CloudWatch);
    }
    if has("message") && has("id") && has("timestamp") && keys.len() <= 4 {
        return Some(Envelope::CloudWatch);
    }
    if line::is_docker(&keys) {
        return Some(Envelope::DockerJson);
    }
    shipper::is_record(text).then_some(Envelope::Shipper)
}

/// The member that holds the entries of a list object.
pub(crate) fn list_member(text: &str) -> Option<(&'static str, &str)> {
    members(text).take(16).find_map(|found| {
        let name = LIST_MEMBERS.into_iter().find(|name| *name == found.key)?;
        if name == "items" && member(text, "kind") != Some("\"EventList\"") {
            return None;
        }
        let first = found.value.strip_prefix('[')?.trim_start();
        (first.starts_with('{') || first.starts_with(']')).then_some((name, found.value))
    })
}

fn open_list(text: &str) -> Option<Vec<Inner<'_>>> {
    let list = if text.trim_start().starts_with('[') { text } else { list_member(text)?.1 };
    let inner = elements(list).map(|element| match string(element.value) {
        Some(text) => Inner::new(text, None),
        None => Inner::new(Text::Borrowed(element.value), None),
    });
    Some(inner.collect())
}

/// The text behind a value that is either a string or JSON itself.
fn text_of(value: &str) -> Option<Text<'_>> {
    match value.as_bytes().first()? {
        b'"' => string(value),
        b'{' | b'[' => Some(Text::Borrowed(value)),
        _ => None,
    }
}

/// A string without its last line break.
fn without_break(text: Text<'_>) -> Text<'_> {
    let trimmed = text.trim_end_matches(['\n', '\r']).len();
    match text {
        Text::Borrowed(text) => Text::Borrowed(&text[..trimmed]),
        Text::Owned(mut text) => {
            text.truncate(trimmed);
            Text::Owned(text)
        }
    }
}

/// A time as shippers write it: RFC 3339, or a number of seconds, milliseconds, microseconds or nanoseconds since the
/// epoch, as its size tells.
fn time_of(value: &str) -> Option<Timestamp> {
    if let Some(text) = string(value) {
        return Timestamp::parse(&text).or_else(|| number_time(&text));
    }
    number_time(value)
}

fn number_time(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number: i64 = whole.parse().ok()?;
    match number {
        0..100_000_000_000 => {
            let mut nanos = 0;
            let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
            for digit in digits {
                nanos = nanos * 10 + u32::from(char::from(digit).to_digit(10)? as u8);
            }
            Timestamp::from_unix(number, nanos)
        }
        100_000_000_000..100_000_000_000_000 => Timestamp::from_millis(number),
        100_000_000_000_000..100_000_000_000_000_000 => Timestamp::from_micros(number),
        100_000_000_000_000_000.. => Some(Timestamp(number)),
        _ => None,
    }
}
