//! From a log message and its fields to what it says. Message texts are those of etcd 3.4 to 3.7.

use auditgap_records::etcd::{EtcdLine, EtcdRequest, KeyOpKind, RequestLine};
use auditgap_records::{Body, Text};

use super::duration;
use super::fields::Fields;
use super::request::{self, Bare, Request};

/// Messages that say something; all others are noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Stats,
    Apply,
    Raft,
    CommandName,
    Rejected { peer: bool },
    Gateway,
    Snapshot { done: bool },
    CompactionBegun,
    CompactionDone,
    Defragment { begun: bool },
    AuthChanged,
    AuthFailed,
    MemberChanged,
    Restored,
    Started,
    ClientTls,
    Insecure,
    Stopping,
}

impl Message {
    /// Which message a text is; `None` for noise.
    pub(crate) fn of(text: &str) -> Option<Self> {
        Some(match text {
            "request stats" => Self::Stats,
            "apply request took too long" | "failed to apply request" => Self::Apply,
            "applyEntryNormal" | "Apply" => Self::Raft,
            "found command name" => Self::CommandName,
            "rejected connection on client endpoint" | "rejected connection" => {
                Self::Rejected { peer: false }
            }
            "rejected connection on peer endpoint" => Self::Rejected { peer: true },
            "ignoring common name in gRPC-gateway proxy request" => Self::Gateway,
            "sending database snapshot to client" => Self::Snapshot { done: false },
            "successfully sent database snapshot to client" => Self::Snapshot { done: true },
            "compact tree index" => Self::CompactionBegun,
            "finished scheduled compaction" => Self::CompactionDone,
            "starting defragment" => Self::Defragment { begun: true },
            "finished defragment" => Self::Defragment { begun: false },
            "enabled authentication"
            | "disabled authentication"
            | "added a user"
            | "deleted a user"
            | "changed a password of a user"
            | "granted a role to a user"
            | "revoked a role from a user"
            | "created a role"
            | "deleted a role"
            | "granted/updated a permission to a user"
            | "revoked a permission on range" => Self::AuthChanged,
            "invalid password"
            | "invalid auth token"
            | "invalid authentication was requested"
            | "cannot find a user for permission check" => Self::AuthFailed,
            "added member" | "removed member" | "promote member" | "updated member" => Self::MemberChanged,
            "applied snapshot" | "restored mvcc store" | "restored snapshot" | "kvstore restored" => {
                Self::Restored
            }
            "starting an etcd server" => Self::Started,
            "starting with client TLS" => Self::ClientTls,
            "closing etcd server" | "received signal; shutting down" => Self::Stopping,
            _ if text.starts_with("serving client traffic insecurely") => Self::Insecure,
            _ => return None,
        })
    }
}

/// What an entry says.
pub(crate) fn body<'a>(message: Message, text: Text<'a>, mut fields: Fields<'a>) -> Body<'a> {
    let fields = &mut fields;
    let line = match message {
        Message::Stats => return request_body(stats(fields)),
        Message::Apply => return request_body(apply(fields)),
        Message::Raft => return request_body(raft(fields)),
        Message::CommandName => {
            EtcdLine::CommandName { user: fields.take_first(&["common-name", "user-name"]) }
        }
        Message::Rejected { peer } => EtcdLine::RejectedConnection {
            remote: fields.take_first(&["remote-addr"]),
            error: fields.take_first(&["error"]),
            peer,
        },
        Message::Gateway => EtcdLine::Gateway { user: fields.take_first(&["common-name", "user-name"]) },
        Message::Snapshot { done } => EtcdLine::Snapshot {
            size: fields.number("total-bytes").and_then(|n| u64::try_from(n).ok()),
            done,
        },
        Message::CompactionBegun => EtcdLine::Compaction { revision: fields.number("revision"), begun: true },
        Message::CompactionDone => {
            EtcdLine::Compaction { revision: fields.number("compact-revision"), begun: false }
        }
        Message::Defragment { begun } => EtcdLine::Defragmented { begun },
        Message::AuthChanged => {
            EtcdLine::AuthChanged { what: text, name: fields.take_first(&["user-name", "role-name"]) }
        }
        // A token's fingerprint or the token itself (3.4) is not a name, and is left out.
        Message::AuthFailed => {
            EtcdLine::AuthFailed { what: text, user: fields.take_first(&["user-name", "user"]) }
        }
        Message::MemberChanged => EtcdLine::MemberChanged { what: text, member: member(fields) },
        Message::Restored => EtcdLine::Restored { what: text, revision: fields.number("current-rev") },
        Message::Started => EtcdLine::Started {
            force_new_cluster: fields.is_true("force-new-cluster"),
            version: fields.take_first(&["etcd-version"]),
            name: fields.take_first(&["name"]),
        },
        Message::ClientTls => client_tls(&fields.take_first(&["tls-info"])),
        Message::Insecure => EtcdLine::ServingInsecurely { address: fields.take_first(&["address"]) },
        Message::Stopping => EtcdLine::Stopping,
    };
    Body::Etcd(line)
}

