//! What a file is, by its content. Its name counts only where the content leaves a choice.

mod component;
mod signature;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(crate) use signature::{Signature, of as signature_of};

use crate::decompress::{self, Compression};
use crate::envelope::{self, Envelope};
use crate::format::Format;
use crate::framing::{Cut, DocumentCutter, Fault, Framing, LineCutter, for_each_line};
use crate::shape::shape_of;

/// Decompressed bytes that are looked at.
pub const HEAD: usize = 256 << 10;

/// What a file was recognised as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    /// The format of the entries.
    pub format: Format,
    /// What they are wrapped in, from the outside.
    pub envelopes: Vec<Envelope>,
    /// How the file is cut into entries.
    pub framing: Framing,
    /// How it is compressed.
    pub compression: Compression,
    /// Other formats seen in the file, as in a journal of several units. Each is read by a pass of its own; see
    /// [`Detection::of_other`].
    pub others: Vec<Format>,
}

impl Detection {
    /// The format with its envelopes, as reports show it.
    pub fn describe(&self) -> String {
        let mut words = self.format.as_str().to_owned();
        // What a webhook sent comes in batches, and the last one is lost with its sender.
        if self.format == Format::AuditJson && self.framing == (Framing::Documents { list: Some("items") }) {
            words.push_str(", EventList");
        }
        for envelope in self.envelopes.iter().rev() {
            words.push_str(" in ");
            words.push_str(envelope.as_str());
        }
        if self.compression != Compression::None {
            words.push_str(", ");
            words.push_str(self.compression.as_str());
        }
        words
    }

    /// The same file read for one of its other formats.
    #[must_use]
    pub fn of_other(&self, format: Format) -> Self {
        Self { format, others: Vec::new(), ..self.clone() }
    }

    /// Whether each line is one entry that [`crate::parse_audit_lines`] reads, so that chunks of whole lines may be
    /// read by several threads.
    pub fn is_audit_lines(&self) -> bool {
        self.format == Format::AuditJson && self.envelopes.is_empty() && self.framing == Framing::Lines
    }
}

/// A file that is no log of a known format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrecognised {
    /// How it is compressed.
    pub compression: Compression,
    /// The shape of its first lines.
    pub shape: String,
}

/// Recognises a file by its first raw bytes; some 256 KiB of them are enough. `name` breaks a tie between components
/// that write the same format.
pub fn detect(head: &[u8], name: &str) -> Result<Detection, Unrecognised> {
    let compression = Compression::of(head);
    let expanded;
    let head = match compression {
        Compression::None => head,
        Compression::Gzip | Compression::Zstd => {
            expanded = decompress::head_of(head, HEAD);
            &expanded
        }
    };
    let head = &head[..head.len().min(HEAD)];
    let framing = framing_of(head);
    let mut tally = Tally::default();
    for_each_cut(head, &framing, |text| tally.count(text, name));
    match tally.decide() {
        Some((envelopes, format, others)) => {
            Ok(Detection { format, envelopes, framing, compression, others })
        }
        None => Err(Unrecognised {
            compression,
            shape: shape_of(&String::from_utf8_lossy(&head[..head.len().min(512)])),
        }),
    }
}

/// How the file is cut into entries, judged by its first document.
fn framing_of(head: &[u8]) -> Framing {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches(['\u{feff}', '\0', ' ', '\t', '\r', '\n']);
    let documents = Framing::Documents { list: None };
    if let Some(array) = text.strip_prefix('[') {
        let begins_value = array.trim_start().starts_with(['{', '[', '"']);
        return if begins_value { documents } else { Framing::Lines };
    }
    if !text.starts_with('{') {
        return Framing::Lines;
    }
    if let Some((list, _)) = envelope::list_member(text) {
        return Framing::Documents { list: Some(list) };
    }
    // An array of one element is the cheapest way to find the end of the first document.
    let mut cutter = DocumentCutter::new(0, HEAD, None);
    let mut first = None;
    cutter.feed(text.as_bytes(), |cut| {
        first.get_or_insert((cut.bytes.len(), cut.bytes.contains(&b'\n'), cut.fault));
    });
    match first {
        // Broken, or a line too long to be seen whole.
        None | Some((_, _, Some(_))) => {
            let line = text.find('\n').unwrap_or(text.len());
            let more = text[line..].trim_start();
            if more.is_empty() || more.starts_with('{') { Framing::Lines } else { documents }
        }
        Some((_, true, None)) => documents,
        Some((end, false, None)) => {
            let rest = text[end..].trim_start_matches([' ', '\t', '\r']);
            if rest.is_empty() || rest.starts_with('\n') { Framing::Lines } else { documents }
        }
    }
}

