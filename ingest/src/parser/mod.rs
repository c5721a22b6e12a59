//! From the decompressed bytes of one file to records: framing, envelopes, multi-line entries, format.

mod assemble;
mod audit_lines;
mod pipeline;
#[cfg(test)]
mod tests;

pub use audit_lines::parse_audit_lines;

use auditgap_records::{Position, Record, Reject};

use crate::clock::ClockHint;
use crate::detect::Detection;
use crate::digest::DigestKey;
use crate::framing::{Cut, DocumentCutter, Framing, LineCutter, Window, for_each_line};
use crate::limits::Limits;
use pipeline::Pipeline;

/// What a run is given beside the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Key of the records' digests: the same for all files of a run.
    pub digest_key: DigestKey,
    /// Number of the file, for [`Position::file`].
    pub file: u32,
    /// For stamps without year or zone.
    pub clock: ClockHint,
    /// Bounds on buffers.
    pub limits: Limits,
}

/// Who takes what a parser finds, in the order of the file.
pub trait Sink {
    /// A record. It borrows from buffers that are reused: what is to be kept is copied.
    fn record(&mut self, record: Record<'_>);
    /// An entry that could not be read.
    fn reject(&mut self, reject: Reject);
    /// An entry of no known kind, to be counted by its shape. A shape shows no word of the entry.
    fn unknown(&mut self, shape: &str, position: Position);
}

/// Reads one file, in chunks of any size. However it is cut, the records are the same.
pub struct Parser {
    framer: Framer,
    pipeline: Pipeline,
}

enum Framer {
    /// The hot path: audit events, one a line, not wrapped.
    AuditLines(LineCutter, Options),
    Lines(LineCutter, usize),
    Documents(DocumentCutter),
}

impl Parser {
    /// A parser for a file that was recognised as `detection`.
    pub fn new(detection: &Detection, options: Options) -> Self {
        let limit = options.limits.line;
        let framer = match detection.framing {
            Framing::Lines if detection.is_audit_lines() => {
                Framer::AuditLines(LineCutter::new(options.file, limit), options)
            }
            Framing::Lines => Framer::Lines(LineCutter::new(options.file, limit), limit),
            Framing::Documents { list } => {
                Framer::Documents(DocumentCutter::new(options.file, options.limits.document, list))
            }
        };
        Self { framer, pipeline: Pipeline::new(detection, options) }
    }

    /// Takes the next bytes of the decompressed file.
    pub fn feed<S: Sink + ?Sized>(&mut self, chunk: &[u8], sink: &mut S) {
        let Self { framer, pipeline } = self;
        match framer {
            Framer::AuditLines(cutter, options) => {
                cutter.feed(chunk, |window| audit_lines::window(window, options, sink));
            }
            Framer::Lines(cutter, limit) => {
                cutter.feed(chunk, |window| window_of_lines(window, *limit, pipeline, sink));
            }
            Framer::Documents(cutter) => cutter.feed(chunk, |cut| pipeline.cut(cut, sink)),
        }
    }

    /// Ends the file: reads what was held back.
    pub fn finish<S: Sink + ?Sized>(mut self, sink: &mut S) {
        let Self { framer, pipeline } = &mut self;
        match framer {
            Framer::AuditLines(cutter, options) => {
                cutter.finish(|window| audit_lines::window(window, options, sink));
            }
            Framer::Lines(cutter, limit) => {
                cutter.finish(|window| window_of_lines(window, *limit, pipeline, sink));
            }
            Framer::Documents(cutter) => cutter.finish(|cut| pipeline.cut(cut, sink)),
        }
        pipeline.finish(sink);
    }
}

fn window_of_lines<S: Sink + ?Sized>(
    window: Result<Window<'_>, Cut<'_>>,
    limit: usize,
    pipeline: &mut Pipeline,
    sink: &mut S,
) {
    match window {
        Ok(window) => for_each_line(window, limit, |cut| pipeline.cut(cut, sink)),
        Err(cut) => pipeline.cut(cut, sink),
    }
}
