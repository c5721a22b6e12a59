use auditgap_records::audit::Stage;
use auditgap_records::kubelet::KubeletLine;
use auditgap_records::report::{Confidence, Gap, Report, Severity};

use crate::fact::{AuditFact, Review, Verb};
use crate::testkit::{Recording, at, request};

const MINUTE: i64 = 60_000;

/// User, verb, subresource and moment of each.
type Reviews<'a> = Vec<(&'a str, &'a str, &'a str, i64)>;

/// A kubelet's line; times are milliseconds, a code of 0 is a stream.
fn served(recording: &mut Recording, method: &str, uri: &str, start: i64, end: i64, code: u16) {
    served_to(recording, method, uri, (start, end), code, "10.0.0.9:4000", None);
}

fn served_to(
    recording: &mut Recording,
    method: &str,
    uri: &str,
    (start, end): (i64, i64),
    code: u16,
    source: &str,
    forbidden_user: Option<&str>,
) {
    let line = KubeletLine::Http {
        method: method.to_owned().into(),
        uri: uri.to_owned().into(),
        latency: (end - start) * 1_000_000,
        user_agent: "curl/8".into(),
        source: source.to_owned().into(),
        code: (code != 0).then_some(code),
        forbidden_user: forbidden_user.map(|user| user.to_owned().into()),
    };
    recording.kubelet("node-1", at(end), line);
}

/// A request into Pod `a/web` as the API server records it.
fn into_pod(subresource: &str, query: &str, received: i64, ended: i64, code: u16) -> AuditFact {
    AuditFact {
        resource: "pods".into(),
        subresource: subresource.into(),
        namespace: "a".into(),
        name: "web".into(),
        uri: format!("/api/v1/namespaces/a/pods/web/{subresource}?{query}").into(),
        code,
        ..request(Verb::Get, "alice", at(received), at(ended))
    }
}

fn through_proxy(uri: &str, verb: Verb, received: i64, ended: i64, code: u16) -> AuditFact {
    AuditFact {
        resource: "nodes".into(),
        subresource: "proxy".into(),
        name: "node-1".into(),
        uri: format!("/api/v1/nodes/node-1/proxy{uri}").into(),
        code,
        ..request(verb, "admin", at(received), at(ended))
    }
}

fn review(user: &str, verb: &str, subresource: &str, moment: i64, allowed: bool) -> AuditFact {
    AuditFact {
        resource: "subjectaccessreviews".into(),
        code: 201,
        review: Some(Box::new(Review {
            user: user.into(),
            verb: verb.into(),
            resource: "nodes".into(),
            subresource: subresource.into(),
            name: "node-1".into(),
            allowed,
            credential_id: "JTI=1".into(),
            ..Review::default()
        })),
        ..request(Verb::Create, "system:node:node-1", at(moment), at(moment + 1))
    }
}

fn recording() -> Recording {
    let mut recording = Recording::new();
    recording.audited(at(-MINUTE), at(10 * MINUTE));
    recording
}

fn only_gap(report: &Report) -> &Gap {
    assert_eq!(report.gaps.len(), 1, "{:#?}", report.gaps);
    &report.gaps[0]
}

const EXEC: &str = "/exec/a/web/c?command=ls&command=-l&error=1&output=1";
const AUDITED: &str = "command=ls&command=-l&container=c&stderr=true&stdout=true";

#[test]
fn what_a_recorded_request_led_to_is_explained() {
    for (what, method, uri, code, fact) in [
        ("exec", "GET", EXEC, 0, into_pod("exec", AUDITED, 0, 50, 101)),
        ("exec, container left out", "POST", EXEC, 0, into_pod("exec", "command=ls&command=-l", 0, 50, 101)),
        ("attach", "GET", "/attach/a/web/c?output=1", 0, into_pod("attach", "stdout=true", 0, 50, 101)),
        ("port-forward", "POST", "/portForward/a/web", 0, into_pod("portforward", "", 0, 50, 101)),
        (
            "logs",
            "GET",
            "/containerLogs/a/web/c?tailLines=5",
            200,
            into_pod("log", "tailLines=5", 0, 50, 200),
        ),
        (
            "logs, reader gone",
            "GET",
            "/containerLogs/a/web/c?follow=true",
            400,
            into_pod("log", "follow=true", 0, 50, 200),
        ),
        ("a failed exec", "POST", EXEC, 404, into_pod("exec", AUDITED, 0, 50, 404)),
        ("proxied", "GET", "/pods", 200, through_proxy("/pods", Verb::Get, 0, 50, 200)),
        (
            "proxied run",
            "POST",
            "/run/a/web/c?cmd=id",
            200,
            through_proxy("/run/a/web/c?cmd=id", Verb::Create, 0, 50, 200),
        ),
        ("proxied exec", "POST", EXEC, 0, through_proxy(EXEC, Verb::Create, 0, 50, 101)),
    ] {
        let mut recording = recording();
        served(&mut recording, method, uri, 3, 51, code);
        recording.audit(fact);
        let report = recording.report();
        assert_eq!((report.totals.explained, report.gaps.len()), (1, 0), "{what}: {:#?}", report.gaps);
    }
}

