//! What each feed showed, and when it showed nothing.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::time::Duration;

use auditgap_records::{Feed, FeedKind, Interval, Timestamp};

use crate::nodes::Nodes;

/// Pauses shorter than this are not kept.
const PAUSE: Duration = Duration::from_secs(2);

/// Spans kept of one feed; beyond, the shortest pauses are forgotten.
const SPANS: usize = 100_000;

/// Pauses this many times longer than a feed's usual ones are a silence.
const UNUSUAL: u32 = 4;

/// No pause shorter than this is a silence, however busy the feed.
const LEAST_SILENCE: Duration = Duration::from_secs(5);

/// Spans in which a feed was alive, and how long it usually pauses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity {
    spans: Vec<(Timestamp, Timestamp)>,
    /// Pauses between records by their length in whole seconds; the last place counts all longer ones.
    pauses: Vec<u64>,
}

impl Activity {
    /// Notes a record. Times come in order but for late ones.
    fn note(&mut self, time: Timestamp) {
        if let Some(last) = self.spans.last_mut() {
            if time < last.0 {
                self.note_late(time);
                return;
            }
            let pause = time.nanos_since(last.1) / 1_000_000_000;
            if let Ok(seconds @ 1..) = usize::try_from(pause) {
                self.pauses.resize(64, 0);
                self.pauses[seconds.min(63)] += 1;
            }
            if time <= last.1 + PAUSE {
                last.1 = last.1.max(time);
                return;
            }
        }
        self.spans.push((time, time));
        if self.spans.len() > SPANS {
            self.coarsen();
        }
    }

    /// The silence from which a feed is no longer taken to be complete: far longer than its usual pauses, and never
    /// more than `most`.
    pub(crate) fn silence_limit(&self, most: Duration) -> Duration {
        let total: u64 = self.pauses.iter().sum();
        let mut above = 0;
        // The pause that only one in fifty exceeds, and a few at least: a silence may not make itself usual.
        let few = (total / 50).max(2);
        let usual = self.pauses.iter().enumerate().rev().find(|(_, count)| {
            above += **count;
            above > few
        });
        let usual = Duration::from_secs(usual.map_or(1, |(seconds, _)| seconds as u64 + 1));
        (usual * UNUSUAL).clamp(LEAST_SILENCE, most.max(LEAST_SILENCE))
    }

    /// Forgets the shorter half of the pauses.
    fn coarsen(&mut self) {
        let mut lengths: Vec<i64> = self.silences().map(|pause| pause.to.nanos_since(pause.from)).collect();
        let middle = lengths.len() / 2;
        let (_, median, _) = lengths.select_nth_unstable(middle);
        let least = Duration::from_nanos(median.unsigned_abs());
        self.merge(least);
    }

    fn note_late(&mut self, time: Timestamp) {
        self.spans.push((time, time));
        self.spans.sort_unstable();
        self.merge(PAUSE);
    }

