//! Which detections a policy blinds or weakens, by which rule, and the smallest change that cures it.
//!
//! Every detection rests on requests whose records must exist. `catalogue` lists them by path and technique, `special`
//! asks what depends on stages, and `mistake` names rules that do not do what they seem to.

mod catalogue;
mod cure;
mod mistake;
mod shadow;
mod special;
mod watch;

use std::fmt::Write as _;

use auditgap_records::audit::Level;
use auditgap_records::report::{Path, PolicyRuleRef};
use serde::{Deserialize, Serialize};

use super::candidates::{Logged, Prospect};
use super::text::level_word;
use super::{Diagnostic, DiagnosticKind, Policy};

pub use cure::Cure;
pub use mistake::Mistake;
use watch::{Wanted, Watch};

/// Value of [`PolicyCheck::schema`].
pub const SCHEMA: &str = "auditgap.policy-check/v1";

/// What a policy means for detection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyCheck {
    /// [`SCHEMA`].
    pub schema: String,
    /// Number of rules.
    pub rules: usize,
    /// The result in one line.
    pub verdict: String,
    /// By path, then effect, then in the order of the catalogue.
    pub findings: Vec<Finding>,
    /// What the text seems to say and the server does not do; by line.
    pub mistakes: Vec<Mistake>,
    /// What is recorded that had better not be.
    pub exposures: Vec<Finding>,
}

impl PolicyCheck {
    /// Whether some detection is blinded, for everybody or for some.
    pub fn blinds(&self) -> bool {
        self.findings.iter().any(|finding| finding.effect <= Effect::BlindsForSome)
    }
}

/// What a policy does to a detection, from bad to bearable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// No request that it rests on is recorded.
    Blinds,
    /// Those of some users, verbs or places are not.
    BlindsForSome,
    /// It works, with less certainty or with less to tell.
    Weakens,
    /// Nothing is lost, but the log holds secrets.
    Exposes,
}

/// One detection, or family of detections, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which way around the API server it watches.
    pub path: Path,
    /// Technique ids of the catalogue; empty where none is concerned.
    pub technique: Vec<String>,
    /// What happens to it.
    pub effect: Effect,
    /// What is lost, in words.
    pub lost: String,
    /// The requests concerned, as `verb/verb resource/subresource`.
    pub requests: Vec<String>,
    /// Whose requests are not recorded; empty if everybody's.
    pub users: Vec<String>,
    /// The rules that cause it.
    pub rules: Vec<RuleAt>,
    /// The smallest change; absent where none is advised.
    pub cure: Option<Cure>,
    /// What speaks against the change, or what else to know; may be empty.
    pub note: String,
}

/// A rule and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleAt {
    /// The rule, its index from 0.
    #[serde(flatten)]
    pub rule: PolicyRuleRef,
    /// Line, from 1; 0 if not known or if no rule matches.
    pub line: u32,
}

impl Policy {
    /// What this policy means for detection. `diagnostics` are those of its loading.
    pub fn check(&self, diagnostics: &[Diagnostic]) -> PolicyCheck {
        let mut findings: Vec<Finding> =
            catalogue::WATCHES.iter().flat_map(|watch| self.judge(watch)).collect();
        findings.extend(special::findings(self));
        for finding in &mut findings {
            name_misspelled(finding, diagnostics);
        }
        findings.sort_by_key(|finding| (finding.path, finding.effect));
        let mistakes = mistake::mistakes(self, diagnostics);
        let exposures = special::exposures(self);
        PolicyCheck {
            schema: SCHEMA.to_owned(),
            rules: self.rules.len(),
            verdict: verdict(&findings, &mistakes, &exposures),
            findings,
            mistakes,
            exposures,
        }
    }

    /// Up to three findings: for requests that are never recorded, that are sometimes, and that lack their bodies.
    fn judge(&self, watch: &Watch) -> Vec<Finding> {
        let mut never = Vec::new();
        let mut sometimes = Vec::new();
        let mut weak = Vec::new();
        for wanted in watch.requests {
            let prospect = self.forecast(&[wanted.candidate()], watch.sender);
            match prospect.logged {
                Logged::Never { .. } => never.push((wanted, prospect)),
                Logged::Sometimes { .. } => sometimes.push((wanted, prospect)),
                Logged::Always if prospect.least < wanted.level => weak.push((wanted, prospect)),
                Logged::Always => {}
            }
        }
        if watch.path == Path::EtcdApi {
            // Where the object's own writes are recorded, those of its subresources are only some of all.
            let whole: Vec<_> = never.iter().filter(|(wanted, _)| wanted.subresource.is_empty()).collect();
            let whole: Vec<_> = whole.iter().map(|(wanted, _)| (wanted.group, wanted.resource)).collect();
            let (all, part) =
                never.into_iter().partition(|(wanted, _)| whole.contains(&(wanted.group, wanted.resource)));
            never = all;
            sometimes.extend::<Vec<_>>(part);
        }
        let mut findings = Vec::new();
        if let Some(lost) = &watch.lost {
            for (cases, effect) in [(never, lost.effect), (sometimes, lost.effect.max(Effect::BlindsForSome))]
            {
                findings.extend(self.lost(watch, lost, &cases, effect));
            }
        }
        findings.extend(self.weak(watch, &weak));
        findings
    }

