use std::collections::BTreeMap;

use auditgap_records::FeedKind;
use auditgap_records::audit::Stage;
use auditgap_records::inventory::{PodFacts, SpecCause, SpecCommand};
use auditgap_records::kubelet::KubeletLine;
use auditgap_records::report::{Confidence, Report};
use auditgap_records::runtime::{ExecCall, RuntimeEvent, RuntimeEventKind, RuntimeLine, SandboxIdentity};

use crate::fact::{AuditFact, Fact, Verb};
use crate::testkit::{Recording, at, request};

const MINUTE: i64 = 60_000;
const SECOND: i64 = 1_000;

fn id(number: i64) -> String {
    format!("{number:064x}")
}

fn web() -> String {
    id(2)
}

fn runtime(recording: &mut Recording, moment: i64, line: RuntimeLine<'static>) {
    recording.add(FeedKind::Runtime, "node-1", at(moment), Some(Fact::Runtime(line.into())));
}

/// Pod `a/web`, created by a recorded request with a probe every 5 s, and its container `c`.
fn recording() -> Recording {
    let mut recording = Recording::new();
    recording.audited(at(0), at(10 * MINUTE));
    let probe = SpecCommand {
        container: "c".to_owned(),
        cause: SpecCause::Probe,
        command: vec!["cat".to_owned(), "/ok".to_owned()],
        period_seconds: 5,
    };
    let facts = PodFacts {
        namespace: "a".to_owned(),
        name: "web".to_owned(),
        uid: "uid-web".to_owned(),
        commands: vec![probe],
        images: BTreeMap::from([("c".to_owned(), "app".to_owned())]),
        ..PodFacts::default()
    };
    recording.audit(AuditFact {
        resource: "pods".into(),
        namespace: "a".into(),
        name: "web".into(),
        uid: "uid-web".into(),
        code: 201,
        pod: Some(facts.into()),
        ..request(Verb::Create, "alice", at(1_000), at(1_005))
    });
    let identity =
        SandboxIdentity { name: "web".into(), namespace: "a".into(), uid: "uid-web".into(), attempt: 0 };
    let sandbox = Some(id(1).into());
    runtime(&mut recording, 1_500, RuntimeLine::RunPodSandbox { identity, sandbox, error: None });
    let create = RuntimeLine::CreateContainer {
        sandbox: id(1).into(),
        name: "c".into(),
        container: Some(web().into()),
    };
    runtime(&mut recording, 1_600, create);
    recording
}

/// The events of one exec of 30 ms.
fn events(recording: &mut Recording, moment: i64, exec: &str) {
    for (kind, moment) in [(RuntimeEventKind::ExecAdded, moment), (RuntimeEventKind::ExecExit, moment + 30)] {
        let event = RuntimeEvent {
            namespace: "k8s.io".into(),
            kind,
            subject: web().into(),
            image: None,
            exec: Some(exec.to_owned().into()),
            pid: None,
            exit_status: None,
            command: None,
            identity: None,
        };
        runtime(recording, moment, RuntimeLine::Event(event));
    }
}

/// One exec through CRI as the log at debug tells it, with its events.
fn called(recording: &mut Recording, moment: i64, call: ExecCall, command: &'static str) {
    let exec = RuntimeLine::Exec { container: web().into(), command: command.into(), call, done: false };
    runtime(recording, moment, exec);
    let generated = RuntimeLine::ExecIdGenerated { container: web().into(), exec: id(moment).into() };
    runtime(recording, moment + 1, generated);
    events(recording, moment + 2, &id(moment));
}

/// Probes every 5 s over five minutes, told at debug or by events only.
fn probes(recording: &mut Recording, debug: bool) {
    for beat in 0..60 {
        let moment = 10 * SECOND + beat * 5 * SECOND;
        if debug {
            called(recording, moment, ExecCall::ExecSync, "cat /ok");
        } else {
            events(recording, moment, &id(moment));
        }
    }
}

/// A recorded exec into the Pod.
fn requested(recording: &mut Recording, moment: i64, query: &str) {
    let fact = |stage, staged| AuditFact {
        resource: "pods".into(),
        subresource: "exec".into(),
        namespace: "a".into(),
        name: "web".into(),
        stage,
        uri: format!("/api/v1/namespaces/a/pods/web/exec?container=c&{query}").into(),
        code: 101,
        ..request(Verb::Get, "alice", at(moment), at(staged))
    };
    recording.audit(fact(Stage::ResponseStarted, moment + 8));
    recording.audit(fact(Stage::ResponseComplete, moment + 60));
}