#[test]
fn what_no_recorded_request_led_to_is_a_gap() {
    for (what, method, uri, code, fact) in [
        ("another command", "GET", EXEC, 0, into_pod("exec", "command=id", 0, 50, 101)),
        (
            "the same words in another order",
            "GET",
            EXEC,
            0,
            into_pod("exec", "command=-l&command=ls", 0, 50, 101),
        ),
        (
            "another container",
            "GET",
            EXEC,
            0,
            into_pod("exec", "command=ls&command=-l&container=d", 0, 50, 101),
        ),
        ("another kind", "GET", "/attach/a/web/c", 0, into_pod("exec", "", 0, 50, 101)),
        ("a refused request", "GET", EXEC, 0, into_pod("exec", AUDITED, 0, 50, 403)),
        ("long before", "GET", EXEC, 0, into_pod("exec", AUDITED, -30_000, -29_000, 101)),
        ("afterwards", "GET", EXEC, 0, into_pod("exec", AUDITED, 3_000, 3_100, 101)),
        (
            "a UID in the path",
            "GET",
            "/exec/a/web/1/c?command=ls&command=-l",
            0,
            into_pod("exec", AUDITED, 0, 50, 101),
        ),
        ("proxied elsewhere", "GET", "/pods", 200, through_proxy("/metrics", Verb::Get, 0, 50, 200)),
        ("proxy refused", "GET", "/pods", 200, through_proxy("/pods", Verb::Get, 0, 50, 400)),
        (
            "another method",
            "POST",
            "/run/a/web/c?cmd=id",
            200,
            through_proxy("/run/a/web/c?cmd=id", Verb::Get, 0, 50, 200),
        ),
    ] {
        let mut recording = recording();
        served(&mut recording, method, uri, 3, 51, code);
        recording.audit(fact);
        let report = recording.report();
        assert_eq!((report.totals.explained, report.gaps.len()), (0, 1), "{what}");
    }
}

#[test]
fn one_record_accounts_for_one_of_two_equal_execs() {
    let recording = || {
        let mut recording = recording();
        served(&mut recording, "POST", EXEC, 1_500, 1_900, 0);
        served(&mut recording, "GET", EXEC, 3, 51, 0);
        recording.audit(into_pod("exec", AUDITED, 0, 50, 101));
        recording
    };
    let report = recording().report();
    assert_eq!(report.totals.explained, 1);
    let gap = only_gap(&report);
    assert_eq!(gap.evidence[0].time, at(1_900), "the one that is further from the record");
    assert!(gap.rejected_candidates[0].why.contains("another request"));
    assert_eq!((gap.severity, gap.confidence), (Severity::High, Confidence::High));
    assert_eq!((gap.object.namespace.as_str(), gap.object.name.as_str()), ("a", "web"));
    assert_eq!(recording().report_backwards(), report);
}

#[test]
fn two_records_account_for_two_execs_however_they_are_paired() {
    let mut recording = recording();
    // The first fits both records, the second only one of them.
    served(&mut recording, "GET", EXEC, 1_900, 2_500, 0);
    served(&mut recording, "GET", EXEC, 3_500, 3_600, 0);
    recording.audit(into_pod("exec", AUDITED, 0, 1_000, 101));
    recording.audit(into_pod("exec", AUDITED, 2_000, 2_600, 101));
    let report = recording.report();
    assert_eq!((report.totals.explained, report.gaps.len()), (2, 0));
}

