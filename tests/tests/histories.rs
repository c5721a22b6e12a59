//! Properties of judging generated histories: all that was injected is found, nothing is invented, and neither the order of
//! arrival nor the cuts of batches nor a second delivery changes a byte.
//!
//! `AUDITGAP_SEEDS` is the number of seeds (200 by default), `AUDITGAP_FIRST_SEED` the first. A seed that fails can be looked at:
//! `cargo run -p auditgap-tests --bin bench -- history FOLDER --seed SEED`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers as well")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use auditgap_records::Interval;
use auditgap_records::report::{Gap, Report, Severity};
use auditgap_tests::front_door::{Arrival, Reading};
use auditgap_tests::history::{History, Injected, Options};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

/// Runs a check on every seed, on all processors, and lists all seeds that fail.
fn for_each_seed(count: u64, check: impl Fn(u64) -> Result<(), String> + Sync) {
    let first = number("AUDITGAP_FIRST_SEED", 0);
    let next = AtomicU64::new(first);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let mut failures: Vec<(u64, String)> = std::thread::scope(|scope| {
        let work = || {
            let mut failures = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + count {
                    return failures;
                }
                if let Err(failure) = check(seed) {
                    failures.push((seed, failure));
                }
            }
        };
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        handles.into_iter().flat_map(|handle| handle.join().unwrap()).collect()
    });
    failures.sort();
    let shown: Vec<String> =
        failures.iter().take(12).map(|(seed, failure)| format!("seed {seed}: {failure}")).collect();
    assert!(failures.is_empty(), "{} of {count} seeds fail:\n{}", failures.len(), shown.join("\n"));
}

fn history(seed: u64) -> History {
    History::generate(seed, &Options::for_seed(seed))
}

/// The moments at which traces of a bypass may lie; clocks and transports are a little off.
fn window(injected: &Injected) -> Interval {
    Interval::new(injected.from, injected.to).widened(Duration::from_millis(300))
}

fn touches(gap: &Gap, injected: &Injected) -> bool {
    gap.evidence.iter().any(|evidence| window(injected).contains(evidence.time))
}

fn tells_of(gap: &Gap, injected: &Injected) -> bool {
    injected.paths.contains(&gap.path)
        && touches(gap, injected)
        && serde_json::to_string(gap).unwrap().contains(&injected.named)
}

fn missed(history: &History, report: &Report) -> Vec<String> {
    let missed =
        history.truth.iter().filter(|injected| !report.gaps.iter().any(|gap| tells_of(gap, injected)));
    missed
        .map(|injected| format!("missed: {} `{}` at {}", injected.what, injected.named, injected.from))
        .collect()
}

fn invented(history: &History, report: &Report) -> Vec<String> {
    let alarms = report.gaps.iter().filter(|gap| gap.severity > Severity::Info);
    let invented = alarms.filter(|gap| !history.truth.iter().any(|injected| touches(gap, injected)));
    invented
        .map(|gap| format!("invented: {} at {}: {}: {}", gap.rule, gap.first_seen, gap.title, gap.why))
        .collect()
}

#[test]
fn every_line_is_understood() {
    for_each_seed(20, |seed| {
        let reading = Reading::of(&history(seed), seed)?;
        for log in &reading.logs {
            if let Some(reject) = log.rejects.first() {
                return Err(format!("{}: line {}: {}", log.feed.source, reject.position.line, reject.reason));
            }
            if let Some(shape) = log.unknown.first() {
                return Err(format!("{}: unknown: {shape}", log.feed.source));
            }
        }
        Ok(())
    });
}

#[test]
fn all_that_was_injected_is_found_and_nothing_is_invented() {
    for_each_seed(number("AUDITGAP_SEEDS", 200), |seed| {
        let history = history(seed);
        let report = Reading::of(&history, seed)?.judge(Arrival::AtOnce)?;
        let faults = [missed(&history, &report), invented(&history, &report)].concat();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("\n  ")) }
    });
}

#[test]
fn every_action_has_one_verdict() {
    for_each_seed(20, |seed| {
        let totals = Reading::of(&history(seed), seed)?.judge(Arrival::AtOnce)?.totals;
        let sum = totals.explained + totals.gap + totals.blind_spot + totals.unassessable;
        if sum == totals.actions { Ok(()) } else { Err(format!("{totals:?}")) }
    });
}

#[test]
fn neither_order_nor_batches_nor_repetition_change_a_byte() {
    for_each_seed(number("AUDITGAP_SEEDS", 200).div_ceil(4), |seed| {
        let history = history(seed);
        let reading = Reading::of(&history, seed)?;
        let bytes =
            |arrival| Ok::<_, String>(serde_json::to_string_pretty(&reading.judge(arrival)?).unwrap());
        let expected = bytes(Arrival::AtOnce)?;
        for arrival in
            [Arrival::Shuffled(seed), Arrival::Shuffled(!seed), Arrival::Twice(seed), Arrival::Streamed]
        {
            let found = bytes(arrival)?;
            if let Some((left, right)) =
                expected.lines().zip(found.lines()).find(|(left, right)| left != right)
            {
                return Err(format!("{arrival:?} differs:\n  {left}\n  {right}"));
            }
            if found.len() != expected.len() {
                return Err(format!("{arrival:?} is of another length"));
            }
        }
        Ok(())
    });
}
