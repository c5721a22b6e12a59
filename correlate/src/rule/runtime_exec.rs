//! Commands run in containers that no probe, no hook and no recorded request asked for.
//!
//! An action is one exec: the CRI call that the runtime's log tells at level debug, the runtime's event, or both, which
//! are one. It is explained by a probe or a hook of the Pod's spec, by one recorded stream into the Pod, or by a
//! request that the kubelet served (which is judged on its own).
//!
//! Page: `docs/rules/runtime-exec.md`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::kubelet::KubeletLine;
use auditgap_records::report::Path;
use auditgap_records::runtime::{ExecCall, RuntimeEvent, RuntimeEventKind, RuntimeLine};

use super::{Rule, RuleInfo};
use crate::fact::Fact;
use crate::fold::Folds;
use crate::ledger::verbosity::Shown;
use crate::patience::Patience;
use crate::runtime_view::{command_shown, short_id};
use crate::verdict::Cite;
use crate::world::{Seen, World};

mod beat;
mod explain;
mod gap;
mod judge;
#[cfg(test)]
mod tests;
mod witness;

use beat::Beats;
use witness::Witnesses;

/// The rule.
pub static INFO: RuleInfo = RuleInfo {
    name: "runtime-exec",
    path: Path::RuntimeSocket,
    techniques: &["RT4"],
    attack: &["T1609"],
    next_steps: &[
        "Find who was at the runtime's socket: the process in the evidence, else logins to the node at that time.",
        "Look into the container: what runs in it now, what its process list and files show. Take its secrets and tokens as known to others.",
        "Take the node out of service and build it anew: whoever uses the runtime's socket is root there.",
        "Have containerd log at level debug, or the kubelet at --v=4, so that the next command can be told.",
    ],
};

/// Execs that wait for their verdict, at the most.
const WAITING: usize = 200_000;

/// An exec whose end was not seen is waited for this long.
const LONGEST: Duration = Duration::from_hours(12);

/// How often it is looked whether a long one has ended.
const AGAIN: Duration = Duration::from_mins(1);

/// How often it is looked whether a quiet log has spoken.
const QUIET_AGAIN: Duration = Duration::from_secs(10);

/// A call of ExecSync gets its exec id at once.
const AT_ONCE: Duration = Duration::from_millis(50);

/// A call of Exec gets its exec id when its stream is opened; the runtime forgets it after a minute.
const STREAM_OPENS: Duration = Duration::from_mins(1);

/// A command run in a container.
#[derive(Clone, Debug)]
struct Exec {
    node: String,
    container: String,
    /// The runtime's own namespace, where an event told.
    namespace: Option<String>,
    time: Timestamp,
    ended: Option<Timestamp>,
    id: Option<String>,
    /// The CRI plugin made its id.
    generated: bool,
    /// The command, its words joined by spaces, where it is told.
    command: Option<String>,
    /// The CRI call, where it is told.
    call: Option<ExecCall>,
    evidence: Vec<Cite>,
}

/// Number of an exec within the rule. Never used again.
type ExecNumber = u64;

/// The rule's state.
#[derive(Debug, Default)]
pub struct RuntimeExec {
    execs: BTreeMap<ExecNumber, Exec>,
    due: BTreeSet<(Timestamp, ExecNumber)>,
    next: ExecNumber,
    /// By node, container and exec id.
    by_id: BTreeMap<(String, String, String), ExecNumber>,
    /// CRI calls that have no exec id yet, by node and container.
    calls: BTreeMap<(String, String), VecDeque<ExecNumber>>,
    witnesses: Witnesses,
    beats: Beats,
    folds: Folds,
    looked: Option<Timestamp>,
    /// The recording is over: nothing more is to be waited for.
    over: bool,
    patience: Patience,
}

impl Rule for RuntimeExec {
    fn observe(&mut self, seen: Seen<'_>, world: &mut World) {
        match seen.fact {
            Fact::Runtime(line) => self.observe_runtime(seen, line, world),
            Fact::Kubelet(line) => {
                let node = world.node_of(seen.feed);
                self.witnesses.observe(seen, line, node);
                if let KubeletLine::KillingContainer { container, .. } = &**line {
                    self.beats.stops(container, seen.time);
                }
            }
            _ => {}
        }
    }

