//! Time stamps without year or zone (klog, capnslog, syslog): what to assume, and where it comes from.

use std::collections::BTreeMap;

use auditgap_records::{Interval, Timestamp};
use chrono::Datelike;

const SECOND: i64 = 1_000_000_000;
/// Zones differ by multiples of a quarter of an hour.
const QUARTER: i64 = 15 * 60 * SECOND;
/// The most western zone, in quarters of an hour east of UTC.
const WESTMOST: i64 = -12 * 4;
/// The most eastern zone, in quarters of an hour east of UTC.
const EASTMOST: i64 = 14 * 4;
/// A transport with stamps of whole seconds may seem to see an entry this long before it was written.
const TRANSPORT_LEAD: i64 = 2 * SECOND;
/// What a transport takes at most to see an entry, for its stamp to tell the zone of the entry's own.
const TRANSPORT_DELAY: i64 = 120 * SECOND;

/// What is assumed of a log whose time stamps are incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockHint {
    /// A moment near which the log was written; the year that brings a stamp nearest to it is taken.
    pub near: Timestamp,
    /// Seconds east of UTC of the clock that wrote the stamps.
    pub zone_seconds: i32,
}

/// A date and time of day as a log writes it, by a clock whose zone it does not say and perhaps without the year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalStamp {
    /// Year, where the format has it (capnslog).
    pub year: Option<i64>,
    /// Month, from 1.
    pub month: u32,
    /// Day of the month, from 1.
    pub day: u32,
    /// Hour.
    pub hour: u32,
    /// Minute.
    pub minute: u32,
    /// Second.
    pub second: u32,
    /// Nanoseconds within the second.
    pub nanos: u32,
}

impl LocalStamp {
    /// The moment that the stamp means. Where the transport said when it saw the entry, that decides the year, and
    /// the zone as far as it is near enough to tell; otherwise the hint does. `None` when there is no such date.
    pub fn resolve(self, hint: ClockHint, transport: Option<Timestamp>) -> Option<Timestamp> {
        let zone = i64::from(hint.zone_seconds) * SECOND;
        let near = transport.unwrap_or(hint.near);
        let local = self.nearest(Timestamp(near.0.saturating_add(zone)))?;
        let assumed = Timestamp(local.0.saturating_sub(zone));
        let Some(seen) = transport else { return Some(assumed) };
        let own = zone_of(local, seen);
        if is_prompt(assumed, seen) || own.is_none() {
            return Some(assumed);
        }
        own.map(|quarters| Timestamp(local.0.saturating_sub(quarters * QUARTER)))
    }

    /// The stamp read as UTC, in the year that brings it nearest to `near`.
    fn nearest(self, near: Timestamp) -> Option<Timestamp> {
        if let Some(year) = self.year {
            return self.in_year(year);
        }
        let year = year_of(near)?;
        // Outwards from the same year: a leap day exists only in every fourth.
        let candidates =
            [0, -1, 1, -2, 2, -3, 3, -4, 4].into_iter().filter_map(|shift| self.in_year(year + shift));
        let mut best: Option<Timestamp> = None;
        for candidate in candidates {
            let distance = candidate.0.abs_diff(near.0);
            if best.is_none_or(|held| distance < held.0.abs_diff(near.0)) {
                best = Some(candidate);
            }
            if distance < HALF_YEAR {
                break;
            }
        }
        best
    }

    fn in_year(self, year: i64) -> Option<Timestamp> {
        Timestamp::from_civil(year, self.month, self.day, self.hour, self.minute, self.second, self.nanos)
    }
}

/// Nothing in another year can be nearer than this.
const HALF_YEAR: u64 = 182 * 86_400 * SECOND as u64;

fn year_of(moment: Timestamp) -> Option<i64> {
    chrono::DateTime::from_timestamp(moment.unix_seconds(), 0).map(|date| i64::from(date.year()))
}

fn is_prompt(written: Timestamp, seen: Timestamp) -> bool {
    (-TRANSPORT_LEAD..=TRANSPORT_DELAY).contains(&seen.nanos_since(written))
}

/// The zone, in quarters of an hour east of UTC, in which `local` (a stamp read as UTC) was written promptly before
/// the transport saw it; `None` when there is none.
fn zone_of(local: Timestamp, seen: Timestamp) -> Option<i64> {
    // Half a quarter up, then down to a multiple: the nearest.
    let quarters = local.nanos_since(seen).saturating_add(QUARTER / 2).div_euclid(QUARTER);
    let written = Timestamp(local.0.saturating_sub(quarters.saturating_mul(QUARTER)));
    ((WESTMOST..=EASTMOST).contains(&quarters) && is_prompt(written, seen)).then_some(quarters)
}

/// What a first look at a file tells about its clock. Bounded: it keeps counts, not stamps.
#[derive(Clone, Debug, Default)]
pub struct ClockEvidence {
    first: Option<LocalStamp>,
    last: Option<LocalStamp>,
    /// How many transport stamps point to each zone, in quarters of an hour east of UTC.
    zones: BTreeMap<i64, u64>,
    last_seen: Option<Timestamp>,
}

