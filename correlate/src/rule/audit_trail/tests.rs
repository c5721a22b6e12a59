//! Whole recordings through the engine.

use auditgap_records::FeedKind;
use auditgap_records::record::ApiServerLine;
use auditgap_records::report::{Gap, Report, Severity};

use crate::fact::{Fact, Verb};
use crate::testkit::{Recording, at, request};

fn gaps(report: &Report) -> Vec<&Gap> {
    report.gaps.iter().filter(|gap| gap.rule == "audit-trail").collect()
}

fn server(recording: &mut Recording, time: i64, line: ApiServerLine<'static>) {
    recording.add(FeedKind::ApiServer, "api", at(time), Some(Fact::ApiServer(line.into())));
}

fn plugin_error(plugin: &'static str, error: &'static str) -> ApiServerLine<'static> {
    ApiServerLine::AuditPluginError {
        plugin: plugin.into(),
        events: 3,
        error: error.into(),
        impacted: Vec::new(),
    }
}

#[test]
fn a_server_that_ends_loses_events_as_a_matter_of_course() {
    let mut recording = Recording::new();
    recording.audited(at(0), at(200_000));
    for _ in 0..50 {
        server(&mut recording, 100_000, plugin_error("buffered", "audit backend shut down"));
    }
    assert_eq!(gaps(&recording.report()).len(), 0);
}

#[test]
fn lost_events_are_one_finding_with_their_number() {
    let mut recording = Recording::new();
    recording.audited(at(0), at(200_000));
    server(&mut recording, 100_000, plugin_error("log", "disk full"));
    server(&mut recording, 100_500, plugin_error("log", "disk full"));
    server(&mut recording, 101_000, ApiServerLine::AuditBufferFull);
    let report = recording.report();
    let found: Vec<_> = gaps(&report).iter().map(|gap| (gap.severity, gap.evidence.len())).collect();
    assert_eq!(found, [(Severity::Medium, 2), (Severity::Medium, 1)]);
    assert!(gaps(&report)[0].why.contains("6 event(s)"), "{}", gaps(&report)[0].why);
}

#[test]
fn another_audit_flag_after_a_restart_is_a_finding() {
    let flag = |name: &'static str, value: &'static str| ApiServerLine::Flag {
        name: name.into(),
        value: value.into(),
    };
    let mut recording = Recording::new();
    for (time, policy) in [(0, "/p1"), (0, "/p1"), (100_000, "/p1"), (200_000, "/tmp/p2")] {
        server(&mut recording, time, flag("audit-policy-file", policy));
        server(&mut recording, time + 1, flag("v", policy));
    }
    let report = recording.report();
    assert_eq!(gaps(&report).len(), 1);
    assert!(gaps(&report)[0].why.contains("/p1"));
}

#[test]
fn an_id_of_two_requests_is_told_and_a_repetition_is_not() {
    let get = |time, name: &str| {
        let mut fact = request(Verb::Update, "alice", at(time), at(time + 1));
        (fact.audit_id, fact.resource, fact.name) = ("id-1".into(), "configmaps".into(), name.into());
        fact
    };
    let mut recording = Recording::new();
    recording.audit(get(0, "a"));
    recording.audit(get(0, "a"));
    recording.audit(get(5_000, "a"));
    assert_eq!(gaps(&recording.report()).len(), 0);
    let mut recording = Recording::new();
    recording.audit(get(0, "a"));
    recording.audit(get(5_000, "b"));
    recording.audit(get(6_000, "b"));
    let report = recording.report();
    assert_eq!(gaps(&report).len(), 1);
    assert_eq!(gaps(&report)[0].technique, ["AU2"]);
}

#[test]
fn a_trail_that_ends_early_is_mentioned_and_raises_no_alarm() {
    let mut recording = Recording::new();
    recording.audited(at(0), at(100_000));
    for second in 0..200 {
        let line = auditgap_records::kubelet::KubeletLine::Started;
        recording.kubelet("n1", at(second * 1_000), line);
    }
    let report = recording.report();
    let found: Vec<_> = gaps(&report).iter().map(|gap| (gap.severity, gap.title.as_str())).collect();
    assert_eq!(found, [(Severity::Info, "The audit trail ends while the cluster goes on")]);
}
