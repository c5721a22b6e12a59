//! What the audit trail shows: a node's user creates and deletes mirror Pods, and no others.

use super::act::{Act, Kind, Source};
use super::{MIRROR, NODE_START, PODS, REPLACED, StaticPods};
use crate::fact::{AuditFact, Verb};
use crate::ledger::requests::summary;
use crate::verdict::How;
use crate::world::{Seen, World};

impl StaticPods {
    /// Requests of a node's user about Pods.
    pub(super) fn observe_request(&mut self, seen: Seen<'_>, fact: &AuditFact, world: &mut World) {
        let Some(node) = fact.node() else { return };
        if !self.nodes.contains_key(node) && self.nodes.len() < PODS {
            self.nodes.insert(node.to_owned(), seen.time);
        }
        let about_pod = &*fact.resource == "pods" && fact.subresource.is_empty() && fact.group.is_empty();
        if !about_pod || fact.name.is_empty() || fact.code == 0 {
            return;
        }
        match fact.verb {
            Verb::Create => self.mirror_requested(seen, fact, node, world),
            Verb::Delete if fact.succeeded() => self.mirror_delete_requested(seen, fact, node, world),
            _ => {}
        }
    }

    /// A node's user creates no other Pods than mirrors.
    fn mirror_requested(&mut self, seen: Seen<'_>, fact: &AuditFact, node: &str, world: &mut World) {
        let key = (fact.namespace.to_string(), fact.name.to_string());
        let uid = &*fact.submitted_uid;
        let refused = (!fact.succeeded()).then(|| format!("the API server answered {}", fact.code));
        let exists = fact.code == 409;
        let new_uid = self.is_new_uid(&key, uid);
        let cite = seen.cite(summary(fact));
        if let Some(act) = self.open_act(&key)
            && seen.time <= act.first + MIRROR + REPLACED
        {
            node.clone_into(&mut act.node);
            act.come_back(!uid.is_empty() && !new_uid);
            if act.kind != Kind::Removed {
                act.set_uid(uid);
                if !exists {
                    act.refuse(refused.as_deref());
                    act.add(cite, Source::Audit);
                }
            }
            self.remember(&key, uid);
            self.at_home(&key, node);
            return;
        }
        let known = self.pods.contains_key(&key);
        if known && !new_uid {
            self.at_home(&key, node);
            if fact.succeeded() {
                world.verdicts.explained(How::Kubelet);
            }
            return;
        }
        if exists && !known {
            // Its mirror was there before.
            self.note(&key, uid);
            return;
        }
        let kind = if known { Kind::Changed } else { Kind::Appeared };
        let mut act = Act::new(kind, key, cite, Source::Audit);
        act.at_start = self.nodes.get(node).is_some_and(|first| seen.time <= *first + NODE_START);
        act.refuse(refused.as_deref());
        act.set_uid(uid);
        node.clone_into(&mut act.node);
        let key = act.key.clone();
        self.open(act, world);
        self.at_home(&key, node);
    }

    fn mirror_delete_requested(&mut self, seen: Seen<'_>, fact: &AuditFact, node: &str, world: &mut World) {
        let key = (fact.namespace.to_string(), fact.name.to_string());
        let cite = seen.cite(summary(fact));
        if let Some(act) = self.open_act(&key)
            && seen.time <= act.first + MIRROR
        {
            act.add(cite, Source::Audit);
            return;
        }
        if self.pods.contains_key(&key) && !self.watches(node, world) {
            let mut act = Act::new(Kind::Removed, key, cite, Source::Audit);
            node.clone_into(&mut act.node);
            self.open(act, world);
        }
    }
}
