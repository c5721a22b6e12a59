//! `auditgap explain`: the life of one object, container or revision, as all feeds tell it.
//!
//! The logs are read three times: once to judge, once to learn by what other names the subject goes (the UID that the
//! API server gave, the ids that the runtime gave), and once to collect what mentions any of them.

mod subject;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use auditgap_correlate::Outcome;
use auditgap_records::report::{Evidence, Gap, Report};
use auditgap_records::{Position, Timestamp};

use crate::cli::ExplainArgs;
use crate::input::Inputs;
use crate::output::terminal_style;
use crate::raw;
use crate::reading::for_each_record;
use crate::render::{Page, TextStyle, Tone};
use crate::scan::{judge, look};
use subject::Subject;

/// Characters shown of a raw line.
const RAW_SHOWN: usize = 400;

/// Runs the command.
pub(crate) fn run(args: &ExplainArgs) -> Result<ExitCode> {
    let mut subject = Subject::parse(&args.subject)?;
    let mut inputs = look(&args.input)?;
    let Outcome { report, traced } = judge(&args.input, &mut inputs, vec![subject.name().to_owned()]);
    for_each_record(&inputs.feeds, |_, record| subject.learn(&record.body));
    let trail = collect(&subject, &inputs, args.limit);
    let gaps: Vec<&Gap> =
        report.gaps.iter().chain(&report.blind_spots).filter(|gap| subject.is_told_by(gap)).collect();
    let mut out = BufWriter::new(io::stdout().lock());
    let verdicts = Verdicts { gaps, explained: traced };
    let written = write(&subject, &trail, &verdicts, &report, terminal_style(&io::stdout()), &mut out);
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot write"),
        // Nothing known of it is an answer, but one that a script should notice.
        _ => Ok(ExitCode::from(u8::from(trail.records.is_empty() && verdicts.gaps.is_empty()))),
    }
}

/// Records that mention the subject.
struct Trail {
    records: Vec<Evidence>,
    left_out: usize,
}

/// Collects the earliest records that mention the subject.
fn collect(subject: &Subject, inputs: &Inputs, limit: usize) -> Trail {
    let mut found: BTreeMap<(Timestamp, usize, Position), Evidence> = BTreeMap::new();
    let mut delivered: BTreeSet<(Timestamp, u64)> = BTreeSet::new();
    let mut left_out = 0;
    for_each_record(&inputs.feeds, |feed, record| {
        // One entry that came twice, by log file and webhook, is one event of a life.
        if !subject.is_mentioned(&record.body) || !delivered.insert((record.time, record.digest)) {
            return;
        }
        let position = record.position;
        let evidence = Evidence {
            feed: inputs.feeds.get(feed).map(|source| source.feed.name()).unwrap_or_default(),
            time: record.time,
            seen: record.seen,
            file: inputs.files.get(position.file as usize).map(|file| file.shown.clone()).unwrap_or_default(),
            line: position.line,
            offset: position.offset,
            length: position.length,
            raw: None,
            summary: words::summary(&record.body),
        };
        found.insert((record.time, feed, position), evidence);
        if found.len() > limit {
            found.pop_last();
            left_out += 1;
        }
    });
    let mut records: Vec<Evidence> = found.into_values().collect();
    raw::fill_evidence(&mut records, &inputs.files);
    Trail { records, left_out }
}

/// What was made of the subject's records.
struct Verdicts<'a> {
    gaps: Vec<&'a Gap>,
    explained: Vec<(&'static str, Evidence)>,
}

/// A line of the life: a record, or what was made of some.
enum Event<'a> {
    Record(&'a Evidence),
    Gap(&'a Gap),
    Explained(&'static str, &'a Evidence),
}

fn write(
    subject: &Subject,
    trail: &Trail,
    verdicts: &Verdicts<'_>,
    report: &Report,
    style: TextStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    let page = &mut Page::new(out, style);
    let Verdicts { gaps, explained } = verdicts;
    let words = match gaps.len() {
        0 => "no gap".to_owned(),
        1 => "1 gap".to_owned(),
        count => format!("{count} gaps"),
    };
    let (name, records) = (subject.name(), trail.records.len());
    let counts = format!("{name}: {records} records, {words}, {} actions explained", explained.len());
    page.paragraph(0, "", Tone::Strong, &counts)?;
    if let Some(names) = subject.other_names() {
        page.paragraph(0, "also known as ", Tone::Plain, &names)?;
    }
    let records = trail.records.iter().map(|record| (record.time, Event::Record(record)));
    let verdicts = gaps.iter().map(|gap| (gap.first_seen, Event::Gap(gap)));
    let explained = explained.iter().map(|(how, record)| (record.time, Event::Explained(how, record)));
    let mut events: Vec<(Timestamp, Event<'_>)> = records.chain(explained).chain(verdicts).collect();
    // Stable: what was judged stands behind the records of its moment.
    events.sort_by_key(|(time, _)| *time);
    for (time, event) in &events {
        page.gap()?;
        match event {
            Event::Record(record) => {
                let head = format!("{time}  {}  {}:{}", record.feed, record.file, record.line);
                page.line(0, &[(Tone::Faint, &head)])?;
                let raw: String = record.raw.as_deref().unwrap_or_default().chars().take(RAW_SHOWN).collect();
                let text = if record.summary.is_empty() { &raw } else { &record.summary };
                page.paragraph(2, "", Tone::Plain, text)?;
            }
            Event::Explained(how, record) => {
                page.line(0, &[(Tone::Faint, &format!("{time}  EXPLAINED by {how}"))])?;
                page.paragraph(2, "", Tone::Plain, &record.summary)?;
            }
            Event::Gap(gap) => {
                let head =
                    format!("{time}  {} ", if gap.policy_rule.is_some() { "BLIND SPOT" } else { "GAP" });
                page.title(0, (Tone::Severity(gap.severity), &head), "", &gap.title)?;
                page.paragraph(2, "", Tone::Plain, &gap.why)?;
            }
        }
    }
    if trail.left_out > 0 {
        page.gap()?;
        let rest = format!("{} later records are left out: ask for more with --limit", trail.left_out);
        page.line(0, &[(Tone::Faint, &rest)])?;
    }
    if events.is_empty() {
        let seen = report
            .window
            .map_or_else(String::new, |window| format!(" from {} to {}", window.from, window.to));
        page.paragraph(0, "", Tone::Plain, &format!("No record{seen} mentions it."))?;
    }
    Ok(())
}
