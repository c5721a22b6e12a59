//! Requests that open a stream into a Pod, read its logs, or go through a node's, Pod's or Service's proxy.

use std::collections::VecDeque;
use std::sync::Arc;

use auditgap_records::audit::Stage;
use auditgap_records::{Position, Timestamp};

use crate::fact::AuditFact;
use crate::ledger::requests::{is_stream, summary};
use crate::verdict::Cite;
use crate::world::Seen;

/// A recorded streaming request. One entry for all its stages.
#[derive(Debug)]
pub struct Stream {
    /// Its last recorded stage.
    pub fact: Arc<AuditFact>,
    /// Feed of that record.
    pub feed: u16,
    /// Place of that record.
    pub position: Position,
    /// When it was received.
    pub received: Timestamp,
    /// When the response began, if that was recorded.
    pub started: Option<Timestamp>,
    /// When it was over, if that was recorded.
    pub ended: Option<Timestamp>,
    /// Kubelet requests that it has accounted for.
    pub kubelet_requests: u32,
    /// Execs in the runtime that it has accounted for.
    pub execs: u32,
}

impl Stream {
    /// A pointer to the record.
    pub fn cite(&self) -> Cite {
        Cite {
            time: self.fact.staged,
            feed: self.feed,
            position: self.position,
            summary: summary(&self.fact),
        }
    }
}

/// All recorded streams of the last while.
#[derive(Debug, Default)]
pub struct Streams {
    entries: VecDeque<Stream>,
}

/// How long a stream whose end was not seen is remembered: an interactive session of a working day.
const OPEN_STREAM: std::time::Duration = std::time::Duration::from_secs(12 * 3_600);

impl Streams {
    pub(crate) fn observe(&mut self, seen: Seen<'_>, fact: &Arc<AuditFact>) {
        if !is_stream(fact) {
            return;
        }
        let known = self.entries.iter_mut().rev().find(|stream| {
            stream.received == fact.received
                && stream.fact.audit_id == fact.audit_id
                && stream.fact.uri == fact.uri
        });
        let stream = if let Some(stream) = known {
            stream.fact = Arc::clone(fact);
            stream.feed = seen.feed;
            stream.position = seen.position;
            stream
        } else {
            self.entries.push_back(Stream {
                fact: Arc::clone(fact),
                feed: seen.feed,
                position: seen.position,
                received: fact.received,
                started: None,
                ended: None,
                kubelet_requests: 0,
                execs: 0,
            });
            let Some(stream) = self.entries.back_mut() else { return };
            stream
        };
        match fact.stage {
            Stage::RequestReceived => {}
            Stage::ResponseStarted => stream.started = Some(fact.staged),
            Stage::ResponseComplete | Stage::Panic => stream.ended = Some(fact.staged),
        }
    }

    /// All remembered, in the order of their first record.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Stream> {
        self.entries.iter()
    }

    /// All remembered, to note what they account for.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Stream> {
        self.entries.iter_mut()
    }

    pub(crate) fn forget(&mut self, before: Timestamp) {
        let open_before = before - OPEN_STREAM;
        self.entries
            .retain(|stream| stream.ended.map_or(stream.received >= open_before, |ended| ended >= before));
    }
}
