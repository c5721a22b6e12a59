//! How far a watcher's clock is from the API server's.

use std::collections::BTreeMap;
use std::time::Duration;

/// Pairs below which nothing is concluded.
const ENOUGH: usize = 8;

/// Pairs kept per feed.
const KEPT: usize = 512;

/// Offsets smaller than this lie within the time that a request takes, whose end is all that is compared.
const NOTABLE: i64 = 10_000_000;

/// Pairs further apart than this are not a pair: no clock worth correcting is off by more.
const PLAUSIBLE: i64 = 3_600_000_000_000;

/// Time differences between revisions and the ends of the requests that made them.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    by_feed: BTreeMap<u16, Deltas>,
}

#[derive(Debug, Default)]
struct Deltas {
    nanos: Vec<i64>,
    median: Option<i64>,
    noted: u64,
}

impl Offsets {
    pub(super) fn note(&mut self, feed: u16, delta: i64, exact: bool) {
        // Only the median is used, and an inexact pair is taken only while exact ones are few.
        if delta.abs() > PLAUSIBLE {
            return;
        }
        let deltas = self.by_feed.entry(feed).or_default();
        if !exact && deltas.nanos.len() >= ENOUGH {
            return;
        }
        deltas.noted += 1;
        if deltas.nanos.len() < KEPT {
            deltas.nanos.push(delta);
        } else {
            let index = (deltas.noted as usize) % KEPT;
            deltas.nanos[index] = delta;
        }
        if deltas.noted <= KEPT as u64 || deltas.noted.is_multiple_of(64) {
            deltas.median = None;
        }
    }

    /// Nanoseconds to take off a feed's times; 0 where its clock agrees.
    pub(super) fn correction(&mut self, feed: u16) -> i64 {
        let median = self.median(feed).unwrap_or(0);
        if median.abs() < NOTABLE { 0 } else { median }
    }

    /// The median difference, if enough is known.
    pub(super) fn median(&mut self, feed: u16) -> Option<i64> {
        let deltas = self.by_feed.get_mut(&feed)?;
        if deltas.nanos.len() < ENOUGH {
            return None;
        }
        if deltas.median.is_none() {
            let mut sorted = deltas.nanos.clone();
            let middle = sorted.len() / 2;
            let (_, median, _) = sorted.select_nth_unstable(middle);
            deltas.median = Some(*median);
        }
        deltas.median
    }

    /// Whether too little is known of a feed's clock.
    pub(super) fn is_unknown(&mut self, feed: u16) -> bool {
        self.median(feed).is_none()
    }

    /// Feeds of which something is known.
    pub(super) fn feeds(&self) -> Vec<u16> {
        self.by_feed.keys().copied().collect()
    }
}

/// Reads a duration as Go prints it (`1h0m0s`, `1.5s`, `300ms`).
pub(super) fn parse_go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let width = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest.get(..width)?.parse().ok()?;
        let unit_width =
            rest.get(width..)?.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len() - width);
        let unit = rest.get(width..width + unit_width)?;
        seconds += number
            * match unit {
                "h" => 3_600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "µs" | "us" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = rest.get(width + unit_width..)?;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations() {
        assert_eq!(parse_go_duration("1h0m0s"), Some(Duration::from_secs(3_600)));
        assert_eq!(parse_go_duration("1.5s"), Some(Duration::from_millis(1_500)));
        assert_eq!(parse_go_duration("5x"), None);
        assert_eq!(parse_go_duration("5"), None);
    }

    #[test]
    fn a_watcher_three_seconds_ahead_is_corrected_and_a_jitter_is_not() {
        let mut offsets = Offsets::default();
        for index in 0..40 {
            offsets.note(0, 3_000_000_000 + index * 1_000, true);
            offsets.note(1, index * 1_000, true);
        }
        assert!(offsets.correction(0) > 2_900_000_000);
        assert_eq!(offsets.correction(1), 0);
    }
}
