//! Putting together what was taken apart: entries of several lines, long lines that a container runtime cut, records
//! of one Linux audit event that stand among those of others. Bounded in number and in size.

use std::collections::BTreeMap;

use super::pipeline::Place;

/// How many texts of the greatest length may be gathered at one time.
const SHARES: usize = 4;

/// Texts being gathered, by the stream or the event they belong to.
#[derive(Debug)]
pub(super) struct Gathering {
    open: BTreeMap<String, Pending>,
    /// Most texts that are gathered at one time; beyond, the oldest is taken as whole.
    most: usize,
    /// Longest text, in bytes.
    longest: usize,
    /// Bytes of all texts together, of which there may be [`SHARES`] times the longest.
    held: usize,
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
        Self { open: BTreeMap::new(), most: most.max(1), longest, held: 0, begun: 0 }
    }

    /// Begins a text. Returns what is whole by that: the stream's text before, or the oldest one of all.
    pub(super) fn begin(&mut self, stream: &str, text: &str, place: Place) -> Option<Gathered> {
        self.begun += 1;
        let mut pending = Pending { text: String::new(), place, too_long: false, serial: self.begun };
        if let Some(open) = self.open.get_mut(stream) {
            self.held -= open.text.len();
            pending.append("", text, room(self.longest, self.held));
            self.held += pending.text.len();
            return Some(std::mem::replace(open, pending).finish());
        }
        let evicted = if self.open.len() >= self.most { self.take_oldest() } else { None };
        pending.append("", text, room(self.longest, self.held));
        self.held += pending.text.len();
        self.open.insert(stream.to_owned(), pending);
        evicted
    }

    /// Continues the stream's text; false if none is being gathered.
    pub(super) fn append(&mut self, stream: &str, separator: &str, text: &str, place: Place) -> bool {
        let Some(pending) = self.open.get_mut(stream) else { return false };
        self.held -= pending.text.len();
        pending.append(separator, text, room(self.longest, self.held));
        self.held += pending.text.len();
        pending.place.extend(place);
        true
    }

    /// Takes the stream's text as whole.
    pub(super) fn take(&mut self, stream: &str) -> Option<Gathered> {
        let pending = self.open.remove(stream)?;
        self.held -= pending.text.len();
        Some(pending.finish())
    }

    /// Takes the text that began first.
    pub(super) fn take_oldest(&mut self) -> Option<Gathered> {
        let oldest =
            self.open.iter().min_by_key(|(_, pending)| pending.serial).map(|(stream, _)| stream.clone())?;
        self.take(&oldest)
    }
}

/// The most bytes that a text may have beside others that hold `held`.
fn room(longest: usize, held: usize) -> usize {
    longest.min(longest.saturating_mul(SHARES).saturating_sub(held))
}

impl Pending {
    fn append(&mut self, separator: &str, text: &str, most: usize) {
        if self.too_long || self.text.len() + separator.len() + text.len() > most {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { position: auditgap_records::Position::default(), seen: None, unterminated: false }
    }

    #[test]
    fn neither_one_text_nor_all_together_grow_without_end() {
        let mut gathering = Gathering::new(100, 10);
        for stream in 0..20 {
            assert!(gathering.begin(&stream.to_string(), "12345", place()).is_none());
        }
        assert!(gathering.held <= 10 * SHARES);
        for stream in 0..20 {
            gathering.append(&stream.to_string(), "\n", "67890", place());
        }
        assert!(gathering.held <= 10 * SHARES);
        let whole: Vec<bool> =
            std::iter::from_fn(|| gathering.take_oldest()).map(|gathered| !gathered.too_long).collect();
        assert_eq!((whole.len(), gathering.held), (20, 0));
        assert!(whole.iter().all(|whole| !whole), "eleven bytes are too long for each");

        gathering.begin("a", "12345", place());
        gathering.append("a", "", "67890", place());
        assert_eq!(gathering.take("a").map(|gathered| gathered.text).as_deref(), Some("1234567890"));
    }
}
