//! What the formats' tests share.

use auditgap_records::host::HostEvent;
use auditgap_records::runtime::RuntimeLine;
use auditgap_records::{Body, Timestamp};

use super::{LineContext, LineFormat, Parsed};
use crate::clock::ClockHint;

pub(crate) fn context() -> LineContext {
    LineContext { clock: ClockHint { near: Timestamp(0), zone_seconds: 0 }, transport_time: None }
}

/// What a runtime's line says; `None` for noise.
pub(crate) fn runtime<'a>(format: &impl LineFormat, text: &'a str) -> Option<RuntimeLine<'a>> {
    match format.parse(text, &context()) {
        Parsed::Record(_, Body::Runtime(line)) => Some(line),
        Parsed::Record(_, Body::Other) => None,
        other => panic!("{text}: {other:?}"),
    }
}

/// What an entry tells of the host; `None` for what is of no interest.
pub(crate) fn host<'a>(format: &impl LineFormat, text: &'a str) -> Option<HostEvent<'a>> {
    match format.parse(text, &context()) {
        Parsed::Record(_, Body::Host(event)) => Some(event),
        Parsed::Record(_, Body::Other) => None,
        other => panic!("{text}: {other:?}"),
    }
}
