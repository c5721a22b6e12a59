//! Whole recordings through the engine.

use auditgap_records::audit::Level;
use auditgap_records::host::{FileAccess, HostEvent, Process};
use auditgap_records::inventory::{PodFacts, Snapshot};
use auditgap_records::kubelet::{KubeletLine, PodRef, PodSource, SyncOp};
use auditgap_records::report::{Gap, Report, Severity};
use auditgap_records::runtime::{RuntimeLine, SandboxIdentity};
use auditgap_records::{FeedKind, Timestamp};

use crate::fact::{Fact, Verb};
use crate::testkit::{Recording, at, request};

const HASH: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

fn pod(namespace: &'static str, name: &'static str) -> PodRef<'static> {
    PodRef { namespace: namespace.into(), name: name.into(), uid: None }
}

fn sync(op: SyncOp, namespace: &'static str, name: &'static str) -> KubeletLine<'static> {
    KubeletLine::SyncLoop { op, source: PodSource::File, pods: vec![pod(namespace, name)] }
}

/// The request of a node's user for a mirror Pod.
fn mirror(recording: &mut Recording, time: Timestamp, namespace: &str, name: &str, uid: &str, code: u16) {
    let mut fact = request(Verb::Create, "system:node:n1", time, time + std::time::Duration::from_millis(1));
    fact.level = Level::Metadata;
    (fact.resource, fact.namespace, fact.name) = ("pods".into(), namespace.into(), name.into());
    (fact.submitted_uid, fact.code) = (uid.into(), code);
    recording.audit(fact);
}

fn listing(as_of: i64, pods: &[(&str, &str)]) -> Snapshot {
    let mirror = |(name, hash): &(&str, &str)| PodFacts {
        namespace: "kube-system".to_owned(),
        name: (*name).to_owned(),
        mirror_of: Some((*hash).to_owned()),
        ..PodFacts::default()
    };
    Snapshot { as_of: Some(at(as_of)), pods: pods.iter().map(mirror).collect(), ..Snapshot::default() }
}

fn gaps(report: &Report) -> Vec<&Gap> {
    report.gaps.iter().filter(|gap| gap.rule == "static-pod").collect()
}

fn explained(report: &Report, how: &str) -> u64 {
    report.explained_by.get(how).copied().unwrap_or(0)
}

/// A node whose kubelet starts with one listed static Pod.
fn started() -> Recording {
    let mut recording = Recording::new();
    recording.snapshot(listing(20_000, &[("etcd-n1", HASH)]));
    recording.kubelet("n1", at(0), KubeletLine::Started);
    recording.kubelet("n1", at(100), sync(SyncOp::Add, "kube-system", "etcd-n1"));
    mirror(&mut recording, at(200), "kube-system", "etcd-n1", HASH, 201);
    recording
}

#[test]
fn what_was_there_before_is_no_gap_and_what_comes_changes_or_goes_is() {
    let mut recording = started();
    recording.kubelet("n1", at(100_000), sync(SyncOp::Add, "default", "evil-n1"));
    mirror(&mut recording, at(100_005), "default", "evil-n1", OTHER, 201);
    recording.kubelet("n1", at(200_000), sync(SyncOp::Remove, "kube-system", "etcd-n1"));
    recording.kubelet("n1", at(200_001), sync(SyncOp::Add, "kube-system", "etcd-n1"));
    recording.kubelet(
        "n1",
        at(214_000),
        KubeletLine::MirrorPodDeleted { pod: pod("kube-system", "etcd-n1") },
    );
    mirror(&mut recording, at(214_010), "kube-system", "etcd-n1", OTHER, 201);
    recording.kubelet("n1", at(300_000), sync(SyncOp::Remove, "default", "evil-n1"));
    let report = recording.report();
    let found: Vec<_> = gaps(&report)
        .iter()
        .map(|gap| (gap.object.name.as_str(), gap.severity, gap.technique[0].as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("etcd-n1", Severity::Critical, "SP4"),
            ("evil-n1", Severity::High, "SP1"),
            ("evil-n1", Severity::High, "SP4"),
        ]
    );
    assert!(gaps(&report).iter().all(|gap| gap.node == "n1"));
    assert_eq!(gaps(&report)[1].object.uid, OTHER);
    assert_eq!(explained(&report, "baseline"), 1);
}

#[test]
fn a_restart_of_the_kubelet_and_a_lost_mirror_are_no_gaps() {
    let mut recording = started();
    recording.kubelet("n1", at(100_000), KubeletLine::Started);
    recording.kubelet("n1", at(100_100), sync(SyncOp::Add, "kube-system", "etcd-n1"));
    mirror(&mut recording, at(100_200), "kube-system", "etcd-n1", HASH, 409);
    // Somebody deletes the mirror through the API; the kubelet makes it again.
    mirror(&mut recording, at(200_000), "kube-system", "etcd-n1", HASH, 201);
    let report = recording.report();
    assert_eq!(gaps(&report).len(), 0, "{:?}", gaps(&report));
    assert_eq!((explained(&report, "restart"), explained(&report, "kubelet")), (1, 1));
}

#[test]
fn a_pod_that_a_restart_brings_is_new_though_a_later_listing_has_it() {
    let mut recording = started();
    recording.snapshot(listing(500_000, &[("etcd-n1", HASH), ("evil-n1", OTHER)]));
    recording.kubelet("n1", at(100_000), KubeletLine::Started);
    recording.kubelet("n1", at(100_100), sync(SyncOp::Add, "kube-system", "etcd-n1"));
    recording.kubelet("n1", at(100_100), sync(SyncOp::Add, "kube-system", "evil-n1"));
    let report = recording.report();
    assert_eq!(gaps(&report).len(), 1);
    assert_eq!(gaps(&report)[0].object.name, "evil-n1");
}

