use auditgap_records::audit::Level;

use super::policy;
use crate::policy::{Identity, Policy, RequestAttributes, StageSet};

fn alice() -> Identity<'static> {
    Identity { name: "alice", groups: vec!["system:authenticated", "ops"] }
}

/// `verb resource[.group][/subresource] [namespace[/name]]`, or `verb /path`, sent by alice.
fn request(text: &str) -> RequestAttributes<'_> {
    let mut words = text.split(' ');
    let verb = words.next().unwrap();
    let what = words.next().unwrap();
    let (namespace, name) = words.next().unwrap_or("").split_once('/').unwrap_or_default();
    if what.starts_with('/') {
        return RequestAttributes { user: Some(alice()), verb, path: what, ..RequestAttributes::default() };
    }
    let (qualified, subresource) = what.split_once('/').unwrap_or((what, ""));
    let (resource, group) = qualified.split_once('.').unwrap_or((qualified, ""));
    RequestAttributes {
        user: Some(alice()),
        verb,
        namespace,
        group,
        resource,
        subresource,
        name,
        is_resource_request: true,
        path: "",
    }
}

#[test]
fn a_rule_matches_what_the_api_server_lets_it_match() {
    // Rule, requests that it matches, requests that it does not.
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("{level: Metadata}", &["get pods ns/p", "get /healthz", "create secrets ns/"], &[]),
        ("{level: Metadata, users: [alice]}", &["get pods ns/p"], &[]),
        ("{level: Metadata, users: [Alice, ali, 'ali*', '*']}", &[], &["get pods ns/p"]),
        ("{level: Metadata, userGroups: [ops, other]}", &["get pods ns/p"], &[]),
        ("{level: Metadata, users: [bob], userGroups: [ops]}", &[], &["get pods ns/p"]),
        (
            "{level: Metadata, verbs: [get]}",
            &["get pods ns/p", "get /version"],
            &["list pods ns/", "GET /version"],
        ),
        ("{level: Metadata, verbs: ['*']}", &[], &["get pods ns/p", "get /version"]),
        (
            "{level: Metadata, namespaces: [ns]}",
            &["get pods ns/p", "get a.b.c ns/p"],
            &["get pods other/p", "get /x"],
        ),
        (
            "{level: Metadata, namespaces: ['']}",
            &["get nodes /n", "create namespaces /", "list namespaces /"],
            &["get pods ns/p", "get namespaces x/x", "get /x"],
        ),
        (
            "{level: Metadata, resources: [{group: ''}]}",
            &["get pods ns/p", "get pods/exec ns/p"],
            &["get deployments.apps ns/p", "get /api"],
        ),
        ("{level: Metadata, resources: [{}]}", &["get pods ns/p"], &["get deployments.apps ns/p"]),
        ("{level: Metadata, resources: [{group: '*'}]}", &["get pods ns/p", "get a.b ns/p"], &["get /x"]),
        ("{level: Metadata, resources: [{resources: [pods]}]}", &["get pods ns/p"], &["get pods/exec ns/p"]),
        (
            "{level: Metadata, resources: [{resources: [pods/exec]}]}",
            &["get pods/exec ns/p"],
            &["get pods ns/p"],
        ),
        (
            "{level: Metadata, resources: [{resources: ['pods/*']}]}",
            &["get pods ns/p", "get pods/exec ns/p"],
            &["get podtemplates ns/p", "get nodes/status /n"],
        ),
        (
            "{level: Metadata, resources: [{resources: ['*/status']}]}",
            &["patch pods/status ns/p", "patch nodes/status /n"],
            &["patch pods ns/p", "patch pods/exec ns/p", "patch deployments.apps/status ns/d"],
        ),
        (
            "{level: Metadata, resources: [{resources: ['*']}]}",
            &["get pods ns/p", "get pods/exec ns/p"],
            &["get a.b ns/p"],
        ),
        (
            "{level: Metadata, resources: [{resources: ['*/*', 'pod*', pods/]}]}",
            &[],
            &["get pods ns/p", "get pods/exec ns/p"],
        ),
        (
            "{level: Metadata, resources: [{resources: [secrets], resourceNames: [db]}]}",
            &["get secrets ns/db", "list secrets ns/db"],
            &[
                "get secrets ns/other",
                "create secrets ns/",
                "list secrets ns/",
                "deletecollection secrets ns/",
            ],
        ),
        (
            "{level: Metadata, resources: [{resources: [secrets]}, {group: apps}]}",
            &["get secrets ns/db", "get deployments.apps ns/d"],
            &["get pods ns/p"],
        ),
        ("{level: Metadata, nonResourceURLs: ['*']}", &["get /x", "get /"], &["get pods ns/p"]),
        (
            "{level: Metadata, nonResourceURLs: [/healthz]}",
            &["get /healthz"],
            &["get /healthz/ping", "get /health"],
        ),
        (
            "{level: Metadata, nonResourceURLs: ['/healthz*', '/a/*']}",
            &["get /healthz", "get /healthz/ping", "get /healthzz", "get /a/b/c"],
            &["get /health", "get /a", "get pods ns/p"],
        ),
    ];
    for (rule, matched, unmatched) in cases {
        let policy = policy(&[rule]);
        for (requests, expected) in [(matched, Some(0)), (unmatched, None)] {
            for text in *requests {
                assert_eq!(policy.evaluate(&request(text)).rule, expected, "{rule}: {text}");
            }
        }
    }
}

#[test]
fn a_request_whose_authentication_failed_matches_no_rule_on_users() {
    let nobody = RequestAttributes { user: None, ..request("get pods ns/p") };
    for rule in ["{level: Metadata, users: ['']}", "{level: Metadata, userGroups: [system:unauthenticated]}"]
    {
        assert_eq!(policy(&[rule]).evaluate(&nobody).rule, None, "{rule}");
    }
    assert_eq!(policy(&["{level: Metadata}"]).evaluate(&nobody).rule, Some(0));
}

#[test]
fn the_first_rule_that_matches_decides() {
    let policy = policy(&[
        "{level: None, verbs: [list]}",
        "{level: Request, resources: [{resources: [pods]}], omitStages: [ResponseStarted]}",
        "{level: Metadata, namespaces: [ns]}",
    ]);
    for (text, rule, level) in [
        ("list pods ns/", Some(0), Level::None),
        ("get pods ns/p", Some(1), Level::Request),
        ("get secrets ns/s", Some(2), Level::Metadata),
        ("get secrets other/s", None, Level::None),
    ] {
        let decision = policy.evaluate(&request(text));
        assert_eq!((decision.rule, decision.level), (rule, level), "{text}");
    }
}

#[test]
fn stages_add_up_and_managed_fields_are_overridden() {
    let text = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: Metadata, verbs: [get], omitStages: [Panic], omitManagedFields: false}
- {level: Metadata, verbs: [list]}
";
    let policy = Policy::load(text).unwrap().policy;
    let words = |stages: StageSet| stages.to_string();
    for (text, stages, managed) in [
        ("get pods ns/p", "RequestReceived, Panic", false),
        ("list pods ns/", "RequestReceived", true),
        ("create pods ns/", "RequestReceived", true),
    ] {
        let decision = policy.evaluate(&request(text));
        assert_eq!(
            (words(decision.omit_stages).as_str(), decision.omit_managed_fields),
            (stages, managed),
            "{text}"
        );
    }
}
