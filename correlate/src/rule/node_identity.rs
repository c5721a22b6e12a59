//! A node's identity used from elsewhere than the node.
//!
//! A kubelet's client certificate opens what its node may read: the Secrets of its Pods, and through TokenRequest
//! their identities. Its requests are on record and look like the kubelet's own; only the address differs.
//!
//! Page: `docs/rules/node-identity.md`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::report::{Confidence, GapObject, Path, Severity};

use super::{Rule, RuleInfo};
use crate::fact::{AuditFact, Fact};
use crate::ledger::requests::summary;
use crate::verdict::{Cite, GapDraft};
use crate::world::{Seen, World};

/// The rule.
pub static INFO: RuleInfo = RuleInfo {
    name: "node-identity",
    path: Path::KubeletApi,
    techniques: &["KL11"],
    attack: &["T1552.004", "T1078"],
    next_steps: &[
        "Find out what has the foreign address: another node, a Pod, a gateway, a machine that is none of the cluster's.",
        "If it is not the node, replace the kubelet's client certificate, and see what else was done with it.",
        "Read what the identity asked for from there, Secrets and tokens first.",
    ],
};

/// Requests from one address that show it to be the node's.
const LEARNED: u64 = 20;

/// And for how long it must have been the only one.
const ALONE: Duration = Duration::from_secs(60);

/// Nodes and addresses remembered.
const NODES: usize = 20_000;
const ADDRESSES: usize = 8;
const CITES: usize = 16;

#[derive(Debug)]
struct Stranger {
    address: IpAddr,
    requests: u64,
    user_agent: String,
    groups: Vec<String>,
    last: Timestamp,
    cites: Vec<Cite>,
}

#[derive(Debug)]
struct Node {
    home: IpAddr,
    first: Timestamp,
    last: Timestamp,
    requests: u64,
    strangers: Vec<Stranger>,
    /// It comes from many addresses: none can be called foreign.
    roams: bool,
}

/// The rule's state.
#[derive(Debug, Default)]
pub struct NodeIdentity {
    nodes: BTreeMap<Box<str>, Node>,
}

impl Rule for NodeIdentity {
    fn observe(&mut self, seen: Seen<'_>, _world: &mut World) {
        if let Fact::Audit(fact) = seen.fact
            && fact.is_node
            && let Some(node) = fact.node()
        {
            self.observe_request(seen, node, fact);
        }
    }

    fn tick(&mut self, _world: &mut World) {}

    fn finish(&mut self, world: &mut World) {
        for (name, node) in std::mem::take(&mut self.nodes) {
            if node.roams || node.requests < LEARNED {
                continue;
            }
            for stranger in &node.strangers {
                // An address that takes over is the node's new one.
                let moved = stranger.last > node.last || stranger.requests > node.requests / 4;
                if !moved {
                    world.report(draft(&name, &node, stranger));
                }
            }
        }
    }
}

impl NodeIdentity {
    fn observe_request(&mut self, seen: Seen<'_>, name: &str, fact: &AuditFact) {
        let Ok(address) = fact.source_ip.parse::<IpAddr>() else { return };
        // On a control plane node the way to the API server may be the loopback one.
        if address.is_loopback() || address.is_unspecified() {
            return;
        }
        let Some(node) = self.nodes.get_mut(name) else {
            if self.nodes.len() < NODES {
                let node = Node {
                    home: address,
                    first: seen.time,
                    last: seen.time,
                    requests: 1,
                    strangers: Vec::new(),
                    roams: false,
                };
                self.nodes.insert(name.into(), node);
            }
            return;
        };
        if node.home == address {
            node.requests += 1;
            node.last = node.last.max(seen.time);
            return;
        }
        let learned = node.requests >= LEARNED && seen.time >= node.first + ALONE;
        let same_family = node.home.is_ipv4() == address.is_ipv4();
        if !learned || !same_family {
            node.roams = true;
            return;
        }
        let cite = seen.cite(format!("{} from {address}", summary(fact)));
        if let Some(stranger) = node.strangers.iter_mut().find(|stranger| stranger.address == address) {
            stranger.requests += 1;
            stranger.last = stranger.last.max(seen.time);
            if stranger.cites.len() < CITES {
                stranger.cites.push(cite);
            }
        } else if node.strangers.len() < ADDRESSES {
            node.strangers.push(Stranger {
                address,
                requests: 1,
                user_agent: fact.user_agent.to_string(),
                groups: fact.groups.split(',').map(str::to_owned).collect(),
                last: seen.time,
                cites: vec![cite],
            });
        } else {
            node.roams = true;
        }
    }
}

fn draft(name: &str, node: &Node, stranger: &Stranger) -> GapDraft {
    let Stranger { address, requests, .. } = stranger;
    let title =
        format!("The identity of node {name} was used from {address}, which is not the node's address");
    let mut draft = GapDraft::new(&INFO, title, stranger.cites.clone());
    draft.severity = Severity::Medium;
    draft.confidence = Confidence::Medium;
    name.clone_into(&mut draft.node);
    draft.count = *requests;
    draft.object = GapObject { resource: "nodes".to_owned(), name: name.to_owned(), ..GapObject::default() };
    draft.actor.user = format!("system:node:{name}");
    draft.actor.groups.clone_from(&stranger.groups);
    draft.actor.source_ip = address.to_string();
    draft.actor.user_agent.clone_from(&stranger.user_agent);
    draft.threads = vec![format!("user:system:node:{name}")];
    draft.why = format!(
        "The kubelet of {name} speaks to the API server from {} ({} recorded requests, before and after). {requests} \
         request(s) under its name came from {address}. Its client certificate and key, or a copy, are used there.",
        node.home, node.requests
    );
    draft
}

#[cfg(test)]
mod tests;
