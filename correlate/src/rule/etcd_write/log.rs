//! Write requests that etcd's log tells of.
//!
//! One request may leave up to three lines (statistics, application, Raft entry); they are put together here. The
//! log is sampled on busy members, so that a line proves a request and a missing line proves nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::etcd::{Compare, EtcdRequest, KeyOp, KeyOpKind, RequestLine, RevisionKind};

use super::history::Previous;
use super::{Write, WriteId};
use crate::key::{Identity, ObjectKey};
use crate::lookup::{Index, Numbers};
use crate::settings::Settings;
use crate::verdict::Cite;
use crate::world::Seen;

/// Lines of one request stand this close together.
const SAME_REQUEST: Duration = Duration::from_millis(500);

/// A log line this close to a watch's first or last revision may tell of that very revision.
const WATCH_EDGE: Duration = Duration::from_secs(2);

/// Writes under one name that show it to be the API server's.
const USUAL_NAME: u64 = 20;

/// Requests that wait, at the most.
const WAITING: usize = 100_000;

/// Answers above this size carry the key's value: the condition of the transaction failed. A success takes 30 to 60
/// bytes (`go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc/interceptor.go` logs the size).
const SUCCESS_SIZE: i64 = 100;

/// A key, or a range of keys, that a request writes or deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) kind: RevisionKind,
    pub(super) key: Box<str>,
    pub(super) range_end: Box<str>,
}

impl Target {
    fn covers(&self, kind: RevisionKind, key: &str) -> bool {
        if self.kind != kind {
            return false;
        }
        if self.range_end.is_empty() {
            return *self.key == *key;
        }
        // A range end of one NUL byte means: to the end of the key space.
        &*self.key <= key && (key < &*self.range_end || &*self.range_end == "\0")
    }
}

/// A write request.
#[derive(Debug)]
pub(super) struct LogWrite {
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    /// Why no API server would have sent it; `None` where one might have.
    pub(super) foreign: Option<String>,
    pub(super) targets: Vec<Target>,
    pub(super) user: Option<Box<str>>,
    pub(super) remote: Option<Box<str>>,
    pub(super) cites: Vec<Cite>,
    pub(super) response_count: Option<i64>,
    /// Revisions that it made.
    pub(super) revisions: Vec<Cite>,
    lines: Vec<(RequestLine, Option<u64>)>,
    compared: Option<i64>,
    value_size: Option<u64>,
    succeeded: Option<bool>,
    promoted: bool,
}

/// Write requests of the last while.
#[derive(Debug, Default)]
pub(super) struct LogWrites {
    requests: VecDeque<LogWrite>,
    /// Names of clients that send what an API server sends, with the number of their requests.
    names: BTreeMap<Box<str>, u64>,
    /// Nanoseconds by which the clock of each member's log is ahead of the API server's.
    clocks: BTreeMap<u16, i64>,
}

impl LogWrites {
    pub(super) fn observe(&mut self, seen: Seen<'_>, request: &EtcdRequest<'_>, settings: &Settings) {
        let targets: Vec<Target> =
            request.success.iter().chain(&request.failure).filter_map(target).collect();
        let Some(first) = targets.first() else { return };
        let compared = request
            .compares
            .iter()
            .find(|compare| *compare.key == *first.key)
            .and_then(|compare| compare.mod_revision);
        let cite = seen.cite(words(request, &targets));
        let known =
            self.requests.iter_mut().rev().take_while(|known| known.last + SAME_REQUEST >= seen.time).find(
                |known| {
                    known.targets == targets
                        && known.compared == compared
                        && known.lacks(request.line, request.request_id)
                },
            );
        if let Some(known) = known {
            known.last = known.last.max(seen.time);
            known.lines.push((request.line, request.request_id));
            known.take_from(request, cite);
            return;
        }
        let foreign = foreign_shape(request, &targets, settings);
        let mut write = LogWrite {
            first: seen.time,
            last: seen.time,
            foreign,
            targets,
            user: None,
            remote: None,
            cites: Vec::new(),
            response_count: None,
            revisions: Vec::new(),
            lines: vec![(request.line, request.request_id)],
            compared,
            value_size: request.success.iter().find_map(|op| op.value_size),
            succeeded: None,
            promoted: false,
        };
        write.take_from(request, cite);
        if write.foreign.is_none()
            && let Some(user) = &write.user
        {
            *self.names.entry(user.clone()).or_default() += 1;
        }
        if self.requests.len() >= WAITING {
            self.requests.pop_front();
        }
        self.clocks.entry(seen.feed).or_default();
        self.requests.push_back(write);
    }

    /// Sets by how much the clock of each member's log is ahead.
    pub(super) fn set_clocks(&mut self, mut ahead: impl FnMut(u16) -> i64) {
        for (feed, clock) in &mut self.clocks {
            *clock = ahead(*feed);
        }
    }

