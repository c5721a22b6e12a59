//! The same events in etcd's three spellings, and text that no etcd wrote.

use auditgap_records::etcd::{EtcdLine, EtcdRequest, KeyOp, KeyOpKind, RequestLine};
use auditgap_records::{Body, Timestamp};
use proptest::prelude::*;

use crate::clock::ClockHint;
use crate::format::etcd_capnslog::EtcdCapnslog;
use crate::format::etcd_console::EtcdConsole;
use crate::format::etcd_json::EtcdJson;
use crate::format::etcd_watch::EtcdWatch;
use crate::format::{LineContext, LineFormat, Parsed};

const EAST: i32 = 8 * 3600;

fn context() -> LineContext {
    LineContext { clock: ClockHint { near: Timestamp(0), zone_seconds: EAST }, transport_time: None }
}

fn parse<'a>(format: &dyn LineFormat, text: &'a str) -> (Timestamp, Body<'a>) {
    match format.parse(text, &context()) {
        Parsed::Record(time, body) => (time, body),
        other => panic!("{text}: {other:?}"),
    }
}

fn etcd<'a>(format: &dyn LineFormat, text: &'a str) -> EtcdLine<'a> {
    match parse(format, text).1 {
        Body::Etcd(line) => line,
        other => panic!("{text}: {other:?}"),
    }
}

fn request<'a>(format: &dyn LineFormat, text: &'a str) -> EtcdRequest<'a> {
    match etcd(format, text) {
        EtcdLine::Request(request) => *request,
        other => panic!("{text}: {other:?}"),
    }
}

fn json(message: &str, fields: &str) -> String {
    let comma = if fields.is_empty() { "" } else { "," };
    format!(
        r#"{{"level":"info","ts":"2026-11-23T11:00:00.000001Z","caller":"a/b.go:1","msg":"{message}"{comma}{fields}}}"#
    )
}

fn console(message: &str, fields: &str) -> String {
    let columns = format!("2026-11-23T11:00:00.000001Z\tinfo\ta/b.go:1\t{message}");
    if fields.is_empty() { columns } else { format!("{columns}\t{{{fields}}}") }
}

fn capnslog(message: &str) -> String {
    format!("2026-11-23 19:00:00.000001 N | a/b: {message}")
}

const STATS: &str = r#""start time":"2026-11-23T11:34:15.958853Z","time spent":"1.146693ms","remote":"10.0.0.7:55946","response type":"/etcdserverpb.KV/Range","request count":0,"request size":52,"response count":3,"response size":370,"request content":"key:\"/registry/secrets/\" range_end:\"/registry/secrets0\" limit:500 ""#;

#[test]
fn a_request_reads_the_same_in_every_spelling() {
    let expected = EtcdRequest {
        line: RequestLine::Stats,
        method: "KV/Range".into(),
        remote: Some("10.0.0.7:55946".into()),
        user: None,
        request_id: None,
        took: 1_146_693,
        compares: vec![],
        success: vec![KeyOp {
            kind: KeyOpKind::Range,
            key: "/registry/secrets/".into(),
            range_end: "/registry/secrets0".into(),
            value_size: None,
            lease: 0,
            limit: 500,
            keys_or_count_only: false,
        }],
        failure: vec![],
        response_count: Some(3),
        response_size: Some(370),
        request_size: Some(52),
    };
    assert_eq!(request(&EtcdJson, &json("request stats", STATS)), expected);
    assert_eq!(request(&EtcdConsole, &console("request stats", STATS)), expected);
    let sentence = capnslog(
        r#"start time = 2026-11-23 19:34:15.958853 +0800 CST m=+5.1, time spent = 1.146693ms, remote = 10.0.0.7:55946, response type = /etcdserverpb.KV/Range, request count = 0, request size = 52, response count = 3, response size = 370, request content = key:"/registry/secrets/" range_end:"/registry/secrets0" limit:500 "#,
    );
    assert_eq!(request(&EtcdCapnslog, &sentence), expected);
}

