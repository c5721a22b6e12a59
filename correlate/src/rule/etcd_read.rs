//! Reads of the API server's keys in etcd by others than the API server.
//!
//! Audited reads are served from the API server's cache and do not show in etcd, so that a read there has no request to
//! be matched with. What gives a foreign read away is its form (no limit, other bounds, keys only), the connection it
//! came over, and the certificate where the log tells it.
//!
//! Page: `docs/rules/etcd-read.md`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::etcd::{EtcdLine, EtcdRequest, KeyOp, KeyOpKind, RequestLine};
use auditgap_records::report::{Confidence, GapObject, Path, Severity};

use super::{Rule, RuleInfo};
use crate::fact::{Fact, Verb};
use crate::key::ObjectKey;
use crate::verdict::{Cite, GapDraft, How};
use crate::world::{Seen, World};

/// The rule.
pub static INFO: RuleInfo = RuleInfo {
    name: "etcd-read",
    path: Path::EtcdApi,
    techniques: &["ET4"],
    attack: &["T1552.007"],
    next_steps: &[
        "Find the client behind the address or the certificate's name.",
        "Take every Secret in the range that was read as known to it: rotate them, service account keys first.",
        "Replace the etcd client certificate that was used, and close etcd's port to all but the API servers.",
    ],
};

/// Lines of one read stand this close together.
const SAME_READ: Duration = Duration::from_millis(100);

/// How far a certificate's line may stand from the request it belongs to.
const SAME_CLIENT: Duration = Duration::from_millis(500);

/// A watch delivers its first revision this soon after it was begun.
const OWN_WATCH: Duration = Duration::from_secs(10);

/// Reads that wait, at the most.
const WAITING: usize = 50_000;

#[derive(Debug)]
struct Read {
    first: Timestamp,
    last: Timestamp,
    began: Timestamp,
    key: Box<str>,
    range_end: Box<str>,
    keys_only: bool,
    strange: Strange,
    remote: Option<Box<str>>,
    count: Option<i64>,
    cites: Vec<Cite>,
    lines: Vec<RequestLine>,
    certificate: Option<Box<str>>,
}

/// What is strange about a read's form.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Strange {
    /// No API server reads like this.
    Certainly(&'static str),
    /// API servers before 1.32 read one key without a limit; later ones never do.
    PointWithoutLimit,
    /// A list without a limit: an API server's deletecollection does that too.
    ListWithoutLimit,
}

/// The rule's state.
#[derive(Debug, Default)]
pub struct EtcdRead {
    reads: VecDeque<Read>,
    /// Uses of certificates that the log tells, waiting for a request to go with.
    certificates: VecDeque<(Cite, Box<str>)>,
    /// Harmless requests, with their span and address: they account for a certificate's use.
    harmless: VecDeque<(Timestamp, Timestamp)>,
    certificate_uses: BTreeMap<Box<str>, u64>,
    /// Names that came with requests no API server sends.
    foreign_names: BTreeSet<Box<str>>,
    points_with_limit: u64,
    points_without_limit: u64,
    /// The first revision that a watch delivered.
    first_revision: Option<Timestamp>,
    /// The use of a certificate by which that watch was begun was met.
    own_watch_met: bool,
    /// Addresses that an API server writes from.
    api_server_remotes: BTreeSet<Box<str>>,
}

impl Rule for EtcdRead {
    fn observe(&mut self, seen: Seen<'_>, world: &mut World) {
        let line = match seen.fact {
            Fact::Etcd(line) => line,
            Fact::Revision(_) => {
                self.first_revision.get_or_insert(seen.time);
                return;
            }
            _ => return,
        };
        match &**line {
            EtcdLine::Request(request) => self.observe_request(seen, request, world),
            EtcdLine::CommandName { user } => {
                *self.certificate_uses.entry((&**user).into()).or_default() += 1;
                if self.certificates.len() >= WAITING {
                    self.certificates.pop_front();
                }
                let cite = seen.cite(format!("etcd log: the certificate of {user} was used"));
                self.certificates.push_back((cite, (&**user).into()));
            }
            _ => {}
        }
    }

