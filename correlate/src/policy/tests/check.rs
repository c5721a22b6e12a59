use auditgap_records::audit::Level;
use auditgap_records::report::Path;
use proptest::prelude::*;

use super::candidates::{policies, users};
use super::policy;
use crate::policy::check::{Effect, PolicyCheck};
use crate::policy::{Policy, RequestAttributes};

/// What a policy of the given rules does, without its weaknesses: `path techniques effect`.
fn blinded(rules: &[&str]) -> Vec<String> {
    let check = policy(rules).check(&[]);
    let told = |path: Path, technique: &[String], effect: &str| {
        format!("{} {} {effect}", path.as_str(), technique.join(","))
    };
    check
        .findings
        .iter()
        .filter_map(|finding| match finding.effect {
            Effect::Blinds => Some(told(finding.path, &finding.technique, "all")),
            Effect::BlindsForSome => Some(told(finding.path, &finding.technique, "some")),
            Effect::Weakens | Effect::Exposes => None,
        })
        .collect()
}

const REST: &str = "{level: RequestResponse}";

#[test]
fn what_is_not_recorded_blinds_what_rests_on_it() {
    let cases: &[(&str, &[&str])] = &[
        ("{level: None, resources: [{resources: [widgets]}]}", &[]),
        ("{level: None, verbs: [list, watch]}", &[]),
        ("{level: None, nonResourceURLs: ['*']}", &[]),
        (
            "{level: None, verbs: [create], resources: [{resources: [pods]}]}",
            &[
                "static_pod SP1,SP2,SP3,SP4,SP6 some",
                "etcd_api ET1,ET8 some",
                "runtime_socket RT1,RT2,RT3,RT6 all",
            ],
        ),
        (
            "{level: None, userGroups: [system:nodes], resources: [{resources: [pods/status]}]}",
            &["etcd_api ET1,ET8 some"],
        ),
        ("{level: None, resources: [{resources: [pods/status]}]}", &["etcd_api ET1,ET8 some"]),
        ("{level: None, resources: [{resources: [events]}]}", &["etcd_api ET7 all"]),
        (
            "{level: None, resources: [{resources: ['*/exec']}]}",
            &["kubelet_api KL2,KL3,KL8 all", "runtime_socket RT4 all"],
        ),
        ("{level: None, resources: [{resources: ['*/proxy']}]}", &["kubelet_api KL1,KL7 all"]),
        (
            "{level: None, users: [system:kube-scheduler], resources: [{group: coordination.k8s.io}]}",
            &["etcd_api ET12 some"],
        ),
        ("{level: None, resources: [{group: rbac.authorization.k8s.io}]}", &["etcd_api ET2,ET8 all"]),
        (
            "{level: None, resources: [{resources: [secrets], resourceNames: [a]}]}",
            &["etcd_api ET3,ET8 some"],
        ),
        (
            "{level: None, namespaces: [monitoring], resources: [{resources: [configmaps]}]}",
            &["etcd_api ET8 some"],
        ),
        (
            "{level: Metadata, omitStages: [ResponseComplete], resources: [{resources: [secrets, pods/log]}]}",
            &["etcd_api ET3,ET8 all"],
        ),
    ];
    for (rule, expected) in cases {
        assert_eq!(blinded(&[rule, REST]), *expected, "{rule}");
    }
}

