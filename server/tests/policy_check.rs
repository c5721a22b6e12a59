//! `auditgap policy check`, as its user sees it.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Output};

fn policy(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/policies").join(name)
}

fn check(name: &str, extra: &[&str]) -> io::Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auditgap"));
    command.args(["policy", "check"]).arg(policy(name)).args(extra).output()
}

#[test]
fn the_text_says_what_is_lost_by_which_rule_and_what_cures_it() {
    for (name, code) in [("catch-all", 0), ("managed-cluster", 1), ("misspelled", 1)] {
        let output = check(&format!("{name}.yaml"), &[]).unwrap();
        assert_eq!(output.status.code(), Some(code), "{name}");
        assert!(output.stderr.is_empty(), "{name}");
        insta::assert_snapshot!(name, String::from_utf8(output.stdout).unwrap());
    }
}

#[test]
fn json_tells_the_same() {
    let output = check("managed-cluster.yaml", &["--format", "json"]).unwrap();
    let check: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(check["schema"], "auditgap.policy-check/v1");
    let events = check["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["technique"][0] == "ET7")
        .unwrap();
    assert_eq!(events["path"], "etcd_api");
    assert_eq!(events["effect"], "blinds");
    assert_eq!(events["rules"][0]["index"], 3);
    assert_eq!(events["cure"]["before_rule"], 3);
}

#[test]
fn what_cannot_be_checked_is_said_on_stderr() {
    for (name, expected) in [
        ("refused.yaml", "line 4: rule 0: there is no level `metadata`; did you mean `Metadata`?"),
        ("refused.yaml", "line 7: rule 1: `apps/v1` is not an API group"),
        ("absent.yaml", "cannot read"),
    ] {
        let output = check(name, &[]).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(output.stdout.is_empty(), "{name}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(expected), "{said}");
    }
}
