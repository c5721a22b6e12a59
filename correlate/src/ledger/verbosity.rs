//! What each feed's log level lets it show, learned from its lines: only what a feed would show can be missing in it.

use std::collections::BTreeSet;

use auditgap_records::kubelet::KubeletLine;
use auditgap_records::runtime::RuntimeLine;

use crate::fact::Fact;
use crate::world::Seen;

/// Kinds of line that a log level brings out together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shown {
    /// Sandboxes and containers made through CRI (runtime log, info).
    CriCalls,
    /// Commands run through CRI (runtime log, debug).
    CriExecs,
    /// The ids that containerd's CRI plugin makes for execs (debug).
    ExecIds,
    /// Events of the runtime itself.
    Events,
    /// What the kubelet's sync loop was told (`--v=2`).
    SyncLoop,
    /// The kubelet's view of its containers (`--v=2`).
    Pleg,
    /// Containers that the kubelet kills (`--v=2`).
    Killing,
    /// Requests to the kubelet (`--v=3`).
    Http,
    /// Probes with an exec action (`--v=4`).
    Probes,
}

/// What feeds have shown so far.
#[derive(Debug, Default)]
pub struct Verbosity {
    shown: BTreeSet<(u16, Shown)>,
}

impl Verbosity {
    pub(crate) fn observe(&mut self, seen: Seen<'_>) {
        let shown = match seen.fact {
            Fact::Kubelet(line) => of_kubelet(line),
            Fact::Runtime(line) => of_runtime(line),
            _ => None,
        };
        if let Some(shown) = shown {
            self.shown.insert((seen.feed, shown));
        }
    }

    /// Whether a feed has shown a kind of line.
    pub fn has_shown(&self, feed: u16, shown: Shown) -> bool {
        self.shown.contains(&(feed, shown))
    }
}

fn of_kubelet(line: &KubeletLine<'_>) -> Option<Shown> {
    Some(match line {
        KubeletLine::SyncLoop { .. } => Shown::SyncLoop,
        KubeletLine::Pleg { known_pod: true, .. } => Shown::Pleg,
        KubeletLine::KillingContainer { .. } => Shown::Killing,
        KubeletLine::Http { .. } => Shown::Http,
        KubeletLine::Probe { exec: true, .. } => Shown::Probes,
        _ => return None,
    })
}

fn of_runtime(line: &RuntimeLine<'_>) -> Option<Shown> {
    Some(match line {
        RuntimeLine::RunPodSandbox { .. } | RuntimeLine::CreateContainer { .. } => Shown::CriCalls,
        // The answer of a failed call is written at every level.
        RuntimeLine::Exec { done: false, .. } => Shown::CriExecs,
        RuntimeLine::ExecIdGenerated { .. } => Shown::ExecIds,
        RuntimeLine::Event(_) => Shown::Events,
        _ => return None,
    })
}
