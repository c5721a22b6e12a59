//! The report's forms: complete, and harmless whatever the logs said.

#[cfg(test)]
#[path = "support/reports.rs"]
mod reports;

use auditgap_server::cli::OutputFormat;
use reports::{hostile, rendered, sample};

#[test]
fn text_says_the_verdict_and_the_coverage_first() {
    let text = rendered(&sample(), OutputFormat::Text, false);
    let first: String = text.lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    assert_eq!(
        first,
        "3 gaps (1 critical, 1 high, 1 low) without an audit record, in 45,210 actions seen on nodes and in etcd; \
         coverage was 96.9 % of what was seen; could not watch: static Pods; kubelet feed node-1 was silent for 21 min."
    );
}

#[test]
fn every_gap_is_in_every_form() {
    let report = sample();
    for format in
        [OutputFormat::Text, OutputFormat::Json, OutputFormat::Ndjson, OutputFormat::Html, OutputFormat::Csv]
    {
        // Titles are wrapped where there are lines to keep to.
        let output = rendered(&report, format, false).split_whitespace().collect::<Vec<_>>().join(" ");
        for gap in report.gaps.iter().chain(&report.blind_spots) {
            assert!(output.contains(&gap.id), "{} is missing in {format:?}", gap.id);
            assert!(output.contains(&gap.title), "{} is missing in {format:?}", gap.title);
        }
    }
}

#[test]
fn hostile_text_cannot_act_in_a_terminal() {
    let text = rendered(&hostile(), OutputFormat::Text, true);
    let own = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[33m", "\u{1b}[36m", "\u{1b}[91m"];
    let harmless = own.iter().fold(text, |text, sequence| text.replace(sequence, ""));
    let left: Vec<char> =
        harmless.chars().filter(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}').collect();
    assert_eq!(left, []);
}

#[test]
fn hostile_text_cannot_act_in_a_browser() {
    let page = rendered(&hostile(), OutputFormat::Html, false);
    assert!(page.contains("&lt;script&gt;alert(1)"));
    for needle in ["<script", "\" onmouseover", "\u{202e}", "\0", "\u{1b}", "</style></pre>"] {
        assert!(!page.contains(needle), "{needle:?} is in the page");
    }
    // The one style element is the page's own.
    assert_eq!(page.matches("<style>").count(), 1);
    assert_eq!(page.matches("</style>").count(), 1);
}

#[test]
fn the_page_asks_nobody_for_anything() {
    let page = rendered(&sample(), OutputFormat::Html, false);
    for needle in ["http://", "https://", "src=", "@import", "url(", "<link"] {
        assert!(!page.contains(needle), "{needle} is in the page");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn hostile_text_begins_no_formula() {
    let table = rendered(&hostile(), OutputFormat::Csv, false);
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let mut rows = 0;
    for row in reader.records() {
        rows += 1;
        for cell in &row.unwrap() {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
            assert!(!cell.chars().any(char::is_control), "{cell}");
        }
    }
    assert_eq!(rows, 4);
}

#[test]
fn json_forms_carry_the_same_objects() {
    let report = hostile();
    let document: auditgap_records::report::Report =
        serde_json::from_str(&rendered(&report, OutputFormat::Json, false)).unwrap();
    assert_eq!(document, report);
    let lines = rendered(&report, OutputFormat::Ndjson, false);
    let types: Vec<String> = lines
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].as_str().unwrap().to_owned()
        })
        .collect();
    let expected: Vec<&str> = [
        vec!["report"],
        vec!["coverage"; 6],
        vec!["incident"],
        vec!["gap"; 3],
        vec!["blind_spot"],
        vec!["unassessable"; 2],
    ]
    .concat();
    assert_eq!(types, expected);
}
