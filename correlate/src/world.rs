//! What rules see: one record at a time, the ledger of what came before, and where to put verdicts.

use auditgap_records::report::{Path, Severity};
use auditgap_records::{FeedKind, Interval, Position, Timestamp};

use crate::engine::Context;
use crate::fact::Fact;
use crate::feeds::{Feeds, NotCovered};
use crate::ledger::Ledger;
use crate::policy::{CandidateRequest, Logged};
use crate::resources;
use crate::verdict::{Cite, GapDraft, Verdicts};

/// A record in its place in time.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Event time.
    pub time: Timestamp,
    /// Number of the feed.
    pub feed: u16,
    /// Where the raw bytes are.
    pub position: Position,
    /// What it says.
    pub fact: &'a Fact,
}

impl Seen<'_> {
    /// A pointer to it.
    pub fn cite(&self, summary: impl Into<String>) -> Cite {
        Cite { time: self.time, feed: self.feed, position: self.position, summary: summary.into() }
    }
}

/// All that rules share. Rules never see each other.
#[derive(Debug)]
pub struct World {
    /// What was known beforehand.
    pub context: Context,
    /// Event time of the record at hand: "now".
    pub clock: Timestamp,
    /// What the API server recorded, and what is known of Pods, containers and identities.
    pub ledger: Ledger,
    /// Where verdicts go.
    pub verdicts: Verdicts,
    pub(crate) feeds: Feeds,
}

/// What the policy and the coverage say of an action for which no request was found.
#[derive(Clone, Debug)]
pub enum Absence {
    /// Every request that could account for it would have been recorded, and the trail was complete.
    Proven,
    /// Some users' requests would not have been recorded: these.
    Likely(Vec<String>),
    /// No request would have been recorded.
    BlindSpot(auditgap_records::report::PolicyRuleRef),
    /// The trail was not complete: why, and what would cure it.
    Unknown(String, String),
}

/// Subresources that lead into a Pod or to a node's kubelet, which is no component's routine.
const STREAMS: [&str; 5] = ["exec", "attach", "portforward", "proxy", "log"];

impl World {
    /// Node, API server or member that a feed speaks of.
    pub fn instance(&self, feed: u16) -> &str {
        self.feeds.instance(feed)
    }

    /// Whether any record of a kind of feed was seen.
    pub fn has_feed(&self, kind: FeedKind) -> bool {
        self.feeds.has(kind)
    }

    /// Weighs the absence of every request of `candidates` over a span.
    pub fn weigh_absence(&self, span: Interval, candidates: &[CandidateRequest<'_>]) -> Absence {
        if let Err(reason) = self.feeds.audit_covers(span, self.context.settings.audit_idle) {
            let (reason, cure) = words_of(&reason);
            return Absence::Unknown(reason, cure);
        }
        let Some(policy) = &self.context.policy else { return Absence::Proven };
        let prospect = policy.would_log_any(candidates);
        match &prospect.logged {
            Logged::Always => Absence::Proven,
            Logged::Never { rule } => Absence::BlindSpot(rule.clone()),
            Logged::Sometimes { rule, .. } => {
                let unlogged = prospect.unlogged_users();
                // Whom the policy does not single out, or whose routine this is, may well have done it unrecorded.
                let routine = candidates.iter().any(|candidate| {
                    let namespace = candidate.namespace.unwrap_or_default();
                    let is_write = !STREAMS.contains(&candidate.subresource);
                    unlogged.iter().any(|user| {
                        resources::is_broad(user)
                            || (is_write && resources::writes_by_routine(user, candidate.resource, namespace))
                    })
                });
                if routine || !prospect.unlogged_only_for_named() {
                    Absence::BlindSpot(rule.clone())
                } else {
                    Absence::Likely(unlogged)
                }
            }
        }
    }

    /// Gives the verdict that fits the absence: a gap, a blind spot, or none.
    pub fn judge_absence(&mut self, mut draft: GapDraft, absence: Absence) {
        draft.expected.audit_watermark = self.feeds.audit_watermark();
        match absence {
            Absence::Proven => self.verdicts.gap(draft),
            Absence::Likely(unlogged) => {
                draft.confidence = draft.confidence.min(auditgap_records::report::Confidence::Medium);
                if !unlogged.is_empty() {
                    draft.why.push_str(&format!(
                        " The audit policy would not have recorded it if it had been made by {}.",
                        unlogged.join(", ")
                    ));
                }
                self.verdicts.gap(draft);
            }
            Absence::BlindSpot(rule) => {
                draft.severity = Severity::Info;
                draft.policy_rule = Some(rule);
                self.verdicts.blind_spot(draft);
            }
            Absence::Unknown(reason, cure) => {
                self.verdicts.unassessable(draft.rule.path, reason, cure, draft.first_seen());
            }
        }
    }

    /// Reports a gap that needs no absence: a bypass by its nature.
    pub fn report(&mut self, mut draft: GapDraft) {
        draft.expected.audit_watermark = self.feeds.audit_watermark();
        self.verdicts.gap(draft);
    }

    /// Says that an action cannot be judged.
    pub fn cannot_judge(
        &mut self,
        path: Path,
        reason: impl Into<String>,
        cure: impl Into<String>,
        time: Timestamp,
    ) {
        self.verdicts.unassessable(path, reason.into(), cure.into(), time);
    }
}

/// Words and cure for a trail that was not complete.
fn words_of(reason: &NotCovered) -> (String, String) {
    match reason {
        NotCovered::Missing => {
            ("no audit feed".to_owned(), "give the API servers' audit logs to auditgap (--audit)".to_owned())
        }
        NotCovered::Before(start) => (
            format!("before the audit feed began at {start}"),
            "give the audit log of the time before, rotated files included".to_owned(),
        ),
        NotCovered::After(end) => (
            format!("after the audit feed ended at {end}"),
            "give the audit log of the time after; check that the API server still writes it".to_owned(),
        ),
        NotCovered::Silent(silence) => (
            format!("audit feed silent from {} to {}", silence.from, silence.to),
            "find out why no audit events came in this span: API server down, backend failing, shipper behind".to_owned(),
        ),
    }
}
