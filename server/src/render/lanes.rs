//! The coverage picture: one lane a feed over the report's window, silent spans hatched, gaps marked above.
//!
//! Drawn with stretched SVG that holds no text, so that labels keep their size at every width and in print.

use auditgap_records::report::{Coverage, Gap, Report};
use auditgap_records::{Interval, Timestamp};
use maud::{Markup, html};

use super::escape::visible;
use super::html_parts::anchor;
use super::summary::{grouped, moment, span_in_words};

/// Units of the lanes' coordinate system across the window.
const UNITS: f64 = 1000.0;
/// Height of a lane in the same units.
const HEIGHT: f64 = 20.0;
/// Marks on the time axis, at the most.
const TICKS: i64 = 7;
/// Distances between marks that are easy to read, in seconds: up to a year.
const STEPS: [i64; 20] = [
    1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400, 172_800,
    604_800, 2_592_000, 31_536_000,
];
const SECOND: i64 = 1_000_000_000;

/// The picture, or nothing when there is no time to show.
pub(super) fn lanes(report: &Report) -> Markup {
    let Some(window) = report.window.filter(|window| window.to > window.from) else { return html! {} };
    html! {
        figure.lanes aria-label="What each feed covers over time" {
            div.axis aria-hidden="true" {
                @for (left, text) in axis(window) { span style={ "left:" (format!("{left:.2}")) "%" } { (text) } }
            }
            @if !report.gaps.is_empty() {
                div.label { "gaps" }
                (gap_lane(report, window))
            }
            @for feed in &report.coverage {
                div.label {
                    span.kind { (visible(&feed.kind)) } " " (visible(&feed.instance))
                    small { (visible(feed.feed.rsplit('/').next().unwrap_or_default())) }
                }
                (feed_lane(feed, window))
            }
            figcaption {
                span.key.covered {} " covered "
                span.key.silent {} " silent "
                span.key.absent {} " no records "
            }
        }
    }
}

fn gap_lane(report: &Report, window: Interval) -> Markup {
    // Milder marks first, so that the worst is drawn on top.
    let mut gaps: Vec<&Gap> = report.gaps.iter().collect();
    gaps.sort_by_key(|gap| (gap.severity, gap.first_seen));
    lane(&html! {
        @for gap in gaps {
            a href={ "#" (anchor("gap", &gap.id)) } {
                @let x = format!("{:.1}", place(gap.first_seen, window));
                line.mark.(gap.severity.as_str()) x1=(x) x2=(x) y1="1" y2="19" {
                    title { (visible(&gap.title)) " · " (moment(gap.first_seen)) }
                }
            }
        }
    })
}

fn feed_lane(feed: &Coverage, window: Interval) -> Markup {
    lane(&html! {
        @if let (Some(from), Some(to)) = (feed.from, feed.to) {
            (bar("covered", Interval::new(from, to), window, &format!("{} records", grouped(feed.records))))
        }
        @for span in &feed.silent { (bar("silent", *span, window, "silent")) }
    })
}

fn lane(content: &Markup) -> Markup {
    html! {
        svg.lane viewBox={ "0 0 " (UNITS) " " (HEIGHT) } preserveAspectRatio="none" role="img" {
            rect.absent x="0" y="6" width=(UNITS) height="8" {}
            (content)
        }
    }
}

fn bar(class: &str, span: Interval, window: Interval, what: &str) -> Markup {
    let from = place(span.from, window);
    // What is there is drawn, however short it was.
    let width = (place(span.to, window) - from).max(1.5);
    html! {
        rect.(class) x=(format!("{from:.1}")) y="3" width=(format!("{width:.1}")) height="14" {
            title { (what) " · " (span_in_words(span)) }
        }
    }
}

/// Where a moment lies across the window.
fn place(moment: Timestamp, window: Interval) -> f64 {
    let share = moment.nanos_since(window.from) as f64 / window.to.nanos_since(window.from).max(1) as f64;
    share.clamp(0.0, 1.0) * UNITS
}

/// Marks of the time axis, at round times: how far from the left in percent, and what to write.
fn axis(window: Interval) -> Vec<(f64, String)> {
    let length = window.to.nanos_since(window.from);
    let step = STEPS.into_iter().find(|step| length / (step * SECOND) <= TICKS).unwrap_or(i64::MAX / SECOND)
        * SECOND;
    let first = window.from.0.div_euclid(step).saturating_add(1).saturating_mul(step);
    (0..=TICKS)
        .map(|tick| Timestamp(first.saturating_add(step.saturating_mul(tick))))
        // A mark at the very end would stand half outside.
        .take_while(|time| place(*time, window) < 0.97 * UNITS)
        .map(|time| {
            let text = moment(time);
            let short = match text.split_once(' ') {
                Some((_, clock)) if step < 86_400 * SECOND => clock.to_owned(),
                Some((day, _)) => day.to_owned(),
                None => text,
            };
            (place(time, window) * 100.0 / UNITS, short)
        })
        .collect()
}
