//! Puts records in the order of event time and drops second deliveries.
//!
//! Everything behind this point sees one order that depends on event times and positions alone. A second delivery
//! has the same time and digest as the first, so that it follows it once they are in order.
//!
//! Each feed waits in a queue of its own: logs are written nearly in order, so that little has to be moved there, and
//! the queues are merged as records leave.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use auditgap_records::{Position, Timestamp};

use crate::condense::Condensed;
use crate::fact::Fact;
use crate::lookup::Members;

/// A record in the queue.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) time: Timestamp,
    pub(crate) feed: u16,
    pub(crate) position: Position,
    pub(crate) digest: u64,
    pub(crate) fact: Option<Fact>,
    /// Came although later records had left before: too late to be put in order.
    pub(crate) late: bool,
}

/// One feed's records.
#[derive(Debug)]
struct Queue {
    /// In order.
    waiting: VecDeque<Slot>,
    newest: Timestamp,
    ended: bool,
}

/// Where a record comes in the order of all feeds: by its time, then by the number of its feed.
type Turn = (Timestamp, u16);

/// The queues of one engine.
#[derive(Debug)]
pub(crate) struct Sequencer {
    capacity: usize,
    lateness: Duration,
    queues: Vec<Queue>,
    /// Records in all queues.
    waiting: usize,
    /// Turns of the queues' first records; those that another record has come before since are skipped.
    turns: BinaryHeap<Reverse<Turn>>,
    /// What every open feed has passed, as far as feeds are in order.
    passed: Timestamp,
    /// Everything up to here has left.
    released: Timestamp,
    /// What left at that moment: digest and feed.
    at_moment: Vec<(u64, u16)>,
    /// Digests of what left last, against late second deliveries.
    recent: [Members<u64>; 2],
    /// Pairs of feeds that delivered the same record: two ways of one trail.
    pub(crate) shared: BTreeSet<(u16, u16)>,
}

impl Sequencer {
    pub(crate) fn new(capacity: usize, lateness: Duration) -> Self {
        Self {
            capacity: capacity.max(1),
            lateness,
            queues: Vec::new(),
            waiting: 0,
            turns: BinaryHeap::new(),
            passed: Timestamp::MIN,
            released: Timestamp::MIN,
            at_moment: Vec::new(),
            recent: <[Members<u64>; 2]>::default(),
            shared: BTreeSet::new(),
        }
    }

    pub(crate) fn open(&mut self) {
        self.queues.push(Queue { waiting: VecDeque::new(), newest: Timestamp::MIN, ended: false });
    }

    pub(crate) fn end(&mut self, feed: u16) {
        if let Some(queue) = self.queues.get_mut(usize::from(feed)) {
            queue.ended = true;
        }
        self.look_what_passed();
    }

    pub(crate) fn push(&mut self, feed: u16, records: Vec<Condensed>) {
        let Some(queue) = self.queues.get_mut(usize::from(feed)) else { return };
        let released = self.released;
        let front = queue.front();
        self.waiting += records.len();
        queue.add(records.into_iter().map(|record| {
            let Condensed { time, digest, position, fact } = record;
            Slot { time, feed, position, digest, fact, late: time <= released }
        }));
        if let Some(new) = queue.front().filter(|_| queue.front() != front) {
            self.turns.push(Reverse((new, feed)));
        }
        self.look_what_passed();
    }

    /// The next record, if it is its turn: none while there is room, and none that an open feed has not passed.
    pub(crate) fn release(&mut self) -> Option<Slot> {
        while self.waiting > self.capacity {
            let time = self.next_turn()?.0;
            // A feed that lags far behind may not grow the queues for ever: past three times the room its records come late.
            if self.waiting <= self.capacity.saturating_mul(3) && time > self.passed {
                return None;
            }
            if let Some(slot) = self.take() {
                return Some(slot);
            }
        }
        None
    }

    /// The next of all that is left.
    pub(crate) fn drain(&mut self) -> Option<Slot> {
        while self.waiting > 0 {
            if let Some(slot) = self.take() {
                return Some(slot);
            }
        }
        None
    }

    fn look_what_passed(&mut self) {
        let open = self.queues.iter().filter(|queue| !queue.ended).map(|queue| queue.newest);
        self.passed = open.min().map_or(Timestamp::MAX, |newest| newest - self.lateness);
    }

    fn next_turn(&mut self) -> Option<Turn> {
        while let Some(turn) = self.turns.peek_mut() {
            let Reverse((time, feed)) = *turn;
            if self.queues.get(usize::from(feed)).and_then(Queue::front) == Some(time) {
                return Some((time, feed));
            }
            PeekMut::pop(turn);
        }
        None
    }

    /// Takes the next record of all out of its queue; `None` if it is a second delivery.
    fn take(&mut self) -> Option<Slot> {
        let (_, feed) = self.next_turn()?;
        let queue = self.queues.get_mut(usize::from(feed))?;
        let slot = queue.waiting.pop_front()?;
        self.waiting -= 1;
        if let (Some(next), Some(mut turn)) = (queue.front(), self.turns.peek_mut()) {
            *turn = Reverse((next, feed));
        }
        (!self.is_second_delivery(&slot)).then_some(slot)
    }

    fn is_second_delivery(&mut self, slot: &Slot) -> bool {
        if slot.time != self.released {
            self.at_moment.clear();
        }
        self.released = self.released.max(slot.time);
        let first = self.at_moment.iter().find(|(digest, _)| *digest == slot.digest);
        if let Some((_, feed)) = first
            && *feed != slot.feed
        {
            self.shared.insert((*feed, slot.feed));
        }
        if first.is_some() || slot.late && self.recent.iter().any(|digests| digests.contains(&slot.digest)) {
            return true;
        }
        self.at_moment.push((slot.digest, slot.feed));
        let [older, newer] = &mut self.recent;
        if newer.len() >= self.capacity {
            std::mem::swap(older, newer);
            newer.clear();
        }
        newer.insert(slot.digest);
        false
    }
}

impl Queue {
    /// Time of the first record.
    fn front(&self) -> Option<Timestamp> {
        self.waiting.front().map(|slot| slot.time)
    }

    /// Takes in records in any order.
    fn add(&mut self, records: impl Iterator<Item = Slot>) {
        let key = |slot: &Slot| (slot.time, slot.position);
        let mut added: Vec<Slot> = records.collect();
        added.sort_by_key(key);
        let (Some(first), Some(last)) = (added.first().map(key), added.last()) else { return };
        self.newest = self.newest.max(last.time);
        let before = self.waiting.partition_point(|slot| key(slot) <= first);
        if before < self.waiting.len() {
            added.extend(self.waiting.drain(before..));
            added.sort_by_key(key);
        }
        self.waiting.extend(added);
    }
}
