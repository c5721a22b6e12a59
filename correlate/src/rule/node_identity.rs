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

/// And for how long they must have come.
const ALONE: Duration = Duration::from_secs(60);

/// Nodes and addresses remembered.
const NODES: usize = 20_000;
const ADDRESSES: usize = 8;

/// Requests cited from each address.
const CITES: usize = 8;

/// Requests under a node's name from one address.
#[derive(Debug)]
struct Origin {
    address: IpAddr,
    requests: u64,
    user_agent: String,
    groups: Vec<String>,
    first: Timestamp,
    last: Timestamp,
    /// First seen before any address was known to be the node's.
    early: bool,
    cites: Vec<Cite>,
}

impl Origin {
    fn is_usual(&self) -> bool {
        self.requests >= LEARNED && self.last >= self.first + ALONE
    }
}

#[derive(Debug, Default)]
struct Node {
    origins: Vec<Origin>,
    /// It comes from many addresses: none can be called foreign.
    roams: bool,
}

impl Node {
    /// The address that nearly all requests come from, if there is one.
    fn home(&self) -> Option<&Origin> {
        let home =
            self.origins.iter().max_by_key(|origin| (origin.requests, std::cmp::Reverse(origin.first)))?;
        let one_family = self.origins.iter().all(|origin| origin.address.is_ipv4() == home.address.is_ipv4());
        (home.is_usual() && one_family && !self.roams).then_some(home)
    }

    /// What came from elsewhere. An address that took over is the node's new one, and one from before its old one;
    /// one that sends a good part of all is another of its own.
    fn strangers<'a>(&'a self, home: &'a Origin) -> Vec<&'a Origin> {
        let others: Vec<&Origin> =
            self.origins.iter().filter(|origin| origin.address != home.address).collect();
        // Several ways from the beginning: any of them may be the node's.
        if others.len() > 1 && others.iter().any(|origin| origin.early) {
            return Vec::new();
        }
        others
            .into_iter()
            .filter(|origin| origin.first >= home.first && origin.last <= home.last)
            .filter(|origin| origin.requests <= home.requests / if origin.early { 10 } else { 4 })
            .collect()
    }
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
            let Some(home) = node.home() else { continue };
            for stranger in node.strangers(home) {
                world.report(draft(&name, home, stranger));
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
        if !self.nodes.contains_key(name) {
            if self.nodes.len() >= NODES {
                return;
            }
            self.nodes.insert(name.into(), Node::default());
        }
        let Some(node) = self.nodes.get_mut(name) else { return };
        if let Some(origin) = node.origins.iter_mut().find(|origin| origin.address == address) {
            origin.requests += 1;
            origin.first = origin.first.min(seen.time);
            origin.last = origin.last.max(seen.time);
            if origin.cites.len() < CITES {
                origin.cites.push(cite(seen, fact, address));
            }
        } else if node.origins.len() < ADDRESSES {
            let early = !node.origins.iter().any(Origin::is_usual);
            node.origins.push(Origin {
                address,
                requests: 1,
                user_agent: fact.user_agent.to_string(),
                groups: fact.groups.split(',').map(str::to_owned).collect(),
                first: seen.time,
                last: seen.time,
                early,
                cites: vec![cite(seen, fact, address)],
            });
        } else {
            node.roams = true;
        }
    }
}

fn cite(seen: Seen<'_>, fact: &AuditFact, address: IpAddr) -> Cite {
    seen.cite(format!("{} from {address}", summary(fact)))
}

fn draft(name: &str, home: &Origin, stranger: &Origin) -> GapDraft {
    let Origin { address, requests, .. } = stranger;
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
        home.address, home.requests
    );
    draft
}

#[cfg(test)]
mod tests;
