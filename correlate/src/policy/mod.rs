//! The audit policy: what the API server was told to record.
//!
//! A missing audit record proves something only where a record would have been made. [`load`] reads a policy as the
//! API server reads it (its leniency included), [`evaluate`] decides a request as the server does, [`candidates`]
//! decides requests of which we do not know who sent them, and [`check`] says which detections a policy blinds.
//!
//! Semantics: `k8s.io/apiserver/pkg/audit/policy` and `pkg/apis/audit/validation`.

pub mod candidates;
pub mod check;
pub mod evaluate;
pub mod load;
mod text;
mod tree;

use auditgap_records::audit::{Level, Stage};
use auditgap_records::report::PolicyRuleRef;

pub use candidates::{CandidateRequest, Logged, Principal, Prospect, Unlogged};
pub use evaluate::{Decision, Identity, RequestAttributes};
pub use load::{Diagnostic, DiagnosticKind, LoadError, Loaded, Refusal};

/// An audit policy that the API server would accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Stages that are recorded for no request.
    pub omit_stages: StageSet,
    /// Whether recorded bodies lose `metadata.managedFields`, unless a rule says otherwise.
    pub omit_managed_fields: bool,
    /// The first rule that matches a request decides.
    pub rules: Vec<Rule>,
}

/// One rule. Its conditions must all hold; an empty list is no condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How much is recorded.
    pub level: Level,
    /// Exact names of authenticated users, before impersonation.
    pub users: Vec<String>,
    /// Groups, any of which the user must be in.
    pub user_groups: Vec<String>,
    /// Exact verbs; no wildcard exists.
    pub verbs: Vec<String>,
    /// Resources, any of which the request must be for.
    pub resources: Vec<GroupResources>,
    /// Exact namespaces; the empty string stands for what has none.
    pub namespaces: Vec<String>,
    /// Paths of non-resource requests; a final `*` stands for any rest.
    pub non_resource_urls: Vec<String>,
    /// Stages that are not recorded, beside the policy's own.
    pub omit_stages: StageSet,
    /// Overrides the policy's setting.
    pub omit_managed_fields: Option<bool>,
    /// Line of the rule in the policy's text, from 1; 0 if not known.
    pub line: u32,
}

/// Resources of one API group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupResources {
    /// API group, empty for the core group, `*` for all (from Kubernetes 1.36 on).
    pub group: String,
    /// `pods`, `pods/exec`, `pods/*` (`pods` itself included), `*/status` or `*`; empty for everything in the group.
    pub resources: Vec<String>,
    /// Names in the request's URL: a create has none there.
    pub resource_names: Vec<String>,
}

/// A set of stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StageSet(u8);

impl StageSet {
    /// No stage.
    pub const NONE: Self = Self(0);
    /// Every stage, in the order in which a request reaches them.
    pub const STAGES: [Stage; 4] =
        [Stage::RequestReceived, Stage::ResponseStarted, Stage::ResponseComplete, Stage::Panic];

    fn bit(stage: Stage) -> u8 {
        match stage {
            Stage::RequestReceived => 1,
            Stage::ResponseStarted => 2,
            Stage::ResponseComplete => 4,
            Stage::Panic => 8,
        }
    }

    /// Adds a stage.
    pub fn insert(&mut self, stage: Stage) {
        self.0 |= Self::bit(stage);
    }

    /// Whether a stage is in the set.
    pub fn contains(self, stage: Stage) -> bool {
        self.0 & Self::bit(stage) != 0
    }

    /// Whether no stage is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The stages in the set, in the order in which a request reaches them.
    pub fn iter(self) -> impl Iterator<Item = Stage> {
        Self::STAGES.into_iter().filter(move |stage| self.contains(*stage))
    }
}

impl FromIterator<Stage> for StageSet {
    fn from_iter<I: IntoIterator<Item = Stage>>(stages: I) -> Self {
        let mut set = Self::NONE;
        stages.into_iter().for_each(|stage| set.insert(stage));
        set
    }
}

impl Policy {
    /// Names a rule for a report; `None` stands for "no rule matches".
    pub fn rule_ref(&self, index: Option<usize>) -> PolicyRuleRef {
        let text = match index.and_then(|index| self.rules.get(index)) {
            Some(rule) => rule.to_string(),
            None => "no rule matches, and what no rule matches is not recorded".to_owned(),
        };
        PolicyRuleRef { index, text }
    }
}

#[cfg(test)]
mod tests;
