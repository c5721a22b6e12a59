use std::collections::BTreeSet;

use auditgap_records::audit::{Level, Stage};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::policy;
use crate::policy::{
    CandidateRequest, GroupResources, Identity, Logged, Policy, RequestAttributes, Rule, StageSet,
};

const CREATE_POD: CandidateRequest<'static> = CandidateRequest {
    verbs: &["create"],
    groups: &[""],
    resource: "pods",
    subresource: "",
    namespace: Some("ns"),
    name: Some("p"),
};
const EXEC: CandidateRequest<'static> =
    CandidateRequest { verbs: &["get", "create"], subresource: "exec", ..CREATE_POD };

/// The verdict in a word, with the rule and whose requests are not recorded.
fn verdict(rules: &[&str], candidates: &[CandidateRequest<'_>]) -> String {
    let prospect = policy(rules).would_log_any(candidates);
    let index = |rule: Option<usize>| rule.map_or("-".to_owned(), |index| index.to_string());
    match &prospect.logged {
        Logged::Always => format!("always {:?}..{:?}", prospect.least, prospect.greatest),
        Logged::Never { rule } => format!("never {}", index(rule.index)),
        Logged::Sometimes { rule } => {
            format!("sometimes {} {}", index(rule.index), prospect.unlogged_users().join(" | "))
        }
    }
}

#[test]
fn unknown_users_are_partitioned_by_what_the_policy_mentions() {
    let cases: &[(&[&str], &str)] = &[
        (&["{level: RequestResponse}"], "always RequestResponse..RequestResponse"),
        (&["{level: None, resources: [{resources: [pods]}]}", "{level: Metadata}"], "never 0"),
        (&["{level: Metadata, resources: [{resources: [secrets]}]}"], "never -"),
        (&["{level: None, users: [a, b]}", "{level: Request}"], "sometimes 0 a | b"),
        (&["{level: None, userGroups: [g]}", "{level: Request}"], "sometimes 0 members of g"),
        (
            &["{level: None, users: [a], userGroups: [g]}", "{level: Request}"],
            "sometimes 0 a as a member of g",
        ),
        (&["{level: Metadata, users: [a]}"], "sometimes - any user that the policy does not single out"),
        (&["{level: Metadata, userGroups: [system:authenticated]}"], "sometimes - system:anonymous"),
        (
            &["{level: None, userGroups: [system:unauthenticated]}", "{level: Metadata}"],
            "sometimes 0 system:anonymous",
        ),
        (
            &["{level: Metadata, userGroups: [system:authenticated, system:unauthenticated]}"],
            "always Metadata..Metadata",
        ),
        // Every user is recorded before the rule that drops some is reached.
        (
            &["{level: Metadata, users: [a]}", "{level: None, users: [a]}", "{level: Request}"],
            "always Metadata..Request",
        ),
        // Both groups alone are recorded or dropped by their own first rule.
        (
            &["{level: Request, userGroups: [g]}", "{level: None, userGroups: [g, h]}", "{level: Metadata}"],
            "sometimes 1 members of h",
        ),
        (&["{level: Metadata, omitStages: [ResponseComplete]}"], "never 0"),
        (&["{level: Metadata, omitStages: [RequestReceived, ResponseStarted]}"], "always Metadata..Metadata"),
        // A create has no name in its URL, so a rule on names does not concern it.
        (
            &["{level: None, resources: [{resources: [pods], resourceNames: [p]}]}", "{level: Metadata}"],
            "always Metadata..Metadata",
        ),
    ];
    for (rules, expected) in cases {
        assert_eq!(verdict(rules, &[CREATE_POD]), *expected, "{rules:?}");
    }
}

#[test]
fn several_candidates_are_judged_together() {
    let rules: &[&str] =
        &["{level: None, verbs: [get], resources: [{resources: ['*/exec']}]}", "{level: Request}"];
    assert_eq!(verdict(rules, &[EXEC]), "sometimes 0 any user that the policy does not single out");
    let get_only = CandidateRequest { verbs: &["get"], ..EXEC };
    assert_eq!(verdict(rules, &[get_only]), "never 0");
    assert_eq!(
        verdict(rules, &[get_only, CREATE_POD]),
        "sometimes 0 any user that the policy does not single out"
    );
}

#[test]
fn a_stream_is_recorded_at_its_beginning() {
    let prospect = policy(&["{level: Metadata, omitStages: [ResponseComplete]}"]).would_log(&EXEC);
    assert_eq!(prospect.logged, Logged::Always);
    assert!(prospect.stages.contains(Stage::ResponseStarted));
}

#[test]
fn unknown_places_are_all_that_the_policy_mentions_and_one_more() {
    let rules: &[&str] = &["{level: None, namespaces: [kube-system]}", "{level: Metadata}"];
    let anywhere = CandidateRequest { namespace: None, ..CREATE_POD };
    assert_eq!(verdict(rules, &[anywhere]), "sometimes 0 any user that the policy does not single out");
    assert_eq!(verdict(rules, &[CREATE_POD]), "always Metadata..Metadata");

    let namespace = CandidateRequest {
        verbs: &["delete"],
        resource: "namespaces",
        namespace: Some(""),
        name: Some("kube-system"),
        ..CREATE_POD
    };
    assert_eq!(verdict(rules, &[namespace]), "never 0");
    assert_eq!(
        verdict(rules, &[CandidateRequest { verbs: &["create"], ..namespace }]),
        "always Metadata..Metadata"
    );
}

const VERBS: &[&str] = &["create", "get", "update", "patch", "delete", "deletecollection"];
const USERS: &[&str] = &["a", "b", "system:anonymous"];
const GROUPS: &[&str] = &["g", "h", "system:authenticated", "system:unauthenticated"];
const NAMESPACES: &[&str] = &["", "n", "m"];
const NAMES: &[&str] = &["x", "y"];
const API_GROUPS: &[&str] = &["", "apps", "*"];
const RESOURCES: &[&str] = &["pods", "pods/exec", "pods/*", "*/exec", "*", "namespaces", "secrets"];

/// Few of the entries, mostly none.
fn some(entries: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let owned = |chosen: Vec<&str>| chosen.into_iter().map(str::to_owned).collect::<Vec<_>>();
    prop_oneof![
        2 => Just(Vec::new()),
        1 => subsequence(entries.to_vec(), 1..=2).prop_map(owned),
    ]
}

fn stages() -> impl Strategy<Value = StageSet> {
    prop_oneof![
        3 => Just(StageSet::NONE),
        1 => subsequence(StageSet::STAGES.to_vec(), 1..=3).prop_map(|stages| stages.into_iter().collect()),
    ]
}

fn group_resources() -> impl Strategy<Value = GroupResources> {
    (select(API_GROUPS), some(RESOURCES), some(NAMES)).prop_map(|(group, resources, resource_names)| {
        GroupResources { group: group.to_owned(), resources, resource_names }
    })
}

fn rules() -> impl Strategy<Value = Rule> {
    let level = select(vec![Level::None, Level::Metadata, Level::Request, Level::RequestResponse]);
    let resources = prop::collection::vec(group_resources(), 0..3);
    (level, some(USERS), some(GROUPS), some(VERBS), resources, some(NAMESPACES), stages()).prop_map(
        |(level, users, user_groups, verbs, resources, namespaces, omit_stages)| Rule {
            level,
            users,
            user_groups,
            verbs,
            resources,
            namespaces,
            non_resource_urls: Vec::new(),
            omit_stages,
            omit_managed_fields: None,
            line: 0,
        },
    )
}

pub(super) fn policies() -> impl Strategy<Value = Policy> {
    (prop::collection::vec(rules(), 1..7), stages()).prop_map(|(rules, omit_stages)| Policy {
        omit_stages,
        omit_managed_fields: false,
        rules,
    })
}

/// Users as the API server can authenticate them: anonymous, or anyone in any groups beside `system:authenticated`.
pub(super) fn users() -> impl Strategy<Value = Identity<'static>> {
    let known = (select(vec!["a", "b", "zoe"]), subsequence(vec!["g", "h", "strangers"], 0..=3));
    prop_oneof![
        1 => Just(Identity { name: "system:anonymous", groups: vec!["system:unauthenticated"] }),
        9 => known.prop_map(|(name, mut groups)| {
            groups.push("system:authenticated");
            Identity { name, groups }
        }),
    ]
}

