//! The health of the audit trail itself: events that were lost, records that share an id, a server that was started
//! with other settings, a trail that ends while the cluster goes on.
//!
//! What is lost here is what other rules may not miss: every loss is noted as a hole in the trail, and over a hole no
//! absence proves anything. A trail that merely ends early is a cut recording until somebody says otherwise.
//!
//! Page: `docs/rules/audit-trail.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use auditgap_records::host::HostEvent;
use auditgap_records::record::ApiServerLine;
use auditgap_records::report::{Confidence, GapObject, Path, Severity};
use auditgap_records::{FeedKind, Interval, Timestamp};

use super::{Rule, RuleInfo};
use crate::fact::Fact;
use crate::verdict::{Cite, GapDraft};
use crate::world::{Seen, World};

mod end;
mod ids;

use end::Others;
use ids::Ids;

/// The rule.
pub static INFO: RuleInfo = RuleInfo {
    name: "audit-trail",
    path: Path::AuditTrail,
    techniques: &["AU1", "AU2", "AU4", "SP4"],
    attack: &["T1562.008", "T1070.002", "T1036", "T1499"],
    next_steps: &[
        "Compare the API server's counters (apiserver_audit_event_total, apiserver_audit_error_total) with what arrived.",
        "Read the API server's command line and its policy file as they stand now, and who changed them.",
        "Take what the cluster did in the span without records from its other feeds, and judge it by hand.",
    ],
};

/// A plugin reports a loss within this time of the request.
const LOSS: Duration = Duration::from_secs(2);

/// A server that ends loses what its batches still hold: `--audit-webhook-batch-max-wait` is 30 s by default.
const BATCH: Duration = Duration::from_secs(30);

/// Losses this close together are one.
const SAME_LOSS: Duration = Duration::from_secs(60);

/// Distinct findings of one kind, at the most.
const DISTINCT: usize = 64;

/// Flags of the API server that decide what the trail holds and who need not show credentials.
const FLAGS: [&str; 6] = [
    "audit-policy-file",
    "audit-log-path",
    "audit-webhook-config-file",
    "audit-log-mode",
    "authorization-mode",
    "anonymous-auth",
];

/// Losses that stand close together.
#[derive(Debug)]
struct Loss {
    title: String,
    why: &'static str,
    error: String,
    events: u64,
    last: Timestamp,
    cites: Vec<Cite>,
}

/// The rule's state.
#[derive(Debug, Default)]
pub struct AuditTrail {
    losses: Vec<Loss>,
    /// Flags of each API server's log, with the value that was last seen.
    flags: BTreeMap<(u16, &'static str), String>,
    /// Servers that are ending, and have events in their batches, since when.
    ending: BTreeMap<u16, Timestamp>,
    ids: Ids,
    truncated: u64,
    host: BTreeMap<u16, Vec<Cite>>,
    lenient: BTreeMap<String, Cite>,
    others: Others,
}

impl Rule for AuditTrail {
    fn observe(&mut self, seen: Seen<'_>, world: &mut World) {
        match seen.fact {
            Fact::ApiServer(line) => self.observe_server(seen, line, world),
            Fact::Audit(fact) => {
                self.truncated += u64::from(fact.truncated);
                if let Some(draft) = self.ids.observe(seen, fact) {
                    world.report(draft);
                }
            }
            Fact::Host(event) => {
                if let HostEvent::AuditingChanged { what } = &**event {
                    let cites = self.host.entry(seen.feed).or_default();
                    if cites.len() < DISTINCT {
                        cites.push(seen.cite(format!("host: auditing changed: {what}")));
                    }
                }
            }
            Fact::Kubelet(_) | Fact::Etcd(_) | Fact::Revision(_) | Fact::Runtime(_) => {
                if let Some(draft) = self.others.observe(seen, world) {
                    world.report(draft);
                }
            }
        }
    }

    fn tick(&mut self, world: &mut World) {
        if self.losses.is_empty() {
            return;
        }
        let due = world.clock - SAME_LOSS;
        let (ready, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.losses).into_iter().partition(|loss| loss.last < due);
        self.losses = open;
        for loss in ready {
            report_loss(loss, world);
        }
    }

    fn finish(&mut self, world: &mut World) {
        for loss in std::mem::take(&mut self.losses) {
            report_loss(loss, world);
        }
        for (feed, cites) in std::mem::take(&mut self.host) {
            let mut draft = info("Auditing on a host was changed or ended".to_owned(), cites);
            draft.techniques = vec!["AU1"];
            world.instance(feed).clone_into(&mut draft.node);
            "The host's own auditing was changed. It attributes what nodes and etcd show to processes; while it is off, \
             nothing is attributed. No verdict rests on it."
                .clone_into(&mut draft.why);
            world.report(draft);
        }
        for (error, cite) in std::mem::take(&mut self.lenient) {
            let mut draft = info("The audit policy has errors and was read leniently".to_owned(), vec![cite]);
            draft.techniques = vec!["AU4"];
            draft.why = format!(
                "The API server found errors in its audit policy and read it all the same: {error}. A misspelled field \
                 is left out, and the rule then matches more than was meant."
            );
            world.report(draft);
        }
        if self.truncated > 0 {
            let reason = format!("{} audit records came without bodies: they were too large", self.truncated);
            let cure =
                "raise --audit-webhook-truncate-max-event-size, or log these resources at level Metadata";
            world.verdicts.not_watched(Path::AuditTrail, &reason, cure);
        }
        if !world.has_feed(FeedKind::ApiServer) {
            world.verdicts.not_watched(
                Path::AuditTrail,
                "no log of the API server itself: events that its audit backends lost cannot be known",
                "give the API servers' own logs (--apiserver FILE)",
            );
        }
        if let Some(draft) = self.others.finding(None) {
            world.report(draft);
        }
    }
}

impl AuditTrail {
    fn observe_server(&mut self, seen: Seen<'_>, line: &ApiServerLine<'_>, world: &mut World) {
        match line {
            ApiServerLine::AuditPluginError { plugin, events, error, .. } => {
                self.plugin_error(seen, plugin, *events, error, world);
            }
            ApiServerLine::AuditBufferFull => {
                note_hole(seen.time, world, "the audit buffer was full");
                let cite = seen.cite("API server: audit buffer full, events dropped");
                let why = "The API server's audit buffer was full, and events that came then were dropped. A flood of \
                           requests does that, meant or not.";
                self.lose("Audit events were dropped: the buffer was full".to_owned(), why, "", 1, cite);
            }
            ApiServerLine::AuditPolicyLenient { error } => {
                if self.lenient.len() < DISTINCT {
                    let cite = seen.cite(format!("API server: audit policy read leniently: {error}"));
                    self.lenient.entry(error.to_string()).or_insert(cite);
                }
            }
            ApiServerLine::Flag { name, value } => self.flag(seen, name, value, world),
            ApiServerLine::Stopping => self.end(seen, world),
            ApiServerLine::Started => {
                self.ending.remove(&seen.feed);
            }
            ApiServerLine::Request { .. } => {}
        }
    }

