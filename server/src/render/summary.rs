//! What the first line of every report says: how many gaps, how bad, and how much could be seen at all.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use auditgap_records::report::{Coverage, Gap, Incident, Path, Report, Severity, Unassessable};
use auditgap_records::{Interval, Timestamp};

/// The counts behind the first line.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Gaps by severity.
    pub by_severity: BTreeMap<Severity, usize>,
    /// Paths of which at least a part could not be watched at all.
    pub unwatched: Vec<Path>,
    verdict: String,
    coverage: String,
}

impl Summary {
    /// Of a report.
    pub fn of(report: &Report) -> Self {
        let mut by_severity = BTreeMap::new();
        for gap in &report.gaps {
            *by_severity.entry(gap.severity).or_default() += 1;
        }
        let is_unwatched = |path: &Path| {
            report
                .unassessable
                .iter()
                .any(|item| item.path == *path && item.actions == 0 && item.from.is_none())
        };
        let unwatched: Vec<Path> = Path::ALL.into_iter().filter(is_unwatched).collect();
        let totals = &report.totals;
        let unjudged = totals.unassessable.saturating_add(totals.blind_spot);
        let judged_percent = (totals.actions > 0)
            .then(|| 100.0 * totals.actions.saturating_sub(unjudged) as f64 / totals.actions as f64);
        let verdict = verdict(report, &by_severity);
        let coverage = coverage(report, judged_percent, &unwatched);
        Self { by_severity, unwatched, verdict, coverage }
    }

    /// How many gaps, and how bad: one sentence.
    pub fn verdict(&self) -> &str {
        &self.verdict
    }

    /// How much could be seen: the sentence without which the verdict is worth nothing.
    pub fn coverage(&self) -> &str {
        &self.coverage
    }

    /// The worst severity of a gap.
    pub fn worst(&self) -> Option<Severity> {
        self.by_severity.keys().next_back().copied()
    }

    /// Whether all is well: something was seen, all paths were watched, and there is no gap.
    pub fn is_clean(&self, report: &Report) -> bool {
        report.gaps.is_empty() && report.totals.actions > 0 && self.unwatched.is_empty()
    }
}

fn verdict(report: &Report, by_severity: &BTreeMap<Severity, usize>) -> String {
    let totals = &report.totals;
    if report.coverage.is_empty() {
        return "Nothing could be judged: no log was read".to_owned();
    }
    let seen = format!("{} seen on nodes and in etcd", counted(totals.actions, "action"));
    match (report.gaps.len(), totals.actions) {
        (0, 0) => "No gaps, but no action was seen that could be one".to_owned(),
        (0, _) => format!("No gaps in {seen}"),
        (gaps, _) => {
            let worst: Vec<String> = by_severity
                .iter()
                .rev()
                .map(|(severity, count)| format!("{count} {}", severity.as_str()))
                .collect();
            format!(
                "{} ({}) without an audit record, in {seen}",
                counted(gaps as u64, "gap"),
                worst.join(", ")
            )
        }
    }
}

fn coverage(report: &Report, judged_percent: Option<f64>, unwatched: &[Path]) -> String {
    let mut sentence = match judged_percent {
        Some(percent) => format!("coverage was {}", percent_in_words(percent)),
        None => "coverage was 0 %: nothing was seen to judge".to_owned(),
    };
    if !unwatched.is_empty() {
        if judged_percent.is_some() {
            sentence.push_str(" of what was seen");
        }
        let words: Vec<&str> = unwatched.iter().map(|path| path_in_words(*path)).collect();
        let _ = write!(sentence, "; could not watch: {}", words.join(", "));
    }
    // The longest silence of an audit feed weighs most; after it that of any other.
    let longest = report
        .coverage
        .iter()
        .filter_map(|feed| Some((feed.kind == "audit", silence(feed)?, feed)))
        .max_by_key(|(audit, silent, _)| (*audit, *silent));
    if let Some((_, silent, feed)) = longest {
        let _ = write!(
            sentence,
            "; {} feed {} was silent for {}",
            feed.kind,
            feed.instance,
            duration_in_words(silent)
        );
    }
    sentence
}

/// How long a feed was silent in all; `None` if it never was.
fn silence(feed: &Coverage) -> Option<Duration> {
    let nanos: i64 =
        feed.silent.iter().map(|span| span.to.nanos_since(span.from)).fold(0, i64::saturating_add);
    (nanos > 0).then(|| Duration::from_nanos(nanos.unsigned_abs()))
}

