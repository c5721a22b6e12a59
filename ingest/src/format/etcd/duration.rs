//! Durations as Go prints them: `654.869µs`, `1.146693ms`, `1m2.5s`, `0s`.

/// Nanoseconds of a Go duration; `None` if the text is not one. Saturates.
pub(crate) fn nanos(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.is_empty() {
        return None;
    }
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0_i64;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, after) = tail.split_at(unit_end);
        total = total.saturating_add(scaled(number, unit_nanos(unit)?)?);
        rest = after;
    }
    Some(if negative { -total } else { total })
}

fn unit_nanos(unit: &str) -> Option<i64> {
    Some(match unit {
        "ns" => 1,
        // U+00B5 is what Go prints, U+03BC what some re-encoders make of it.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// A decimal number times a unit, in integers so that no nanosecond is lost.
fn scaled(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut total = 0_i64;
    for digit in whole.bytes() {
        total =
            total.saturating_mul(10).saturating_add(i64::from(digit.checked_sub(b'0').filter(|d| *d < 10)?));
    }
    total = total.saturating_mul(unit);
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        total = total.saturating_add(place * i64::from(digit.checked_sub(b'0').filter(|d| *d < 10)?));
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::nanos;

    #[test]
    fn go_durations_are_read_to_the_nanosecond() {
        for (text, expected) in [
            ("0s", Some(0)),
            ("1ns", Some(1)),
            ("654.869µs", Some(654_869)),
            ("1.146693ms", Some(1_146_693)),
            ("112.9ms", Some(112_900_000)),
            ("1m2.5s", Some(62_500_000_000)),
            ("2h0m0.000000001s", Some(7_200_000_000_001)),
            ("-3ms", Some(-3_000_000)),
            ("99999999999h", Some(i64::MAX)),
            ("", None),
            ("5", None),
            ("ms", None),
            (".s", None),
            ("1.2.3s", None),
            ("7 parsecs", None),
        ] {
            assert_eq!(nanos(text), expected, "{text}");
        }
    }
}