fn is_told(policy: &Policy, request: &RequestAttributes<'_>) -> Option<Level> {
    let decision = policy.evaluate(request);
    let complete = !decision.omit_stages.contains(Stage::ResponseComplete);
    let started = request.subresource == "exec" && !decision.omit_stages.contains(Stage::ResponseStarted);
    (decision.level != Level::None && (complete || started)).then_some(decision.level)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// What is forecast for an unknown user holds for every user that can be thought of.
    #[test]
    fn the_forecast_never_contradicts_a_decision(
        policy in policies(),
        senders in prop::collection::vec(users(), 1..12),
        resource in select(vec!["pods", "namespaces", "secrets", "widgets"]),
        group in select(vec!["", "apps", "other"]),
        subresource in select(vec!["", "exec"]),
        verbs in subsequence(VERBS.to_vec(), 1..=3),
        namespace in select(vec![None, Some("n"), Some("elsewhere")]),
        name in select(vec![None, Some("x"), Some("another")]),
    ) {
        let groups = [group];
        let candidate = CandidateRequest { verbs: &verbs, groups: &groups, resource, subresource, namespace, name };
        let prospect = policy.would_log(&candidate);
        let is_namespace = resource == "namespaces" && group.is_empty();
        for user in senders {
            for verb in &verbs {
                let url_name = if *verb == "create" && subresource.is_empty() { "" } else { name.unwrap_or("y") };
                let request = RequestAttributes {
                    user: Some(user.clone()),
                    verb,
                    namespace: if is_namespace { url_name } else { namespace.unwrap_or("m") },
                    group,
                    resource,
                    subresource,
                    name: url_name,
                    path: "",
                    is_resource_request: true,
                };
                let told = is_told(&policy, &request);
                match &prospect.logged {
                    Logged::Always => prop_assert!(told.is_some()),
                    Logged::Never { .. } => prop_assert!(told.is_none()),
                    Logged::Sometimes { .. } => {}
                }
                if let Some(level) = told {
                    prop_assert!(prospect.least <= level && level <= prospect.greatest);
                }
            }
        }
    }

    /// `Sometimes` is not said lightly: one of the users it could be is recorded and one is not.
    #[test]
    fn sometimes_has_a_witness_of_each_kind(policy in policies(), resource in select(vec!["pods", "secrets"])) {
        let candidate = CandidateRequest { resource, ..CREATE_POD };
        let prospect = policy.would_log(&candidate);
        let mut told = BTreeSet::new();
        for name in ["a", "b", "zoe", "system:anonymous"] {
            for own in [vec![], vec!["g"], vec!["h"], vec!["g", "h"]] {
                let mut groups = own;
                groups.push("system:authenticated");
                let request = RequestAttributes {
                    user: Some(Identity { name, groups }),
                    verb: "create",
                    namespace: "ns",
                    resource,
                    is_resource_request: true,
                    ..RequestAttributes::default()
                };
                told.insert(is_told(&policy, &request).is_some());
                let anonymous = Identity { name: "system:anonymous", groups: vec!["system:unauthenticated"] };
                told.insert(is_told(&policy, &RequestAttributes { user: Some(anonymous), ..request }).is_some());
            }
        }
        let expected = match prospect.logged {
            Logged::Always => BTreeSet::from([true]),
            Logged::Never { .. } => BTreeSet::from([false]),
            Logged::Sometimes { .. } => BTreeSet::from([false, true]),
        };
        prop_assert_eq!(told, expected);
    }
}
