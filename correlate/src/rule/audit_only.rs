//! What audit records (and a kubelet's log) prove of etcd where etcd itself is not watched.
//!
//! Three consequences of a write around the API server: an access decision that cites a binding nobody created, a
//! Pod that a node runs and nobody created, and an object read at a version that no recorded write produced. Each
//! needs to know that the thing was not simply there before; where that is not known, this rule is silent.
//!
//! Page: `docs/rules/audit-only.md`.

use auditgap_records::Timestamp;
use auditgap_records::kubelet::{KubeletLine, PodSource, SyncOp};
use auditgap_records::report::Path;

use super::{Rule, RuleInfo};
use crate::fact::Fact;
use crate::world::{Seen, World};

mod beginning;
mod binding;
mod pod;
mod version;

use beginning::Beginning;
use binding::Bindings;
use pod::GhostPods;
use version::Versions;

/// The rule.
pub static INFO: RuleInfo = RuleInfo {
    name: "audit-only",
    path: Path::EtcdApi,
    techniques: &["ET1", "ET2", "ET3"],
    attack: &["T1565.001", "T1098.006", "T1610"],
    next_steps: &[
        "Read the object through the API server: its creation time, managed fields and owner tell who should have made it.",
        "Find out who can reach etcd: its client certificates, its port, its data directory and snapshots.",
        "Undo the write through the API server, so that the undoing is on record.",
        "Record a watch on etcd's key space from now on: it shows such writes when they happen, not by what follows.",
    ],
};

/// The rule's state.
#[derive(Debug, Default)]
pub struct AuditOnly {
    beginning: Beginning,
    bindings: Bindings,
    pods: GhostPods,
    versions: Versions,
    /// A watch on etcd shows every write exactly: what is read later adds nothing.
    etcd_watched: bool,
}

impl Rule for AuditOnly {
    fn observe(&mut self, seen: Seen<'_>, world: &mut World) {
        match seen.fact {
            Fact::Audit(fact) => {
                self.beginning.observe(seen, fact);
                self.bindings.observe(seen, fact);
                self.pods.observe_request(seen, fact);
                self.versions.observe(seen, fact);
            }
            Fact::Kubelet(line) => match &**line {
                KubeletLine::SyncLoop { op: SyncOp::Add, source: PodSource::Api, pods } => {
                    self.pods.observe_added(seen, pods, world);
                }
                KubeletLine::SyncLoop { op: SyncOp::Add, pods, .. } => self.pods.observe_static(pods),
                _ => {}
            },
            Fact::Revision(_) => self.etcd_watched = true,
            _ => {}
        }
    }

    fn tick(&mut self, world: &mut World) {
        let due = world.clock - world.context.settings.request_timeout;
        self.pods.judge_until(due, &self.beginning, world);
        self.versions.settle(due);
    }

    fn finish(&mut self, world: &mut World) {
        self.pods.judge_until(Timestamp::MAX, &self.beginning, world);
        self.bindings.finish(&self.beginning, world);
        self.versions.settle(Timestamp::MAX);
        if !self.etcd_watched {
            self.versions.finish(world);
        }
    }
}

#[cfg(test)]
mod tests;
