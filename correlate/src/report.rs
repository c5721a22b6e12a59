//! Puts verdicts and coverage into the report, in stated orders.

use std::hash::{Hash, Hasher};

use auditgap_records::report::{
    Coverage, Evidence, Gap, RejectedCandidate, RejectedLine, Report, SCHEMA, Unassessable,
};
use auditgap_records::{FeedKind, Interval, Timestamp};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::feeds::{FeedState, Feeds};
use crate::incident;
use crate::verdict::{Cite, GapDraft};
use crate::world::World;

/// Rejects shown per feed.
const REJECTS_SHOWN: usize = 20;

/// Pairs of which a clock offset is told: fewer say nothing.
const OFFSET_PAIRS: u64 = 5;

pub(crate) fn assemble(world: World, files: &[String]) -> Report {
    let World { context, verdicts, feeds, .. } = world;
    let writer = Writer { feeds: &feeds, files };
    let mut drafts = verdicts.gaps;
    let order = |draft: &GapDraft| {
        (draft.first_seen(), draft.rule.name, draft.object.key.clone(), draft.title.clone())
    };
    drafts.sort_by(|left, right| {
        right.severity.cmp(&left.severity).then_with(|| order(left).cmp(&order(right)))
    });
    let threads: Vec<Vec<String>> = drafts.iter().map(|draft| draft.threads.clone()).collect();
    let mut gaps: Vec<Gap> = drafts.into_iter().map(|draft| writer.gap(draft)).collect();
    disambiguate(&mut gaps);
    let incidents = incident::group(&mut gaps, &threads);
    let mut blind: Vec<GapDraft> = verdicts.blind_spots;
    blind.sort_by_key(order);
    let mut blind_spots: Vec<Gap> = blind.into_iter().map(|draft| writer.gap(draft)).collect();
    disambiguate(&mut blind_spots);
    let unassessable = verdicts
        .unassessable
        .into_iter()
        .map(|((path, reason, cure), unjudged)| Unassessable {
            path,
            reason,
            from: (unjudged.actions > 0).then_some(unjudged.from),
            to: (unjudged.actions > 0).then_some(unjudged.to),
            actions: unjudged.actions,
            cure,
        })
        .collect();
    let mut coverage: Vec<Coverage> =
        feeds.states.iter().map(|state| writer.coverage(state, &context.settings)).collect();
    coverage.sort_by(|left, right| left.feed.cmp(&right.feed));
    Report {
        schema: SCHEMA.to_owned(),
        cluster: context.cluster,
        window: window(&feeds),
        coverage,
        totals: verdicts.totals,
        explained_by: verdicts.explained_by.into_iter().map(|(how, count)| (how.to_owned(), count)).collect(),
        gaps,
        incidents,
        blind_spots,
        unassessable,
    }
}

/// Explained verdicts that were asked for.
pub(crate) fn traced(world: &mut World, files: &[String]) -> Vec<(&'static str, Evidence)> {
    let mut traced = std::mem::take(&mut world.verdicts.traced);
    traced.sort_by(|left, right| left.cite.cmp(&right.cite));
    let writer = Writer { feeds: &world.feeds, files };
    traced.iter().map(|verdict| (verdict.how.as_str(), writer.evidence(&verdict.cite))).collect()
}

fn window(feeds: &Feeds) -> Option<Interval> {
    let ranges = feeds.states.iter().filter_map(|state| state.activity.range());
    ranges.reduce(|left, right| Interval::new(left.from.min(right.from), left.to.max(right.to)))
}

/// Two gaps with the same content are told apart by their number.
fn disambiguate(gaps: &mut [Gap]) {
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    for gap in gaps {
        let number = seen.entry(gap.id.clone()).or_default();
        *number += 1;
        if *number > 1 {
            gap.id = format!("{}-{number}", gap.id);
        }
    }
}

struct Writer<'a> {
    feeds: &'a Feeds,
    files: &'a [String],
}

