use auditgap_records::host::{FileAccess, Process};
use proptest::prelude::*;

use super::*;
use crate::format::testing::context;

const SYSCALL: &str = "type=SYSCALL msg=audit(1795433743.583:4711): arch=c000003e";
const WHO: &str = r#"ppid=900 pid=901 auid=1000 uid=0 gid=0 comm="vim" exe="/usr/bin/vim" subj=unconfined"#;

fn process(command: &'static str) -> Process<'static> {
    Process {
        pid: Some(901),
        comm: "vim".into(),
        exe: "/usr/bin/vim".into(),
        command: command.into(),
        uid: Some(0),
        login_uid: Some(1000),
        container: None,
        pod: None,
    }
}

/// The host events of a text, `Other` left out.
fn events(text: &str) -> Vec<HostEvent<'_>> {
    let records = match Auditd.parse(text, &context()) {
        Parsed::Record(time, body) => vec![(time, body)],
        Parsed::Records(records) => records,
        other => panic!("{text}: {other:?}"),
    };
    let host = |(time, body)| match body {
        Body::Host(event) => {
            assert_eq!(time, Timestamp::from_millis(1_795_433_743_583).unwrap(), "{text}");
            Some(event)
        }
        _ => None,
    };
    records.into_iter().filter_map(host).collect()
}

fn files(text: &str) -> Vec<(String, FileAccess, String, bool)> {
    let file = |event| match event {
        HostEvent::File { path, access, rule, success, .. } => {
            (path.into_owned(), access, rule.into_owned(), success)
        }
        other => panic!("{other:?}"),
    };
    events(text).into_iter().map(file).collect()
}

fn line(kind: &str, body: &str) -> String {
    format!("type={kind} msg=audit(1795433743.583:4711): {body}\n")
}

