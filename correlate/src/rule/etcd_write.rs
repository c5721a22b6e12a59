//! Writes to etcd for which no request was recorded.
//!
//! An action is one revision of one key, as a watch tells it; where no watch was kept, one write request of etcd's
//! log. It is explained by one recorded request on the same object whose window holds it (exactly where the response
//! carries the revision), by what the API server is known to write unaudited, or by the end of the key's lease. What
//! the API server never sends (a bare Put, a DeleteRange, several keys in one transaction, JSON among protobuf) is a
//! gap by its nature.
//!
//! Page: `docs/rules/etcd-write.md`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use auditgap_records::etcd::{EtcdLine, EtcdRequest, Revision, RevisionKind};
use auditgap_records::record::ApiServerLine;
use auditgap_records::report::Path;
use auditgap_records::{FeedKind, Position, Timestamp};

use super::{Rule, RuleInfo};
use crate::fact::{AuditFact, Fact, Verb};
use crate::feeds::FeedState;
use crate::key::{Identity, ObjectKey};
use crate::lookup::{Index, Numbers, unlist};
use crate::verdict::{Cite, How};
use crate::world::{Seen, World};

mod absence;
mod foreign;
mod gap;
mod history;
mod judge;
mod log;
mod matching;
mod offset;
mod pairs;
mod system;
#[cfg(test)]
mod tests;

pub(in crate::rule) use gap::{attribute, gap_object};
use history::KeyHistory;
use log::LogWrites;
use offset::Offsets;
use pairs::Pairs;

/// The rule.
pub static INFO: RuleInfo = RuleInfo {
    name: "etcd-write",
    path: Path::EtcdApi,
    techniques: &["ET1", "ET2", "ET3", "ET7", "ET8", "ET12"],
    attack: &["T1565.001", "T1098", "T1552.004"],
    next_steps: &[
        "Read the object as it stands now, and compare it with the last recorded request about it.",
        "Find the client: its certificate's name and address in the evidence, else the connections to etcd's client port at that time.",
        "Undo the write through the API server, so that the undoing is on record.",
        "Replace the etcd client certificate that was used, and close etcd's port to all but the API servers.",
    ],
};

/// Writes wait this much longer while little is known of the clock that stamped them; the ledger remembers for as
/// long.
const CLOCKS: Duration = Duration::from_secs(180);

/// Writes that fall due within this time are judged at once: to look for them costs as much as to judge one.
const TOGETHER: Duration = Duration::from_millis(50);

/// More than this many do not wait for it.
const PENDING: usize = 50_000;

/// Whether a feed is a watch, and not a log.
fn is_watch(state: &FeedState) -> bool {
    state.feed.format.starts_with("etcd watch")
}

/// Keys of other applications that share an etcd with the API server (network plugins). No request of the API could
/// account for them, and nothing here can judge them.
const NEIGHBOURS: [&str; 8] =
    ["cilium/", "/cilium/", "/calico/", "calico/", "/coreos.com/", "/skydns/", "/flannel/", "/weave/"];

fn is_neighbour(key: &str) -> bool {
    NEIGHBOURS.iter().any(|prefix| key.starts_with(prefix))
}

/// A write of one key that waits for its verdict.
#[derive(Debug)]
struct Write {
    time: Timestamp,
    /// `time` by the API server's clock, as far as known.
    at: Timestamp,
    feed: u16,
    position: Position,
    key: Arc<str>,
    object: Option<ObjectKey>,
    /// Identity of the object.
    identity: Option<Identity>,
    kind: RevisionKind,
    /// 0 where only the log tells of the write.
    mod_revision: i64,
    /// Whether the write made the key, where that is told.
    creates: Option<bool>,
    /// The key's revision before this one, where it was seen.
    previous: Option<history::Previous>,
    lease: Option<i64>,
    encoding: Box<str>,
    value_length: Option<u64>,
    uid: Box<str>,
    /// Whether it is known to have happened: a watch tells of what was done, a log of what was asked for.
    done: bool,
    /// Whether its time is that of the write, and not that of reading it.
    dated: bool,
    /// The verdict was given together with another write's.
    decided: bool,
}

impl Write {
    fn cite(&self) -> Cite {
        let verb = match self.kind {
            RevisionKind::Put if self.creates == Some(true) => "created",
            RevisionKind::Put => "written",
            RevisionKind::Delete => "deleted",
        };
        let summary = match self.mod_revision {
            0 => format!("etcd log: {} {verb}", self.key),
            revision => format!("etcd: {} {verb} at revision {revision}", self.key),
        };
        Cite { time: self.time, feed: self.feed, position: self.position, summary }
    }
}

/// Number of a write within the rule. Never used again.
type WriteId = u64;