/// A percentage that never rounds up to 100 while something is missing, nor down to 0 while something is there.
pub(super) fn percent_in_words(percent: f64) -> String {
    if percent >= 100.0 {
        "100 %".to_owned()
    } else if percent > 99.9 {
        "99.9 %".to_owned()
    } else if percent > 0.0 && percent < 0.1 {
        "0.1 %".to_owned()
    } else {
        format!("{percent:.1} %")
    }
}

/// `1 gap`, `1,234 gaps`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A number with its thousands set apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A path as people say it.
pub(super) fn path_in_words(path: Path) -> &'static str {
    match path {
        Path::StaticPod => "static Pods",
        Path::KubeletApi => "kubelet API",
        Path::EtcdApi => "etcd",
        Path::RuntimeSocket => "runtime socket",
        Path::AuditTrail => "audit trail",
    }
}

/// A span's two ends and its length: `2026-03-31 10:00:00Z – 10:41:00Z (41 min)`.
pub fn span_in_words(span: Interval) -> String {
    let length =
        duration_in_words(Duration::from_nanos(span.to.nanos_since(span.from).max(0).unsigned_abs()));
    format!("{} ({length})", moments(span.from, span.to))
}

/// Two moments with what they share said once.
pub(super) fn moments(from: Timestamp, to: Timestamp) -> String {
    let (from, to) = (moment(from), moment(to));
    match (from.split_once(' '), to.split_once(' ')) {
        _ if from == to => from,
        (Some((day, _)), Some((same, time))) if day == same => format!("{from} – {time}"),
        _ => format!("{from} – {to}"),
    }
}

/// Two moments to the second, without the day where it is that of the whole report.
pub(super) fn times_of_day(from: Timestamp, to: Timestamp, window: Option<Interval>) -> String {
    let seconds = |time: Timestamp| moment(Timestamp(time.0.div_euclid(1_000_000_000) * 1_000_000_000));
    let (from, to) = (seconds(from), seconds(to));
    let days = window
        .map(|window| [window.from, window.to].map(|end| moment(end).chars().take(11).collect::<String>()));
    match days {
        Some([first, last]) if first == last => {
            let clock = |text: &str| text.strip_prefix(first.as_str()).unwrap_or(text).to_owned();
            format!("{} – {}", clock(&from), clock(&to))
        }
        _ => format!("{from} – {to}"),
    }
}

/// A moment to the millisecond, as short as it can be said without doubt.
pub(super) fn moment(time: Timestamp) -> String {
    let text = Timestamp(time.0.div_euclid(1_000_000) * 1_000_000).to_string();
    text.replacen('T', " ", 1)
}

fn duration_in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60).replace(" 0 s", ""),
        3_600..172_800 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60).replace(" 0 min", ""),
        _ => format!("{} days {} h", seconds / 86_400, seconds % 86_400 / 3_600).replace(" 0 h", ""),
    }
}

/// An incident's story, unless it only strings together the titles of its gaps, which are listed below it anyway.
pub(super) fn story<'i>(incident: &'i Incident, members: &[&Gap]) -> Option<&'i str> {
    let retold = members.iter().take(2).all(|gap| incident.story.contains(&gap.title));
    (!incident.story.is_empty() && !retold).then_some(incident.story.as_str())
}

/// The span of an item that could not be judged, if it has one.
pub(super) fn unassessable_span(item: &Unassessable) -> Option<String> {
    match (item.from, item.to) {
        (Some(from), Some(to)) => Some(span_in_words(Interval::new(from, to))),
        (Some(from), None) => Some(format!("since {}", moment(from))),
        (None, Some(to)) => Some(format!("until {}", moment(to))),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_never_claim_all_or_nothing_by_rounding() {
        for (percent, text) in
            [(100.0, "100 %"), (99.9999, "99.9 %"), (97.24, "97.2 %"), (0.0001, "0.1 %"), (0.0, "0.0 %")]
        {
            assert_eq!(percent_in_words(percent), text);
        }
    }

    #[test]
    fn spans_say_the_day_once() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let span = Interval::new(at("2026-03-31T10:00:00Z"), at("2026-03-31T10:41:30.250Z"));
        assert_eq!(span_in_words(span), "2026-03-31 10:00:00Z – 10:41:30.250Z (41 min 30 s)");
        let span = Interval::new(at("2026-03-31T23:00:00Z"), at("2026-04-01T01:00:00Z"));
        assert_eq!(span_in_words(span), "2026-03-31 23:00:00Z – 2026-04-01 01:00:00Z (2 h)");
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
