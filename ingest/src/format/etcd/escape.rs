//! The escapes within quoted text: protobuf's text form (three-digit octal, or `\xNN`) and Go's `%q`.

/// Decodes a quoted text's inside. Bytes that are not UTF-8 are replaced, since keys are shown and compared as text.
pub(crate) fn unescape(escaped: &str) -> String {
    if !escaped.contains('\\') {
        return escaped.to_owned();
    }
    let mut bytes = Vec::with_capacity(escaped.len());
    each_piece(escaped, |piece| bytes.extend_from_slice(piece));
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

/// How many bytes a quoted text's inside stands for. Nothing is decoded: for values, of which only the length may be
/// known.
pub(crate) fn unescaped_len(escaped: &str) -> u64 {
    let mut length = 0;
    each_piece(escaped, |piece| length += piece.len() as u64);
    length
}

/// Splits a quoted text at its first unescaped quote: the inside, still escaped, and what follows the quote. `None` if
/// the text does not begin with a quote; an unclosed text reaches to the end.
pub(crate) fn split_quoted(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('"')?;
    let mut from = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', inside.as_bytes().get(from..)?) {
        let at = from + found;
        if inside.as_bytes()[at] == b'"' {
            return Some((&inside[..at], &inside[at + 1..]));
        }
        // A backslash and what it escapes; the escaped character may be the last byte or the first of several.
        from = (at + 2).min(inside.len());
    }
    Some((inside, ""))
}

fn each_piece(escaped: &str, mut piece: impl FnMut(&[u8])) {
    let mut rest = escaped.as_bytes();
    while let Some(at) = memchr::memchr(b'\\', rest) {
        piece(&rest[..at]);
        rest = &rest[at + 1..];
        rest = match rest {
            [digit @ b'0'..=b'7', ..] => {
                let width = rest.iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                let number = rest[1..width]
                    .iter()
                    .fold(u32::from(digit - b'0'), |n, byte| n * 8 + u32::from(byte - b'0'));
                piece(&[number as u8]);
                &rest[width..]
            }
            [b'x' | b'X', tail @ ..] => {
                let (number, after) = hexadecimal(tail, 2);
                piece(&[number as u8]);
                after
            }
            [b'u', tail @ ..] => {
                let (number, after) = hexadecimal(tail, 4);
                piece(utf8(number, &mut [0; 4]));
                after
            }
            [b'U', tail @ ..] => {
                let (number, after) = hexadecimal(tail, 8);
                piece(utf8(number, &mut [0; 4]));
                after
            }
            [letter, tail @ ..] => {
                piece(&[match letter {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'a' => 7,
                    b'b' => 8,
                    b'v' => 11,
                    b'f' => 12,
                    other => *other,
                }]);
                tail
            }
            [] => rest,
        };
    }
    piece(rest);
}

fn hexadecimal(text: &[u8], width: usize) -> (u32, &[u8]) {
    let digits = text.iter().take(width).map_while(|byte| char::from(*byte).to_digit(16));
    let (count, number) =
        digits.fold((0, 0_u32), |(count, number), digit| (count + 1, (number << 4) | digit));
    (number, &text[count..])
}

fn utf8(number: u32, buffer: &mut [u8; 4]) -> &[u8] {
    char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(buffer).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::{split_quoted, unescape, unescaped_len};

    #[test]
    fn every_escape_becomes_its_bytes() {
        for (escaped, expected) in [
            ("/registry/pods/a/b", "/registry/pods/a/b"),
            (r"caf\303\251", "café"),
            (r"caf\xc3\xA9", "café"),
            (r"caf\u00e9", "café"),
            (r"\U0001F600", "😀"),
            (r#"a\"b\\c\n\r\t"#, "a\"b\\c\n\r\t"),
            (r"\000\0017", "\0\u{1}7"),
            (r"\377", "\u{fffd}"),
            ("end\\", "end"),
            (r"\x", "\0"),
        ] {
            assert_eq!(unescape(escaped), expected, "{escaped}");
        }
    }

    #[test]
    fn the_length_of_a_value_counts_bytes() {
        assert_eq!(unescaped_len(r"k8s\000\n\025"), 6);
        assert_eq!(unescaped_len(""), 0);
        assert_eq!(unescaped_len(r"\377\376"), 2);
    }

    #[test]
    fn a_quoted_text_ends_at_its_unescaped_quote() {
        assert_eq!(split_quoted(r#""a\"b" rest"#), Some((r#"a\"b"#, " rest")));
        assert_eq!(split_quoted(r#""a\\" rest"#), Some((r"a\\", " rest")));
        assert_eq!(split_quoted("\"open"), Some(("open", "")));
        assert_eq!(split_quoted("\"open\\"), Some(("open\\", "")));
        assert_eq!(split_quoted("\"a\\é\"b"), Some(("a\\é", "b")));
        assert_eq!(split_quoted("none"), None);
    }
}
