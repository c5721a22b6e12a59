//! Requests that a kubelet refused, where its log tells of the refusal and not of the request.
//!
//! An action is one attempt: the lines of one moment about one user. Where the kubelet logs its requests, the
//! refused one has a line of its own and is the matter of `kubelet-request`.
//!
//! Page: `docs/rules/kubelet-refused.md`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use auditgap_records::kubelet::KubeletLine;
use auditgap_records::report::{Actor, Confidence, Expected, ExpectedRequest, GapObject, Path, Severity};
use auditgap_records::{Interval, Timestamp};

use super::{Rule, RuleInfo};
use crate::fact::Fact;
use crate::fold::{Folds, Ground};
use crate::kubelet_uri::shown;
use crate::patience::Patience;
use crate::policy::CandidateRequest;
use crate::verdict::{Cite, GapDraft, How};
use crate::world::{Absence, Seen, World};

#[cfg(test)]
mod tests;

/// The rule.
pub static INFO: RuleInfo = RuleInfo {
    name: "kubelet-refused",
    path: Path::KubeletApi,
    techniques: &["KL1", "KL2", "KL3", "KL5", "KL8", "KL9", "KL10"],
    attack: &["T1613", "T1609", "T1133"],
    next_steps: &[
        "Find who tried: the user in the evidence, and what else that user and its credential did around that time.",
        "If it is a scraper that lacks a permission, grant it the one subresource of `nodes` that it needs.",
        "Start the kubelets with --v=3: then the log tells path and source address of every request.",
    ],
};

/// Lines of one attempt are not further apart: the kubelet asks for one subresource after the other.
const ONE_ATTEMPT: Duration = Duration::from_millis(100);

/// How far the line of the request itself may be.
const SAME_MOMENT: Duration = Duration::from_millis(200);

/// How far a review, which is stamped by another clock, may be.
const REVIEW: Duration = Duration::from_secs(1);

/// How long before a refusal the API server may have received the request that led to it.
const BEFORE: Duration = Duration::from_secs(5);

/// Attempts of one kind that follow each other within this time are one gap.
const PAUSE: Duration = Duration::from_mins(1);

/// Failed handshakes come from health checks and port scans, all day.
const HANDSHAKE_PAUSE: Duration = Duration::from_hours(1);

/// Attempts that wait for their verdict, at the most.
const WAITING: usize = 50_000;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Authorisation refused a user.
    Forbidden,
    /// Credentials did not authenticate.
    Unauthenticated,
    /// No connection came about.
    Handshake,
}

/// Something that a kubelet refused.
#[derive(Debug)]
struct Attempt {
    kind: Kind,
    feed: u16,
    node: String,
    /// The user, or the error where there is none.
    who: Box<str>,
    verb: Box<str>,
    subresources: BTreeSet<Box<str>>,
    source: Box<str>,
    first: Timestamp,
    last: Timestamp,
    lines: Vec<Cite>,
}

/// The rule's state.
#[derive(Debug, Default)]
pub struct KubeletRefused {
    waiting: VecDeque<Attempt>,
    /// Lines of refused requests, by feed and status.
    requests: BTreeMap<(u16, u16), VecDeque<Timestamp>>,
    folds: Folds,
    patience: Patience,
}

impl Rule for KubeletRefused {
    fn observe(&mut self, seen: Seen<'_>, world: &mut World) {
        let Fact::Kubelet(line) = seen.fact else { return };
        let node = || world.instance(seen.feed).to_owned();
        let attempt = |kind: Kind, who: &str, summary: String| Attempt {
            kind,
            feed: seen.feed,
            node: node(),
            who: who.into(),
            verb: Box::default(),
            subresources: BTreeSet::new(),
            source: Box::default(),
            first: seen.time,
            last: seen.time,
            lines: vec![seen.cite(summary)],
        };
        match &**line {
            KubeletLine::Http { code: Some(code @ (401 | 403)), .. } => {
                self.requests.entry((seen.feed, *code)).or_default().push_back(seen.time);
            }
            KubeletLine::Forbidden { user, verb, subresources } => {
                let asked = subresources.join(", ");
                let summary = format!("kubelet: {user} may not {verb} nodes/{asked}");
                let mut attempt = attempt(Kind::Forbidden, user, summary);
                attempt.verb = (&**verb).into();
                attempt.subresources = subresources.iter().map(|name| (&**name).into()).collect();
                self.add(attempt, world);
            }
            KubeletLine::AuthenticationFailed { error } => {
                let error = shown(error);
                let summary = format!("kubelet: not authenticated: {error}");
                self.add(attempt(Kind::Unauthenticated, &error, summary), world);
            }
            KubeletLine::TlsFailed { source, error } => {
                let error = shown(error);
                let summary = format!("kubelet: TLS handshake with {source} failed: {error}");
                let mut attempt = attempt(Kind::Handshake, &error, summary);
                attempt.source = source.rsplit_once(':').map_or(&**source, |(address, _)| address).into();
                self.add(attempt, world);
            }
            _ => {}
        }
    }