#[test]
fn a_session_that_is_still_open_has_its_record() {
    let mut recording = recording();
    let started =
        AuditFact { stage: Stage::ResponseStarted, staged: at(8), ..into_pod("exec", AUDITED, 0, 8, 101) };
    recording.audit(started);
    served(&mut recording, "GET", EXEC, 3, 8 * MINUTE, 0);
    assert_eq!(recording.report().totals.explained, 1);
}

#[test]
fn without_a_complete_trail_there_is_no_gap() {
    // The trail ends before, and there is none at all.
    for audited in [Some((-MINUTE, -1_000)), None] {
        let mut recording = Recording::new();
        if let Some((from, to)) = audited {
            recording.audited(at(from), at(to));
        }
        served(&mut recording, "POST", EXEC, 3, 51, 0);
        let report = recording.report();
        assert_eq!((report.gaps.len(), report.totals.unassessable), (0, 1), "{audited:?}");
    }
}

#[test]
fn a_trail_that_lags_is_waited_for() {
    let mut recording = Recording::new();
    // The trail says nothing for three minutes, in which kubelets go on: a silence, not its end.
    recording.audited(at(-MINUTE), at(0));
    recording.audited(at(3 * MINUTE), at(4 * MINUTE));
    served(&mut recording, "POST", EXEC, 3, 51, 0);
    for step in 0..60 {
        let line = KubeletLine::Flag { name: "x".into(), value: "y".into() };
        recording.kubelet("node-1", at(step * 10_000), line);
    }
    let report = recording.report();
    assert!(report.gaps.iter().all(|gap| gap.rule != super::INFO.name), "{:#?}", report.gaps);
    let reasons: Vec<&str> = report.unassessable.iter().map(|entry| entry.reason.as_str()).collect();
    assert!(reasons.iter().any(|reason| reason.starts_with("audit feed silent")), "{reasons:?}");
}

#[test]
fn what_the_policy_hides_is_a_blind_spot() {
    let all = "{level: Metadata}";
    for (rules, gaps, blind, confidence) in [
        (vec![all], 1, 0, Some(Confidence::High)),
        (
            vec!["{level: None, resources: [{group: \"\", resources: [pods/exec, nodes/proxy]}]}", all],
            0,
            1,
            None,
        ),
        (
            vec!["{level: None, users: [robot], resources: [{group: \"\", resources: [pods/exec]}]}", all],
            1,
            0,
            Some(Confidence::Medium),
        ),
    ] {
        let mut recording = recording();
        recording.policy(&rules);
        served(&mut recording, "POST", EXEC, 3, 51, 0);
        let report = recording.report();
        assert_eq!((report.gaps.len(), report.blind_spots.len()), (gaps, blind), "{rules:?}");
        assert_eq!(report.gaps.first().map(|gap| gap.confidence), confidence, "{rules:?}");
    }
}

#[test]
fn severity_follows_what_was_reached() {
    for (method, uri, code, severity, technique) in [
        ("POST", "/run/a/web/c?cmd=id", 200, Severity::High, "KL2"),
        ("POST", "/run/a/web/c?cmd=id", 500, Severity::Medium, "KL2"),
        ("POST", "/run/a/web/c?cmd=id", 401, Severity::Low, "KL5"),
        ("GET", "/exec/kube-system/etcd/c?command=id", 0, Severity::Critical, "KL3"),
        ("POST", "/portForward/a/web", 0, Severity::Medium, "KL2"),
        ("GET", "/containerLogs/a/web/c?follow=true", 400, Severity::Medium, "KL9"),
        ("POST", "/checkpoint/a/web/c", 200, Severity::High, "KL10"),
        ("GET", "/pods", 200, Severity::Medium, "KL1"),
        ("GET", "/logs/", 200, Severity::Medium, "KL9"),
        ("GET", "/metrics/cadvisor", 200, Severity::Info, "KL1"),
        ("GET", "/stats/summary", 500, Severity::Info, "KL1"),
        ("GET", "/stats/summary", 401, Severity::Low, "KL1"),
    ] {
        let mut recording = recording();
        served(&mut recording, method, uri, 3, 51, code);
        let report = recording.report();
        let gap = only_gap(&report);
        assert_eq!(gap.severity, severity, "{method} {uri} {code}");
        assert!(gap.technique.iter().any(|id| id == technique), "{uri}: {:?}", gap.technique);
    }
}

