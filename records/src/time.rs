//! Event time: nanoseconds since the Unix epoch, UTC, and half-open intervals of it.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment: nanoseconds since 1970-01-01T00:00:00Z. Covers the years 1677 to 2262.
///
/// Serialised as RFC 3339 in UTC with as many fraction digits (0, 3, 6 or 9) as are needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The earliest moment that can be expressed.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest moment that can be expressed.
    pub const MAX: Self = Self(i64::MAX);

    /// From whole seconds and nanoseconds; `None` when out of range.
    pub fn from_unix(seconds: i64, nanos: u32) -> Option<Self> {
        seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(nanos)).map(Self)
    }

    /// From microseconds since the epoch; `None` when out of range.
    pub fn from_micros(micros: i64) -> Option<Self> {
        micros.checked_mul(1_000).map(Self)
    }

    /// From milliseconds since the epoch; `None` when out of range.
    pub fn from_millis(millis: i64) -> Option<Self> {
        millis.checked_mul(1_000_000).map(Self)
    }

    /// From a civil date and time in UTC; `None` when a field is out of range.
    pub fn from_civil(
        year: i64,
        month: u32,
        day: u32,
        hour: u32,
        minute: u32,
        second: u32,
        nanos: u32,
    ) -> Option<Self> {
        if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
            return None;
        }
        // 60 is a leap second; it counts as the last second's end.
        if hour > 23 || minute > 59 || second > 60 || nanos > 999_999_999 || !(1678..=2261).contains(&year) {
            return None;
        }
        let days = days_from_civil(year, month, day);
        let seconds = days * 86_400 + i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
        Self::from_unix(seconds, nanos)
    }

    /// Parses RFC 3339 and its near relatives that Kubernetes' components write: `T` or a space between date and
    /// time, 0 to 9 fraction digits, and a zone of `Z`, `+08:00` or `+0800` (zap). A missing zone reads as UTC.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() < 19 || !matches!(bytes[10], b'T' | b't' | b' ') {
            return None;
        }
        if bytes[4] != b'-' || bytes[7] != b'-' || bytes[13] != b':' || bytes[16] != b':' {
            return None;
        }
        let year = digits(&bytes[0..4])?;
        let month = digits(&bytes[5..7])?;
        let day = digits(&bytes[8..10])?;
        let hour = digits(&bytes[11..13])?;
        let minute = digits(&bytes[14..16])?;
        let second = digits(&bytes[17..19])?;
        let mut rest = &bytes[19..];
        let mut nanos = 0;
        if let [b'.' | b',', tail @ ..] = rest {
            let width = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if width == 0 {
                return None;
            }
            for index in 0..9 {
                nanos = nanos * 10 + tail[..width].get(index).map_or(0, |digit| u32::from(digit - b'0'));
            }
            rest = &tail[width..];
        }
        let offset = zone_offset(rest)?;
        let civil = Self::from_civil(i64::from(year), month, day, hour, minute, second, nanos)?;
        civil.0.checked_sub(offset.checked_mul(1_000_000_000)?).map(Self)
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// Moves forward, stopping at the end of time.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos_of(duration)))
    }

    /// Moves back, stopping at the beginning of time.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos_of(duration)))
    }

    /// Nanoseconds from `earlier` to here; negative when `earlier` is later.
    pub fn nanos_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

fn nanos_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes
        .iter()
        .try_fold(0_u32, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
}

/// Seconds east of UTC that a zone suffix says.
fn zone_offset(zone: &[u8]) -> Option<i64> {
    let (sign, rest) = match zone {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest {
        [_, _] => (digits(rest)?, 0),
        [_, _, b':', _, _] => (digits(&rest[..2])?, digits(&rest[3..])?),
        [_, _, _, _] => (digits(&rest[..2])?, digits(&rest[2..])?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then(|| sign * (i64::from(hours) * 3_600 + i64::from(minutes) * 60))
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from the epoch to a civil date, by counting years from March so that the leap day comes last.
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        self.saturating_add(duration)
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        self.saturating_sub(duration)
    }
}

/// Owns nothing, so it is its own static form.
impl bounded_static::ToBoundedStatic for Timestamp {
    type Static = Self;
    fn to_static(&self) -> Self {
        *self
    }
}

impl bounded_static::IntoBoundedStatic for Timestamp {
    type Static = Self;
    fn into_static(self) -> Self {
        self
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.rem_euclid(1_000_000_000) as u32;
        let Some(moment) = chrono::DateTime::from_timestamp(self.unix_seconds(), nanos) else {
            return write!(formatter, "{}ns", self.0);
        };
        write!(formatter, "{}", moment.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not an RFC 3339 time")))
    }
}

/// A span of event time, `from` included, `to` excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Interval {
    /// First moment inside.
    pub from: Timestamp,
    /// First moment after.
    pub to: Timestamp,
}

impl Interval {
    /// Both ends given.
    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to }
    }

    /// Whether a moment lies inside.
    pub fn contains(self, moment: Timestamp) -> bool {
        self.from <= moment && moment < self.to
    }

    /// Whether two spans share a moment.
    pub fn overlaps(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }

    /// The same span with a margin on both sides.
    #[must_use]
    pub fn widened(self, margin: Duration) -> Self {
        Self::new(self.from - margin, self.to + margin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_time_is_the_same_moment() {
        let expected = Timestamp(1_795_433_743_583_093_000);
        for text in [
            "2026-11-23T11:35:43.583093Z",
            "2026-11-23T11:35:43.583093000Z",
            "2026-11-23 11:35:43.583093",
            "2026-11-23T19:35:43.583093+0800",
            "2026-11-23T06:35:43.583093-05:00",
        ] {
            assert_eq!(Timestamp::parse(text), Some(expected), "{text}");
        }
        assert_eq!(expected.to_string(), "2026-11-23T11:35:43.583093Z");
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "",
            "2026-11-23",
            "2026-13-23T11:35:43Z",
            "2026-02-30T11:35:43Z",
            "2026-11-23T11:35:43.Z",
            "2026-11-23T11:35:43X",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn civil_dates_agree_with_chrono() {
        for seconds in (-4_000_000_000_i64..8_000_000_000).step_by(86_400 * 13 + 12_345) {
            let text = Timestamp::from_unix(seconds, 0).unwrap().to_string();
            assert_eq!(Timestamp::parse(&text).unwrap().unix_seconds(), seconds, "{text}");
        }
    }
}