#[test]
fn stages_levels_and_secrets_are_weighed() {
    let lost = |check: &PolicyCheck| -> Vec<String> {
        let findings = check.findings.iter().chain(&check.exposures);
        findings.map(|finding| format!("{:?} {}", finding.effect, finding.technique.join(","))).collect()
    };
    let cases: &[(&[&str], &[&str])] = &[
        (&[REST], &["Exposes "]),
        (
            &[
                "{level: Metadata, resources: [{resources: [secrets, serviceaccounts/token]}, {group: authentication.k8s.io}]}",
                REST,
            ],
            &["Weakens ET3"],
        ),
        (
            &["{level: Metadata, omitStages: [ResponseStarted]}"],
            &[
                "Weakens KL1,KL2,KL3,KL5,KL8",
                "Weakens KL2,KL3,RT4",
                "Weakens ET1,ET2,ET7,ET8",
                "Weakens ET3",
                "Weakens RT4,RT7",
                "Weakens ",
            ],
        ),
        (&["{level: RequestResponse, omitStages: [RequestReceived]}"], &["Weakens AU4", "Exposes "]),
        (&["{level: RequestResponse, omitStages: [Panic]}"], &["Weakens AU4", "Exposes "]),
        (
            &[
                "{level: None, resources: [{resources: [pods/binding]}]}",
                "{level: Request, resources: [{resources: [pods]}]}",
                REST,
            ],
            &["BlindsForSome ET1,ET8", "Weakens ET1,ET2,ET7,ET8", "Weakens RT1", "Exposes "],
        ),
        (
            &["{level: None, userGroups: [system:nodes], resources: [{group: coordination.k8s.io}]}", REST],
            &["Weakens SP5,SP7", "BlindsForSome ET12", "Weakens AU1", "Exposes "],
        ),
    ];
    for (rules, expected) in cases {
        assert_eq!(lost(&policy(rules).check(&[])), *expected, "{rules:?}");
    }
}

#[test]
fn a_cure_cures() {
    let starts: &[&[&str]] = &[
        &["{level: None}"],
        &["{level: Metadata, resources: [{resources: [secrets]}]}"],
        &["{level: None, users: [a, b]}", "{level: None, userGroups: [g]}", REST],
        &["{level: None, namespaces: [kube-system]}", "{level: None, verbs: [patch]}", "{level: Metadata}"],
        &["{level: None, resources: [{group: ''}, {group: events.k8s.io}]}", "{level: Request}"],
    ];
    for rules in starts {
        let check = policy(rules).check(&[]);
        assert!(check.blinds(), "{rules:?}");
        let mut cures: Vec<_> = check
            .findings
            .iter()
            .filter_map(|finding| finding.cure.as_ref())
            .filter_map(|cure| Some((cure.before_rule?, cure.yaml.as_deref()?)))
            .collect();
        // Places are counted in the policy as it was: from the last to the first none moves another.
        cures.sort_by_key(|(before, _)| std::cmp::Reverse(*before));
        let mut lines: Vec<String> = rules.iter().map(|rule| format!("- {rule}\n")).collect();
        for (before, yaml) in cures {
            lines.insert(before, yaml.to_owned());
        }
        let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{}", lines.concat());
        let loaded = Policy::load(&text).unwrap();
        assert_eq!(loaded.diagnostics, []);
        let left: Vec<_> = loaded.policy.check(&[]).findings;
        // Custom resources cannot be named beforehand; all else is cured.
        let left = left.iter().filter(|finding| finding.effect <= Effect::BlindsForSome);
        let left: Vec<_> = left.filter(|finding| !finding.lost.contains("custom resources")).collect();
        assert!(left.is_empty(), "{rules:?}\n{left:#?}");
    }
}

