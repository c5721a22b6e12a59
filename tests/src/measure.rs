//! The clocks of the benchmarks: stages alone, and a whole scan in a process of its own.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use auditgap_correlate::policy::Policy;
use auditgap_correlate::{Batch, Condenser, Context, Engine, FeedSummary, Settings};
use auditgap_ingest::clock::ClockHint;
use auditgap_ingest::{Limits, Options, Parser, Sink, detect};
use auditgap_records::inventory::Inventory;
use auditgap_records::{Feed, FeedKind, Position, Record, Reject, Timestamp};

/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// Records handed to the engine at once.
const BATCH: usize = 4_096;
/// How often a child's memory is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// Memory of a process in KiB, as `/proc/PID/status` says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Resident, all kinds.
    pub resident: u64,
    /// Resident and anonymous: what the process itself allocated.
    pub anonymous: u64,
    /// Resident and mapped from files.
    pub mapped: u64,
}

impl Memory {
    /// Memory of a process, by number or `self`; `None` when it is gone or the system has no `/proc`.
    pub fn of(process: &str) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().ok()
        };
        Some(Self { resident: field("VmRSS")?, anonymous: field("RssAnon")?, mapped: field("RssFile")? })
    }

    fn max(self, other: Self) -> Self {
        Self {
            resident: self.resident.max(other.resident),
            anonymous: self.anonymous.max(other.anonymous),
            mapped: self.mapped.max(other.mapped),
        }
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |kib: u64| kib / 1_024;
        write!(
            formatter,
            "{} MiB resident ({} MiB anonymous, {} MiB of mapped files)",
            mib(self.resident),
            mib(self.anonymous),
            mib(self.mapped)
        )
    }
}

#[derive(Default)]
struct Counter {
    records: u64,
    rejects: u64,
    unknown: u64,
    condenser: Option<Condenser>,
    batches: Vec<Batch>,
}

impl Sink for Counter {
    fn record(&mut self, record: Record<'_>) {
        self.records += 1;
        if let Some(condenser) = &mut self.condenser {
            condenser.add(record);
            if condenser.len() >= BATCH {
                self.batches.push(condenser.take());
            }
        }
    }

    fn reject(&mut self, _: Reject) {
        self.rejects += 1;
    }

    fn unknown(&mut self, _: &str, _: Position) {
        self.unknown += 1;
    }
}

/// Feeds a file to its parser; only the parser's time counts. Gives the feed, what came out, the bytes and the time.
fn parse_file(
    path: &Path,
    number: u32,
    condenser: Option<Condenser>,
) -> io::Result<(Feed, Counter, u64, Duration)> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; CHUNK];
    let mut length = file.read(&mut buffer)?;
    let name = path.display().to_string();
    let detection = detect(&buffer[..length], &name).map_err(|unrecognised| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{name}: {}", unrecognised.shape))
    })?;
    let clock = ClockHint { near: Timestamp(1_795_392_000_000_000_000), zone_seconds: 0 };
    let options = Options { digest_key: [1, 2], file: number, clock, limits: Limits::default() };
    let mut parser = Parser::new(&detection, options);
    let mut counter = Counter { condenser, ..Counter::default() };
    let (mut bytes, mut spent) = (0, Duration::ZERO);
    while length > 0 {
        let started = Instant::now();
        parser.feed(&buffer[..length], &mut counter);
        spent += started.elapsed();
        bytes += length as u64;
        length = file.read(&mut buffer)?;
    }
    let started = Instant::now();
    parser.finish(&mut counter);
    spent += started.elapsed();
    if let Some(condenser) = &mut counter.condenser {
        counter.batches.push(condenser.take());
    }
    let kind = detection.format.kind().unwrap_or(FeedKind::Host);
    let feed = Feed { kind, instance: name.clone(), source: name, format: detection.describe() };
    Ok((feed, counter, bytes, spent))
}

fn rates(label: &str, records: u64, bytes: u64, spent: Duration) -> String {
    let seconds = spent.as_secs_f64();
    let mut text = format!("{label}: {seconds:.3} s, {:.0} records/s", records as f64 / seconds);
    if bytes > 0 {
        let _ = write!(text, ", {:.0} MB/s", bytes as f64 / 1e6 / seconds);
    }
    text
}

/// The parser alone on one file, one thread.
pub fn parse(path: &Path) -> io::Result<String> {
    let (feed, counter, bytes, spent) = parse_file(path, 0, None)?;
    let mut text = rates(&format!("parse {}", feed.format), counter.records, bytes, spent);
    let _ = write!(text, ", {} rejected, {} unknown", counter.rejects, counter.unknown);
    Ok(text)
}

/// The engine alone on a folder that `bench generate` wrote, its input condensed beforehand.
pub fn engine(folder: &Path) -> io::Result<String> {
    let policy = fs::read_to_string(folder.join("audit-policy.yaml"))?;
    let policy = Policy::load(&policy).map_err(io::Error::other)?.policy;
    let mut engine =
        Engine::new(Context::new("bench", Some(policy), Inventory::default(), Settings::default()));
    let mut arrivals = Vec::new();
    let mut records = 0;
    let names = ["audit.jsonl", "etcd-watch.jsonl"];
    for (number, name) in names.iter().enumerate() {
        let (feed, counter, _, _) = parse_file(&folder.join(name), number as u32, Some(Condenser::new()))?;
        records += counter.records;
        let id = engine.feed_open(feed);
        arrivals.extend(counter.batches.into_iter().map(|batch| (id, batch)));
    }
    // In step with one another, as the scan reads them.
    arrivals.sort_by_key(|(id, batch)| (batch.records.first().map(|record| record.time), *id));
    let started = Instant::now();
    for (id, batch) in arrivals {
        engine.push(id, batch);
    }
    for id in 0..names.len() {
        engine.feed_end(id as u16, FeedSummary::default());
    }
    let report = engine.finish(&names.map(str::to_owned)).report;
    let text = rates("engine", records, 0, started.elapsed());
    Ok(format!("{text}, {} gaps of {} actions", report.totals.gap, report.totals.actions))
}

/// A whole scan of a folder by the binary, which is watched from outside.
pub fn scan(binary: &Path, folder: &Path) -> io::Result<String> {
    let started = Instant::now();
    let mut child = Command::new(binary)
        .args(["scan", "--format", "json", "--no-progress"])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let process = child.id().to_string();
    let mut peak = Memory::default();
    let status = loop {
        if let Some(memory) = Memory::of(&process) {
            peak = peak.max(memory);
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(GLANCE);
    };
    Ok(format!("scan: {:.3} s, peak {peak}, {status}", started.elapsed().as_secs_f64()))
}
