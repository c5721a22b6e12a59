//! Fields of an audit record and how their values are encoded.
//!
//! A value that a user controls is either quoted, with nothing escaped inside, or bare upper-case hex; only the quotes
//! tell which. After byte 0x1D follow fields that auditd has interpreted, with upper-case names.

use std::borrow::Cow;

use auditgap_records::Text;

/// Begins the interpreted fields of a record in the ENRICHED format.
const ENRICHED: char = '\u{1d}';

/// A field's value as it stands in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value<'a> {
    /// Without quotes or braces.
    pub(super) raw: &'a str,
    /// It stood in double quotes.
    pub(super) quoted: bool,
}

impl<'a> Value<'a> {
    /// The text of an encoded value; `None` for the words that mean there is none.
    pub(super) fn text(self) -> Option<Text<'a>> {
        if self.quoted {
            return Some(Cow::Borrowed(self.raw));
        }
        match (self.raw, self.bytes()) {
            ("" | "(null)" | "(none)" | "?", _) => None,
            (_, Some(bytes)) => Some(Cow::Owned(into_text(bytes))),
            (raw, None) => Some(Cow::Borrowed(raw)),
        }
    }

    /// The bytes of a hex value; `None` when it is not hex.
    pub(super) fn bytes(self) -> Option<Vec<u8>> {
        let digits = self.raw.as_bytes();
        let (pairs, []) = digits.as_chunks::<2>() else { return None };
        if self.quoted || pairs.is_empty() {
            return None;
        }
        pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect()
    }
}

/// Text of bytes that may not be UTF-8: what is not is replaced, never refused.
pub(super) fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Lower case is left out on purpose: auditd writes upper case only, and a bare lower-case word is a word.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The part of a record's body that the kernel wrote, and the interpreted part.
pub(super) fn split_enriched(body: &str) -> (&str, &str) {
    body.split_once(ENRICHED).unwrap_or((body, ""))
}

/// The fields of one part, in order.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a str);

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, after) = self.0.trim_start().split_once('=')?;
        // Words without a value ("op=add rule") stand before the next field's name.
        let key = key.rsplit(' ').next().unwrap_or(key);
        let close = match after.as_bytes().first() {
            Some(b'"') => Some('"'),
            Some(b'\'') => Some('\''),
            Some(b'{') => Some('}'),
            _ => None,
        };
        let quoted = close == Some('"');
        if let Some((raw, rest)) = close.and_then(|close| after[1..].split_once(close)) {
            self.0 = rest;
            return Some((key, Value { raw, quoted }));
        }
        let (raw, rest) = after.split_at(after.find([' ', '\n']).unwrap_or(after.len()));
        self.0 = rest;
        Some((key, Value { raw, quoted: false }))
    }
}

/// The first field of a name.
pub(super) fn find<'a>(part: &'a str, name: &str) -> Option<Value<'a>> {
    Fields(part).find(|(key, _)| *key == name).map(|(_, value)| value)
}