    fn lost(
        &self,
        watch: &Watch,
        lost: &watch::Lost,
        cases: &[(&Wanted, Prospect)],
        effect: Effect,
    ) -> Option<Finding> {
        if cases.is_empty() {
            return None;
        }
        let unlogged = || cases.iter().flat_map(|(_, prospect)| &prospect.unlogged);
        let rules = distinct(unlogged().map(|entry| entry.rule));
        let requests = cases.iter().map(|(wanted, prospect)| wanted.with_verbs_of(prospect)).collect();
        let everybody = cases.iter().all(|(_, prospect)| matches!(prospect.logged, Logged::Never { .. }));
        let users = if everybody {
            Vec::new()
        } else {
            distinct(unlogged().map(|entry| &entry.who)).into_iter().map(ToString::to_string).collect()
        };
        Some(Finding {
            path: watch.path,
            technique: watch.technique.iter().map(|id| (*id).to_owned()).collect(),
            effect,
            lost: lost.text.to_owned(),
            requests,
            users,
            cure: Some(cure::for_unlogged(self, cases, lost.level)),
            rules: self.rules_at(&rules),
            note: lost.note.to_owned(),
        })
    }

    fn weak(&self, watch: &Watch, cases: &[(&Wanted, Prospect)]) -> Option<Finding> {
        let weak = watch.weak.as_ref().filter(|_| !cases.is_empty())?;
        let below = |wanted: &Wanted, index: usize| {
            self.rules.get(index).is_some_and(|rule| rule.level < wanted.level)
        };
        let rules = distinct(cases.iter().flat_map(|(wanted, prospect)| {
            prospect.logged_by.iter().filter(|index| below(wanted, **index)).map(|index| Some(*index))
        }));
        let requests = cases.iter().map(|(wanted, _)| wanted.to_string()).collect();
        let wanted: Vec<&Wanted> = cases.iter().map(|(wanted, _)| *wanted).collect();
        let least = cases.iter().map(|(_, prospect)| prospect.least).min().unwrap_or(Level::None);
        Some(Finding {
            path: watch.path,
            technique: watch.technique.iter().map(|id| (*id).to_owned()).collect(),
            effect: Effect::Weakens,
            lost: format!("recorded at {} only: {}", level_word(least), weak.text),
            requests,
            users: Vec::new(),
            cure: weak.advised.then(|| cure::for_level(&wanted, rules.iter().flatten().min().copied())),
            rules: self.rules_at(&rules),
            note: weak.note.to_owned(),
        })
    }

    /// Rules with their lines.
    fn rules_at(&self, indexes: &[Option<usize>]) -> Vec<RuleAt> {
        let line = |index: usize| self.rules.get(index).map_or(0, |rule| rule.line);
        let at = |index: &Option<usize>| RuleAt { rule: self.rule_ref(*index), line: index.map_or(0, line) };
        indexes.iter().map(at).collect()
    }
}

/// A misspelled condition is likelier the cause than the rule as it was meant.
fn name_misspelled(finding: &mut Finding, diagnostics: &[Diagnostic]) {
    let misspelled = |at: &&RuleAt| {
        diagnostics.iter().any(|diagnostic| {
            diagnostic.kind == DiagnosticKind::UnknownField
                && diagnostic.rule.is_some()
                && diagnostic.rule == at.rule.index
        })
    };
    let Some(index) = finding.rules.iter().find(misspelled).and_then(|at| at.rule.index) else { return };
    let space = if finding.note.is_empty() { "" } else { " " };
    let _ = write!(
        finding.note,
        "{space}Rule {index} has a field that the API server ignores: correct that first, it may be the cure."
    );
}

/// Sorted, each once.
fn distinct<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.collect::<std::collections::BTreeSet<T>>().into_iter().collect()
}

fn verdict(findings: &[Finding], mistakes: &[Mistake], exposures: &[Finding]) -> String {
    let count = |effect: Effect| findings.iter().filter(|finding| finding.effect == effect).count();
    let (blinded, partly, weakened) =
        (count(Effect::Blinds), count(Effect::BlindsForSome), count(Effect::Weakens));
    let mut parts = Vec::new();
    if blinded + partly == 0 {
        parts.push("This policy blinds no detection".to_owned());
    } else {
        let mut text = format!("This policy blinds {}", counted(blinded + partly, "detection"));
        if partly > 0 {
            let _ = write!(text, " ({partly} of them for some users or places only)");
        }
        parts.push(text);
    }
    if weakened > 0 {
        parts.push(format!("weakens {weakened}"));
    }
    if !mistakes.is_empty() {
        parts.push(format!("contains {}", counted(mistakes.len(), "mistake")));
    }
    if !exposures.is_empty() {
        parts.push("puts secrets into the log".to_owned());
    }
    match parts.pop() {
        Some(last) if !parts.is_empty() => format!("{} and {last}.", parts.join(", ")),
        Some(only) => format!("{only}."),
        None => String::new(),
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
