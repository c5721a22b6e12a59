//! A trail that is silent or ends while the cluster goes on. It may be a cut recording, a shipper behind, or a trail
//! switched off: told as information, since the rules already refuse to judge over it.

use std::time::Duration;

use auditgap_records::report::{Confidence, GapObject, Severity};
use auditgap_records::{Position, Timestamp};

use super::INFO;
use crate::fact::Fact;
use crate::verdict::{Cite, GapDraft};
use crate::world::{Seen, World};

/// The trail is taken to have ended when others go on for this long.
const AFTER: Duration = Duration::from_secs(60);

/// Records of others that show that the cluster went on.
const MANY: u64 = 20;

/// A record that shows that something was at work.
#[derive(Clone, Copy, Debug)]
struct Mark {
    time: Timestamp,
    feed: u16,
    position: Position,
    words: &'static str,
}

impl Mark {
    fn new(seen: Seen<'_>) -> Self {
        let words = match seen.fact {
            Fact::Revision(_) => "etcd: a revision was written",
            Fact::Kubelet(_) => "kubelet: at work",
            Fact::Runtime(_) => "runtime: at work",
            _ => "etcd: at work",
        };
        Self { time: seen.time, feed: seen.feed, position: seen.position, words }
    }

    fn cite(self) -> Cite {
        let Self { time, feed, position, words } = self;
        Cite { time, feed, position, summary: words.to_owned() }
    }
}

/// What others did since the last audit record.
#[derive(Debug, Default)]
pub(super) struct Others {
    since: Option<Timestamp>,
    first: Option<Mark>,
    last: Option<Mark>,
    records: u64,
    writes: u64,
}

impl Others {
    /// Notes a record of another feed. Returns a finding if the trail has just come back after a long silence.
    pub(super) fn observe(&mut self, seen: Seen<'_>, world: &World) -> Option<GapDraft> {
        let latest = world.feeds.latest_audit()?;
        let mut found = None;
        if self.since != Some(latest) {
            found = self.finding(Some(latest));
            *self = Self { since: Some(latest), ..Self::default() };
        }
        if seen.time <= latest {
            return found;
        }
        self.records += 1;
        let write = matches!(seen.fact, Fact::Revision(_));
        self.writes += u64::from(write);
        // A written revision shows best that the API server was at work.
        if self.first.is_none() || (write && self.writes == 1) {
            self.first = Some(Mark::new(seen));
        }
        if write || self.writes == 0 {
            self.last = Some(Mark::new(seen));
        }
        found
    }

    /// What there is to say when the trail came back at `until`, or did not.
    pub(super) fn finding(&mut self, until: Option<Timestamp>) -> Option<GapDraft> {
        let since = self.since?;
        let last = self.last.take()?;
        if self.records < MANY || until.unwrap_or(last.time) < since + AFTER {
            return None;
        }
        let (title, end) = match until {
            Some(until) => ("The audit trail was silent while the cluster went on", until),
            None => ("The audit trail ends while the cluster goes on", last.time),
        };
        let evidence = self.first.take().into_iter().chain([last]).map(Mark::cite).collect();
        let mut draft = GapDraft::new(&INFO, title, evidence);
        draft.severity = Severity::Info;
        draft.confidence = Confidence::Low;
        draft.techniques = vec!["AU1"];
        draft.object = GapObject { resource: "audit".to_owned(), ..GapObject::default() };
        draft.why = format!(
            "There is no audit record from {since} to {end}, while other feeds have {} records, {} of them revisions in \
             etcd. The API server may have been down, the recording may be cut, or the trail was switched off or \
             removed. Nothing in this span is judged by what the trail lacks.",
            self.records, self.writes
        );
        Some(draft)
    }
}
