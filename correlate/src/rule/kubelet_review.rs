//! Calls to a kubelet's API that only the kubelet's own question betrays: may this user do that?
//!
//! An action is one SubjectAccessReview (or refused TokenReview) by a node about access to the kubelet, as the audit
//! trail itself records it. It belongs to the line of the call where the kubelet logs one, and to a recorded request
//! where it is about an API server's own identity.
//!
//! Page: `docs/rules/kubelet-review.md`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use auditgap_records::audit::Stage;
use auditgap_records::kubelet::KubeletLine;
use auditgap_records::report::{Expected, ExpectedRequest, Path, Severity};
use auditgap_records::{FeedKind, Interval, Position, Timestamp};

use super::{Rule, RuleInfo};
use crate::fact::{AuditFact, Fact, Review};
use crate::fold::{Folds, Ground};
use crate::kubelet_uri::{KubeletUri, authorisation_verb, logs_requests, proxied};
use crate::policy::CandidateRequest;
use crate::verdict::Cite;
use crate::world::{Absence, Seen, World};

mod gap;
#[cfg(test)]
mod tests;

/// The rule.
pub static INFO: RuleInfo = RuleInfo {
    name: "kubelet-review",
    path: Path::KubeletApi,
    techniques: &["KL1", "KL2", "KL3", "KL4", "KL5", "KL8", "KL9", "KL10"],
    attack: &["T1609", "T1613", "T1552.004", "T1078"],
    next_steps: &[
        "Find who holds the credential: its id joins the review to the request that issued it and to its other uses.",
        "Start the kubelets with --v=3: then the log tells path, Pod and source address of every request.",
        "Take away `nodes/proxy` and the other `nodes` subresources from whoever does not need them.",
    ],
};

/// How far a kubelet's line may be from its review: two clocks, and the way in between.
const SAME_CALL: Duration = Duration::from_secs(2);

/// One request has several reviews: the fine-grained subresource, then `proxy`.
const ONE_REQUEST: Duration = Duration::from_millis(150);

/// How long before a review the API server may have received the request that led to it.
const BEFORE: Duration = Duration::from_secs(5);

/// How long a kubelet that logs its requests is waited for: it tells of a session when that ends.
const SESSION: Duration = Duration::from_hours(12);

/// Calls of one kind that follow each other within this time are one gap.
const PAUSE: Duration = Duration::from_mins(1);

/// Monitoring that asks at least this often is one gap: answers are cached for minutes.
const MONITORING_PAUSE: Duration = Duration::from_hours(1);

/// Reviews that wait, at the most.
const WAITING: usize = 100_000;

/// Lines of a kubelet that a review may belong to.
#[derive(Debug)]
struct Call {
    node: String,
    /// When it began.
    time: Timestamp,
    /// When it was logged.
    logged: Timestamp,
    kind: CallKind,
}

