//! The report as one self-contained page: no script, no request to anywhere, readable in light and dark and on paper.

use std::collections::{BTreeMap, BTreeSet};

use auditgap_records::report::{Coverage, Gap, Report, Unassessable};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::escape::visible;
use super::html_parts::{gap, incident};
use super::lanes::lanes;
use super::summary::{Summary, counted, grouped, moment, path_in_words, span_in_words, unassessable_span};

const STYLE: &str = include_str!("report.css");

/// Nothing may be loaded and nothing may run, even if an escape were missed.
const CONTENT_SECURITY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page.
pub(super) fn page(report: &Report) -> Markup {
    let summary = Summary::of(report);
    let tone = match summary.worst() {
        Some(severity) => severity.as_str(),
        None if summary.is_clean(report) => "good",
        None => "nothing",
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(CONTENT_SECURITY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { "Gap report · " (visible(&report.cluster)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header.top {
                    p.brand { b { "auditgap" } " gap report" }
                    p.meta {
                        span { "Cluster " b { (visible(&report.cluster)) } }
                        @if let Some(window) = report.window { span { (span_in_words(window)) } }
                    }
                    div.verdict.(tone) {
                        h1 { (visible(summary.verdict())) "." }
                        p { (visible(&capitalised(summary.coverage()))) "." }
                    }
                    (tiles(report))
                    (contents(report))
                }
                main {
                    (incidents(report))
                    (gaps(report))
                    (blind_spots(report))
                    (unassessable(report))
                    (coverage(report))
                    (explained(report))
                }
                footer { "Schema " code { (visible(&report.schema)) } ". All times are UTC. Secrets in raw lines are masked." }
            }
        }
    }
}

fn capitalised(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

fn tiles(report: &Report) -> Markup {
    let totals = &report.totals;
    let tiles = [
        ("explained", "Explained", totals.explained),
        ("gap", "Without a record", totals.gap),
        ("blind", "Blind spots", totals.blind_spot),
        ("unjudged", "Not judged", totals.unassessable),
    ];
    html! {
        dl.tiles {
            div { dt { "Actions seen" } dd { (grouped(totals.actions)) } }
            @for (class, label, count) in tiles { div class=(class) { dt { (label) } dd { (grouped(count)) } } }
        }
        @if totals.actions > 0 {
            div.share role="img" aria-label="Shares of the verdicts" {
                @for (class, _, count) in tiles {
                    @if count > 0 { span class=(class) style={ "flex-grow:" (count) } {} }
                }
            }
        }
    }
}

fn contents(report: &Report) -> Markup {
    let sections = [
        ("incidents", "Incidents", report.incidents.len()),
        ("gaps", "Gaps", report.gaps.len()),
        ("blind-spots", "Blind spots", report.blind_spots.len()),
        ("not-judged", "Could not be judged", report.unassessable.len()),
        ("coverage", "Coverage", report.coverage.len()),
        ("explained", "Explained", report.explained_by.len()),
    ];
    html! {
        nav aria-label="Sections" {
            @for (id, title, count) in sections {
                @if count > 0 { a href={ "#" (id) } { (title) " " span { (count) } } }
            }
        }
    }
}

fn incidents(report: &Report) -> Markup {
    let by_id: BTreeMap<&str, &Gap> = report.gaps.iter().map(|gap| (gap.id.as_str(), gap)).collect();
    html! {
        @if !report.incidents.is_empty() {
            section id="incidents" {
                h2 { "Incidents" }
                @for story in &report.incidents {
                    @let members: Vec<&Gap> = story.gaps.iter().filter_map(|id| by_id.get(id.as_str()).copied()).collect();
                    (incident(story, &members))
                }
            }
        }
    }
}

fn gaps(report: &Report) -> Markup {
    let known: BTreeSet<&str> = report.incidents.iter().map(|incident| incident.id.as_str()).collect();
    html! {
        section id="gaps" {
            h2 { "Gaps" }
            @if report.gaps.is_empty() {
                p.empty { "None. This is worth as much as the coverage below." }
            }
            @for item in &report.gaps { (gap(item, known.contains(item.incident.as_str()))) }
        }
    }
}

fn blind_spots(report: &Report) -> Markup {
    html! {
        @if !report.blind_spots.is_empty() {
            section id="blind-spots" {
                h2 { "Blind spots" }
                p.lead { "The audit policy in force would not have logged the requests that could account for these." }
                @for item in &report.blind_spots { (gap(item, false)) }
            }
        }
    }
}

fn unassessable(report: &Report) -> Markup {
    html! {
        @if !report.unassessable.is_empty() {
            section id="not-judged" {
                h2 { "Could not be judged" }
                ul.unjudged { @for item in &report.unassessable { (unassessable_item(item)) } }
            }
        }
    }
}

fn unassessable_item(item: &Unassessable) -> Markup {
    html! {
        li {
            div.place {
                span.path { (path_in_words(item.path)) }
                @if item.actions > 0 { span { (counted(item.actions, "action")) } }
                @if let Some(span) = unassessable_span(item) { time { (span) } }
            }
            p { (visible(&item.reason)) }
            @if !item.cure.is_empty() { p.cure { b { "Cure " } (visible(&item.cure)) } }
        }
    }
}

fn coverage(report: &Report) -> Markup {
    html! {
        section id="coverage" {
            h2 { "Coverage" }
            @if report.coverage.is_empty() {
                p.empty { "No feed was recognised in the input." }
            } @else {
                (lanes(report))
                div.scroll {
                    table {
                        thead { tr {
                            th { "Feed" } th { "Format" } th.number { "Records" } th.number { "Rejected" }
                            th.number { "Clock offset" } th { "First" } th { "Last" }
                        } }
                        tbody { @for feed in &report.coverage { (coverage_row(feed)) } }
                    }
                }
            }
        }
    }
}

fn coverage_row(feed: &Coverage) -> Markup {
    let silent = feed.silent.iter().map(|span| format!("Silent {}", span_in_words(*span)));
    let rejects = feed
        .rejects
        .iter()
        .map(|reject| format!("Rejected {}:{}: {}", reject.file, reject.line, reject.reason));
    let remarks: Vec<String> = silent.chain(feed.notes.iter().cloned()).chain(rejects).collect();
    html! {
        tr {
            th scope="row" { (visible(&feed.feed)) }
            td { (visible(&feed.format)) }
            td.number { (grouped(feed.records)) }
            td.number { (grouped(feed.rejected)) }
            td.number { @if let Some(offset) = feed.offset_ms { (format!("{offset:+.1} ms")) } }
            td { @if let Some(from) = feed.from { (moment(from)) } }
            td { @if let Some(to) = feed.to { (moment(to)) } }
        }
        @if !remarks.is_empty() {
            tr.remarks { td colspan="7" { ul { @for remark in &remarks { li { (visible(remark)) } } } } }
        }
    }
}

fn explained(report: &Report) -> Markup {
    let most = report.explained_by.values().copied().max().unwrap_or(1).max(1);
    let mut causes: Vec<(&String, u64)> =
        report.explained_by.iter().map(|(how, count)| (how, *count)).collect();
    causes.sort_by_key(|(how, count)| (std::cmp::Reverse(*count), *how));
    html! {
        @if !causes.is_empty() {
            section id="explained" {
                h2 { "Explained" }
                p.lead { (grouped(report.totals.explained)) " of " (counted(report.totals.actions, "action")) " are accounted for, by:" }
                div.causes {
                    @for (how, count) in causes {
                        span { (visible(how)) }
                        span.bar { i style={ "width:" (format!("{:.2}", 100.0 * count as f64 / most as f64)) "%" } {} }
                        span.number { (grouped(count)) }
                    }
                }
            }
        }
    }
}
