//! Whole recordings through the engine.

use auditgap_records::Timestamp;
use auditgap_records::inventory::Snapshot;
use auditgap_records::kubelet::{KubeletLine, PodRef, PodSource, SyncOp};
use auditgap_records::report::Report;

use crate::fact::{AuditFact, Verb};
use crate::testkit::{Recording, at, request};

const ALL: &[&str] = &["{level: RequestResponse}"];

fn titles(report: &Report) -> Vec<&str> {
    report.gaps.iter().filter(|gap| gap.rule == "audit-only").map(|gap| gap.title.as_str()).collect()
}

fn about(verb: Verb, user: &str, time: i64, object: (&str, &str, &str, &str)) -> AuditFact {
    let mut fact = request(verb, user, at(time), at(time + 5));
    let (resource, subresource, namespace, name) = object;
    (fact.resource, fact.subresource) = (resource.into(), subresource.into());
    (fact.namespace, fact.name) = (namespace.into(), name.into());
    if resource.ends_with("bindings") {
        fact.group = "rbac.authorization.k8s.io".into();
    }
    fact
}

fn taken_up(name: &'static str) -> KubeletLine<'static> {
    let pod = PodRef { namespace: "default".into(), name: name.into(), uid: None };
    KubeletLine::SyncLoop { op: SyncOp::Add, source: PodSource::Api, pods: vec![pod] }
}

fn watched(policy: &[&str]) -> Recording {
    let mut recording = Recording::new();
    recording.policy(policy);
    recording.audited(at(0), at(600_000));
    recording
}

fn bindings(as_of: Timestamp, names: &[&str]) -> Snapshot {
    let bindings = names.iter().map(|name| (*name).to_owned()).collect();
    Snapshot { as_of: Some(as_of), bindings, ..Snapshot::default() }
}

#[test]
fn a_binding_that_grants_access_must_be_listed_or_created() {
    let cited = r#"ClusterRoleBinding "b""#;
    let create = about(Verb::Create, "admin", 50_000, ("clusterrolebindings", "", "", "b"));
    for (listed, created, policy, expected) in [
        (vec!["ClusterRoleBinding/a"], None, ALL, 1),
        (vec!["ClusterRoleBinding/a", "ClusterRoleBinding/b"], None, ALL, 0),
        (vec!["ClusterRoleBinding/a"], Some(create), ALL, 0),
        // It may have been there before.
        (vec![], None, ALL, 0),
        (vec!["RoleBinding/x/a"], None, ALL, 0),
        // Nobody's create would be on record.
        (vec!["ClusterRoleBinding/a"], None, &["{level: None}"], 0),
    ] {
        let mut recording = watched(policy);
        recording.snapshot(bindings(at(10_000), &listed));
        if let Some(create) = created {
            recording.audit(create);
        }
        recording.cited(cited, "mallory", at(100_000));
        let report = recording.report();
        assert_eq!(titles(&report).len(), expected, "{listed:?} {:?}", titles(&report));
    }
}

#[test]
fn a_pod_that_a_running_kubelet_takes_up_must_have_been_created() {
    let named = about(Verb::Create, "alice", 99_000, ("pods", "", "default", "p"));
    let unnamed = about(Verb::Create, "alice", 99_000, ("pods", "", "default", ""));
    let bound = about(Verb::Create, "system:kube-scheduler", 99_500, ("pods", "binding", "default", "p"));
    let mirror = about(Verb::Create, "system:node:n1", 100_010, ("pods", "", "default", "p"));
    for (requests, expected) in [
        (vec![], 1),
        (vec![named], 0),
        (vec![unnamed.clone(), bound], 0),
        // Which Pod it made is not on record.
        (vec![unnamed], 0),
        (vec![mirror], 0),
    ] {
        let mut recording = watched(ALL);
        recording.kubelet("n1", at(0), KubeletLine::Started);
        recording.kubelet("n1", at(1_000), taken_up("old"));
        let count = requests.len();
        for fact in requests {
            recording.audit(fact);
        }
        recording.kubelet("n1", at(100_000), taken_up("p"));
        let report = recording.report();
        assert_eq!(titles(&report).len(), expected, "{count} requests: {:?}", titles(&report));
    }
}

#[test]
fn what_a_kubelet_finds_when_it_starts_was_there_before() {
    let mut recording = watched(ALL);
    recording.kubelet("n1", at(0), KubeletLine::Started);
    // The API server was long in coming.
    recording.kubelet("n1", at(90_000), taken_up("old"));
    recording.kubelet("n1", at(91_000), taken_up("older"));
    recording.kubelet("n1", at(200_000), KubeletLine::Started);
    recording.kubelet("n1", at(201_000), taken_up("oldest"));
    recording.audit(about(Verb::Patch, "system:node:n1", 300_000, ("pods", "status", "default", "resting")));
    assert_eq!(titles(&recording.report()).len(), 0);
}

#[test]
fn a_version_that_nobody_wrote_is_told_once() {
    let versioned = |verb, time, version| {
        let mut fact = about(verb, "alice", time, ("configmaps", "", "default", "c"));
        fact.resulting_version = Some(version);
        fact
    };
    for (between, expected) in [(vec![], 1), (vec![versioned(Verb::Update, 50_000, 20)], 0)] {
        let mut recording = watched(ALL);
        recording.audit(versioned(Verb::Create, 10_000, 10));
        recording.audit(versioned(Verb::Get, 20_000, 10));
        for fact in between {
            recording.audit(fact);
        }
        recording.audit(versioned(Verb::Get, 100_000, 20));
        recording.audit(versioned(Verb::Get, 200_000, 20));
        let report = recording.report();
        assert_eq!(titles(&report).len(), expected, "{:?}", titles(&report));
    }
}