    fn tick(&mut self, world: &mut World) {
        let due = world.clock - world.context.settings.request_timeout;
        self.judge_until(due, world);
    }

    fn finish(&mut self, world: &mut World) {
        self.judge_until(Timestamp::MAX, world);
    }
}

impl EtcdRead {
    fn observe_request(&mut self, seen: Seen<'_>, request: &EtcdRequest<'_>, world: &World) {
        let began = Timestamp(seen.time.0.saturating_sub(request.took.max(0)));
        let writes = request.success.iter().chain(&request.failure).any(|op| op.kind != KeyOpKind::Range);
        if writes {
            let bare = !request.method.ends_with("Txn");
            if let Some(user) = request.user.as_ref().filter(|_| bare && self.foreign_names.len() < WAITING) {
                self.foreign_names.insert((&**user).into());
            }
            let conditional = request.method.ends_with("Txn") && !request.compares.is_empty();
            if conditional
                && let Some(remote) = &request.remote
                && self.api_server_remotes.len() < WAITING
            {
                self.api_server_remotes.insert((&**remote).into());
            }
        }
        let prefixes = &world.context.settings.key_prefixes;
        let read = request.success.iter().find(|op| op.kind == KeyOpKind::Range).filter(|_| !writes);
        let covered = read.filter(|op| reaches_objects(op, prefixes));
        let strange = covered.and_then(|op| self.form(op));
        let (Some(op), Some(strange)) = (covered, strange) else {
            self.harmless.push_back((began, seen.time));
            if self.harmless.len() > WAITING {
                self.harmless.pop_front();
            }
            return;
        };
        let cite = seen.cite(words(op, request));
        let known =
            self.reads.iter_mut().rev().take_while(|read| read.last + SAME_READ >= seen.time).find(|read| {
                *read.key == *op.key
                    && *read.range_end == *op.range_end
                    && !read.lines.contains(&request.line)
            });
        let read = if let Some(read) = known {
            read.last = seen.time;
            read
        } else {
            if self.reads.len() >= WAITING {
                self.reads.pop_front();
            }
            self.reads.push_back(Read {
                first: seen.time,
                last: seen.time,
                began,
                key: (&*op.key).into(),
                range_end: (&*op.range_end).into(),
                keys_only: op.keys_or_count_only,
                strange,
                remote: None,
                count: None,
                cites: Vec::new(),
                lines: Vec::new(),
                certificate: None,
            });
            let Some(read) = self.reads.back_mut() else { return };
            read
        };
        read.began = read.began.min(began);
        read.lines.push(request.line);
        read.cites.push(cite);
        read.remote = read.remote.take().or_else(|| request.remote.as_deref().map(Into::into));
        read.count = read.count.or(request.response_count);
    }

    /// What is strange about a read of objects; `None` where an API server reads like this.
    fn form(&mut self, op: &KeyOp<'_>) -> Option<Strange> {
        if op.range_end.is_empty() {
            if op.limit > 0 {
                self.points_with_limit += 1;
                return None;
            }
            if op.keys_or_count_only {
                return Some(Strange::Certainly("it asks for one key without its value"));
            }
            self.points_without_limit += 1;
            return Some(Strange::PointWithoutLimit);
        }
        let bounds = op.key.strip_suffix('/').zip(op.range_end.strip_suffix('0'));
        let is_list = bounds.is_some_and(|(from, to)| from == to) || op.limit > 0;
        if !is_list {
            return Some(Strange::Certainly(
                "its bounds are not those of a list of the API server, which end in a slash",
            ));
        }
        // An API server counts objects, and keeps statistics of keys, by lists of just these bounds.
        if op.limit > 0 || op.keys_or_count_only {
            return None;
        }
        Some(Strange::ListWithoutLimit)
    }