    /// When the first request that waits was sent.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.requests.front().map(|write| write.first)
    }

    /// The members' logs.
    pub(super) fn feeds(&self) -> impl Iterator<Item = u16> + '_ {
        self.clocks.keys().copied()
    }

    fn ahead(&self, write: &LogWrite) -> i64 {
        write.cites.first().and_then(|cite| self.clocks.get(&cite.feed)).copied().unwrap_or(0)
    }

    /// The request that made a revision at a time by the API server's clock, foreign ones first.
    pub(super) fn of_write(&mut self, at: Timestamp, kind: RevisionKind, key: &str) -> Option<&mut LogWrite> {
        let by_its_clock = |write: &LogWrite| Timestamp(at.0.saturating_add(self.ahead(write)));
        let near = |write: &LogWrite| {
            let time = by_its_clock(write);
            write.first <= time + SAME_REQUEST && time <= write.last + SAME_REQUEST * 2
        };
        let least = self.clocks.values().min().map_or(at, |ahead| Timestamp(at.0.saturating_add(*ahead)));
        let most = self.clocks.values().max().map_or(at, |ahead| Timestamp(at.0.saturating_add(*ahead)));
        let from = self.requests.partition_point(|write| write.last + SAME_REQUEST * 2 < least);
        let fits =
            |write: &LogWrite| near(write) && write.targets.iter().any(|target| target.covers(kind, key));
        let mut best: Option<(bool, i64, usize)> = None;
        for (index, write) in self.requests.iter().enumerate().skip(from.saturating_sub(64)) {
            if write.first > most + SAME_REQUEST {
                break;
            }
            if fits(write) {
                let distance = by_its_clock(write).nanos_since(write.first).abs();
                let rank = (write.foreign.is_none(), distance, index);
                if best.is_none_or(|best| rank < best) {
                    best = Some(rank);
                }
            }
        }
        let (_, _, index) = best?;
        self.requests.get_mut(index)
    }

    /// Takes out the requests that are over before a moment.
    pub(super) fn take_until(&mut self, due: Timestamp) -> Vec<LogWrite> {
        let mut taken = Vec::new();
        while self.requests.front().is_some_and(|write| write.last <= due) {
            taken.extend(self.requests.pop_front());
        }
        taken
    }

    /// Why a client's name gives it away: it is not the name under which nearly all of an API server's writes come.
    pub(super) fn foreign_name(&self, name: &str) -> Option<String> {
        let (usual, count) =
            self.names.iter().max_by_key(|(name, count)| (**count, std::cmp::Reverse(*name)))?;
        let own = self.names.get(name).copied().unwrap_or(0);
        (**usual != *name && *count >= 50 && own * 50 < *count)
            .then(|| format!("it came with the certificate of {name}, while the API server's writes come with that of {usual}"))
    }

    /// Whether a client's name is the one under which nearly all of an API server's writes come.
    pub(super) fn is_usual_name(&self, name: &str) -> bool {
        let most = self.names.iter().max_by_key(|(name, count)| (**count, std::cmp::Reverse(*name)));
        most.is_some_and(|(usual, count)| **usual == *name && *count >= USUAL_NAME)
    }

    /// Hands over what an API server may have sent, where no watch tells of its effect.
    pub(super) fn promote(
        &mut self,
        due: Timestamp,
        watched: Option<(Timestamp, Timestamp)>,
        pending: &mut VecDeque<Write>,
        base: WriteId,
        by_object: &mut Index<Identity, Numbers>,
        prefixes: &[String],
    ) {
        let clocks = &self.clocks;
        for write in self.requests.iter_mut().take_while(|write| write.first <= due) {
            let ahead = write.cites.first().and_then(|cite| clocks.get(&cite.feed)).copied().unwrap_or(0);
            let [first_at, last_at] =
                [write.first, write.last].map(|time| Timestamp(time.0.saturating_sub(ahead)));
            let covered = watched
                .is_some_and(|(first, last)| first - WATCH_EDGE <= last_at && first_at <= last + WATCH_EDGE);
            if write.promoted || covered || write.foreign.is_some() || write.outcome() == Some(false) {
                continue;
            }
            write.promoted = true;
            let (Some(target), Some(cite)) = (write.targets.first(), write.cites.first()) else { continue };
            let key: Arc<str> = Arc::from(&*target.key);
            let object = ObjectKey::of_key(&key, prefixes);
            let identity = object.as_ref().map(ObjectKey::identity);
            if let Some(identity) = identity {
                by_object.entry(identity).or_default().push(base + pending.len() as u64);
            }
            let previous = write.compared.filter(|revision| *revision > 0).map(|mod_revision| Previous {
                mod_revision,
                time: Timestamp::MIN,
                lease: None,
                deleted: false,
            });
            pending.push_back(Write {
                time: write.first,
                at: first_at,
                feed: cite.feed,
                position: cite.position,
                key,
                object,
                identity,
                kind: target.kind,
                mod_revision: 0,
                creates: write.compared.map(|revision| revision == 0 && target.kind == RevisionKind::Put),
                previous,
                lease: None,
                encoding: Box::default(),
                value_length: write.value_size,
                uid: Box::default(),
                done: write.outcome() == Some(true),
                dated: true,
                decided: false,
            });
        }
    }
}