/// The rule's state.
#[derive(Debug, Default)]
pub struct EtcdWrite {
    /// What fell due until then was judged.
    judged: Timestamp,
    pending: VecDeque<Write>,
    /// Id of the first pending write.
    base: WriteId,
    by_object: Index<Identity, Numbers>,
    by_revision: Index<i64, Numbers>,
    history: KeyHistory,
    log: LogWrites,
    offsets: Offsets,
    pairs: Pairs,
    /// First and last revision that each watch delivered, by its own clock.
    watched: BTreeMap<u16, (Timestamp, Timestamp)>,
    /// `--event-ttl`, from the API server's own log.
    event_ttl: Option<Duration>,
    /// Writes of a resource that were explained, and that were not: where no policy is given, this tells what is
    /// recorded at all.
    by_resource: BTreeMap<Box<str>, (u64, u64)>,
}

impl Rule for EtcdWrite {
    fn observe(&mut self, seen: Seen<'_>, world: &mut World) {
        match seen.fact {
            Fact::Revision(revision) => self.observe_revision(seen, revision, world),
            Fact::Etcd(line) => {
                if let EtcdLine::Request(request) = &**line {
                    self.compare_log_clock(seen, request, world);
                    self.log.observe(seen, request, &world.context.settings);
                }
            }
            Fact::Audit(fact) => self.observe_request(fact),
            Fact::ApiServer(line) => {
                if let ApiServerLine::Flag { name, value } = &**line
                    && name == "event-ttl"
                {
                    self.event_ttl = offset::parse_go_duration(value);
                }
            }
            _ => {}
        }
    }

    fn tick(&mut self, world: &mut World) {
        let due = world.clock - world.context.settings.request_timeout;
        if due >= self.judged.saturating_add(TOGETHER) {
            self.judged = due;
            self.judge_until(due, world);
        }
    }

    fn finish(&mut self, world: &mut World) {
        self.judge_until(Timestamp::MAX, world);
        absence::not_watched(self, world);
    }
}

impl EtcdWrite {
    fn observe_revision(&mut self, seen: Seen<'_>, revision: &Revision<'static>, world: &World) {
        let span = self.watched.entry(seen.feed).or_insert((seen.time, seen.time));
        *span = (span.0.min(seen.time), span.1.max(seen.time));
        if !revision.replayed
            && let Some(ended) = self.pairs.by_revision.write(revision.mod_revision, seen.feed, seen.time)
        {
            self.offsets.note(seen.feed, seen.time.nanos_since(ended), true);
        }
        // Another member's watch delivers the same revision.
        let twice = self.by_revision.get(&revision.mod_revision).is_some_and(|ids| {
            ids.iter().any(|id| self.get(*id).is_some_and(|write| *write.key == *revision.key))
        });
        if twice || self.history.is_known(&revision.key, revision.mod_revision) {
            return;
        }
        let key: Arc<str> = Arc::from(&*revision.key);
        let previous = self.history.note(&key, revision, seen.time);
        let object = ObjectKey::of_key(&key, &world.context.settings.key_prefixes);
        if revision.kind == RevisionKind::Put && revision.version == 1 && !revision.replayed {
            self.compare_creation(object.as_ref(), seen);
        }
        let write = Write {
            time: seen.time,
            at: seen.time,
            feed: seen.feed,
            position: seen.position,
            identity: object.as_ref().map(ObjectKey::identity),
            object,
            key,
            kind: revision.kind,
            mod_revision: revision.mod_revision,
            creates: match (revision.kind, revision.version) {
                (RevisionKind::Delete, _) => Some(false),
                (RevisionKind::Put, 0) => None,
                (RevisionKind::Put, version) => Some(version == 1),
            },
            previous,
            lease: revision.lease,
            encoding: revision.encoding.as_deref().unwrap_or_default().into(),
            value_length: revision.value_length,
            uid: revision.uid.as_deref().unwrap_or_default().into(),
            done: true,
            dated: !revision.replayed,
            decided: false,
        };
        let id = self.base + self.pending.len() as u64;
        if let Some(identity) = write.identity {
            self.by_object.entry(identity).or_default().push(id);
        }
        self.by_revision.entry(write.mod_revision).or_default().push(id);
        self.pending.push_back(write);
    }

    fn get(&self, id: WriteId) -> Option<&Write> {
        self.pending.get(usize::try_from(id.checked_sub(self.base)?).ok()?)
    }

    fn get_mut(&mut self, id: WriteId) -> Option<&mut Write> {
        self.pending.get_mut(usize::try_from(id.checked_sub(self.base)?).ok()?)
    }

