//! What else is done to etcd around the API server: copies of the database, compaction, users and members, use of the
//! HTTP gateway, refused connections, replaced state.
//!
//! No request of the API leads to any of these but the API server's own compaction.
//!
//! Page: `docs/rules/etcd-admin.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::etcd::{EtcdLine, EtcdRequest, Revision};
use auditgap_records::report::{Confidence, GapObject, Path, Severity};

use super::{Rule, RuleInfo};
use crate::fact::Fact;
use crate::verdict::{Cite, GapDraft, How};
use crate::world::{Seen, World};

/// The rule.
pub static INFO: RuleInfo = RuleInfo {
    name: "etcd-admin",
    path: Path::EtcdApi,
    techniques: &["ET5", "ET9", "ET10", "ET11"],
    attack: &["T1005", "T1046", "T1070", "T1565.001"],
    next_steps: &[
        "Ask whoever runs etcd whether a backup, a maintenance job or a change of members was due at this time.",
        "If not, find the client: connections to etcd's client port, processes with access to its certificates.",
        "After a copy of the database, take every Secret as known to its holder and rotate them.",
    ],
};

/// Lines of one act stand this close together.
const SAME_ACT: Duration = Duration::from_secs(5);

/// The API server marks its key right before it compacts.
const MARKED: Duration = Duration::from_secs(3);

/// etcd says what it always says when it starts within this time.
const START: Duration = Duration::from_secs(60);

/// Revisions older than the newest, in a row, after which they are not late but from another store.
const REPLACED: u32 = 5;

/// Jobs do not run more often than this.
const LEAST_INTERVAL: Duration = Duration::from_secs(30);

/// Acts before and after one that may be of the same job: others may come between.
const NEXT: usize = 3;

/// Acts that wait to be known by their rhythm, at the most.
const WAITING: usize = 4_096;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Snapshot,
    Compaction,
    Defragmentation,
    Gateway,
    Refused,
    Auth,
    AuthRefused,
    Members,
    Restored,
    RevisionWentBack,
}

#[derive(Debug)]
struct Act {
    kind: Kind,
    subject: String,
    first: Timestamp,
    last: Timestamp,
    cites: Vec<Cite>,
    user: String,
    remote: String,
}

/// The rule's state.
#[derive(Debug, Default)]
pub struct EtcdAdmin {
    open: Vec<Act>,
    /// Times of the acts of a kind, to know a job by its cadence.
    times: BTreeMap<Kind, Vec<Timestamp>>,
    marks: Vec<Timestamp>,
    starts: Vec<Timestamp>,
    /// The newest revision of each watch, and how many in a row were older.
    newest_revision: BTreeMap<u16, (i64, u32)>,
    watched: bool,
}