impl Writer<'_> {
    fn gap(&self, draft: GapDraft) -> Gap {
        let first_seen = draft.first_seen();
        let last_seen = draft.evidence.iter().map(|cite| cite.time).max().unwrap_or(first_seen);
        Gap {
            id: id(&draft, first_seen),
            incident: String::new(),
            path: draft.rule.path,
            technique: draft.techniques.iter().map(ToString::to_string).collect(),
            attack: draft.rule.attack.iter().map(ToString::to_string).collect(),
            rule: draft.rule.name.to_owned(),
            title: draft.title,
            severity: draft.severity,
            confidence: draft.confidence,
            first_seen,
            last_seen,
            count: draft.count,
            node: draft.node,
            object: draft.object,
            actor: draft.actor,
            expected: draft.expected,
            rejected_candidates: draft
                .rejected
                .iter()
                .map(|(cite, why)| RejectedCandidate { audit: self.evidence(cite), why: why.clone() })
                .collect(),
            policy_rule: draft.policy_rule,
            exception: None,
            why: draft.why,
            next_steps: draft.rule.next_steps.iter().map(ToString::to_string).collect(),
            evidence: draft.evidence.iter().map(|cite| self.evidence(cite)).collect(),
        }
    }

    fn evidence(&self, cite: &Cite) -> Evidence {
        Evidence {
            feed: self.feeds.state(cite.feed).map_or_else(String::new, |state| state.name.clone()),
            time: cite.time,
            seen: None,
            file: self.file(cite.position.file),
            line: cite.position.line,
            offset: cite.position.offset,
            length: cite.position.length,
            raw: None,
            summary: cite.summary.clone(),
        }
    }

    fn file(&self, number: u32) -> String {
        usize::try_from(number).ok().and_then(|number| self.files.get(number)).cloned().unwrap_or_default()
    }

    fn coverage(&self, state: &FeedState, settings: &crate::settings::Settings) -> Coverage {
        let range = state.activity.range();
        let mut notes = state.notes.clone();
        if state.late > 0 {
            notes.push(format!("{} records came too late to be put in order", state.late));
        }
        if state.feed.kind == FeedKind::Audit {
            notes.extend(self.feeds.audit_holes.iter().map(|(hole, why)| {
                format!("events may be missing from {} to {}: {why}", hole.from, hole.to)
            }));
        }
        let idle = match state.feed.kind {
            FeedKind::Audit => state.activity.silence_limit(settings.audit_idle),
            _ => settings.idle_limit(state.feed.kind),
        };
        let silent = state.activity.silences().filter(|span| span.to > span.from + idle).collect();
        Coverage {
            feed: state.name.clone(),
            kind: state.feed.kind.as_str().to_owned(),
            instance: state.feed.instance.clone(),
            format: state.feed.format.clone(),
            from: range.map(|range| range.from),
            to: range.map(|range| range.to),
            records: state.records,
            rejected: state.rejected,
            offset_ms: median_offset(state),
            silent,
            notes,
            rejects: state
                .rejects
                .iter()
                .take(REJECTS_SHOWN)
                .map(|reject| RejectedLine {
                    file: self.file(reject.position.file),
                    line: reject.position.line,
                    reason: reject.reason.clone(),
                })
                .collect(),
        }
    }
}

/// The median of the feed's clock offsets, in milliseconds.
fn median_offset(state: &FeedState) -> Option<f64> {
    let pairs: u64 = state.offsets.values().sum();
    if pairs < OFFSET_PAIRS {
        return None;
    }
    let mut before = 0;
    for (tenths, count) in &state.offsets {
        before += count;
        if before * 2 >= pairs {
            return Some(*tenths as f64 / 10.0);
        }
    }
    None
}

/// An id from content: rule, object, first time and title. The key is public; an id is a name, not a proof.
fn id(draft: &GapDraft, first_seen: Timestamp) -> String {
    let mut hasher = SipHasher24::new();
    draft.rule.name.hash(&mut hasher);
    draft.object.key.hash(&mut hasher);
    draft.object.resource.hash(&mut hasher);
    draft.object.namespace.hash(&mut hasher);
    draft.object.name.hash(&mut hasher);
    draft.node.hash(&mut hasher);
    draft.title.hash(&mut hasher);
    first_seen.0.hash(&mut hasher);
    hasher.write_u8(0);
    let hash = hasher.finish128();
    format!("gap-{:016x}", hash.h1 ^ hash.h2)
}
