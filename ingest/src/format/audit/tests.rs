use auditgap_records::audit::{Level, Stage};

use super::*;
use crate::format::testing::context;

fn event(fields: &str) -> String {
    format!(
        r#"{{"kind":"Event","level":"Request","auditID":"id-1","stage":"ResponseComplete","verb":"create","stageTimestamp":"2026-03-01T11:00:00.125000Z","requestReceivedTimestamp":"2026-03-01T11:00:00.120000Z"{fields}}}"#
    )
}

fn read(text: &str) -> AuditEvent<'_> {
    match AuditJson.parse(text, &context()) {
        Parsed::Record(_, Body::Audit(event)) => *event,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_field_that_matching_needs_is_read() {
    let text = event(
        r#","requestURI":"/a?x=1\u0026y","user":{"username":"u","uid":"7","groups":["g","h"],"extra":{"authentication.kubernetes.io/credential-id":["c"],"authentication.kubernetes.io/pod-name":["p"],"authentication.kubernetes.io/node-name":["n"],"x":["y"]}},"impersonatedUser":{"username":"i","groups":[]},"sourceIPs":["1.1.1.1","2.2.2.2"],"userAgent":"a","objectRef":{"resource":"pods","namespace":"ns","name":"web","uid":"o","apiGroup":"apps","apiVersion":"v1","resourceVersion":"12","subresource":"exec"},"responseStatus":{"metadata":{},"status":"Failure","message":"m","details":{"name":"n","causes":[{"uid":"no"}],"uid":"d"},"code":409},"requestObject":{"a":[1,{"b":"]}"}]},"responseObject":null,"annotations":{"a":"b","authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":"r","authentication.kubernetes.io/issued-credential-id":"t","audit.k8s.io/truncated":"true"}"#,
    );
    let event = read(&text);
    assert_eq!(event.level, Level::Request);
    assert_eq!(event.audit_id, "id-1");
    assert_eq!(event.stage, Stage::ResponseComplete);
    assert_eq!(event.uri, "/a?x=1&y");
    assert_eq!(event.user.name, "u");
    assert_eq!(event.user.groups, ["g", "h"]);
    assert_eq!(event.user.credential_id.as_deref(), Some("c"));
    assert_eq!(event.user.pod_name.as_deref(), Some("p"));
    assert_eq!(event.user.node_name.as_deref(), Some("n"));
    assert_eq!(event.impersonated.as_deref(), Some("i"));
    assert_eq!(event.source_ip.as_deref(), Some("2.2.2.2"));
    let object = event.object.unwrap();
    assert_eq!((&*object.group, &*object.resource, &*object.subresource), ("apps", "pods", "exec"));
    assert_eq!((&*object.namespace, &*object.name, &*object.uid), ("ns", "web", "o"));
    assert_eq!(object.resource_version, Some(12));
    assert_eq!(
        (event.code, event.message.as_deref(), event.details_uid.as_deref()),
        (Some(409), Some("m"), Some("d"))
    );
    assert_eq!(event.staged.nanos_since(event.received), 5_000_000);
    assert_eq!((event.allowed, event.authorization_reason.as_deref()), (Some(false), Some("r")));
    assert_eq!(event.issued_credential_id.as_deref(), Some("t"));
    assert!(event.truncated);
    assert_eq!((event.request_object, event.response_object), (Some(r#"{"a":[1,{"b":"]}"}]}"#), None));
}

#[test]
fn what_is_absent_null_or_empty_is_none() {
    let text = event(
        r#","user":{},"impersonatedUser":null,"sourceIPs":null,"objectRef":null,"responseStatus":{"metadata":{},"code":0},"annotations":{"authorization.k8s.io/reason":""}"#,
    );
    let event = read(&text);
    assert_eq!((event.source_ip, event.object, event.code), (None, None, None));
    assert_eq!((event.impersonated, event.allowed, event.authorization_reason), (None, None, None));
    assert!(event.user.name.is_empty());
    // A received time alone stands for both.
    let text = r#"{"level":"Metadata","auditID":"","stage":"RequestReceived","verb":"","requestReceivedTimestamp":"2026-03-01T11:00:00Z"}"#;
    assert_eq!(read(text).staged, read(text).received);
}

#[test]
fn what_is_no_event_is_unknown_and_what_is_a_broken_one_says_why() {
    let good = event("");
    for (text, expected) in [
        ("rubbish".to_owned(), None),
        ("{}".to_owned(), None),
        (r#"{"auditID":"a","stage":"Panic"}"#.to_owned(), None),
        ("[1]".to_owned(), None),
        (good.replace("ResponseComplete", "Later"), Some("unknown `stage`")),
        (good.replace("Request\"", "All\""), Some("unknown `level`")),
        (good.replace("\"level\":\"Request\",", ""), Some("no `level`")),
        (good.replace(":00.125000Z", ""), Some("`stageTimestamp` is no RFC 3339 time")),
        (good.replace("create\"", "create"), Some("unexpected JSON at byte")),
        (good.replace('}', ""), Some("ends too early; auditID id-1")),
        (event(r#","user":"x""#), Some("unexpected JSON at byte")),
        (format!("{good}{good}"), Some("unexpected JSON at byte")),
        (format!("{}[Truncated...]", &good[..90]), Some("cut by CloudWatch; auditID id-1")),
    ] {
        match (AuditJson.parse(&text, &context()), expected) {
            (Parsed::Unknown, None) => {}
            (Parsed::Reject(reason), Some(expected)) => {
                assert!(reason.contains(expected), "{text}: {reason}");
            }
            (other, _) => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn deep_nesting_costs_no_stack() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert_eq!(read(&event(&format!(",\"requestObject\":{deep}"))).request_object, Some(&*deep));
}