#[test]
fn without_an_inventory_the_pods_of_the_first_start_are_not_judged() {
    let mut recording = Recording::new();
    recording.kubelet("n1", at(0), KubeletLine::Started);
    recording.kubelet("n1", at(100), sync(SyncOp::Add, "kube-system", "etcd-n1"));
    recording.kubelet("n1", at(100_000), sync(SyncOp::Add, "kube-system", "evil-n1"));
    let report = recording.report();
    let names: Vec<_> = gaps(&report).iter().map(|gap| gap.object.name.as_str()).collect();
    assert_eq!(names, ["evil-n1"]);
    assert_eq!(report.totals.unassessable, 1);
}

#[test]
fn a_refused_mirror_and_a_uid_of_its_own_are_told() {
    let uuid = "3f2b8c1e-5d4a-4e6f-9a7b-0c1d2e3f4a5b";
    for (namespace, error, code, uid, expected) in [
        ("nowhere", "namespaces \"nowhere\" not found", 404, HASH, vec!["SP2"]),
        ("default", "pods \"evil-n1\" is forbidden: no", 403, HASH, vec!["SP3"]),
        ("default", "", 201, uuid, vec!["SP1", "SP6"]),
    ] {
        let mut recording = started();
        recording.kubelet("n1", at(100_000), sync(SyncOp::Add, namespace, "evil-n1"));
        if !error.is_empty() {
            let line = KubeletLine::MirrorPodFailed { pod: pod(namespace, "evil-n1"), error: error.into() };
            recording.kubelet("n1", at(100_010), line);
        }
        mirror(&mut recording, at(100_005), namespace, "evil-n1", uid, code);
        let report = recording.report();
        assert_eq!(gaps(&report).len(), 1);
        assert_eq!(gaps(&report)[0].technique, expected);
        assert_eq!(gaps(&report)[0].severity == Severity::Critical, !error.is_empty());
    }
}

#[test]
fn without_a_kubelet_log_mirrors_and_sandboxes_tell() {
    let identity = |name: &'static str, uid: &'static str| SandboxIdentity {
        name: name.into(),
        namespace: "default".into(),
        uid: uid.into(),
        attempt: 0,
    };
    let sandbox = |name, uid, id: &'static str| RuntimeLine::RunPodSandbox {
        identity: identity(name, uid),
        sandbox: Some(id.into()),
        error: None,
    };
    let mut recording = Recording::new();
    recording.snapshot(listing(20_000, &[("etcd-n1", HASH)]));
    mirror(&mut recording, at(0), "kube-system", "etcd-n1", HASH, 201);
    mirror(&mut recording, at(100_000), "default", "evil-n1", OTHER, 201);
    let mut runtime = |time, line: RuntimeLine<'static>| {
        recording.add(FeedKind::Runtime, "n1", at(time), Some(Fact::Runtime(line.into())));
    };
    runtime(1, RuntimeLine::Started);
    runtime(100_500, sandbox("evil-n1", OTHER, "box"));
    runtime(150_000, sandbox("api-born", "785c0c00-928e-4fa0-975e-f96c0f2d45f1", "api"));
    runtime(300_000, RuntimeLine::StopPodSandbox { sandbox: "box".into() });
    let report = recording.report();
    let found: Vec<_> = gaps(&report).iter().map(|gap| gap.title.as_str()).collect();
    assert_eq!(
        found,
        [
            "Static Pod default/evil-n1 appeared on its node, without the API server",
            "Static Pod default/evil-n1 removed on its node, without the API server",
        ]
    );
}

#[test]
fn another_source_after_a_restart_is_a_gap() {
    let path = |path: &'static str| KubeletLine::StaticPodPath { path: path.into() };
    let mut recording = Recording::new();
    recording.kubelet("n1", at(0), KubeletLine::Started);
    recording.kubelet("n1", at(10), path("/etc/kubernetes/manifests"));
    recording.kubelet("n1", at(100_000), KubeletLine::Started);
    recording.kubelet("n1", at(100_010), path("/etc/kubernetes/manifests"));
    recording.kubelet("n1", at(200_000), KubeletLine::Started);
    recording.kubelet("n1", at(200_010), path("/dev/shm/m"));
    let report = recording.report();
    assert_eq!(gaps(&report).len(), 1);
    assert_eq!(gaps(&report)[0].technique, ["SP5"]);
}

#[test]
fn whoever_wrote_the_manifest_is_named() {
    let mut recording = started();
    let touch = HostEvent::File {
        path: "/etc/kubernetes/manifests/x.yaml".into(),
        access: FileAccess::Create,
        process: Process { exe: "/usr/bin/cp".into(), pid: Some(7), ..Process::default() },
        rule: "k".into(),
        success: true,
    };
    recording.add(FeedKind::Host, "n1", at(99_995), Some(Fact::Host(touch.into())));
    recording.kubelet("n1", at(100_000), sync(SyncOp::Add, "default", "evil-n1"));
    let report = recording.report();
    assert_eq!(gaps(&report)[0].actor.process, "/usr/bin/cp (pid 7)");
}

#[test]
fn the_order_of_arrival_changes_nothing() {
    let recording = || {
        let mut recording = started();
        recording.kubelet("n1", at(100_000), sync(SyncOp::Add, "default", "evil-n1"));
        mirror(&mut recording, at(100_005), "default", "evil-n1", OTHER, 201);
        recording.kubelet("n1", at(200_000), sync(SyncOp::Remove, "default", "evil-n1"));
        recording
    };
    assert_eq!(gaps(&recording().report()), gaps(&recording().report_backwards()));
}
