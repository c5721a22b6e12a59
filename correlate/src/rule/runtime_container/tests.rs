use std::collections::BTreeMap;

use auditgap_records::FeedKind;
use auditgap_records::inventory::PodFacts;
use auditgap_records::kubelet::{KubeletLine, PodRef, PodSource, SyncOp};
use auditgap_records::report::{Confidence, Report};
use auditgap_records::runtime::{RuntimeEvent, RuntimeEventKind, RuntimeLine, SandboxIdentity};

use crate::fact::{AuditFact, Fact, Verb};
use crate::testkit::{Recording, at, request};

const MINUTE: i64 = 60_000;

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn runtime(recording: &mut Recording, moment: i64, line: RuntimeLine<'static>) {
    recording.add(FeedKind::Runtime, "node-1", at(moment), Some(Fact::Runtime(line.into())));
}

fn event(recording: &mut Recording, moment: i64, namespace: &str, kind: RuntimeEventKind, subject: &str) {
    let event = RuntimeEvent {
        namespace: namespace.to_owned().into(),
        kind,
        subject: subject.to_owned().into(),
        image: None,
        exec: None,
        pid: None,
        exit_status: None,
        command: None,
        identity: None,
    };
    runtime(recording, moment, RuntimeLine::Event(event));
}

/// A Pod `a/NAME` whose creation was recorded.
fn pod_created(recording: &mut Recording, name: &str, uid: &str, moment: i64) {
    let facts = PodFacts {
        namespace: "a".to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        images: BTreeMap::from([("c".to_owned(), "app".to_owned())]),
        ..PodFacts::default()
    };
    recording.audit(AuditFact {
        resource: "pods".into(),
        namespace: "a".into(),
        name: name.into(),
        uid: uid.into(),
        code: 201,
        pod: Some(facts.into()),
        ..request(Verb::Create, "alice", at(moment), at(moment + 5))
    });
}

/// A sandbox made through CRI at a moment, with its container 100 ms later, and their events.
fn sandbox(recording: &mut Recording, name: &str, uid: &str, moment: i64, digits: (char, char)) {
    let identity = SandboxIdentity {
        name: name.to_owned().into(),
        namespace: "a".into(),
        uid: uid.to_owned().into(),
        attempt: 0,
    };
    let (sandbox, container) = (id(digits.0), id(digits.1));
    let ask = |sandbox: Option<String>| RuntimeLine::RunPodSandbox {
        identity: identity.clone(),
        sandbox: sandbox.map(Into::into),
        error: None,
    };
    let create = |container: Option<String>| RuntimeLine::CreateContainer {
        sandbox: sandbox.clone().into(),
        name: "c".into(),
        container: container.map(Into::into),
    };
    runtime(recording, moment, ask(None));
    event(recording, moment + 20, "k8s.io", RuntimeEventKind::ContainerCreate, &sandbox);
    runtime(recording, moment + 50, ask(Some(sandbox.clone())));
    runtime(recording, moment + 80, create(None));
    event(recording, moment + 90, "k8s.io", RuntimeEventKind::ContainerCreate, &container);
    runtime(recording, moment + 100, create(Some(container)));
}

/// The kubelet hears of Pod `a/NAME` from the API server.
fn added(recording: &mut Recording, name: &str, moment: i64) {
    let pod = PodRef { namespace: "a".into(), name: name.to_owned().into(), uid: None };
    let line = KubeletLine::SyncLoop { op: SyncOp::Add, source: PodSource::Api, pods: vec![pod] };
    recording.kubelet("node-1", at(moment), line);
}

/// A node on which a Pod `a/web` is created, scheduled and run, and whose feeds go on for some minutes.
fn node() -> Recording {
    let mut recording = Recording::new();
    recording.audited(at(0), at(15 * MINUTE));
    pod_created(&mut recording, "web", "uid-web", 11 * MINUTE);
    added(&mut recording, "web", 11 * MINUTE + 100);
    sandbox(&mut recording, "web", "uid-web", 11 * MINUTE + 200, ('1', '2'));
    pod_created(&mut recording, "last", "uid-last", 14 * MINUTE);
    added(&mut recording, "last", 14 * MINUTE + 100);
    sandbox(&mut recording, "last", "uid-last", 14 * MINUTE + 200, ('3', '4'));
    recording
}

