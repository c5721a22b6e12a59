//! Putting together what was taken apart: entries of several lines, long lines that a container runtime cut, records
//! of one Linux audit event that stand among those of others. Bounded in number and in size.

use std::collections::BTreeMap;

use super::pipeline::Place;

/// Texts being gathered, by the stream or the event they belong to.
#[derive(Debug)]
pub(super) struct Gathering {
    open: BTreeMap<String, Pending>,
    /// Most texts that are gathered at one time; beyond, the oldest is taken as whole.
    most: usize,
    /// Longest text, in bytes.
    longest: usize,
    /// Counts texts, to know the oldest.
    begun: u64,
}

#[derive(Debug)]
struct Pending {
    text: String,
    place: Place,
    too_long: bool,
    serial: u64,
}

/// A gathered text, or the fact that it was too long to be kept.
#[derive(Debug)]
pub(super) struct Gathered {
    /// The text; empty if too long.
    pub(super) text: String,
    /// Where it began.
    pub(super) place: Place,
    /// It was too long to be kept.
    pub(super) too_long: bool,
}

impl Gathering {
    pub(super) fn new(most: usize, longest: usize) -> Self {
        Self { open: BTreeMap::new(), most: most.max(1), longest, begun: 0 }
    }

    /// Begins a text. Returns what is whole by that: the stream's text before, or the oldest one of all.
    pub(super) fn begin(&mut self, stream: &str, text: &str, place: Place) -> Option<Gathered> {
        self.begun += 1;
        let mut pending = Pending { text: String::new(), place, too_long: false, serial: self.begun };
        pending.append("", text, self.longest);
        if let Some(before) = self.open.get_mut(stream) {
            return Some(std::mem::replace(before, pending).finish());
        }
        let evicted = if self.open.len() >= self.most { self.take_oldest() } else { None };
        self.open.insert(stream.to_owned(), pending);
        evicted
    }

    /// Continues the stream's text; false if none is being gathered.
    pub(super) fn append(&mut self, stream: &str, separator: &str, text: &str, place: Place) -> bool {
        let Some(pending) = self.open.get_mut(stream) else { return false };
        pending.append(separator, text, self.longest);
        pending.place.extend(place);
        true
    }

    /// Takes the stream's text as whole.
    pub(super) fn take(&mut self, stream: &str) -> Option<Gathered> {
        self.open.remove(stream).map(Pending::finish)
    }

    /// Takes the text that began first.
    pub(super) fn take_oldest(&mut self) -> Option<Gathered> {
        let oldest =
            self.open.iter().min_by_key(|(_, pending)| pending.serial).map(|(stream, _)| stream.clone())?;
        self.take(&oldest)
    }
}

impl Pending {
    fn append(&mut self, separator: &str, text: &str, longest: usize) {
        if self.too_long || self.text.len() + separator.len() + text.len() > longest {
            self.too_long = true;
            self.text = String::new();
            return;
        }
        self.text.push_str(separator);
        self.text.push_str(text);
    }

    fn finish(self) -> Gathered {
        Gathered { text: self.text, place: self.place, too_long: self.too_long }
    }
}
