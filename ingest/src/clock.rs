//! Time stamps without year or zone (klog, capnslog, syslog): what to assume, and where it comes from.

mod evidence;

use auditgap_records::Timestamp;
use chrono::Datelike;

pub use evidence::ClockEvidence;

const SECOND: i64 = 1_000_000_000;
/// Zones differ by multiples of a quarter of an hour.
const QUARTER: i64 = 15 * 60 * SECOND;
/// No other year can bring a stamp nearer than this, in nanoseconds.
const HALF_YEAR: u64 = 182 * 86_400 * SECOND as u64;
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
        if is_prompt(assumed, seen) {
            return Some(assumed);
        }
        let own = zone_of(local, seen);
        Some(own.map_or(assumed, |quarters| Timestamp(local.0.saturating_sub(quarters * QUARTER))))
    }

    /// The stamp read as UTC, in the year that brings it nearest to `near`.
    fn nearest(self, near: Timestamp) -> Option<Timestamp> {
        if let Some(year) = self.year {
            return self.in_year(year);
        }
        let year = year_of(near)?;
        let same = self.in_year(year).filter(|moment| moment.0.abs_diff(near.0) < HALF_YEAR);
        // A leap day exists only in every fourth year.
        same.or_else(|| {
            let others = (year - 4..=year + 4).filter_map(|year| self.in_year(year));
            others.min_by_key(|moment| moment.0.abs_diff(near.0))
        })
    }

    fn in_year(self, year: i64) -> Option<Timestamp> {
        Timestamp::from_civil(year, self.month, self.day, self.hour, self.minute, self.second, self.nanos)
    }
}

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
}