#[test]
fn scrapes_are_one_gap_and_a_nodes_own_health_check_is_none() {
    let mut recording = recording();
    for scrape in 0..30 {
        served(&mut recording, "GET", "/metrics", scrape * 15_000, scrape * 15_000 + 20, 200);
    }
    served_to(&mut recording, "GET", "/healthz", (5, 6), 200, "127.0.0.1:9", None);
    let report = recording.report();
    let gap = only_gap(&report);
    assert_eq!((gap.count, gap.severity), (30, Severity::Info));
    assert!(gap.evidence.len() <= 20);
    assert_eq!((gap.first_seen, gap.last_seen), (at(20), at(29 * 15_000 + 20)));
    assert_eq!(report.explained_by.get("monitoring"), Some(&1));
}

#[test]
fn the_caller_is_named_by_reviews_and_by_the_kubelet() {
    let robot = "system:serviceaccount:tools:robot";
    let api = "kube-apiserver-kubelet-client";
    let cases: [(&str, Reviews<'_>, &str, usize); 6] = [
        ("asked at that moment", vec![(robot, "create", "proxy", 5)], robot, 0),
        ("another verb", vec![(robot, "get", "proxy", 5)], "", 0),
        ("another subresource", vec![(robot, "create", "log", 5)], "", 0),
        ("asked minutes before", vec![(robot, "create", "proxy", -50_000)], "", 1),
        ("two at once", vec![(robot, "create", "proxy", 5), ("eve", "create", "proxy", 6)], "", 2),
        ("the API server's own name", vec![(api, "create", "proxy", 5)], api, 0),
    ];
    for (what, reviews, user, candidates) in cases {
        let mut recording = recording();
        served(&mut recording, "POST", EXEC, 3, 51, 0);
        for (user, verb, subresource, moment) in reviews {
            recording.audit(review(user, verb, subresource, moment, true));
        }
        let report = recording.report();
        let gap = report.gaps.iter().find(|gap| gap.rule == "kubelet-request").unwrap();
        assert_eq!((gap.actor.user.as_str(), gap.actor.candidates.len()), (user, candidates), "{what}");
        assert_eq!(gap.technique.contains(&"KL8".to_owned()), user == api, "{what}");
    }
}

#[test]
fn a_refusal_that_names_a_stranger_needs_no_trail() {
    let mut recording = Recording::new();
    served_to(&mut recording, "GET", "/pods", (3, 5), 403, "10.0.0.9:1", Some("mallory"));
    let line = KubeletLine::Forbidden {
        user: "mallory".into(),
        verb: "get".into(),
        subresources: vec!["pods".into(), "proxy".into()],
    };
    recording.kubelet("node-1", at(4), line);
    let report = recording.report();
    let gap = only_gap(&report);
    assert_eq!((gap.severity, gap.confidence), (Severity::Low, Confidence::Certain));
    assert_eq!((gap.actor.user.as_str(), gap.evidence.len()), ("mallory", 2));
}

#[test]
fn an_open_kubelet_raises_the_severity() {
    let mut recording = recording();
    recording.kubelet_setting("authentication.anonymous.enabled", "true");
    recording.kubelet_setting("authorization.mode", "AlwaysAllow");
    served(&mut recording, "POST", "/run/a/web/c?cmd=id", 3, 51, 200);
    let report = recording.report();
    let gap = only_gap(&report);
    assert_eq!(gap.severity, Severity::Critical);
    assert!(gap.technique.contains(&"KL4".to_owned()));
}

#[test]
fn a_kubelet_that_logs_no_requests_is_not_watched() {
    let verbosity = |value: &'static str| KubeletLine::Flag { name: "v".into(), value: value.into() };
    for (lines, watched) in [
        (vec![], false),
        (vec![KubeletLine::Started], false),
        (vec![verbosity("2")], false),
        (vec![verbosity("3")], true),
    ] {
        let mut recording = recording();
        for line in lines.clone() {
            recording.kubelet("node-1", at(0), line);
        }
        let report = recording.report();
        let found = report.unassessable.iter().any(|entry| entry.path == super::INFO.path);
        assert_eq!(found, !watched, "{lines:?}");
    }
}
