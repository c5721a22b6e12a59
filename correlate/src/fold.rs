//! Gaps that repeat each other become one with a count: a scraper that comes every 15 seconds, a client that does
//! not stop knocking.

use std::collections::BTreeMap;
use std::time::Duration;

use auditgap_records::Timestamp;

use crate::verdict::{GapDraft, bound_evidence};
use crate::world::{Absence, World};

/// Gaps that are kept open for more, at the most: the oldest are given out early.
const OPEN: usize = 4_096;

/// How often it is looked whether one has been quiet long enough, in event time.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why something is a gap.
#[derive(Clone, Debug)]
pub(crate) enum Ground {
    /// By its nature.
    Nature,
    /// For want of a request.
    Absence(Absence),
}

#[derive(Debug)]
struct Open {
    draft: GapDraft,
    ground: Ground,
    first: Timestamp,
    last: Timestamp,
    pause: Duration,
}

/// Gaps that may still repeat.
#[derive(Debug, Default)]
pub(crate) struct Folds {
    open: BTreeMap<String, Open>,
    looked: Option<Timestamp>,
}

impl Folds {
    /// Adds an action of a moment. It joins what has the same key, unless that was more than `pause` ago. What the
    /// policy hides and what cannot be judged is not folded here.
    pub(crate) fn add(
        &mut self,
        key: String,
        moment: Timestamp,
        pause: Duration,
        draft: GapDraft,
        ground: Ground,
        world: &mut World,
    ) {
        if let Ground::Absence(absence @ (Absence::BlindSpot(_) | Absence::Unknown(..))) = ground {
            world.judge_absence(draft, absence);
            return;
        }
        let late = |open: &Open| moment > open.last.saturating_add(open.pause);
        if self.open.get(&key).is_some_and(late)
            && let Some(open) = self.open.remove(&key)
        {
            give(open, world);
        }
        if let Some(open) = self.open.get_mut(&key) {
            open.first = open.first.min(moment);
            open.last = open.last.max(moment);
            open.draft.count += draft.count;
            open.draft.evidence.extend(draft.evidence);
            let limit = world.context.settings.evidence_limit;
            if open.draft.evidence.len() > limit.saturating_mul(2) {
                bound_evidence(&mut open.draft, limit);
            }
            return;
        }
        if self.open.len() >= OPEN {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.last).map(|(key, _)| key.clone());
            if let Some(open) = oldest.and_then(|key| self.open.remove(&key)) {
                give(open, world);
            }
        }
        self.open.insert(key, Open { draft, ground, first: moment, last: moment, pause });
    }

    /// Gives out what has been quiet long enough.
    pub(crate) fn tick(&mut self, settled: Timestamp, world: &mut World) {
        if self.looked.is_some_and(|looked| settled < looked.saturating_add(LOOK_EVERY)) {
            return;
        }
        self.looked = Some(settled);
        let is_quiet = |open: &Open| settled > open.last.saturating_add(open.pause);
        let quiet: Vec<String> =
            self.open.iter().filter(|(_, open)| is_quiet(open)).map(|(key, _)| key.clone()).collect();
        for open in quiet.into_iter().filter_map(|key| self.open.remove(&key)) {
            give(open, world);
        }
    }

    /// Gives out all.
    pub(crate) fn finish(&mut self, world: &mut World) {
        for open in std::mem::take(&mut self.open).into_values() {
            give(open, world);
        }
    }
}

fn give(open: Open, world: &mut World) {
    let Open { mut draft, ground, first, last, .. } = open;
    if draft.count > 1 {
        draft.why.push_str(&format!(" It happened {} times, from {first} to {last}.", draft.count));
    }
    match ground {
        Ground::Nature => world.report(draft),
        Ground::Absence(absence) => world.judge_absence(draft, absence),
    }
}
