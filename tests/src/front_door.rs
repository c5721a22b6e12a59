//! A history on the way that any log takes: recognised, parsed, condensed, judged.

use auditgap_correlate::policy::Policy;
use auditgap_correlate::{Batch, Condenser, Context, Engine, FeedId, FeedSummary, Settings};
use auditgap_ingest::clock::ClockHint;
use auditgap_ingest::{Detection, Limits, Options, Parser, Sink, detect, inventory};
use auditgap_records::inventory::Inventory;
use auditgap_records::report::Report;
use auditgap_records::{Feed, Position, Record, Reject, Timestamp};

use crate::history::History;
use crate::random::Random;

/// Records that a live engine of these tests holds back: far fewer than a history has.
const HELD_BACK: usize = 1_000;

/// Key of digests. Any is good: no adversary writes these logs.
const DIGEST_KEY: [u64; 2] = [0x6175_6469, 0x7467_6170];

/// A log that was read.
#[derive(Clone, Debug)]
pub struct ReadLog {
    /// Its identity.
    pub feed: Feed,
    /// Its records.
    pub batch: Batch,
    /// Entries that could not be read.
    pub rejects: Vec<Reject>,
    /// Shapes of entries of unknown kind, each once per entry.
    pub unknown: Vec<String>,
}

/// A history as the engine gets it.
#[derive(Debug)]
pub struct Reading {
    /// The logs.
    pub logs: Vec<ReadLog>,
    /// Names of the files.
    pub files: Vec<String>,
    /// The audit policy's text, if there is one.
    pub policy: Option<String>,
    /// What is known beside the logs.
    pub inventory: Inventory,
}

/// In what order and pieces records arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Feed by feed, each at once.
    AtOnce,
    /// All feeds interleaved, cut into batches anywhere.
    Shuffled(u64),
    /// As [`Arrival::Shuffled`], and each batch twice, the second time later.
    Twice(u64),
    /// Feeds side by side as a live service gets them, into an engine that holds back few records.
    Streamed,
}

#[derive(Default)]
struct Collector {
    condenser: Condenser,
    rejects: Vec<Reject>,
    unknown: Vec<String>,
}

impl Sink for Collector {
    fn record(&mut self, record: Record<'_>) {
        self.condenser.add(record);
    }

    fn reject(&mut self, reject: Reject) {
        self.rejects.push(reject);
    }

    fn unknown(&mut self, shape: &str, _: Position) {
        self.unknown.push(shape.to_owned());
    }
}

impl Reading {
    /// Reads all logs of a history. `seed` decides how the bytes are cut. Logs whose format is not recognised are an error.
    pub fn of(history: &History, seed: u64) -> Result<Self, String> {
        let mut random = Random::new(seed);
        let mut logs = Vec::new();
        for (file, log) in history.logs.iter().enumerate() {
            let head = &log.text.as_bytes()[..log.text.len().min(auditgap_ingest::HEAD)];
            let detection = detect(head, &log.file)
                .map_err(|unrecognised| format!("{}: {}", log.file, unrecognised.shape))?;
            if detection.format.kind() != Some(log.kind) {
                return Err(format!("{} was taken for {}", log.file, detection.describe()));
            }
            let text = log.text.as_bytes();
            let read = read_log(&detection, &log.file, text, file as u32, history.from, &mut random);
            logs.extend(read.map(|read| {
                let feed = Feed { instance: log.instance.clone(), ..read.feed };
                ReadLog { feed, ..read }
            }));
        }
        let files = history.logs.iter().map(|log| log.file.clone()).collect();
        let snapshots = history
            .inventory
            .iter()
            .filter_map(|(name, text)| inventory::recognise(text.as_bytes(), name))
            .collect();
        let inventory = Inventory { snapshots, ..Inventory::default() };
        Ok(Self { logs, files, policy: Some(history.policy.to_owned()), inventory })
    }

