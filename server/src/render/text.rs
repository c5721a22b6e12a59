//! The report as a person reads it in a terminal, in the middle of the night: what happened first, then why we say
//! so, then what we could not see.

use std::collections::BTreeMap;
use std::io::{self, Write};

use auditgap_records::report::{Evidence, Gap, Incident, Report, Severity};
use auditgap_records::{FeedKind, Interval};

use super::summary::{
    Summary, counted, grouped, moment, path_in_words, span_in_words, story, times_of_day, unassessable_span,
};
use super::text_page::{Page, Tone};

pub use super::text_page::TextStyle;

/// Evidence shown for each gap; the other forms show all of it.
const EVIDENCE_SHOWN: usize = 3;
/// Near misses shown for each gap.
const CANDIDATES_SHOWN: usize = 2;
/// Rejected lines shown for each feed.
const REJECTS_SHOWN: usize = 3;

/// Writes the report.
pub(super) fn write(report: &Report, style: TextStyle, out: &mut dyn Write) -> io::Result<()> {
    let page = &mut Page::new(out, style);
    let summary = Summary::of(report);
    let unharmed = if summary.is_clean(report) { Tone::Good } else { Tone::Strong };
    let tone = summary.worst().map_or(unharmed, Tone::Severity);
    page.paragraph(0, "", tone, &format!("{}; {}.", summary.verdict(), summary.coverage()))?;
    page.gap()?;
    let window = report.window.map_or_else(|| "no time at all".to_owned(), span_in_words);
    page.line(
        0,
        &[
            (Tone::Faint, "cluster "),
            (Tone::Plain, &report.cluster),
            (Tone::Faint, "   "),
            (Tone::Plain, &window),
        ],
    )?;
    gaps(report, page)?;
    blind_spots(report, page)?;
    unassessable(report, page)?;
    coverage(report, page)?;
    explained(report, page)
}

fn gaps(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    if report.gaps.is_empty() {
        return Ok(());
    }
    let mut left: BTreeMap<&str, &Gap> = report.gaps.iter().map(|gap| (gap.id.as_str(), gap)).collect();
    page.heading("Incidents")?;
    for incident in &report.incidents {
        let members: Vec<&Gap> = incident.gaps.iter().filter_map(|id| left.remove(id.as_str())).collect();
        incident_block(incident, &members, page)?;
    }
    // A gap without an incident must not be lost; report order is kept.
    let single = report.gaps.iter().filter(|gap| left.contains_key(gap.id.as_str()));
    for gap in single {
        page.gap()?;
        gap_block(gap, 0, page)?;
    }
    Ok(())
}

fn incident_block(incident: &Incident, members: &[&Gap], page: &mut Page<'_>) -> io::Result<()> {
    page.gap()?;
    if let [gap] = members {
        // A story of one gap says nothing that the gap does not say.
        return gap_block(gap, 0, page);
    }
    page.title(0, (Tone::Severity(incident.severity), &chip(incident.severity)), "", &incident.title)?;
    let when = format!(
        "{}   {}   {}",
        moment(incident.first_seen),
        counted(members.len() as u64, "gap"),
        incident.id
    );
    page.line(2, &[(Tone::Faint, &when)])?;
    if let Some(story) = story(incident, members) {
        page.paragraph(2, "", Tone::Plain, story)?;
    }
    for gap in members {
        page.gap()?;
        gap_block(gap, 2, page)?;
    }
    Ok(())
}

fn chip(severity: Severity) -> String {
    format!("{:<9} ", severity.as_str().to_uppercase())
}

