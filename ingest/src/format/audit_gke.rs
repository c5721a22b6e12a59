//! Google Cloud Audit Logs of a GKE cluster: one `LogEntry` for each request.
//!
//! Groups and other details of the identity, the stage and the level are not in there. The URI is rebuilt from the
//! resource name. A request's own times are not told apart: there is one.

use std::borrow::Cow;

use auditgap_records::audit::{AuditEvent, Level, ObjectRef, Stage, User};
use auditgap_records::{Body, Text, Timestamp};

use super::{LineContext, LineFormat, Parsed};
use crate::shape::{elements, member, member_string, members};

/// Cloud Audit Logs entries.
pub(crate) struct AuditGke;

impl LineFormat for AuditGke {
    fn parse<'a>(&self, text: &'a str, _context: &LineContext) -> Parsed<'a> {
        let Some(payload) = member(text, "protoPayload").filter(|payload| is_kubernetes(payload)) else {
            return Parsed::Unknown;
        };
        // The members are looked up one by one; a document that is cut or broken elsewhere must not pass.
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
            return Parsed::Reject(format!("broken JSON at column {}", error.column()));
        }
        match event(text, payload) {
            Ok(event) => Parsed::Record(event.staged, Body::Audit(Box::new(event))),
            Err(reason) => Parsed::Reject(reason.to_owned()),
        }
    }
}

/// Whether the entry is of the Kubernetes API, not of the GKE control plane's own.
pub(crate) fn is_kubernetes(payload: &str) -> bool {
    match member_string(payload, "serviceName") {
        Some(service) => service == "k8s.io",
        None => member_string(payload, "methodName").is_some_and(|method| method.starts_with("io.k8s.")),
    }
}

fn event<'a>(entry: &'a str, payload: &'a str) -> Result<AuditEvent<'a>, &'static str> {
    let time = member_string(entry, "timestamp")
        .and_then(|time| Timestamp::parse(&time))
        .ok_or("no `timestamp`, or one that is not RFC 3339")?;
    let method = member_string(payload, "methodName").ok_or("no `protoPayload.methodName`")?;
    // Groups contain dots as well: only the last part is certain.
    let verb = method.rsplit('.').next().unwrap_or_default().to_owned();
    let resource_name = member_string(payload, "resourceName").ok_or("no `protoPayload.resourceName`")?;
    let labels = member(entry, "labels").unwrap_or_default();
    let label = |key: &str| member_string(labels, key);
    let status = member(payload, "status").unwrap_or_default();
    let authentication = member(payload, "authenticationInfo").unwrap_or_default();
    let request = member(payload, "requestMetadata").unwrap_or_default();
    let body = |key| member(payload, key).filter(|body| body.starts_with(['{', '[']));
    let (request_object, response_object) = (body("request"), body("response"));
    let dry_run = members(labels).any(|label| label.key.ends_with("dryRun"));
    Ok(AuditEvent {
        level: match (request_object, response_object) {
            (_, Some(_)) => Level::RequestResponse,
            (Some(_), None) => Level::Request,
            (None, None) => Level::Metadata,
        },
        audit_id: ["insertId"].into_iter().find_map(|key| member_string(entry, key)).unwrap_or_default(),
        stage: Stage::ResponseComplete,
        uri: Cow::Owned(uri(&resource_name, dry_run)),
        verb: Cow::Owned(verb),
        user: User {
            name: ["principalEmail", "principalSubject"]
                .into_iter()
                .find_map(|key| member_string(authentication, key))
                .unwrap_or_default(),
            ..User::default()
        },
        impersonated: None,
        source_ip: member_string(request, "callerIp"),
        user_agent: member_string(request, "callerSuppliedUserAgent").unwrap_or_default(),
        object: object(&resource_name),
        code: Some(http_status(member(status, "code"))),
        message: member_string(status, "message"),
        details_uid: None,
        received: time,
        staged: time,
        allowed: label("authorization.k8s.io/decision")
            .map(|decision| decision == "allow")
            .or_else(|| granted(payload)),
        authorization_reason: label("authorization.k8s.io/reason"),
        issued_credential_id: label("authentication.kubernetes.io/issued-credential-id"),
        truncated: false,
        request_object,
        response_object,
    })
}

fn granted(payload: &str) -> Option<bool> {
    let first = elements(member(payload, "authorizationInfo")?).next()?;
    Some(member(first.value, "granted") == Some("true"))
}

