//! Masking secrets in raw log lines before they are shown.
//!
//! Bodies in audit events carry tokens and Secrets, etcd's debug lines carry the values of keys, kubelet's and others'
//! carry headers and flags. All of these may stand in JSON in JSON, so a string is followed at the depth of escaping
//! at which it begins. What cannot be told apart is masked: too much hidden is a smaller harm than a secret shown.

mod nested;
mod tokens;

use std::fmt::Write as _;
use std::ops::Range;

use crate::format::Format;

/// A stretch of text that is not to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Secret {
    range: Range<usize>,
    what: &'static str,
}

/// Finds secrets in a text.
#[derive(Default)]
struct Secrets(Vec<Secret>);

impl Secrets {
    fn add(&mut self, range: Range<usize>, what: &'static str) {
        if !range.is_empty() {
            self.0.push(Secret { range, what });
        }
    }
}

/// The text of an entry as it may be shown: with secrets masked, and bytes that are no UTF-8 replaced. A mask says
/// what was there and how long it was.
pub fn redact(format: Format, raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let mut secrets = Secrets::default();
    nested::find(format, &text, &mut secrets);
    tokens::find(format, &text, &mut secrets);
    render(&text, secrets.0)
}

fn render(text: &str, mut secrets: Vec<Secret>) -> String {
    secrets.sort_by_key(|secret| (secret.range.start, std::cmp::Reverse(secret.range.end)));
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    let mut secrets = secrets.into_iter().peekable();
    while let Some(mut secret) = secrets.next() {
        // Of overlapping finds the first gives the words.
        while let Some(next) = secrets.next_if(|next| next.range.start < secret.range.end) {
            secret.range.end = secret.range.end.max(next.range.end);
        }
        let start = secret.range.start.max(at);
        if start >= secret.range.end {
            continue;
        }
        shown.push_str(text.get(at..start).unwrap_or_default());
        // Writing to a string cannot fail.
        let _ = write!(shown, "[redacted: {}, {} bytes]", secret.what, secret.range.len());
        at = secret.range.end;
    }
    shown.push_str(text.get(at..).unwrap_or_default());
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl";

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let nested = r#"{"properties":{"log":"{\"auditID\":\"a\",\"requestObject\":{\"kind\":\"TokenReview\",\"spec\":{\"token\":\"s3cret\\\"x\"}}}\n"}}"#;
        for (format, raw, expected) in [
            (
                Format::AuditJson,
                r#"{"requestObject":{"kind":"TokenReview","spec":{"token":"s3cret"}},"verb":"create"}"#.to_owned(),
                r#"{"requestObject":{"kind":"TokenReview","spec":{"token":"[redacted: bearer token, 6 bytes]"}},"verb":"create"}"#,
            ),
            (
                Format::AuditJson,
                r#"{"status":{"token":"","expirationTimestamp":null}}"#.to_owned(),
                r#"{"status":{"token":"","expirationTimestamp":null}}"#,
            ),
            (
                Format::AuditJson,
                nested.to_owned(),
                r#"{"properties":{"log":"{\"auditID\":\"a\",\"requestObject\":{\"kind\":\"TokenReview\",\"spec\":{\"token\":\"[redacted: bearer token, 11 bytes]\"}}}\n"}}"#,
            ),
            (
                Format::AuditJson,
                r#"{"kind":"Secret","metadata":{"annotations":{"last":"{\"kind\":\"Secret\",\"data\":{\"pw\":\"aHVudGVyMg==\"}}"}},"data":{"pw":"aHVudGVyMg==","n":1},"type":"Opaque"}"#.to_owned(),
                r#"{"kind":"Secret","metadata":{"annotations":{"last":"{\"kind\":\"Secret\",\"data\":{\"pw\":\"[redacted: Secret data, 12 bytes]\"}}"}},"data":{"pw":"[redacted: Secret data, 12 bytes]","n":1},"type":"Opaque"}"#,
            ),
            (
                Format::AuditJson,
                r#"{"objectRef":{"resource":"secrets"},"requestObject":[{"op":"replace","path":"/data/pw","value":"aHVudGVyMg=="}]}"#.to_owned(),
                r#"{"objectRef":{"resource":"secrets"},"requestObject":[{"op":"replace","path":"/data/pw","value":"[redacted: Secret data, 12 bytes]"}]}"#,
            ),
            (
                Format::AuditJson,
                r#"{"kind":"ConfigMap","data":{"a":"b"}}"#.to_owned(),
                r#"{"kind":"ConfigMap","data":{"a":"b"}}"#,
            ),
            (
                Format::EtcdJson,
                r#"{"msg":"applyEntryNormal","raftReq":"put:<key:\"/registry/secrets/a/b\" value:\"k8s\\000\\\"hunter2\\\\\" lease:5 > value_size:11"}"#.to_owned(),
                r#"{"msg":"applyEntryNormal","raftReq":"put:<key:\"/registry/secrets/a/b\" value:\"[redacted: etcd value, 23 bytes]\" lease:5 > value_size:11"}"#,
            ),
            (
                Format::EtcdCapnslog,
                r#"2026-11-23 11:00:00.1 D | x: put:<key:"/a" value:"cut"#.to_owned(),
                r#"2026-11-23 11:00:00.1 D | x: put:<key:"/a" value:"[redacted: etcd value, 3 bytes]"#,
            ),
            (
                Format::EtcdWatch,
                r#"{"Events":[{"kv":{"key":"L2E=","value":"aHVudGVyMg=="}}]}"#.to_owned(),
                r#"{"Events":[{"kv":{"key":"L2E=","value":"[redacted: etcd value, 12 bytes]"}}]}"#,
            ),
            (
                Format::Kubelet,
                r#"I1123 11:00:00.000000 1 kubelet.go:1] "Adding pod URL with HTTP header" URL="https://u:p@h/x" header={"X-Key":["abc"]}"#.to_owned(),
                r#"I1123 11:00:00.000000 1 kubelet.go:1] "Adding pod URL with HTTP header" URL="https://[redacted: credentials, 3 bytes]@h/x" header={"X-Key":["[redacted: HTTP header, 3 bytes]"]}"#,
            ),
            (
                Format::Kubelet,
                "I1123 11:00:00.000000 1 flags.go:64] FLAG: --manifest-url-header=\"Authorization: Bearer abc\"".to_owned(),
                "I1123 11:00:00.000000 1 flags.go:64] FLAG: --manifest-url-header=\"[redacted: flag, 25 bytes]\"",
            ),
            (
                Format::Falco,
                "{\"output\":\"curl -H Authorization: Bearer abc.def https://h\",\"Authorization\":[\"Basic Zm9v\"]}".to_owned(),
                "{\"output\":\"curl -H Authorization: Bearer [redacted: bearer token, 7 bytes] https://h\",\"Authorization\":[\"[redacted: Authorization header, 10 bytes]\"]}",
            ),
            (
                Format::Auditd,
                format!("type=EXECVE msg=audit(1.2:3): a0=\"kubectl\" a1=\"--token={JWT}\""),
                "type=EXECVE msg=audit(1.2:3): a0=\"kubectl\" a1=\"--token=[redacted: JSON web token, 61 bytes]\"",
            ),
            (
                Format::Containerd,
                format!("msg=\"exec [sh -c echo {JWT} -----BEGIN RSA PRIVATE KEY-----\\nMII\""),
                "msg=\"exec [sh -c echo [redacted: JSON web token, 61 bytes] [redacted: private key, 37 bytes]",
            ),
            (
                Format::ApiServer,
                r#"I1123 "HTTP" URI="/x?access_token=abcdefgh&a=b""#.to_owned(),
                r#"I1123 "HTTP" URI="/x?access_token=[redacted: token, 8 bytes]&a=b""#,
            ),
        ] {
            assert_eq!(redact(format, raw.as_bytes()), expected, "{raw}");
        }
    }

    #[test]
    fn a_line_without_secrets_stays_as_it_is() {
        for text in [
            r#"{"kind":"Event","auditID":"a","requestURI":"/api/v1/tokens","objectRef":{"resource":"pods"}}"#,
            r#"{"msg":"request stats","request content":"key:\"/registry/pods/a/b\" value_size:11"}"#,
            "I1123 11:00:00.123456     123 kubelet.go:1] \"SyncLoop ADD\" source=\"api\" pods=[\"a/b\"]",
        ] {
            assert_eq!(redact(Format::AuditJson, text.as_bytes()), text);
            assert_eq!(redact(Format::EtcdJson, text.as_bytes()), text);
        }
        assert_eq!(redact(Format::Kubelet, b"a\xffb"), "a\u{fffd}b");
    }
}