    /// Learns how far etcd's clocks are from the API server's: from responses that carry a revision, else from the
    /// creation of objects by name, which happens once.
    fn observe_request(&mut self, fact: &AuditFact) {
        if !fact.verb.writes() || !fact.succeeded() || fact.dry_run {
            return;
        }
        if let Some(version) = fact.resulting_version.and_then(|version| i64::try_from(version).ok()) {
            for (feed, time) in self.pairs.by_revision.request(version, fact.staged) {
                self.offsets.note(feed, time.nanos_since(fact.staged), true);
            }
        }
        if fact.verb == Verb::Create && fact.subresource.is_empty() && !fact.name.is_empty() {
            let identity =
                ObjectKey::identity_of_request(&fact.group, &fact.resource, &fact.namespace, &fact.name);
            for (feed, time) in self.pairs.by_creation.request(identity, fact.staged) {
                self.offsets.note(feed, time.nanos_since(fact.staged), false);
            }
        }
    }

    fn compare_log_clock(&mut self, seen: Seen<'_>, request: &EtcdRequest<'static>, world: &World) {
        if let Some(key) = log::creates(request) {
            let object = ObjectKey::of_key(key, &world.context.settings.key_prefixes);
            self.compare_creation(object.as_ref(), seen);
        }
    }

    fn compare_creation(&mut self, object: Option<&ObjectKey>, seen: Seen<'_>) {
        let Some(identity) = object.map(ObjectKey::identity) else { return };
        if let Some(ended) = self.pairs.by_creation.write(identity, seen.feed, seen.time) {
            self.offsets.note(seen.feed, seen.time.nanos_since(ended), false);
        }
    }

    /// What watches delivered, by the API server's clock.
    fn watched(&mut self) -> Option<(Timestamp, Timestamp)> {
        let offsets = &mut self.offsets;
        let spans = self.watched.iter().map(|(feed, (first, last))| {
            let ahead = offsets.correction(*feed);
            (Timestamp(first.0.saturating_sub(ahead)), Timestamp(last.0.saturating_sub(ahead)))
        });
        spans.reduce(|left, right| (left.0.min(right.0), left.1.max(right.1)))
    }

    /// Whether it is worth to wait until more is known of the clocks of the feeds that told of what comes first.
    fn waits_for_clocks(&mut self, first: Timestamp, due: Timestamp, world: &World) -> bool {
        if first.saturating_add(CLOCKS) < due
            || self.pending.len() > PENDING
            || !world.has_feed(FeedKind::Audit)
        {
            return false;
        }
        // A watch whose clock is ahead is heard only afterwards, and until then the log's lines are not second news.
        let watches =
            world.feeds.numbered(FeedKind::Etcd).filter(|(_, state)| is_watch(state)).map(|(feed, _)| feed);
        let front = self.pending.front().map(|write| write.feed);
        let feeds: Vec<u16> = watches.chain(front).chain(self.log.feeds()).collect();
        feeds.into_iter().any(|feed| self.offsets.is_unknown(feed))
    }

    fn judge_until(&mut self, due: Timestamp, world: &mut World) {
        let first = self.pending.front().map(|write| write.time);
        let Some(first) = first.into_iter().chain(self.log.oldest()).min() else { return };
        if due != Timestamp::MAX && self.waits_for_clocks(first, due, world) {
            return;
        }
        let offsets = &mut self.offsets;
        self.log.set_clocks(|feed| offsets.correction(feed));
        let watched = self.watched();
        // The log's lines are no second news of what a watch whose clock lags is still to tell.
        let told = watched
            .filter(|_| due != Timestamp::MAX)
            .map_or(due, |(_, last)| last.max(due - CLOCKS).min(due));
        let prefixes = &world.context.settings.key_prefixes;
        self.log.promote(told, watched, &mut self.pending, self.base, &mut self.by_object, prefixes);
        while let Some(write) = self.pending.front() {
            let at = write.time.0.saturating_sub(self.offsets.correction(write.feed));
            if Timestamp(at) > due {
                break;
            }
            if !self.pending.front().is_some_and(|write| write.decided) {
                self.judge_front(world);
            }
            self.drop_front();
        }
        foreign::foreign_requests(self, told, world);
    }

    fn drop_front(&mut self) {
        let Some(write) = self.pending.pop_front() else { return };
        let id = self.base;
        self.base += 1;
        if let Some(identity) = write.identity {
            unlist(&mut self.by_object, identity, id);
        }
        unlist(&mut self.by_revision, write.mod_revision, id);
    }

    /// Counts a write as explained.
    fn explain(&mut self, object: Option<&ObjectKey>, how: How, world: &mut World) {
        if let Some(object) = object {
            match self.by_resource.get_mut(&object.resource) {
                Some(counts) => counts.0 += 1,
                None => {
                    self.by_resource.insert(object.resource.clone(), (1, 0));
                }
            }
        }
        world.verdicts.explained(how);
    }
}
