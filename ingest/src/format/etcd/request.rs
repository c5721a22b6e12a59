//! Requests in etcd's text form: `header:<ID:… username:"…" > txn:<compare:<…> success:<…> failure:<…>>`.
//!
//! Values are never kept, only their length: debug lines hold them in clear, Secrets among them.

use auditgap_records::etcd::{Compare, KeyOp, KeyOpKind};

use super::escape::{unescape, unescaped_len};
use super::tokens::{Item, Tokens, Value};

/// Deeper transactions than this are left out; clients are held to far less by the server.
const MAX_DEPTH: usize = 16;
/// More operations or conditions than this are left out. etcd's own limit is 128 unless it was raised.
const MAX_OPS: usize = 4096;

/// What the fields at the top belong to where no `put:<…>` or the like surrounds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bare {
    /// The fields of one operation.
    Op(KeyOpKind),
    /// Nothing of interest.
    Other,
}

/// A request as its text tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// Common name of the client's certificate.
    pub(crate) user: Option<String>,
    /// Raft request id.
    pub(crate) id: Option<u64>,
    /// RPC, if the text names one.
    pub(crate) method: Option<&'static str>,
    /// Conditions.
    pub(crate) compares: Vec<Compare<'static>>,
    /// Operations if they hold, or the operation itself.
    pub(crate) success: Vec<KeyOp<'static>>,
    /// Operations if they do not.
    pub(crate) failure: Vec<KeyOp<'static>>,
}

/// Reads a request; what cannot be read is left out.
pub(crate) fn parse(text: &str, bare: Bare) -> Request {
    let mut request = Request::default();
    let mut tokens = Tokens::new(text);
    let mut top = None;
    let mut has_body = false;
    loop {
        let (name, value) = match tokens.next() {
            Item::Field(name, value) => (name, value),
            Item::End => continue,
            Item::Done => break,
        };
        match (name, value) {
            ("header", Value::Message) => header(&mut tokens, &mut request),
            ("compare" | "success" | "failure", Value::Message) if !has_body => {
                request.method = Some("KV/Txn");
                transaction_field(&mut tokens, &mut request, name, 0);
            }
            (_, Value::Message) => {
                // A raft request has one body.
                let Some(method) = method_of(name).filter(|_| request.method.is_none()) else {
                    tokens.skip_message();
                    continue;
                };
                request.method = Some(method);
                has_body = true;
                match method {
                    "KV/Put" => push(&mut request.success, key_op(&mut tokens, KeyOpKind::Put)),
                    "KV/Range" => push(&mut request.success, key_op(&mut tokens, KeyOpKind::Range)),
                    "KV/DeleteRange" => {
                        push(&mut request.success, key_op(&mut tokens, KeyOpKind::DeleteRange));
                    }
                    "KV/Txn" => transaction(&mut tokens, &mut request, 0),
                    // Names stand unquoted in the redacted form of these: whatever follows may be part of one.
                    "Auth/Authenticate" | "Auth/UserAdd" | "Auth/UserChangePassword" => break,
                    _ => tokens.skip_message(),
                }
            }
            (_, value) => {
                if let Bare::Op(kind) = bare {
                    op_field(top.get_or_insert_with(|| empty_op(kind)), name, value);
                }
            }
        }
    }
    if request.method.is_none() {
        request.success.extend(top);
    }
    request
}

fn header(tokens: &mut Tokens<'_>, request: &mut Request) {
    while let Some((name, value)) = tokens.field() {
        match (name, value) {
            ("ID", Value::Word(word)) => request.id = word.parse().ok(),
            ("username", Value::Text(escaped)) => request.user = Some(unescape(escaped)),
            (_, Value::Message) => tokens.skip_message(),
            _ => {}
        }
    }
}

fn transaction(tokens: &mut Tokens<'_>, request: &mut Request, depth: usize) {
    while let Some((name, value)) = tokens.field() {
        if value == Value::Message {
            transaction_field(tokens, request, name, depth);
        }
    }
}

/// One of `compare`, `success` and `failure`, just begun. The redacted form holds all elements in one pair of brackets,
/// the raw form repeats the field for each.
fn transaction_field(tokens: &mut Tokens<'_>, request: &mut Request, name: &str, depth: usize) {
    match name {
        "compare" => compares(tokens, &mut request.compares),
        "success" => {
            let mut ops = std::mem::take(&mut request.success);
            branch(tokens, &mut ops, request, depth);
            request.success = ops;
        }
        "failure" => {
            let mut ops = std::mem::take(&mut request.failure);
            branch(tokens, &mut ops, request, depth);
            request.failure = ops;
        }
        _ => tokens.skip_message(),
    }
}

/// The operations of a branch. Those of a nested transaction, of either of its branches, are taken as the branch's own:
/// any of them may have been done.
fn branch(tokens: &mut Tokens<'_>, ops: &mut Vec<KeyOp<'static>>, request: &mut Request, depth: usize) {
    while let Some((name, value)) = tokens.field() {
        if value != Value::Message {
            continue;
        }
        match name {
            "request_range" => push(ops, key_op(tokens, KeyOpKind::Range)),
            "request_put" => push(ops, key_op(tokens, KeyOpKind::Put)),
            "request_delete_range" => push(ops, key_op(tokens, KeyOpKind::DeleteRange)),
            "request_txn" if depth < MAX_DEPTH => {
                let mut nested = Request::default();
                transaction(tokens, &mut nested, depth + 1);
                for op in nested.success.into_iter().chain(nested.failure) {
                    push(ops, op);
                }
                for compare in nested.compares {
                    push(&mut request.compares, compare);
                }
            }
            _ => tokens.skip_message(),
        }
    }
}