    fn tick(&mut self, world: &mut World) {
        let settle = world.context.settings.request_timeout;
        let first = self.due.first().map(|(due, _)| *due - settle);
        let settled = self.patience.settled(first, world);
        self.judge_until(settled + settle, world);
        self.folds.tick(settled, world);
        if self.looked.is_none_or(|looked| world.clock >= looked + AGAIN) {
            self.looked = Some(world.clock);
            self.witnesses.forget(settled - Duration::from_hours(1));
            self.beats.forget(settled);
            self.calls.retain(|_, calls| {
                calls.retain(|number| self.execs.contains_key(number));
                !calls.is_empty()
            });
        }
    }

    fn finish(&mut self, world: &mut World) {
        self.over = true;
        self.judge_until(Timestamp::MAX, world);
        self.folds.finish(world);
        say_what_was_not_watched(world);
    }
}

impl RuntimeExec {
    fn observe_runtime(&mut self, seen: Seen<'_>, line: &RuntimeLine<'static>, world: &mut World) {
        match line {
            RuntimeLine::Exec { container, command, call, done: false } => {
                let node = world.node_of(seen.feed).to_owned();
                let summary = format!(
                    "runtime: CRI {call:?} in container {}: {}",
                    short_id(container),
                    command_shown(command)
                );
                let mut exec = Exec::new(&node, seen, container, summary);
                exec.command = Some(command.to_string()).filter(|command| !command.is_empty());
                exec.call = Some(*call);
                if let Some(number) = self.add(exec, world) {
                    self.calls.entry((node, container.to_string())).or_default().push_back(number);
                }
            }
            RuntimeLine::ExecIdGenerated { container, exec } => {
                self.observe_id(seen, container, exec, world);
            }
            RuntimeLine::Event(event) => match event.kind {
                RuntimeEventKind::ExecAdded => self.observe_added(seen, event, world),
                RuntimeEventKind::ExecExit => {
                    let node = world.node_of(seen.feed).to_owned();
                    let id = event.exec.as_deref().unwrap_or_default();
                    self.beats.ended(&node, &event.subject, id, seen.time);
                    let key = (node, event.subject.to_string(), id.to_owned());
                    if let Some(exec) = self.by_id.get(&key).and_then(|number| self.execs.get_mut(number)) {
                        exec.ended = Some(seen.time);
                    }
                }
                _ => {}
            },
            RuntimeLine::StopContainer { container, .. } => self.beats.stops(container, seen.time),
            RuntimeLine::StartContainer { container, .. } => self.beats.starts(container, seen.time),
            _ => {}
        }
    }

    /// The CRI plugin made an exec id for a call.
    fn observe_id(&mut self, seen: Seen<'_>, container: &str, id: &str, world: &mut World) {
        let node = world.node_of(seen.feed).to_owned();
        let key = (node.clone(), container.to_owned(), id.to_owned());
        let calls = self.calls.get_mut(&(node.clone(), container.to_owned()));
        let execs = &self.execs;
        let place = calls.as_ref().and_then(|calls| {
            let is_within = |number: &ExecNumber, call, span| {
                execs.get(number).is_some_and(|exec| exec.call == Some(call) && seen.time <= exec.time + span)
            };
            let at_once = calls.iter().position(|number| is_within(number, ExecCall::ExecSync, AT_ONCE));
            at_once
                .or_else(|| calls.iter().position(|number| is_within(number, ExecCall::Exec, STREAM_OPENS)))
        });
        let number = place.and_then(|place| calls.and_then(|calls| calls.remove(place)));
        // The event may be stamped before the line.
        let event = self.by_id.get(&key).and_then(|number| self.execs.remove(number));
        let number = match (number, event) {
            (Some(number), event) => {
                if let (Some(exec), Some(event)) = (self.execs.get_mut(&number), event) {
                    exec.take_event(event);
                }
                Some(number)
            }
            (None, Some(event)) => self.add(event, world),
            (None, None) => {
                let summary = format!("runtime: CRI made an exec in container {}", short_id(container));
                self.add(Exec::new(&node, seen, container, summary), world)
            }
        };
        let Some(number) = number else { return };
        if let Some(exec) = self.execs.get_mut(&number) {
            exec.generated = true;
            exec.id = Some(id.to_owned());
        }
        self.by_id.insert(key, number);
    }

