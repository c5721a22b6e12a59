//! What the policy decides for a request that nobody recorded, of which we do not know who sent it.
//!
//! The set of possible users is infinite, but the policy can tell apart only few of them: it compares names and groups
//! with those it mentions. So it is enough to ask for one user of each kind: a name that it mentions or one that it
//! does not, in one group that it mentions or in none. More groups per user need not be tried: if a user in several
//! groups is decided by a rule, one of those groups satisfies that rule and none satisfies an earlier one, so the
//! user in that one group alone is decided by the same rule.
//!
//! What is known of users is used: whoever authenticated is in `system:authenticated`, and who did not is
//! `system:anonymous` in `system:unauthenticated`. A request whose authentication failed did nothing and is no
//! candidate. Nothing is assumed of names and groups that usually go together (service accounts, nodes): a
//! certificate can claim one without the other.

use std::collections::BTreeSet;
use std::fmt;

use auditgap_records::audit::{Level, Stage};
use auditgap_records::report::PolicyRuleRef;

use super::evaluate::{Decision, Identity, ResourceRequest};
use super::{Policy, Rule, StageSet};

const ANONYMOUS: &str = "system:anonymous";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const NODES: &str = "system:nodes";
const AUTHENTICATED: &str = "system:authenticated";

/// Requests, any of which would account for an action: every combination of verb and group, by any user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CandidateRequest<'a> {
    /// Audit verbs. `kubectl exec` is `get` over WebSocket and `create` over SPDY; `patch` may create.
    pub verbs: &'a [&'a str],
    /// API groups, empty for the core group. More than one where several serve the same object (Events).
    pub groups: &'a [&'a str],
    /// Plural resource name.
    pub resource: &'a str,
    /// Subresource, empty if none.
    pub subresource: &'a str,
    /// Namespace of the object, empty if it has none; `None` if not known.
    pub namespace: Option<&'a str>,
    /// Name of the object, whether or not the request's URL has it; `None` if not known.
    pub name: Option<&'a str>,
}

/// Whether there would be a record at a stage that tells of the outcome: `ResponseComplete`, and for long-running
/// requests also `ResponseStarted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    /// Of every candidate by every user.
    Always,
    /// Of none.
    Never {
        /// The rule that drops the record of users that the policy does not mention, or the first that drops any.
        rule: PolicyRuleRef,
    },
    /// Of some: [`Prospect::unlogged`] says of whose not.
    Sometimes {
        /// The rule that drops the record of users that the policy does not mention, or the first that drops any.
        rule: PolicyRuleRef,
    },
}

/// Requests that leave no record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unlogged {
    /// Whose.
    pub who: Principal,
    /// Audit verb.
    pub verb: String,
    /// Resource with its subresource: `pods/exec`.
    pub resource: String,
    /// The rule, from 0; `None` if none matches.
    pub rule: Option<usize>,
}

/// Users that the policy cannot tell apart, ordered from many to few.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Principal {
    /// Every user that no rule tells apart.
    AnyoneElse,
    /// Who sent no credentials.
    Anonymous,
    /// Members of a group.
    Group(String),
    /// A user.
    User(String),
    /// A user, if in a group.
    UserInGroup(String, String),
}

impl fmt::Display for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyoneElse => formatter.write_str("any user that the policy does not single out"),
            Self::Anonymous => formatter.write_str(ANONYMOUS),
            Self::Group(group) => write!(formatter, "members of {group}"),
            Self::User(name) => formatter.write_str(name),
            Self::UserInGroup(name, group) => write!(formatter, "{name} as a member of {group}"),
        }
    }
}

/// Who is known to send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// Not known.
    Anyone,
    /// A kubelet, under a name that the policy does not mention.
    Node,
}

/// What the records of candidate requests would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prospect {
    /// Whether there would be any.
    pub logged: Logged,
    /// Whose requests leave no record; first those that concern most users.
    pub unlogged: Vec<Unlogged>,
    /// The least level among those logged; `None` if none is. From `RequestResponse` on, a write's record carries the
    /// resulting `resourceVersion`.
    pub least: Level,
    /// The greatest level among those logged; `None` if none is.
    pub greatest: Level,
    /// The stages at which every one that is logged would be recorded.
    pub stages: StageSet,
    /// The rules by which some are logged, from 0, ascending.
    pub logged_by: Vec<usize>,
}

impl Prospect {
    /// Whether only users that the policy names, or members of groups that it names, could have left no record.
    pub fn unlogged_only_for_named(&self) -> bool {
        self.unlogged.iter().all(|entry| entry.who != Principal::AnyoneElse)
    }

    /// Users and groups whose requests leave no record, in words, each once.
    pub fn unlogged_users(&self) -> Vec<String> {
        let who: BTreeSet<&Principal> = self.unlogged.iter().map(|entry| &entry.who).collect();
        who.into_iter().map(ToString::to_string).collect()
    }
}

