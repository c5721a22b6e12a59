//! The house's one structural rule: an arrow points only to the left,
//! `records` ← { `ingest` | `correlate` } ← `server` ← `tests`. Third-party crates are listed too, so that adding one is
//! a line in a review.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Every crate of the workspace with all it may depend on outside of tests.
const ALLOWED: &[(&str, &[&str])] = &[
    ("auditgap-records", &["bounded-static", "chrono", "serde"]),
    (
        "auditgap-ingest",
        &[
            "auditgap-records",
            "base64",
            "bounded-static",
            "chrono",
            "flate2",
            "memchr",
            "serde",
            "serde-saphyr",
            "serde_json",
            "simdutf8",
            "siphasher",
            "thiserror",
            "zstd",
        ],
    ),
    (
        "auditgap-correlate",
        &[
            "auditgap-records",
            "bounded-static",
            "foldhash",
            "form_urlencoded",
            "percent-encoding",
            "serde",
            "serde-saphyr",
            "serde_json",
            "siphasher",
            "smallvec",
            "strsim",
            "thiserror",
        ],
    ),
    (
        "auditgap-server",
        &[
            "anstream",
            "anstyle",
            "anyhow",
            "auditgap-correlate",
            "auditgap-ingest",
            "auditgap-records",
            "clap",
            "csv",
            "indicatif",
            "maud",
            "memchr",
            "mimalloc",
            "serde",
            "serde_json",
            "terminal_size",
            "textwrap",
            "toml",
        ],
    ),
    (
        "auditgap-tests",
        &[
            "auditgap-correlate",
            "auditgap-ingest",
            "auditgap-records",
            "auditgap-server",
            "clap",
            "serde_json",
        ],
    ),
];

fn workspace_metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Direct dependencies of each workspace member, those of tests left out.
fn direct_dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
                .collect();
            (package["name"].as_str().unwrap().to_owned(), dependencies)
        })
        .collect()
}

#[test]
fn crates_depend_only_on_what_the_house_allows() {
    let found = direct_dependencies(&workspace_metadata());
    let allowed: BTreeMap<String, BTreeSet<String>> = ALLOWED
        .iter()
        .map(|(name, list)| ((*name).to_owned(), list.iter().map(|entry| (*entry).to_owned()).collect()))
        .collect();
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        allowed.keys().collect::<Vec<_>>(),
        "the workspace's members and the allow-list differ"
    );
    for (name, dependencies) in &found {
        let extra: Vec<_> = dependencies.difference(&allowed[name]).collect();
        assert!(
            extra.is_empty(),
            "{name} may not depend on {extra:?}: see docs/ARCHITECTURE.md, or extend the list in review"
        );
    }
}
