//! The time that files span, and from it the year and zone of those whose stamps say neither.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use auditgap_ingest::clock::ClockHint;
use auditgap_ingest::{Compression, Detection, Format, Limits, Options, Parser, Sink};
use auditgap_records::{Interval, Position, Record, Reject, Timestamp};
use memchr::memchr;

use super::recognise::open;

/// Bytes looked at at a file's beginning and end.
const PEEK: u64 = 64 << 10;

/// Whether the stamps of a format say their year and zone.
pub(crate) fn is_unambiguous(format: Format) -> bool {
    !matches!(format, Format::Kubelet | Format::ApiServer | Format::OtherKlog | Format::EtcdCapnslog)
}

/// First and last record near a file's beginning and end. What stands between is not read.
pub(crate) fn span(path: &Path, detection: &Detection, clock: ClockHint) -> Option<Interval> {
    let mut ends = Ends::default();
    let mut head = Vec::new();
    // Damage shows when the file is read in earnest.
    let _ = open(path, detection.compression).map(|reader| reader.take(PEEK).read_to_end(&mut head));
    ends.peek(&head, detection, clock);
    if detection.compression == Compression::None {
        if let Some(tail) = tail(path) {
            ends.peek(&tail, detection, clock);
        }
    }
    ends.0
}

/// The last whole lines of a file that is longer than what was seen at its beginning.
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
#[derive(Default)]
struct Ends(Option<Interval>);

impl Ends {
    fn peek(&mut self, bytes: &[u8], detection: &Detection, clock: ClockHint) {
        let options = Options { digest_key: [0, 0], file: 0, clock, limits: Limits::default() };
        let mut parser = Parser::new(detection, options);
        parser.feed(bytes, self);
        parser.finish(self);
    }
}

impl Sink for Ends {
    fn record(&mut self, record: Record<'_>) {
        let time = record.time;
        let span = self.0.get_or_insert(Interval::new(time, time));
        *span = Interval::new(span.from.min(time), span.to.max(time));
    }

    fn reject(&mut self, _reject: Reject) {}

    fn unknown(&mut self, _shape: &str, _position: Position) {}
}

/// When a file was last written, by the file system: the last resort for a year.
pub(crate) fn modified(path: &Path) -> Option<Timestamp> {
    let since = std::fs::metadata(path).ok()?.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Timestamp::from_unix(i64::try_from(since.as_secs()).ok()?, 0)
}