    fn judge_until(&mut self, due: Timestamp, world: &mut World) {
        while self.reads.front().is_some_and(|read| read.last <= due) {
            let Some(mut read) = self.reads.pop_front() else { break };
            self.claim_certificate(&mut read);
            if let Some(why) = self.why_foreign(&read, world) {
                if let Some(user) = &read.certificate {
                    self.foreign_names.insert(user.clone());
                }
                report(&read, &why, world);
            }
        }
        while self.certificates.front().is_some_and(|(cite, _)| cite.time + SAME_CLIENT <= due) {
            let Some((cite, user)) = self.certificates.pop_front() else { break };
            if !self.is_foreign_name(&user) || self.accounted_for(cite.time, world) {
                continue;
            }
            // The watch that is read here was itself begun by a client with a certificate.
            let begins_watch = |first: Timestamp| cite.time <= first && first <= cite.time + OWN_WATCH;
            if !self.own_watch_met && self.first_revision.is_some_and(begins_watch) {
                self.own_watch_met = true;
                world.verdicts.explained(How::Monitoring);
                continue;
            }
            report_stream(cite, &user, self.foreign_names.contains(&user), world);
        }
        while self.harmless.front().is_some_and(|(_, ended)| *ended + SAME_CLIENT * 2 <= due) {
            self.harmless.pop_front();
        }
    }

    /// Takes the certificate's line that was written while the request was served.
    fn claim_certificate(&mut self, read: &mut Read) {
        let in_time =
            |cite: &Cite| read.began - Duration::from_millis(2) <= cite.time && cite.time <= read.last;
        let foreign =
            self.certificates.iter().position(|(cite, user)| in_time(cite) && self.is_foreign_name(user));
        let index = foreign.or_else(|| self.certificates.iter().position(|(cite, _)| in_time(cite)));
        if let Some((cite, user)) = index.and_then(|index| self.certificates.remove(index)) {
            read.cites.push(cite);
            read.certificate = Some(user);
        }
    }

    fn is_foreign_name(&self, user: &str) -> bool {
        let most = self.certificate_uses.iter().max_by_key(|(name, uses)| (**uses, std::cmp::Reverse(*name)));
        let own = self.certificate_uses.get(user).copied().unwrap_or(0);
        most.is_some_and(|(name, uses)| **name != *user && *uses >= 50 && own * 20 < *uses)
    }

    /// Whether a request that the log shows, harmless or written about elsewhere, goes with a certificate's use.
    fn accounted_for(&self, time: Timestamp, world: &World) -> bool {
        let margin = Duration::from_millis(5);
        self.harmless.iter().any(|(began, ended)| *began - margin <= time && time <= *ended + margin)
            || world
                .ledger
                .etcd_writes
                .iter()
                .any(|(began, ended)| *began - margin <= time && time <= *ended + margin)
    }

    fn why_foreign(&self, read: &Read, world: &World) -> Option<String> {
        if let Some(user) = read.certificate.as_deref().filter(|user| self.is_foreign_name(user)) {
            return Some(format!("it came with the certificate of {user}, which is not the API server's"));
        }
        match read.strange {
            Strange::Certainly(why) => Some(why.to_owned()),
            Strange::PointWithoutLimit => {
                (self.points_with_limit > 20 && self.points_without_limit * 20 < self.points_with_limit).then(
                    || "it reads one key without a limit, while this API server always sets one".to_owned(),
                )
            }
            Strange::ListWithoutLimit => {
                let deletes =
                    world.ledger.requests.of_collection_key(&read.key, &world.context.settings.key_prefixes);
                let explained = deletes.iter().any(|fact| {
                    fact.verb == Verb::DeleteCollection
                        && fact.received <= read.last
                        && read.began <= fact.staged + SAME_CLIENT
                });
                let own = read.remote.as_ref().is_some_and(|remote| self.api_server_remotes.contains(remote));
                (!explained && !own).then(|| {
                    "it lists without a limit, and no deletion of a collection was asked for at the time"
                        .to_owned()
                })
            }
        }
    }
}

/// Whether a read reaches keys of objects; the API server's own bookkeeping is not meant.
fn reaches_objects(op: &KeyOp<'_>, prefixes: &[String]) -> bool {
    if op.range_end.is_empty() {
        return prefixes.iter().any(|prefix| {
            let rest = op.key.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('/'));
            rest.is_some_and(|rest| rest.contains('/') && !is_bookkeeping(rest))
        });
    }
    prefixes.iter().any(|prefix| match op.key.strip_prefix(prefix.as_str()) {
        Some(rest) => !is_bookkeeping(rest.trim_start_matches('/')),
        None => *op.key <= **prefix && (*prefix.as_str() < *op.range_end || op.range_end == "\0"),
    })
}

