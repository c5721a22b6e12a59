//! Puts records in the order of event time and drops second deliveries.
//!
//! Everything behind this point sees one order that depends on event times and positions alone. A second delivery
//! has the same time and digest as the first, so that it stands beside it once they are sorted.

use std::collections::BTreeSet;
use std::time::Duration;

use auditgap_records::{Position, Timestamp};

use crate::condense::Condensed;
use crate::fact::Fact;

/// A record in the queue.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) time: Timestamp,
    pub(crate) feed: u16,
    pub(crate) position: Position,
    pub(crate) digest: u64,
    pub(crate) fact: Option<Fact>,
    /// Released although later records had gone before: it came too late to be put in order.
    pub(crate) late: bool,
}

/// One feed's progress.
#[derive(Clone, Copy, Debug)]
struct Progress {
    newest: Timestamp,
    ended: bool,
}

/// The queue of one engine.
#[derive(Debug)]
pub(crate) struct Sequencer {
    capacity: usize,
    lateness: Duration,
    /// Length above which a release is tried again.
    try_above: usize,
    waiting: Vec<Slot>,
    feeds: Vec<Progress>,
    /// Everything up to here was released.
    released: Timestamp,
    /// Digests of what was released last, against late second deliveries.
    recent: [Digests; 2],
    /// Pairs of feeds that delivered the same record: two ways of one trail.
    pub(crate) shared: BTreeSet<(u16, u16)>,
}

impl Sequencer {
    pub(crate) fn new(capacity: usize, lateness: Duration) -> Self {
        Self {
            capacity: capacity.max(1),
            lateness,
            try_above: capacity.max(1),
            waiting: Vec::new(),
            feeds: Vec::new(),
            released: Timestamp::MIN,
            recent: <[Digests; 2]>::default(),
            shared: BTreeSet::new(),
        }
    }

    pub(crate) fn open(&mut self) {
        self.feeds.push(Progress { newest: Timestamp::MIN, ended: false });
    }

    pub(crate) fn end(&mut self, feed: u16) {
        if let Some(progress) = self.feeds.get_mut(usize::from(feed)) {
            progress.ended = true;
        }
    }

    pub(crate) fn push(&mut self, feed: u16, records: Vec<Condensed>) {
        let released = self.released;
        let mut newest = Timestamp::MIN;
        self.waiting.extend(records.into_iter().map(|record| {
            newest = newest.max(record.time);
            let Condensed { time, digest, position, fact } = record;
            Slot { time, feed, position, digest, fact, late: time <= released }
        }));
        if let Some(progress) = self.feeds.get_mut(usize::from(feed)) {
            progress.newest = progress.newest.max(newest);
        }
    }

    /// What can be released: nothing while there is room, then the older half of what every open feed has passed.
    pub(crate) fn release(&mut self) -> Vec<Slot> {
        if self.waiting.len() <= self.try_above {
            return Vec::new();
        }
        let open = self.feeds.iter().filter(|progress| !progress.ended).map(|progress| progress.newest);
        let passed = open.min().map_or(Timestamp::MAX, |newest| newest - self.lateness);
        // A feed that lags far behind may not grow the queue for ever: past twice the room its records come late.
        let excessive = self.waiting.len() > self.capacity.saturating_mul(2);
        self.sort();
        let middle = self.waiting.get(self.waiting.len() / 2).map_or(Timestamp::MAX, |slot| slot.time);
        let bound = if excessive { middle } else { middle.min(passed) };
        let ready = self.release_until(bound);
        // Sorting touches the whole queue: not again before it has grown by a good part.
        self.try_above = self.capacity.max(self.waiting.len() + self.capacity / 8);
        ready
    }

    /// All that is left.
    pub(crate) fn drain(&mut self) -> Vec<Slot> {
        self.sort();
        self.release_until(Timestamp::MAX)
    }

    /// Feeds come nearly sorted, and what was left of the last release is sorted: the stable sort makes use of runs,
    /// which the unstable one does not.
    fn sort(&mut self) {
        self.waiting.sort_by_key(|slot| (slot.time, slot.feed, slot.position));
    }

    /// Takes the head of the sorted queue.
    fn release_until(&mut self, bound: Timestamp) -> Vec<Slot> {
        let count = self.waiting.partition_point(|slot| slot.time <= bound);
        if count == 0 {
            return Vec::new();
        }
        self.released = self.released.max(bound);
        let rest = self.waiting.split_off(count);
        let mut ready = std::mem::replace(&mut self.waiting, rest);
        self.drop_second_deliveries(&mut ready);
        ready
    }

    fn drop_second_deliveries(&mut self, ready: &mut Vec<Slot>) {
        let mut moment = Timestamp::MIN;
        let mut at_moment: Vec<(u64, u16)> = Vec::new();
        let [older, newer] = &mut self.recent;
        let shared = &mut self.shared;
        ready.retain(|slot| {
            if slot.time != moment {
                moment = slot.time;
                at_moment.clear();
            }
            let first = at_moment.iter().find(|(digest, _)| *digest == slot.digest);
            if let Some((_, feed)) = first
                && *feed != slot.feed
            {
                shared.insert((*feed, slot.feed));
            }
            let known = slot.late && (older.contains(slot.digest) || newer.contains(slot.digest));
            let second = first.is_some() || known;
            if !second {
                at_moment.push((slot.digest, slot.feed));
            }
            !second
        });
        let [mut digests, newer] = std::mem::take(&mut self.recent);
        digests.refill(ready.iter().map(|slot| slot.digest));
        self.recent = [newer, digests];
    }
}

/// Digests of one release. Late records are rare, so that nothing is sorted before the first one.
#[derive(Debug, Default)]
struct Digests {
    list: Vec<u64>,
    sorted: bool,
}

impl Digests {
    fn refill(&mut self, digests: impl Iterator<Item = u64>) {
        self.list.clear();
        self.list.extend(digests);
        self.sorted = false;
    }

    fn contains(&mut self, digest: u64) -> bool {
        if !self.sorted {
            self.list.sort_unstable();
            self.sorted = true;
        }
        self.list.binary_search(&digest).is_ok()
    }
}
