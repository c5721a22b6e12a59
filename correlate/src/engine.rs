//! The engine of one cluster.

use std::time::Duration;

use auditgap_records::inventory::Inventory;
use auditgap_records::report::{Evidence, Report};
use auditgap_records::{Feed, Reject, Timestamp};

use crate::condense::{Batch, BindingName, Citation};
use crate::ledger::Ledger;
use crate::policy::Policy;
use crate::rule::{self, Rule};
use crate::sequence::{Sequencer, Slot};
use crate::settings::Settings;
use crate::verdict::Verdicts;
use crate::world::{Seen, World};

/// What is known before the first record.
#[derive(Debug, Default)]
pub struct Context {
    /// Name of the cluster.
    pub cluster: String,
    /// The audit policy in force; `None` if it is not known.
    pub policy: Option<Policy>,
    /// Objects listed beside the logs.
    pub inventory: Inventory,
    /// Settings.
    pub settings: Settings,
    /// Names of objects, keys, containers or revisions of which explained verdicts are to be told one by one.
    pub trace: Vec<String>,
    /// The earliest citation of each binding, filled in as batches come.
    pub(crate) citations: std::collections::BTreeMap<BindingName, (u16, Citation)>,
}

impl Context {
    /// A context with everything that a caller can know.
    pub fn new(
        cluster: impl Into<String>,
        policy: Option<Policy>,
        inventory: Inventory,
        settings: Settings,
    ) -> Self {
        Self { cluster: cluster.into(), policy, inventory, settings, ..Self::default() }
    }
}

/// Number of a feed within one engine.
pub type FeedId = u16;

/// What the reader of a feed knows at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedSummary {
    /// Entries that could not be read.
    pub rejected: u64,
    /// The first of them.
    pub rejects: Vec<Reject>,
    /// What a reader of the report must know: assumed year and zone, unknown lines by shape, truncated input.
    pub notes: Vec<String>,
}

/// What an engine ends in.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The report, without raw lines.
    pub report: Report,
    /// Explained verdicts of what [`Context::trace`] names, in order of time: how, and the action's record with words
    /// for what accounts for it.
    pub traced: Vec<(&'static str, Evidence)>,
}

/// How often the ledger is asked to forget, in event time.
const FORGET_EVERY: Duration = Duration::from_secs(30);

/// How much longer than a request may last the ledger remembers.
const REMEMBER: Duration = Duration::from_secs(300);

/// The engine of one cluster.
pub struct Engine {
    sequencer: Sequencer,
    world: World,
    rules: Vec<Box<dyn Rule>>,
    forgot_at: Timestamp,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(context: Context) -> Self {
        let settings = &context.settings;
        let verdicts = Verdicts::new(settings.gap_limit, settings.evidence_limit, context.trace.clone());
        let ledger = Ledger::new(&context);
        Self {
            sequencer: Sequencer::new(settings.reorder_capacity, settings.lateness),
            world: World {
                context,
                clock: Timestamp::MIN,
                ledger,
                verdicts,
                feeds: crate::feeds::Feeds::default(),
            },
            rules: rule::all(),
            forgot_at: Timestamp::MIN,
        }
    }

    /// Announces a feed. All feeds are to be announced before the first record, so that their number, which breaks
    /// ties between equal times, does not depend on arrival.
    pub fn feed_open(&mut self, feed: Feed) -> FeedId {
        let id = self.world.feeds.states.len() as FeedId;
        self.sequencer.open();
        self.world.feeds.open(feed);
        id
    }

    /// Takes in records of a feed.
    pub fn push(&mut self, feed: FeedId, batch: Batch) {
        for (binding, citation) in batch.citations {
            let found = (feed, citation);
            let earlier = |known: &(u16, Citation)| (&known.1, known.0) <= (&found.1, found.0);
            if !self.world.context.citations.get(&binding).is_some_and(earlier) {
                self.world.context.citations.insert(binding, found);
            }
        }
        self.sequencer.push(feed, batch.records);
        while let Some(slot) = self.sequencer.release() {
            self.take_in(&slot);
        }
    }

    /// A feed has no more records.
    pub fn feed_end(&mut self, feed: FeedId, summary: FeedSummary) {
        self.sequencer.end(feed);
        if let Some(state) = self.world.feeds.states.get_mut(usize::from(feed)) {
            state.rejected += summary.rejected;
            state.rejects.extend(summary.rejects);
            state.notes.extend(summary.notes);
        }
    }

    /// Judges all that is left. `files` are the names of the files that positions count.
    pub fn finish(mut self, files: &[String]) -> Outcome {
        while let Some(slot) = self.sequencer.drain() {
            self.take_in(&slot);
        }
        self.join_feeds();
        for rule in &mut self.rules {
            rule.finish(&mut self.world);
        }
        let traced = crate::report::traced(&mut self.world, files);
        Outcome { report: crate::report::assemble(self.world, files), traced }
    }

    fn join_feeds(&mut self) {
        while let Some((left, right)) = self.sequencer.shared.pop_first() {
            self.world.feeds.join(left, right);
        }
    }

    fn take_in(&mut self, slot: &Slot) {
        self.join_feeds();
        let world = &mut self.world;
        world.feeds.note(slot.feed, slot.time, slot.late);
        let Some(fact) = &slot.fact else { return };
        if slot.time > world.clock {
            world.clock = slot.time;
            for rule in &mut self.rules {
                rule.tick(world);
            }
            if world.clock >= self.forgot_at.saturating_add(FORGET_EVERY) {
                self.forgot_at = world.clock;
                world.ledger.forget(world.clock, world.context.settings.request_timeout + REMEMBER);
            }
        }
        let seen = Seen { time: slot.time, feed: slot.feed, position: slot.position, fact };
        world.ledger.observe(seen, world.feeds.instance(slot.feed));
        for rule in &mut self.rules {
            rule.observe(seen, world);
        }
    }
}