#[test]
fn a_slow_write_reads_the_same_in_every_spelling() {
    let text = r#"header:<ID:77 username:\"kube\" auth_revision:1 > txn:<compare:<target:MOD key:\"/r/a\" mod_revision:5 > success:<request_delete_range:<key:\"/r/a\" > > failure:<request_range:<key:\"/r/a\" > >>"#;
    let fields = format!(
        r#""took":"112.9ms","expected-duration":"100ms","prefix":"","request":"{text}","response":"size:96""#
    );
    let expected = request(&EtcdJson, &json("apply request took too long", &fields)).into_bounds();
    assert_eq!(
        expected,
        (Some("kube".to_owned()), Some(77), "KV/Txn".to_owned(), 112_900_000, Some(96), 1, 1)
    );
    let sentence =
        capnslog(&format!(r#"request "{text}" with result "size:96" took too long (112.9ms) to execute"#));
    assert_eq!(
        request(&EtcdConsole, &console("apply request took too long", &fields)).into_bounds(),
        expected
    );
    assert_eq!(request(&EtcdCapnslog, &sentence).into_bounds(), expected);
}

/// The parts of a request that a comparison needs.
trait Bounds {
    fn into_bounds(self) -> (Option<String>, Option<u64>, String, i64, Option<i64>, usize, usize);
}

impl Bounds for EtcdRequest<'_> {
    fn into_bounds(self) -> (Option<String>, Option<u64>, String, i64, Option<i64>, usize, usize) {
        let user = self.user.map(std::borrow::Cow::into_owned);
        (
            user,
            self.request_id,
            self.method.into_owned(),
            self.took,
            self.response_size,
            self.success.len(),
            self.failure.len(),
        )
    }
}

#[test]
fn answers_tell_how_much_was_read_and_what_failed() {
    for (fields, count, size) in [
        (
            r#""prefix":"read-only range ","request":"key:\"/r\" ","response":"range_response_count:288 size:19917""#,
            Some(288),
            Some(19_917),
        ),
        (
            r#""prefix":"read-only txn ","request":"compare:<> success:<request_range:<key:\"/r\" > > failure:<>","response":"responses:<range_response_count:2 range_response_count:1> size:9""#,
            Some(3),
            Some(9),
        ),
        (
            r#""request":"header:<ID:1 > put:<key:\"/r\" value_size:1 >","response":"","error":"etcdserver: no space""#,
            None,
            Some(0),
        ),
    ] {
        let line = json("apply request took too long", fields);
        let told = request(&EtcdJson, &line);
        assert_eq!(
            (told.response_count, told.response_size, told.success.len()),
            (count, size, 1),
            "{fields}"
        );
    }
    // RPCs without keys count -1, and tell nothing.
    let line = json(
        "request stats",
        r#""response type":"/etcdserverpb.Auth/UserAdd","request count":-1,"response count":-1,"response size":-1,"request content":"""#,
    );
    let told = request(&EtcdJson, &line);
    assert_eq!((told.method.as_ref(), told.response_count, told.response_size), ("Auth/UserAdd", None, None));
}

#[test]
fn raft_requests_lose_their_values() {
    for message in ["applyEntryNormal", "Apply"] {
        let line = json(
            message,
            r#""raftReq":"header:<ID:9 username:\"rogue\" > put:<key:\"/r/s\" value:\"{\\\"data\\\": \\\"c2VjcmV0\\\"}\" > ""#,
        );
        let told = request(&EtcdJson, &line);
        assert_eq!(
            (told.line, told.user.as_deref(), told.success[0].value_size),
            (RequestLine::Raft, Some("rogue"), Some(20))
        );
        assert!(!format!("{told:?}").contains("c2VjcmV0"));
    }
    let internal =
        json("applyEntryNormal", r#""raftReq":"header:<ID:9 > cluster_version_set:<ver:\"3.6.0\" > ""#);
    assert_eq!(parse(&EtcdJson, &internal).1, Body::Other);
}

#[test]
fn events_read_the_same_in_json_and_on_the_console() {
    for (message, fields, expected) in [
        (
            "found command name",
            r#""common-name":"rogue","user-name":"rogue","revision":1"#,
            EtcdLine::CommandName { user: "rogue".into() },
        ),
        (
            "rejected connection on client endpoint",
            r#""remote-addr":"10.0.0.9:1","server-name":"","error":"tls: client didn't provide a certificate""#,
            EtcdLine::RejectedConnection {
                remote: "10.0.0.9:1".into(),
                error: "tls: client didn't provide a certificate".into(),
                peer: false,
            },
        ),
        (
            "rejected connection on peer endpoint",
            r#""remote-addr":"10.0.0.9:1","server-name":"","ip-addresses":[],"error":"bad""#,
            EtcdLine::RejectedConnection { remote: "10.0.0.9:1".into(), error: "bad".into(), peer: true },
        ),
        (
            "ignoring common name in gRPC-gateway proxy request",
            r#""common-name":"n1""#,
            EtcdLine::Gateway { user: "n1".into() },
        ),
        (
            "sending database snapshot to client",
            r#""total-bytes":1425408,"size":"1.4 MB""#,
            EtcdLine::Snapshot { size: Some(1_425_408), done: false },
        ),
        (
            "successfully sent database snapshot to client",
            r#""total-bytes":1425408,"took":"9ms""#,
            EtcdLine::Snapshot { size: Some(1_425_408), done: true },
        ),
        (
            "compact tree index",
            r#""revision":723"#,
            EtcdLine::Compaction { revision: Some(723), begun: true },
        ),
        (
            "finished scheduled compaction",
            r#""compact-revision":723,"took":"5ms""#,
            EtcdLine::Compaction { revision: Some(723), begun: false },
        ),
        ("starting defragment", "", EtcdLine::Defragmented { begun: true }),
        ("finished defragment", "", EtcdLine::Defragmented { begun: false }),
        (
            "granted a role to a user",
            r#""user-name":"eve","user-roles":["root"],"added-role-name":"root""#,
            EtcdLine::AuthChanged { what: "granted a role to a user".into(), name: "eve".into() },
        ),
        (
            "created a role",
            r#""role-name":"ops""#,
            EtcdLine::AuthChanged { what: "created a role".into(), name: "ops".into() },
        ),
        (
            "disabled authentication",
            "",
            EtcdLine::AuthChanged { what: "disabled authentication".into(), name: "".into() },
        ),
        (
            "invalid password",
            r#""user-name":"eve""#,
            EtcdLine::AuthFailed { what: "invalid password".into(), user: "eve".into() },
        ),
        (
            "invalid auth token",
            r#""token":"abcDEF.123""#,
            EtcdLine::AuthFailed { what: "invalid auth token".into(), user: "".into() },
        ),
        (
            "added member",
            r#""cluster-id":"1","added-peer-id":"b71f","added-peer-peer-urls":["http://10.0.0.9:2380","http://[::1]:2380"]"#,
            EtcdLine::MemberChanged {
                what: "added member".into(),
                member: "b71f http://10.0.0.9:2380,http://[::1]:2380".into(),
            },
        ),
        (
            "applied snapshot",
            r#""snapshot-index":4"#,
            EtcdLine::Restored { what: "applied snapshot".into(), revision: None },
        ),
        (
            "kvstore restored",
            r#""current-rev":17"#,
            EtcdLine::Restored { what: "kvstore restored".into(), revision: Some(17) },
        ),
        (
            "starting an etcd server",
            r#""etcd-version":"3.7.1","name":"m1","force-new-cluster":true,"listen-metrics-urls":[],"initial-cluster-token":"""#,
            EtcdLine::Started { force_new_cluster: true, version: "3.7.1".into(), name: "m1".into() },
        ),
        (
            "starting with client TLS",
            r#""tls-info":"cert = s.crt, key = s.key, client-cert=, client-key=, trusted-ca = ca.crt, client-cert-auth = true, crl-file = ","cipher-suites":[]"#,
            EtcdLine::ClientTls { client_cert_auth: true, trusted_ca: "ca.crt".into() },
        ),
        (
            "serving client traffic insecurely; this is strongly discouraged!",
            r#""traffic":"grpc+http","address":"0.0.0.0:2379""#,
            EtcdLine::ServingInsecurely { address: "0.0.0.0:2379".into() },
        ),
        ("closing etcd server", r#""name":"m1""#, EtcdLine::Stopping),
    ] {
        assert_eq!(etcd(&EtcdJson, &json(message, fields)), expected, "{message}");
        assert_eq!(etcd(&EtcdConsole, &console(message, fields)), expected, "{message}");
    }
}

#[test]
fn capnslog_sentences_are_taken_apart() {
    for (sentence, expected) in [
        (
            r#"rejected connection from "10.0.0.9:1" (error "remote error: tls: bad certificate", ServerName "")"#,
            EtcdLine::RejectedConnection {
                remote: "10.0.0.9:1".into(),
                error: "remote error: tls: bad certificate".into(),
                peer: false,
            },
        ),
        ("ignoring common name in gRPC-gateway proxy request n1", EtcdLine::Gateway { user: "n1".into() }),
        ("found common name rogue", EtcdLine::CommandName { user: "rogue".into() }),
        (
            "sending database snapshot to client 1.4 MB [1425408 bytes]",
            EtcdLine::Snapshot { size: Some(1_425_408), done: false },
        ),
        ("store.index: compact 723", EtcdLine::Compaction { revision: Some(723), begun: true }),
        (
            "finished scheduled compaction at 723 (took 5.3ms)",
            EtcdLine::Compaction { revision: Some(723), begun: false },
        ),
        ("starting to defragment the storage backend...", EtcdLine::Defragmented { begun: true }),
        (
            "Authentication disabled",
            EtcdLine::AuthChanged { what: "Authentication disabled".into(), name: "".into() },
        ),
        (
            "granted role root to user eve",
            EtcdLine::AuthChanged { what: "granted role root to user eve".into(), name: "eve".into() },
        ),
        (
            "Role ops is created",
            EtcdLine::AuthChanged { what: "Role ops is created".into(), name: "ops".into() },
        ),
        (
            "authentication failed, invalid password for user eve",
            EtcdLine::AuthFailed { what: "invalid password".into(), user: "eve".into() },
        ),
        (
            "invalid auth token: abcDEF.123",
            EtcdLine::AuthFailed { what: "invalid auth token".into(), user: "".into() },
        ),
        (
            "added member b71f [http://10.0.0.9:2380] to cluster 1c45",
            EtcdLine::MemberChanged {
                what: "added member".into(),
                member: "b71f http://10.0.0.9:2380".into(),
            },
        ),
        (
            "etcd Version: 3.4.34",
            EtcdLine::Started { force_new_cluster: false, version: "3.4.34".into(), name: "".into() },
        ),
        (
            "force new cluster",
            EtcdLine::Started { force_new_cluster: true, version: "".into(), name: "".into() },
        ),
        (
            "ClientTLS: cert = s.crt, key = s.key, trusted-ca = , client-cert-auth = false, crl-file = ",
            EtcdLine::ClientTls { client_cert_auth: false, trusted_ca: "".into() },
        ),
        (
            "serving insecure client requests on 127.0.0.1:2379, this is strongly discouraged!",
            EtcdLine::ServingInsecurely { address: "127.0.0.1:2379".into() },
        ),
        ("received terminated signal, shutting down...", EtcdLine::Stopping),
    ] {
        assert_eq!(etcd(&EtcdCapnslog, &capnslog(sentence)), expected, "{sentence}");
    }
    let debug = "2026-11-23 19:00:00.000001 [store.go:1301] D | auth: found common name rogue";
    assert_eq!(etcd(&EtcdCapnslog, debug), EtcdLine::CommandName { user: "rogue".into() });
    for noise in ["added member b71f [http://a] to cluster 1c45 from store", "saved snapshot at index 5"] {
        assert_eq!(parse(&EtcdCapnslog, &capnslog(noise)).1, Body::Other, "{noise}");
    }
}

#[test]
fn every_spelling_of_a_stamp_is_the_same_moment() {
    let expected = Timestamp::parse("2026-11-23T11:00:00.000001Z").unwrap();
    for (format, line) in [
        (&EtcdJson as &dyn LineFormat, json("noise", "")),
        (&EtcdJson, json("compact tree index", "")),
        (&EtcdJson, r#"{"ts":"2026-11-23T19:00:00.000001+0800","level":"info","msg": "compact tree index"}"#.to_owned()),
        (&EtcdJson, r#"{"level":"debug","ts":"2026-11-23T11:00:00.000001Z","logger":"bbolt","caller":"b.go:1","msg":"Putting key \"k\""}"#.to_owned()),
        (&EtcdConsole, console("noise", "")),
        (&EtcdConsole, "2026-11-23T19:00:00.000001+0800\tdebug\tbbolt\tb/tx.go:1\tPutting key \"k\"".to_owned()),
        (&EtcdCapnslog, capnslog("noise")),
    ] {
        assert_eq!(parse(format, &line).0, expected, "{line}");
    }
}

#[test]
fn what_is_of_another_format_is_not_taken() {
    for (format, line) in [
        (&EtcdJson as &dyn LineFormat, "plain text"),
        (&EtcdJson, r#"{"log":"x\n","stream":"stderr","time":"2026-11-23T11:00:00Z"}"#),
        (&EtcdConsole, "I1123 11:00:00.000000       1 server.go:1] \"x\""),
        (&EtcdConsole, "a\tb\tc"),
        (&EtcdCapnslog, "2026-11-23 19:00:00 no etcd"),
        (&EtcdCapnslog, "2026-11-23 19:00:00.000001 something else | x"),
    ] {
        assert_eq!(format.parse(line, &context()), Parsed::Unknown, "{line}");
    }
    for (format, line) in [
        (
            &EtcdJson as &dyn LineFormat,
            r#"{"level":"info","ts":"2026-11-23T11:00:00.000001Z","caller":"a.go:1","msg":"compact tree in"#,
        ),
        (&EtcdJson, r#"{"level":"info","ts":"yesterday","caller":"a.go:1","msg":"compact tree index"}"#),
        (&EtcdConsole, "yesterday\tinfo\ta.go:1\tx"),
        (&EtcdConsole, "2026-11-23T11:00:00.000001Z\tinfo\ta.go:1\tcompact tree index\t{\"revision\":"),
        (&EtcdCapnslog, "2026-13-23 19:00:00.000001 I | a: b"),
    ] {
        assert!(matches!(format.parse(line, &context()), Parsed::Reject(_)), "{line}");
    }
}

#[test]
fn entries_of_several_lines_are_held_together() {
    assert!(EtcdConsole.starts_entry(b"2026-11-23T11:00:00.000001Z\tinfo\ta.go:1\tx"));
    assert!(!EtcdConsole.starts_entry(b"go.etcd.io/etcd/server/v3/embed.(*Etcd).errHandler"));
    assert!(!EtcdConsole.starts_entry(b"\t/usr/src/etcd.go:913"));
    assert!(EtcdCapnslog.starts_entry(capnslog("x").as_bytes()));
    assert!(!EtcdCapnslog.starts_entry(b"goroutine 1 [running]:"));
}

/// Lines as etcd writes them, to be damaged.
fn intact() -> Vec<String> {
    vec![
        json("request stats", STATS),
        console("request stats", STATS),
        json("applyEntryNormal", r#""raftReq":"header:<ID:9 > put:<key:\"\\303\\251\" value:\"x\\\"y\" > ""#),
        capnslog(r#"read-only range request "key:\"/r\\303\" " with result "range_response_count:1 size:5" took too long (1.5s) to execute"#),
        capnslog(r#"rejected connection from "10.0.0.9:1" (error "EOF", ServerName "")"#),
        capnslog("added member b71f [http://10.0.0.9:2380] to cluster 1c45"),
        r#"{"result":{"header":{"revision":"9"},"events":[{"kv":{"key":"L2E=","mod_revision":"9","version":"1","value":"azhzAAo="}}]}}"#.to_owned(),
        r#"{"t_recv":1.5,"type":"PUT","key":"/a","mod_revision":2,"enc":"k8s\u0000"}"#.to_owned(),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(
        any in any::<String>(),
        index in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        inserted in "[<>{}\"\\\\:\\t |0-9a-zµ\\u{0}]{0,6}",
    ) {
        let lines = intact();
        let line = &lines[index.index(lines.len())];
        let at = line.floor_char_boundary(cut.index(line.len() + 1));
        let damaged = format!("{}{inserted}{}", &line[..at], &line[at..]);
        for text in [any.as_str(), &line[..at], &damaged] {
            for format in [&EtcdJson as &dyn LineFormat, &EtcdConsole, &EtcdCapnslog, &EtcdWatch] {
                format.starts_entry(text.as_bytes());
                format.parse(text, &context());
            }
            crate::inventory::recognise(text.as_bytes(), "any");
            crate::inventory::settings(text.as_bytes(), "any");
        }
    }
}
