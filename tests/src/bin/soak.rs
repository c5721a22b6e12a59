//! Drives the engine with records without end and prints its resident memory. See `docs/benchmarks.md`.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Instant;

use auditgap_correlate::policy::Policy;
use auditgap_correlate::{Context, Engine, Settings};
use auditgap_records::inventory::Inventory;
use auditgap_tests::measure::Memory;
use auditgap_tests::soak::Soak;
use clap::Parser;

/// Drives the engine with records without end and prints its resident memory.
#[derive(Parser)]
struct Cli {
    /// Records to deliver.
    #[arg(long, default_value_t = 50_000_000)]
    records: u64,
    /// Print the memory after each so many records.
    #[arg(long, default_value_t = 1_000_000)]
    every: u64,
    /// Fail if the memory at the end is more than so many percent above that at a tenth of the way.
    #[arg(long, default_value_t = 10)]
    slack: u64,
}

fn main() -> io::Result<ExitCode> {
    let cli = Cli::parse();
    let policy = Policy::load("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n")
        .map_err(io::Error::other)?;
    let mut engine =
        Engine::new(Context::new("soak", Some(policy.policy), Inventory::default(), Settings::default()));
    let mut soak = Soak::new(&mut engine);
    let mut out = io::stdout().lock();
    let started = Instant::now();
    let (mut next, mut settled) = (cli.every, 0);
    while soak.records() < cli.records {
        soak.deliver(&mut engine);
        if soak.records() >= next {
            next += cli.every;
            let memory = Memory::of("self").unwrap_or_default();
            if settled == 0 && soak.records() >= cli.records / 10 {
                settled = memory.resident;
            }
            writeln!(
                out,
                "{:>12} records {:>8.1} s  {memory}",
                soak.records(),
                started.elapsed().as_secs_f64()
            )?;
        }
    }
    let last = Memory::of("self").unwrap_or_default().resident;
    let report = engine.finish(&[]).report;
    writeln!(out, "{:?}, explained by {:?}", report.totals, report.explained_by)?;
    let mut rules = BTreeMap::<&str, (u64, &str)>::new();
    for gap in &report.gaps {
        rules.entry(&gap.rule).or_insert((0, &gap.why)).0 += gap.count;
    }
    writeln!(out, "gaps by rule, with the first of each: {rules:?}")?;
    let flat = last <= settled + settled * cli.slack / 100;
    writeln!(
        out,
        "{} KiB after a tenth, {last} KiB at the end: {}",
        settled,
        if flat { "flat" } else { "it grows" }
    )?;
    Ok(if flat { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
