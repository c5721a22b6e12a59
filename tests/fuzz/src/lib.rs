//! What the fuzz targets share: a file of any bytes goes through the parser of a format in two ways, and both must see the same.

use auditgap_ingest::clock::ClockHint;
use auditgap_ingest::{
    Compression, Detection, Format, Framing, Limits, Options, Parser, Sink, detect, redact,
};
use auditgap_records::{Body, Position, Record, Reject, Timestamp};

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    records: Vec<(Timestamp, Position, u64)>,
    rejects: Vec<Position>,
    unknown: Vec<Position>,
}

impl Sink for Seen {
    fn record(&mut self, record: Record<'_>) {
        // Bodies of audit events may hold a Secret's data: the policy asked for it, and no report shows them.
        if !matches!(record.body, Body::Audit(_)) {
            let _ = format!("{:?}", record.body);
        }
        self.records.push((record.time, record.position, record.digest));
    }

    fn reject(&mut self, reject: Reject) {
        assert!(!reject.reason.is_empty(), "a reject without a reason at {:?}", reject.position);
        self.rejects.push(reject.position);
    }

    fn unknown(&mut self, shape: &str, position: Position) {
        assert!(shape.len() <= 1_024, "a shape of {} bytes", shape.len());
        self.unknown.push(position);
    }
}

fn read(detection: &Detection, bytes: &[u8], chunk: usize) -> Seen {
    let clock = ClockHint { near: Timestamp(1_795_392_000_000_000_000), zone_seconds: 0 };
    // Small bounds, so that reaching them is within the fuzzer's reach.
    let limits = Limits { line: 4 << 10, document: 16 << 10, ..Limits::default() };
    let mut parser = Parser::new(detection, Options { digest_key: [1, 2], file: 0, clock, limits });
    let mut seen = Seen::default();
    for piece in bytes.chunks(chunk) {
        parser.feed(piece, &mut seen);
    }
    parser.finish(&mut seen);
    seen
}

/// Reads bytes as a file that was recognised as `detection`: at once, and in pieces of seven bytes.
pub fn check(detection: &Detection, bytes: &[u8]) {
    assert_eq!(read(detection, bytes, bytes.len().max(1)), read(detection, bytes, 7));
}

/// Reads bytes as lines of one format, and masks them.
pub fn check_format(format: Format, bytes: &[u8]) {
    let detection = Detection {
        format,
        envelopes: Vec::new(),
        framing: Framing::Lines,
        compression: Compression::None,
        others: Vec::new(),
    };
    check(&detection, bytes);
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = redact(format, line);
    }
}

/// Reads bytes as whatever they are recognised as.
pub fn check_any(bytes: &[u8]) {
    let Ok(detection) = detect(bytes, "fuzz") else { return };
    if detection.compression == Compression::None {
        check(&detection, bytes);
    }
    for other in &detection.others {
        check(&detection.of_other(*other), bytes);
    }
}
