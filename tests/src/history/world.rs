//! The simulation itself: a clock, a queue of steps, and the lines said so far.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use auditgap_records::report::Path;
use auditgap_records::{FeedKind, Timestamp};

use super::etcd::Store;
use super::pod::Pod;
use super::{History, Injected, Log, MILLI, Options, SECOND};
use crate::random::Random;

/// 2026-11-23T08:00:00Z, and a day for each seed so that no history is about one date.
const EPOCH: i64 = 1_795_420_800 * SECOND;

/// A log that is written to. The number is that of the API server or node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stream {
    Audit(usize),
    Watch,
    Etcd,
    Kubelet(usize),
    Containerd(usize),
    RuntimeEvents(usize),
}

impl Stream {
    fn log(self) -> (FeedKind, String, String) {
        match self {
            Self::Audit(number) => {
                (FeedKind::Audit, format!("apiserver-{number}"), format!("audit-{number}.log"))
            }
            Self::Watch => (FeedKind::Etcd, "etcd-0".to_owned(), "etcd-watch.jsonl".to_owned()),
            Self::Etcd => (FeedKind::Etcd, "etcd-0".to_owned(), "etcd.log".to_owned()),
            Self::Kubelet(node) => {
                (FeedKind::Kubelet, node_name(node), format!("{}/kubelet.log", node_name(node)))
            }
            Self::Containerd(node) => {
                (FeedKind::Runtime, node_name(node), format!("{}/containerd.log", node_name(node)))
            }
            Self::RuntimeEvents(node) => {
                (FeedKind::Runtime, node_name(node), format!("{}/ctr-events.log", node_name(node)))
            }
        }
    }

    fn is_of_a_node(self) -> bool {
        matches!(self, Self::Kubelet(_) | Self::Containerd(_) | Self::RuntimeEvents(_))
    }
}

/// Name of a node.
pub(crate) fn node_name(node: usize) -> String {
    format!("worker-{node}")
}

/// Something that happens at a moment.
type Step = Box<dyn FnOnce(&mut World)>;

pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) random: Random,
    /// True time.
    pub(crate) now: i64,
    pub(crate) from: i64,
    /// When nothing new begins any more; what has begun is finished.
    pub(crate) end: i64,
    pub(crate) etcd: Store,
    /// Running Pods by number.
    pub(crate) pods: BTreeMap<u64, Pod>,
    pub(crate) inventory: BTreeMap<String, String>,
    pub(crate) truth: Vec<Injected>,
    queue: BTreeMap<(i64, u64), Step>,
    sequence: u64,
    lines: BTreeMap<Stream, Vec<(i64, String)>>,
}

impl World {
    pub(crate) fn new(seed: u64, options: Options) -> Self {
        let from = EPOCH + (seed % 365) as i64 * 86_400 * SECOND;
        Self {
            random: Random::new(seed),
            now: from,
            from,
            end: from + options.minutes * 60 * SECOND,
            etcd: Store::new(1_000 + (seed % 9_000) as i64),
            pods: BTreeMap::new(),
            inventory: BTreeMap::new(),
            truth: Vec::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            lines: BTreeMap::new(),
            options,
        }
    }

    /// Puts a step on the queue.
    pub(crate) fn later(&mut self, delay: i64, step: impl FnOnce(&mut World) + 'static) {
        self.sequence += 1;
        self.queue.insert((self.now + delay, self.sequence), Box::new(step));
    }

    /// Does a step again and again until the end, the first time after a part of the period.
    pub(crate) fn every(&mut self, period: i64, step: fn(&mut World, usize), number: usize) {
        let first = self.random.between(0, period);
        self.later(first, move |world| world.again(period, step, number));
    }

    fn again(&mut self, period: i64, step: fn(&mut World, usize), number: usize) {
        if self.now >= self.end {
            return;
        }
        step(self, number);
        let jitter = self.random.between(-MILLI, MILLI);
        self.later(period + jitter, move |world| world.again(period, step, number));
    }

    /// A delay between two bounds in milliseconds.
    pub(crate) fn millis(&mut self, low: i64, high: i64) -> i64 {
        self.random.between(low * MILLI, high * MILLI)
    }

    /// A fresh number, for names that must be unique.
    pub(crate) fn number(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// A line of a log at a true time. Lines of a node carry its clock, which the caller asks for with `stamp`.
    pub(crate) fn say(&mut self, stream: Stream, time: i64, line: String) {
        self.lines.entry(stream).or_default().push((time, line));
    }

    /// What the clock that writes a log shows at a true time.
    pub(crate) fn stamp(&self, stream: Stream, time: i64) -> i64 {
        if stream.is_of_a_node() { time + self.options.node_clock_ms * MILLI } else { time }
    }

    /// Notes a bypass whose traces begin now.
    pub(crate) fn inject(&mut self, what: &'static str, paths: &[Path], named: &str, lasting: i64) {
        self.truth.push(Injected {
            what,
            paths: paths.to_vec(),
            named: named.to_owned(),
            from: Timestamp(self.now),
            to: Timestamp(self.now + lasting),
        });
    }

    /// Runs until the queue is empty.
    pub(crate) fn run(&mut self) {
        while let Some(((time, _), step)) = self.queue.pop_first() {
            self.now = time;
            step(self);
        }
    }

    pub(crate) fn into_history(self) -> History {
        let to = self.lines.values().flatten().map(|(time, _)| *time).max().unwrap_or(self.now);
        let logs = self
            .lines
            .into_iter()
            .map(|(stream, mut lines)| {
                lines.sort_by_key(|(time, _)| *time);
                let (kind, instance, file) = stream.log();
                let mut text = String::new();
                for (_, line) in lines {
                    let _ = writeln!(text, "{line}");
                }
                Log { kind, instance, file, text }
            })
            .collect();
        History {
            logs,
            policy: self.options.auditing.policy(),
            inventory: self.inventory,
            truth: self.truth,
            from: Timestamp(self.from),
            to: Timestamp(to),
        }
    }
}
