use auditgap_records::FeedKind;
use auditgap_records::etcd::{Revision, RevisionKind};
use auditgap_records::report::Report;

use crate::fact::{AuditFact, Fact, Verb};
use crate::testkit::{Recording, at, request};

const MINUTE: i64 = 60_000;

fn revision(recording: &mut Recording, name: &str, number: i64, time: i64) {
    let revision = Revision {
        kind: RevisionKind::Put,
        key: format!("/registry/configmaps/a/{name}").into(),
        create_revision: number,
        mod_revision: number,
        version: 1,
        lease: None,
        encoding: None,
        value_length: None,
        uid: None,
        replayed: false,
    };
    recording.add(FeedKind::Etcd, "member", at(time), Some(Fact::Revision(Box::new(revision))));
}

/// Thirty ConfigMaps made through the API server, each read back by a write that changes nothing, and one made past it;
/// as a watch saw it whose clock is ahead by so many milliseconds.
fn watched(ahead: i64, with_revisions: bool) -> Report {
    let mut recording = Recording::new();
    recording.policy(&["level: RequestResponse"]);
    recording.audited(at(-5 * MINUTE), at(10 * MINUTE));
    for number in 0..30_i64 {
        let moment = number * 2_000;
        let name = format!("c{number}");
        let write = |verb, received, code| AuditFact {
            resource: "configmaps".into(),
            namespace: "a".into(),
            name: name.as_str().into(),
            code,
            resulting_version: with_revisions.then_some(100 + number.unsigned_abs()),
            ..request(verb, "alice", at(received), at(received + 6))
        };
        recording.audit(write(Verb::Create, moment, 201));
        recording.audit(write(Verb::Patch, moment + 1_500, 200));
        revision(&mut recording, &name, 100 + number, moment + 5 + ahead);
    }
    revision(&mut recording, "smuggled", 130, 61_000 + ahead);
    recording.report()
}

#[test]
fn only_the_write_past_the_api_server_is_a_gap_whatever_the_watchers_clock_says() {
    for ahead in [-150_000, -1_500, -400, -20, 0, 20, 400, 3_000, 150_000] {
        for with_revisions in [true, false] {
            let report = watched(ahead, with_revisions);
            let found: Vec<&str> = report.gaps.iter().map(|gap| gap.object.name.as_str()).collect();
            assert_eq!(found, ["smuggled"], "{ahead} ms ahead, revisions told: {with_revisions}");
        }
    }
}
