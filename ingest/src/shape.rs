//! Looking at JSON without parsing it: the members of an object, the elements of an array, tolerant of a cut end.
//!
//! Recognising a format and peeling an envelope need a few members of a text that may be megabytes long, hold JSON in
//! JSON, or end in the middle. Nothing here allocates for what is skipped, and nothing recurses.

use std::borrow::Cow;

use auditgap_records::Text;
use memchr::memchr2;

/// One member of an object, or one element of an array (with an empty key).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    /// The key as it stands, escapes included.
    pub(crate) key: &'a str,
    /// The raw JSON of the value.
    pub(crate) value: &'a str,
}

/// Goes through the members of the object that `text` begins with; through nothing if it is no object.
pub(crate) fn members(text: &str) -> Members<'_> {
    Members { text, at: opened(text, b'{'), keyed: true }
}

/// Goes through the elements of the array that `text` begins with; through nothing if it is no array.
pub(crate) fn elements(text: &str) -> Members<'_> {
    Members { text, at: opened(text, b'['), keyed: false }
}

/// The raw value of a member of the object that `text` begins with.
pub(crate) fn member<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    members(text).find(|member| member.key == key).map(|member| member.value)
}

/// The text of a JSON string, borrowed where nothing is escaped. `None` if it is no whole string.
pub(crate) fn string(value: &str) -> Option<Text<'_>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str::<String>(value).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// The string of a member.
pub(crate) fn member_string<'a>(text: &'a str, key: &str) -> Option<Text<'a>> {
    member(text, key).and_then(string)
}

/// Iterator over members or elements. Ends silently where the text does.
#[derive(Clone, Debug)]
pub(crate) struct Members<'a> {
    text: &'a str,
    at: Option<usize>,
    keyed: bool,
}

fn opened(text: &str, bracket: u8) -> Option<usize> {
    let start = skip_space(text.as_bytes(), 0);
    (text.as_bytes().get(start) == Some(&bracket)).then_some(start + 1)
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let bytes = self.text.as_bytes();
        let mut at = skip_space(bytes, self.at.take()?);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
        let mut key = "";
        if self.keyed {
            if bytes.get(at) != Some(&b'"') {
                return None;
            }
            let end = skip_string(bytes, at)?;
            key = self.text.get(at + 1..end - 1)?;
            at = skip_space(bytes, end);
            if bytes.get(at) != Some(&b':') {
                return None;
            }
            at = skip_space(bytes, at + 1);
        }
        let end = skip_value(bytes, at);
        if end == at {
            return None;
        }
        self.at = Some(end);
        Some(Member { key, value: self.text.get(at..end)? })
    }
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// The end of the string that begins at `at`, after its closing quote; `None` if it does not end.
fn skip_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        let found = at + memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[found] == b'"' {
            return Some(found + 1);
        }
        at = found + 2;
    }
}

/// The end of the value that begins at `at`, or of the text if it does not end. `at` itself where no value begins.
fn skip_value(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = at;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = skip_string(bytes, at).unwrap_or(bytes.len());
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                if depth == 0 {
                    return at;
                }
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b',' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// The shape of a line that no format knows, to count such lines by: a JSON object's first keys, or the classes of
/// characters that a text begins with. Shows no word of a text, since it may be a secret.
pub(crate) fn shape_of(text: &str) -> String {
    let trimmed = text.trim_start();
    if trimmed.starts_with('{') {
        let keys: Vec<&str> =
            members(trimmed).take(8).map(|member| member.key).filter(|key| plain_key(key)).collect();
        return format!("{{{}}}", keys.join(","));
    }
    let mut shape = String::new();
    let mut last = None;
    for character in trimmed.chars().take(48) {
        let class = match character {
            'a'..='z' | 'A'..='Z' => 'a',
            '0'..='9' => '9',
            ' ' | '\t' => ' ',
            other if other.is_ascii_punctuation() => other,
            _ => '?',
        };
        if last != Some(class) {
            shape.push(class);
        }
        last = Some(class);
        if shape.len() >= 24 {
            break;
        }
    }
    shape
}

fn plain_key(key: &str) -> bool {
    key.len() <= 32
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.' | b' ' | b'@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(&str, &str)> {
        members(text).map(|member| (member.key, member.value)).collect()
    }

    #[test]
    fn members_are_found_and_a_cut_value_is_what_there_is() {
        assert_eq!(
            pairs(r#" {"a" : 1 ,"b":"x\"}","c":{"d":[1,"]"]},"e":null}"#),
            [("a", "1"), ("b", r#""x\"}""#), ("c", r#"{"d":[1,"]"]}"#), ("e", "null")]
        );
        assert_eq!(pairs(r#"{"a":1,"b":{"c":"#), [("a", "1"), ("b", r#"{"c":"#)]);
        assert_eq!(pairs(r#"{"a":1,"b":"cut"#), [("a", "1"), ("b", r#""cut"#)]);
        assert_eq!(pairs(r#"{"a":1,"b"#), [("a", "1")]);
        for text in ["", "{", "{}", "[1]", "x", "{:}", r#"{"a""#, r#"{"\"#] {
            assert_eq!(pairs(text), [], "{text}");
        }
        let values: Vec<_> = elements("[ {\"a\":1}, 2 ,\"x\" ]").map(|member| member.value).collect();
        assert_eq!(values, [r#"{"a":1}"#, "2", "\"x\""]);
    }

    #[test]
    fn a_shape_tells_no_word_of_a_text() {
        assert_eq!(shape_of("Authorization: Bearer eyJhbGciOi"), "a: a a");
        assert_eq!(shape_of(r#"{"password":"x","t":1}"#), "{password,t}");
        assert_eq!(shape_of("2026-11-23 11:00:00.5 [x]"), "9-9-9 9:9:9.9 [a]");
    }
}
