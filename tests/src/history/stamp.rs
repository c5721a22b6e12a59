//! Time stamps as the components write them.

use auditgap_records::Timestamp;

const NANOS: i64 = 1_000_000_000;

/// `2026-11-23T11:56:18` of a moment.
fn civil(time: i64) -> String {
    let mut text = Timestamp(time.div_euclid(NANOS) * NANOS).to_string();
    text.pop();
    text
}

/// RFC 3339 with microseconds: audit events, etcd.
pub(crate) fn micros(time: i64) -> String {
    format!("{}.{:06}Z", civil(time), time.rem_euclid(NANOS) / 1_000)
}

/// RFC 3339 without a fraction: `creationTimestamp`.
pub(crate) fn seconds(time: i64) -> String {
    format!("{}Z", civil(time))
}

/// RFC 3339 with nanoseconds: containerd.
pub(crate) fn nanos(time: i64) -> String {
    format!("{}.{:09}Z", civil(time), time.rem_euclid(NANOS))
}

/// Go's default form, trailing zeros trimmed: `ctr events`.
pub(crate) fn go(time: i64) -> String {
    let fraction = format!("{:09}", time.rem_euclid(NANOS));
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{}{dot}{fraction} +0000 UTC", civil(time).replace('T', " "))
}

/// Month, day and time of day with microseconds, neither year nor zone: klog.
pub(crate) fn klog(time: i64) -> String {
    let civil = civil(time);
    format!("{}{} {}.{:06}", &civil[5..7], &civil[8..10], &civil[11..], time.rem_euclid(NANOS) / 1_000)
}

/// Seconds since the epoch with microseconds: the watch recorder.
pub(crate) fn unix(time: i64) -> String {
    format!("{}.{:06}", time.div_euclid(NANOS), time.rem_euclid(NANOS) / 1_000)
}

/// A duration as Go prints it.
pub(crate) fn duration(nanos: i64) -> String {
    if nanos >= NANOS {
        format!("{}.{:09}s", nanos / NANOS, nanos % NANOS)
    } else if nanos >= 1_000_000 {
        format!("{}.{:06}ms", nanos / 1_000_000, nanos % 1_000_000)
    } else {
        format!("{}.{:03}µs", nanos / 1_000, nanos % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_in_every_spelling() {
        let time = 1_795_434_978_076_850_100;
        assert_eq!(micros(time), "2026-11-23T11:56:18.076850Z");
        assert_eq!(nanos(time), "2026-11-23T11:56:18.076850100Z");
        assert_eq!(go(time), "2026-11-23 11:56:18.0768501 +0000 UTC");
        assert_eq!(go(1_795_434_978_000_000_000), "2026-11-23 11:56:18 +0000 UTC");
        assert_eq!(klog(time), "1123 11:56:18.076850");
        assert_eq!(unix(time), "1795434978.076850");
        assert_eq!(duration(3_943_836_762), "3.943836762s");
        assert_eq!(duration(44_289_877), "44.289877ms");
        assert_eq!(duration(88_433), "88.433µs");
    }
}
