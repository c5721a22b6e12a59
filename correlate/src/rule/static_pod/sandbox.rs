//! What a runtime shows: sandboxes whose UID no API server gave.

use auditgap_records::runtime::RuntimeLine;

use super::act::{Act, Kind, Source};
use super::{MIRROR, NODE_START, StaticPods};
use crate::world::{Seen, World};

impl StaticPods {
    pub(super) fn observe_runtime(&mut self, seen: Seen<'_>, line: &RuntimeLine<'_>, world: &mut World) {
        let first = *self.runtimes.entry(seen.feed).or_insert(seen.time);
        let (identity, sandbox) = match line {
            RuntimeLine::RunPodSandbox { identity, sandbox: Some(sandbox), .. } => (identity, sandbox),
            RuntimeLine::StopPodSandbox { sandbox } => return self.sandbox_stopped(seen, sandbox, world),
            _ => return,
        };
        let key = (identity.namespace.to_string(), identity.name.to_string());
        let uid = &*identity.uid;
        let cite = seen.cite(format!(
            "runtime: sandbox for static Pod {}/{}, UID {uid}",
            identity.namespace, identity.name
        ));
        let new_uid = self.is_new_uid(&key, uid);
        if let Some(act) = self.open_act(&key)
            && seen.time <= act.first + MIRROR
        {
            if act.source == Source::Runtime {
                act.come_back(!new_uid);
            }
            act.set_uid(uid);
            act.add(cite, Source::Runtime);
            self.note_sandbox(sandbox, &key);
            self.remember(&key, uid);
            return;
        }
        let known = self.pods.contains_key(&key);
        if known {
            self.note_sandbox(sandbox, &key);
        }
        if known && !new_uid {
            self.remember(&key, uid);
            return;
        }
        // Unknown Pods are told by their UID, which is no UUID; and only a first sandbox shows that one is new.
        let by_uid = is_manifest_hash(uid) && identity.attempt == 0;
        if !known && (!by_uid || self.watches_beside(seen.feed, world)) {
            return;
        }
        let kind = if known { Kind::Changed } else { Kind::Appeared };
        let mut act = Act::new(kind, key, cite, Source::Runtime);
        let node = world.instance(seen.feed);
        act.at_start = seen.time <= first + NODE_START
            || world.ledger.lifecycle.runtime_started(node, seen.time, NODE_START);
        act.set_uid(uid);
        node.clone_into(&mut act.node);
        self.note_sandbox(sandbox, &act.key);
        self.open(act, world);
    }

    /// A sandbox of a static Pod ended: without a kubelet's log this is how a removal shows, unless another follows.
    fn sandbox_stopped(&mut self, seen: Seen<'_>, sandbox: &str, world: &mut World) {
        let Some(key) = self.sandboxes.remove(sandbox) else { return };
        let (namespace, name) = &key;
        let cite = seen.cite(format!("runtime: sandbox of static Pod {namespace}/{name} stopped"));
        if let Some(act) = self.open_act(&key)
            && seen.time <= act.first + MIRROR
        {
            act.add(cite, Source::Runtime);
        } else if !self.watches_beside(seen.feed, world) {
            let mut act = Act::new(Kind::Removed, key, cite, Source::Runtime);
            world.instance(seen.feed).clone_into(&mut act.node);
            self.open(act, world);
        }
    }
}

/// A kubelet makes 32 hexadecimal digits of a manifest, where the API server gives a UUID.
pub(super) fn is_manifest_hash(uid: &str) -> bool {
    uid.len() == 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit())
}