fn gap_block(gap: &Gap, indent: usize, page: &mut Page<'_>) -> io::Result<()> {
    let time = format!("{}  ", moment(gap.first_seen));
    page.title(indent, (Tone::Severity(gap.severity), &chip(gap.severity)), &time, &gap.title)?;
    let mut facts = vec![
        format!("{} confidence", gap.confidence.as_str()),
        path_in_words(gap.path).to_owned(),
        gap.technique.join(" "),
        gap.attack.join(" "),
        gap.id.clone(),
    ];
    if gap.count > 1 {
        facts.insert(
            2,
            format!(
                "{} times in {}",
                grouped(gap.count),
                span_in_words(Interval::new(gap.first_seen, gap.last_seen))
            ),
        );
    }
    facts.retain(|fact| !fact.is_empty());
    let inner = indent + 2;
    page.paragraph(inner, "", Tone::Faint, &facts.join(" · "))?;
    page.paragraph(inner, "why       ", Tone::Plain, &gap.why)?;
    for (label, text) in [("what      ", object(gap)), ("who       ", actor(gap))] {
        if !text.is_empty() {
            page.paragraph(inner, label, Tone::Plain, &text)?;
        }
    }
    if let Some(exception) = &gap.exception {
        page.paragraph(inner, "accepted  ", Tone::Plain, &accepted(exception))?;
    }
    if let Some(rule) = &gap.policy_rule {
        page.paragraph(inner, "policy    ", Tone::Plain, &policy_rule(rule))?;
    }
    for item in weightiest(gap) {
        evidence(item, "seen      ", inner, page)?;
    }
    if let Some(more) = gap.evidence.len().checked_sub(EVIDENCE_SHOWN).filter(|more| *more > 0) {
        page.line(inner + 10, &[(Tone::Faint, &format!("and {}", counted(more as u64, "more record")))])?;
    }
    for candidate in gap.rejected_candidates.iter().take(CANDIDATES_SHOWN) {
        let text = format!("{} — {}", candidate.audit.summary, candidate.why);
        page.paragraph(inner, "not it    ", Tone::Faint, &text)?;
    }
    if let Some(step) = gap.next_steps.first() {
        page.paragraph(inner, "next      ", Tone::Plain, step)?;
    }
    Ok(())
}

/// The evidence to show where not all of it is: what a host saw is beside the point, which is what was done.
fn weightiest(gap: &Gap) -> impl Iterator<Item = &Evidence> {
    let is_host = |item: &&Evidence| item.feed.starts_with(FeedKind::Host.as_str());
    let own = gap.evidence.iter().filter(move |item| !is_host(item));
    own.chain(gap.evidence.iter().filter(is_host)).take(EVIDENCE_SHOWN)
}

fn evidence(item: &Evidence, label: &str, indent: usize, page: &mut Page<'_>) -> io::Result<()> {
    page.paragraph(indent, label, Tone::Plain, &item.summary)?;
    let place = format!("{}  {}:{}", moment(item.time), item.file, item.line);
    page.line(indent + 10, &[(Tone::Faint, &place)])?;
    if let Some(raw) = &item.raw {
        // One line is enough here: the place says where the whole stands.
        page.line(
            indent + 10,
            &[(Tone::Faint, "│ "), (Tone::Faint, raw.lines().next().unwrap_or_default())],
        )?;
    }
    Ok(())
}