impl Policy {
    /// What would be recorded of one candidate, by whomever it was sent.
    pub fn would_log(&self, candidate: &CandidateRequest<'_>) -> Prospect {
        self.would_log_any(std::slice::from_ref(candidate))
    }

    /// What would be recorded of several candidates, any of which would account for an action: `Always` only if every
    /// one would be, `Never` only if none. Without candidates nothing would be recorded.
    pub fn would_log_any(&self, candidates: &[CandidateRequest<'_>]) -> Prospect {
        self.forecast(candidates, Sender::Anyone)
    }

    /// As [`Policy::would_log_any`], with what is known of who sends.
    pub(super) fn forecast(&self, candidates: &[CandidateRequest<'_>], sender: Sender) -> Prospect {
        let mut tally = Tally::default();
        for candidate in candidates {
            for verb in candidate.verbs {
                for group in candidate.groups {
                    for (namespace, name) in self.places(candidate, verb, group) {
                        let request = ResourceRequest {
                            verb,
                            namespace,
                            group,
                            resource: candidate.resource,
                            subresource: candidate.subresource,
                            name,
                        };
                        self.tally_users(&request, sender, &mut tally);
                    }
                }
            }
        }
        self.prospect(tally)
    }

    /// The namespaces and names that the request's URL may have had. A text that is not known is each that a rule
    /// mentions, and one that none does.
    fn places<'a>(
        &'a self,
        candidate: &CandidateRequest<'a>,
        verb: &str,
        group: &str,
    ) -> Vec<(Option<&'a str>, Option<&'a str>)> {
        let is_namespace = group.is_empty() && candidate.resource == "namespaces";
        // Of a Namespace both are its name.
        let mentioned = |rule| if is_namespace { Self::places_of(rule) } else { Self::names_of(rule) };
        let names = match (verb, candidate.subresource) {
            ("create", "") => vec![Some("")],
            // A field selector on `metadata.name` puts the name where a URL has it.
            ("list" | "watch" | "deletecollection", "") => {
                let mut names = vec![Some("")];
                names.extend(self.known_or_all(candidate.name, mentioned));
                names
            }
            _ => self.known_or_all(candidate.name, mentioned),
        };
        if is_namespace {
            return names.into_iter().map(|name| (name, name)).collect();
        }
        let namespaces = self.known_or_all(candidate.namespace, Self::namespaces_of);
        let pairs = namespaces.into_iter().flat_map(|place| names.iter().map(move |name| (place, *name)));
        pairs.collect()
    }

    fn known_or_all<'a>(
        &'a self,
        known: Option<&'a str>,
        mentioned: impl Fn(&'a Rule) -> Vec<&'a str>,
    ) -> Vec<Option<&'a str>> {
        if known.is_some() {
            return vec![known];
        }
        let all: BTreeSet<&str> = self.rules.iter().flat_map(mentioned).collect();
        std::iter::once(None).chain(all.into_iter().map(Some)).collect()
    }

    fn namespaces_of(rule: &Rule) -> Vec<&str> {
        rule.namespaces.iter().map(String::as_str).collect()
    }

    fn names_of(rule: &Rule) -> Vec<&str> {
        rule.resources.iter().flat_map(|entry| &entry.resource_names).map(String::as_str).collect()
    }

    fn places_of(rule: &Rule) -> Vec<&str> {
        let mut places = Self::namespaces_of(rule);
        places.extend(Self::names_of(rule));
        places
    }

