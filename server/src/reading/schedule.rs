//! Which feed is read next, so that all feeds advance together through event time.
//!
//! The engine holds back what one feed says until the others have come as far: reading the feed that is furthest
//! behind keeps what it holds small, however unlike the feeds are in size.

use auditgap_records::Timestamp;

/// Chunks that may be read of a feed that is not the furthest behind, while the one that is is being parsed.
const AHEAD: u32 = 4;

/// What a worker is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Read a chunk of this feed.
    Read(usize),
    /// Wait until another worker is done with a chunk.
    Wait,
    /// Everything is read.
    Done,
}

/// Where one feed stands.
#[derive(Clone, Debug)]
struct Slot {
    /// Event time reached by what was parsed.
    reached: Timestamp,
    /// A worker holds its reader.
    taken: bool,
    /// Nothing is left to read.
    ended: bool,
    /// Chunks read while others were further behind.
    ahead: u32,
}

/// Where all feeds stand.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    slots: Vec<Slot>,
    furthest_behind: Timestamp,
}

impl Schedule {
    /// So many feeds of which nothing was read.
    pub(super) fn new(feeds: usize) -> Self {
        let slot = Slot { reached: Timestamp::MIN, taken: false, ended: false, ahead: 0 };
        Self { slots: vec![slot; feeds], furthest_behind: Timestamp::MIN }
    }

    /// Chooses a feed and takes its reader.
    pub(super) fn next(&mut self) -> Next {
        // A feed whose last chunk is read does not hold the others back: that chunk is on its way.
        let Some(behind) = self.slots.iter().filter(|slot| !slot.ended).map(|slot| slot.reached).min() else {
            return Next::Done;
        };
        if behind != self.furthest_behind {
            self.furthest_behind = behind;
            self.slots.iter_mut().for_each(|slot| slot.ahead = 0);
        }
        let free = self.slots.iter_mut().enumerate().filter(|(_, slot)| !slot.ended && !slot.taken);
        let Some((index, slot)) = free.min_by_key(|(index, slot)| (slot.reached, *index)) else {
            return Next::Wait;
        };
        if slot.reached > behind {
            if slot.ahead >= AHEAD {
                return Next::Wait;
            }
            slot.ahead += 1;
        }
        slot.taken = true;
        Next::Read(index)
    }

    /// A worker has read a chunk and gives the reader back; `ended` if nothing is left in it.
    pub(super) fn give_back(&mut self, feed: usize, ended: bool) {
        if let Some(slot) = self.slots.get_mut(feed) {
            slot.taken = false;
            slot.ended = ended;
        }
    }

    /// Records up to this time were parsed.
    pub(super) fn reach(&mut self, feed: usize, time: Timestamp) {
        if let Some(slot) = self.slots.get_mut(feed) {
            slot.reached = slot.reached.max(time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp(second * 1_000_000_000)
    }

    #[test]
    fn the_feed_furthest_behind_is_read() {
        let mut schedule = Schedule::new(3);
        for (feed, reached) in [(0, at(50)), (1, at(20)), (2, at(10))] {
            assert_eq!(schedule.next(), Next::Read(feed));
            schedule.reach(feed, reached);
            schedule.give_back(feed, false);
        }
        assert_eq!(schedule.next(), Next::Read(2));
        schedule.reach(2, at(60));
        schedule.give_back(2, false);
        for feed in [1, 0, 2] {
            assert_eq!(schedule.next(), Next::Read(feed));
            schedule.give_back(feed, true);
        }
        assert_eq!(schedule.next(), Next::Done);
    }

    #[test]
    fn others_run_ahead_only_so_far() {
        let mut schedule = Schedule::new(2);
        for (feed, reached) in [(0, at(1)), (1, at(5))] {
            assert_eq!(schedule.next(), Next::Read(feed));
            schedule.reach(feed, reached);
            schedule.give_back(feed, false);
        }
        assert_eq!(schedule.next(), Next::Read(0));
        for _ in 0..AHEAD {
            assert_eq!(schedule.next(), Next::Read(1));
            schedule.give_back(1, false);
        }
        assert_eq!(schedule.next(), Next::Wait);
        schedule.reach(0, at(2));
        schedule.give_back(0, false);
        assert_eq!(schedule.next(), Next::Read(0));
        assert_eq!(schedule.next(), Next::Read(1));
    }
}
