//! Requests that a kubelet served and that no recorded request to the API server led to.
//!
//! An action is one line of the kubelet's access log; it is written when the request ends and tells how long it took.
//! It is explained by one recorded stream into the same Pod with the same command, or by one request through the
//! node's proxy with the same URI. What clusters read all the time for monitoring is a gap of no severity.
//!
//! Page: `docs/rules/kubelet-request.md`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use auditgap_records::kubelet::KubeletLine;
use auditgap_records::report::Path;
use auditgap_records::{FeedKind, Position, Timestamp};

use super::{Rule, RuleInfo};
use crate::fact::Fact;
use crate::fold::{Folds, Ground};
use crate::kubelet_uri::{Endpoint, KubeletUri, logs_requests, shown};
use crate::lookup::Lookup;
use crate::patience::Patience;
use crate::verdict::{Cite, How};
use crate::world::{Seen, World};

mod attribution;
mod explain;
mod gap;
#[cfg(test)]
mod tests;

/// The rule.
pub static INFO: RuleInfo = RuleInfo {
    name: "kubelet-request",
    path: Path::KubeletApi,
    techniques: &["KL1", "KL2", "KL3", "KL4", "KL5", "KL6", "KL8", "KL9", "KL10"],
    attack: &["T1609", "T1613", "T1005", "T1078", "T1133", "T1552.004"],
    next_steps: &[
        "Find who holds the credential: the reviewed user in the evidence, else the source address, at that time.",
        "Look into the Pod that was reached: what ran in it, which secrets and tokens it can read. Take them as known to others.",
        "Take away `nodes/proxy` and the other `nodes` subresources from whoever does not need them; replace the credential that was used.",
        "Close port 10250 to all but the API servers and the scrapers, turn anonymous access and the read-only port off.",
    ],
};

/// How far a line about a refusal may be from the line of the refused request.
const SAME_MOMENT: Duration = Duration::from_millis(200);

/// Lines about refusals kept per feed until their request's line comes.
const NOTES: usize = 64;

/// Requests that wait for their verdict, at the most.
const WAITING: usize = 200_000;

/// Reads of one client that follow each other within this time are one gap.
const READ_PAUSE: Duration = Duration::from_mins(1);

/// Monitoring that comes at least this often is one gap.
const MONITORING_PAUSE: Duration = Duration::from_hours(1);

/// A request that a kubelet served.
#[derive(Clone, Debug)]
struct Action {
    feed: u16,
    position: Position,
    /// Instance of the kubelet.
    node: String,
    method: Box<str>,
    uri: KubeletUri,
    start: Timestamp,
    end: Timestamp,
    /// `None` for a connection that was taken over by a stream.
    code: Option<u16>,
    /// Peer `address:port`.
    source: Box<str>,
    user_agent: Box<str>,
    /// The user that the kubelet names in a refusal.
    refused_user: Box<str>,
    /// The kubelet's other lines about it.
    notes: Vec<Cite>,
}

impl Action {
    fn cite(&self) -> Cite {
        let Self { method, node, .. } = self;
        let answer = self.code.map_or_else(|| "a stream".to_owned(), |code| code.to_string());
        let summary =
            format!("kubelet of {node}: {method} {} from {}, {answer}", self.uri.path_shown(), self.source);
        Cite { time: self.end, feed: self.feed, position: self.position, summary }
    }

    /// The peer's address without the port.
    fn address(&self) -> &str {
        let address = self.source.rsplit_once(':').map_or(&*self.source, |(address, _)| address);
        address.trim_matches(['[', ']'])
    }

    /// Requests for which the same recorded request may account.
    fn group(&self) -> String {
        match &self.uri.target {
            Some(target) => format!("{:?}/{}/{}", self.uri.endpoint, target.namespace, target.pod),
            None => self.uri.canonical(),
        }
    }

