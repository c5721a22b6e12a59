//! Since when everything that exists is known: from a listing of it, or from the cluster's first minutes.

use std::collections::BTreeSet;

use auditgap_records::Timestamp;
use auditgap_records::inventory::{Inventory, Snapshot};

use crate::fact::{AuditFact, Verb};
use crate::world::Seen;

/// An API server makes some 50 role bindings when it first meets an empty etcd, and none when it starts again.
const BOOTSTRAP: usize = 20;

/// The cluster's own beginning, if the audit trail shows it.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    made: BTreeSet<Box<str>>,
    first: Option<Timestamp>,
}

impl Beginning {
    pub(super) fn observe(&mut self, seen: Seen<'_>, fact: &AuditFact) {
        let bootstraps = fact.verb == Verb::Create
            && fact.code == 201
            && &*fact.user == "system:apiserver"
            && &*fact.resource == "clusterrolebindings";
        if bootstraps && self.made.len() < BOOTSTRAP && !fact.name.is_empty() {
            self.first.get_or_insert(seen.time);
            self.made.insert(fact.name.clone());
        }
    }

    /// When the cluster began, if that is on record.
    pub(super) fn of_cluster(&self) -> Option<Timestamp> {
        self.first.filter(|_| self.made.len() >= BOOTSTRAP)
    }
}

/// What listings from before a moment say of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// One of them has it.
    Yes,
    /// None has it; the earliest that could is of this time.
    NotSince(Timestamp),
    /// There is none of this kind.
    Unknown,
}

/// Asks the listings that were taken before a moment, or of which a person says so.
pub(super) fn listed(
    inventory: &Inventory,
    moment: Timestamp,
    lists_kind: impl Fn(&Snapshot) -> bool,
    has: impl Fn(&Snapshot) -> bool,
) -> Listed {
    let mut since = None;
    for snapshot in inventory.snapshots.iter().filter(|snapshot| lists_kind(snapshot)) {
        let before = snapshot.as_of.filter(|as_of| *as_of < moment);
        if has(snapshot) && (snapshot.declared || before.is_some()) {
            return Listed::Yes;
        }
        if let Some(as_of) = before {
            since = Some(since.map_or(as_of, |known: Timestamp| known.min(as_of)));
        }
    }
    since.map_or(Listed::Unknown, Listed::NotSince)
}
