use auditgap_records::etcd::{Compare, KeyOp, KeyOpKind};

use super::{Bare, Request, parse};

fn op(kind: KeyOpKind, key: &str) -> KeyOp<'static> {
    KeyOp { key: key.to_owned().into(), ..super::empty_op(kind) }
}

fn put(key: &str, size: u64) -> KeyOp<'static> {
    KeyOp { value_size: Some(size), ..op(KeyOpKind::Put, key) }
}

fn ranged(kind: KeyOpKind, key: &str, end: &str) -> KeyOp<'static> {
    KeyOp { range_end: end.to_owned().into(), ..op(kind, key) }
}

fn if_modified_at(key: &str, revision: i64) -> Compare<'static> {
    Compare {
        key: key.to_owned().into(),
        target: "MOD".into(),
        mod_revision: Some(revision),
        ..super::empty_compare()
    }
}

#[test]
fn a_write_reads_the_same_in_every_spelling() {
    let expected = Request {
        method: Some("KV/Txn"),
        compares: vec![if_modified_at("/r/s/a/db", 533)],
        success: vec![put("/r/s/a/db", 281)],
        failure: vec![op(KeyOpKind::Range, "/r/s/a/db")],
        ..Request::default()
    };
    for text in [
        // Old proto text within the redacting wrapper, up to 3.6.
        r#"compare:<target:MOD key:"/r/s/a/db" mod_revision:533 > success:<request_put:<key:"/r/s/a/db" value_size:281 >> failure:<request_range:<key:"/r/s/a/db" > >"#,
        // 3.7: prototext within the wrapper, spaces at random.
        r#"compare:<target:MOD  key:"/r/s/a/db"  mod_revision:533> success:<request_put:<key:"/r/s/a/db" value_size:281 >> failure:<request_range:{key:"/r/s/a/db"}>"#,
        // Escaped where it need not be.
        r#"compare:{target:MOD key:"\x2fr/s/a/db" mod_revision:533} success:{request_put:{key:"\057r/s/a/db" value_size:281}} failure:{request_range:{key:"/r/s/a/db"}}"#,
    ] {
        assert_eq!(parse(text, Bare::Other), expected, "{text}");
    }
}

#[test]
fn a_raft_request_tells_its_user_and_never_a_value() {
    let text = r#"header:<ID:7668682421882148724 username:"rogue \"x\"" auth_revision:1 > put:<key:"/r/s/k" value:"{\"data\": {\"a\": \"Yg==\"}} put:<key:\"/forged\" >\000" lease:12 > "#;
    let request = parse(text, Bare::Other);
    assert_eq!(
        request,
        Request {
            user: Some("rogue \"x\"".to_owned()),
            id: Some(7_668_682_421_882_148_724),
            method: Some("KV/Put"),
            success: vec![KeyOp { lease: 12, ..put("/r/s/k", 45) }],
            ..Request::default()
        }
    );
    assert!(!format!("{request:?}").contains("Yg=="));
    // 3.7 and later, a whole request as prototext.
    let text =
        r#"header:{ID:5  username:"rogue"  auth_revision:1}  put:{key:"/r/caf\xc3\xa9"  value:"k8s\x00é"}"#;
    let request = parse(text, Bare::Other);
    assert_eq!((request.user.as_deref(), request.success), (Some("rogue"), vec![put("/r/café", 6)]));
}

#[test]
fn conditions_without_brackets_of_their_own_are_told_apart() {
    let text = r#"compare:<target:MOD key:"a" mod_revision:1  key:"b" version:0  result:GREATER target:VALUE key:"c" value_size:5 > success:<request_put:<key:"a" value_size:1 > request_delete_range:<key:"b" > > failure:<>"#;
    let request = parse(text, Bare::Other);
    assert_eq!(
        request.compares,
        [
            if_modified_at("a", 1),
            Compare { key: "b".into(), ..super::empty_compare() },
            Compare { key: "c".into(), target: "VALUE".into(), result: "GREATER".into(), mod_revision: None },
        ]
    );
    assert_eq!(request.success, [put("a", 1), op(KeyOpKind::DeleteRange, "b")]);
    assert_eq!(request.failure, []);
}

#[test]
fn operations_of_nested_transactions_count_as_the_branch_s_own() {
    let text = r#"header:<ID:1 > txn:<success:<request_txn:<compare:<key:"c" version:0 > success:<request_put:<key:"a" value:"1" > > failure:<request_delete_range:<key:"b" range_end:"c" > > > > success:<request_put:<key:"d" > > > "#;
    let request = parse(text, Bare::Other);
    assert_eq!(request.success, [put("a", 1), ranged(KeyOpKind::DeleteRange, "b", "c"), put("d", 0)]);
    assert_eq!((request.failure.len(), request.compares.len()), (0, 1));
}

#[test]
fn a_single_operation_s_fields_stand_alone() {
    for (text, kind, expected) in [
        (
            r#"key:"/r/pods" limit:1 "#,
            KeyOpKind::Range,
            KeyOp { limit: 1, ..op(KeyOpKind::Range, "/r/pods") },
        ),
        (
            r#"key:"/" range_end:"0"  keys_only:true"#,
            KeyOpKind::Range,
            KeyOp { keys_or_count_only: true, ..ranged(KeyOpKind::Range, "/", "0") },
        ),
        (
            r#"key:"\000" range_end:"\000" "#,
            KeyOpKind::DeleteRange,
            ranged(KeyOpKind::DeleteRange, "\0", "\0"),
        ),
        (
            r#"key:"/r/x" value_size:233 lease:9 prev_kv:true "#,
            KeyOpKind::Put,
            KeyOp { lease: 9, ..put("/r/x", 233) },
        ),
    ] {
        let request = parse(text, Bare::Op(kind));
        assert_eq!((request.method, request.success), (None, vec![expected]), "{text}");
    }
}

#[test]
fn other_requests_are_named() {
    for (text, method) in [
        (
            r#"header:<ID:3 username:"x" auth_revision:1 > lease_grant:<ttl:60-second id:6a6ca2087e1ac545>"#,
            Some("Lease/LeaseGrant"),
        ),
        ("header:<ID:3 > lease_revoke:<ID:7668682421882146840 > ", Some("Lease/LeaseRevoke")),
        ("header:<ID:3 > compaction:<revision:476 > ", Some("KV/Compact")),
        ("header:<ID:3 > auth_user_list:<> ", Some("Auth/UserList")),
        // The name stands unquoted: nothing behind it is believed.
        (r#"header:<ID:3 > auth_user_add:<name:a> put:<key:"/forged" value_size:1 >>"#, Some("Auth/UserAdd")),
        (r#"header:<ID:3 > cluster_version_set:<ver:"3.6.0" > "#, None),
    ] {
        let request = parse(text, Bare::Other);
        assert_eq!((request.method, request.success.len()), (method, 0), "{text}");
    }
}

#[test]
fn depth_and_number_are_bounded() {
    let deep = format!("success:<{}", "request_txn:<success:<".repeat(10_000));
    assert_eq!(parse(&deep, Bare::Other).success, []);
    let many = format!("success:<{}>", r#"request_put:<key:"k" >"#.repeat(10_000));
    assert_eq!(parse(&many, Bare::Other).success.len(), super::MAX_OPS);
}