    fn plugin_error(&mut self, seen: Seen<'_>, plugin: &str, events: u64, error: &str, world: &mut World) {
        // A server that ends says this of every event that comes after its backends closed.
        if error.contains("shut down")
            || error.contains("shutting down")
            || self.ending.contains_key(&seen.feed)
        {
            self.end(seen, world);
            return;
        }
        let lossy = match plugin {
            "webhook" => world.feeds.audit_is_batched(),
            "log" => !world.feeds.audit_has_batched(),
            _ => true,
        };
        if lossy {
            note_hole(seen.time, world, "an audit backend failed to store events");
        }
        let cite = seen.cite(format!("API server: audit backend {plugin} lost {events} events: {error}"));
        let why = "An audit backend of the API server failed to store events. The requests were served all the same, \
                   and their records are missing from that backend. A body that cannot be encoded does this, and one \
                   such event can take its whole batch with it.";
        self.lose(format!("Audit events were lost by the backend {plugin}"), why, error, events, cite);
    }

    /// A server ends: what its batches hold does not arrive.
    fn end(&mut self, seen: Seen<'_>, world: &mut World) {
        if self.ending.contains_key(&seen.feed) || !world.feeds.audit_is_batched() {
            return;
        }
        self.ending.insert(seen.feed, seen.time);
        let span = Interval::new(seen.time - LOSS, seen.time + BATCH);
        world.feeds.add_audit_hole(span, "an API server ended with events in its batches");
    }

    fn lose(&mut self, title: String, why: &'static str, error: &str, events: u64, cite: Cite) {
        let time = cite.time;
        if let Some(known) = self.losses.iter_mut().find(|loss| loss.title == title) {
            known.last = known.last.max(time);
            known.events = known.events.saturating_add(events);
            if known.cites.len() < DISTINCT {
                known.cites.push(cite);
            }
        } else if self.losses.len() < DISTINCT {
            let error = error.to_owned();
            self.losses.push(Loss { title, why, error, events, last: time, cites: vec![cite] });
        }
    }

    /// A flag of an API server that starts: whether it has another value than when it started before.
    fn flag(&mut self, seen: Seen<'_>, name: &str, value: &str, world: &mut World) {
        let Some(name) = FLAGS.iter().find(|flag| **flag == name) else { return };
        let Some(before) = self.flags.insert((seen.feed, name), value.to_owned()) else { return };
        if before == value {
            return;
        }
        let cite = seen.cite(format!("API server: started with --{name}={value}"));
        let title = format!("An API server started again with another --{name}");
        let mut draft = GapDraft::new(&INFO, title, vec![cite]);
        draft.severity = Severity::High;
        draft.confidence = Confidence::Certain;
        draft.techniques = vec!["SP4"];
        world.instance(seen.feed).clone_into(&mut draft.node);
        draft.object =
            GapObject { resource: "flag".to_owned(), name: (*name).to_owned(), ..GapObject::default() };
        draft.threads = vec!["control-plane-flags".to_owned()];
        draft.why = format!(
            "At {} the API server started with --{name}={value}; before, it ran with --{name}={before}. Its command \
             line is changed on its node, and what it records, or whom it lets in, is no longer what it was.",
            seen.time
        );
        world.report(draft);
    }
}

fn note_hole(time: Timestamp, world: &mut World, why: &str) {
    world.feeds.add_audit_hole(Interval::new(time - LOSS, time + LOSS), why);
}

fn info(title: String, cites: Vec<Cite>) -> GapDraft {
    let count = cites.len() as u64;
    let mut draft = GapDraft::new(&INFO, title, cites);
    draft.severity = Severity::Info;
    draft.confidence = Confidence::Certain;
    draft.count = count.max(1);
    draft
}

fn report_loss(loss: Loss, world: &mut World) {
    let mut draft = GapDraft::new(&INFO, loss.title, loss.cites);
    draft.severity = Severity::Medium;
    draft.confidence = Confidence::Certain;
    draft.techniques = vec!["AU4"];
    draft.object = GapObject { resource: "audit".to_owned(), ..GapObject::default() };
    loss.why.clone_into(&mut draft.why);
    if !loss.error.is_empty() {
        draft.why.push_str(&format!(" {} event(s) are concerned. The error: {}", loss.events, loss.error));
    }
    world.report(draft);
}

#[cfg(test)]
mod tests;
