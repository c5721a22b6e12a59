use auditgap_records::kubelet::KubeletLine;
use auditgap_records::report::{Confidence, Severity};

use crate::fact::{AuditFact, Verb};
use crate::testkit::{Recording, at, request};

fn forbidden(user: &str, subresources: &[&str]) -> KubeletLine<'static> {
    KubeletLine::Forbidden {
        user: user.to_owned().into(),
        verb: "get".into(),
        subresources: subresources.iter().map(|name| (*name).to_owned().into()).collect(),
    }
}

fn unauthenticated() -> KubeletLine<'static> {
    KubeletLine::AuthenticationFailed { error: "invalid bearer token".into() }
}

fn handshake() -> KubeletLine<'static> {
    KubeletLine::TlsFailed { source: "10.0.0.9:4000".into(), error: "EOF".into() }
}

fn refused(code: u16) -> KubeletLine<'static> {
    KubeletLine::Http {
        method: "GET".into(),
        uri: "/pods".into(),
        latency: 1_000_000,
        user_agent: "curl/8".into(),
        source: "10.0.0.9:4000".into(),
        code: Some(code),
        forbidden_user: None,
    }
}

fn failed_logs() -> AuditFact {
    AuditFact {
        resource: "pods".into(),
        subresource: "log".into(),
        namespace: "a".into(),
        name: "web".into(),
        code: 500,
        ..request(Verb::Get, "alice", at(0), at(20))
    }
}

#[test]
fn an_attempt_is_one_gap_wherever_it_is_logged() {
    let api = "kube-apiserver-kubelet-client";
    let (low, info) = (Severity::Low, Severity::Info);
    let (certain, medium) = (Confidence::Certain, Confidence::Medium);
    for (what, lines, audit, expected) in [
        ("one line", vec![(10, forbidden("eve", &["pods", "proxy"]))], None, vec![(low, certain, 1)]),
        (
            "a line for each subresource",
            vec![(10, forbidden("eve", &["pods"])), (12, forbidden("eve", &["proxy"]))],
            None,
            vec![(low, certain, 1)],
        ),
        (
            "again and again",
            vec![(10, forbidden("eve", &["proxy"])), (1_000, forbidden("eve", &["proxy"]))],
            None,
            vec![(low, certain, 2)],
        ),
        (
            "two users",
            vec![(10, forbidden("eve", &["proxy"])), (12, forbidden("mallory", &["proxy"]))],
            None,
            vec![(low, certain, 1), (low, certain, 1)],
        ),
        // The other rule's gap is certain as well: the kubelet names the user.
        (
            "with the request's line",
            vec![(10, forbidden("eve", &["pods"])), (11, refused(403))],
            None,
            vec![(low, certain, 1)],
        ),
        ("no credentials", vec![(10, unauthenticated())], None, vec![(low, medium, 1)]),
        ("a handshake", vec![(10, handshake())], None, vec![(info, Confidence::Low, 1)]),
        ("the API server itself", vec![(10, forbidden(api, &["proxy"]))], Some(failed_logs()), vec![]),
        ("in the API server's name", vec![(10, forbidden(api, &["proxy"]))], None, vec![(low, medium, 1)]),
    ] {
        let mut recording = Recording::new();
        recording.audited(at(-60_000), at(600_000));
        for (moment, line) in lines {
            recording.kubelet("node-1", at(moment), line);
        }
        if let Some(fact) = audit {
            recording.audit(fact);
        }
        let report = recording.report();
        let found: Vec<_> = report.gaps.iter().map(|gap| (gap.severity, gap.confidence, gap.count)).collect();
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn only_what_cannot_be_an_api_servers_is_a_gap_without_a_trail() {
    for (line, gaps, unassessable) in
        [(forbidden("eve", &["proxy"]), 1, 0), (unauthenticated(), 0, 1), (handshake(), 1, 0)]
    {
        let mut recording = Recording::new();
        recording.kubelet("node-1", at(0), line.clone());
        let report = recording.report();
        assert_eq!((report.gaps.len(), report.totals.unassessable), (gaps, unassessable), "{line:?}");
    }
}
