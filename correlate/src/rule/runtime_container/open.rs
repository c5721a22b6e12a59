//! Gaps that are still being told: what happens in a container that nobody asked for belongs to its story.

use std::collections::BTreeMap;
use std::time::Duration;

use auditgap_records::Timestamp;

use super::Key;
use crate::verdict::{Cite, GapDraft, bound_evidence};
use crate::world::World;

/// A container about which nothing was heard for this long has told its story.
pub(super) const QUIET: Duration = Duration::from_mins(10);

/// Records kept of one gap while it is open, at the most.
const EVIDENCE: usize = 256;

/// Gaps kept open, at the most.
const OPEN: usize = 4_096;

#[derive(Debug)]
struct Open {
    draft: GapDraft,
    last: Timestamp,
}

/// Gaps by the container or sandbox that they are about.
#[derive(Debug, Default)]
pub(super) struct OpenGaps {
    open: BTreeMap<Key, Open>,
}

impl OpenGaps {
    /// Opens a gap.
    pub(super) fn insert(&mut self, key: Key, draft: GapDraft, world: &mut World) {
        if self.open.len() >= OPEN {
            self.give_all(world);
        }
        let last = world.clock;
        self.open.insert(key, Open { draft, last });
    }

    /// Adds a record to a gap, if it is open.
    pub(super) fn add_evidence(&mut self, key: &Key, cite: &Cite) -> bool {
        let Some(open) = self.open.get_mut(key) else { return false };
        open.last = open.last.max(cite.time);
        // What made the container comes first and is kept; of a container that restarts without end the rest is not.
        if open.draft.evidence.len() < EVIDENCE {
            open.draft.evidence.push(cite.clone());
        }
        true
    }

    /// Adds a container to the gap of its sandbox, if there is one.
    pub(super) fn join(&mut self, sandbox: &Key, evidence: Vec<Cite>, words: &str, limit: usize) -> bool {
        let Some(open) = self.open.get_mut(sandbox) else { return false };
        open.last = evidence.iter().map(|cite| cite.time).max().unwrap_or(open.last).max(open.last);
        open.draft.evidence.extend(evidence);
        open.draft.count += 1;
        open.draft.why.push_str(words);
        if open.draft.evidence.len() > limit.saturating_mul(2) {
            bound_evidence(&mut open.draft, limit);
        }
        true
    }

    /// Gives out the gaps about which nothing more is heard.
    pub(super) fn give_quiet(&mut self, world: &mut World) {
        let before = world.clock - QUIET;
        let quiet: Vec<Key> =
            self.open.iter().filter(|(_, open)| open.last < before).map(|(key, _)| key.clone()).collect();
        for open in quiet.into_iter().filter_map(|key| self.open.remove(&key)) {
            world.report(open.draft);
        }
    }

    /// Gives out all.
    pub(super) fn give_all(&mut self, world: &mut World) {
        for open in std::mem::take(&mut self.open).into_values() {
            world.report(open.draft);
        }
    }
}
