//! What each feed showed, and when it showed nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use auditgap_records::{Feed, FeedKind, Interval, Timestamp};

use crate::settings::Settings;

/// Spans in which a feed was alive: records nearer to each other than the idle limit belong to one span. The result
/// does not depend on the order in which records come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity {
    spans: Vec<(Timestamp, Timestamp)>,
}

impl Activity {
    /// Notes a record. Times come in order but for late ones.
    fn note(&mut self, time: Timestamp, idle: Duration) {
        if let Some(last) = self.spans.last_mut() {
            if time >= last.0 && time <= last.1 + idle {
                last.1 = last.1.max(time);
                return;
            }
            if time < last.0 {
                self.note_late(time, idle);
                return;
            }
        }
        self.spans.push((time, time));
    }

    fn note_late(&mut self, time: Timestamp, idle: Duration) {
        self.spans.push((time, time));
        self.spans.sort_unstable();
        let mut merged: Vec<(Timestamp, Timestamp)> = Vec::with_capacity(self.spans.len());
        for span in self.spans.drain(..) {
            match merged.last_mut() {
                Some(last) if span.0 <= last.1 + idle => last.1 = last.1.max(span.1),
                _ => merged.push(span),
            }
        }
        self.spans = merged;
    }

    /// The first and the last record.
    pub(crate) fn range(&self) -> Option<Interval> {
        Some(Interval::new(self.spans.first()?.0, self.spans.last()?.1))
    }

    /// Spans without a record, between the first and the last.
    pub(crate) fn silences(&self) -> impl Iterator<Item = Interval> + '_ {
        self.spans.windows(2).map(|pair| Interval::new(pair[0].1, pair[1].0))
    }

    fn covers(&self, span: Interval) -> bool {
        self.spans.iter().any(|(from, to)| *from <= span.from && span.to <= *to)
    }
}

/// One feed.
#[derive(Debug)]
pub(crate) struct FeedState {
    pub(crate) feed: Feed,
    pub(crate) name: String,
    pub(crate) activity: Activity,
    pub(crate) records: u64,
    pub(crate) late: u64,
    pub(crate) rejected: u64,
    pub(crate) rejects: Vec<auditgap_records::Reject>,
    pub(crate) notes: Vec<String>,
    /// Nanoseconds by which its clock is ahead of the audit feed's, from exact pairs: count by offset in tenths of a
    /// millisecond.
    pub(crate) offsets: BTreeMap<i64, u64>,
}

/// Why the audit trail cannot speak for a span.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NotCovered {
    /// No audit feed at all.
    Missing,
    /// Before the first record of every audit feed.
    Before(Timestamp),
    /// After the last record.
    After(Timestamp),
    /// Within a silence.
    Silent(Interval),
}

/// All feeds of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    pub(crate) states: Vec<FeedState>,
    /// Spans for which an API server or a batch backend is known to have lost audit events.
    pub(crate) audit_holes: Vec<(Interval, String)>,
    /// Number of the API server that each feed speaks of: equal for feeds that delivered the same event.
    servers: Vec<u16>,
}

impl Feeds {
    pub(crate) fn open(&mut self, feed: Feed) {
        let name = feed.name();
        // Feeds that a person gave the same instance are one API server's from the start.
        let same = self
            .states
            .iter()
            .position(|state| (state.feed.kind, &state.feed.instance) == (feed.kind, &feed.instance));
        let server = same.and_then(|index| self.servers.get(index).copied());
        self.servers.push(server.unwrap_or(self.states.len() as u16));
        self.states.push(FeedState {
            feed,
            name,
            activity: Activity::default(),
            records: 0,
            late: 0,
            rejected: 0,
            rejects: Vec::new(),
            notes: Vec::new(),
            offsets: BTreeMap::new(),
        });
    }

    /// Two feeds delivered the same event: they are two ways of one API server's trail.
    pub(crate) fn join(&mut self, left: u16, right: u16) {
        let (Some(&keep), Some(&drop)) =
            (self.servers.get(usize::from(left)), self.servers.get(usize::from(right)))
        else {
            return;
        };
        for server in &mut self.servers {
            if *server == drop {
                *server = keep;
            }
        }
    }

    pub(crate) fn note(&mut self, feed: u16, time: Timestamp, late: bool, settings: &Settings) {
        let Some(state) = self.states.get_mut(usize::from(feed)) else { return };
        state.records += 1;
        state.late += u64::from(late);
        state.activity.note(time, settings.idle_limit(state.feed.kind));
    }

    pub(crate) fn state(&self, feed: u16) -> Option<&FeedState> {
        self.states.get(usize::from(feed))
    }

    pub(crate) fn instance(&self, feed: u16) -> &str {
        self.state(feed).map_or("", |state| state.feed.instance.as_str())
    }

    pub(crate) fn of_kind(&self, kind: FeedKind) -> impl Iterator<Item = &FeedState> {
        self.states.iter().filter(move |state| state.feed.kind == kind)
    }

    /// Whether there is any feed of a kind.
    pub(crate) fn has(&self, kind: FeedKind) -> bool {
        self.of_kind(kind).any(|state| state.records > 0)
    }

    /// Event time up to which the audit trail is complete: the earliest of its API servers' last records. Of two feeds
    /// that deliver one server's trail (see [`Self::join`]) the later counts.
    pub(crate) fn audit_watermark(&self) -> Option<Timestamp> {
        self.audit_servers().filter_map(|activity| activity.range()).map(|range| range.to).min()
    }

    /// The activity of each API server: the union over the feeds that deliver its trail.
    fn audit_servers(&self) -> impl Iterator<Item = Activity> + '_ {
        let mut by_server: BTreeMap<u16, Activity> = BTreeMap::new();
        for (state, server) in self.states.iter().zip(&self.servers) {
            if state.feed.kind == FeedKind::Audit && state.records > 0 {
                by_server.entry(*server).or_default().spans.extend_from_slice(&state.activity.spans);
            }
        }
        by_server.into_values().map(|mut union| {
            union.spans.sort_unstable();
            let mut merged: Vec<(Timestamp, Timestamp)> = Vec::new();
            for span in union.spans.drain(..) {
                match merged.last_mut() {
                    Some(last) if span.0 <= last.1 => last.1 = last.1.max(span.1),
                    _ => merged.push(span),
                }
            }
            Activity { spans: merged }
        })
    }

    /// Whether the audit trail of every API server was alive over a span.
    pub(crate) fn audit_covers(&self, span: Interval) -> Result<(), NotCovered> {
        let mut any = false;
        for activity in self.audit_servers() {
            any = true;
            let Some(range) = activity.range() else { return Err(NotCovered::Missing) };
            if span.from < range.from {
                return Err(NotCovered::Before(range.from));
            }
            if span.to > range.to {
                return Err(NotCovered::After(range.to));
            }
            if !activity.covers(span) {
                let silence = activity.silences().find(|silence| silence.overlaps(span)).unwrap_or(span);
                return Err(NotCovered::Silent(silence));
            }
        }
        if let Some((hole, _)) = self.audit_holes.iter().find(|(hole, _)| hole.overlaps(span)) {
            return Err(NotCovered::Silent(*hole));
        }
        if any { Ok(()) } else { Err(NotCovered::Missing) }
    }
}
