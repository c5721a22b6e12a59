use proptest::prelude::*;

use crate::policy::{DiagnosticKind, LoadError, Policy};

const HEAD: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\n";

#[test]
fn what_the_server_refuses_is_refused_with_its_line() {
    let cases = [
        ("kind: Policy\nrules: [{level: None}]", "line 1: apiVersion is missing"),
        ("apiVersion: audit.k8s.io/v1\nrules: [{level: None}]", "line 1: kind is missing"),
        (
            "apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules: [{level: None}]",
            "line 1: apiVersion must be",
        ),
        ("apiVersion: v1\nkind: ConfigMap\nrules: [{level: None}]", "line 2: kind is `ConfigMap`"),
        ("apiVersion: audit.k8s.io/v1\nkind: Policy\n", "it has no rules"),
        ("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: []", "line 3: it has no rules"),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: metadata",
            "line 4: rule 0: there is no level `metadata`; did you mean `Metadata`?",
        ),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- verbs: [get]",
            "line 4: rule 0: level is missing",
        ),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n  omitStages: [responseStarted]",
            "line 5: rule 0: there is no stage `responseStarted`",
        ),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: None, nonResourceURLs: [/a], namespaces: [b]}",
            "cannot be for nonResourceURLs",
        ),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: None, nonResourceURLs: [healthz]}",
            "does not begin with a slash",
        ),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: None, nonResourceURLs: ['/a*b']}",
            "not at its end",
        ),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: None, resources: [{group: apps/v1}]}",
            "so `apps` is meant",
        ),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: None, resources: [{resourceNames: [a]}]}",
            "resourceNames needs resources",
        ),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: None, users: [1000]}",
            "users must be text, here is a number",
        ),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: None, users: alice}",
            "users must be a list, here is text",
        ),
        ("", "apiVersion is missing"),
        ("- a\n- b", "the policy must be a mapping, here is a list"),
    ];
    for (text, expected) in cases {
        let error = Policy::load(text).unwrap_err();
        assert!(matches!(error, LoadError::Refused(_)), "{text}");
        assert!(error.to_string().contains(expected), "{text}\n{error}\nlacks: {expected}");
    }
}

#[test]
fn what_is_not_yaml_is_a_syntax_error() {
    for text in ["rules: [", "{", "a: b: c", "rules: *nowhere"] {
        assert!(matches!(Policy::load(text), Err(LoadError::Syntax(_))), "{text}");
    }
}

#[test]
fn what_the_server_ignores_is_named_and_widens_the_rule() {
    let text = format!(
        "{HEAD}omitStages: [RequestRecieved]\nrules:\n- level: None\n  user: [\"system:kube-proxy\"]\n  resources:\n  - group: \"\"\n    resource: [events]\n- level: Metadata\n  verbs: [get]\n  verbs: [list]\n  resources: [{{group: \"*\"}}]\n---\na: b\n"
    );
    let loaded = Policy::load(&text).unwrap();
    let found: Vec<_> = loaded
        .diagnostics
        .iter()
        .map(|diagnostic| (diagnostic.line, diagnostic.rule, diagnostic.kind))
        .collect();
    assert_eq!(
        found,
        [
            (3, None, DiagnosticKind::UnknownStage),
            (6, Some(0), DiagnosticKind::UnknownField),
            (9, Some(0), DiagnosticKind::UnknownField),
            (12, Some(1), DiagnosticKind::DuplicateField),
            (13, Some(1), DiagnosticKind::NeedsVersion),
            (0, None, DiagnosticKind::FurtherDocument),
        ]
    );
    assert!(loaded.diagnostics[1].text.ends_with("did you mean `users`?"));
    let rules = &loaded.policy.rules;
    assert!(rules[0].users.is_empty() && rules[0].resources[0].resources.is_empty());
    assert_eq!(rules[1].verbs, ["list"]);
    assert!(loaded.policy.omit_stages.is_empty());
}

#[test]
fn the_frame_of_the_text_does_not_matter() {
    let rules = "rules:\n- level: Metadata\n";
    for text in [
        format!("---\n# a comment\n{HEAD}{rules}"),
        format!("{HEAD}{rules}...\n"),
        format!("{HEAD}{rules}---\n"),
        format!("\u{feff}{HEAD}{rules}"),
        format!("{HEAD}{rules}").replace('\n', "\r\n"),
        format!("{HEAD}\"rules\": [{{\"level\": \"Metadata\"}}]"),
    ] {
        let loaded = Policy::load(&text).unwrap();
        assert_eq!((loaded.policy.rules.len(), loaded.diagnostics), (1, Vec::new()), "{text}");
    }
}

#[test]
fn a_small_text_cannot_grow_without_bound() {
    let tenfold = |depth: usize| {
        let before = if depth == 0 { "x".to_owned() } else { format!("*a{}", depth - 1) };
        format!("a{depth}: &a{depth} [{}]\n", vec![before; 10].join(", "))
    };
    let text = (0..12).map(tenfold).collect::<Vec<_>>().concat();
    assert!(matches!(Policy::load(&text), Err(LoadError::Syntax(_))));
    assert!(matches!(Policy::load(&"[".repeat(100_000)), Err(LoadError::Syntax(_))));
}

proptest! {
    #[test]
    fn no_text_makes_loading_panic(text in "([ \n:{}\\[\\]&*\"'#|>,-]|level|None|rules|users|<<|a|audit.k8s.io/v1){0,60}") {
        // What is read is of no interest here.
        let _ = Policy::load(&format!("{HEAD}{text}"));
        let _ = Policy::load(&text);
    }
}

#[test]
fn anchors_merge_keys_and_json_are_read() {
    let yaml = format!(
        "{HEAD}rules:\n- &first\n  level: Request\n  verbs: [get]\n  resources: &known\n  - group: \"\"\n  - group: apps\n- level: Metadata\n  resources: *known\n- <<: *first\n  level: None\n"
    );
    let policy = Policy::load(&yaml).unwrap().policy;
    assert_eq!(policy.rules[0].resources, policy.rules[1].resources);
    assert_eq!(policy.rules[2].verbs, ["get"]);

    let json = r#"{"kind":"Policy","apiVersion":"audit.k8s.io/v1","metadata":{"creationTimestamp":null},
        "rules":[{"level":"Metadata","users":["a\u0062"],"resources":null}]}"#;
    let loaded = Policy::load(json).unwrap();
    assert_eq!(loaded.diagnostics, []);
    assert_eq!(loaded.policy.rules[0].users, ["ab"]);
}
