//! The bytes of one feed: its files one after the other, in chunks.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use auditgap_ingest::clock::ClockHint;
use auditgap_ingest::{Detection, DigestKey, Expander, ExpansionError, Limits, Options, Parser};
use auditgap_records::Position;

use super::lines::{LineChunks, More, read_some};
use super::portion::Collector;
use crate::input::in_words;
use crate::progress::Progress;

/// Bytes that are read and parsed at a time: large enough that handing over costs nothing, small enough that feeds
/// advance together and that a chunk is still in the processor's cache when it is parsed.
const CHUNK: usize = 1 << 20;

/// A file of a feed.
#[derive(Clone, Debug)]
pub(crate) struct SourceFile {
    /// Number of the file, for positions.
    pub(crate) number: u32,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its name in messages.
    pub(crate) shown: String,
    /// What it was recognised as.
    pub(crate) detection: Detection,
    /// For stamps without year or zone.
    pub(crate) clock: ClockHint,
}

/// What a worker was given.
pub(super) enum Chunk {
    /// Whole lines in the buffer, which can be parsed without the source.
    Lines(Position, Options),
    /// Parsed already.
    Parsed,
    /// The feed has ended.
    End,
}

/// The files of one feed.
pub(super) struct Source {
    /// Name of the feed, for the progress bar.
    name: String,
    digest_key: DigestKey,
    files: VecDeque<SourceFile>,
    open: Option<Open>,
    progress: Progress,
}

/// A file that is being read.
struct Open {
    shown: String,
    reader: Expander<Counted>,
    options: Options,
    how: How,
}

/// How the bytes of a file become records.
enum How {
    /// One line is one entry: chunks of whole lines, parsed by whoever has time.
    Lines(LineChunks),
    /// Entries depend on what stands before them: one parser, in order, and the bytes it was given.
    InOrder(Box<Parser>, u64),
}

impl Source {
    /// A feed of these files.
    pub(super) fn new(
        name: String,
        files: Vec<SourceFile>,
        digest_key: DigestKey,
        progress: Progress,
    ) -> Self {
        Self { name, digest_key, files: files.into(), open: None, progress }
    }

    /// Reads the next chunk. What goes wrong ends the file and is said in `collector`; it does not end the feed.
    pub(super) fn next(&mut self, buffer: &mut Vec<u8>, collector: &mut Collector) -> Chunk {
        loop {
            let open = match self.open.take() {
                Some(open) => open,
                None => match self.files.pop_front() {
                    None => return Chunk::End,
                    Some(file) => match self.open_file(&file) {
                        Ok(open) => open,
                        Err(error) => {
                            let why = in_words(&error);
                            collector.leftovers().broken(format!("{} was not read: {why}", file.shown));
                            continue;
                        }
                    },
                },
            };
            if let Some(chunk) = self.advance(open, buffer, collector) {
                return chunk;
            }
        }
    }

    /// Reads on in a file; keeps it open if there is more in it.
    fn advance(&mut self, mut open: Open, buffer: &mut Vec<u8>, collector: &mut Collector) -> Option<Chunk> {
        match open.how {
            How::Lines(ref mut chunks) => {
                let (base, more) = chunks.fill(&mut open.reader, buffer);
                let options = open.options;
                match more {
                    More::Yes => self.open = Some(open),
                    More::No => {}
                    More::Broken(error) => {
                        collector.leftovers().broken(broken_in_words(&open.shown, chunks.offset(), &error));
                    }
                }
                base.map(|base| Chunk::Lines(base, options))
            }
            How::InOrder(mut parser, read) => {
                buffer.clear();
                let more = read_some(&mut open.reader, CHUNK, buffer);
                parser.feed(buffer, collector);
                let read = read + buffer.len() as u64;
                match more {
                    More::Yes => {
                        self.open = Some(Open { how: How::InOrder(parser, read), ..open });
                        return Some(Chunk::Parsed);
                    }
                    More::No => {}
                    More::Broken(error) => {
                        collector.leftovers().broken(broken_in_words(&open.shown, read, &error));
                    }
                }
                parser.finish(collector);
                Some(Chunk::Parsed)
            }
        }
    }

    fn open_file(&self, file: &SourceFile) -> io::Result<Open> {
        let limits = Limits::default();
        let options = Options { digest_key: self.digest_key, file: file.number, clock: file.clock, limits };
        let counted = Counted {
            file: File::open(&file.path)?,
            feed: self.name.clone(),
            progress: self.progress.clone(),
        };
        let reader = Expander::new(file.detection.compression, counted, limits)?;
        let how = if file.detection.is_audit_lines() {
            How::Lines(LineChunks::new(file.number, CHUNK, limits.line))
        } else {
            How::InOrder(Box::new(Parser::new(&file.detection, options)), 0)
        };
        Ok(Open { shown: file.shown.clone(), reader, options, how })
    }
}

/// Why a file was not read to its end, and what that means.
fn broken_in_words(shown: &str, offset: u64, error: &io::Error) -> String {
    let why = match ExpansionError::of(error) {
        Some(bound) => bound.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "the compressed file is cut short".to_owned(),
        None => format!("damaged or unreadable: {error}"),
    };
    format!("{shown}: {why}; read up to byte {offset} of the expanded log, the rest was not judged")
}

/// A file that moves the progress bar.
struct Counted {
    file: File,
    feed: String,
    progress: Progress,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.progress.advance(count as u64, &self.feed);
        Ok(count)
    }
}