impl Rule for EtcdAdmin {
    fn observe(&mut self, seen: Seen<'_>, _world: &mut World) {
        match seen.fact {
            Fact::Etcd(line) => self.observe_line(seen, line),
            Fact::Revision(revision) => {
                self.watched = true;
                if &*revision.key == "compact_rev_key" {
                    self.mark(seen.time);
                }
                self.observe_revision(seen, revision);
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

impl EtcdAdmin {
    /// Revisions only grow. One below the newest may have come late; a run of them means that the store was replaced.
    fn observe_revision(&mut self, seen: Seen<'_>, revision: &Revision<'_>) {
        if revision.replayed {
            return;
        }
        let (newest, below) = self.newest_revision.entry(seen.feed).or_insert((revision.mod_revision, 0));
        if revision.mod_revision >= *newest {
            (*newest, *below) = (revision.mod_revision, 0);
            return;
        }
        *below += 1;
        if *below >= REPLACED {
            let words = format!("revision {} after {newest}", revision.mod_revision);
            (*newest, *below) = (revision.mod_revision, 0);
            let cite = seen.cite(format!("etcd: {words}"));
            self.act(Kind::RevisionWentBack, words, cite, "", "");
        }
    }

    fn observe_line(&mut self, seen: Seen<'_>, line: &EtcdLine<'_>) {
        match line {
            EtcdLine::Request(request) => self.observe_request(seen, request),
            EtcdLine::Snapshot { size, done } => {
                let verb = if *done { "was sent" } else { "is being sent" };
                let size = size.map_or_else(String::new, |size| format!(" ({size} bytes)"));
                let cite = seen.cite(format!("etcd log: a copy of the database{size} {verb} to a client"));
                self.act(Kind::Snapshot, String::new(), cite, "", "");
            }
            EtcdLine::Compaction { revision, begun: true } => {
                let revision = revision.map_or_else(String::new, |revision| revision.to_string());
                let cite = seen.cite(format!("etcd log: history before revision {revision} erased"));
                self.act(Kind::Compaction, revision, cite, "", "");
            }
            EtcdLine::Defragmented { begun } => {
                let verb = if *begun { "began" } else { "ended" };
                let cite = seen.cite(format!("etcd log: defragmentation {verb}"));
                self.act(Kind::Defragmentation, String::new(), cite, "", "");
            }
            EtcdLine::Gateway { user } => {
                let cite = seen.cite(format!("etcd log: the HTTP gateway was used (it shows as {user})"));
                self.act(Kind::Gateway, String::new(), cite, "", "");
            }
            EtcdLine::RejectedConnection { remote, error, peer } => {
                if !is_refusal(error) {
                    return;
                }
                let port = if *peer { "peer" } else { "client" };
                let cite = seen
                    .cite(format!("etcd log: connection from {remote} to the {port} port refused: {error}"));
                let host = super::address_of(remote);
                self.act(Kind::Refused, error.to_string(), cite, "", host);
            }
            EtcdLine::AuthChanged { what, name } => {
                let cite = seen.cite(format!("etcd log: {what} {name}"));
                self.act(Kind::Auth, format!("{what} {name}").trim().to_owned(), cite, name, "");
            }
            EtcdLine::AuthFailed { what, user } => {
                let cite = seen.cite(format!("etcd log: {what} {user}"));
                self.act(Kind::AuthRefused, what.to_string(), cite, user, "");
            }
            EtcdLine::MemberChanged { what, member } => {
                let cite = seen.cite(format!("etcd log: {what} {member}"));
                self.act(Kind::Members, format!("{what} {member}").trim().to_owned(), cite, "", "");
            }
            EtcdLine::Started { force_new_cluster, name, .. } => {
                if self.starts.len() >= 256 {
                    self.starts.remove(0);
                }
                self.starts.push(seen.time);
                if *force_new_cluster {
                    let words = format!("member {name} started with --force-new-cluster");
                    let cite = seen.cite(format!("etcd log: {words}"));
                    self.act(Kind::Restored, words, cite, "", "");
                }
            }
            _ => {}
        }
    }

    fn observe_request(&mut self, seen: Seen<'_>, request: &EtcdRequest<'_>) {
        if request.success.iter().any(|op| op.key == "compact_rev_key") {
            self.mark(seen.time);
        }
        let call = request.method.trim_start_matches("/etcdserverpb.");
        let kind = match call.split_once('/') {
            Some(("Auth", "Authenticate")) => return,
            Some(("Auth", _)) => Kind::Auth,
            Some(("Cluster", "MemberAdd" | "MemberRemove" | "MemberUpdate" | "MemberPromote")) => {
                Kind::Members
            }
            Some(("Maintenance", "Defragment")) => Kind::Defragmentation,
            Some(("Maintenance", "MoveLeader" | "Downgrade")) => Kind::Members,
            Some(("KV", "Compact" | "Compaction")) => Kind::Compaction,
            _ => return,
        };
        let (user, remote) =
            (request.user.as_deref().unwrap_or_default(), request.remote.as_deref().unwrap_or_default());
        let cite = seen.cite(format!("etcd log: {call} from {remote}"));
        let subject = if kind == Kind::Compaction { String::new() } else { call.to_owned() };
        self.act(kind, subject, cite, user, remote);
    }

    fn mark(&mut self, time: Timestamp) {
        if self.marks.len() >= 1_024 {
            self.marks.remove(0);
        }
        self.marks.push(time);
    }

    /// Notes an act, or adds to the one it belongs to.
    fn act(&mut self, kind: Kind, subject: String, cite: Cite, user: &str, remote: &str) {
        let known = self.open.iter_mut().rev().find(|act| {
            act.kind == kind
                && act.last + SAME_ACT >= cite.time
                && (matches!(kind, Kind::Snapshot | Kind::Compaction | Kind::Defragmentation | Kind::Gateway)
                    || (kind == Kind::Refused && act.remote == remote && act.subject == subject)
                    || kind == Kind::Auth
                    || kind == Kind::Members)
        });
        if let Some(known) = known {
            known.last = known.last.max(cite.time);
            if known.cites.len() < 64 {
                known.cites.push(cite);
            }
            if known.remote.is_empty() {
                remote.clone_into(&mut known.remote);
            }
            if known.subject.is_empty() {
                known.subject = subject;
            }
            return;
        }
        let times = self.times.entry(kind).or_default();
        if times.len() >= 1_024 {
            times.remove(0);
        }
        times.insert(times.partition_point(|time| *time <= cite.time), cite.time);
        self.open.push(Act {
            kind,
            subject,
            first: cite.time,
            last: cite.time,
            cites: vec![cite],
            user: user.to_owned(),
            remote: remote.to_owned(),
        });
    }

    fn judge_until(&mut self, due: Timestamp, world: &mut World) {
        let rhythm = if self.open.len() > WAITING { SAME_ACT } else { world.context.settings.rhythm_wait };
        let wait = |act: &Act| if act.kind.may_be_a_job() { rhythm.max(SAME_ACT) } else { SAME_ACT };
        let (ready, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.open).into_iter().partition(|act| act.last + wait(act) <= due);
        self.open = open;
        for act in ready {
            self.judge(act, world);
        }
    }

    fn judge(&self, act: Act, world: &mut World) {
        let started = self.starts.iter().any(|start| *start <= act.last && act.first <= *start + START);
        let marked = self.marks.iter().any(|mark| *mark <= act.last + MARKED && act.first <= *mark + MARKED);
        match act.kind {
            Kind::Compaction if marked => return world.verdicts.explained(How::SystemWrite),
            // Without a watch, and without the debug log, the API server's mark cannot be seen.
            Kind::Compaction if !self.watched && self.marks.is_empty() => {
                let reason =
                    "history in etcd was compacted, and neither a watch nor debug lines tell by whom";
                let cure = "record a watch on the whole key space (docs/operating.md)";
                return world.cannot_judge(Path::EtcdApi, reason, cure, act.first);
            }
            Kind::Members if started => return world.verdicts.explained(How::Restart),
            _ => {}
        }
        let regular = self.is_regular(&act);
        let (title, severity, confidence, technique, why) = words(&act);
        let mut draft = GapDraft::new(&INFO, title, act.cites);
        draft.severity = if regular { Severity::Info } else { severity };
        draft.confidence = confidence;
        draft.techniques = vec![technique];
        draft.object = GapObject { resource: "key".to_owned(), key: act.subject, ..GapObject::default() };
        draft.actor.user = act.user;
        super::address_of(&act.remote).clone_into(&mut draft.actor.source_ip);
        super::etcd_write::attribute(act.first, world, &mut draft);
        if !act.remote.is_empty() {
            draft.threads.push(format!("etcd-client:{}", act.remote));
        }
        draft.why = why;
        if regular {
            draft.why.push_str(" It comes at regular intervals, as a job's work does.");
        }
        world.report(draft);
    }

    /// Whether an act is one of three that follow each other at the same interval, within a fortieth.
    fn is_regular(&self, act: &Act) -> bool {
        let Some(times) = self.times.get(&act.kind).filter(|_| act.kind.may_be_a_job()) else { return false };
        let near = |moment: i64, slack: i64| {
            let from = times.partition_point(|time| time.0 < moment.saturating_sub(slack));
            times.get(from).is_some_and(|time| time.0 <= moment.saturating_add(slack))
        };
        // Of many acts some are at any interval by chance: only the next ones count.
        let own = times.partition_point(|time| *time < act.first);
        let next = times.iter().take(own + NEXT + 1).skip(own.saturating_sub(NEXT));
        next.map(|other| (other, other.nanos_since(act.first))).any(|(other, interval)| {
            let slack = interval.abs() / 40;
            interval.unsigned_abs() >= LEAST_INTERVAL.as_nanos() as u64
                && (near(other.0.saturating_add(interval), slack)
                    || near(act.first.0.saturating_sub(interval), slack))
        })
    }
}

impl Kind {
    /// Backups and maintenance run by the clock.
    fn may_be_a_job(self) -> bool {
        matches!(self, Self::Snapshot | Self::Compaction | Self::Defragmentation)
    }
}

/// A refusal is about credentials; a connection that merely ended says nothing.
fn is_refusal(error: &str) -> bool {
    error.contains("tls:")
        || error.contains("x509")
        || error.contains("certificate")
        || error.contains("remote error")
}

fn words(act: &Act) -> (String, Severity, Confidence, &'static str, String) {
    let at = act.first;
    let subject = &act.subject;
    match act.kind {
        Kind::Snapshot => (
            "A copy of the whole database was sent to a client of etcd".to_owned(),
            Severity::High,
            Confidence::Certain,
            "ET5",
            format!(
                "At {at} etcd sent a copy of its whole database to a client. The API server never asks for one, and the \
                 copy holds every Secret. etcd does not log who asked."
            ),
        ),
        Kind::Compaction => (
            "History in etcd was erased by a client that is not the API server".to_owned(),
            Severity::Medium,
            Confidence::High,
            "ET10",
            format!(
                "At {at} etcd erased the history of its keys. The API server marks its key right before it does so, and \
                 did not: somebody else asked for it, and earlier values can no longer be read."
            ),
        ),
        Kind::Defragmentation => (
            "etcd's database file was rewritten on a client's request".to_owned(),
            Severity::Low,
            Confidence::High,
            "ET10",
            format!(
                "At {at} a client had etcd rewrite its file. Maintenance does that; so does who wants old pages gone."
            ),
        ),
        Kind::Gateway => (
            "etcd was used through its HTTP gateway".to_owned(),
            Severity::High,
            Confidence::Certain,
            "ET3",
            format!(
                "At {at} a request reached etcd through its HTTP gateway, which the API server does not use. The log does \
                 not show whose certificate it came with."
            ),
        ),
        Kind::Refused => (
            format!("A connection to etcd was refused: {subject}"),
            Severity::Low,
            Confidence::High,
            "ET9",
            format!(
                "At {at} etcd refused {} connection(s) at its TLS layer: {subject}. Nothing was read or written.",
                act.cites.len()
            ),
        ),
        Kind::Auth => (
            format!("etcd's users or roles were used or changed: {subject}"),
            Severity::High,
            Confidence::Certain,
            "ET11",
            format!(
                "At {at} a client used etcd's own accounts ({subject}). The API server has no part in them."
            ),
        ),
        Kind::AuthRefused => (
            format!("etcd refused credentials: {subject}"),
            Severity::Low,
            Confidence::High,
            "ET9",
            format!("At {at} etcd refused a client's credentials: {subject}."),
        ),
        Kind::Members => (
            format!("etcd's members were changed: {subject}"),
            Severity::High,
            Confidence::High,
            "ET11",
            format!(
                "At {at} etcd's membership was changed ({subject}), and etcd was not starting. A new member holds all data."
            ),
        ),
        Kind::Restored => (
            format!("etcd's state was replaced: {subject}"),
            Severity::Critical,
            Confidence::High,
            "ET11",
            format!("At {at} {subject}: whatever it now holds came from elsewhere than the API server."),
        ),
        Kind::RevisionWentBack => (
            format!("etcd went back in its history: {subject}"),
            Severity::Critical,
            Confidence::High,
            "ET11",
            format!(
                "At {at} a watch on etcd saw {subject}. Revisions only grow, unless the store was replaced by an older copy."
            ),
        ),
    }
}