fn gaps(report: &Report) -> Vec<(&str, Confidence, u64)> {
    let own = report.gaps.iter().filter(|gap| gap.rule == super::INFO.name);
    own.map(|gap| (gap.technique[0].as_str(), gap.confidence, gap.count)).collect()
}

#[test]
fn containers_of_known_pods_are_explained_once_each() {
    let report = node().report();
    assert_eq!(gaps(&report), []);
    assert_eq!(report.explained_by.get("lineage"), Some(&4));
    assert_eq!(report.totals.unassessable, 0);
}

#[test]
fn a_container_past_cri_or_elsewhere_is_a_gap() {
    for (namespace, container, technique) in
        [("k8s.io", id('9'), "RT2"), ("k8s.io", "rogue".to_owned(), "RT2"), ("moby", id('1'), "RT3")]
    {
        let mut recording = node();
        let moment = 12 * MINUTE;
        event(&mut recording, moment, namespace, RuntimeEventKind::ContainerCreate, &container);
        event(&mut recording, moment + 90_000, namespace, RuntimeEventKind::TaskExit, &container);
        let report = recording.report();
        assert_eq!(gaps(&report), [(technique, Confidence::Certain, 1)], "{namespace}/{container}");
        assert_eq!(report.gaps[0].evidence.len(), 2, "its end belongs to its story");
    }
}

#[test]
fn what_no_log_covers_is_not_judged() {
    let mut recording = Recording::new();
    recording.audited(at(0), at(15 * MINUTE));
    event(&mut recording, MINUTE, "k8s.io", RuntimeEventKind::ContainerCreate, &id('9'));
    let report = recording.report();
    assert_eq!(gaps(&report), []);
    assert_eq!(report.totals.unassessable, 1);
}

#[test]
fn a_failed_call_explains_what_it_leaves_behind() {
    let mut recording = node();
    let identity = SandboxIdentity { name: "web".into(), namespace: "a".into(), ..Default::default() };
    let ask = |error: Option<&'static str>| RuntimeLine::RunPodSandbox {
        identity: identity.clone(),
        sandbox: None,
        error: error.map(Into::into),
    };
    let moment = 12 * MINUTE;
    runtime(&mut recording, moment, ask(None));
    event(&mut recording, moment + 10, "k8s.io", RuntimeEventKind::ContainerCreate, &id('9'));
    event(&mut recording, moment + 30, "k8s.io", RuntimeEventKind::ContainerDelete, &id('9'));
    runtime(&mut recording, moment + 40, ask(Some("no network")));
    assert_eq!(gaps(&recording.report()), []);
}

#[test]
fn a_sandbox_of_an_unknown_pod_is_one_gap_with_its_containers() {
    for (orphan, confidence) in [(true, Confidence::Certain), (false, Confidence::High)] {
        let build = || {
            let mut recording = node();
            sandbox(&mut recording, "rogue", "uid-rogue", 12 * MINUTE, ('8', '9'));
            if orphan {
                let line = KubeletLine::OrphanedPod { pod_uid: "uid-rogue".into() };
                recording.kubelet("node-1", at(12 * MINUTE + 900), line);
            }
            recording
        };
        let report = build().report();
        assert_eq!(gaps(&report), [("RT1", confidence, 2)]);
        assert_eq!(report.gaps[0].object.name, "rogue");
        assert_eq!(report, build().report_backwards(), "order of arrival does not matter");
    }
}

#[test]
fn a_pod_that_the_kubelet_knows_predates_the_recording() {
    let mut recording = node();
    sandbox(&mut recording, "old", "uid-old", 12 * MINUTE, ('8', '9'));
    let line = KubeletLine::Pleg {
        pod: Some(PodRef { namespace: "a".into(), name: "old".into(), uid: None }),
        pod_uid: "uid-old".into(),
        event: "ContainerStarted".into(),
        container: id('8').into(),
        known_pod: true,
    };
    recording.kubelet("node-1", at(12 * MINUTE + 900), line);
    assert_eq!(gaps(&recording.report()), []);
}