/// What was touched, in one line.
pub(super) fn object(gap: &Gap) -> String {
    let object = &gap.object;
    let kind = if object.group.is_empty() {
        object.resource.clone()
    } else {
        format!("{}.{}", object.resource, object.group)
    };
    let name = [object.namespace.as_str(), object.name.as_str()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("/");
    let mut parts = vec![[kind, name].join(" ").trim().to_owned()];
    // The key often says the same as the name and more: it stands alone then.
    if !object.key.is_empty() && object.key != object.name {
        parts.push(object.key.clone());
    }
    if !object.uid.is_empty() {
        parts.push(format!("uid {}", object.uid));
    }
    if !gap.node.is_empty() {
        parts.push(format!("on node {}", gap.node));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" · ")
}

/// Who did it, in one line.
pub(super) fn actor(gap: &Gap) -> String {
    let actor = &gap.actor;
    let mut parts = Vec::new();
    let named = [
        ("", &actor.user),
        ("certificate ", &actor.certificate_cn),
        ("from ", &actor.source_ip),
        ("process ", &actor.process),
        ("calling itself ", &actor.user_agent),
    ];
    for (label, value) in named {
        if !value.is_empty() {
            parts.push(format!("{label}{value}"));
        }
    }
    if !actor.candidates.is_empty() {
        parts.push(format!("perhaps {}", actor.candidates.join("; ")));
    }
    parts.join(" · ")
}

/// The policy's rule with its number, counted as people count.
/// Who accepted a gap, why, and until when.
pub(super) fn accepted(exception: &auditgap_records::report::AppliedException) -> String {
    let auditgap_records::report::AppliedException { owner, reason, expires } = exception;
    format!("{reason} ({owner}, until {expires})")
}

pub(super) fn policy_rule(rule: &auditgap_records::report::PolicyRuleRef) -> String {
    match rule.index {
        Some(index) => format!("rule {} (rules[{index}]): {}", index + 1, rule.text),
        None => format!("no rule matches, so nothing is logged: {}", rule.text),
    }
}

fn blind_spots(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    if report.blind_spots.is_empty() {
        return Ok(());
    }
    page.heading("Blind spots: the audit policy would not have logged these")?;
    for gap in &report.blind_spots {
        page.gap()?;
        gap_block(gap, 0, page)?;
    }
    Ok(())
}

fn unassessable(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    if report.unassessable.is_empty() {
        return Ok(());
    }
    page.heading("Could not be judged")?;
    for item in &report.unassessable {
        page.gap()?;
        let mut facts = Vec::new();
        if item.actions > 0 {
            facts.push(counted(item.actions, "action"));
        }
        facts.extend(unassessable_span(item));
        let title = format!("{}: {}", path_in_words(item.path), item.reason);
        page.paragraph(0, "", Tone::Plain, &title)?;
        if !facts.is_empty() {
            page.paragraph(2, "", Tone::Faint, &facts.join(" · "))?;
        }
        page.paragraph(2, "cure      ", Tone::Plain, &item.cure)?;
    }
    Ok(())
}

fn coverage(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    page.heading("Coverage")?;
    if report.coverage.is_empty() {
        return page.line(0, &[(Tone::Plain, "No feed was recognised.")]);
    }
    let rows: Vec<Vec<String>> = report
        .coverage
        .iter()
        .map(|feed| {
            vec![
                feed.kind.clone(),
                feed.instance.clone(),
                feed.format.clone(),
                grouped(feed.records),
                grouped(feed.rejected),
                feed.offset_ms.map_or_else(String::new, |offset| format!("{offset:+.1} ms")),
                feed.from
                    .zip(feed.to)
                    .map(|(from, to)| times_of_day(from, to, report.window))
                    .unwrap_or_default(),
            ]
        })
        .collect();
    page.table(0, &["kind", "instance", "format", "records", "rejected", "clock", "from – to"], &rows)?;
    for feed in &report.coverage {
        let silent = feed.silent.iter().map(|span| format!("silent {}", span_in_words(*span)));
        let rejects = feed
            .rejects
            .iter()
            .take(REJECTS_SHOWN)
            .map(|reject| format!("rejected {}:{}: {}", reject.file, reject.line, reject.reason));
        let remarks: Vec<String> = silent.chain(feed.notes.iter().cloned()).chain(rejects).collect();
        if remarks.is_empty() {
            continue;
        }
        page.gap()?;
        page.line(0, &[(Tone::Strong, &feed.feed)])?;
        remarks.iter().try_for_each(|remark| page.paragraph(2, "· ", Tone::Plain, remark))?;
    }
    Ok(())
}

fn explained(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    if report.explained_by.is_empty() {
        return Ok(());
    }
    page.heading("Explained")?;
    let mut parts: Vec<(&String, &u64)> = report.explained_by.iter().collect();
    parts.sort_by_key(|(how, count)| (std::cmp::Reverse(**count), *how));
    let parts: Vec<String> = parts.iter().map(|(how, count)| format!("{how} {}", grouped(**count))).collect();
    let text = format!(
        "{} of {}: {}",
        grouped(report.totals.explained),
        counted(report.totals.actions, "action"),
        parts.join(" · ")
    );
    page.paragraph(0, "", Tone::Plain, &text)
}
