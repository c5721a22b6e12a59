//! Histories of an invented cluster: what its components would have logged, and which bypasses are in it.
//!
//! A history is a discrete simulation: activities put steps on a queue, steps write lines. All that is said about one
//! thing in several logs (a request in the audit log, its transaction in etcd's, its revision in the watch) is said by one
//! function, with the delays that were measured on real clusters.

mod activity;
mod bypass;
mod call;
mod etcd;
mod node;
mod people;
mod pod;
mod stamp;
mod upkeep;
mod world;

use std::collections::BTreeMap;
use std::{fs, io};

use auditgap_records::report::Path;
use auditgap_records::{FeedKind, Timestamp};

use crate::random::Random;
use world::World;

/// One second in nanoseconds.
pub(crate) const SECOND: i64 = 1_000_000_000;
/// One millisecond in nanoseconds.
pub(crate) const MILLI: i64 = 1_000_000;
/// One microsecond in nanoseconds.
pub(crate) const MICRO: i64 = 1_000;

/// What the audit policy of the cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auditing {
    /// One rule: Metadata for all, without the stage `RequestReceived`.
    Metadata,
    /// One rule: RequestResponse for all, all stages.
    RequestResponse,
    /// Like the policies of managed clusters: no core events, pods with bodies, the rest at Metadata.
    Managed,
}

impl Auditing {
    /// The policy file.
    pub fn policy(self) -> &'static str {
        match self {
            Self::Metadata => {
                "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n"
            }
            Self::RequestResponse => {
                "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n"
            }
            Self::Managed => {
                "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n\
                 - level: None\n  resources:\n  - group: \"\"\n    resources: [events]\n\
                 - level: RequestResponse\n  resources:\n  - group: \"\"\n    resources: [pods]\n\
                 - level: Metadata\n"
            }
        }
    }
}

/// How much etcd's log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtcdLog {
    /// Only what the defaults give: nearly nothing.
    Info,
    /// `--log-level=debug`: every request with its peer and user.
    Debug,
    /// `--warning-apply-duration=1ns` at info: every applied request with its user, no peer.
    SlowApply,
}

/// What a history is to be like.
#[derive(Clone, Debug)]
pub struct Options {
    /// Minutes of event time.
    pub minutes: i64,
    /// Nodes.
    pub nodes: usize,
    /// API servers, each with its own audit log.
    pub api_servers: usize,
    /// Audit policy.
    pub auditing: Auditing,
    /// Verbosity of etcd's log.
    pub etcd_log: EtcdLog,
    /// There is a watch on etcd's whole key space.
    pub etcd_watch: bool,
    /// Verbosity of the kubelets: 2, 3 or 4. HTTP requests are logged from 3.
    pub kubelet_verbosity: u8,
    /// containerd logs at debug.
    pub containerd_debug: bool,
    /// Milliseconds by which each node's clock is ahead of the API servers'.
    pub node_clock_ms: i64,
    /// Bypasses to hide in it.
    pub bypasses: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            minutes: 4,
            nodes: 2,
            api_servers: 1,
            auditing: Auditing::RequestResponse,
            etcd_log: EtcdLog::Debug,
            etcd_watch: true,
            kubelet_verbosity: 4,
            containerd_debug: true,
            node_clock_ms: 0,
            bypasses: 4,
        }
    }
}

impl Options {
    /// Options that vary with the seed over all that clusters really differ in.
    pub fn for_seed(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x6f70_7469_6f6e_7321);
        Self {
            minutes: random.between(2, 5),
            nodes: random.between(1, 3) as usize,
            api_servers: random.between(1, 2) as usize,
            auditing: match random.below(3) {
                0 => Auditing::Metadata,
                1 => Auditing::RequestResponse,
                _ => Auditing::Managed,
            },
            etcd_log: match random.below(3) {
                0 => EtcdLog::Info,
                1 => EtcdLog::Debug,
                _ => EtcdLog::SlowApply,
            },
            etcd_watch: random.chance(85),
            kubelet_verbosity: random.between(2, 4) as u8,
            containerd_debug: random.chance(60),
            node_clock_ms: 0,
            bypasses: random.below(6) as usize,
        }
    }
}

/// A bypass that was put into a history.
#[derive(Clone, Debug)]
pub struct Injected {
    /// What was done, for messages.
    pub what: &'static str,
    /// Paths under which it may rightly be reported.
    pub paths: Vec<Path>,
    /// Text that a report must show to have named it; empty if there is nothing to name.
    pub named: String,
    /// From when its traces are.
    pub from: Timestamp,
    /// Until when its consequences are.
    pub to: Timestamp,
}

/// One log of a history.
#[derive(Clone, Debug)]
pub struct Log {
    /// What it watches.
    pub kind: FeedKind,
    /// Which API server, node or member.
    pub instance: String,
    /// Name of the file.
    pub file: String,
    /// Its lines, each with its line break.
    pub text: String,
}

/// A history: the logs, what is known beside them, and the truth.
#[derive(Clone, Debug)]
pub struct History {
    /// The logs by file name.
    pub logs: Vec<Log>,
    /// The audit policy file.
    pub policy: &'static str,
    /// Other files: lists of objects at the start.
    pub inventory: BTreeMap<String, String>,
    /// The bypasses in it.
    pub truth: Vec<Injected>,
    /// First moment of the simulation.
    pub from: Timestamp,
    /// Last moment of the simulation.
    pub to: Timestamp,
}

impl History {
    /// Invents a history. The same seed and options give the same bytes.
    pub fn generate(seed: u64, options: &Options) -> Self {
        let mut world = World::new(seed, options.clone());
        upkeep::start(&mut world);
        activity::start(&mut world);
        bypass::start(&mut world);
        world.run();
        world.into_history()
    }

    /// Writes the logs, the policy and the inventory as files below a folder.
    pub fn write_to(&self, folder: &std::path::Path) -> io::Result<()> {
        let policy = ("audit-policy.yaml", self.policy);
        let logs = self.logs.iter().map(|log| (log.file.as_str(), log.text.as_str()));
        let lists = self.inventory.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        for (name, text) in logs.chain(lists).chain([policy]) {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(path, text)?;
        }
        Ok(())
    }
}
