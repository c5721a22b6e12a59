//! The generator itself: what the other tests rest on.

#![expect(clippy::panic, reason = "a test fails by panicking, in its helpers as well")]

use auditgap_tests::history::{History, Log, Options};
use serde_json::Value;

fn log<'a>(history: &'a History, file: &str) -> &'a Log {
    history.logs.iter().find(|log| log.file == file).unwrap_or_else(|| panic!("no {file}"))
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}")))
        .collect()
}

#[test]
fn a_seed_gives_the_same_bytes() {
    let text = |seed| -> Vec<String> {
        let options = Options::for_seed(seed);
        History::generate(seed, &options).logs.into_iter().map(|log| log.text).collect()
    };
    assert_eq!(text(7), text(7));
    assert_ne!(text(7), text(8));
}

#[test]
fn json_is_well_formed_and_revisions_leave_no_hole() {
    for seed in 0..20 {
        let history = History::generate(seed, &Options { bypasses: 8, ..Options::default() });
        json_lines(&log(&history, "audit-0.log").text);
        json_lines(&log(&history, "etcd.log").text);
        let mut last = None;
        for revision in json_lines(&log(&history, "etcd-watch.jsonl").text) {
            let number = revision["mod_revision"].as_i64().unwrap();
            assert_eq!(number, last.unwrap_or(number - 1) + 1, "seed {seed}");
            last = Some(number);
        }
        for list in history.inventory.values() {
            assert!(!serde_json::from_str::<Value>(list).unwrap()["items"].as_array().unwrap().is_empty());
        }
        assert!(history.truth.len() >= 6, "seed {seed}: {} of 8 bypasses", history.truth.len());
    }
}

#[test]
fn request_bodies_carry_the_revision_that_etcd_gave() {
    let history = History::generate(3, &Options { bypasses: 0, ..Options::default() });
    let revisions: std::collections::BTreeMap<i64, String> =
        json_lines(&log(&history, "etcd-watch.jsonl").text)
            .iter()
            .map(|line| (line["mod_revision"].as_i64().unwrap(), line["key"].as_str().unwrap().to_owned()))
            .collect();
    let mut matched = 0;
    for event in json_lines(&log(&history, "audit-0.log").text) {
        let made = event["stage"] == "ResponseComplete"
            && event["verb"] == "create"
            && event["responseStatus"]["code"] == 201;
        let Some(revision) = event["responseObject"]["metadata"]["resourceVersion"].as_str().filter(|_| made)
        else {
            continue;
        };
        let name = event["responseObject"]["metadata"]["name"].as_str().unwrap();
        let key = &revisions[&revision.parse().unwrap()];
        assert!(key.ends_with(name), "{key} is not {name}");
        matched += 1;
    }
    assert!(matched > 30, "{matched}");
}