    /// Decides one request for every kind of user.
    fn tally_users(&self, request: &ResourceRequest<'_>, sender: Sender, tally: &mut Tally) {
        let mut applicable = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            if rule.matches_resource_request(request) {
                applicable.push((index, rule));
                if rule.users.is_empty() && rule.user_groups.is_empty() {
                    break;
                }
            }
        }
        let mut ask = |who: Principal, user: &Identity<'_>| {
            let deciding = applicable.iter().find(|(_, rule)| rule.matches_user(Some(user)));
            tally.add(request, who, self.decision(deciding.map(|(index, _)| *index)));
        };
        if sender == Sender::Node {
            let node = Identity { name: "system:node:", groups: vec![NODES, AUTHENTICATED] };
            return ask(Principal::Group(NODES.to_owned()), &node);
        }
        let names: BTreeSet<&str> =
            applicable.iter().flat_map(|(_, rule)| &rule.users).map(String::as_str).collect();
        let groups: BTreeSet<&str> = applicable
            .iter()
            .flat_map(|(_, rule)| &rule.user_groups)
            .map(String::as_str)
            .filter(|group| *group != AUTHENTICATED && *group != UNAUTHENTICATED)
            .collect();
        let mut stranger = "anyone".to_owned();
        while names.contains(stranger.as_str()) {
            stranger.push('_');
        }

        ask(Principal::Anonymous, &Identity { name: ANONYMOUS, groups: vec![UNAUTHENTICATED] });
        ask(Principal::AnyoneElse, &Identity { name: &stranger, groups: vec![AUTHENTICATED] });
        for group in &groups {
            let groups = vec![AUTHENTICATED, group];
            ask(Principal::Group((*group).to_owned()), &Identity { name: &stranger, groups });
        }
        for name in &names {
            ask(Principal::User((*name).to_owned()), &Identity { name, groups: vec![AUTHENTICATED] });
            for group in &groups {
                let who = Principal::UserInGroup((*name).to_owned(), (*group).to_owned());
                ask(who, &Identity { name, groups: vec![AUTHENTICATED, group] });
            }
        }
    }

    fn prospect(&self, tally: Tally) -> Prospect {
        let Tally { logged, logged_by, mut unlogged } = tally;
        let coarse: BTreeSet<Unlogged> = unlogged.clone();
        unlogged.retain(|entry| !entry.is_part_of_another(&coarse));
        let rule = unlogged.first().map(|entry| self.dropping_rule(entry.rule));
        let (verdict, levels) = match (logged, rule) {
            (Some(levels), None) => (Logged::Always, levels),
            (Some(levels), Some(rule)) => (Logged::Sometimes { rule }, levels),
            (None, rule) => {
                let rule = rule.unwrap_or_else(|| self.rule_ref(None));
                (Logged::Never { rule }, Recorded::NOTHING)
            }
        };
        Prospect {
            logged: verdict,
            unlogged: unlogged.into_iter().collect(),
            least: levels.least,
            greatest: levels.greatest,
            stages: levels.stages,
            logged_by: logged_by.into_iter().collect(),
        }
    }

    /// Names the rule that drops a record, and the stages if it is by them.
    fn dropping_rule(&self, index: Option<usize>) -> PolicyRuleRef {
        let mut rule = self.rule_ref(index);
        let decision = self.decision(index);
        if decision.level != Level::None {
            rule.text = format!("{}; the stages left out are {}", rule.text, decision.omit_stages);
        }
        rule
    }
}

impl Unlogged {
    /// Whether another entry says the same of more users.
    fn is_part_of_another(&self, others: &BTreeSet<Self>) -> bool {
        let says = |who: Principal| {
            others
                .iter()
                .any(|other| other.who == who && other.verb == self.verb && other.resource == self.resource)
        };
        match &self.who {
            Principal::AnyoneElse => false,
            Principal::Anonymous | Principal::Group(_) | Principal::User(_) => says(Principal::AnyoneElse),
            Principal::UserInGroup(name, group) => {
                says(Principal::AnyoneElse)
                    || says(Principal::User(name.clone()))
                    || says(Principal::Group(group.clone()))
            }
        }
    }
}

/// What is recorded of the requests that are recorded.
#[derive(Clone, Copy, Debug)]
struct Recorded {
    least: Level,
    greatest: Level,
    stages: StageSet,
}

impl Recorded {
    const NOTHING: Self = Self { least: Level::None, greatest: Level::None, stages: StageSet::NONE };
}

#[derive(Debug, Default)]
struct Tally {
    logged: Option<Recorded>,
    logged_by: BTreeSet<usize>,
    unlogged: BTreeSet<Unlogged>,
}

impl Tally {
    fn add(&mut self, request: &ResourceRequest<'_>, who: Principal, decision: Decision) {
        let stages: StageSet =
            emitted_stages(request).iter().filter(|stage| !decision.omit_stages.contains(*stage)).collect();
        let tells = stages.contains(Stage::ResponseComplete) || stages.contains(Stage::ResponseStarted);
        if decision.level == Level::None || !tells {
            let resource = if request.subresource.is_empty() {
                request.resource.to_owned()
            } else {
                format!("{}/{}", request.resource, request.subresource)
            };
            let verb = request.verb.to_owned();
            self.unlogged.insert(Unlogged { who, verb, resource, rule: decision.rule });
            return;
        }
        self.logged_by.extend(decision.rule);
        let level = decision.level;
        let before = self.logged.unwrap_or(Recorded { least: level, greatest: level, stages });
        self.logged = Some(Recorded {
            least: before.least.min(level),
            greatest: before.greatest.max(level),
            stages: before.stages.intersection(stages),
        });
    }
}

/// The stages of a request that is carried out. A handler's panic is not among what can be counted on.
fn emitted_stages(request: &ResourceRequest<'_>) -> StageSet {
    let mut stages: StageSet = [Stage::RequestReceived, Stage::ResponseComplete].into_iter().collect();
    // The API server's own list of long-running requests.
    let long_running = matches!(request.verb, "watch" | "proxy")
        || matches!(request.subresource, "attach" | "exec" | "proxy" | "log" | "portforward");
    if long_running {
        stages.insert(Stage::ResponseStarted);
    }
    stages
}
