//! From a cut entry to records: envelopes off, lines put together, format applied.

use std::borrow::Cow;

use auditgap_records::{Body, Position, Record, Reject, Timestamp};

use super::assemble::{Gathered, Gathering};
use super::{Options, Sink};
use crate::detect::{Detection, Signature, signature_of};
use crate::digest;
use crate::envelope::{self, Envelope, MAX_DEPTH};
use crate::format::{Assembly, Format, LineContext, Parsed};
use crate::framing::{Cut, Fault, length};
use crate::shape::shape_of;

/// Where an entry stands and what its transport said of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) position: Position,
    pub(super) seen: Option<Timestamp>,
    /// The file ends without a line break behind it.
    pub(super) unterminated: bool,
}

impl Place {
    /// Takes in a continuation, as far as it follows at once.
    pub(super) fn extend(&mut self, next: Self) {
        let end = self.position.offset + u64::from(self.position.length);
        let gap = next.position.offset.saturating_sub(end);
        if next.position.offset >= end && gap <= 2 {
            let whole = next.position.offset + u64::from(next.position.length) - self.position.offset;
            self.position.length = length(whole);
        }
        self.unterminated |= next.unterminated;
    }
}

/// The part of a parser behind framing.
pub(super) struct Pipeline {
    format: Format,
    envelopes: Vec<Envelope>,
    options: Options,
    /// Lines that a runtime or a shipper cut.
    partials: Gathering,
    /// Entries of several lines, or events of several records.
    entries: Gathering,
    /// Entries found so far in the current cut.
    item: u32,
}

impl Pipeline {
    pub(super) fn new(detection: &Detection, options: Options) -> Self {
        let limits = options.limits;
        let most = match detection.format.assembly() {
            Assembly::Grouped => limits.groups,
            Assembly::Whole | Assembly::Continued => limits.streams,
        };
        Self {
            format: detection.format,
            envelopes: detection.envelopes.clone(),
            options,
            partials: Gathering::new(limits.streams, limits.line),
            entries: Gathering::new(most, limits.line),
            item: 0,
        }
    }

    /// Takes one cut of the file.
    pub(super) fn cut<S: Sink + ?Sized>(&mut self, cut: Cut<'_>, sink: &mut S) {
        let unterminated = match cut.fault {
            None => false,
            Some(Fault::Unterminated) => true,
            Some(fault @ (Fault::TooLong { .. } | Fault::Unbalanced | Fault::Hole)) => {
                return reject(cut.position, fault_reason(fault), sink);
            }
        };
        self.item = cut.position.item;
        let text = match simdutf8::basic::from_utf8(cut.bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(cut.bytes),
        };
        self.open(&text, Place { position: cut.position, seen: None, unterminated }, 0, "", sink);
    }

    /// Takes what was held back.
    pub(super) fn finish<S: Sink + ?Sized>(&mut self, sink: &mut S) {
        while let Some(mut partial) = self.partials.take_oldest() {
            partial.place.unterminated = true;
            self.gathered_line(&partial, self.envelopes.len(), "", sink);
        }
        while let Some(entry) = self.entries.take_oldest() {
            self.gathered_entry(&entry, sink);
        }
    }

    /// Peels the envelope at a depth: the one that the file's other entries have there, or else what it looks like.
    fn open<S: Sink + ?Sized>(&mut self, text: &str, place: Place, depth: usize, stream: &str, sink: &mut S) {
        let Some(expected) = self.envelopes.get(depth).copied() else {
            return self.entry(text, place, depth, stream, sink);
        };
        let inner = envelope::open(expected, text).or_else(|| match signature_of(text) {
            Some(Signature::Envelope(kind)) => envelope::open(kind, text),
            _ => None,
        });
        match inner {
            Some(inner) => self.inside(inner, place, depth, stream, sink),
            None => self.entry(text, place, depth, stream, sink),
        }
    }

    /// Goes on with what was in an envelope.
    fn inside<S: Sink + ?Sized>(
        &mut self,
        inner: Vec<envelope::Inner<'_>>,
        place: Place,
        depth: usize,
        outer: &str,
        sink: &mut S,
    ) {
        if depth >= MAX_DEPTH {
            return reject(place.position, format!("envelopes nested more than {MAX_DEPTH} deep"), sink);
        }
        for inner in inner {
            let place = Place { seen: inner.time.or(place.seen), ..place };
            let stream = match outer {
                "" => inner.stream,
                outer => Cow::Owned(format!("{outer}/{}", inner.stream)),
            };
            let stream = short(stream);
            if inner.partial {
                if !self.partials.append(&stream, "", &inner.text, place)
                    && let Some(evicted) = self.partials.begin(&stream, &inner.text, place)
                {
                    self.gathered_line(&evicted, depth + 1, "", sink);
                }
            } else if self.partials.append(&stream, "", &inner.text, place) {
                if let Some(whole) = self.partials.take(&stream) {
                    self.gathered_line(&whole, depth + 1, &stream, sink);
                }
            } else {
                self.open(&inner.text, place, depth + 1, &stream, sink);
            }
        }
    }

    fn gathered_line<S: Sink + ?Sized>(&mut self, line: &Gathered, depth: usize, stream: &str, sink: &mut S) {
        if line.too_long {
            let fault = Fault::TooLong { limit: self.options.limits.line };
            return reject(line.place.position, fault_reason(fault), sink);
        }
        self.open(&line.text, line.place, depth, stream, sink);
    }