/// Conditions. The redacted form writes several one after the other without brackets of their own; since a message's
/// fields are printed in their order of declaration, a field that goes back in that order begins the next one.
fn compares(tokens: &mut Tokens<'_>, compares: &mut Vec<Compare<'static>>) {
    let mut current: Option<(u8, Compare<'static>)> = None;
    while let Some((name, value)) = tokens.field() {
        let rank = match name {
            "result" => 1,
            "target" => 2,
            "key" => 3,
            "version" | "create_revision" | "mod_revision" | "value" | "value_size" | "lease" => 4,
            "range_end" => 5,
            _ => {
                if value == Value::Message {
                    tokens.skip_message();
                }
                continue;
            }
        };
        if let Some((_, finished)) = current.take_if(|(last, _)| *last >= rank) {
            push(compares, finished);
        }
        let (last, compare) = current.get_or_insert_with(|| (0, empty_compare()));
        *last = rank;
        match (name, value) {
            ("result", Value::Word(word)) => compare.result = word.to_owned().into(),
            ("target", Value::Word(word)) => compare.target = word.to_owned().into(),
            ("key", Value::Text(escaped)) => compare.key = unescape(escaped).into(),
            ("mod_revision", Value::Word(word)) => compare.mod_revision = word.parse().ok(),
            (_, Value::Message) => tokens.skip_message(),
            _ => {}
        }
    }
    if let Some((_, finished)) = current {
        push(compares, finished);
    }
}

fn key_op(tokens: &mut Tokens<'_>, kind: KeyOpKind) -> KeyOp<'static> {
    let mut op = empty_op(kind);
    while let Some((name, value)) = tokens.field() {
        if value == Value::Message {
            tokens.skip_message();
        } else {
            op_field(&mut op, name, value);
        }
    }
    op
}

fn op_field(op: &mut KeyOp<'static>, name: &str, value: Value<'_>) {
    match (name, value) {
        ("key", Value::Text(escaped)) => op.key = unescape(escaped).into(),
        ("range_end", Value::Text(escaped)) => op.range_end = unescape(escaped).into(),
        ("value", Value::Text(escaped)) => op.value_size = Some(unescaped_len(escaped)),
        ("value_size", Value::Word(word)) => op.value_size = word.parse().ok(),
        ("lease", Value::Word(word)) => op.lease = word.parse().unwrap_or_default(),
        ("limit", Value::Word(word)) => op.limit = word.parse().unwrap_or_default(),
        ("keys_only" | "count_only", Value::Word("true")) => op.keys_or_count_only = true,
        _ => {}
    }
}

fn empty_op(kind: KeyOpKind) -> KeyOp<'static> {
    KeyOp {
        kind,
        key: "".into(),
        range_end: "".into(),
        // Zero is not printed.
        value_size: (kind == KeyOpKind::Put).then_some(0),
        lease: 0,
        limit: 0,
        keys_or_count_only: false,
    }
}

fn empty_compare() -> Compare<'static> {
    // The first value of an enum is not printed.
    Compare { key: "".into(), target: "VERSION".into(), result: "EQUAL".into(), mod_revision: None }
}

fn push<T>(list: &mut Vec<T>, element: T) {
    if list.len() < MAX_OPS {
        list.push(element);
    }
}

/// The RPC behind a field of etcd's `InternalRaftRequest`; `None` for what members tell each other.
fn method_of(field: &str) -> Option<&'static str> {
    Some(match field {
        "put" => "KV/Put",
        "range" => "KV/Range",
        "delete_range" => "KV/DeleteRange",
        "txn" => "KV/Txn",
        "compaction" => "KV/Compact",
        "lease_grant" => "Lease/LeaseGrant",
        "lease_revoke" => "Lease/LeaseRevoke",
        "alarm" => "Maintenance/Alarm",
        "downgrade_info_set" => "Maintenance/Downgrade",
        "auth_enable" => "Auth/AuthEnable",
        "auth_disable" => "Auth/AuthDisable",
        "auth_status" => "Auth/AuthStatus",
        "authenticate" => "Auth/Authenticate",
        "auth_user_add" => "Auth/UserAdd",
        "auth_user_delete" => "Auth/UserDelete",
        "auth_user_get" => "Auth/UserGet",
        "auth_user_change_password" => "Auth/UserChangePassword",
        "auth_user_grant_role" => "Auth/UserGrantRole",
        "auth_user_revoke_role" => "Auth/UserRevokeRole",
        "auth_user_list" => "Auth/UserList",
        "auth_role_list" => "Auth/RoleList",
        "auth_role_add" => "Auth/RoleAdd",
        "auth_role_delete" => "Auth/RoleDelete",
        "auth_role_get" => "Auth/RoleGet",
        "auth_role_grant_permission" => "Auth/RoleGrantPermission",
        "auth_role_revoke_permission" => "Auth/RoleRevokePermission",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
