//! Audit ids that two requests share. The client may choose its request's id, so that an attacker can have a record
//! taken for another's.

use std::collections::VecDeque;

use auditgap_records::report::{Confidence, GapObject, Severity};
use auditgap_records::{Position, Timestamp};

use super::INFO;
use crate::fact::AuditFact;
use crate::key::Identity;
use crate::ledger::requests::summary;
use crate::lookup::Index;
use crate::verdict::{Cite, GapDraft};
use crate::world::Seen;

/// Ids remembered: more than an API server serves in the time that a request may take.
const REMEMBERED: usize = 50_000;

/// Reuses told of, at the most: the first ones tell it all.
const TOLD: usize = 1_000;

#[derive(Debug)]
struct First {
    /// Verb, resource and namespace.
    asked: Identity,
    /// Name of the object, if it was told.
    name: Option<Identity>,
    received: Timestamp,
    time: Timestamp,
    feed: u16,
    position: Position,
    told: bool,
}

impl First {
    fn new(seen: Seen<'_>, fact: &AuditFact) -> Self {
        let Seen { time, feed, position, .. } = seen;
        let (verb, group, resource) = (fact.verb.as_str(), &fact.group, &fact.resource);
        let asked = Identity::of(&[verb, group, resource, &fact.subresource, &fact.namespace]);
        let name = (!fact.name.is_empty()).then(|| Identity::of(&[&fact.name]));
        Self { asked, name, received: fact.received, time, feed, position, told: false }
    }

    fn cite(&self) -> Cite {
        let summary = "audit: the record that had this id first".to_owned();
        Cite { time: self.time, feed: self.feed, position: self.position, summary }
    }

    /// Whether another record with the same id tells of another request. An aggregated API server records a request
    /// under its id once more, and a client that tries again may keep its id: both ask for the same thing.
    fn is_another(&self, other: &Self) -> bool {
        let names_differ = self.name.is_some() && other.name.is_some() && self.name != other.name;
        self.asked != other.asked || (names_differ && self.received != other.received)
    }
}

/// Ids of the last while.
#[derive(Debug, Default)]
pub(super) struct Ids {
    known: Index<Identity, First>,
    order: VecDeque<Identity>,
    told: usize,
}

impl Ids {
    /// Notes a record. Returns a finding if its id is another request's.
    pub(super) fn observe(&mut self, seen: Seen<'_>, fact: &AuditFact) -> Option<GapDraft> {
        if fact.audit_id.is_empty() {
            return None;
        }
        let id = Identity::of(&[&fact.audit_id]);
        if let Some(first) = self.known.get_mut(&id) {
            if first.told || self.told >= TOLD || !first.is_another(&First::new(seen, fact)) {
                return None;
            }
            first.told = true;
            self.told += 1;
            return Some(reused(first, seen, fact));
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(id);
        self.known.insert(id, First::new(seen, fact));
        None
    }
}

fn reused(first: &First, seen: Seen<'_>, fact: &AuditFact) -> GapDraft {
    let evidence = vec![first.cite(), seen.cite(summary(fact))];
    let mut draft = GapDraft::new(&INFO, "Two different requests share one audit id", evidence);
    draft.severity = Severity::Low;
    draft.confidence = Confidence::Medium;
    draft.techniques = vec!["AU2"];
    draft.object = GapObject {
        group: fact.group.to_string(),
        resource: fact.resource.to_string(),
        namespace: fact.namespace.to_string(),
        name: fact.name.to_string(),
        key: fact.audit_id.to_string(),
        ..GapObject::default()
    };
    draft.actor.user = fact.user.to_string();
    draft.actor.source_ip = fact.source_ip.to_string();
    draft.actor.user_agent = fact.user_agent.to_string();
    draft.why = format!(
        "The id {} belongs to two requests that ask for different things. Clients may choose the id (header Audit-ID); \
         whoever joins records by it alone takes one for the other.",
        fact.audit_id
    );
    draft
}
