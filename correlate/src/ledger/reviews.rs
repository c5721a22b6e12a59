//! Access reviews. A kubelet asks for one when a caller it does not know yet comes to its API; the answer is cached
//! there, so that a review proves a call and its absence proves nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use auditgap_records::audit::Stage;
use auditgap_records::{Position, Timestamp};

use crate::fact::{AuditFact, Review};
use crate::lookup::Lookup;
use crate::verdict::Cite;
use crate::world::Seen;

/// A recorded review.
#[derive(Debug)]
pub struct RecordedReview {
    /// The whole event.
    pub fact: Arc<AuditFact>,
    /// Feed of the record.
    pub feed: u16,
    /// Place of the record.
    pub position: Position,
}

impl RecordedReview {
    /// What was asked and answered.
    pub fn review(&self) -> Option<&Review> {
        self.fact.review.as_deref()
    }

    /// A pointer to the record.
    pub fn cite(&self) -> Cite {
        let review = self.review().cloned().unwrap_or_default();
        let asker = &self.fact.user;
        let who = if review.user.is_empty() { "an unrecorded user" } else { &review.user };
        let answer = if review.allowed { "allowed" } else { "refused" };
        let summary = match (review.token, review.user.is_empty(), review.error.is_empty()) {
            (true, true, true) => {
                format!("audit: {asker} had a token reviewed; the level leaves the answer out")
            }
            (true, true, false) => format!("audit: {asker} had a token reviewed: refused"),
            (true, false, _) => format!("audit: {asker} had a token reviewed: {who}, {answer}"),
            (false, true, _) => format!("audit: {asker} had an access reviewed; the level leaves out whose"),
            (false, false, _) => {
                let Review { verb, resource, subresource, .. } = &review;
                format!("audit: {asker} asked whether {who} may {verb} {resource}/{subresource}: {answer}")
            }
        };
        Cite { time: self.fact.staged, feed: self.feed, position: self.position, summary }
    }
}

/// Names that installers give to the API server's own client of the kubelets.
const API_SERVER_USERS: [&str; 4] =
    ["kube-apiserver-kubelet-client", "system:kube-apiserver", "kube-apiserver", "kubelet-apiserver"];

/// API servers' users that are learned, at the most.
const LEARNED: usize = 16;

/// How much longer than others a review is remembered that may have let a long session begin: the kubelet tells of
/// the session when it ends.
const LONG_SESSION: Duration = Duration::from_hours(12);

/// More reviews of one node than this are not remembered that long.
const SESSIONS: usize = 10_000;

/// Issued credentials that are remembered, at the most: a kubelet renews the tokens of each of its Pods every hour.
const ISSUED: usize = 50_000;

/// The request that issued a credential.
#[derive(Clone, Debug)]
pub struct Issue {
    /// Who asked for it.
    pub user: Box<str>,
    /// When.
    pub time: Timestamp,
}

/// All recorded reviews of the last while.
#[derive(Debug, Default)]
pub struct Reviews {
    /// By the name of the node that asked; others under the empty name.
    by_node: BTreeMap<Box<str>, VecDeque<RecordedReview>>,
    api_server_users: BTreeSet<Box<str>>,
    issued: Lookup<Box<str>, Issue>,
    /// In the order issued, so that the oldest go first.
    issued_order: VecDeque<Box<str>>,
}

impl Reviews {
    pub(crate) fn observe(&mut self, seen: Seen<'_>, fact: &Arc<AuditFact>) {
        if !fact.issued_credential_id.is_empty() {
            self.note_issue(fact);
        }
        if fact.review.is_none() || fact.stage != Stage::ResponseComplete {
            return;
        }
        let review = RecordedReview { fact: Arc::clone(fact), feed: seen.feed, position: seen.position };
        let node = fact.node().filter(|_| fact.is_node).unwrap_or_default();
        match self.by_node.get_mut(node) {
            Some(reviews) => reviews.push_back(review),
            None => {
                self.by_node.insert(node.into(), VecDeque::from([review]));
            }
        }
    }

    fn note_issue(&mut self, fact: &AuditFact) {
        let issue = Issue { user: fact.user.clone(), time: fact.received };
        if self.issued.insert(fact.issued_credential_id.clone(), issue).is_none() {
            self.issued_order.push_back(fact.issued_credential_id.clone());
        }
        if self.issued_order.len() > ISSUED
            && let Some(oldest) = self.issued_order.pop_front()
        {
            self.issued.remove(&oldest);
        }
    }

    /// The request that issued a credential, by the credential's id.
    pub fn issue(&self, credential: &str) -> Option<&Issue> {
        self.issued.get(credential)
    }

    /// Reviews that a node's kubelet asked for within a span, in the order recorded. Where the kubelet's instance
    /// name is not the node's name, any node's review is a candidate.
    pub fn by_node(
        &self,
        node: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = &RecordedReview> {
        let own = self.by_node.get(node).filter(|_| !node.is_empty());
        let any = self.by_node.iter().filter(move |(name, _)| own.is_none() && !name.is_empty());
        own.into_iter()
            .chain(any.map(|(_, reviews)| reviews))
            .flatten()
            .filter(move |entry| entry.fact.received >= from && entry.fact.received <= to)
    }

    /// Whether a node asked for reviews under this name.
    pub fn knows_node(&self, node: &str) -> bool {
        !node.is_empty() && self.by_node.contains_key(node)
    }

    /// Whether a user is an API server's own client of the kubelets, by its name or by what was learned.
    pub fn is_api_server(&self, user: &str) -> bool {
        API_SERVER_USERS.contains(&user) || self.api_server_users.contains(user)
    }

    /// Notes that a user was reviewed while an API server's request came to a kubelet.
    pub(crate) fn learn_api_server(&mut self, user: &str) {
        if self.api_server_users.len() < LEARNED && !self.is_api_server(user) {
            self.api_server_users.insert(user.into());
        }
    }

    pub(crate) fn forget(&mut self, before: Timestamp) {
        let sessions_before = before - LONG_SESSION;
        self.by_node.retain(|_, reviews| {
            let patient = reviews.len() <= SESSIONS;
            reviews.retain(|entry| {
                let may_open_session =
                    entry.review().is_some_and(|review| !review.token && &*review.subresource == "proxy");
                let bound = if patient && may_open_session { sessions_before } else { before };
                entry.fact.staged >= bound
            });
            !reviews.is_empty()
        });
    }
}
