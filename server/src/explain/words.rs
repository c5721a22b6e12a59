//! Records in words, where the raw line is too long or says it badly. An empty text means: show the line.

use auditgap_records::Body;
use auditgap_records::audit::AuditEvent;
use auditgap_records::etcd::{EtcdLine, EtcdRequest, KeyOpKind, Revision, RevisionKind};

/// What a record says.
pub(super) fn summary(body: &Body<'_>) -> String {
    match body {
        Body::Audit(event) => request(event),
        Body::Revision(change) => revision(change),
        Body::Etcd(EtcdLine::Request(request)) => operation(request),
        _ => String::new(),
    }
}

fn request(event: &AuditEvent<'_>) -> String {
    let user = if event.user.name.is_empty() { "nobody authenticated" } else { &event.user.name };
    let acting = event.impersonated.as_deref().map_or_else(String::new, |other| format!(" as {other}"));
    let source = event.source_ip.as_deref().map_or_else(String::new, |address| format!(" from {address}"));
    let answer =
        event.code.map_or_else(|| format!("{:?}", event.stage), |code| format!("{:?} {code}", event.stage));
    format!("{} {} by {user}{acting}{source}: {answer}", event.verb, event.uri)
}

fn revision(change: &Revision<'_>) -> String {
    let done = match change.kind {
        RevisionKind::Put if change.version == 1 => "created",
        RevisionKind::Put => "written",
        RevisionKind::Delete => "deleted",
    };
    let version = if change.version > 1 { format!(", version {}", change.version) } else { String::new() };
    let length = change.value_length.map_or_else(String::new, |length| format!(", {length} bytes"));
    format!("{} {done} at revision {}{version}{length}", change.key, change.mod_revision)
}

fn operation(request: &EtcdRequest<'_>) -> String {
    let by = request.user.as_deref().map_or_else(String::new, |user| format!(" by {user}"));
    let from = request.remote.as_deref().map_or_else(String::new, |remote| format!(" from {remote}"));
    let operations: Vec<String> = request
        .success
        .iter()
        .map(|operation| {
            let done = match operation.kind {
                KeyOpKind::Range => "read",
                KeyOpKind::Put => "write",
                KeyOpKind::DeleteRange => "delete",
            };
            let end = if operation.range_end.is_empty() {
                String::new()
            } else {
                format!(" to {}", operation.range_end)
            };
            format!("{done} {}{end}", operation.key)
        })
        .collect();
    format!("{}{by}{from}: {}", request.method, operations.join(", "))
}
