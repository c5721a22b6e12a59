//! OTLP logs as JSON: `resourceLogs[].scopeLogs[].logRecords[].body`.

use auditgap_records::Text;

use super::{Inner, time_of};
use crate::shape::{elements, member, member_string, string};

pub(super) fn open(text: &str) -> Option<Vec<Inner<'_>>> {
    let mut inner = Vec::new();
    for resource_logs in elements(member(text, "resourceLogs")?) {
        let resource = member(resource_logs.value, "resource").unwrap_or_default();
        // Collectors before 0.60 call scopes instrumentation libraries.
        let scopes = ["scopeLogs", "instrumentationLibraryLogs"]
            .into_iter()
            .filter_map(|name| member(resource_logs.value, name))
            .flat_map(elements);
        for scope in scopes {
            let records = member(scope.value, "logRecords").map(elements);
            inner.extend(
                records.into_iter().flatten().filter_map(|record| open_record(record.value, resource)),
            );
        }
    }
    Some(inner)
}

fn open_record<'a>(record: &'a str, resource: &'a str) -> Option<Inner<'a>> {
    let body = member(record, "body")?;
    let text = match member(body, "stringValue") {
        Some(text) => string(text)?,
        None => body_of_map(member(body, "kvlistValue")?)?,
    };
    let time = ["timeUnixNano", "observedTimeUnixNano"]
        .into_iter()
        .filter_map(|key| time_of(member(record, key)?))
        .find(|time| time.0 > 0);
    let stream = stream(record, resource);
    Some(Inner { text, time, stream, partial: false })
}

/// A body that a receiver has taken apart: the line is in one of its values, if it has not been taken apart itself.
fn body_of_map(map: &str) -> Option<Text<'_>> {
    let values: Vec<&str> = elements(member(map, "values")?).map(|pair| pair.value).collect();
    ["log", "message", "MESSAGE"].into_iter().find_map(|wanted| {
        let pair =
            values.iter().find(|pair| member(pair, "key").and_then(string).as_deref() == Some(wanted))?;
        member_string(member(pair, "value")?, "stringValue")
    })
}

/// The resource and the file tell streams apart.
fn stream<'a>(record: &'a str, resource: &'a str) -> Text<'a> {
    match member(record, "attributes") {
        Some(attributes) => Text::Owned(format!("{resource}{attributes}")),
        None => Text::Borrowed(resource),
    }
}