impl ClockEvidence {
    /// Takes note of an entry's stamp, in the file's order. The first and the last count.
    pub fn note(&mut self, stamp: LocalStamp, transport: Option<Timestamp>) {
        self.first = self.first.or(Some(stamp));
        self.last = Some(stamp);
        let Some(seen) = transport else { return };
        self.last_seen = self.last_seen.max(Some(seen));
        if let Some(zone) = stamp.nearest(seen).and_then(|local| zone_of(local, seen)) {
            *self.zones.entry(zone).or_default() += 1;
        }
    }

    /// The clock to assume, and in words why, for the coverage notes.
    ///
    /// Transport stamps decide if four in five of them agree. Otherwise the zone in which the log overlaps
    /// `reference` (the span of a feed with unambiguous stamps): UTC if it does so at all, since a log may well
    /// cover only a part of that span. Without either it is UTC, in the year nearest to `fallback` (the file's
    /// modification time, or the newest time known).
    pub fn resolve(&self, reference: Option<Interval>, fallback: Timestamp) -> (ClockHint, String) {
        if let Some((zone, count)) = self.transport_zone() {
            let near = self.last_seen.unwrap_or(fallback);
            let words = format!("the transport's time stamps ({count} lines)");
            return self.hint(near, zone, |year, zone| format!("year {year} and {zone} taken from {words}"));
        }
        let Some(reference) = reference else {
            return self.hint(fallback, 0, |year, zone| {
                format!(
                    "year {year} and {zone} assumed: the log says neither, and nothing at hand contradicts"
                )
            });
        };
        let Some(span) = self.span(reference.to) else {
            return self.hint(reference.to, 0, |year, zone| format!("year {year} and {zone} assumed"));
        };
        if overlap(span, reference) > 0 {
            return self.hint(reference.to, 0, |year, zone| {
                format!("year {year} and {zone} assumed: so read, the log lies in the time of the audit feed")
            });
        }
        match best_zone(span, reference) {
            Some(zone) => self.hint(reference.to, zone, |year, zone| {
                format!(
                    "year {year} and {zone} assumed: read as UTC, the log would lie outside the time of the audit feed"
                )
            }),
            None => self.hint(reference.to, 0, |year, zone| {
                format!("year {year} and {zone} assumed, though no zone puts the log into the time of the audit feed")
            }),
        }
    }

    fn transport_zone(&self) -> Option<(i64, u64)> {
        let total: u64 = self.zones.values().sum();
        let (zone, count) = self.zones.iter().max_by_key(|(_, count)| **count)?;
        (count.saturating_mul(5) >= total.saturating_mul(4)).then_some((*zone, *count))
    }

    /// First to last stamp, read as UTC. A log longer than half a year cannot be told from a shorter one.
    fn span(&self, near: Timestamp) -> Option<Interval> {
        let last = self.last?.nearest(near)?;
        let first = self.first?.nearest(last)?;
        Some(Interval::new(first.min(last), Timestamp(first.max(last).0.saturating_add(1))))
    }

    fn hint(&self, near: Timestamp, zone: i64, words: impl Fn(i64, &str) -> String) -> (ClockHint, String) {
        let shift = zone * QUARTER;
        let local = self.last.and_then(|last| last.nearest(Timestamp(near.0.saturating_add(shift))));
        let near = local.map_or(near, |local| Timestamp(local.0.saturating_sub(shift)));
        let year = year_of(local.unwrap_or(near)).unwrap_or(1970);
        let zone_seconds = i32::try_from(zone * 900).unwrap_or(0);
        (ClockHint { near, zone_seconds }, words(year, &zone_name(zone)))
    }
}

/// Shared time in nanoseconds; not positive when there is none.
fn overlap(one: Interval, other: Interval) -> i64 {
    one.to.min(other.to).nanos_since(one.from.max(other.from))
}

/// The zone that makes `span` overlap `reference` most. Among equals whole hours go first, then the one by which
/// both end together, as logs do that were collected together.
fn best_zone(span: Interval, reference: Interval) -> Option<i64> {
    let read_in = |zone: i64| {
        let shift = |moment: Timestamp| Timestamp(moment.0.saturating_sub(zone * QUARTER));
        Interval::new(shift(span.from), shift(span.to))
    };
    (WESTMOST..=EASTMOST).filter(|zone| overlap(read_in(*zone), reference) > 0).min_by_key(|zone| {
        let read = read_in(*zone);
        let shared = overlap(read, reference);
        (-shared, zone % 4 != 0, read.to.0.abs_diff(reference.to.0), zone.abs())
    })
}

