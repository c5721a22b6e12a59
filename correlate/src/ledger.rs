//! What the API server recorded, and what is known of Pods, containers and components, as far back as rules need.
//!
//! The ledger takes in every record before the rules see it. It holds facts and gives no verdicts.

use std::collections::VecDeque;
use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::etcd::{EtcdLine, KeyOpKind};

use crate::engine::Context;
use crate::fact::Fact;
use crate::world::Seen;

pub mod clocks;
pub mod containers;
pub mod host;
pub mod lifecycle;
pub mod pods;
pub mod requests;
pub mod reviews;
pub mod streams;
pub mod verbosity;

use clocks::Clocks;
use containers::Containers;
use host::Host;
use lifecycle::Lifecycle;
use pods::Pods;
use requests::Requests;
use reviews::Reviews;
use streams::Streams;
use verbosity::Verbosity;

/// The ledger of one cluster.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Requests that write objects.
    pub requests: Requests,
    /// Requests that open streams into Pods, read their logs, or go through a proxy.
    pub streams: Streams,
    /// Access reviews, which a kubelet asks for when somebody calls it.
    pub reviews: Reviews,
    /// Pods: who made them, what they run by themselves.
    pub pods: Pods,
    /// Containers and sandboxes.
    pub containers: Containers,
    /// Starts and ends of components.
    pub lifecycle: Lifecycle,
    /// What the host saw.
    pub host: Host,
    /// Clocks of nodes.
    pub clocks: Clocks,
    /// What each feed's log level lets it show.
    pub verbosity: Verbosity,
    /// Spans of requests to etcd that write, from its log.
    pub etcd_writes: VecDeque<(Timestamp, Timestamp)>,
}

impl Ledger {
    pub(crate) fn new(context: &Context) -> Self {
        let mut ledger = Self::default();
        ledger.pods.take_in_inventory(&context.inventory);
        ledger.containers.take_in_inventory(&context.inventory);
        ledger
    }

    pub(crate) fn observe(&mut self, seen: Seen<'_>, node: &str) {
        self.verbosity.observe(seen);
        match seen.fact {
            Fact::Audit(fact) => {
                self.requests.observe(seen, fact);
                self.clocks.observe_request(fact);
                self.streams.observe(seen, fact);
                self.reviews.observe(seen, fact);
                self.pods.observe_request(seen, fact);
                self.lifecycle.observe_request(seen, fact);
            }
            Fact::Kubelet(line) => {
                self.streams.observe_kubelet(line);
                self.clocks.observe_kubelet(seen, line);
                self.pods.observe_kubelet(seen, line, node);
                self.containers.observe_kubelet(seen, line, node);
                self.lifecycle.observe_kubelet(seen, line, node);
            }
            Fact::Runtime(line) => {
                self.containers.observe_runtime(seen, line, node);
                self.lifecycle.observe_runtime(seen, line, node);
            }
            Fact::Revision(revision) => self.pods.observe_revision(seen, revision),
            Fact::ApiServer(line) => self.lifecycle.observe_api_server(seen, line),
            Fact::Host(event) => self.host.observe(seen, event, node),
            Fact::Etcd(line) => {
                if let EtcdLine::Request(request) = &**line
                    && request.success.iter().any(|op| op.kind != KeyOpKind::Range)
                {
                    self.etcd_writes.push_back((
                        seen.time - Duration::from_nanos(request.took.max(0).unsigned_abs()),
                        seen.time,
                    ));
                }
            }
        }
    }

    /// Lets go of what no window needs any more.
    pub(crate) fn forget(&mut self, clock: Timestamp, keep: Duration) {
        let before = clock - keep;
        self.requests.forget(before);
        self.streams.forget(before);
        self.reviews.forget(before);
        self.pods.forget(before);
        self.containers.forget(before);
        self.host.forget(before);
        while self.etcd_writes.front().is_some_and(|(_, ended)| *ended < before) {
            self.etcd_writes.pop_front();
        }
    }
}
