//! What a worker makes of one chunk: facts for the engine, and what could not be read.

use std::collections::BTreeMap;

use auditgap_correlate::{Batch, Condenser, FeedSummary};
use auditgap_ingest::Sink;
use auditgap_records::{Position, Record, Reject, Timestamp};

/// Rejected entries of a feed that are kept with their reasons.
const REJECTS_KEPT: usize = 20;
/// Shapes of unknown entries of a feed that are told apart.
const SHAPES_KEPT: usize = 64;
/// Shapes of unknown entries that are named in the report.
const SHAPES_NAMED: usize = 3;

/// The result of one chunk.
#[derive(Debug, Default)]
pub(super) struct Portion {
    /// Records, compact.
    pub(super) batch: Batch,
    /// Everything else.
    pub(super) leftovers: Leftovers,
}

/// Entries that became no record.
#[derive(Clone, Debug, Default)]
pub(super) struct Leftovers {
    rejected: u64,
    rejects: Vec<Reject>,
    unknown: u64,
    shapes: BTreeMap<String, u64>,
    /// Files that could not be read to their end.
    broken: Vec<String>,
}

impl Leftovers {
    /// A file could not be read further.
    pub(super) fn broken(&mut self, what: String) {
        self.broken.push(what);
    }

    /// Files that could not be read to their end, and why.
    pub(super) fn troubles(&self) -> &[String] {
        &self.broken
    }

    /// Adds what a later chunk of the same feed left.
    pub(super) fn absorb(&mut self, later: Self) {
        self.rejected += later.rejected;
        self.rejects.extend(later.rejects);
        self.rejects.truncate(REJECTS_KEPT);
        self.unknown += later.unknown;
        for (shape, count) in later.shapes {
            self.count_shape(&shape, count);
        }
        self.broken.extend(later.broken);
    }

    fn count_shape(&mut self, shape: &str, count: u64) {
        if let Some(known) = self.shapes.get_mut(shape) {
            *known += count;
        } else if self.shapes.len() < SHAPES_KEPT {
            self.shapes.insert(shape.to_owned(), count);
        }
    }

    /// The same for the engine, in words. `notes` are those known before reading.
    pub(super) fn summary(self, mut notes: Vec<String>) -> FeedSummary {
        notes.extend(self.broken);
        if self.unknown > 0 {
            let mut shapes: Vec<(&String, &u64)> = self.shapes.iter().collect();
            shapes.sort_by_key(|(shape, count)| (std::cmp::Reverse(**count), *shape));
            let named: Vec<String> = shapes
                .iter()
                .take(SHAPES_NAMED)
                .map(|(shape, count)| format!("{count} like `{shape}`"))
                .collect();
            let lines = if self.unknown == 1 { "line is" } else { "lines are" };
            notes.push(format!("{} {lines} of no known kind: {}", self.unknown, named.join(", ")));
        }
        FeedSummary { rejected: self.rejected, rejects: self.rejects, notes }
    }
}

/// Takes what a parser finds. Records are made compact at once: the buffer they borrow from is used again.
#[derive(Debug, Default)]
pub(super) struct Collector {
    condenser: Condenser,
    leftovers: Leftovers,
}

impl Collector {
    /// What was found so far.
    pub(super) fn take(&mut self) -> Portion {
        Portion { batch: self.condenser.take(), leftovers: std::mem::take(&mut self.leftovers) }
    }

    /// What could not be read.
    pub(super) fn leftovers(&mut self) -> &mut Leftovers {
        &mut self.leftovers
    }
}

impl Sink for Collector {
    fn record(&mut self, record: Record<'_>) {
        self.condenser.add(record);
    }

    fn reject(&mut self, reject: Reject) {
        self.leftovers.rejected += 1;
        if self.leftovers.rejects.len() < REJECTS_KEPT {
            self.leftovers.rejects.push(reject);
        }
    }

    fn unknown(&mut self, shape: &str, _position: Position) {
        self.leftovers.unknown += 1;
        self.leftovers.count_shape(shape, 1);
    }
}

impl Portion {
    /// Event time that the chunk reaches: the middle of its first, middle and last record's, so that one record with
    /// a made-up time does not mislead.
    pub(super) fn reaches(&self) -> Option<Timestamp> {
        let records = &self.batch.records;
        let (first, last) = (records.first()?, records.last()?);
        let middle = records.get(records.len() / 2).unwrap_or(last);
        let mut times = [first.time, middle.time, last.time];
        times.sort_unstable();
        // In order the last is what was reached; a wild one among three is never taken.
        let far = times[2].nanos_since(times[1]).unsigned_abs();
        let near = times[1].nanos_since(times[0]).unsigned_abs();
        Some(if far > near.saturating_mul(64).max(3_600_000_000_000) { times[1] } else { times[2] })
    }
}