fn zone_name(quarters: i64) -> String {
    if quarters == 0 {
        return "UTC".to_owned();
    }
    let sign = if quarters < 0 { '-' } else { '+' };
    let minutes = quarters.abs() * 15;
    format!("UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn stamp(month: u32, day: u32, hour: u32, minute: u32) -> LocalStamp {
        LocalStamp { year: None, month, day, hour, minute, second: 0, nanos: 0 }
    }

    #[test]
    fn a_stamp_gets_the_nearest_year_and_the_hints_zone() {
        for (stamp, near, zone_hours, expected) in [
            (stamp(11, 23, 11, 0), "2026-11-23T12:00:00Z", 0, "2026-11-23T11:00:00Z"),
            (stamp(12, 31, 23, 59), "2027-01-01T00:10:00Z", 0, "2026-12-31T23:59:00Z"),
            (stamp(1, 1, 0, 1), "2026-12-31T23:50:00Z", 0, "2027-01-01T00:01:00Z"),
            (stamp(1, 1, 4, 0), "2026-12-31T20:00:00Z", 8, "2026-12-31T20:00:00Z"),
            (stamp(2, 29, 12, 0), "2027-03-01T00:00:00Z", 0, "2028-02-29T12:00:00Z"),
            (
                LocalStamp { year: Some(2020), ..stamp(5, 4, 3, 2) },
                "2026-03-01T00:00:00Z",
                0,
                "2020-05-04T03:02:00Z",
            ),
        ] {
            let hint = ClockHint { near: at(near), zone_seconds: zone_hours * 3_600 };
            assert_eq!(stamp.resolve(hint, None), Some(at(expected)), "{stamp:?} near {near}");
        }
        let hint = ClockHint { near: at("2026-11-23T12:00:00Z"), zone_seconds: 0 };
        assert_eq!(stamp(2, 30, 12, 0).resolve(hint, None), None);
    }

    #[test]
    fn a_prompt_transport_overrules_the_hint_and_a_late_one_does_not() {
        let hint = ClockHint { near: at("2020-01-01T00:00:00Z"), zone_seconds: 0 };
        for (seen, expected) in [
            ("2026-11-23T11:00:01Z", "2026-11-23T11:00:00Z"),
            ("2026-11-23T03:00:01Z", "2026-11-23T03:00:00Z"),
            ("2026-11-23T05:30:00Z", "2026-11-23T05:30:00Z"),
            ("2026-11-23T11:40:00Z", "2026-11-23T11:00:00Z"),
            ("2026-11-29T11:05:00Z", "2026-11-23T11:00:00Z"),
        ] {
            assert_eq!(stamp(11, 23, 11, 0).resolve(hint, Some(at(seen))), Some(at(expected)), "seen {seen}");
        }
    }

    #[test]
    fn evidence_chooses_year_and_zone() {
        let audit = Interval::new(at("2026-11-23T11:00:00Z"), at("2026-11-23T13:00:00Z"));
        let fallback = at("2027-02-01T00:00:00Z");
        for (first, last, reference, zone, near, words) in [
            (
                stamp(11, 23, 10, 0),
                stamp(11, 23, 11, 30),
                Some(audit),
                0,
                "2026-11-23T11:30:00Z",
                "UTC assumed: so read",
            ),
            (
                stamp(11, 23, 19, 2),
                stamp(11, 23, 20, 58),
                Some(audit),
                8,
                "2026-11-23T12:58:00Z",
                "UTC+08:00 assumed",
            ),
            (
                stamp(11, 23, 6, 58),
                stamp(11, 23, 7, 59),
                Some(audit),
                -5,
                "2026-11-23T12:59:00Z",
                "UTC-05:00 assumed",
            ),
            (stamp(6, 1, 0, 0), stamp(6, 1, 1, 0), Some(audit), 0, "2026-06-01T01:00:00Z", "though no zone"),
            (
                stamp(11, 23, 10, 0),
                stamp(11, 23, 11, 0),
                None,
                0,
                "2026-11-23T11:00:00Z",
                "year 2026 and UTC assumed",
            ),
        ] {
            let mut evidence = ClockEvidence::default();
            evidence.note(first, None);
            evidence.note(last, None);
            let (hint, note) = evidence.resolve(reference, fallback);
            assert_eq!(hint, ClockHint { near: at(near), zone_seconds: zone * 3_600 }, "{first:?} {note}");
            assert!(note.contains(words), "{note}");
        }
    }

    #[test]
    fn transport_stamps_decide_if_they_agree() {
        let mut evidence = ClockEvidence::default();
        for minute in 0..10 {
            let seen = at("2026-11-23T05:30:01Z") + std::time::Duration::from_secs(60 * u64::from(minute));
            evidence.note(stamp(11, 23, 11, minute), Some(seen));
        }
        let (hint, note) = evidence.resolve(None, at("2000-01-01T00:00:00Z"));
        assert_eq!(hint, ClockHint { near: at("2026-11-23T05:39:00Z"), zone_seconds: 19_800 });
        assert_eq!(note, "year 2026 and UTC+05:30 taken from the transport's time stamps (10 lines)");
    }
}
