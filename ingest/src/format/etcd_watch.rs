//! A watch on etcd's key space: every change of every key, unsampled, in order of revision.
//!
//! etcd itself stores no times. auditgap's own lines carry the moment of delivery; `etcdctl watch -w json` and the
//! gateway carry none, so theirs is the transport's, or failing that an assumed one that is marked as such.

mod own;
mod response;

use auditgap_records::Timestamp;

use super::{LineContext, LineFormat, Parsed};

/// Watch output: auditgap's JSON lines, `etcdctl watch -w json`, gateway JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EtcdWatch;

impl LineFormat for EtcdWatch {
    fn parse<'a>(&self, text: &'a str, context: &LineContext) -> Parsed<'a> {
        let text = text.trim();
        if !text.starts_with('{') {
            return Parsed::Unknown;
        }
        own::parse(text, context).unwrap_or_else(|| response::parse(text, context))
    }
}

/// The time of a change that carries none, and whether it is only assumed.
fn delivery_time(context: &LineContext) -> (Timestamp, bool) {
    context.transport_time.map_or((context.clock.near, true), |time| (time, false))
}

#[cfg(test)]
mod tests;
