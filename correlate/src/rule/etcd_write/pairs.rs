//! Revisions and requests that are one event, each as its own clock saw it.
//!
//! Either may come first: a watcher's clock may be ahead of the API server's or behind it. Of several requests that
//! name one revision only the first made it; the others changed nothing and were answered with what was there.

use std::hash::Hash;

use auditgap_records::Timestamp;

use crate::key::Identity;
use crate::lookup::Index;

/// Events of one kind that wait for their counterpart. The oldest half is forgotten when there are twice as many.
const WAITING: usize = 16_384;

/// Counterparts looked for by what both sides tell.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// By the revision that a response names.
    pub(super) by_revision: Counterparts<i64>,
    /// By the object that was created, where responses are not recorded.
    pub(super) by_creation: Counterparts<Identity>,
}

/// Requests and writes of one event, by what they have in common.
#[derive(Debug)]
pub(super) struct Counterparts<K> {
    requests: Generations<K, Timestamp>,
    writes: Generations<K, Vec<(u16, Timestamp)>>,
}

impl<K> Default for Counterparts<K> {
    fn default() -> Self {
        Self { requests: Generations::default(), writes: Generations::default() }
    }
}

impl<K: Eq + Hash + Copy> Counterparts<K> {
    /// A request that was over at a time; returns the feeds that told of its write before, and when.
    pub(super) fn request(&mut self, key: K, ended: Timestamp) -> Vec<(u16, Timestamp)> {
        if self.requests.get(&key).is_some() {
            return Vec::new();
        }
        self.requests.insert(key, ended);
        self.writes.remove(&key).unwrap_or_default()
    }

    /// A write that a feed tells of; returns when its request was over, if that is known.
    pub(super) fn write(&mut self, key: K, feed: u16, time: Timestamp) -> Option<Timestamp> {
        let ended = self.requests.get(&key).copied();
        if ended.is_none() {
            let mut waiting = self.writes.remove(&key).unwrap_or_default();
            waiting.push((feed, time));
            // More members than this do not serve one key space.
            waiting.truncate(16);
            self.writes.insert(key, waiting);
        }
        ended
    }
}

/// A map that forgets what was not put into it lately.
#[derive(Debug)]
struct Generations<K, V> {
    older: Index<K, V>,
    newer: Index<K, V>,
}

impl<K, V> Default for Generations<K, V> {
    fn default() -> Self {
        Self { older: Index::default(), newer: Index::default() }
    }
}

impl<K: Eq + Hash, V> Generations<K, V> {
    fn get(&self, key: &K) -> Option<&V> {
        self.newer.get(key).or_else(|| self.older.get(key))
    }

    fn insert(&mut self, key: K, value: V) {
        if self.newer.len() >= WAITING {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(key, value);
    }

    fn remove(&mut self, key: &K) -> Option<V> {
        self.newer.remove(key).or_else(|| self.older.remove(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whichever_comes_first_waits_and_later_namesakes_do_not_count() {
        let mut pairs = Counterparts::default();
        assert_eq!(pairs.write(7, 0, Timestamp(10)), None);
        assert_eq!(pairs.write(7, 1, Timestamp(12)), None);
        assert_eq!(pairs.request(7, Timestamp(11)), [(0, Timestamp(10)), (1, Timestamp(12))]);
        assert_eq!(pairs.request(7, Timestamp(90)), []);
        assert_eq!(pairs.write(7, 2, Timestamp(91)), Some(Timestamp(11)));
        assert_eq!(pairs.request(8, Timestamp(20)), []);
        assert_eq!(pairs.write(8, 0, Timestamp(21)), Some(Timestamp(20)));
    }
}