#[test]
fn rules_that_do_not_do_what_they_seem_to_are_named() {
    let cases: &[(&[&str], &str)] = &[
        (&["{level: Metadata, verbs: ['*']}"], "so the rule matches nothing"),
        (&["{level: Metadata, verbs: [get, exec], resources: [{}]}"], "no request here has the verb `exec`"),
        (&["{level: Metadata, verbs: [GET]}"], "verb `GET`"),
        (&["{level: Metadata, verbs: [list], nonResourceURLs: [/metrics]}"], "verb `list`"),
        (&["{level: None, users: [system:nodes]}"], "`system:nodes` is a group"),
        (&["{level: None, userGroups: ['system:serviceaccount:a:b']}"], "is a user"),
        (&["{level: None, users: ['system:node:*']}"], "compared literally"),
        (
            &["{level: None, namespaces: [''], resources: [{resources: [namespaces]}]}"],
            "creates and lists only",
        ),
        (&["{level: None, nonResourceURLs: [/api/v1/pods]}"], "the path of a resource"),
        (&["{level: None, resources: [{group: v1, resources: [pods]}]}"], "no API group `v1`"),
        (&["{level: None, resources: [{resources: [deployments]}]}"], "not in the core API group"),
        (&["{level: None, resources: [{resources: [Pod]}]}"], "there is no resource `Pod`"),
        (&["{level: None, resources: [{resources: ['pod*']}]}"], "compared literally"),
        (
            &["{level: None, verbs: [create], resources: [{resources: [secrets], resourceNames: [a]}]}"],
            "the URL of a create has no name",
        ),
        (
            &["{level: Request, resources: [{resources: [pods]}]}", "{level: None}"],
            "`pods` does not stand for its subresources",
        ),
        (
            &[
                "{level: None, resources: [{group: apps}]}",
                "{level: Request, resources: [{group: apps, resources: [deployments]}]}",
            ],
            "decided earlier, by rule 0",
        ),
        (
            &[
                "{level: None, verbs: [get], resources: [{resources: ['*']}]}",
                "{level: None, verbs: [list]}",
                "{level: Request, verbs: [get, list], resources: [{resources: [pods, pods/log]}]}",
            ],
            "decided earlier, by rules 0, 1",
        ),
    ];
    for (rules, expected) in cases {
        let check = policy(rules).check(&[]);
        let texts: Vec<_> = check.mistakes.iter().map(|mistake| &mistake.text).collect();
        assert_eq!(texts.iter().filter(|text| text.contains(expected)).count(), 1, "{rules:?}: {texts:#?}");
    }
}

#[test]
fn sound_rules_are_not_called_mistakes() {
    let rules = [
        "{level: None, users: [system:kube-proxy], verbs: [watch], resources: [{resources: [endpoints, services/status]}]}",
        "{level: None, userGroups: [system:nodes], verbs: [get], resources: [{resources: [nodes, nodes/status]}]}",
        "{level: None, nonResourceURLs: ['/healthz*', /version], verbs: [get, head]}",
        "{level: Metadata, resources: [{resources: [secrets], resourceNames: [a]}, {group: metrics.k8s.io}]}",
        "{level: Request, namespaces: ['', kube-system], resources: [{resources: ['pods/*', namespaces]}]}",
        "{level: Metadata}",
    ];
    assert_eq!(policy(&rules).check(&[]).mistakes, []);
}

proptest! {
    /// A rule that is said never to decide never does.
    #[test]
    fn a_shadowed_rule_decides_nothing(
        policy in policies(),
        senders in prop::collection::vec(users(), 4),
        verb in prop::sample::select(vec!["create", "get", "patch"]),
        resource in prop::sample::select(vec!["pods", "namespaces", "secrets"]),
        subresource in prop::sample::select(vec!["", "exec"]),
        group in prop::sample::select(vec!["", "apps"]),
        namespace in prop::sample::select(vec!["", "n", "other"]),
        name in prop::sample::select(vec!["", "x", "other"]),
    ) {
        let shadowed: Vec<usize> = policy
            .check(&[])
            .mistakes
            .iter()
            .filter(|mistake| mistake.text.starts_with("it never decides"))
            .filter_map(|mistake| mistake.rule)
            .collect();
        for user in senders {
            let request = RequestAttributes {
                user: Some(user), verb, namespace, group, resource, subresource, name, path: "", is_resource_request: true,
            };
            let decision = policy.evaluate(&request);
            prop_assert!(!decision.rule.is_some_and(|rule| shadowed.contains(&rule)));
            prop_assert!(decision.rule.is_some() || decision.level == Level::None);
        }
    }
}