    fn tick(&mut self, world: &mut World) {
        let first = self.waiting.front().map(|attempt| attempt.last);
        let settled = self.patience.settled(first, world);
        self.judge_until(settled, world);
        self.folds.tick(settled, world);
    }

    fn finish(&mut self, world: &mut World) {
        self.judge_until(Timestamp::MAX, world);
        self.folds.finish(world);
    }
}

impl KubeletRefused {
    fn add(&mut self, attempt: Attempt, world: &mut World) {
        let same =
            self.waiting.iter_mut().rev().take_while(|known| attempt.first <= known.last + ONE_ATTEMPT);
        let mut same = same.filter(|known| {
            attempt.kind == Kind::Forbidden
                && (known.feed, &known.kind) == (attempt.feed, &attempt.kind)
                && (&known.who, &known.verb) == (&attempt.who, &attempt.verb)
                && known.subresources.is_disjoint(&attempt.subresources)
        });
        if let Some(known) = same.next() {
            known.last = attempt.last;
            known.subresources.extend(attempt.subresources);
            known.lines.extend(attempt.lines);
            return;
        }
        if self.waiting.len() >= WAITING {
            let cure = "look into what floods the kubelets";
            world.cannot_judge(
                Path::KubeletApi,
                "more refusals at once than can be held",
                cure,
                attempt.first,
            );
            return;
        }
        self.waiting.push_back(attempt);
    }

    fn judge_until(&mut self, settled: Timestamp, world: &mut World) {
        while self.waiting.front().is_some_and(|attempt| attempt.last <= settled) {
            let Some(attempt) = self.waiting.pop_front() else { return };
            if !self.has_own_line(&attempt) {
                self.judge(&attempt, world);
            }
        }
        let keep = settled - SAME_MOMENT;
        for times in self.requests.values_mut() {
            while times.front().is_some_and(|time| *time < keep) {
                times.pop_front();
            }
        }
    }

    /// Whether the refused request itself is in the log.
    fn has_own_line(&self, attempt: &Attempt) -> bool {
        let code = match attempt.kind {
            Kind::Forbidden => 403,
            Kind::Unauthenticated => 401,
            Kind::Handshake => return false,
        };
        let times = self.requests.get(&(attempt.feed, code));
        let around = (attempt.first - SAME_MOMENT)..=(attempt.last + SAME_MOMENT);
        times.is_some_and(|times| times.iter().any(|time| around.contains(time)))
    }

    fn judge(&mut self, attempt: &Attempt, world: &mut World) {
        let is_stranger = match attempt.kind {
            Kind::Forbidden => !world.ledger.reviews.is_api_server(&attempt.who),
            Kind::Unauthenticated => false,
            Kind::Handshake => true,
        };
        if !is_stranger && spend_failed_stream(attempt, world) {
            world.verdicts.explained(How::Request);
            return;
        }
        let mut draft = draft(attempt, world);
        let ground = if is_stranger {
            Ground::Nature
        } else {
            let (expected, absence) = weigh(attempt, world);
            draft.expected = expected;
            Ground::Absence(absence)
        };
        let subresources: Vec<&str> = attempt.subresources.iter().map(|name| &**name).collect();
        let key = [
            attempt.node.as_str(),
            &format!("{:?}", attempt.kind),
            &attempt.who,
            &attempt.verb,
            &subresources.join(","),
            &attempt.source,
        ]
        .join("\n");
        let pause = if attempt.kind == Kind::Handshake { HANDSHAKE_PAUSE } else { PAUSE };
        self.folds.add(key, attempt.last, pause, draft, ground, world);
    }
}

/// A request of the API server's that failed at that moment is the one that was refused.
fn spend_failed_stream(attempt: &Attempt, world: &mut World) -> bool {
    let (from, to) = (attempt.first - BEFORE, attempt.last + ONE_ATTEMPT);
    let failed = world.ledger.streams.iter_mut().find(|stream| {
        stream.received >= from
            && stream.received <= to
            && stream.fact.code >= 400
            && stream.kubelet_requests == 0
    });
    failed.is_some_and(|stream| {
        stream.kubelet_requests += 1;
        true
    })
}

