//! Spellings of Go's standard library that Kubernetes' and etcd's logs are made of.

use std::borrow::Cow;

use auditgap_records::Text;

/// Length of the quoted string that `text` begins with, both quotes included; `None` if it does not begin with a
/// quote or never ends.
pub(crate) fn quoted_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let mut from = 1;
    loop {
        let found = memchr::memchr2(b'"', b'\\', bytes.get(from..)?)?;
        let at = from + found;
        if bytes.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        from = at + 2;
    }
}

/// What `strconv.Quote` made, without its quotes, back to text. Unknown escapes stay as they are; bytes that are no
/// UTF-8 are replaced.
pub(crate) fn unescape(inner: &str) -> Text<'_> {
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest.get(at + 1..).unwrap_or_default();
        let used = push_escape(&mut bytes, escape);
        rest = escape.get(used..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    match String::from_utf8(bytes) {
        Ok(text) => Cow::Owned(text),
        Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

/// Decodes the escape behind a backslash and returns how many bytes of it were used.
fn push_escape(bytes: &mut Vec<u8>, escape: &str) -> usize {
    let Some(kind) = escape.bytes().next() else {
        bytes.push(b'\\');
        return 0;
    };
    let simple = match kind {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' | b'"' | b'\'' => kind,
        b'x' => return push_number(bytes, escape, 1, 2, 16),
        b'u' => return push_number(bytes, escape, 1, 4, 16),
        b'U' => return push_number(bytes, escape, 1, 8, 16),
        b'0'..=b'7' => return push_number(bytes, escape, 0, 3, 8),
        _ => {
            bytes.push(b'\\');
            return 0;
        }
    };
    bytes.push(simple);
    1
}

/// Decodes a numeric escape: up to three digits make a byte, more a character.
fn push_number(bytes: &mut Vec<u8>, escape: &str, skip: usize, width: usize, radix: u32) -> usize {
    let end = skip + width;
    let number = escape.get(skip..end).and_then(|digits| u32::from_str_radix(digits, radix).ok());
    let Some(number) = number else {
        bytes.push(b'\\');
        return 0;
    };
    if width <= 3 {
        bytes.push(number as u8);
    } else {
        let character = char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER);
        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    end
}

/// A `time.Duration` as it prints itself (`1h2m3.5s`, `147.943µs`), in nanoseconds. `None` if it is none.
pub(crate) fn duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0_i64;
    while !rest.is_empty() {
        let split = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, tail) = rest.split_at(split);
        let (unit, length) = unit(tail)?;
        total = total.checked_add(scaled(number, unit)?)?;
        rest = tail.get(length..)?;
    }
    (!text.is_empty()).then_some(sign * total)
}

/// Nanoseconds of the unit that `text` begins with, and its length. Both spellings of micro are in use.
fn unit(text: &str) -> Option<(i64, usize)> {
    [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ]
    .into_iter()
    .find(|(name, _)| text.starts_with(name))
    .map(|(name, nanos)| (nanos, name.len()))
}

/// A decimal number times a unit, without the rounding of floating point.
fn scaled(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut total = whole.parse::<i64>().ok()?.checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        total = total.checked_add(place * i64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?))?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_go() {
        for (inner, expected) in [
            ("plain µ", "plain µ"),
            (r#"pods \"x\" not found"#, r#"pods "x" not found"#),
            (r"a\tb\nc\\d", "a\tb\nc\\d"),
            (r"\x41\101\u00b5\U0001F600", "AAµ😀"),
            (r"\xff", "\u{fffd}"),
            (r"\q\x4", r"\q\x4"),
            ("end\\", "end\\"),
        ] {
            assert_eq!(unescape(inner), expected, "{inner}");
        }
    }

    #[test]
    fn quoted_strings_end_at_the_first_bare_quote() {
        for (text, expected) in [
            (r#""a\"b" c"#, Some(6)),
            (r#""""#, Some(2)),
            (r#""open"#, None),
            (r#""open\"#, None),
            ("bare", None),
        ] {
            assert_eq!(quoted_length(text), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_exact() {
        for (text, expected) in [
            ("147.943µs", Some(147_943)),
            ("1.27\u{3bc}s", Some(1_270)),
            ("5m2.1s", Some(302_100_000_000)),
            ("7m30.632996741s", Some(450_632_996_741)),
            ("1h0m0s", Some(3_600_000_000_000)),
            ("-2ms", Some(-2_000_000)),
            ("0s", Some(0)),
            ("12", None),
            ("", None),
            ("99999999999h", None),
            ("1.x2s", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
    }
}