fn request_body(request: Option<EtcdRequest<'_>>) -> Body<'_> {
    request.map_or(Body::Other, |request| Body::Etcd(EtcdLine::Request(Box::new(request))))
}

/// `request stats`: one RPC, at its end.
fn stats<'a>(fields: &mut Fields<'a>) -> Option<EtcdRequest<'a>> {
    let method = rpc(fields.take_text("response type")?);
    let bare = match method.as_ref() {
        "KV/Range" => Bare::Op(KeyOpKind::Range),
        "KV/Put" => Bare::Op(KeyOpKind::Put),
        "KV/DeleteRange" => Bare::Op(KeyOpKind::DeleteRange),
        _ => Bare::Other,
    };
    let content = fields.take_first(&["request content"]);
    // All other RPCs count -1: not told.
    let told = |number: &i64| *number >= 0;
    Some(EtcdRequest {
        line: RequestLine::Stats,
        remote: fields.take_text("remote").filter(|remote| remote != "No remote client info."),
        took: took(fields, "time spent"),
        response_count: fields.number("response count").filter(told),
        response_size: fields.number("response size").filter(told),
        request_size: fields.number("request size").filter(told),
        ..described(RequestLine::Stats, method, request::parse(&content, bare))
    })
}

/// `apply request took too long` and `failed to apply request`. A request that failed has a response of no bytes, as it
/// has in `request stats`; one that was done never has, for the answer repeats the store's revision.
fn apply<'a>(fields: &mut Fields<'a>) -> Option<EtcdRequest<'a>> {
    let request = request::parse(&fields.take_text("request")?, Bare::Op(KeyOpKind::Range));
    let response = fields.take_first(&["response"]);
    let failed = fields.take_text("error").is_some_and(|error| !error.is_empty());
    let method = apply_method(&request)?;
    Some(EtcdRequest {
        took: took(fields, "took"),
        response_count: if failed { None } else { range_response_count(&response) },
        response_size: if failed { Some(0) } else { response_number(&response, "size:") },
        ..described(RequestLine::Apply, method.into(), request)
    })
}

/// `applyEntryNormal` and `Apply`: the whole raft request, values and password hashes included.
fn raft<'a>(fields: &mut Fields<'a>) -> Option<EtcdRequest<'a>> {
    let request = request::parse(&fields.take_text("raftReq")?, Bare::Other);
    let method = request.method?;
    Some(described(RequestLine::Raft, method.into(), request))
}

/// Reads have no header and no surrounding message; what members tell each other has no method.
fn apply_method(request: &Request) -> Option<&'static str> {
    request.method.or_else(|| (!request.success.is_empty()).then_some("KV/Range"))
}

fn described(line: RequestLine, method: Text<'_>, request: Request) -> EtcdRequest<'_> {
    EtcdRequest {
        line,
        method,
        remote: None,
        user: request.user.map(Into::into),
        request_id: request.id,
        took: 0,
        compares: request.compares,
        success: request.success,
        failure: request.failure,
        response_count: None,
        response_size: None,
        request_size: None,
    }
}

/// `/etcdserverpb.KV/Txn` → `KV/Txn`.
fn rpc(full: Text<'_>) -> Text<'_> {
    let short =
        |name: &str| name.len() - name.trim_start_matches('/').trim_start_matches("etcdserverpb.").len();
    let prefix = short(&full);
    match full {
        Text::Borrowed(name) => Text::Borrowed(&name[prefix..]),
        Text::Owned(name) => Text::Owned(name[prefix..].to_owned()),
    }
}

fn took(fields: &mut Fields<'_>, name: &str) -> i64 {
    fields.take_text(name).and_then(|text| duration::nanos(&text)).unwrap_or_default()
}

/// `range_response_count:2 size:97`, or several within `responses:<…>`: the keys that were read.
fn range_response_count(response: &str) -> Option<i64> {
    let counts = response.split("range_response_count:").skip(1).filter_map(leading_number);
    counts.fold(None, |total: Option<i64>, count| Some(total.unwrap_or_default().saturating_add(count)))
}

fn response_number(response: &str, name: &str) -> Option<i64> {
    leading_number(response.rsplit_once(name)?.1)
}

fn leading_number(text: &str) -> Option<i64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// The member's id and its peer addresses.
fn member<'a>(fields: &mut Fields<'a>) -> Text<'a> {
    let id = fields.take_first(&[
        "added-peer-id",
        "removed-remote-peer-id",
        "updated-remote-peer-id",
        "promoted-member-id",
    ]);
    let urls =
        fields.take_first(&["added-peer-peer-urls", "removed-remote-peer-urls", "updated-remote-peer-urls"]);
    if urls.is_empty() { id } else { format!("{id} {urls}").into() }
}

/// `cert = …, key = …, trusted-ca = …, client-cert-auth = true, crl-file = `
pub(crate) fn client_tls<'a>(info: &str) -> EtcdLine<'a> {
    let setting = |name: &str| {
        info.split(", ").find_map(|part| part.trim_start().strip_prefix(name)?.trim_start().strip_prefix('='))
    };
    EtcdLine::ClientTls {
        client_cert_auth: setting("client-cert-auth").is_some_and(|value| value.trim() == "true"),
        trusted_ca: setting("trusted-ca").map(str::trim).unwrap_or_default().to_owned().into(),
    }
}