#[derive(Debug)]
enum CallKind {
    Request { verb: &'static str, subresources: &'static [&'static str], code: Option<u16> },
    Forbidden { user: Box<str> },
    Unauthenticated,
}

#[derive(Debug)]
struct Asked {
    fact: Arc<AuditFact>,
    node: String,
    feed: u16,
    position: Position,
}

impl Asked {
    fn cite(&self) -> Cite {
        crate::ledger::reviews::RecordedReview {
            fact: Arc::clone(&self.fact),
            feed: self.feed,
            position: self.position,
        }
        .cite()
    }
}

/// The rule's state.
#[derive(Debug, Default)]
pub struct KubeletReview {
    waiting: BTreeMap<(Timestamp, u16, Position), Asked>,
    /// Lines of the last moments: the review may be stamped later.
    calls: VecDeque<Call>,
    folds: Folds,
    /// Kubelets that log their requests.
    verbose: BTreeSet<String>,
    /// Reviews of nodes that log their requests, put off until a session may have ended.
    put_off: BTreeMap<(Timestamp, u16, Position), Asked>,
}

impl Rule for KubeletReview {
    fn observe(&mut self, seen: Seen<'_>, world: &mut World) {
        match seen.fact {
            Fact::Audit(fact) => self.observe_review(seen, fact, world),
            Fact::Kubelet(line) => {
                if logs_requests(line) {
                    self.verbose.insert(world.instance(seen.feed).to_owned());
                }
                if let Some(call) = call(seen, line, world) {
                    self.observe_call(call, world);
                }
            }
            _ => {}
        }
    }

    fn tick(&mut self, world: &mut World) {
        let settled = world.clock - world.context.settings.request_timeout;
        while self.calls.front().is_some_and(|call| call.logged + SAME_CALL < world.clock) {
            self.calls.pop_front();
        }
        self.judge_until(settled, world);
        while let Some(entry) = self.put_off.first_entry() {
            if entry.key().0 > settled - SESSION {
                break;
            }
            let asked = entry.remove();
            self.judge(&asked, world);
        }
        self.folds.tick(settled, world);
    }

    fn finish(&mut self, world: &mut World) {
        self.judge_until(Timestamp::MAX, world);
        for asked in std::mem::take(&mut self.put_off).into_values() {
            self.judge(&asked, world);
        }
        self.folds.finish(world);
    }
}

impl KubeletReview {
    fn observe_review(&mut self, seen: Seen<'_>, fact: &Arc<AuditFact>, world: &mut World) {
        let Some(review) = fact.review.as_deref() else { return };
        let is_about_kubelet = if review.token {
            !review.allowed && !review.error.is_empty()
        } else {
            &*review.resource == "nodes" && !review.user.is_empty()
        };
        if !is_about_kubelet || !fact.is_node || fact.stage != Stage::ResponseComplete || !fact.succeeded() {
            return;
        }
        let Some(node) = fact.node() else { return };
        let asked =
            Asked { fact: Arc::clone(fact), node: node.to_owned(), feed: seen.feed, position: seen.position };
        if self.calls.iter().any(|call| belongs(&asked, call, world)) {
            return;
        }
        if self.waiting.len() + self.put_off.len() >= WAITING {
            let cure = "look into what floods the kubelets";
            world.cannot_judge(Path::KubeletApi, "more reviews at once than can be held", cure, seen.time);
            return;
        }
        self.waiting.insert((fact.received, seen.feed, seen.position), asked);
    }

    fn observe_call(&mut self, call: Call, world: &World) {
        let around = (call.time - SAME_CALL, 0, Position::default())
            ..=(call.time + SAME_CALL, u16::MAX, Position::default());
        for reviews in [&mut self.waiting, &mut self.put_off] {
            let its: Vec<_> = reviews
                .range(around.clone())
                .filter(|(_, asked)| belongs(asked, &call, world))
                .map(|(key, _)| *key)
                .collect();
            for key in its {
                reviews.remove(&key);
            }
        }
        self.calls.push_back(call);
    }

    fn judge_until(&mut self, settled: Timestamp, world: &mut World) {
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 > settled {
                return;
            }
            let (key, asked) = entry.remove_entry();
            if settled < Timestamp::MAX && self.verbose.iter().any(|node| is_node(node, &asked.node, world)) {
                self.put_off.insert(key, asked);
            } else {
                self.judge(&asked, world);
            }
        }
    }

    fn judge(&mut self, asked: &Asked, world: &mut World) {
        let fact = &asked.fact;
        let Some(review) = fact.review.as_deref() else { return };
        if !review.token && is_first_of_two(asked, review, world) {
            return;
        }
        // A certificate may be an API server's under whatever name; a service account or nobody is not.
        let may_be_api_server = !review.token
            && !review.user.starts_with("system:serviceaccount:")
            && &*review.user != "system:anonymous";
        if may_be_api_server && leads_from_api_server(asked, review, world) {
            if review.credential_id.starts_with("X509") {
                world.ledger.reviews.learn_api_server(&review.user);
            }
            return;
        }
        let mut draft = gap::draft(asked, review, world);
        let ground = if may_be_api_server {
            let (expected, absence) = weigh(asked, review, world);
            draft.expected = expected;
            Ground::Absence(absence)
        } else {
            Ground::Nature
        };
        let class = if review.allowed { &review.subresource } else { "refused" };
        let key = [asked.node.as_str(), &review.user, &review.verb, class].join("\n");
        let pause = if draft.severity == Severity::Info { MONITORING_PAUSE } else { PAUSE };
        self.folds.add(key, fact.received, pause, draft, ground, world);
    }
}

/// What a kubelet's line says of a call.
fn call(seen: Seen<'_>, line: &KubeletLine<'_>, world: &World) -> Option<Call> {
    let node = world.instance(seen.feed).to_owned();
    // Reviews come by the API server's clock.
    let ahead = world.clock_ahead(world.node_of(seen.feed));
    let logged = Timestamp(seen.time.0.saturating_sub(ahead));
    let (time, kind) = match line {
        KubeletLine::Http { method, uri, latency, code, .. } => {
            let latency = Duration::from_nanos(u64::try_from(*latency).unwrap_or_default());
            let subresources = KubeletUri::parse(uri).endpoint.node_subresources();
            let verb = authorisation_verb(method);
            (logged - latency, CallKind::Request { verb, subresources, code: *code })
        }
        KubeletLine::Forbidden { user, .. } => (logged, CallKind::Forbidden { user: (&**user).into() }),
        KubeletLine::AuthenticationFailed { .. } => (logged, CallKind::Unauthenticated),
        _ => return None,
    };
    Some(Call { node, time, logged, kind })
}

/// Whether a kubelet's line tells of the call that a review was asked for.
fn belongs(asked: &Asked, call: &Call, world: &World) -> bool {
    let Some(review) = asked.fact.review.as_deref() else { return false };
    let received = asked.fact.received;
    let near = received >= call.time - SAME_CALL && received <= call.time + SAME_CALL;
    if !near || !is_node(&call.node, &asked.node, world) {
        return false;
    }
    match &call.kind {
        CallKind::Request { code, .. } if review.token => *code == Some(401),
        CallKind::Request { verb, subresources, .. } => {
            &*review.verb == *verb && subresources.contains(&&*review.subresource)
        }
        CallKind::Forbidden { user } => !review.allowed && review.user == *user,
        CallKind::Unauthenticated => review.token,
    }
}

/// Whether a kubelet's instance is a node. Where no kubelet has the node's name, any may be it.
fn is_node(instance: &str, node: &str, world: &World) -> bool {
    instance == node
        || world
            .feeds
            .of_kind(FeedKind::Kubelet)
            .all(|state| state.records == 0 || state.feed.instance != node)
}

/// Whether a refusal is the fine-grained first try of a request: the kubelet then asks for `proxy`.
fn is_first_of_two(asked: &Asked, review: &Review, world: &World) -> bool {
    if review.allowed || &*review.subresource == "proxy" {
        return false;
    }
    let from = asked.fact.received;
    world.ledger.reviews.by_node(&asked.node, from, from + ONE_REQUEST).any(|entry| {
        entry.review().is_some_and(|next| {
            !next.token
                && &*next.subresource == "proxy"
                && (&next.user, &next.verb) == (&review.user, &review.verb)
        })
    })
}

/// Whether the API server sent a recorded request to a kubelet just before the review.
fn leads_from_api_server(asked: &Asked, review: &Review, world: &World) -> bool {
    let received = asked.fact.received;
    let to = received + world.context.settings.skew;
    let from = received - BEFORE;
    let mut streams = world.ledger.streams.iter();
    streams.any(|stream| {
        let fact = &stream.fact;
        if stream.received < from || stream.received > to {
            return false;
        }
        if &*fact.resource == "nodes" {
            let Some(uri) = proxied(&fact.uri) else { return false };
            KubeletUri::parse(uri).endpoint.node_subresources().contains(&&*review.subresource)
        } else {
            &*review.subresource == "proxy"
        }
    })
}

fn weigh(asked: &Asked, review: &Review, world: &World) -> (Expected, Absence) {
    let mut resources = vec![("nodes", "proxy")];
    if &*review.subresource == "proxy" {
        resources.extend(["exec", "attach", "portforward", "log"].map(|subresource| ("pods", subresource)));
    }
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
            verb: review.verb.to_string(),
            resource: (*resource).to_owned(),
            subresource: (*subresource).to_owned(),
            ..ExpectedRequest::default()
        })
        .collect();
    let received = asked.fact.received;
    let margin = world.context.settings.skew;
    let expected = Expected {
        requests,
        window: Some(Interval::new(received - BEFORE, received + margin)),
        audit_watermark: None,
    };
    let prospect = world.context.policy.as_ref().map(|policy| policy.would_log_any(&candidates));
    let only_at_end = prospect.is_some_and(|prospect| {
        let has = |stage| prospect.stages.contains(stage);
        has(Stage::ResponseComplete) && !has(Stage::ResponseStarted) && !has(Stage::RequestReceived)
    });
    if only_at_end && &*review.subresource == "proxy" {
        let absence = Absence::Unknown(
            "a kubelet reviewed an API server's identity, and streams are on record only when they end"
                .to_owned(),
            "let the audit policy record ResponseStarted for streams".to_owned(),
        );
        return (expected, absence);
    }
    let span = Interval::new(received - margin, asked.fact.staged);
    (expected, world.weigh_absence(span, &candidates))
}