#[test]
fn a_record_delivered_twice_tells_its_part_once() {
    let lines = [
        format!("{SYSCALL} syscall=59 success=yes {WHO} key=(null)\n"),
        line("EXECVE", r#"argc=2 a0="vim" a1="evil.yaml""#),
    ];
    let once = lines.concat();
    let twice: String = lines.iter().flat_map(|line| [line.as_str(), line.as_str()]).collect();
    assert!(!events(&once).is_empty());
    assert_eq!(events(&twice), events(&once));
}

#[test]
fn an_enriched_event_tells_who_created_which_file() {
    let text = format!(
        "node=n1 {SYSCALL} syscall=257 success=yes exit=3 a0=ffffff9c a1=7ffd a2=241 a3=1b6 items=2 {WHO} key=\"k8s-manifests\"\u{1d}ARCH=x86_64 SYSCALL=openat AUID=\"alice\" UID=\"root\"\n\
         node=n1 {}node=n1 {}node=n1 {}node=n1 {}",
        line("CWD", r#"cwd="/etc/kubernetes/manifests""#),
        line("PATH", r#"item=0 name="." inode=1 mode=040755 nametype=PARENT cap_fp=0"#),
        line("PATH", r#"item=1 name="evil.yaml" inode=2 nametype=CREATE"#),
        line("PROCTITLE", "proctitle=76696D006576696C2E79616D6C"),
    );
    let expected = HostEvent::File {
        path: "/etc/kubernetes/manifests/evil.yaml".into(),
        access: FileAccess::Create,
        process: process("vim evil.yaml"),
        rule: "k8s-manifests".into(),
        success: true,
    };
    assert_eq!(events(&text), [expected]);
}

#[test]
fn access_follows_from_the_call_its_flags_and_the_kind_of_name() {
    use FileAccess::{Attributes, Create, Delete, Read, Write};
    let parent = r#"item=0 name="/d/" nametype=PARENT"#;
    let normal = r#"item=0 name="/d/f" nametype=NORMAL"#;
    for (call, paths, expected) in [
        // x86_64 numbers.
        ("arch=c000003e syscall=257 success=yes a0=ffffff9c a2=80000", vec![normal], vec![("/d/f", Read)]),
        ("arch=c000003e syscall=257 success=yes a0=ffffff9c a2=80002", vec![normal], vec![("/d/f", Write)]),
        ("arch=c000003e syscall=2 success=yes a1=1", vec![normal], vec![("/d/f", Write)]),
        ("arch=c000003e syscall=85 success=yes a1=1b6", vec![normal], vec![("/d/f", Write)]),
        ("arch=c000003e syscall=76 success=yes", vec![normal], vec![("/d/f", Write)]),
        ("arch=c000003e syscall=90 success=yes", vec![normal], vec![("/d/f", Attributes)]),
        ("arch=c000003e syscall=188 success=yes", vec![normal], vec![("/d/f", Attributes)]),
        ("arch=c000003e syscall=9999 success=yes", vec![normal], vec![("/d/f", Read)]),
        // The generic table: the same numbers mean other calls.
        (
            "arch=c00000b7 syscall=56 success=yes a0=ffffffffffffff9c a2=1",
            vec![normal],
            vec![("/d/f", Write)],
        ),
        ("arch=c00000b7 syscall=53 success=yes", vec![normal], vec![("/d/f", Attributes)]),
        // Interpreted numbers.
        ("arch=x86_64 syscall=openat success=yes a0=ffffff9c a2=241", vec![normal], vec![("/d/f", Write)]),
        // A relative name below an opened directory: the working directory would be wrong.
        (
            "arch=c000003e syscall=263 success=yes a0=5",
            vec![parent, r#"item=1 name="f" nametype=DELETE"#],
            vec![("/d/f", Delete)],
        ),
        (
            "arch=c000003e syscall=87 success=yes",
            vec![r#"item=0 name="../x/f" nametype=DELETE"#],
            vec![("/x/f", Delete)],
        ),
        // An editor's save: temporary file renamed over the manifest.
        (
            "arch=c000003e syscall=82 success=yes",
            vec![
                parent,
                r#"item=2 name="/d/.f.swp" nametype=DELETE"#,
                r#"item=3 name="/d/f" nametype=DELETE"#,
                r#"item=4 name="/d/f" nametype=CREATE"#,
            ],
            vec![("/d/.f.swp", Delete), ("/d/f", Create)],
        ),
        // A name with a space comes as hex; a quoted word that looks like hex is a word.
        (
            "arch=c000003e syscall=2 success=yes a1=0",
            vec!["item=0 name=2F642F6120622E79 nametype=NORMAL"],
            vec![("/d/a b.y", Read)],
        ),
        (
            "arch=c000003e syscall=2 success=yes a1=0",
            vec![r#"item=0 name="ABCD" nametype=NORMAL"#],
            vec![("/cwd/ABCD", Read)],
        ),
        ("arch=c000003e syscall=91 success=yes", vec!["item=0 name=(null) nametype=NORMAL"], vec![]),
    ] {
        let mut text = line("SYSCALL", &format!("{call} {WHO} key=\"k\""));
        text.push_str(&line("CWD", "cwd=\"/cwd\""));
        for path in paths {
            text.push_str(&line("PATH", path));
        }
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(path, access)| (path.to_owned(), access, "k".to_owned(), true))
            .collect();
        assert_eq!(files(&text), expected, "{text}");
    }
}

#[test]
fn several_keys_and_failures_are_kept() {
    let text = format!(
        "{SYSCALL} syscall=257 success=no exit=-13 a0=ffffff9c a2=0 {WHO} key=6B31016B32\n{}",
        line("PATH", r#"item=0 name="/d/f" nametype=NORMAL"#)
    );
    assert_eq!(files(&text), [("/d/f".to_owned(), FileAccess::Read, "k1,k2".to_owned(), false)]);
}

#[test]
fn a_started_program_gives_its_whole_command_line() {
    let text = format!(
        "{SYSCALL} syscall=59 success=yes exit=0 {WHO} key=\"runtime-cli\"\n{}{}{}{}{}",
        line("EXECVE", r#"argc=4 a0="ctr" a1=2D2D666C6167206F6E a2_len=8 a2[0]=6C6F6E67"#),
        line("EXECVE", r#"a2[1]="arg!" a3="""#),
        line("CWD", r#"cwd="/""#),
        line("PATH", r#"item=0 name="/usr/bin/ctr" nametype=NORMAL"#),
        line("PROCTITLE", "proctitle=637472"),
    );
    let process = process("ctr --flag on longarg! ");
    assert_eq!(events(&text), [HostEvent::Exec { process, rule: "runtime-cli".into(), maybe_probe: false }]);
}

#[test]
fn a_socket_is_named_in_every_encoding() {
    for (socket, expected) in [
        (
            "saddr=01002F72756E2F782E736F636B00\u{1d}SADDR={ saddr_fam=local path=/run/x.sock }",
            Some("/run/x.sock"),
        ),
        ("saddr=01002F72756E2F782E736F636B000000", Some("/run/x.sock")),
        ("saddr={ fam=local path=/run/x.sock }", Some("/run/x.sock")),
        ("saddr=0100006162", Some("@ab")),
        (
            "saddr=020001BB7F0000010000000000000000\u{1d}SADDR={ saddr_fam=inet laddr=127.0.0.1 lport=443 }",
            None,
        ),
        ("saddr=100000000000000000000000", None),
    ] {
        for (success, seen) in [("yes", true), ("no", false)] {
            let text = format!(
                "{SYSCALL} syscall=42 success={success} {WHO} key=\"sock\"\n{}",
                line("SOCKADDR", socket)
            );
            let expected = expected.filter(|_| seen).map(|path| HostEvent::Connect {
                path: path.into(),
                process: process(""),
                rule: "sock".into(),
            });
            assert_eq!(events(&text), Vec::from_iter(expected), "{text}");
        }
    }
}

#[test]
fn weakened_auditing_is_told_and_its_setup_is_not() {
    let auditctl = r#"syscall=44 success=yes pid=7 auid=4294967295 uid=0 comm="auditctl" exe="/usr/sbin/auditctl" key=(null)"#;
    for (change, expected) in [
        (r#"op=remove_rule key="k8s" list=4 res=1"#, Some("remove_rule key=k8s by /usr/sbin/auditctl")),
        ("op=set audit_enabled=0 old=1 res=1", Some("set audit_enabled=0 old=1 by /usr/sbin/auditctl")),
        (
            r#"op=remove_rule key="k8s" list=4 res=0"#,
            Some("remove_rule key=k8s (refused) by /usr/sbin/auditctl"),
        ),
        (r#"auid=1 ses=1 op=add_rule key="k8s" list=4 res=1"#, None),
        ("op=set audit_enabled=1 old=0 res=1", None),
        ("op=set audit_backlog_limit=8192 old=8192 res=1", None),
        ("op=set audit_pid=28820 old=0 res=1", None),
    ] {
        let text = format!("{}{SYSCALL} {auditctl}\n", line("CONFIG_CHANGE", change));
        let expected = expected.map(|what| HostEvent::AuditingChanged { what: what.into() });
        assert_eq!(events(&text), Vec::from_iter(expected), "{text}");
    }
    let end = line("DAEMON_END", "op=terminate auid=0 uid=0 ses=1 pid=6299 res=success");
    assert_eq!(events(&end), [HostEvent::AuditingChanged { what: "auditd: terminate (auid 0)".into() }]);
}

#[test]
fn copies_in_syslog_have_numbers_for_types() {
    let text = "<5>Nov 23 11:35:43 n1 kernel: audit: type=1300 audit(1795433743.583:9): arch=c000003e syscall=87 success=yes pid=1\n\
                <5>Nov 23 11:35:43 n1 kernel: audit: type=1302 audit(1795433743.583:9): item=0 name=\"/d/f\" nametype=DELETE";
    assert_eq!(files(text), [("/d/f".to_owned(), FileAccess::Delete, String::new(), true)]);
}

#[test]
fn the_kernels_complaints_are_losses_when_the_transport_dates_them() {
    let dated = LineContext { transport_time: Some(Timestamp(5)), ..context() };
    for (text, events) in [
        ("audit: backlog limit exceeded", None),
        ("kernel: audit: audit_lost=12 audit_rate_limit=0 audit_backlog_limit=64", Some(12)),
        ("audit: kauditd hold queue overflow", None),
    ] {
        let expected = Parsed::Record(Timestamp(5), Body::Host(HostEvent::Loss { events }));
        assert_eq!(Auditd.parse(text, &dated), expected, "{text}");
        assert_eq!(Auditd.parse(text, &context()), Parsed::Unknown, "{text}");
    }
}

#[test]
fn records_are_grouped_by_node_time_and_serial() {
    let interleaved = "type=SYSCALL msg=audit(1795433743.583:1): syscall=87 arch=c000003e success=yes\n\
                       type=SYSCALL msg=audit(1795433743.583:2): syscall=87 arch=c000003e success=yes\n\
                       type=PATH msg=audit(1795433743.583:1): name=\"/1\" nametype=DELETE\n\
                       type=PATH msg=audit(1795433743.583:2): name=\"/2\" nametype=DELETE\n";
    let paths: Vec<_> = files(interleaved).into_iter().map(|(path, ..)| path).collect();
    assert_eq!(paths, ["/1", "/2"]);
    for (line, ends, starts) in [
        ("type=SYSCALL msg=audit(1.002:3): a=b", false, true),
        ("type=CONFIG_CHANGE msg=audit(1.002:3): a=b", false, true),
        ("type=PATH msg=audit(1.002:3): a=b", false, false),
        ("type=PROCTITLE msg=audit(1.002:3): a=b", true, false),
        ("type=EOE msg=audit(1.002:3): ", true, false),
        ("type=DAEMON_END msg=audit(1.002:3): a=b", true, true),
        ("type=USER_CMD msg=audit(1.002:3): a=b", true, true),
    ] {
        let key = event_key(line.as_bytes()).map(|key| (key.node, key.millis, key.serial));
        assert_eq!(key, Some((&b""[..], 1_002, 3)), "{line}");
        assert_eq!(
            (ends_event(line.as_bytes()), Auditd.starts_entry(line.as_bytes())),
            (ends, starts),
            "{line}"
        );
    }
    for line in [
        "",
        "type=SYSCALL",
        "type=SYSCALL msg=audit(x.1:2): ",
        "msg=audit(1.2:3): ",
        "type=PATH msg=audit(1.2:3",
    ] {
        assert_eq!(event_key(line.as_bytes()), None, "{line}");
        assert_eq!(Auditd.parse(line, &context()), Parsed::Unknown, "{line}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(kind in "[A-Z_0-9]{1,9}", serial in "[0-9]{1,25}", body in ".*", second in ".*") {
        let _ = Auditd.parse(&body, &context());
        let _ = Auditd.parse(
            &format!("type={kind} msg=audit({serial}.1:1): {body}\ntype=PATH msg=audit({serial}.1:1): {second}"),
            &context(),
        );
        let _ = Auditd.parse(&format!("{SYSCALL} syscall=42 {body}\n{}", line("SOCKADDR", &second)), &context());
    }
}
