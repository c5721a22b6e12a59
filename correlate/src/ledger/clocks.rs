//! How far the clocks of nodes are from the API server's.
//!
//! A kubelet hears of a Pod within milliseconds of its binding: the two times of one Pod, each by its own clock. A
//! kubelet that starts again hears of all its Pods once more, so that each Pod counts once.

use std::collections::BTreeMap;

use auditgap_records::Timestamp;
use auditgap_records::kubelet::{KubeletLine, PodSource, SyncOp};

use crate::fact::{AuditFact, Verb};
use crate::key::Identity;
use crate::lookup::Lookup;
use crate::world::Seen;

/// Pairs below which nothing is concluded.
const ENOUGH: usize = 3;

/// Pairs kept per feed, the last ones.
const KEPT: usize = 64;

/// Pods remembered; beyond, all are forgotten at once and pairs begin anew.
const PODS: usize = 50_000;

/// Differences smaller than this are delays, not a clock's error: a kubelet's watch may lag.
const NOTABLE: i64 = 500_000_000;

/// What is known of one Pod's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    Bound(Timestamp),
    Heard(u16, Timestamp),
    Paired,
}

/// Clocks of kubelets' feeds.
#[derive(Debug, Default)]
pub struct Clocks {
    pods: Lookup<Identity, Beginning>,
    ahead: BTreeMap<u16, Vec<i64>>,
}

impl Clocks {
    pub(crate) fn observe_request(&mut self, fact: &AuditFact) {
        let binds = fact.verb == Verb::Create && &*fact.resource == "pods" && &*fact.subresource == "binding";
        if binds && fact.succeeded() && !fact.dry_run {
            self.note(&fact.namespace, &fact.name, Beginning::Bound(fact.staged));
        }
    }

    pub(crate) fn observe_kubelet(&mut self, seen: Seen<'_>, line: &KubeletLine<'_>) {
        if let KubeletLine::SyncLoop { op: SyncOp::Add, source: PodSource::Api, pods } = line {
            for pod in pods {
                self.note(&pod.namespace, &pod.name, Beginning::Heard(seen.feed, seen.time));
            }
        }
    }

    fn note(&mut self, namespace: &str, name: &str, news: Beginning) {
        let identity = Identity::of(&[namespace, name]);
        let known = self.pods.get(&identity).copied();
        let (bound, feed, heard) = match (known, news) {
            (Some(Beginning::Bound(bound)), Beginning::Heard(feed, heard))
            | (Some(Beginning::Heard(feed, heard)), Beginning::Bound(bound)) => (bound, feed, heard),
            (None, _) => {
                if self.pods.len() >= PODS {
                    self.pods.clear();
                }
                self.pods.insert(identity, news);
                return;
            }
            _ => return,
        };
        self.pods.insert(identity, Beginning::Paired);
        let deltas = self.ahead.entry(feed).or_default();
        if deltas.len() >= KEPT {
            deltas.remove(0);
        }
        deltas.push(heard.nanos_since(bound));
    }

    /// Nanoseconds by which the clock of a kubelet's feed is ahead; 0 where it agrees or nothing is known.
    pub(crate) fn ahead(&self, feed: u16) -> i64 {
        let Some(deltas) = self.ahead.get(&feed).filter(|deltas| deltas.len() >= ENOUGH) else { return 0 };
        let mut sorted = deltas.clone();
        let middle = sorted.len() / 2;
        let (_, median, _) = sorted.select_nth_unstable(middle);
        if median.abs() < NOTABLE { 0 } else { *median }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pod_counts_once_and_a_few_are_needed() {
        let mut clocks = Clocks::default();
        let second = |seconds: i64| Timestamp(seconds * 1_000_000_000);
        for number in 0..5 {
            assert_eq!(clocks.ahead(4), if number < 3 { 0 } else { 10_000_000_000 });
            let name = format!("p{number}");
            clocks.note("a", &name, Beginning::Bound(second(number)));
            clocks.note("a", &name, Beginning::Heard(4, second(number + 10)));
            // The kubelet starts again.
            clocks.note("a", &name, Beginning::Heard(4, second(900)));
        }
        // Behind: what it heard comes first.
        for number in 0..3 {
            clocks.note("b", &number.to_string(), Beginning::Heard(5, second(number)));
            clocks.note("b", &number.to_string(), Beginning::Bound(second(number + 3)));
        }
        assert_eq!(clocks.ahead(5), -3_000_000_000);
        assert_eq!(clocks.ahead(6), 0);
    }
}
