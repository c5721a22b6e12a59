//! Pieces of the HTML page: a gap, an incident, a piece of evidence.

use auditgap_records::report::{Evidence, ExpectedRequest, Gap, Incident, Severity};
use maud::{Markup, html};

use super::escape::visible;
use super::summary::{counted, grouped, moment, moments, path_in_words, span_in_words, story};
use super::text::{accepted, object, policy_rule};

/// An element id that is safe in a link, whatever the id was made of.
pub(super) fn anchor(prefix: &str, id: &str) -> String {
    let safe: String = id
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() || character == '-' { character } else { '_' })
        .collect();
    format!("{prefix}-{safe}")
}

/// A severity as a coloured word.
pub(super) fn chip(severity: Severity) -> Markup {
    html! { span.chip.(severity.as_str()) { (severity.as_str()) } }
}

/// An incident with links to its gaps. One of a single gap is a line that leads there: it has no other story.
pub(super) fn incident(incident: &Incident, members: &[&Gap]) -> Markup {
    if let [gap] = members {
        return html! {
            p.single.(gap.severity.as_str()) id=(anchor("incident", &incident.id)) {
                (chip(gap.severity))
                a href={ "#" (anchor("gap", &gap.id)) } { (visible(&gap.title)) }
                time.when { (moment(gap.first_seen)) }
            }
        };
    }
    html! {
        article.card.(incident.severity.as_str()) id=(anchor("incident", &incident.id)) {
            header {
                (chip(incident.severity))
                span.when { (moments(incident.first_seen, incident.last_seen)) }
            }
            h3 { a href={ "#" (anchor("incident", &incident.id)) } { (visible(&incident.title)) } }
            @if let Some(story) = story(incident, members) { p { (visible(story)) } }
            @if members.len() > 1 {
                ol.members {
                    @for gap in members {
                        li {
                            time { (moment(gap.first_seen)) }
                            " " a href={ "#" (anchor("gap", &gap.id)) } { (visible(&gap.title)) }
                        }
                    }
                }
            }
        }
    }
}

/// A gap or a blind spot, whole.
pub(super) fn gap(gap: &Gap, has_incident: bool) -> Markup {
    let id = anchor("gap", &gap.id);
    html! {
        article.card.(gap.severity.as_str()) id=(id) {
            header {
                (chip(gap.severity))
                span.sure { (gap.confidence.as_str()) " confidence" }
                span.path { (path_in_words(gap.path)) }
                @for technique in &gap.technique { span.tag { (visible(technique)) } }
                @for attack in &gap.attack { span.tag { (visible(attack)) } }
                span.when { (moments(gap.first_seen, gap.last_seen)) }
            }
            h3 { a href={ "#" (id) } { (visible(&gap.title)) } }
            p { (visible(&gap.why)) }
            (facts(gap, has_incident))
            (expected(gap))
            (candidates(gap))
            (evidence_list(gap))
            @if !gap.next_steps.is_empty() {
                div.next { h4 { "What to do next" } ul { @for step in &gap.next_steps { li { (visible(step)) } } } }
            }
        }
    }
}

fn facts(gap: &Gap, has_incident: bool) -> Markup {
    let actor = &gap.actor;
    let who = [
        ("User", &actor.user),
        ("Certificate", &actor.certificate_cn),
        ("Source", &actor.source_ip),
        ("Process", &actor.process),
        ("User agent", &actor.user_agent),
    ];
    let groups = actor.groups.join(", ");
    html! {
        dl.facts {
            (fact("What", &object(gap)))
            @for (label, value) in who { (fact(label, value)) }
            (fact("Groups", &groups))
            (fact("Perhaps", &actor.candidates.join("; ")))
            @if gap.count > 1 { (fact("Times", &grouped(gap.count))) }
            @if let Some(exception) = &gap.exception { (fact("Accepted", &accepted(exception))) }
            @if let Some(rule) = &gap.policy_rule { (fact("Policy", &policy_rule(rule))) }
            @if has_incident {
                div { dt { "Incident" } dd { a href={ "#" (anchor("incident", &gap.incident)) } { (visible(&gap.incident)) } } }
            }
            (fact("Rule", &gap.rule))
        }
    }
}

fn fact(label: &str, value: &str) -> Markup {
    html! { @if !value.is_empty() { div { dt { (label) } dd { (visible(value)) } } } }
}

fn expected(gap: &Gap) -> Markup {
    if gap.expected.requests.is_empty() && gap.expected.window.is_none() {
        return html! {};
    }
    html! {
        div.expected {
            h4 { "The record that is not there" }
            @if !gap.expected.requests.is_empty() {
                ul { @for request in &gap.expected.requests { li { code { (visible(&request_in_words(request))) } } } }
            }
            p.note {
                @if let Some(window) = gap.expected.window { "received within " (span_in_words(window)) }
                @if let Some(watermark) = gap.expected.audit_watermark {
                    @if gap.expected.window.is_some() { "; " }
                    "the audit trail is complete up to " (moment(watermark))
                }
            }
        }
    }
}

/// A request as one would type it.
fn request_in_words(request: &ExpectedRequest) -> String {
    let resource = if request.subresource.is_empty() {
        request.resource.clone()
    } else {
        format!("{}/{}", request.resource, request.subresource)
    };
    let name = [request.namespace.as_str(), request.name.as_str()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("/");
    [request.verb.clone(), resource, name].join(" ").trim().to_owned()
}

fn candidates(gap: &Gap) -> Markup {
    if gap.rejected_candidates.is_empty() {
        return html! {};
    }
    html! {
        details.near {
            summary { (counted(gap.rejected_candidates.len() as u64, "audit record")) " came near" }
            ul.evidence {
                @for candidate in &gap.rejected_candidates {
                    li { (place(&candidate.audit)) p { (visible(&candidate.audit.summary)) " — " em { (visible(&candidate.why)) } } (raw(&candidate.audit)) }
                }
            }
        }
    }
}

fn evidence_list(gap: &Gap) -> Markup {
    html! {
        @if !gap.evidence.is_empty() {
            h4 { "Evidence" }
            ul.evidence {
                @for item in &gap.evidence { li { (place(item)) p { (visible(&item.summary)) } (raw(item)) } }
            }
        }
    }
}

fn place(item: &Evidence) -> Markup {
    html! {
        div.place {
            time { (moment(item.time)) }
            span { (visible(&item.feed)) }
            span.file { (visible(&item.file)) ":" (item.line) }
        }
    }
}

fn raw(item: &Evidence) -> Markup {
    html! {
        @if let Some(raw) = &item.raw {
            details { summary { "Raw" } pre { @for line in raw.lines() { (visible(line)) "\n" } } }
        }
    }
}
