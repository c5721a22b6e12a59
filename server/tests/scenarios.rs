//! Stories of attacks, and of what only looks like one, each told by the logs that it leaves (`tests/scenarios`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use auditgap_records::report::{Gap, Report};
use serde_json::{Value, json};

/// Set to write down what is found now, to be read before it is kept.
const UPDATE: &str = "UPDATE_SCENARIOS";

#[test]
fn every_story_is_told_as_expected() {
    let folders = folders();
    assert!(folders.len() > 40, "only {} scenarios", folders.len());
    let update = std::env::var_os(UPDATE).is_some();
    let mut differences = String::new();
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        assert!(folder.join("story.md").exists(), "{name} has no story.md");
        let found = format!("{:#}\n", projection(&scan(&folder)));
        let file = folder.join("expected.json");
        if update {
            fs::write(&file, found).unwrap();
            continue;
        }
        match fs::read_to_string(&file) {
            Ok(expected) if expected == found => {}
            Ok(expected) => write!(differences, "\n{name}:\n{}", difference(&expected, &found)).unwrap(),
            Err(error) => writeln!(differences, "\n{name}: expected.json: {error}").unwrap(),
        }
    }
    assert!(differences.is_empty(), "{differences}\n{UPDATE}=1 writes down what is found now");
}

/// All stories. A folder of bare logs is an example to look at, and tells none.
fn folders() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
    let mut folders: Vec<_> = fs::read_dir(all)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("input").is_dir())
        .collect();
    folders.sort();
    folders
}

/// Scans the folder `input`, with what lies in `declared` as declared state.
fn scan(folder: &Path) -> Report {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auditgap"));
    command.args(["scan", "input", "--format", "json", "--no-progress", "--threads", "1"]);
    if folder.join("declared").exists() {
        command.args(["--inventory", "declared"]);
    }
    let output = command.current_dir(folder).env_clear().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{}: {said}", folder.display());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a reader of the report acts on. Ids, sentences and next steps may change without a story changing.
fn projection(report: &Report) -> Value {
    let numbers: BTreeMap<&str, usize> =
        report.incidents.iter().enumerate().map(|(number, incident)| (&*incident.id, number + 1)).collect();
    let gaps = |gaps: &[Gap]| -> Vec<Value> { gaps.iter().map(|gap| brief(gap, &numbers)).collect() };
    let unassessable: Vec<_> = report
        .unassessable
        .iter()
        .map(|what| json!({ "path": what.path, "actions": what.actions, "reason": what.reason }))
        .collect();
    let explained_by: BTreeMap<_, _> = report.explained_by.iter().filter(|(_, count)| **count > 0).collect();
    let unread: Vec<_> = report
        .coverage
        .iter()
        .filter(|feed| feed.rejected > 0)
        .map(|feed| json!({ "feed": feed.feed, "entries": feed.rejected }))
        .collect();
    json!({
        "gaps": gaps(&report.gaps),
        "blind_spots": gaps(&report.blind_spots),
        "unassessable": unassessable,
        "totals": report.totals,
        "explained_by": explained_by,
        "unread": unread,
    })
}

fn brief(gap: &Gap, incidents: &BTreeMap<&str, usize>) -> Value {
    let first = &gap.evidence[0];
    let mut brief = json!({
        "incident": incidents.get(&*gap.incident),
        "path": gap.path,
        "rule": gap.rule,
        "technique": gap.technique,
        "severity": gap.severity,
        "confidence": gap.confidence,
        "title": gap.title,
        "node": gap.node,
        "object": gap.object,
        "actor": gap.actor,
        "count": gap.count,
        "policy_rule": gap.policy_rule,
        "evidence": format!("{}:{}", first.file, first.line),
    });
    drop_empty(&mut brief);
    brief
}

fn drop_empty(value: &mut Value) {
    let Value::Object(fields) = value else { return };
    fields.values_mut().for_each(drop_empty);
    fields.retain(|_, value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    });
}

/// The lines between what both have in common at the beginning and at the end.
fn difference(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let head = expected.iter().zip(&found).take_while(|(one, other)| one == other).count();
    let (expected, found) = (&expected[head..], &found[head..]);
    let tail = expected.iter().rev().zip(found.iter().rev()).take_while(|(one, other)| one == other).count();
    let mut text = String::new();
    for (sign, lines) in [('-', &expected[..expected.len() - tail]), ('+', &found[..found.len() - tail])] {
        for line in lines {
            writeln!(text, "{sign}{line}").unwrap();
        }
    }
    text
}
