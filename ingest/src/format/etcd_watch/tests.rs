use auditgap_records::etcd::{EtcdLine, Revision, RevisionKind};
use auditgap_records::{Body, Timestamp};

use super::EtcdWatch;
use crate::clock::ClockHint;
use crate::format::{LineContext, LineFormat, Parsed};

const DELIVERED: Timestamp = Timestamp(1_795_434_976_000_000_000);

fn context() -> LineContext {
    LineContext { clock: ClockHint { near: Timestamp(7), zone_seconds: 0 }, transport_time: Some(DELIVERED) }
}

fn revision(key: &str, mod_revision: i64) -> Revision<'_> {
    Revision {
        kind: RevisionKind::Put,
        key: key.into(),
        mod_revision,
        create_revision: 0,
        version: 0,
        lease: None,
        value_length: None,
        encoding: None,
        uid: None,
        replayed: false,
    }
}

#[test]
fn own_lines_are_read_to_the_nanosecond() {
    let uid = "8938c7f9-4ca0-4ded-93fc-dee2a5388321";
    let full = format!(
        r#"{{"t_recv": 1795434976.653167, "type": "PUT", "key": "/r/a", "create_revision": 2, "mod_revision": 3, "version": 2, "lease": 12, "value_len": 66, "value_sha256": "14d1", "first_uuid": "{uid}", "enc": "k8s\u0000"}}"#
    );
    let whole = Revision {
        create_revision: 2,
        version: 2,
        lease: Some(12),
        value_length: Some(66),
        encoding: Some("k8s\0".into()),
        uid: Some(uid.into()),
        ..revision("/r/a", 3)
    };
    let deleted = Revision { kind: RevisionKind::Delete, value_length: Some(0), ..revision("/r/a", 4) };
    for (line, time, expected) in [
        (full.as_str(), 1_795_434_976_653_167_000, whole),
        (
            r#"{"t_recv": 1795434976.123456789, "type": "DELETE", "key": "/r/a", "create_revision": null, "mod_revision": 4, "version": null, "lease": null, "value_len": 0, "value_sha256": null, "first_uuid": null, "enc": null}"#,
            1_795_434_976_123_456_789,
            deleted,
        ),
        (
            r#"{"type":"PUT","key":"\u002fr\/b","mod_revision":5,"t_recv":5}"#,
            5_000_000_000,
            revision("/r/b", 5),
        ),
        (
            r#"{"type":"PUT","key":"/r/b","mod_revision":5,"time":"2026-11-23T11:56:16.5Z","replayed":true}"#,
            1_795_434_976_500_000_000,
            Revision { replayed: true, ..revision("/r/b", 5) },
        ),
        (r#"{"type":"PUT","key":"/r/b","mod_revision":5}"#, DELIVERED.0, revision("/r/b", 5)),
    ] {
        assert_eq!(
            EtcdWatch.parse(line, &context()),
            Parsed::Record(Timestamp(time), Body::Revision(expected)),
            "{line}"
        );
    }
}

#[test]
fn a_change_without_any_time_is_marked() {
    let context = LineContext { transport_time: None, ..context() };
    let expected = Revision { replayed: true, ..revision("/r/b", 5) };
    let parsed = EtcdWatch.parse(r#"{"type":"PUT","key":"/r/b","mod_revision":5}"#, &context);
    assert_eq!(parsed, Parsed::Record(Timestamp(7), Body::Revision(expected)));
}

#[test]
fn clients_of_either_kind_print_the_same_change() {
    // {"metadata":{"uid":"8938c7f9-4ca0-4ded-93fc-dee2a5388321"}}
    const VALUE: &str = "eyJtZXRhZGF0YSI6eyJ1aWQiOiI4OTM4YzdmOS00Y2EwLTRkZWQtOTNmYy1kZWUyYTUzODgzMjEifX0=";
    let expected = Revision {
        create_revision: 9,
        version: 1,
        value_length: Some(59),
        encoding: Some("{".into()),
        uid: Some("8938c7f9-4ca0-4ded-93fc-dee2a5388321".into()),
        ..revision("/r/a", 9)
    };
    for line in [
        format!(
            r#"{{"Header":{{"cluster_id":1,"member_id":2,"revision":9,"raft_term":2}},"Events":[{{"kv":{{"key":"L3IvYQ==","create_revision":9,"mod_revision":9,"version":1,"value":"{VALUE}"}}}}],"CompactRevision":0,"Canceled":false,"Created":false}}"#
        ),
        format!(
            r#"{{"result":{{"header":{{"cluster_id":"1","member_id":"2","revision":"9","raft_term":"2"}},"events":[{{"kv":{{"key":"L3IvYQ==","create_revision":"9","mod_revision":"9","version":"1","value":"{VALUE}"}}}}]}}}}"#
        ),
    ] {
        assert_eq!(
            EtcdWatch.parse(&line, &context()),
            Parsed::Record(DELIVERED, Body::Revision(expected.clone())),
            "{line}"
        );
    }
}

#[test]
fn what_is_caught_up_on_is_marked_as_replayed() {
    let live = r#"{"Header":{"revision":12},"Events":[{"kv":{"key":"L3IvYQ==","mod_revision":11,"version":1}},{"kv":{"key":"L3IvYg==","mod_revision":12,"version":1}}]}"#;
    let Parsed::Records(records) = EtcdWatch.parse(live, &context()) else { panic!("not several records") };
    for (_, body) in records {
        assert!(matches!(body, Body::Revision(Revision { replayed: false, .. })), "{body:?}");
    }
    let line = r#"{"Header":{"revision":19},"Events":[{"type":1,"kv":{"key":"L3IvYQ==","mod_revision":11},"prev_kv":{"key":"L3IvYQ==","create_revision":3,"mod_revision":4,"version":2,"lease":77}},{"kv":{"key":"/w==","mod_revision":12,"version":1}}]}"#;
    let Parsed::Records(records) = EtcdWatch.parse(line, &context()) else { panic!("not several records") };
    let deleted = Revision {
        kind: RevisionKind::Delete,
        create_revision: 3,
        lease: Some(77),
        replayed: true,
        ..revision("/r/a", 11)
    };
    let put = Revision { version: 1, value_length: Some(0), replayed: true, ..revision("\u{fffd}", 12) };
    assert_eq!(records, [(DELIVERED, Body::Revision(deleted)), (DELIVERED, Body::Revision(put))]);
}

#[test]
fn responses_without_events_are_no_changes() {
    for (line, expected) in [
        (r#"{"result":{"header":{"revision":"9"},"created":true}}"#, Body::Other),
        (r#"{"Header":{"revision":9},"Events":[],"CompactRevision":0}"#, Body::Other),
        (r#"{"Header":{"revision":9},"Events":null,"CompactRevision":0}"#, Body::Other),
        (
            r#"{"result":{"header":{"revision":"9"},"canceled":true,"compact_revision":"7"}}"#,
            Body::Etcd(EtcdLine::Compaction { revision: Some(7), begun: false }),
        ),
    ] {
        assert_eq!(EtcdWatch.parse(line, &context()), Parsed::Record(DELIVERED, expected), "{line}");
    }
}

#[test]
fn broken_lines_are_refused() {
    for line in [
        r#"{"type":"PUT","key":"/r/a","mod_rev"#,
        r#"{"type":"MOVE","key":"/r/a","mod_revision":5}"#,
        r#"{"type":"PUT","key":"/r/a","mod_revision":5,"t_recv":"soon"}"#,
        r#"{"type":"PUT","key":"/r/a","mod_revision":5,"t_recv":1e99}"#,
        r#"{"result":{"header":{"revision":"9"},"events":[{"kv":{"key":"not base64!","mod_revision":"9"}}]}}"#,
        r#"{"result":{"header":{"revision":"9"},"events":[{"type":"PUT"}]}}"#,
    ] {
        assert!(matches!(EtcdWatch.parse(line, &context()), Parsed::Reject(_)), "{line}");
    }
    for line in ["text", "{}", r#"{"level":"info","msg":"x"}"#] {
        assert_eq!(EtcdWatch.parse(line, &context()), Parsed::Unknown, "{line}");
    }
}
