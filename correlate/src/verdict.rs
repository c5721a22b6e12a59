//! Verdicts as rules give them, before they are put into a report.

use std::collections::BTreeMap;

use auditgap_records::report::{
    Actor, Confidence, Expected, GapObject, Path, PolicyRuleRef, Severity, Totals,
};
use auditgap_records::{Position, Timestamp};

use crate::rule::RuleInfo;

/// A pointer to a record with what it says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cite {
    /// Event time.
    pub time: Timestamp,
    /// Number of the feed.
    pub feed: u16,
    /// Where the raw bytes are.
    pub position: Position,
    /// What it says, in words.
    pub summary: String,
}

/// How an action is accounted for. The words of `explained_by` in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// The audit record's response carries the very revision.
    Revision,
    /// Key, verb and time fit one request.
    Request,
    /// The action belongs to a Pod whose creation is accounted for.
    Lineage,
    /// One request that deletes many objects.
    Batch,
    /// The API server writes this key for itself, unaudited.
    SystemWrite,
    /// The lease that the key was bound to ended.
    LeaseExpiry,
    /// A probe of the Pod's spec.
    Probe,
    /// A lifecycle hook of the Pod's spec.
    Hook,
    /// A component started again and took up what was there.
    Restart,
    /// Declared, or there before the recording began.
    Baseline,
    /// The kubelet's own work: it kills what failed a probe, collects what is finished.
    Kubelet,
    /// A read that clusters make all the time and that touches no workload: health, metrics.
    Monitoring,
}

impl How {
    /// The word in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revision => "revision",
            Self::Request => "request",
            Self::Lineage => "lineage",
            Self::Batch => "batch",
            Self::SystemWrite => "system_write",
            Self::LeaseExpiry => "lease_expiry",
            Self::Probe => "probe",
            Self::Hook => "hook",
            Self::Restart => "restart",
            Self::Baseline => "baseline",
            Self::Kubelet => "kubelet",
            Self::Monitoring => "monitoring",
        }
    }
}

/// A gap as a rule finds it.
#[derive(Clone, Debug)]
pub struct GapDraft {
    /// The rule.
    pub rule: &'static RuleInfo,
    /// Technique ids, of the rule's, that fit this gap.
    pub techniques: Vec<&'static str>,
    /// One line.
    pub title: String,
    /// How bad, if true.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// Node, or empty.
    pub node: String,
    /// What was touched.
    pub object: GapObject,
    /// Who did it.
    pub actor: Actor,
    /// What the trail should have shown. The watermark is filled in by the collector.
    pub expected: Expected,
    /// Audit records that came near.
    pub rejected: Vec<(Cite, String)>,
    /// For a blind spot.
    pub policy_rule: Option<PolicyRuleRef>,
    /// A paragraph that can be read aloud.
    pub why: String,
    /// Evidence; sorted and bounded by the collector.
    pub evidence: Vec<Cite>,
    /// Pods (`namespace/name`), containers, keys and users that join it to other gaps of one story.
    pub threads: Vec<String>,
    /// Actions folded into it.
    pub count: u64,
}

impl GapDraft {
    /// A draft with the least that every gap has.
    pub fn new(rule: &'static RuleInfo, title: impl Into<String>, evidence: Vec<Cite>) -> Self {
        Self {
            rule,
            techniques: rule.techniques.to_vec(),
            title: title.into(),
            severity: Severity::Medium,
            confidence: Confidence::High,
            node: String::new(),
            object: GapObject::default(),
            actor: Actor::default(),
            expected: Expected::default(),
            rejected: Vec::new(),
            policy_rule: None,
            why: String::new(),
            evidence,
            threads: Vec::new(),
            count: 1,
        }
    }

    /// Time of the first evidence.
    pub fn first_seen(&self) -> Timestamp {
        self.evidence.iter().map(|cite| cite.time).min().unwrap_or(Timestamp::MIN)
    }
}

/// An explained action that somebody asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Traced {
    pub(crate) how: How,
    /// The action's record; its words say what accounts for it.
    pub(crate) cite: Cite,
}

/// Traced verdicts kept at the most.
const TRACED: usize = 10_000;

/// Actions of one path that share a reason for having no verdict.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unjudged {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) actions: u64,
}

/// All verdicts so far.
#[derive(Debug, Default)]
pub struct Verdicts {
    pub(crate) totals: Totals,
    pub(crate) explained_by: BTreeMap<&'static str, u64>,
    pub(crate) gaps: Vec<GapDraft>,
    pub(crate) blind_spots: Vec<GapDraft>,
    pub(crate) unassessable: BTreeMap<(Path, String, String), Unjudged>,
    /// Names of what explained verdicts are kept of, one by one; of all else they are only counted.
    trace: Vec<String>,
    pub(crate) traced: Vec<Traced>,
    gap_limit: usize,
    evidence_limit: usize,
}

impl Verdicts {
    pub(crate) fn new(gap_limit: usize, evidence_limit: usize, trace: Vec<String>) -> Self {
        Self { trace, gap_limit, evidence_limit, ..Self::default() }
    }

    /// Whether explained verdicts of anything are to be kept, so that it is worth the words.
    pub(crate) fn is_tracing(&self) -> bool {
        !self.trace.is_empty()
    }