/// Cuts the head as the parser will cut the file. The last entry may be incomplete.
pub(crate) fn for_each_cut(head: &[u8], framing: &Framing, mut each: impl FnMut(&str)) {
    let mut take = |cut: Cut<'_>| {
        if matches!(cut.fault, None | Some(Fault::Unterminated | Fault::Unbalanced)) {
            each(&String::from_utf8_lossy(cut.bytes));
        }
    };
    match framing {
        Framing::Lines => {
            let mut cutter = LineCutter::new(0, HEAD);
            let mut emit = |window: Result<crate::framing::Window<'_>, Cut<'_>>| match window {
                Ok(window) => for_each_line(window, HEAD, &mut take),
                Err(cut) => take(cut),
            };
            cutter.feed(head, &mut emit);
            cutter.finish(&mut emit);
        }
        Framing::Documents { list } => {
            let mut cutter = DocumentCutter::new(0, HEAD, *list);
            cutter.feed(head, &mut take);
            cutter.finish(&mut take);
        }
    }
}

/// Kinds of entry that are counted apart; a component's own format comes out of its votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Format(Format),
    Klog,
    Logrus,
}

#[derive(Default)]
struct Tally<'n> {
    lines: u64,
    /// Events that an API server failed to store follow: it quotes them in its own log.
    quotes: bool,
    counts: BTreeMap<(Vec<Envelope>, Kind), Votes>,
    name: Option<&'n str>,
}

#[derive(Default)]
struct Votes {
    lines: u64,
    components: BTreeMap<Format, u64>,
}

impl<'n> Tally<'n> {
    fn count(&mut self, text: &str, name: &'n str) {
        self.name = Some(name);
        // Indented lines continue others: stack traces, values of several lines.
        if !text.starts_with([' ', '\t']) {
            self.lines += 1;
        }
        let mut chain = Vec::new();
        self.look(text, &mut chain);
    }

    fn look(&mut self, text: &str, chain: &mut Vec<Envelope>) {
        let (kind, component) = match signature_of(text) {
            None => {
                self.quotes = text.trim_end() == "Impacted events:";
                return;
            }
            Some(Signature::Envelope(kind)) => {
                if chain.len() < envelope::MAX_DEPTH {
                    chain.push(kind);
                    // A few entries of a list speak for all of it.
                    for inner in envelope::open(kind, text).unwrap_or_default().iter().take(32) {
                        self.look(&inner.text, chain);
                    }
                    chain.pop();
                }
                return;
            }
            Some(Signature::Format(Format::AuditLegacy)) if self.quotes => {
                self.lines = self.lines.saturating_sub(1);
                return;
            }
            Some(Signature::Format(format)) => (Kind::Format(format), None),
            Some(Signature::Klog(component)) => (Kind::Klog, component),
            Some(Signature::Logrus(component)) => (Kind::Logrus, component),
        };
        self.quotes = false;
        let votes = self.counts.entry((chain.clone(), kind)).or_default();
        votes.lines += 1;
        if let Some(component) = component {
            *votes.components.entry(component).or_default() += 1;
        }
    }

    /// Events that an API server could not store are listed within its own log's entry about that, and its log may
    /// begin amid such a list: they are no log of their own.
    fn forget_listed_events(&mut self) {
        let is_api_server = |kind: Kind, votes: &Votes| {
            kind == Kind::Klog && self.format_of(kind, votes) == Format::ApiServer
        };
        let of_api_server = self.counts.iter().filter(|((_, kind), votes)| is_api_server(*kind, votes));
        let listed: Vec<_> =
            of_api_server.map(|((chain, _), _)| (chain.clone(), Kind::Format(Format::AuditLegacy))).collect();
        for key in listed {
            let votes = self.counts.remove(&key).map_or(0, |votes| votes.lines);
            self.lines = self.lines.saturating_sub(votes);
        }
    }

    fn decide(mut self) -> Option<(Vec<Envelope>, Format, Vec<Format>)> {
        self.forget_listed_events();
        // Entries of many lines leave many lines that tell nothing; a page of prose that quotes a log line leaves more.
        let enough = |votes: &Votes| {
            votes.lines * 20 >= self.lines && (self.lines > 40 || votes.lines * 4 >= self.lines)
        };
        let mut found: Vec<_> = self.counts.iter().filter(|(_, votes)| enough(votes)).collect();
        // The clouds put audit events and the components' own lines into one stream: the events are what is wanted.
        let is_audit = |kind: Kind| matches!(kind, Kind::Format(Format::AuditJson | Format::AuditGke));
        found.sort_by_key(|((_, kind), votes)| (!is_audit(*kind), std::cmp::Reverse(votes.lines)));
        let mut formats: Vec<Format> = Vec::new();
        for ((_, kind), votes) in &found {
            let format = self.format_of(*kind, votes);
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        let ((chain, _), _) = found.first()?;
        let mut formats = formats.into_iter();
        let format = formats.next()?;
        Some((chain.clone(), format, formats.filter(|format| format.kind().is_some()).collect()))
    }

    fn format_of(&self, kind: Kind, votes: &Votes) -> Format {
        let fallback = match kind {
            Kind::Format(format) => return format,
            Kind::Klog => Format::OtherKlog,
            Kind::Logrus => Format::Containerd,
        };
        let best = votes.components.iter().max_by_key(|(_, count)| **count).map(|(format, _)| *format);
        let named = || self.name.and_then(component::of_name);
        best.or_else(named).unwrap_or(fallback)
    }
}