fn is_bookkeeping(rest: &str) -> bool {
    ["masterleases", "peerserverleases", "ranges", "health"].iter().any(|own| rest.starts_with(own))
}

fn words(op: &KeyOp<'_>, request: &EtcdRequest<'_>) -> String {
    let mut words = format!("etcd log: read {}", op.key);
    if !op.range_end.is_empty() {
        words.push_str(&format!(" to {}", op.range_end));
    }
    if let Some(count) = request.response_count {
        words.push_str(&format!(", {count} keys"));
    }
    if let Some(remote) = &request.remote {
        words.push_str(&format!(", from {remote}"));
    }
    words
}

fn report(read: &Read, why: &str, world: &mut World) {
    let prefixes = &world.context.settings.key_prefixes;
    let object = ObjectKey::of_key(&read.key, prefixes).filter(|_| read.range_end.is_empty());
    let secrets =
        read.key.contains("/secrets") || (!read.range_end.is_empty() && read.key.matches('/').count() < 2);
    let what = match &object {
        Some(object) => object.to_string(),
        None if read.range_end.is_empty() => read.key.to_string(),
        None => format!("{} to {}", read.key, read.range_end),
    };
    let verb = if read.keys_only { "listed" } else { "read" };
    let mut draft = GapDraft::new(
        &INFO,
        format!("{what} {verb} in etcd by a client that is not the API server"),
        read.cites.clone(),
    );
    draft.techniques = vec!["ET4"];
    draft.severity = match (secrets, read.keys_only, read.range_end.is_empty()) {
        (true, false, false) => Severity::Critical,
        (true, false, true) => Severity::High,
        (_, true, _) | (false, false, _) => Severity::Medium,
    };
    draft.confidence = if read.certificate.is_some() { Confidence::Certain } else { Confidence::High };
    draft.object = super::etcd_write::gap_object(object.as_ref(), &read.key, "");
    super::address_of(read.remote.as_deref().unwrap_or_default()).clone_into(&mut draft.actor.source_ip);
    read.certificate.as_deref().unwrap_or_default().clone_into(&mut draft.actor.certificate_cn);
    super::etcd_write::attribute(read.first, world, &mut draft);
    draft.threads = object.iter().map(|object| format!("object:{object}")).collect();
    draft.threads.extend(read.remote.as_ref().map(|remote| format!("etcd-client:{remote}")));
    draft.why = format!("etcd served a read of {what} at {}, and not to the API server: {why}.", read.first);
    if let Some(count) = read.count.filter(|count| *count > 0) {
        draft.why.push_str(&format!(" Keys returned: {count}."));
    }
    draft.why.push_str(" Reads in etcd pass by audit and admission altogether.");
    world.report(draft);
}

/// A certificate was used and no request shows what for: a watch or a copy of the database.
///
/// A certificate that is otherwise used for health checks alone is a monitor's; one that wrote or read objects is not.
fn report_stream(cite: Cite, user: &str, known_foreign: bool, world: &mut World) {
    let time = cite.time;
    let title = format!("etcd was used with the certificate of {user} for something its log does not show");
    let mut draft = GapDraft::new(&INFO, title, vec![cite]);
    draft.techniques = vec!["ET4"];
    draft.severity = if known_foreign { Severity::Medium } else { Severity::Info };
    draft.confidence = Confidence::Medium;
    draft.object = GapObject { resource: "key".to_owned(), ..GapObject::default() };
    user.clone_into(&mut draft.actor.certificate_cn);
    super::etcd_write::attribute(time, world, &mut draft);
    draft.threads = vec![format!("etcd-user:{user}")];
    draft.why = format!(
        "At {time} etcd authenticated a client by the certificate of {user}, which is not the API server's. No request \
         was logged with it; watches and copies of the database leave no other line."
    );
    world.report(draft);
}
