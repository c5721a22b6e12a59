//! From bytes to records, whatever they are wrapped in and however they are cut.

use auditgap_records::{Body, Position, Record, Reject, Timestamp};
use proptest::prelude::*;

use super::{Options, Parser, Sink, parse_audit_lines};
use crate::clock::ClockHint;
use crate::detect::{Detection, detect};
use crate::limits::Limits;
use crate::{Format, Framing};

const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"0b5c","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/ns/pods?limit=1\u0026x=y","verb":"list","user":{"username":"ann","groups":["devs"]},"sourceIPs":["10.0.0.1"],"userAgent":"kubectl","objectRef":{"resource":"pods","namespace":"ns","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-03-01T11:00:00.120000Z","stageTimestamp":"2026-03-01T11:00:00.125000Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}"#;
const KLOG: &str =
    "I0301 11:00:00.000001    7 kubelet.go:2724] \"SyncLoop ADD\" source=\"api\" pods=[\"ns/web\"]";

fn options() -> Options {
    let near = Timestamp::parse("2026-03-01T12:00:00Z").unwrap();
    Options {
        digest_key: [7, 9],
        file: 3,
        clock: ClockHint { near, zone_seconds: 0 },
        limits: Limits { line: 4096, document: 16384, streams: 3, groups: 3, ..Limits::default() },
    }
}

/// What a parser found, in words that compare.
#[derive(Debug, Default, PartialEq)]
struct Found {
    records: Vec<String>,
    digests: Vec<u64>,
    seen: Vec<Option<Timestamp>>,
    rejects: Vec<Reject>,
    unknown: Vec<(String, Position)>,
}

impl Sink for Found {
    fn record(&mut self, record: Record<'_>) {
        self.digests.push(record.digest);
        self.seen.push(record.seen);
        self.records.push(format!("{:?} {} {:?}", record.position, record.time, record.body));
    }
    fn reject(&mut self, reject: Reject) {
        self.rejects.push(reject);
    }
    fn unknown(&mut self, shape: &str, position: Position) {
        self.unknown.push((shape.to_owned(), position));
    }
}

fn read(detection: &Detection, chunks: &[&[u8]]) -> Found {
    let mut found = Found::default();
    let mut parser = Parser::new(detection, options());
    for chunk in chunks {
        parser.feed(chunk, &mut found);
    }
    parser.finish(&mut found);
    found
}

fn read_all(text: &str) -> (Detection, Found) {
    let detection = detect(text.as_bytes(), "").unwrap_or_else(|error| panic!("{error:?}: {text}"));
    let found = read(&detection, &[text.as_bytes()]);
    (detection, found)
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn cri(text: &str) -> String {
    let (one, two) = text.split_at(text.len() / 2);
    format!(
        "2026-03-01T11:00:01Z stdout P {one}\n2026-03-01T11:00:01Z stderr F noise\n2026-03-01T11:00:01Z stdout F {two}\n"
    )
}

#[test]
fn an_event_has_one_digest_however_it_came() {
    let item = EVENT.replace(r#""kind":"Event","apiVersion":"audit.k8s.io/v1","#, "");
    let pretty =
        serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(EVENT).unwrap()).unwrap();
    let azure = format!(
        "{{\"category\":\"kube-audit\",\"properties\":{{\"log\":{},\"pod\":\"a\"}}}}",
        quoted(&format!("{EVENT}\n"))
    );
    let azure_string = format!(
        "{{\"category\":\"kube-audit\",\"properties\":{}}}",
        quoted(&format!("{{\"log\":{}}}", quoted(EVENT)))
    );
    let (half, rest) = EVENT.split_at(300);
    for (name, text, records) in [
        ("lines", format!("{EVENT}\n{EVENT}\r\n"), 2),
        ("no line break at the end", EVENT.to_owned(), 1),
        ("event list", format!("{{\"kind\":\"EventList\",\"metadata\":{{}},\"items\":[{item},{item}]}}\n"), 2),
        ("event lists a line", format!("{{\"kind\":\"EventList\",\"items\":[{item}]}}\n").repeat(2), 2),
        ("list among events", format!("{EVENT}\n{{\"kind\":\"EventList\",\"items\":[{item},{item}]}}\n"), 3),
        ("pretty", format!("{pretty}\n{pretty}\n"), 2),
        ("array", format!("[{EVENT},\n{pretty}]"), 2),
        ("concatenated", format!("{EVENT}{EVENT}"), 2),
        ("cri", cri(EVENT), 1),
        ("stamped", format!("2026-03-01T11:00:01.5Z {EVENT}\n"), 1),
        ("docker", format!("{{\"log\":{},\"stream\":\"stdout\",\"time\":\"2026-03-01T11:00:01Z\"}}\n{{\"log\":{},\"stream\":\"stdout\",\"time\":\"2026-03-01T11:00:01Z\"}}\n", quoted(half), quoted(&format!("{rest}\n"))), 1),
        ("fluent bit array", format!("[{{\"date\":1772362801.5,\"log\":{}}}]", quoted(EVENT)), 1),
        ("fluent bit merged", EVENT.replacen('{', "{\"date\":1772362801.5,\"kubernetes\":{\"host\":\"n\"},", 1), 1),
        ("fluent bit of cri", format!("{{\"date\":1772362801.5,\"log\":{}}}\n", quoted(&format!("2026-03-01T11:00:01Z stdout F {EVENT}"))), 1),
        ("vector", format!("[{{\"message\":{},\"timestamp\":\"2026-03-01T11:00:01Z\",\"source_type\":\"file\"}}]", quoted(EVENT)), 1),
        ("cloudwatch filter", format!("{{\"events\":[{{\"logStreamName\":\"kube-apiserver-audit-1\",\"timestamp\":1772362801000,\"message\":{},\"ingestionTime\":1772362802000,\"eventId\":\"1\"}}]}}", quoted(EVENT)), 1),
        ("cloudwatch subscription", format!("{{\"messageType\":\"DATA_MESSAGE\",\"logGroup\":\"g\",\"logEvents\":[{{\"id\":\"1\",\"timestamp\":1772362801000,\"message\":{}}}]}}", quoted(EVENT)), 1),
        ("azure records", format!("{{\"records\":[{azure},{azure_string}]}}"), 2),
        ("azure lines", format!("{azure}\n"), 1),
        ("otlp", format!("{{\"resourceLogs\":[{{\"resource\":{{}},\"scopeLogs\":[{{\"logRecords\":[{{\"timeUnixNano\":\"1772362801000000000\",\"body\":{{\"stringValue\":{}}}}}]}}]}}]}}", quoted(EVENT)), 1),
        ("with a byte order mark", format!("\u{feff}{EVENT}\n"), 1),
        ("legacy", "2026-03-01T11:00:00.120000758Z AUDIT: id=\"0b5c\" stage=\"ResponseComplete\" ip=\"1.2.3.4\" method=\"list\" user=\"ann\" groups=\"\\\"devs\\\",\\\"b\\\"\" as=\"<self>\" asgroups=\"<lookup>\" user-agent=\"kubectl\" namespace=\"ns\" uri=\"/api/v1/namespaces/ns/pods?limit=1&x=y\" response=\"200\"\n".to_owned(), 1),
    ] {
        let (_, expected) = read_all(EVENT);
        let (detection, found) = read_all(&text);
        assert_eq!(found.rejects, [], "{name}");
        assert_eq!(found.digests, vec![expected.digests[0]; records], "{name} as {detection:?}: {found:#?}");
        assert_eq!(detection.format.kind(), Some(auditgap_records::FeedKind::Audit), "{name}");
    }
}

#[test]
fn entries_of_several_lines_are_put_together_in_each_stream() {
    let block = format!(
        "{KLOG}\nI0301 11:00:00.000002    7 kubelet.go:9] \"Dump\" configuration=<\n\t{{}}\n >\n{KLOG}\n"
    );
    let mut wrapped = String::new();
    for (at, line) in block.lines().enumerate() {
        wrapped.push_str(&format!(
            "2026-03-01T11:00:0{at}Z stderr F {line}\n2026-03-01T11:00:00Z stdout F {KLOG}\n"
        ));
    }
    let (_, plain) = read_all(&block);
    assert_eq!(plain.records.len(), 3, "{plain:#?}");
    assert!(plain.records[1].contains("length: 70"), "{plain:#?}");
    let (detection, found) = read_all(&wrapped);
    assert_eq!(detection.format, Format::Kubelet);
    assert_eq!(found.records.len(), 3 + 5, "{found:#?}");
    assert_eq!(found.unknown, []);
    assert!(found.seen.iter().all(Option::is_some));
}

#[test]
fn records_of_one_host_event_are_grouped_across_others() {
    let line = |kind: &str, serial: u32, rest: &str| {
        format!("type={kind} msg=audit(1772362800.500:{serial}): {rest}\n")
    };
    let text = [
        line("SYSCALL", 1, "arch=c000003e syscall=257 success=yes exit=3 a2=241 items=1 pid=9 uid=0 auid=0 comm=\"vi\" exe=\"/bin/vi\" key=\"k\""),
        line("SYSCALL", 2, "arch=c000003e syscall=257 success=yes exit=3 a2=241 items=1 pid=8 uid=0 auid=0 comm=\"ed\" exe=\"/bin/ed\" key=\"k\""),
        line("PATH", 1, "item=0 name=\"/etc/one\" nametype=CREATE"),
        line("PATH", 2, "item=0 name=\"/etc/two\" nametype=CREATE"),
        line("PROCTITLE", 2, "proctitle=\"ed\""),
    ]
    .concat();
    let (_, found) = read_all(&text);
    assert_eq!(found.records.len(), 2, "{found:#?}");
    for (record, words) in found.records.iter().zip([["/etc/two", "/bin/ed"], ["/etc/one", "/bin/vi"]]) {
        assert!(words.iter().all(|word| record.contains(word)), "{record}");
    }
}

#[test]
fn what_cannot_be_read_is_told_with_its_place_and_the_rest_goes_on() {
    let cut = &EVENT[..200];
    let long = format!("{{\"auditID\":\"{}\"}}", "x".repeat(5000));
    let text =
        format!("{EVENT}\n{cut}\n{long}\nrubbish 1\n\0\0\0\n{EVENT}}}\n{cut}[Truncated...]\n{EVENT}\n{cut}");
    let (_, found) = read_all(&text);
    let told: Vec<_> =
        found.rejects.iter().map(|reject| (reject.position.line, reject.reason.as_str())).collect();
    assert_eq!(
        told,
        [
            (2, "audit event that ends too early; auditID 0b5c"),
            (3, "longer than 4096 bytes, the most that is read as one entry"),
            (5, "nothing but NUL bytes: a hole in the file"),
            (6, "not a well-formed audit event: unexpected JSON at byte 578; auditID 0b5c"),
            (7, "audit event cut by CloudWatch; auditID 0b5c"),
            (9, "truncated, the file ends within this entry: audit event that ends too early; auditID 0b5c"),
        ]
    );
    assert_eq!(found.unknown.len(), 1);
    assert_eq!(found.unknown[0].0, "a 9");
    assert_eq!(found.records.len(), 2);

    let mut raw = format!("{EVENT}\n").into_bytes();
    let at = raw.windows(7).position(|window| window == b"kubectl").unwrap();
    raw[at] = 0xff;
    let detection = detect(&raw, "").unwrap();
    let found = read(&detection, &[&raw]);
    assert_eq!(found.records.len(), 1, "invalid UTF-8 costs a character, not the event");
    assert!(found.records[0].contains("\u{fffd}ubectl"));
}

#[test]
fn other_streams_beyond_the_bound_end_the_oldest() {
    let mut text = String::new();
    for unit in 0..6 {
        text.push_str(&format!("{{\"date\":1,\"stream\":\"{unit}\",\"log\":{}}}\n", quoted(KLOG)));
    }
    for unit in 0..6 {
        text.push_str(&format!("{{\"date\":1,\"stream\":\"{unit}\",\"log\":\"\\tcontinued\"}}\n"));
    }
    let (_, found) = read_all(&text);
    assert_eq!(found.records.len(), 6);
    assert_eq!(found.unknown.len(), 3, "the continuations of streams that were given up");
}

/// Pieces that files are made of, and damage.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<Vec<u8>> = [
        EVENT,
        KLOG,
        "\n",
        "\r\n",
        "\n\t indented\n",
        "[",
        "]",
        ",",
        "{\"kind\":\"EventList\",\"items\":[",
        "]}",
        "{\"log\":\"part\",\"stream\":\"stdout\",\"time\":\"2026-03-01T11:00:01Z\"}",
        "2026-03-01T11:00:01Z stdout P part",
        "2026-03-01T11:00:01Z stdout F whole",
        "type=SYSCALL msg=audit(1772362800.500:1): syscall=257",
        "type=PATH msg=audit(1772362800.500:1): name=\"/x\"",
        "\0\0",
        "\u{feff}",
        "{\"a\":\"",
        "\\",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    let piece = prop_oneof![
        6 => proptest::sample::select(known),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => (0_usize..600).prop_map(|length| EVENT.as_bytes()[..length.min(EVENT.len())].to_vec()),
        1 => (4000_usize..9000).prop_map(|length| vec![b'x'; length]),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn formats() -> impl Strategy<Value = Detection> {
    use crate::Envelope::{Azure, Cri, DockerJson, Journald, List, Otlp, Shipper, Syslog};
    let format = proptest::sample::select(vec![
        Format::AuditJson,
        Format::AuditLegacy,
        Format::AuditGke,
        Format::Kubelet,
        Format::ApiServer,
        Format::OtherKlog,
        Format::EtcdJson,
        Format::EtcdConsole,
        Format::EtcdCapnslog,
        Format::EtcdWatch,
        Format::Containerd,
        Format::CtrEvents,
        Format::Crio,
        Format::DockerEvents,
        Format::Auditd,
        Format::Inotify,
        Format::Falco,
        Format::Tetragon,
    ]);
    let envelope =
        proptest::sample::select(vec![Azure, Cri, DockerJson, Journald, List, Otlp, Shipper, Syslog]);
    let framing = proptest::sample::select(vec![
        Framing::Lines,
        Framing::Documents { list: None },
        Framing::Documents { list: Some("items") },
    ]);
    (format, proptest::collection::vec(envelope, 0..3), framing).prop_map(|(format, envelopes, framing)| {
        Detection { format, envelopes, framing, compression: crate::Compression::None, others: Vec::new() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_any_chunks_give_the_same(bytes in pieces(), detection in formats(), cuts in proptest::collection::vec(1_usize..700, 1..12)) {
        let whole = read(&detection, &[&bytes]);
        let mut chunks = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, tail) = rest.split_at((*cut).min(rest.len()));
            chunks.push(chunk);
            rest = tail;
        }
        prop_assert_eq!(&read(&detection, &chunks), &whole);
        if detection.is_audit_lines() {
            let mut lines = Found::default();
            parse_audit_lines(&bytes, Position { file: 3, line: 1, ..Position::default() }, &options(), &mut lines);
            prop_assert_eq!(&lines, &whole);
        }
        let end = bytes.len() as u64;
        let within = |position: &Position| position.offset + u64::from(position.length) <= end;
        prop_assert!(whole.rejects.iter().all(|reject| within(&reject.position)));
        prop_assert!(whole.unknown.iter().all(|(_, position)| within(position)));
        // Neither recognising nor masking anything may panic.
        let _ = detect(&bytes, "x");
        let _ = crate::redact(detection.format, &bytes);
    }
}

#[test]
fn audit_lines_may_be_read_in_parts() {
    let text = format!("{EVENT}\nrubbish\n{EVENT}\n{}\n{EVENT}", &EVENT[..90]);
    let detection = detect(text.as_bytes(), "").unwrap();
    assert!(detection.is_audit_lines());
    let whole = read(&detection, &[text.as_bytes()]);
    let middle = text.find("rubbish").unwrap();
    let mut parts = Found::default();
    let base = Position { file: 3, line: 1, ..Position::default() };
    parse_audit_lines(&text.as_bytes()[..middle], base, &options(), &mut parts);
    let base = Position { line: 2, offset: middle as u64, ..base };
    parse_audit_lines(&text.as_bytes()[middle..], base, &options(), &mut parts);
    assert_eq!(parts, whole);
}

#[test]
fn a_body_of_megabytes_is_read() {
    let body = format!(",\"requestObject\":{{\"a\":\"{}\"}},\"verb\"", "x".repeat(4 << 20));
    let text = EVENT.replace(",\"verb\"", &body);
    let options = Options { limits: Limits::default(), ..options() };
    let mut found = Found::default();
    let mut parser = Parser::new(&detect(&text.as_bytes()[..crate::HEAD], "").unwrap(), options);
    for chunk in text.as_bytes().chunks(100_000) {
        parser.feed(chunk, &mut found);
    }
    parser.finish(&mut found);
    assert_eq!((found.records.len(), found.rejects), (1, Vec::new()));
}

#[test]
fn nothing_of_a_body_is_copied() {
    struct Borrowed(bool);
    impl Sink for Borrowed {
        fn record(&mut self, record: Record<'_>) {
            let Body::Audit(event) = record.body else { panic!("no audit event") };
            self.0 = matches!(
                (&event.audit_id, &event.user.name, &event.verb, &event.user_agent),
                (
                    std::borrow::Cow::Borrowed(_),
                    std::borrow::Cow::Borrowed(_),
                    std::borrow::Cow::Borrowed(_),
                    std::borrow::Cow::Borrowed(_)
                )
            );
        }
        fn reject(&mut self, reject: Reject) {
            panic!("{reject:?}");
        }
        fn unknown(&mut self, shape: &str, _position: Position) {
            panic!("{shape}");
        }
    }
    let mut sink = Borrowed(false);
    parse_audit_lines(EVENT.as_bytes(), Position::default(), &options(), &mut sink);
    assert!(sink.0);
}