    fn merge(&mut self, pause: Duration) {
        let mut merged: Vec<(Timestamp, Timestamp)> = Vec::with_capacity(self.spans.len());
        for span in self.spans.drain(..) {
            match merged.last_mut() {
                Some(last) if span.0 <= last.1 + pause => last.1 = last.1.max(span.1),
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

    /// The silence longer than `limit` that a span reaches into.
    fn silence_in(&self, span: Interval, limit: Duration) -> Option<Interval> {
        let begin = self.spans.partition_point(|(_, to)| *to < span.from).saturating_sub(1);
        let pairs = self.spans.get(begin..)?.windows(2).map(|pair| Interval::new(pair[0].1, pair[1].0));
        pairs
            .take_while(|pause| pause.from < span.to)
            .find(|pause| pause.to > pause.from + limit && pause.overlaps(span))
    }
}

/// Batches are sent at least this often while an API server is at work; quieter clusters pause without a loss, and
/// then merely less can be judged.
const BATCH_PAUSE: Duration = Duration::from_secs(10);

/// Events within a batch, and batches among themselves, are not quite in order.
const BATCH_ORDER: Duration = Duration::from_secs(2);

/// Holes of the trail that are remembered.
const HOLES: usize = 1_024;

/// Whether a feed is what a webhook delivered: EventLists.
fn is_batched(feed: &Feed) -> bool {
    feed.format.contains("JSON list") || feed.format.contains("EventList")
}

/// One feed.
#[derive(Debug)]
pub(crate) struct FeedState {
    pub(crate) feed: Feed,
    pub(crate) name: String,
    /// It comes in batches, as a webhook sends it.
    batched: bool,
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
    nodes: OnceCell<Nodes>,
}

impl Feeds {
    pub(crate) fn open(&mut self, feed: Feed) {
        let name = feed.name();
        self.nodes.take();
        // Feeds that a person gave the same instance are one API server's from the start.
        let same = self
            .states
            .iter()
            .position(|state| (state.feed.kind, &state.feed.instance) == (feed.kind, &feed.instance));
        let server = same.and_then(|index| self.servers.get(index).copied());
        self.servers.push(server.unwrap_or(self.states.len() as u16));
        self.states.push(FeedState {
            batched: is_batched(&feed),
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

    pub(crate) fn note(&mut self, feed: u16, time: Timestamp, late: bool) {
        self.note_batches(feed, time);
        let Some(state) = self.states.get_mut(usize::from(feed)) else { return };
        state.records += 1;
        state.late += u64::from(late);
        state.activity.note(time);
    }

    /// A trail that comes in batches alone lost what the last one held when it pauses: the API server ended, or its
    /// batches did not get through.
    fn note_batches(&mut self, feed: u16, time: Timestamp) {
        let Some(state) = self.states.get(usize::from(feed)).filter(|state| state.batched) else {
            return;
        };
        let Some(last) = state.activity.range().map(|range| range.to) else { return };
        if time > last + BATCH_PAUSE && self.audit_is_batched() {
            self.add_audit_hole(Interval::new(last - BATCH_ORDER, time), "audit batches paused");
        }
    }

    /// Whether the whole audit trail comes in batches, as webhooks send it.
    pub(crate) fn audit_is_batched(&self) -> bool {
        self.audit_has_batched() && self.of_kind(FeedKind::Audit).all(|state| state.batched)
    }

    /// Whether any audit feed comes in batches.
    pub(crate) fn audit_has_batched(&self) -> bool {
        self.of_kind(FeedKind::Audit).any(|state| state.batched)
    }

    /// Notes a span in which audit events were lost. Of very many the last ones count.
    pub(crate) fn add_audit_hole(&mut self, hole: Interval, why: &str) {
        if let Some((last, _)) = self.audit_holes.last_mut()
            && last.overlaps(hole)
        {
            *last = Interval::new(last.from.min(hole.from), last.to.max(hole.to));
            return;
        }
        if self.audit_holes.len() >= HOLES {
            self.audit_holes.remove(0);
        }
        self.audit_holes.push((hole, why.to_owned()));
    }

    /// Event time of the last audit record so far, of any feed.
    pub(crate) fn latest_audit(&self) -> Option<Timestamp> {
        self.of_kind(FeedKind::Audit).filter_map(|state| state.activity.range()).map(|range| range.to).max()
    }

    /// Which feeds speak of the same node.
    pub(crate) fn nodes(&self) -> &Nodes {
        self.nodes.get_or_init(|| Nodes::new(self.states.iter().map(|state| &state.feed)))
    }

    pub(crate) fn state(&self, feed: u16) -> Option<&FeedState> {
        self.states.get(usize::from(feed))
    }

    pub(crate) fn instance(&self, feed: u16) -> &str {
        self.state(feed).map_or("", |state| state.feed.instance.as_str())
    }

    /// Feeds of a kind with their numbers.
    pub(crate) fn numbered(&self, kind: FeedKind) -> impl Iterator<Item = (u16, &FeedState)> {
        (0..).zip(&self.states).filter(move |(_, state)| state.feed.kind == kind)
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
                let union = by_server.entry(*server).or_default();
                union.spans.extend_from_slice(&state.activity.spans);
                if state.activity.pauses.iter().sum::<u64>() > union.pauses.iter().sum::<u64>() {
                    union.pauses.clone_from(&state.activity.pauses);
                }
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
            Activity { spans: merged, pauses: union.pauses }
        })
    }

    /// Whether the audit trail of every API server was alive over a span.
    pub(crate) fn audit_covers(&self, span: Interval, audit_idle: Duration) -> Result<(), NotCovered> {
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
            if let Some(silence) = activity.silence_in(span, activity.silence_limit(audit_idle)) {
                return Err(NotCovered::Silent(silence));
            }
        }
        if let Some((hole, _)) = self.audit_holes.iter().find(|(hole, _)| hole.overlaps(span)) {
            return Err(NotCovered::Silent(*hole));
        }
        if any { Ok(()) } else { Err(NotCovered::Missing) }
    }
}
