//! Raw Linux audit records, as auditd writes them and as they are copied to syslog.
//!
//! One event is several lines that share a stamp (`audit(seconds.millis:serial)`), and the lines of different events
//! interleave. Framing groups them by [`event_key`] and hands a whole event on; a text that holds several events is
//! taken apart here all the same.

mod event;
mod field;
mod head;
pub(in crate::format) mod syscall;

use std::collections::{BTreeMap, BTreeSet};

use auditgap_records::host::HostEvent;
use auditgap_records::{Body, Timestamp};
use memchr::memmem;

use self::event::Event;
use self::head::Head;
pub use self::head::{EventKey, ends_event, event_key};
use super::{LineContext, LineFormat, Parsed};

/// Reads raw Linux audit records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Auditd;

impl LineFormat for Auditd {
    /// A record that can only follow others of its event continues them.
    fn starts_entry(&self, line: &[u8]) -> bool {
        Head::read(line).is_none_or(|head| !head.kind.follows())
    }

    fn parse<'a>(&self, text: &'a str, context: &LineContext) -> Parsed<'a> {
        let mut events: BTreeMap<EventKey<'a>, Event<'a>> = BTreeMap::new();
        let mut records = Vec::new();
        // A record that was delivered twice tells its part of the event once.
        let mut known = BTreeSet::new();
        for line in text.lines().filter(|line| known.insert(*line)) {
            if let Some(head) = Head::read(line.as_bytes()) {
                events.entry(head.key).or_default().add(&head, line.get(head.body..).unwrap_or_default());
            } else if let (Some(loss), Some(time)) = (kernel_loss(line), context.transport_time) {
                // The kernel's own complaint is a plain message: only the transport dates it.
                records.push((time, Body::Host(loss)));
            }
        }
        for (key, event) in events {
            let Some(time) = Timestamp::from_millis(key.millis) else {
                return Parsed::Reject("the audit stamp is out of range".to_owned());
            };
            let before = records.len();
            records.extend(event.finish().into_iter().map(|event| (time, Body::Host(event))));
            if records.len() == before {
                records.push((time, Body::Other));
            }
        }
        if records.len() == 1
            && let Some((time, body)) = records.pop()
        {
            return Parsed::Record(time, body);
        }
        if records.is_empty() { Parsed::Unknown } else { Parsed::Records(records) }
    }
}

/// What the kernel says, outside of any event, when it had to drop some.
fn kernel_loss(line: &str) -> Option<HostEvent<'static>> {
    let said = &line[memmem::find(line.as_bytes(), b"audit: ")?..];
    let told = ["backlog limit exceeded", "audit_lost=", "queue overflow", "rate limit exceeded"];
    if !told.iter().any(|words| said.contains(words)) {
        return None;
    }
    let events = said.split_once("audit_lost=").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    Some(HostEvent::Loss { events })
}

#[cfg(test)]
mod tests;