    /// Judges the history.
    pub fn judge(&self, arrival: Arrival) -> Result<Report, String> {
        let loaded =
            self.policy.as_deref().map(Policy::load).transpose().map_err(|error| error.to_string())?;
        let policy = loaded.map(|loaded| loaded.policy);
        let mut settings = Settings::default();
        if arrival == Arrival::Streamed {
            settings.reorder_capacity = HELD_BACK;
        }
        let context = Context::new("synthetic", policy, self.inventory.clone(), settings);
        let mut engine = Engine::new(context);
        let ids: Vec<FeedId> = self.logs.iter().map(|log| engine.feed_open(log.feed.clone())).collect();
        for (log, batch) in self.pieces(arrival) {
            engine.push(ids[log], batch);
        }
        for (log, id) in self.logs.iter().zip(&ids) {
            let rejected = log.rejects.len() as u64;
            engine.feed_end(*id, FeedSummary { rejected, rejects: log.rejects.clone(), notes: Vec::new() });
        }
        Ok(engine.finish(&self.files).report)
    }

    /// The batches in the order of their arrival, each with the number of its log.
    fn pieces(&self, arrival: Arrival) -> Vec<(usize, Batch)> {
        let whole = self.logs.iter().map(|log| log.batch.clone()).enumerate();
        let seed = match arrival {
            Arrival::AtOnce => return whole.collect(),
            Arrival::Streamed => return side_by_side(whole),
            Arrival::Shuffled(seed) | Arrival::Twice(seed) => seed,
        };
        let mut random = Random::new(seed);
        let mut queues: Vec<(usize, Vec<Batch>)> = whole
            .map(|(log, batch)| (log, cut(batch, &mut random)))
            .filter(|(_, queue)| !queue.is_empty())
            .collect();
        let mut pieces = Vec::new();
        while !queues.is_empty() {
            let index = random.below(queues.len() as u64) as usize;
            let (log, queue) = &mut queues[index];
            if let Some(batch) = queue.pop() {
                pieces.push((*log, batch));
            } else {
                queues.swap_remove(index);
            }
        }
        if matches!(arrival, Arrival::Twice(_)) {
            for (log, batch) in pieces.clone() {
                let place = random.below(pieces.len() as u64 + 1) as usize;
                pieces.insert(place, (log, batch));
            }
        }
        pieces
    }
}

/// Batches of all logs in the order of their first records.
fn side_by_side(logs: impl Iterator<Item = (usize, Batch)>) -> Vec<(usize, Batch)> {
    let mut pieces = Vec::new();
    for (log, batch) in logs {
        pieces.push((log, Batch { records: Vec::new(), citations: batch.citations }));
        let records = batch.records.chunks(HELD_BACK / 20);
        pieces.extend(records.map(|records| (log, Batch { records: records.to_vec(), ..Batch::default() })));
    }
    pieces.sort_by_key(|(_, batch)| batch.records.first().map(|record| record.time));
    pieces
}

/// Cuts a batch anywhere. The last piece comes first: the queue is popped from its end.
fn cut(batch: Batch, random: &mut Random) -> Vec<Batch> {
    let mut rest = batch.records;
    let mut pieces = vec![Batch { records: Vec::new(), citations: batch.citations }];
    while !rest.is_empty() {
        let tail = rest.len().saturating_sub(random.below(400) as usize + 1);
        pieces.push(Batch { records: rest.split_off(tail), ..Batch::default() });
    }
    pieces
}

/// Reads one log, its bytes cut anywhere. `None` for a log that is recognised and not used.
pub fn read_log(
    detection: &Detection,
    name: &str,
    bytes: &[u8],
    file: u32,
    near: Timestamp,
    random: &mut Random,
) -> Option<ReadLog> {
    let feed = Feed {
        kind: detection.format.kind()?,
        instance: name.to_owned(),
        source: name.to_owned(),
        format: detection.describe(),
    };
    let Collector { mut condenser, rejects, unknown } = parse(detection, bytes, file, near, random);
    Some(ReadLog { feed, batch: condenser.take(), rejects, unknown })
}

fn parse(detection: &Detection, bytes: &[u8], file: u32, near: Timestamp, random: &mut Random) -> Collector {
    let options = Options {
        digest_key: DIGEST_KEY,
        file,
        clock: ClockHint { near, zone_seconds: 0 },
        limits: Limits::default(),
    };
    let mut parser = Parser::new(detection, options);
    let mut collector = Collector::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (chunk, more) = rest.split_at(rest.len().min(random.below(200_000) as usize + 1));
        parser.feed(chunk, &mut collector);
        rest = more;
    }
    parser.finish(&mut collector);
    collector
}
