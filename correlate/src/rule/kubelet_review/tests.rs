use auditgap_records::kubelet::KubeletLine;
use auditgap_records::report::{Confidence, Severity};

use crate::fact::{AuditFact, Review, Verb};
use crate::testkit::{Recording, at, request};

const API: &str = "kube-apiserver-kubelet-client";
const ROBOT: &str = "system:serviceaccount:tools:robot";

fn asked(review: Review, moment: i64) -> AuditFact {
    AuditFact {
        resource: if review.token { "tokenreviews" } else { "subjectaccessreviews" }.into(),
        code: 201,
        review: Some(Box::new(review)),
        ..request(Verb::Create, "system:node:node-1", at(moment), at(moment + 1))
    }
}

fn access(user: &str, verb: &str, subresource: &str, allowed: bool) -> Review {
    let credential = if user == ROBOT { "JTI=1" } else { "X509SHA256=1" };
    Review {
        user: user.into(),
        verb: verb.into(),
        resource: "nodes".into(),
        subresource: subresource.into(),
        allowed,
        credential_id: credential.into(),
        ..Review::default()
    }
}

fn exec(received: i64) -> AuditFact {
    AuditFact {
        resource: "pods".into(),
        subresource: "exec".into(),
        namespace: "a".into(),
        name: "web".into(),
        code: 101,
        ..request(Verb::Get, "alice", at(received), at(received + 100))
    }
}

fn served(start: i64, end: i64) -> (i64, KubeletLine<'static>) {
    let line = KubeletLine::Http {
        method: "GET".into(),
        uri: "/pods".into(),
        latency: (end - start) * 1_000_000,
        user_agent: "curl/8".into(),
        source: "10.0.0.9:4000".into(),
        code: Some(200),
        forbidden_user: None,
    };
    (end, line)
}

fn recording(policy: &[&str]) -> Recording {
    let mut recording = Recording::new();
    recording.policy(policy);
    recording.audited(at(-60_000), at(600_000));
    recording
}

const ALL: &str = "{level: RequestResponse}";

#[test]
fn a_review_is_a_call_that_nobody_else_shows() {
    let (low, high) = (Severity::Low, Severity::High);
    for (what, reviews, severity, confidence, count) in [
        ("proxy, to run", vec![access(ROBOT, "create", "proxy", true)], high, Confidence::High, 1),
        ("proxy, to read", vec![access(ROBOT, "get", "proxy", true)], Severity::Medium, Confidence::High, 1),
        ("a scrape", vec![access(ROBOT, "get", "metrics", true)], Severity::Info, Confidence::High, 1),
        ("refused", vec![access(ROBOT, "create", "checkpoint", false)], low, Confidence::High, 1),
        (
            "refused in two steps",
            vec![access(ROBOT, "get", "pods", false), access(ROBOT, "get", "proxy", false)],
            low,
            Confidence::High,
            1,
        ),
        (
            "allowed in the second step",
            vec![access(ROBOT, "get", "pods", false), access(ROBOT, "get", "proxy", true)],
            Severity::Medium,
            Confidence::High,
            1,
        ),
        ("the API server's own", vec![access(API, "create", "proxy", true)], high, Confidence::Medium, 1),
        ("a certificate", vec![access("mallory", "create", "proxy", true)], high, Confidence::High, 1),
        (
            "a bogus token",
            vec![Review { token: true, error: "invalid bearer token".into(), ..Review::default() }],
            low,
            Confidence::High,
            1,
        ),
    ] {
        let mut recording = recording(&[ALL]);
        for (step, review) in reviews.into_iter().enumerate() {
            recording.audit(asked(review, 10 + step as i64));
        }
        let report = recording.report();
        let found: Vec<_> = report.gaps.iter().map(|gap| (gap.severity, gap.confidence, gap.count)).collect();
        assert_eq!(found, [(severity, confidence, count)], "{what}");
    }
}

#[test]
fn a_review_that_something_else_shows_is_none() {
    let at_level_metadata = Review::default();
    let forbidden =
        KubeletLine::Forbidden { user: ROBOT.into(), verb: "get".into(), subresources: vec!["pods".into()] };
    for (what, review, line, stream) in [
        ("a request at the kubelet", access(ROBOT, "get", "pods", true), Some(served(8, 15)), None),
        ("a long request", access(ROBOT, "get", "pods", true), Some(served(8, 300_000)), None),
        ("a refusal at the kubelet", access(ROBOT, "get", "pods", false), Some((12, forbidden)), None),
        ("the API server's exec", access(API, "get", "proxy", true), None, Some(exec(2))),
        ("an API server's under another name", access("api", "get", "proxy", true), None, Some(exec(2))),
        ("no content", at_level_metadata, None, None),
    ] {
        let mut recording = recording(&[ALL]);
        recording.audit(asked(review, 10));
        // The kubelet is known to log its requests.
        recording.kubelet("node-1", at(-5_000), KubeletLine::Flag { name: "v".into(), value: "3".into() });
        if let Some((moment, line)) = line {
            recording.kubelet("node-1", at(moment), line);
        }
        if let Some(fact) = stream {
            recording.audit(fact);
        }
        let report = recording.report();
        let own = report.gaps.iter().filter(|gap| gap.rule == super::INFO.name).count();
        assert_eq!(own, 0, "{what}");
    }
}

#[test]
fn a_service_account_next_to_an_exec_is_still_a_stranger() {
    let mut recording = recording(&[ALL]);
    recording.audit(asked(access(ROBOT, "get", "proxy", true), 10));
    recording.audit(exec(2));
    assert_eq!(recording.report().gaps.len(), 1);
}

#[test]
fn an_api_servers_name_is_judged_by_what_the_policy_records() {
    let streams = "resources: [{group: \"\", resources: [pods/exec, pods/attach, pods/portforward, pods/log, nodes/proxy]}]";
    let hidden = format!("{{level: None, {streams}}}");
    let at_end = format!("{{level: Metadata, omitStages: [RequestReceived, ResponseStarted], {streams}}}");
    for (rule, blind, unassessable) in [(hidden, 1, 0), (at_end, 0, 1)] {
        let mut recording = recording(&[&rule, ALL]);
        recording.audit(asked(access(API, "create", "proxy", true), 10));
        let report = recording.report();
        let found = (report.gaps.len(), report.blind_spots.len(), report.totals.unassessable);
        assert_eq!(found, (0, blind, unassessable), "{rule}");
    }
}

#[test]
fn the_request_that_issued_the_token_is_named() {
    let mut recording = recording(&[ALL]);
    recording.audit(AuditFact {
        resource: "serviceaccounts".into(),
        subresource: "token".into(),
        issued_credential_id: "JTI=1".into(),
        ..request(Verb::Create, "bob", at(-5_000), at(-4_990))
    });
    recording.audit(asked(access(ROBOT, "create", "proxy", true), 10));
    let report = recording.report();
    assert!(report.gaps[0].why.contains("to bob"), "{}", report.gaps[0].why);
}
