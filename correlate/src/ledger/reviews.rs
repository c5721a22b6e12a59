//! Access reviews. A kubelet asks for one when a caller it does not know yet comes to its API; the answer is cached
//! there, so that a review proves a call and its absence proves nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use auditgap_records::audit::Stage;
use auditgap_records::{Position, Timestamp};

use crate::fact::{AuditFact, Review};
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
        let summary = if review.token {
            format!("audit: {asker} had a token reviewed: {who}, {answer}")
        } else {
            let Review { verb, resource, subresource, .. } = &review;
            format!("audit: {asker} asked whether {who} may {verb} {resource}/{subresource}: {answer}")
        };
        Cite { time: self.fact.staged, feed: self.feed, position: self.position, summary }
    }
}

/// All recorded reviews of the last while.
#[derive(Debug, Default)]
pub struct Reviews {
    entries: VecDeque<RecordedReview>,
}

impl Reviews {
    pub(crate) fn observe(&mut self, seen: Seen<'_>, fact: &Arc<AuditFact>) {
        if fact.review.is_some() && fact.stage == Stage::ResponseComplete {
            self.entries.push_back(RecordedReview {
                fact: Arc::clone(fact),
                feed: seen.feed,
                position: seen.position,
            });
        }
    }

    /// Reviews that a node's kubelet asked for within a span, in the order recorded.
    pub fn by_node(
        &self,
        node: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = &RecordedReview> {
        let in_span = move |entry: &&RecordedReview| entry.fact.received >= from && entry.fact.received <= to;
        // Where the kubelet's instance name is not the node's name, any node's review is a candidate.
        let own = self.entries.iter().any(|entry| entry.fact.node() == Some(node));
        let by_node = move |entry: &&RecordedReview| {
            if own { entry.fact.node() == Some(node) } else { entry.fact.is_node }
        };
        self.entries.iter().filter(in_span).filter(by_node)
    }

    pub(crate) fn forget(&mut self, before: Timestamp) {
        while self.entries.front().is_some_and(|entry| entry.fact.staged < before) {
            self.entries.pop_front();
        }
    }
}
