//! Reading JSON forward, value by value, without building a tree.
//!
//! serde derives the same from a struct, at half the speed on audit events: most of an event is keys in a known set
//! and short strings, and what is not needed can be skipped unread. The structure that is read is checked; what is
//! skipped is only looked at for where it ends. Nothing recurses, so depth costs no stack.

use std::borrow::Cow;

use auditgap_records::Text;
use memchr::memchr;

/// A place in a JSON text. Every method gives `None` where the text is not what was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where reading stopped, in bytes.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Whether nothing but space is left.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Goes through the members of an object. `each` reads the value, whose key it is given as it stands, escapes
    /// included. `null` has no members.
    #[inline]
    pub(crate) fn object(&mut self, mut each: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        if self.peek()? == b'n' {
            return self.null();
        }
        self.eat(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.eat(b'"')?;
            let (key, _) = self.rest_of_string()?;
            self.eat(b':')?;
            each(self, key)?;
            if self.next_of(b'}')? {
                return Some(());
            }
        }
    }

    /// Goes through the elements of an array. `each` reads one. `null` has none.
    #[inline]
    pub(crate) fn array(&mut self, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        if self.peek()? == b'n' {
            return self.null();
        }
        self.eat(b'[')?;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            each(self)?;
            if self.next_of(b']')? {
                return Some(());
            }
        }
    }

    /// A string, borrowed where nothing is escaped. `null` reads as empty.
    #[inline]
    pub(crate) fn string(&mut self) -> Option<Text<'a>> {
        if self.peek()? == b'n' {
            self.null()?;
            return Some(Cow::Borrowed(""));
        }
        self.eat(b'"')?;
        let (inner, escaped) = self.rest_of_string()?;
        if escaped {
            return decode(inner).map(Cow::Owned);
        }
        Some(Cow::Borrowed(inner))
    }

    /// A whole number.
    #[inline]
    pub(crate) fn integer(&mut self) -> Option<i64> {
        self.raw()?.parse().ok()
    }

    /// Any value, unread.
    #[inline]
    pub(crate) fn raw(&mut self) -> Option<&'a str> {
        self.peek()?;
        let start = self.at;
        self.skip()?;
        self.text.get(start..self.at)
    }

    /// Goes past any value.
    pub(crate) fn skip(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        match self.peek()? {
            b'"' => {
                self.at += 1;
                self.rest_of_string().map(|_| ())
            }
            b'{' | b'[' => {
                let mut depth = 0_usize;
                loop {
                    match bytes.get(self.at)? {
                        b'"' => {
                            self.at += 1;
                            self.rest_of_string()?;
                            continue;
                        }
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => {
                            depth -= 1;
                            if depth == 0 {
                                self.at += 1;
                                return Some(());
                            }
                        }
                        _ => {}
                    }
                    self.at += 1;
                }
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                while bytes
                    .get(self.at)
                    .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.'))
                {
                    self.at += 1;
                }
                Some(())
            }
            _ => None,
        }
    }

    /// The next byte that is no space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    #[inline]
    fn eat(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// Goes past a comma (`false`) or the closing bracket (`true`).
    #[inline]
    fn next_of(&mut self, close: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == close {
            return Some(true);
        }
        (byte == b',').then_some(false)
    }

    #[cold]
    fn null(&mut self) -> Option<()> {
        self.text.get(self.at..)?.starts_with("null").then(|| self.at += 4)
    }

    /// The rest of a string behind its opening quote, as it stands, and whether anything in it is escaped.
    #[inline]
    fn rest_of_string(&mut self) -> Option<(&'a str, bool)> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut escaped = false;
        loop {
            let end = quote_or_backslash(bytes, self.at)?;
            if bytes[end] == b'"' {
                self.at = end + 1;
                return Some((self.text.get(start..end)?, escaped));
            }
            escaped = true;
            self.at = end + 2;
        }
    }
}

/// Decodes what stands between the quotes of a string. What is no Unicode (half a surrogate pair) makes it `None`.
fn decode(inner: &str) -> Option<String> {
    let mut decoded = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        let letter = match rest.as_bytes().get(at + 1)? {
            letter @ (b'"' | b'\\' | b'/') => char::from(*letter),
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            // Every reason of an authorisation has escaped quotes; anything else is rare.
            _ => return serde_json::from_str(&format!("\"{inner}\"")).ok(),
        };
        decoded.push_str(rest.get(..at)?);
        decoded.push(letter);
        rest = rest.get(at + 2..)?;
    }
    decoded.push_str(rest);
    Some(decoded)
}

/// The first quote or backslash from `at` on. Eight bytes are looked at in one step: strings are mostly too short for
/// a vectorised search to pay off.
#[inline]
fn quote_or_backslash(bytes: &[u8], mut at: usize) -> Option<usize> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
    let zeros = |word: u64| word.wrapping_sub(EACH) & !word & HIGH;
    while let Some(chunk) = bytes.get(at..)?.first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let found = zeros(word ^ QUOTES) | zeros(word ^ BACKSLASHES);
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    bytes.get(at..)?.iter().position(|byte| matches!(byte, b'"' | b'\\')).map(|found| at + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_forward() {
        let mut reader =
            Reader::new(r#" {"a" : "x\n\"y" ,"b":[1, "two",null],"c":{"d":[{"]":"}"}]},"e":-12,"f":null} "#);
        let mut seen = Vec::new();
        reader
            .object(|reader, key| {
                match key {
                    "a" | "f" => seen.push(reader.string()?.into_owned()),
                    "b" => reader.array(|reader| {
                        seen.push(reader.raw()?.to_owned());
                        Some(())
                    })?,
                    "e" => seen.push(reader.integer()?.to_string()),
                    _ => reader.skip()?,
                }
                Some(())
            })
            .unwrap();
        assert!(reader.is_at_end());
        assert_eq!(seen, ["x\n\"y", "1", "\"two\"", "null", "-12", ""]);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":\"",
            "{\"a\":[}",
            "[1]",
            "nul",
            "{\"a\":[1,{}",
        ] {
            assert_eq!(Reader::new(text).object(|reader, _| reader.skip()), None, "{text}");
        }
    }
}