impl LogWrite {
    /// Whether a line may be this request's: none of its kind was seen, or it repeats one (another member's log).
    fn lacks(&self, line: RequestLine, id: Option<u64>) -> bool {
        self.lines.iter().all(|(known, known_id)| *known != line || (id.is_some() && *known_id == id))
    }

    fn take_from(&mut self, request: &EtcdRequest<'_>, cite: Cite) {
        self.user = self.user.take().or_else(|| request.user.as_deref().map(Into::into));
        self.remote = self.remote.take().or_else(|| request.remote.as_deref().map(Into::into));
        self.response_count = self.response_count.or(request.response_count);
        let value_size: u64 = request.success.iter().filter_map(|op| op.value_size).sum();
        if self.succeeded.is_none() {
            self.succeeded = match (request.line, request.request_size, request.response_size) {
                (RequestLine::Stats, Some(size), _) if value_size > 0 => {
                    Some(size.unsigned_abs() >= value_size)
                }
                (_, _, Some(size)) => Some(size <= SUCCESS_SIZE),
                _ => None,
            };
        }
        self.cites.push(cite);
    }

    /// Whether it wrote, where the log tells.
    pub(super) fn outcome(&self) -> Option<bool> {
        self.succeeded
    }
}

/// The key that a request creates if nobody was quicker: a put on the condition that the key does not exist.
pub(super) fn creates<'r>(request: &'r EtcdRequest<'_>) -> Option<&'r str> {
    let [op] = request.success.as_slice() else { return None };
    let [compare] = request.compares.as_slice() else { return None };
    let absent = compare.mod_revision == Some(0) && compare.key == op.key;
    (op.kind == KeyOpKind::Put && absent).then_some(&*op.key)
}

fn target(op: &KeyOp<'_>) -> Option<Target> {
    let kind = match op.kind {
        KeyOpKind::Put => RevisionKind::Put,
        KeyOpKind::DeleteRange => RevisionKind::Delete,
        KeyOpKind::Range => return None,
    };
    Some(Target { kind, key: (&*op.key).into(), range_end: (&*op.range_end).into() })
}

/// Why no API server would send a request of this shape (`k8s.io/apiserver/pkg/storage/etcd3/store.go`: every write
/// is a transaction on one key, on the condition that its revision is the one read before).
fn foreign_shape(request: &EtcdRequest<'_>, targets: &[Target], settings: &Settings) -> Option<String> {
    let of_api_server = settings
        .key_prefixes
        .iter()
        .any(|prefix| targets.iter().any(|target| target.key.starts_with(prefix.as_str())));
    let sender = if of_api_server { "an API server" } else { "the API server, which owns no such key," };
    if !request.method.ends_with("Txn") {
        let call = request.method.rsplit('/').next().unwrap_or_default();
        return Some(format!("it is a bare {call}, where {sender} only ever sends transactions"));
    }
    let [target] = targets else {
        return Some(format!(
            "it writes {} keys in one transaction, where {sender} writes one",
            targets.len()
        ));
    };
    if !target.range_end.is_empty() {
        return Some(format!("it deletes a range of keys, where {sender} deletes one"));
    }
    if request.failure.iter().any(|op| op.kind != KeyOpKind::Range) {
        return Some(format!("it writes when its condition fails, which {sender} never does"));
    }
    let own = |key: &str| *key == *target.key;
    let reads_first = request.success.iter().any(|op| op.kind == KeyOpKind::Range && own(&op.key));
    let usual = |compare: &Compare<'_>| {
        own(&compare.key) && &*compare.result == "EQUAL" && matches!(&*compare.target, "MOD" | "VERSION")
    };
    if request.compares.is_empty() && !(target.kind == RevisionKind::Delete && reads_first) {
        return Some(format!("it writes without a condition, where {sender} demands the revision it read"));
    }
    if !request.compares.iter().all(usual) {
        return Some(format!("its condition is not the one that {sender} sets (the key's revision)"));
    }
    None
}

fn words(request: &EtcdRequest<'_>, targets: &[Target]) -> String {
    let method = request.method.trim_start_matches("/etcdserverpb.");
    let mut words = format!("etcd log: {method}");
    for target in targets.iter().take(3) {
        let verb = if target.kind == RevisionKind::Put { "put" } else { "delete" };
        words.push_str(&format!(" {verb} {}", target.key));
        if !target.range_end.is_empty() {
            words.push_str(&format!(" to {}", target.range_end));
        }
    }
    if let Some(user) = &request.user {
        words.push_str(&format!(", certificate {user}"));
    }
    if let Some(remote) = &request.remote {
        words.push_str(&format!(", from {remote}"));
    }
    words
}
