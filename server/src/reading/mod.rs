//! From files to the engine: workers read and parse, one thread judges.
//!
//! Memory is bounded by the number of portions that are read and not judged, whatever the size of the files: nothing
//! more is read while there are too many. A worker that the system lets wait holds the others up that way; if it did
//! not, they would run far ahead of the portion that it owes, and its records would come too late. The engine's thread
//! puts the portions of each feed back into the order in which they were read, so that the report does not depend on
//! which worker was faster.

mod lines;
mod portion;
mod schedule;
mod serial;
mod source;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use auditgap_correlate::{Engine, FeedId};
use auditgap_ingest::{DigestKey, parse_audit_lines};
use auditgap_records::Feed;

use crate::progress::Progress;
use portion::{Collector, Leftovers, Portion};
use schedule::{Next, Schedule};
use source::{Chunk, Source};

pub(crate) use serial::for_each_record;
pub(crate) use source::SourceFile;

/// Portions that may wait for the engine, beside those that are being read.
const WAITING: usize = 4;

/// A feed to be read.
#[derive(Clone, Debug)]
pub(crate) struct FeedSource {
    /// Its identity.
    pub(crate) feed: Feed,
    /// Its files in the order in which they are read.
    pub(crate) files: Vec<SourceFile>,
    /// What is known of it before it is read: assumed year and zone.
    pub(crate) notes: Vec<String>,
}

/// Reads all feeds into the engine. Gives back what could not be read, in words.
pub(crate) fn read_feeds(
    engine: &mut Engine,
    feeds: Vec<FeedSource>,
    threads: usize,
    progress: &Progress,
) -> Vec<String> {
    let key = digest_key();
    let mut inbox = Vec::with_capacity(feeds.len());
    let mut sources = Vec::with_capacity(feeds.len());
    for FeedSource { feed, files, notes } in feeds {
        let name = feed.name();
        let id = engine.feed_open(feed);
        inbox.push(Inbox { id, notes, next: 0, early: BTreeMap::new(), leftovers: Leftovers::default() });
        sources.push(Shelf { source: Some(Source::new(name, files, key, progress.clone())), sequence: 0 });
    }
    let desk = Desk {
        state: Mutex::new(State {
            schedule: Schedule::new(sources.len()),
            shelves: sources,
            room: threads.max(1) + WAITING,
            failed: false,
        }),
        changed: Condvar::new(),
    };
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (desk, sender) = (&desk, sender.clone());
            scope.spawn(move || work(desk, &sender));
        }
        // The workers' own copies keep the channel open for as long as there is work.
        drop(sender);
        judge(engine, &receiver, &mut inbox, &desk)
    })
}

/// What the workers share.
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    schedule: Schedule,
    shelves: Vec<Shelf>,
    /// Portions that may be begun before one is judged.
    room: usize,
    /// A worker has panicked: the others are not to wait for it.
    failed: bool,
}

/// Where a feed's source lies while nobody reads it.
struct Shelf {
    source: Option<Source>,
    /// Number of the next portion.
    sequence: u64,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under this lock, so that a panic elsewhere does not make it worthless.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a feed that may be read, and takes its source.
    fn take(&self) -> Option<(usize, u64, Source)> {
        let mut state = self.lock();
        loop {
            if state.failed {
                return None;
            }
            let next = if state.room == 0 { Next::Wait } else { state.schedule.next() };
            match next {
                Next::Done => return None,
                Next::Wait => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Next::Read(feed) => {
                    let shelf = state.shelves.get_mut(feed)?;
                    let sequence = shelf.sequence;
                    shelf.sequence += 1;
                    let source = shelf.source.take()?;
                    state.room -= 1;
                    return Some((feed, sequence, source));
                }
            }
        }
    }

    fn give_back(&self, feed: usize, source: Source, ended: bool) {
        let mut state = self.lock();
        if let Some(shelf) = state.shelves.get_mut(feed) {
            shelf.source = Some(source);
        }
        state.schedule.give_back(feed, ended);
        self.changed.notify_all();
    }

    /// The engine has taken in a portion.
    fn make_room(&self) {
        self.lock().room += 1;
        self.changed.notify_all();
    }

    fn reach(&self, feed: usize, portion: &Portion) {
        if let Some(time) = portion.reaches() {
            self.lock().schedule.reach(feed, time);
            self.changed.notify_all();
        }
    }
}

/// Tells the workers if this thread dies.
struct Alarm<'d>(&'d Desk);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().failed = true;
            self.0.changed.notify_all();
        }
    }
}

/// What a worker hands to the engine's thread.
struct Delivery {
    feed: usize,
    sequence: u64,
    portion: Portion,
    last: bool,
}

fn work(desk: &Desk, sender: &Sender<Delivery>) {
    let _alarm = Alarm(desk);
    let mut buffer = Vec::new();
    let mut collector = Collector::default();
    while let Some((feed, sequence, mut source)) = desk.take() {
        let chunk = source.next(&mut buffer, &mut collector);
        let last = matches!(chunk, Chunk::End);
        let portion = if let Chunk::Lines(base, options) = chunk {
            // The next worker may read on while this one parses.
            desk.give_back(feed, source, false);
            parse_audit_lines(&buffer, base, &options, &mut collector);
            let portion = collector.take();
            desk.reach(feed, &portion);
            portion
        } else {
            let portion = collector.take();
            desk.reach(feed, &portion);
            desk.give_back(feed, source, last);
            portion
        };
        if sender.send(Delivery { feed, sequence, portion, last }).is_err() {
            return;
        }
    }
}

/// A feed as the engine's thread sees it.
struct Inbox {
    id: FeedId,
    notes: Vec<String>,
    /// Number of the portion that is due.
    next: u64,
    /// Portions that came before their turn.
    early: BTreeMap<u64, (Portion, bool)>,
    leftovers: Leftovers,
}

fn judge(
    engine: &mut Engine,
    receiver: &Receiver<Delivery>,
    inbox: &mut [Inbox],
    desk: &Desk,
) -> Vec<String> {
    let _alarm = Alarm(desk);
    let mut troubles = Vec::new();
    for Delivery { feed, sequence, portion, last } in receiver {
        let Some(inbox) = inbox.get_mut(feed) else { continue };
        inbox.early.insert(sequence, (portion, last));
        while let Some((portion, last)) = inbox.early.remove(&inbox.next) {
            inbox.next += 1;
            inbox.leftovers.absorb(portion.leftovers);
            engine.push(inbox.id, portion.batch);
            desk.make_room();
            if last {
                let leftovers = std::mem::take(&mut inbox.leftovers);
                troubles.extend_from_slice(leftovers.troubles());
                engine.feed_end(inbox.id, leftovers.summary(std::mem::take(&mut inbox.notes)));
            }
        }
    }
    troubles
}

/// A key that nobody who writes logs can know. It decides nothing but which records are copies of one another.
fn digest_key() -> DigestKey {
    use std::hash::{BuildHasher, Hasher, RandomState};
    std::array::from_fn(|_| RandomState::new().build_hasher().finish())
}
