//! What is at hand to tell a log's year and zone: its own first and last stamps, the transport's stamps, and the span
//! of a feed whose stamps are unambiguous.

use std::collections::BTreeMap;

use auditgap_records::{Interval, Timestamp};

use super::{ClockHint, EASTMOST, LocalStamp, QUARTER, WESTMOST, year_of, zone_of};
use crate::format::klog;

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
    /// Takes note of the stamps in a piece of a log: klog, plain or behind a syslog prefix, and capnslog. Lines without
    /// a stamp are passed over, and so is what the cut at either end made of a line.
    pub fn look(&mut self, piece: &str) {
        for line in piece.lines() {
            let entry = line.split_once("]: ").map_or(line, |(_, entry)| entry);
            let stamp = klog::stamp(line)
                .or_else(|| klog::stamp(entry))
                .or_else(|| dated(line))
                .or_else(|| dated(entry));
            if let Some(stamp) = stamp {
                self.note(stamp, None);
            }
        }
    }

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

/// `2026-11-23 11:00:00.076462 `, as capnslog begins: with the year, without a zone.
fn dated(line: &str) -> Option<LocalStamp> {
    let (date, rest) = line.split_once(' ')?;
    let (time, _) = rest.split_once(' ')?;
    let mut date = date.splitn(3, '-');
    let (time, fraction) = time.split_once('.')?;
    let mut time = time.splitn(3, ':');
    let number = |part: Option<&str>| part?.parse::<u32>().ok();
    let stamp = LocalStamp {
        year: Some(i64::from(number(date.next())?)),
        month: number(date.next())?,
        day: number(date.next())?,
        hour: number(time.next())?,
        minute: number(time.next())?,
        second: number(time.next())?,
        nanos: number(fraction.get(..6))?.saturating_mul(1_000),
    };
    stamp.nearest(Timestamp(0)).map(|_| stamp)
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

    #[test]
    fn a_look_at_a_file_finds_its_stamps() {
        for (piece, first, last) in [
            (
                "cut off] x\nI1123 11:00:00.000000 1 a.go:1] x\n\tstack\nkubelet I1123 11:05:00.000000 1 a.go:1] x\nI11",
                stamp(11, 23, 11, 0),
                stamp(11, 23, 11, 5),
            ),
            (
                "Nov 23 11:00:00 n k[7]: I1123 11:00:00.000000 1 a.go:1] x",
                stamp(11, 23, 11, 0),
                stamp(11, 23, 11, 0),
            ),
            (
                "2026-11-23 11:00:00.000000 I | etcdmain: x\n2026-11-23 11:05:00.000000 W | etcdserver: y",
                LocalStamp { year: Some(2026), ..stamp(11, 23, 11, 0) },
                LocalStamp { year: Some(2026), ..stamp(11, 23, 11, 5) },
            ),
        ] {
            let mut evidence = ClockEvidence::default();
            evidence.look(piece);
            assert_eq!((evidence.first, evidence.last), (Some(first), Some(last)), "{piece}");
        }
    }
}
