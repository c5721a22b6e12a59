//! The time that files span, and from it the year and zone of those whose stamps say neither.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use auditgap_ingest::clock::{ClockEvidence, ClockHint};
use auditgap_ingest::{Compression, Detection, Format, Limits, Options, Parser, Sink};
use auditgap_records::{FeedKind, Interval, Position, Record, Reject, Timestamp};
use memchr::memchr;

use super::gather::InputFile;
use super::group::LogFile;
use super::recognise::open;
use crate::cli::InputArgs;

/// Bytes looked at at a file's beginning and end.
const PEEK: u64 = 64 << 10;

/// What is known of the time in which the logs were written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// What the feeds with complete stamps span: the audit feeds if there are any.
    reference: Option<Interval>,
    near: Option<Timestamp>,
    zone: Option<i32>,
}

impl Clocks {
    /// Looks at the ends of all files whose stamps are complete, and notes what they span.
    pub(crate) fn of(logs: &mut [LogFile], files: &[InputFile], args: &InputArgs) -> Self {
        let mut audit: Option<Interval> = None;
        let mut others: Option<Interval> = None;
        for log in logs.iter_mut().filter(|log| is_unambiguous(log.detection.format)) {
            let Some(file) = files.get(log.file as usize) else { continue };
            log.span = span(&file.path, &log.detection);
            let known = match log.detection.format.kind() {
                Some(FeedKind::Audit) => &mut audit,
                // A host's log goes on for years around what the others saw.
                Some(FeedKind::Host) | None => continue,
                Some(_) => &mut others,
            };
            if let Some(found) = log.span {
                let whole = known.get_or_insert(found);
                *whole = Interval::new(whole.from.min(found.from), whole.to.max(found.to));
            }
        }
        Self { reference: audit.or(others), near: args.near, zone: args.zone }
    }

    /// What to assume of a file's stamps, and how to say it where there is anything to assume.
    pub(crate) fn hint(&self, file: &InputFile, log: &LogFile) -> (ClockHint, Option<String>) {
        let fallback = self.near.or_else(|| modified(&file.path)).unwrap_or_default();
        if is_unambiguous(log.detection.format) {
            return (ClockHint { near: fallback, zone_seconds: 0 }, None);
        }
        let mut evidence = ClockEvidence::default();
        for piece in ends(&file.path, &log.detection) {
            evidence.look(&String::from_utf8_lossy(&piece));
        }
        // What a person says is not overruled: with a day given, no other feed is asked.
        let reference = self.reference.filter(|_| self.near.is_none());
        let (mut hint, mut words) = evidence.resolve(reference, fallback);
        if let Some(near) = self.near {
            hint.near = near;
            words = format!("year taken from --near {}", near.to_string().get(..10).unwrap_or_default());
        }
        if let Some(zone) = self.zone {
            hint.zone_seconds = zone;
            words.push_str("; zone taken from --zone");
        }
        (hint, Some(words))
    }
}

/// Whether the stamps of a format say their year and zone.
fn is_unambiguous(format: Format) -> bool {
    !matches!(format, Format::Kubelet | Format::ApiServer | Format::OtherKlog | Format::EtcdCapnslog)
}

/// First and last record near a file's beginning and end. What stands between is not read.
fn span(path: &Path, detection: &Detection) -> Option<Interval> {
    let clock = ClockHint { near: Timestamp(0), zone_seconds: 0 };
    let options = Options { digest_key: [0, 0], file: 0, clock, limits: Limits::default() };
    let mut seen = Seen(None);
    for piece in ends(path, detection) {
        let mut parser = Parser::new(detection, options);
        parser.feed(&piece, &mut seen);
        parser.finish(&mut seen);
    }
    seen.0
}

/// The first bytes of a file and, where it can be reached without expanding all of it, its last whole lines. Damage
/// is no matter here: it shows when the file is read in earnest.
fn ends(path: &Path, detection: &Detection) -> Vec<Vec<u8>> {
    let mut head = Vec::new();
    if let Ok(reader) = open(path, detection.compression) {
        let _ = reader.take(PEEK).read_to_end(&mut head);
    }
    let tail = (detection.compression == Compression::None).then(|| tail(path)).flatten();
    std::iter::once(head).chain(tail).collect()
}

fn tail(path: &Path) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    if size <= PEEK {
        return None;
    }
    file.seek(SeekFrom::Start(size - PEEK)).ok()?;
    let mut tail = Vec::new();
    file.take(PEEK).read_to_end(&mut tail).ok()?;
    let line = memchr(b'\n', &tail)? + 1;
    Some(tail.split_off(line))
}

/// The earliest and the latest time seen.
struct Seen(Option<Interval>);

impl Sink for Seen {
    fn record(&mut self, record: Record<'_>) {
        let time = record.time;
        let span = self.0.get_or_insert(Interval::new(time, time));
        *span = Interval::new(span.from.min(time), span.to.max(time));
    }

    fn reject(&mut self, _reject: Reject) {}

    fn unknown(&mut self, _shape: &str, _position: Position) {}
}

/// When a file was last written, by the file system: the last resort for a year.
fn modified(path: &Path) -> Option<Timestamp> {
    let since = std::fs::metadata(path).ok()?.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Timestamp::from_unix(i64::try_from(since.as_secs()).ok()?, 0)
}