fn gaps(report: &Report) -> Vec<(&str, Confidence, u64)> {
    let own = report.gaps.iter().filter(|gap| gap.rule == super::INFO.name);
    own.map(|gap| (gap.title.as_str(), gap.confidence, gap.count)).collect()
}

#[test]
fn probes_and_requests_are_explained() {
    for debug in [true, false] {
        let mut recording = recording();
        probes(&mut recording, debug);
        requested(&mut recording, 60 * SECOND + 2_000, "command=id");
        if debug {
            called(&mut recording, 60 * SECOND + 2_010, ExecCall::Exec, "id");
        } else {
            events(&mut recording, 60 * SECOND + 2_020, &id(7));
        }
        let report = recording.report();
        assert_eq!(gaps(&report), [], "debug {debug}");
        assert_eq!(report.explained_by.get("probe"), Some(&60), "debug {debug}");
        assert_eq!(report.totals.unassessable, 0, "debug {debug}");
    }
}

#[test]
fn one_request_accounts_for_one_command() {
    let mut recording = recording();
    requested(&mut recording, 60 * SECOND, "command=id");
    called(&mut recording, 60 * SECOND + 10, ExecCall::Exec, "id");
    called(&mut recording, 60 * SECOND + 200, ExecCall::Exec, "id");
    assert_eq!(
        gaps(&recording.report()),
        [("Command `id` run in container c of Pod a/web without a request", Confidence::High, 1)]
    );
}

#[test]
fn another_command_than_the_requested_is_a_gap() {
    let mut recording = recording();
    requested(&mut recording, 60 * SECOND, "command=id");
    called(&mut recording, 60 * SECOND + 10, ExecCall::Exec, "cat /etc/shadow");
    assert_eq!(gaps(&recording.report()).len(), 1);
}

#[test]
fn an_exec_past_cri_is_certain() {
    for (debug, exec) in [(true, id(77)), (true, "mine".to_owned()), (false, "mine".to_owned())] {
        let mut recording = recording();
        probes(&mut recording, debug);
        events(&mut recording, 62 * SECOND, &exec);
        assert_eq!(
            gaps(&recording.report()),
            [("Command run in container c of Pod a/web, past the kubelet", Confidence::Certain, 1)],
            "{exec}"
        );
    }
}

#[test]
fn an_exec_between_beats_is_a_gap_and_a_late_beat_is_not() {
    let off = "Command run in container c of Pod a/web on no probe's beat and without a request";
    for (moment, expected) in [
        (62 * SECOND, vec![(off, Confidence::Medium, 1)]),
        (64_700, vec![(off, Confidence::Medium, 1)]),
        (64_950, vec![]),
        (60_100, vec![]),
    ] {
        let build = || {
            let mut recording = recording();
            probes(&mut recording, false);
            events(&mut recording, moment, &id(77));
            recording
        };
        assert_eq!(gaps(&build().report()), expected, "{moment}");
        assert_eq!(build().report(), build().report_backwards(), "{moment}");
    }
    // The kubelet started anew and its probes beat at another time.
    let mut restarted = recording();
    for beat in 0..20 {
        events(&mut restarted, 10 * SECOND + beat * 5_000, &id(beat + 100));
        events(&mut restarted, 113_000 + beat * 5_000, &id(beat + 200));
    }
    assert_eq!(gaps(&restarted.report()), []);
}

#[test]
fn a_command_that_the_kubelet_was_asked_to_run_is_its_requests_gap() {
    let mut recording = recording();
    called(&mut recording, 60 * SECOND, ExecCall::ExecSync, "id");
    let line = KubeletLine::Http {
        method: "POST".into(),
        uri: "/run/a/web/c?cmd=id".into(),
        latency: 60_000_000,
        user_agent: "curl/8".into(),
        source: "10.0.0.9:4000".into(),
        code: Some(200),
        forbidden_user: None,
    };
    recording.kubelet("node-1", at(60 * SECOND + 50), line);
    let report = recording.report();
    assert_eq!(gaps(&report), []);
    assert_eq!(report.gaps.len(), 1, "the request itself is judged");
}

#[test]
fn a_hole_in_the_policy_hides_commands() {
    let mut recording = recording();
    recording.policy(&[
        "{level: None, resources: [{group: '', resources: [pods/exec, nodes/proxy]}]}",
        "{level: Metadata}",
    ]);
    called(&mut recording, 60 * SECOND, ExecCall::Exec, "id");
    let report = recording.report();
    assert_eq!(gaps(&report), []);
    assert_eq!(report.totals.blind_spot, 1);
}