    fn outcome(&self) -> Outcome {
        let follows = self.uri.values("follow").any(|value| value != "false" && value != "0");
        match self.code {
            // A reader that hangs up while it follows a log is answered 400, after it has read.
            Some(400) if self.uri.endpoint == Endpoint::ContainerLogs && follows => Outcome::Done,
            None | Some(100..=299 | 302 | 304) => Outcome::Done,
            Some(401 | 403) => Outcome::Refused,
            // A command that ran and failed is answered 500.
            Some(500) if self.uri.endpoint == Endpoint::Run => Outcome::Unclear,
            Some(_) => Outcome::Failed,
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Served.
    Done,
    /// Not authenticated or not authorised.
    Refused,
    /// Let through, and the answer does not tell whether it was carried out.
    Unclear,
    /// Anything else.
    Failed,
}

/// A line that tells why a request was refused.
#[derive(Debug)]
struct Note {
    cite: Cite,
    /// Empty where authentication failed.
    user: Box<str>,
    code: u16,
}

/// In the order of their ends, which is the order in which they are judged.
type ActionKey = (Timestamp, u16, Position);

/// The rule's state.
#[derive(Debug, Default)]
pub struct KubeletRequest {
    waiting: BTreeMap<ActionKey, Action>,
    groups: Lookup<String, BTreeSet<ActionKey>>,
    notes: BTreeMap<u16, VecDeque<Note>>,
    folds: Folds,
    patience: Patience,
    /// Addresses that explained requests came from: those of API servers.
    api_server_addresses: BTreeSet<Box<str>>,
    /// Kubelets that are known to log their requests.
    verbose: BTreeSet<String>,
    /// Kubelets that serve the read-only port.
    read_only: BTreeSet<String>,
}

impl Rule for KubeletRequest {
    fn observe(&mut self, seen: Seen<'_>, world: &mut World) {
        let Fact::Kubelet(line) = seen.fact else { return };
        if logs_requests(line) && !self.verbose.contains(world.instance(seen.feed)) {
            self.verbose.insert(world.instance(seen.feed).to_owned());
        }
        match &**line {
            KubeletLine::Http { .. } => self.observe_request(seen, line, world),
            KubeletLine::Forbidden { user, verb, .. } => {
                let summary = format!("kubelet: {user} may not {verb}");
                self.note(seen, Note { cite: seen.cite(summary), user: (&**user).into(), code: 403 });
            }
            KubeletLine::AuthenticationFailed { error } => {
                let summary = format!("kubelet: not authenticated: {}", shown(error));
                self.note(seen, Note { cite: seen.cite(summary), user: Box::default(), code: 401 });
            }
            KubeletLine::Listening { read_only: true, .. } => {
                self.read_only.insert(world.instance(seen.feed).to_owned());
            }
            _ => {}
        }
    }

    fn tick(&mut self, world: &mut World) {
        let first = self.waiting.first_key_value().map(|(key, _)| key.0);
        let settled = self.patience.settled(first, world);
        self.judge_until(settled, world);
        self.folds.tick(settled, world);
    }

    fn finish(&mut self, world: &mut World) {
        self.judge_until(Timestamp::MAX, world);
        self.folds.finish(world);
        self.say_what_was_not_watched(world);
    }
}

impl KubeletRequest {
    fn note(&mut self, seen: Seen<'_>, note: Note) {
        let notes = self.notes.entry(seen.feed).or_default();
        if notes.len() >= NOTES {
            notes.pop_front();
        }
        notes.push_back(note);
    }

    fn observe_request(&mut self, seen: Seen<'_>, line: &KubeletLine<'_>, world: &mut World) {
        let KubeletLine::Http { method, uri, latency, user_agent, source, code, forbidden_user } = line
        else {
            return;
        };
        let node = world.instance(seen.feed).to_owned();
        let latency = Duration::from_nanos(u64::try_from(*latency).unwrap_or_default());
        let mut action = Action {
            feed: seen.feed,
            position: seen.position,
            node,
            method: (&**method).into(),
            uri: KubeletUri::parse(uri),
            start: seen.time - latency,
            end: seen.time,
            code: *code,
            source: (&**source).into(),
            user_agent: (&**user_agent).into(),
            refused_user: forbidden_user.as_deref().unwrap_or_default().into(),
            notes: Vec::new(),
        };
        if is_own_probe(&action) {
            world.verdicts.explained(How::Monitoring);
            return;
        }
        self.take_notes(&mut action);
        if self.waiting.len() >= WAITING {
            let reason = "more requests to kubelets at once than can be held";
            world.cannot_judge(Path::KubeletApi, reason, "look into what floods the kubelets", action.start);
            return;
        }
        let key = (action.end, action.feed, action.position);
        self.groups.entry(action.group()).or_default().insert(key);
        self.waiting.insert(key, action);
    }

    /// The lines just before a refused request's own line say why it was refused.
    fn take_notes(&mut self, action: &mut Action) {
        let Some(notes) = self.notes.get_mut(&action.feed) else { return };
        let since = action.end - SAME_MOMENT;
        notes.retain(|note| note.cite.time >= since);
        let is_its = |note: &Note| {
            let same_user = action.refused_user.is_empty() || note.user == action.refused_user;
            Some(note.code) == action.code && (note.code == 401 || same_user)
        };
        // Fine-grained authorisation writes one line for each subresource that it tries.
        let first = notes.iter().rev().find(|note| is_its(note)).map(|note| note.user.clone());
        let Some(user) = first else { return };
        let (its, others) = std::mem::take(notes)
            .into_iter()
            .partition::<Vec<Note>, _>(|note| Some(note.code) == action.code && note.user == user);
        *notes = others.into();
        action.refused_user = user;
        action.notes.extend(its.into_iter().map(|note| note.cite));
    }

    fn judge_until(&mut self, settled: Timestamp, world: &mut World) {
        while let Some((key, _)) = self.waiting.first_key_value() {
            if key.0 > settled {
                return;
            }
            let key = *key;
            self.judge(key, world);
        }
    }

    fn judge(&mut self, key: ActionKey, world: &mut World) {
        let Some(first) = self.waiting.get(&key) else { return };
        let group = first.group();
        let members: Vec<&Action> = self
            .groups
            .get(&group)
            .into_iter()
            .flatten()
            .take(explain::TOGETHER)
            .filter_map(|key| self.waiting.get(key))
            .collect();
        // The group's first member is the one whose turn it is.
        let stream = explain::assign(&members, world);
        let Some(action) = self.waiting.remove(&key) else { return };
        if let Some(keys) = self.groups.get_mut(&group) {
            keys.remove(&key);
            if keys.is_empty() {
                self.groups.remove(&group);
            }
        }
        match stream {
            Some(id) => self.explained(&action, id, world),
            None => self.unexplained(&action, world),
        }
    }

    fn explained(&mut self, action: &Action, id: crate::ledger::streams::StreamId, world: &mut World) {
        if let Some(stream) = world.ledger.streams.get_mut(id) {
            stream.kubelet_requests += 1;
            if world.verdicts.is_tracing() {
                let accounts = stream.cite().summary;
                let mut cite = action.cite();
                cite.summary = format!("{}, accounted for by {accounts}", cite.summary);
                world.verdicts.trace(How::Request, &[&action.uri.path_shown()], cite);
            }
        }
        if let Some(user) = attribution::api_server_user(action, world) {
            world.ledger.reviews.learn_api_server(&user);
        }
        if self.api_server_addresses.len() < 64 {
            self.api_server_addresses.insert(action.address().into());
        }
        world.verdicts.explained(How::Request);
    }

    fn unexplained(&mut self, action: &Action, world: &mut World) {
        let attribution = attribution::attribute(action, world);
        let access = attribution::Access::of(action, &attribution, &self.read_only, world);
        let (expected, absence) = explain::weigh(action, world);
        let mut draft = gap::draft(action, &attribution, &access, &self.api_server_addresses);
        draft.expected = expected;
        draft.rejected = explain::near_misses(action, world);
        let ground = if attribution.is_stranger(world) { Ground::Nature } else { Ground::Absence(absence) };
        let pause = if action.uri.endpoint.is_monitoring() { MONITORING_PAUSE } else { READ_PAUSE };
        let is_single = action.uri.target.is_some() && action.outcome() == Outcome::Done;
        if is_single {
            match ground {
                Ground::Nature => world.report(draft),
                Ground::Absence(absence) => world.judge_absence(draft, absence),
            }
            return;
        }
        let key = gap::fold_key(action, &draft);
        self.folds.add(key, action.end, pause, draft, ground, world);
    }

    fn say_what_was_not_watched(&self, world: &mut World) {
        let kubelets: BTreeSet<String> = world
            .feeds
            .of_kind(FeedKind::Kubelet)
            .filter(|state| state.records > 0)
            .map(|state| state.feed.instance.clone())
            .collect();
        if kubelets.is_empty() {
            world.verdicts.not_watched(
                Path::KubeletApi,
                "no kubelet log",
                "give the kubelets' logs to auditgap (--kubelet), written with --v=3 or more",
            );
        }
        for kubelet in kubelets.difference(&self.verbose) {
            let reason = format!("kubelet of {kubelet} logs no requests (verbosity below 3)");
            let cure = "start the kubelets with --v=3, so that they log every request to their API";
            world.verdicts.not_watched(Path::KubeletApi, &reason, cure);
        }
    }
}

/// A health check from the node itself.
fn is_own_probe(action: &Action) -> bool {
    let local = matches!(action.address().parse::<std::net::IpAddr>(), Ok(address) if address.is_loopback());
    let healthy = matches!(action.code, Some(200..=299));
    action.uri.endpoint == Endpoint::Health && &*action.method == "GET" && local && healthy
}
