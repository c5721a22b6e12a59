//! What the host saw of late, to attribute what nodes and etcd show. Never a reason for or against a verdict.

use std::collections::VecDeque;
use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::host::{HostEvent, Process};

use crate::verdict::Cite;
use crate::world::Seen;

/// Events remembered at the most: a flood pushes out the oldest.
const REMEMBERED: usize = 20_000;

/// Something a process on the host did.
#[derive(Debug)]
pub struct HostTrace {
    /// The event.
    pub event: HostEvent<'static>,
    /// Node that the feed speaks of.
    pub node: String,
    /// The record.
    pub cite: Cite,
}

/// What the host saw of late.
#[derive(Debug, Default)]
pub struct Host {
    traces: VecDeque<HostTrace>,
}

impl Host {
    pub(crate) fn observe(&mut self, seen: Seen<'_>, event: &HostEvent<'static>, node: &str) {
        if self.traces.len() >= REMEMBERED {
            self.traces.pop_front();
        }
        let cite = seen.cite(words(event));
        self.traces.push_back(HostTrace { event: event.clone(), node: node.to_owned(), cite });
    }

    /// What was seen from `before` before a moment to `after` after it.
    pub fn near(
        &self,
        moment: Timestamp,
        before: Duration,
        after: Duration,
    ) -> impl Iterator<Item = &HostTrace> {
        let (from, to) = (moment - before, moment + after);
        let begin = self.traces.partition_point(|trace| trace.cite.time < from);
        self.traces.range(begin..).take_while(move |trace| trace.cite.time <= to)
    }

    pub(crate) fn forget(&mut self, before: Timestamp) {
        while self.traces.front().is_some_and(|trace| trace.cite.time < before) {
            self.traces.pop_front();
        }
    }
}

impl HostTrace {
    /// The process, where the event tells of one.
    pub fn process(&self) -> Option<&Process<'static>> {
        match &self.event {
            HostEvent::File { process, .. }
            | HostEvent::Exec { process, .. }
            | HostEvent::Connect { process, .. }
            | HostEvent::Alert { process, .. } => Some(process),
            HostEvent::AuditingChanged { .. } | HostEvent::Loss { .. } => None,
        }
    }

    /// Whether a program of one of these names was started, or did something.
    pub fn is_program(&self, names: &[&str]) -> bool {
        self.process().is_some_and(|process| {
            let program = process.exe.rsplit('/').next().unwrap_or_default();
            names.iter().any(|name| program == *name || process.comm == *name)
        })
    }
}

/// A process in words: program, pid, and the login it comes from.
pub fn process_words(process: &Process<'_>) -> String {
    let name = if process.exe.is_empty() { &process.comm } else { &process.exe };
    let mut words = name.to_string();
    if let Some(pid) = process.pid {
        words.push_str(&format!(" (pid {pid}"));
        match process.login_uid {
            Some(login) => words.push_str(&format!(", login uid {login})")),
            None => words.push(')'),
        }
    }
    words
}

fn words(event: &HostEvent<'_>) -> String {
    match event {
        HostEvent::File { path, access, process, .. } => {
            format!("host: {} {access:?} {path}", process_words(process))
        }
        HostEvent::Exec { process, .. } => {
            format!("host: started {} {}", process_words(process), process.command)
        }
        HostEvent::Connect { path, process, .. } => {
            format!("host: {} connected to {path}", process_words(process))
        }
        HostEvent::Alert { rule, .. } => format!("host: alert {rule}"),
        HostEvent::AuditingChanged { what } => format!("host: auditing changed: {what}"),
        HostEvent::Loss { events } => format!("host: events lost: {}", events.unwrap_or(0)),
    }
}
