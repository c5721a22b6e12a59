//! The rules: one file each, one page each in `docs/rules/`.
//!
//! A rule sees every record in the order of event time, after the ledger has taken it in. It keeps what it waits
//! for, gives each action one verdict, and calls no other rule.

use auditgap_records::report::Path;

use crate::world::{Seen, World};

pub mod audit_only;
pub mod audit_trail;
pub mod etcd_admin;
pub mod etcd_read;
pub mod etcd_write;
pub mod kubelet_refused;
pub mod kubelet_request;
pub mod kubelet_review;
pub mod node_identity;
pub mod runtime_container;
pub mod runtime_exec;
pub mod runtime_other;
pub mod static_pod;

/// What a rule is, for reports and documentation.
#[derive(Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// Name; also of its page `docs/rules/NAME.md`.
    pub name: &'static str,
    /// Which way around the API server it watches.
    pub path: Path,
    /// Technique ids of the catalogue.
    pub techniques: &'static [&'static str],
    /// MITRE ATT&CK ids.
    pub attack: &'static [&'static str],
    /// What to do when it finds something, in the order to do it.
    pub next_steps: &'static [&'static str],
}

/// One rule.
pub trait Rule {
    /// A record came. `world.clock` is its time; the ledger has it already.
    fn observe(&mut self, seen: Seen<'_>, world: &mut World);

    /// Time went on: judge what has waited long enough. Called before each record whose time is new.
    fn tick(&mut self, world: &mut World);

    /// No record will come any more: judge what is left. Until here every feed is complete up to its end.
    fn finish(&mut self, world: &mut World);
}

/// The address of a peer `address:port`, without its port.
fn address_of(peer: &str) -> &str {
    peer.rsplit_once(':').map_or(peer, |(address, _)| address).trim_matches(['[', ']'])
}

/// All rules, in the order in which they see a record.
pub fn all() -> Vec<Box<dyn Rule>> {
    vec![
        Box::new(etcd_write::EtcdWrite::default()),
        Box::new(etcd_read::EtcdRead::default()),
        Box::new(etcd_admin::EtcdAdmin::default()),
        Box::new(kubelet_request::KubeletRequest::default()),
        Box::new(kubelet_refused::KubeletRefused::default()),
        Box::new(kubelet_review::KubeletReview::default()),
        Box::new(runtime_container::RuntimeContainer::default()),
        Box::new(runtime_exec::RuntimeExec::default()),
        Box::new(runtime_other::RuntimeOther::default()),
        Box::new(static_pod::StaticPods::default()),
        Box::new(audit_trail::AuditTrail::default()),
        Box::new(audit_only::AuditOnly::default()),
        Box::new(node_identity::NodeIdentity::default()),
    ]
}
