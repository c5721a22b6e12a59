//! Reading everything once more, in order and on one thread, for a look at single records.

use std::fs::File;

use auditgap_ingest::{Expander, Limits, Options, Parser, Sink};
use auditgap_records::{Position, Record, Reject};

use super::FeedSource;
use super::lines::{More, read_some};

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// Hands out every record of every feed with the feed's number. What cannot be read was told by the first reading.
pub(crate) fn for_each_record(feeds: &[FeedSource], mut each: impl FnMut(usize, Record<'_>)) {
    let limits = Limits::default();
    let mut buffer = Vec::new();
    for (feed, source) in feeds.iter().enumerate() {
        let mut sink = Records(|record: Record<'_>| each(feed, record));
        for file in &source.files {
            let opened = File::open(&file.path);
            let expanded =
                opened.and_then(|opened| Expander::new(file.detection.compression, opened, limits));
            let Ok(mut reader) = expanded else { continue };
            let options = Options { digest_key: [0, 0], file: file.number, clock: file.clock, limits };
            let mut parser = Parser::new(&file.detection, options);
            loop {
                buffer.clear();
                let more = read_some(&mut reader, CHUNK, &mut buffer);
                parser.feed(&buffer, &mut sink);
                if !matches!(more, More::Yes) {
                    break;
                }
            }
            parser.finish(&mut sink);
        }
    }
}

/// A sink that minds records only.
struct Records<F>(F);

impl<F: FnMut(Record<'_>)> Sink for Records<F> {
    fn record(&mut self, record: Record<'_>) {
        (self.0)(record);
    }

    fn reject(&mut self, _reject: Reject) {}

    fn unknown(&mut self, _shape: &str, _position: Position) {}
}
