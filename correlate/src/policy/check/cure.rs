//! The smallest change of a policy that brings a record back, as a rule to insert.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use auditgap_records::audit::{Level, Stage};
use serde::{Deserialize, Serialize};

use super::watch::Wanted;
use crate::policy::candidates::Prospect;
use crate::policy::text::{level_word, stage_word};
use crate::policy::{GroupResources, Policy, Rule, StageSet};

/// A change of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cure {
    /// What to do, in words.
    pub text: String,
    /// Where the rule goes: before this rule, from 0; the number of rules means at the end. Absent if no rule is to be
    /// inserted.
    pub before_rule: Option<usize>,
    /// The rule to insert; absent if there is none.
    pub yaml: Option<String>,
}

impl Cure {
    /// Something to do by hand.
    pub(super) fn in_words(text: String) -> Self {
        Self { text, before_rule: None, yaml: None }
    }

    fn inserting(rule: &Rule, before: Option<usize>, rules: usize) -> Self {
        let before_rule = before.unwrap_or(rules);
        let place = match before {
            Some(index) => format!("before rule {index}"),
            None => "after the last rule".to_owned(),
        };
        Self {
            text: format!("insert this rule {place}"),
            before_rule: Some(before_rule),
            yaml: Some(to_yaml(rule)),
        }
    }
}

/// Brings back records that a level of `None`, or the lack of a rule, or an omitted stage drops.
pub(super) fn for_unlogged(policy: &Policy, cases: &[(&Wanted, Prospect)], level: Level) -> Cure {
    let mut resources = ResourceLists::default();
    let mut verbs = BTreeSet::new();
    let mut before: Option<usize> = None;
    let mut by_stages = BTreeSet::new();
    for (wanted, prospect) in cases {
        for entry in &prospect.unlogged {
            if policy.decision(entry.rule).level != Level::None {
                by_stages.insert(entry.rule);
                continue;
            }
            resources.add(wanted);
            verbs.insert(entry.verb.clone());
            before = match (before, entry.rule) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
    }
    let stages = stage_words(policy, &by_stages, Stage::ResponseComplete);
    if verbs.is_empty() {
        return Cure::in_words(stages);
    }
    let rule = resources.into_rule(level, verbs);
    let mut cure = Cure::inserting(&rule, before, policy.rules.len());
    if !by_stages.is_empty() {
        let _ = write!(cure.text, "; {stages}");
    }
    cure
}

/// Gives records the level that is wanted.
pub(super) fn for_level(wanted: &[&Wanted], before: Option<usize>) -> Cure {
    let mut resources = ResourceLists::default();
    let mut verbs = BTreeSet::new();
    let mut level = Level::Metadata;
    for wanted in wanted {
        resources.add(wanted);
        verbs.extend(wanted.verbs.iter().map(|verb| (*verb).to_owned()));
        level = level.max(wanted.level);
    }
    Cure::inserting(&resources.into_rule(level, verbs), before, before.unwrap_or(0))
}

/// Where a stage has to be taken out of `omitStages`. Rules and policy add up, so no inserted rule can bring it back
/// if the policy itself omits it.
pub(super) fn stage_words(policy: &Policy, rules: &BTreeSet<Option<usize>>, stage: Stage) -> String {
    let mut places: Vec<String> = Vec::new();
    if policy.omit_stages.contains(stage) {
        places.push("the policy".to_owned());
    }
    let omits = |index: usize| policy.rules.get(index).is_some_and(|rule| rule.omit_stages.contains(stage));
    places.extend(rules.iter().flatten().filter(|index| omits(**index)).map(|index| format!("rule {index}")));
    format!("take {} out of omitStages of {}", stage_word(stage), places.join(", "))
}

#[derive(Default)]
struct ResourceLists(BTreeMap<&'static str, BTreeSet<String>>);

impl ResourceLists {
    fn add(&mut self, wanted: &Wanted) {
        let resource = if wanted.subresource.is_empty() {
            wanted.resource.to_owned()
        } else {
            format!("{}/{}", wanted.resource, wanted.subresource)
        };
        self.0.entry(wanted.group).or_default().insert(resource);
    }

    fn into_rule(self, level: Level, verbs: BTreeSet<String>) -> Rule {
        let resources = self
            .0
            .into_iter()
            .map(|(group, resources)| GroupResources {
                group: group.to_owned(),
                resources: resources.into_iter().collect(),
                resource_names: Vec::new(),
            })
            .collect();
        bare_rule(level, verbs.into_iter().collect(), resources)
    }
}

fn bare_rule(level: Level, verbs: Vec<String>, resources: Vec<GroupResources>) -> Rule {
    Rule {
        level,
        users: Vec::new(),
        user_groups: Vec::new(),
        verbs,
        resources,
        namespaces: Vec::new(),
        non_resource_urls: Vec::new(),
        omit_stages: StageSet::NONE,
        omit_managed_fields: None,
        line: 0,
    }
}

/// A rule as an entry of `rules`, in the style of the Kubernetes documentation.
fn to_yaml(rule: &Rule) -> String {
    let list = |entries: &[String]| {
        let quoted: Vec<String> = entries.iter().map(|entry| format!("\"{entry}\"")).collect();
        format!("[{}]", quoted.join(", "))
    };
    let mut text = format!("- level: {}\n", level_word(rule.level));
    if !rule.verbs.is_empty() {
        let _ = writeln!(text, "  verbs: {}", list(&rule.verbs));
    }
    text.push_str("  resources:\n");
    for entry in &rule.resources {
        let _ = writeln!(text, "  - group: \"{}\"", entry.group);
        let _ = writeln!(text, "    resources: {}", list(&entry.resources));
    }
    text
}
