use auditgap_records::FeedKind;
use auditgap_records::kubelet::{KubeletLine, PodRef, PodSource, SyncOp};
use auditgap_records::report::{Report, Severity};
use auditgap_records::runtime::{RuntimeEvent, RuntimeEventKind, RuntimeLine, SandboxIdentity};

use crate::fact::Fact;
use crate::testkit::{Recording, at};

const SECOND: i64 = 1_000;

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn pod() -> PodRef<'static> {
    PodRef { namespace: "a".into(), name: "web".into(), uid: None }
}

fn runtime(recording: &mut Recording, moment: i64, line: RuntimeLine<'static>) {
    recording.add(FeedKind::Runtime, "node-1", at(moment), Some(Fact::Runtime(line.into())));
}

fn event(recording: &mut Recording, moment: i64, namespace: &str, kind: RuntimeEventKind, subject: &str) {
    let event = RuntimeEvent {
        namespace: namespace.to_owned().into(),
        kind,
        subject: subject.to_owned().into(),
        image: (kind == RuntimeEventKind::ContainerCreate).then(|| "registry.k8s.io/pause:3.9".into()),
        exec: None,
        pid: None,
        exit_status: Some(137),
        command: None,
        identity: None,
    };
    runtime(recording, moment, RuntimeLine::Event(event));
}

/// A node with a kubelet and Pod `a/web`, both logs alive for five minutes.
fn node() -> Recording {
    let mut recording = Recording::new();
    for moment in [0, 300 * SECOND] {
        let line = KubeletLine::SyncLoop { op: SyncOp::Add, source: PodSource::Api, pods: vec![pod()] };
        recording.kubelet("node-1", at(moment), line);
        recording.add(FeedKind::Runtime, "node-1", at(moment), None);
    }
    let identity =
        SandboxIdentity { name: "web".into(), namespace: "a".into(), ..SandboxIdentity::default() };
    event(&mut recording, 990, "k8s.io", RuntimeEventKind::ContainerCreate, &id('1'));
    let sandbox = Some(id('1').into());
    runtime(&mut recording, 1_000, RuntimeLine::RunPodSandbox { identity, sandbox, error: None });
    let container = Some(id('2').into());
    let create = RuntimeLine::CreateContainer { sandbox: id('1').into(), name: "c".into(), container };
    runtime(&mut recording, 1_100, create);
    recording
}

fn gaps(report: &Report) -> Vec<(&str, Severity)> {
    let own = report.gaps.iter().filter(|gap| gap.rule == super::INFO.name);
    own.map(|gap| (gap.title.as_str(), gap.severity)).collect()
}

fn stop(recording: &mut Recording, moment: i64) {
    runtime(recording, moment, RuntimeLine::StopContainer { container: id('2').into(), done: false });
}

#[test]
fn the_kubelet_says_what_it_stops() {
    let stopped = "Container c of Pod a/web stopped through CRI, and not by the kubelet";
    let killing =
        KubeletLine::KillingContainer { pod: pod(), container_name: "c".into(), container: id('2').into() };
    let deleted = KubeletLine::SyncLoop { op: SyncOp::Delete, source: PodSource::Api, pods: vec![pod()] };
    for (line, expected) in
        [(None, vec![(stopped, Severity::High)]), (Some(killing), vec![]), (Some(deleted), vec![])]
    {
        let mut recording = node();
        if let Some(line) = &line {
            recording.kubelet("node-1", at(59 * SECOND), line.clone());
        }
        stop(&mut recording, 60 * SECOND);
        event(&mut recording, 62 * SECOND, "k8s.io", RuntimeEventKind::TaskExit, &id('2'));
        assert_eq!(gaps(&recording.report()), expected, "{line:?}");
    }
}

#[test]
fn without_the_kubelets_log_a_stop_is_not_judged() {
    let mut recording = Recording::new();
    stop(&mut recording, 60 * SECOND);
    let report = recording.report();
    assert_eq!(gaps(&report), []);
    assert_eq!(report.totals.unassessable, 1);
}

#[test]
fn an_end_by_signal_is_a_hint_only() {
    for (memory_ran_out, expected) in [(false, 1), (true, 0)] {
        let mut recording = node();
        if memory_ran_out {
            event(&mut recording, 59 * SECOND, "k8s.io", RuntimeEventKind::TaskOom, &id('2'));
        }
        event(&mut recording, 60 * SECOND, "k8s.io", RuntimeEventKind::TaskExit, &id('2'));
        let report = recording.report();
        assert_eq!(gaps(&report).len(), expected);
        assert!(gaps(&report).iter().all(|(_, severity)| *severity == Severity::Info));
    }
}

#[test]
fn images_come_by_pulls() {
    let image = "docker.io/library/app:1";
    for (subject, pulled, expected) in [
        (image, true, 0),
        (image, false, 1),
        ("registry.k8s.io/pause:3.9", false, 0),
        ("sha256:aa", false, 0),
    ] {
        let mut recording = node();
        if pulled {
            let pull = |done| RuntimeLine::PullImage { image: "app:1".into(), done };
            runtime(&mut recording, 50 * SECOND, pull(false));
            runtime(&mut recording, 61 * SECOND, pull(true));
        }
        event(&mut recording, 60 * SECOND, "k8s.io", RuntimeEventKind::ImageCreate, subject);
        assert_eq!(gaps(&recording.report()).len(), expected, "{subject}, pulled {pulled}");
    }
}

#[test]
fn what_a_kubelet_never_does_is_a_gap() {
    for (kind, subject, expected) in [
        (RuntimeEventKind::TaskPaused, id('2'), "Container c of Pod a/web paused"),
        (
            RuntimeEventKind::TaskCheckpointed,
            id('2'),
            "Memory of container c of Pod a/web written out (checkpoint) without a request",
        ),
        (RuntimeEventKind::NamespaceCreate, "own".to_owned(), "Namespace own made in the runtime"),
    ] {
        let mut recording = node();
        event(&mut recording, 60 * SECOND, "k8s.io", kind, &subject);
        let report = recording.report();
        assert_eq!(gaps(&report).iter().map(|(title, _)| *title).collect::<Vec<_>>(), [expected]);
    }
}