    /// A text without envelopes: an entry, or a part of one.
    fn entry<S: Sink + ?Sized>(
        &mut self,
        text: &str,
        place: Place,
        depth: usize,
        stream: &str,
        sink: &mut S,
    ) {
        match self.format.assembly() {
            Assembly::Whole => self.whole(text, place, depth, stream, sink),
            Assembly::Continued => {
                for line in text.split('\n') {
                    let line = line.strip_suffix('\r').unwrap_or(line);
                    if self.format.parser().starts_entry(line.as_bytes()) {
                        if let Some(entry) = self.entries.begin(stream, line, place) {
                            self.gathered_entry(&entry, sink);
                        }
                    } else if !self.entries.append(stream, "\n", line, place) {
                        self.parse(line, place, sink);
                    }
                }
            }
            Assembly::Grouped => {
                for line in text.lines() {
                    let Some((key, last)) = self.format.group_of(line) else {
                        self.parse(line, place, sink);
                        continue;
                    };
                    let key = format!("{stream}/{key}");
                    if !self.entries.append(&key, "\n", line, place)
                        && let Some(entry) = self.entries.begin(&key, line, place)
                    {
                        self.gathered_entry(&entry, sink);
                    }
                    if last && let Some(entry) = self.entries.take(&key) {
                        self.gathered_entry(&entry, sink);
                    }
                }
            }
        }
    }

    /// An entry that is whole by itself. One that the format does not know may still be wrapped in a way that the
    /// first entries of the file were not.
    fn whole<S: Sink + ?Sized>(
        &mut self,
        text: &str,
        place: Place,
        depth: usize,
        stream: &str,
        sink: &mut S,
    ) {
        if depth < MAX_DEPTH
            && !self.envelopes.is_empty()
            && let Some(Signature::Envelope(kind)) = signature_of(text)
            && let Some(inner) = envelope::open(kind, text)
        {
            return self.inside(inner, place, depth, stream, sink);
        }
        self.parse(text, place, sink);
    }

    fn gathered_entry<S: Sink + ?Sized>(&mut self, entry: &Gathered, sink: &mut S) {
        if entry.too_long {
            let fault = Fault::TooLong { limit: self.options.limits.line };
            return reject(entry.place.position, fault_reason(fault), sink);
        }
        parse_entry(self.format, &self.options, &entry.text, entry.place, sink);
    }

    fn parse<S: Sink + ?Sized>(&mut self, text: &str, mut place: Place, sink: &mut S) {
        place.position.item = self.item;
        self.item = self.item.saturating_add(parse_entry(self.format, &self.options, text, place, sink));
    }
}

/// Applies the format to one entry. Returns how many items of the cut it took.
pub(super) fn parse_entry<S: Sink + ?Sized>(
    format: Format,
    options: &Options,
    text: &str,
    place: Place,
    sink: &mut S,
) -> u32 {
    let context = LineContext { clock: options.clock, transport_time: place.seen };
    let first = place.position.item;
    let mut record = |item: u32, (time, body): (Timestamp, Body<'_>)| {
        let digest = match &body {
            Body::Audit(event) => digest::of_audit(options.digest_key, event),
            _ => digest::of_entry(options.digest_key, format, text, item),
        };
        let position = Position { item: first.saturating_add(item), ..place.position };
        sink.record(Record { time, seen: place.seen, position, digest, body });
    };
    match format.parser().parse(text, &context) {
        Parsed::Record(time, body) => record(0, (time, body)),
        Parsed::Records(records) => {
            let count = length(records.len() as u64);
            for (item, one) in records.into_iter().enumerate() {
                record(length(item as u64), one);
            }
            return count.max(1);
        }
        Parsed::Unknown if place.unterminated && text.starts_with(['{', '[']) => {
            reject(place.position, "truncated: the file ends within this entry".to_owned(), sink);
        }
        Parsed::Unknown => sink.unknown(&shape_of(text), place.position),
        Parsed::Reject(reason) if place.unterminated => {
            reject(place.position, format!("truncated, the file ends within this entry: {reason}"), sink);
        }
        Parsed::Reject(reason) => reject(place.position, reason, sink),
    }
    1
}

/// A stream's name, bounded: whoever writes the log may choose it. Cut at the front, where names are alike.
fn short(stream: Cow<'_, str>) -> Cow<'_, str> {
    const LONGEST: usize = 1024;
    if stream.len() <= LONGEST {
        return stream;
    }
    let start = (stream.len() - LONGEST..stream.len()).find(|at| stream.is_char_boundary(*at));
    Cow::Owned(stream[start.unwrap_or(stream.len())..].to_owned())
}

/// What is wrong with the framing, in words.
pub(super) fn fault_reason(fault: Fault) -> String {
    match fault {
        Fault::Unterminated => "the file ends without a line break".to_owned(),
        Fault::TooLong { limit } => format!("longer than {limit} bytes, the most that is read as one entry"),
        Fault::Unbalanced => "truncated: a JSON document that does not end".to_owned(),
        Fault::Hole => "nothing but NUL bytes: a hole in the file".to_owned(),
    }
}

pub(super) fn reject<S: Sink + ?Sized>(position: Position, reason: String, sink: &mut S) {
    sink.reject(Reject { position, reason });
}