fn weigh(attempt: &Attempt, world: &World) -> (Expected, Absence) {
    let pods = ["exec", "attach", "portforward", "log"].map(|subresource| ("pods", subresource));
    let resources: Vec<(&str, &str)> = pods.into_iter().chain([("nodes", "proxy")]).collect();
    let candidates: Vec<CandidateRequest<'_>> = resources
        .iter()
        .map(|(resource, subresource)| CandidateRequest {
            verbs: if *subresource == "log" { &["get"] } else { &["get", "create"] },
            groups: &[""],
            resource,
            subresource,
            namespace: None,
            name: None,
        })
        .collect();
    let requests = resources
        .iter()
        .map(|(resource, subresource)| ExpectedRequest {
            verb: "get".to_owned(),
            resource: (*resource).to_owned(),
            subresource: (*subresource).to_owned(),
            ..ExpectedRequest::default()
        })
        .collect();
    let skew = world.context.settings.skew;
    let window = Interval::new(attempt.first - BEFORE, attempt.last + ONE_ATTEMPT);
    let absence = world.weigh_absence(Interval::new(attempt.first - skew, attempt.last + skew), &candidates);
    (Expected { requests, window: Some(window), audit_watermark: None }, absence)
}

fn draft(attempt: &Attempt, world: &World) -> GapDraft {
    let Attempt { node, who, verb, .. } = attempt;
    let asked: Vec<&str> = attempt.subresources.iter().map(|name| &**name).collect();
    let asked = asked.join(", ");
    let first = attempt.first;
    let (title, why) = match attempt.kind {
        Kind::Forbidden => (
            format!(
                "Refused request at the kubelet of {node}, past the API server: {who} may not {verb} nodes/{asked}"
            ),
            format!(
                "At {first} the kubelet of {node} refused {who} leave to {verb} nodes/{asked}. Requests of an API server come under its own name: this one was sent to the kubelet itself."
            ),
        ),
        Kind::Unauthenticated => (
            format!(
                "Refused request at the kubelet of {node}, past the API server: credentials not accepted"
            ),
            format!(
                "At {first} somebody came to the kubelet of {node} with credentials that it does not accept ({who}). No request of the API server's failed at that moment."
            ),
        ),
        Kind::Handshake => (
            format!("Failed TLS handshakes at the kubelet of {node} from {}", attempt.source),
            format!(
                "At {first} a connection from {} to the kubelet of {node} failed before any request: {who}.",
                attempt.source
            ),
        ),
    };
    let mut evidence = attempt.lines.clone();
    let mut draft = GapDraft::new(&INFO, title, Vec::new());
    draft.why = why;
    for entry in world.ledger.reviews.by_node(node, first - REVIEW, attempt.last + REVIEW) {
        let Some(review) = entry.review() else { continue };
        let fits = match attempt.kind {
            Kind::Forbidden => !review.allowed && review.user == *who && review.verb == *verb,
            Kind::Unauthenticated => review.token && !review.allowed && !review.error.is_empty(),
            Kind::Handshake => false,
        };
        if fits {
            evidence.push(entry.cite());
            if !review.credential_id.is_empty() && !draft.why.contains("The credential was") {
                draft.why.push_str(&format!(" The credential was {}.", review.credential_id));
            }
        }
    }
    draft.evidence = evidence;
    draft.severity = if attempt.kind == Kind::Handshake { Severity::Info } else { Severity::Low };
    draft.confidence = match attempt.kind {
        Kind::Forbidden if !world.ledger.reviews.is_api_server(who) => Confidence::Certain,
        Kind::Forbidden | Kind::Unauthenticated => Confidence::Medium,
        Kind::Handshake => Confidence::Low,
    };
    draft.techniques = techniques(attempt, world);
    draft.node.clone_from(node);
    draft.object = GapObject {
        resource: "kubelet".to_owned(),
        name: node.clone(),
        key: if asked.is_empty() { String::new() } else { format!("nodes/{asked}") },
        ..GapObject::default()
    };
    if attempt.kind == Kind::Forbidden {
        draft.actor = Actor { user: who.to_string(), ..Actor::default() };
        draft.threads.push(format!("user:{who}"));
    } else {
        draft.actor = Actor { source_ip: attempt.source.to_string(), ..Actor::default() };
    }
    draft
}

fn techniques(attempt: &Attempt, world: &World) -> Vec<&'static str> {
    let asked = |name: &str| attempt.subresources.contains(name);
    let mut ids = vec![if asked("checkpoint") {
        "KL10"
    } else if asked("log") {
        "KL9"
    } else if attempt.subresources.len() == 1 && asked("proxy") {
        if &*attempt.verb == "create" { "KL2" } else { "KL3" }
    } else {
        "KL1"
    }];
    if &*attempt.who == "system:anonymous" {
        ids.push("KL5");
    }
    if attempt.kind == Kind::Forbidden && world.ledger.reviews.is_api_server(&attempt.who) {
        ids.push("KL8");
    }
    ids
}
