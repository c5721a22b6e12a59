//! Telling probes by their beat, where neither log says which command an exec ran.
//!
//! A kubelet runs each probe of a container on a ticker of its own: at a fixed distance of `periodSeconds`, whatever
//! else happens, until the container ends or the kubelet starts anew. Where a beat is filled before and after an exec
//! that lies well between, that exec is none of the ticker's.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::inventory::SpecCause;

use super::Exec;
use crate::world::World;

/// Execs remembered of one container, at the most.
const REMEMBERED: usize = 2_048;

/// A beat may come this much early or late.
const JITTER: Duration = Duration::from_millis(60);

/// An exec nearer than this to a beat may be that beat's.
const APART: Duration = Duration::from_millis(150);

/// A probe that failed to run is tried again at once: an exec this soon after another's end may be that.
const RETRY: Duration = Duration::from_millis(200);

/// A hook runs within this time of the container's start or before its stop.
const HOOK: Duration = Duration::from_mins(2);

/// How long a container's execs are remembered.
const MEMORY: Duration = Duration::from_mins(30);

#[derive(Clone, Debug)]
struct Beat {
    id: String,
    start: Timestamp,
    end: Option<Timestamp>,
}

/// What an exec's time says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is one of a probe's beats.
    OnBeat,
    /// It lies between two beats of every probe of its container.
    OffBeat,
    /// It may be either.
    Unclear,
}

/// Starts and ends of execs, by node and container.
#[derive(Debug, Default)]
pub(super) struct Beats {
    execs: BTreeMap<(String, String), VecDeque<Beat>>,
    /// First start and first stop of containers.
    starts: BTreeMap<String, Timestamp>,
    stops: BTreeMap<String, Timestamp>,
}

impl Beats {
    pub(super) fn began(&mut self, node: &str, container: &str, id: &str, start: Timestamp) {
        let beats = self.execs.entry((node.to_owned(), container.to_owned())).or_default();
        if beats.len() >= REMEMBERED {
            beats.pop_front();
        }
        beats.push_back(Beat { id: id.to_owned(), start, end: None });
    }

    pub(super) fn ended(&mut self, node: &str, container: &str, id: &str, end: Timestamp) {
        let beats = self.execs.get_mut(&(node.to_owned(), container.to_owned()));
        if let Some(beat) = beats.and_then(|beats| beats.iter_mut().rev().find(|beat| beat.id == id)) {
            beat.end = Some(end);
        }
    }

    pub(super) fn starts(&mut self, container: &str, moment: Timestamp) {
        self.starts.entry(container.to_owned()).or_insert(moment);
    }

    pub(super) fn stops(&mut self, container: &str, moment: Timestamp) {
        self.stops.entry(container.to_owned()).or_insert(moment);
    }

    /// Whether an exec comes when hooks come.
    pub(super) fn is_hook_time(&self, exec: &Exec) -> bool {
        let after_start = self.starts.get(&exec.container).is_some_and(|start| exec.time <= *start + HOOK);
        let near_stop = self
            .stops
            .get(&exec.container)
            .is_some_and(|stop| exec.time + HOOK >= *stop && exec.time <= *stop + HOOK);
        after_start || near_stop
    }

    /// What the time of an exec says, given the periods of its container's probes.
    pub(super) fn judge(&self, exec: &Exec, periods: &[Duration]) -> Verdict {
        let beats = self.execs.get(&(exec.node.clone(), exec.container.clone()));
        let others: Vec<&Beat> = beats
            .into_iter()
            .flatten()
            .filter(|beat| Some(beat.id.as_str()) != exec.id.as_deref() || beat.start != exec.time)
            .collect();
        if periods.iter().any(|period| is_on_beat(exec.time, *period, &others)) {
            return Verdict::OnBeat;
        }
        let between = |period: &Duration| lies_between(exec.time, *period, &others);
        if !periods.is_empty() && periods.iter().all(between) && !may_be_retry(exec.time, &others) {
            return Verdict::OffBeat;
        }
        let alone = periods.iter().any(|period| {
            let half = *period / 2;
            !others.iter().any(|beat| beat.start + half > exec.time && beat.start < exec.time + half)
        });
        if alone { Verdict::OnBeat } else { Verdict::Unclear }
    }

    pub(super) fn forget(&mut self, settled: Timestamp) {
        let before = settled - MEMORY;
        self.execs.retain(|_, beats| {
            while beats.front().is_some_and(|beat| beat.start < before) {
                beats.pop_front();
            }
            !beats.is_empty()
        });
        let stopped = |container: &String, stops: &BTreeMap<String, Timestamp>| {
            stops.get(container).is_some_and(|stop| *stop < before)
        };
        self.starts.retain(|container, _| !stopped(container, &self.stops));
        self.stops.retain(|_, stop| *stop >= before);
    }
}

/// The periods of a container's exec probes.
pub(super) fn periods(exec: &Exec, world: &World) -> Vec<Duration> {
    let Some(container) = world.ledger.containers.get(&exec.container) else { return Vec::new() };
    let Some(pod) = world.ledger.pods.get(&container.pod_namespace, &container.pod_name) else {
        return Vec::new();
    };
    pod.commands
        .iter()
        .filter(|command| command.cause == SpecCause::Probe)
        .filter(|command| container.name.is_empty() || command.container == container.name)
        .map(|command| Duration::from_secs(u64::from(command.period_seconds.max(1))))
        .collect()
}

fn near(moment: Timestamp, expected: Timestamp, margin: Duration) -> bool {
    moment.nanos_since(expected).unsigned_abs() <= u64::try_from(margin.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether another exec comes one or two periods before or after.
fn is_on_beat(moment: Timestamp, period: Duration, others: &[&Beat]) -> bool {
    let expected = [
        moment - period,
        moment + period,
        moment - period.saturating_mul(2),
        moment + period.saturating_mul(2),
    ];
    others.iter().any(|beat| expected.iter().any(|expected| near(beat.start, *expected, JITTER)))
}

/// Whether the beats before and after are there, and the beat before those.
fn lies_between(moment: Timestamp, period: Duration, others: &[&Beat]) -> bool {
    others.iter().any(|before| {
        let (first, next) = (before.start, before.start + period);
        first + APART <= moment
            && moment + APART <= next
            && others.iter().any(|beat| near(beat.start, next, JITTER))
            && others.iter().any(|beat| near(beat.start, first - period, JITTER))
    })
}

/// Whether it follows upon another exec's end, or runs beside one whose end is not known.
fn may_be_retry(moment: Timestamp, others: &[&Beat]) -> bool {
    let earlier = others.iter().filter(|beat| beat.start <= moment && beat.start + MEMORY >= moment);
    earlier.clone().any(|beat| match beat.end {
        Some(end) => end <= moment && end + RETRY > moment,
        None => beat.start + Duration::from_mins(1) > moment,
    })
}