    fn observe_added(&mut self, seen: Seen<'_>, event: &RuntimeEvent<'static>, world: &mut World) {
        let node = world.node_of(seen.feed).to_owned();
        let id = event.exec.as_deref().unwrap_or_default();
        let container = &*event.subject;
        self.beats.began(&node, container, id, seen.time);
        let key = (node.clone(), container.to_owned(), id.to_owned());
        let summary = format!("runtime: exec {} added to container {}", short_id(id), short_id(container));
        let mut exec = Exec::new(&node, seen, container, summary);
        exec.namespace = Some(event.namespace.to_string());
        exec.id = Some(id.to_owned());
        exec.command = event.command.as_deref().map(ToOwned::to_owned);
        if let Some(known) = self.by_id.get(&key).and_then(|number| self.execs.get_mut(number)) {
            known.take_event(exec);
            return;
        }
        if let Some(number) = self.add(exec, world) {
            self.by_id.insert(key, number);
        }
    }

    fn add(&mut self, exec: Exec, world: &mut World) -> Option<ExecNumber> {
        if self.execs.len() >= WAITING {
            let reason = "more commands in containers at once than can be held";
            world.cannot_judge(Path::RuntimeSocket, reason, "look into what floods the runtime", exec.time);
            return None;
        }
        self.next += 1;
        self.due.insert((exec.time + world.context.settings.request_timeout, self.next));
        self.execs.insert(self.next, exec);
        Some(self.next)
    }

    fn judge_until(&mut self, now: Timestamp, world: &mut World) {
        while let Some((moment, number)) = self.due.first().copied() {
            if moment > now {
                break;
            }
            self.due.remove(&(moment, number));
            let Some(exec) = self.execs.get(&number) else { continue };
            if let Some(later) = self.wait_for(exec, moment, world) {
                self.due.insert((later, number));
                continue;
            }
            let Some(exec) = self.execs.remove(&number) else { continue };
            if !self.judge(&exec, world) {
                self.execs.insert(number, exec);
                self.due.insert((moment + QUIET_AGAIN, number));
                continue;
            }
            if let Some(id) = &exec.id {
                self.by_id.remove(&(exec.node.clone(), exec.container.clone(), id.clone()));
            }
        }
    }

    /// Until when an exec is still to be waited for. The kubelet writes a request's line when it ends.
    fn wait_for(&self, exec: &Exec, moment: Timestamp, world: &World) -> Option<Timestamp> {
        if self.over || exec.id.is_none() || exec.time + LONGEST <= moment {
            return None;
        }
        let settle = world.context.settings.request_timeout;
        match exec.ended {
            Some(ended) => {
                let beats = beat::periods(exec, world).into_iter().max().unwrap_or_default() * 3;
                let until = (ended + settle).max(exec.time + beats);
                (until > moment).then_some(until)
            }
            None => Some(moment + AGAIN),
        }
    }
}

impl Exec {
    fn new(node: &str, seen: Seen<'_>, container: &str, summary: String) -> Self {
        Self {
            node: node.to_owned(),
            container: container.to_owned(),
            namespace: None,
            time: seen.time,
            ended: None,
            id: None,
            generated: false,
            command: None,
            call: None,
            evidence: vec![seen.cite(summary)],
        }
    }

    /// Adds the event of the same exec.
    fn take_event(&mut self, event: Self) {
        self.namespace = event.namespace;
        self.id = event.id;
        self.ended = self.ended.or(event.ended);
        self.command = self.command.take().or(event.command);
        self.evidence.extend(event.evidence);
    }
}

fn say_what_was_not_watched(world: &mut World) {
    let states = 0..u16::try_from(world.feeds.states.len()).unwrap_or(u16::MAX);
    let shows = |shown| states.clone().any(|feed| world.ledger.verbosity.has_shown(feed, shown));
    if !shows(Shown::Events) && !shows(Shown::CriCalls) {
        return;
    }
    if !shows(Shown::CriExecs) {
        let reason = if shows(Shown::Events) {
            "the runtime's log is above level debug: its events show that commands were run, not which"
        } else {
            "neither events of the runtime nor its log at level debug: commands run in containers cannot be seen"
        };
        let cure = "have containerd or CRI-O log at level debug, or record `ctr events`; the kubelet's log at --v=4 tells its probes";
        world.verdicts.not_watched(Path::RuntimeSocket, reason, cure);
    }
}