/// `core/v1/namespaces/ns/pods/name/sub`, or `apps/v1/…`.
fn object<'a>(resource_name: &str) -> Option<ObjectRef<'a>> {
    let mut parts = resource_name.split('/');
    let group = match parts.next()? {
        "core" => "",
        group => group,
    };
    parts.next()?;
    let mut rest: Vec<&str> = parts.collect();
    let mut namespace = "";
    let namespace_itself = rest.len() < 3 || matches!(rest[2], "status" | "finalize");
    if rest.first() == Some(&"namespaces") {
        namespace = rest.get(1).copied().unwrap_or_default();
        if !namespace_itself {
            rest.drain(..2);
        }
    }
    let owned = |text: &str| -> Text<'a> { Cow::Owned(text.to_owned()) };
    Some(ObjectRef {
        group: owned(group),
        resource: owned(rest.first()?),
        name: owned(rest.get(1).copied().unwrap_or_default()),
        subresource: owned(&rest.get(2..).unwrap_or_default().join("/")),
        namespace: owned(namespace),
        uid: Cow::Borrowed(""),
        resource_version: None,
    })
}

fn uri(resource_name: &str, dry_run: bool) -> String {
    let query = if dry_run { "?dryRun=All" } else { "" };
    match resource_name.strip_prefix("core/") {
        Some(rest) => format!("/api/{rest}{query}"),
        None => format!("/apis/{resource_name}{query}"),
    }
}

/// The HTTP status that stands for a google.rpc code. Absent means that it went well.
fn http_status(code: Option<&str>) -> u16 {
    match code.and_then(|code| code.parse::<u8>().ok()).unwrap_or(0) {
        0 => 200,
        3 | 9 | 11 => 400,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        4 => 504,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::testing::context;

    const ENTRY: &str = r#"{"insertId":"i","labels":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"r"},"logName":"projects/p/logs/cloudaudit.googleapis.com%2Factivity","protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","authenticationInfo":{"principalEmail":"ann@example.org"},"authorizationInfo":[{"granted":true,"permission":"io.k8s.core.v1.pods.exec.create"}],"methodName":"io.k8s.core.v1.pods.exec.create","requestMetadata":{"callerIp":"10.0.0.1","callerSuppliedUserAgent":"kubectl"},"request":{"kind":"PodExecOptions"},"resourceName":"core/v1/namespaces/ns/pods/web/exec","serviceName":"k8s.io","status":{"code":0}},"timestamp":"2026-03-01T11:00:00.123456789Z"}"#;

    fn read(text: &str) -> AuditEvent<'_> {
        match AuditGke.parse(text, &context()) {
            Parsed::Record(_, Body::Audit(event)) => *event,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_entry_gives_an_event() {
        let event = read(ENTRY);
        assert_eq!((&*event.verb, &*event.user.name, event.code), ("create", "ann@example.org", Some(200)));
        assert_eq!((event.level, event.allowed), (Level::Request, Some(true)));
        assert_eq!(event.uri, "/api/v1/namespaces/ns/pods/web/exec");
        let object = event.object.unwrap();
        assert_eq!((&*object.resource, &*object.subresource), ("pods", "exec"));
        assert_eq!((&*object.namespace, &*object.name), ("ns", "web"));
    }

    #[test]
    fn a_dry_run_and_a_refusal_are_seen() {
        let dry = ENTRY.replace("\"labels\":{", "\"labels\":{\"command.gke.io/dryRun\":\"All\",");
        assert!(read(&dry).is_dry_run());
        let refused = ENTRY.replace("\"code\":0", "\"code\":7,\"message\":\"PERMISSION_DENIED\"");
        assert_eq!(
            (read(&refused).code, read(&refused).message.as_deref()),
            (Some(403), Some("PERMISSION_DENIED"))
        );
    }

    #[test]
    fn other_entries_are_unknown_and_cut_ones_rejected() {
        assert_eq!(
            AuditGke.parse(
                &ENTRY.replace("k8s.io\",\"status", "container.googleapis.com\",\"status"),
                &context()
            ),
            Parsed::Unknown
        );
        assert!(matches!(AuditGke.parse(&ENTRY[..ENTRY.len() - 1], &context()), Parsed::Reject(_)));
        let timeless = ENTRY.replace("\"timestamp\"", "\"when\"");
        assert!(
            matches!(AuditGke.parse(&timeless, &context()), Parsed::Reject(reason) if reason.contains("timestamp"))
        );
    }
}
