use proptest::prelude::*;

use super::*;
use crate::clock::ClockHint;

fn context() -> LineContext {
    let near = Timestamp::parse("2026-11-23T12:00:00Z").unwrap();
    LineContext { clock: ClockHint { near, zone_seconds: 0 }, transport_time: None }
}

fn legacy() -> LegacyAuditEvent<'static> {
    LegacyAuditEvent {
        audit_id: "552115b0".into(),
        stage: "ResponseComplete".into(),
        verb: "patch".into(),
        user: "al\"ice".into(),
        uri: "/api/v1/namespaces/default/secrets/x?fieldManager=m".into(),
        code: Some(201),
        time: Timestamp::parse("2026-11-23T11:39:56.443001758Z").unwrap(),
    }
}

const LEGACY: &str = concat!(
    r#"2026-11-23T11:39:56.443001758Z AUDIT: id="552115b0" stage="ResponseComplete" ip="127.0.0.1" method="patch" "#,
    r#"user="al\"ice" groups="\"system:masters\",\"b\"" as="<self>" asgroups="<lookup>" user-agent="curl" "#,
    r#"namespace="default" uri="/api/v1/namespaces/default/secrets/x?fieldManager=m" response="201""#,
);

#[test]
fn lines_of_interest() {
    let time = Timestamp::parse("2026-11-23T11:39:56.445203Z").unwrap();
    let error = || Text::from("json: error calling MarshalJSON: invalid character 'a'");
    let plugin_error = |events, error, impacted| ApiServerLine::AuditPluginError {
        plugin: "log".into(),
        events,
        error,
        impacted,
    };
    for (message, expected) in [
        (
            r#"FLAG: --audit-policy-file="/etc/policy.yaml""#.to_owned(),
            ApiServerLine::Flag { name: "audit-policy-file".into(), value: "/etc/policy.yaml".into() },
        ),
        ("Serving securely on [::]:6443".to_owned(), ApiServerLine::Started),
        (
            r#""[graceful-termination] shutdown event" name="ShutdownInitiated""#.to_owned(),
            ApiServerLine::Stopping,
        ),
        ("Shutting down kubernetes service endpoint reconciler".to_owned(), ApiServerLine::Stopping),
        (
            format!(
                "Error in audit plugin 'log' affecting 1 audit events: {}\nImpacted events:\n{LEGACY}\n\n",
                error()
            ),
            plugin_error(1, error(), vec![legacy()]),
        ),
        (
            "Error in audit plugin 'log' affecting 3 audit events: audit buffer queue blocked".to_owned(),
            plugin_error(3, "audit buffer queue blocked".into(), vec![]),
        ),
        ("audit buffer queue blocked".to_owned(), ApiServerLine::AuditBufferFull),
        (
            "Audit policy contains errors, falling back to lenient decoding: unknown field \"rule\""
                .to_owned(),
            ApiServerLine::AuditPolicyLenient { error: "unknown field \"rule\"".into() },
        ),
        (
            concat!(
                r#""HTTP" verb="APPLY" URI="/api/v1/x" latency="2.24ms" userAgent="u" audit-ID="5521" "#,
                r#"srcIP="127.0.0.1:42888" apf_pl="exempt" apf_iseats=1 resp=201"#
            )
            .to_owned(),
            ApiServerLine::Request {
                verb: "APPLY".into(),
                uri: "/api/v1/x".into(),
                audit_id: "5521".into(),
                source: "127.0.0.1:42888".into(),
                latency: 2_240_000,
                code: Some(201),
            },
        ),
    ] {
        let line = format!("E1123 11:39:56.445203    3066 metrics.go:110] {message}");
        assert_eq!(
            ApiServer.parse(&line, &context()),
            Parsed::Record(time, Body::ApiServer(expected.clone())),
            "{line}"
        );
        if !message.starts_with('"') {
            let message = serde_json::to_string(&message).unwrap();
            let line = format!(r#"{{"ts":1795433996445.203,"caller":"a.go:1","msg":{message}}}"#);
            assert_eq!(
                ApiServer.parse(&line, &context()),
                Parsed::Record(time, Body::ApiServer(expected)),
                "{line}"
            );
        }
    }
}

#[test]
fn noise_is_other_and_what_is_broken_is_told() {
    for line in [
        r#"I1123 11:39:56.445203    3066 x.go:1] "[graceful-termination] shutdown event" name="InFlightRequestsDrained""#,
        "I1123 11:39:56.445203    3066 server.go:187] Version: v1.36.2",
        r#"{"level":"warn","ts":"2026-11-23T12:53:24.1Z","logger":"etcd-client","caller":"v3@v3.6.5/r.go:68","msg":"x"}"#,
    ] {
        assert!(matches!(ApiServer.parse(line, &context()), Parsed::Record(_, Body::Other)), "{line}");
    }
    for message in [r#""HTTP" verb="GET""#, "Error in audit plugin 'log' affecting many"] {
        let line = format!("E1123 11:39:56.445203    3066 metrics.go:110] {message}");
        assert!(matches!(ApiServer.parse(&line, &context()), Parsed::Reject(_)), "{line}");
    }
    assert_eq!(ApiServer.parse("Impacted events:", &context()), Parsed::Unknown);
}

#[test]
fn an_unanswered_event_has_no_code() {
    let line = LEGACY.replace(r#"response="201""#, r#"response="<deferred>""#);
    assert_eq!(legacy_event(&line), Some(LegacyAuditEvent { code: None, ..legacy() }));
    assert_eq!(legacy_event("AUDIT: id=\"x\""), None);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), message in "[\"A-Za-z(): ,=<>'{}\\[\\]\\\\\n\t/0-9-]{0,80}") {
        for line in [
            text,
            format!("E1123 11:39:56.445203    3066 metrics.go:110] {message}"),
            format!("E1123 11:39:56.445203    3066 metrics.go:110] Error in audit plugin 'x' affecting 1 audit events: {message}"),
            format!("I1123 11:39:56.445203    3066 httplog.go:1] GET /: {message}"),
        ] {
            let _ = ApiServer.parse(&line, &context());
            let _ = legacy_event(&line);
        }
    }
}