    /// Keeps an explained verdict if one of its names, or a part of a path in it, is asked for.
    pub(crate) fn trace(&mut self, how: How, names: &[&str], cite: Cite) {
        let asked = |name: &&str| self.trace.iter().any(|wanted| is_part(name, wanted));
        if self.traced.len() < TRACED && names.iter().any(asked) {
            self.traced.push(Traced { how, cite });
        }
    }

    /// An action is accounted for.
    pub fn explained(&mut self, how: How) {
        self.totals.actions += 1;
        self.totals.explained += 1;
        *self.explained_by.entry(how.as_str()).or_default() += 1;
    }

    /// An action should be accounted for and is not.
    pub fn gap(&mut self, mut gap: GapDraft) {
        self.totals.actions += gap.count;
        self.totals.gap += gap.count;
        if self.gaps.len() >= self.gap_limit {
            let reason = format!("more than {} gaps: only the first are kept one by one", self.gap_limit);
            let cure = "shorten the span of time, or look into what floods the log".to_owned();
            self.count_unassessable(gap.rule.path, reason, cure, gap.first_seen(), 0);
            return;
        }
        bound_evidence(&mut gap, self.evidence_limit);
        self.gaps.push(gap);
    }

    /// An action has no record, and the policy would have dropped it.
    pub fn blind_spot(&mut self, mut gap: GapDraft) {
        self.totals.actions += gap.count;
        self.totals.blind_spot += gap.count;
        let room = self.blind_spots.len() < self.gap_limit;
        // The same hole in the policy hides the same kind of action again and again: fold them.
        let known = self.blind_spots.iter_mut().rev().take(64).find(|known| {
            known.rule.name == gap.rule.name
                && known.policy_rule == gap.policy_rule
                && known.object.resource == gap.object.resource
                && known.object.namespace == gap.object.namespace
        });
        match known {
            Some(known) => {
                known.count += gap.count;
                let place = match known.object.namespace.as_str() {
                    "" => String::new(),
                    namespace => format!(" in {namespace}"),
                };
                let (count, resource) = (known.count, &known.object.resource);
                known.title =
                    format!("{count} actions on {resource}{place} that the policy leaves unrecorded");
                known.object.name.clear();
                known.object.key.clear();
                known.evidence.append(&mut gap.evidence);
                bound_evidence(known, self.evidence_limit);
            }
            None if room => {
                bound_evidence(&mut gap, self.evidence_limit);
                self.blind_spots.push(gap);
            }
            None => {}
        }
    }

    /// No verdict can be given for an action.
    pub fn unassessable(&mut self, path: Path, reason: String, cure: String, time: Timestamp) {
        self.totals.actions += 1;
        self.totals.unassessable += 1;
        self.count_unassessable(path, reason, cure, time, 1);
    }

    /// A path, or a part of it, could not be watched at all.
    pub fn not_watched(&mut self, path: Path, reason: &str, cure: &str) {
        let unjudged = Unjudged { from: Timestamp::MAX, to: Timestamp::MIN, actions: 0 };
        self.unassessable.entry((path, reason.to_owned(), cure.to_owned())).or_insert(unjudged);
    }

    fn count_unassessable(
        &mut self,
        path: Path,
        reason: String,
        cure: String,
        time: Timestamp,
        actions: u64,
    ) {
        let entry = self.unassessable.entry((path, reason, cure)).or_insert(Unjudged {
            from: time,
            to: time,
            actions: 0,
        });
        entry.from = entry.from.min(time);
        entry.to = entry.to.max(time);
        entry.actions += actions;
    }
}

/// Whether a text is a name, or whole segments of a path.
fn is_part(name: &str, wanted: &str) -> bool {
    name.match_indices(wanted).any(|(start, found)| {
        let rest = name.get(start + found.len()..).unwrap_or_default();
        (start == 0 || name[..start].ends_with('/') || found.starts_with('/'))
            && (rest.is_empty() || rest.starts_with(['/', '?']))
    })
}

/// Keeps the first and the last evidence of a long list.
pub(crate) fn bound_evidence(gap: &mut GapDraft, limit: usize) {
    gap.evidence.sort();
    gap.evidence.dedup();
    if gap.evidence.len() > limit {
        let tail = gap.evidence.split_off(gap.evidence.len() - limit / 2);
        gap.evidence.truncate(limit - limit / 2);
        gap.evidence.extend(tail);
    }
}

#[cfg(test)]
mod tests {
    use super::is_part;

    #[test]
    fn a_name_is_part_of_a_path_in_whole_segments() {
        for (path, wanted, expected) in [
            ("/registry/pods/team-a/web", "team-a/web", true),
            ("/registry/pods/team-a/web", "/registry/pods/team-a/web", true),
            ("/exec/team-a/web/app?command=id", "team-a/web", true),
            ("/containerLogs/team-a/web?follow=true", "team-a/web", true),
            ("533", "533", true),
            ("5331", "533", false),
            ("/registry/pods/team-a/web-2", "team-a/web", false),
            ("/registry/pods/old-team-a/web", "team-a/web", false),
        ] {
            assert_eq!(is_part(path, wanted), expected, "{path} {wanted}");
        }
    }
}
