//! What was last seen of each key.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use auditgap_records::Timestamp;
use auditgap_records::etcd::{Revision, RevisionKind};

use crate::key::Identity;
use crate::lookup::Index;

/// What an encrypted value begins with (`k8s.io/apiserver/pkg/server/options/encryptionconfig`).
pub(super) const ENCRYPTED: &str = "k8s:enc:";

/// Keys remembered at the most. Beyond, the one written longest ago is forgotten, and its next write is judged
/// without knowledge of its past.
const REMEMBERED: usize = 100_000;

/// A key's state before a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Previous {
    pub(super) mod_revision: i64,
    pub(super) time: Timestamp,
    pub(super) lease: Option<i64>,
    pub(super) deleted: bool,
}

#[derive(Debug)]
struct Entry {
    state: Previous,
    touched: u64,
}

/// What was last seen of each key, and which keys hang on which lease.
#[derive(Debug, Default)]
pub(super) struct KeyHistory {
    keys: Index<Identity, Entry>,
    /// Keys in the order of their writes; stale entries are skipped.
    order: VecDeque<(u64, Identity)>,
    touches: u64,
    by_lease: BTreeMap<i64, BTreeSet<Identity>>,
    /// Keys that hung on each lease when it lost its first key.
    ended_leases: BTreeMap<i64, BTreeSet<Identity>>,
    /// Resources of which values were seen in the API server's binary form.
    binary_resources: BTreeSet<Box<str>>,
    /// Resources of which values were seen encrypted at rest.
    encrypted_resources: BTreeSet<Box<str>>,
}

impl KeyHistory {
    /// Whether exactly this revision of the key was noted before.
    pub(super) fn is_known(&self, key: &str, mod_revision: i64) -> bool {
        self.keys.get(&Identity::of(&[key])).is_some_and(|entry| entry.state.mod_revision == mod_revision)
    }

    /// Takes in a revision and returns what was known of the key before.
    pub(super) fn note(&mut self, key: &str, revision: &Revision<'_>, time: Timestamp) -> Option<Previous> {
        let identity = Identity::of(&[key]);
        self.touches += 1;
        let touched = self.touches;
        let state = Previous {
            mod_revision: revision.mod_revision,
            time,
            lease: revision.lease,
            deleted: revision.kind == RevisionKind::Delete,
        };
        let previous = self.keys.insert(identity, Entry { state, touched }).map(|entry| entry.state);
        self.order.push_back((touched, identity));
        self.note_lease(identity, previous.and_then(|previous| previous.lease), revision);
        let encoding = revision.encoding.as_deref().unwrap_or_default();
        let seen = if encoding.starts_with("k8s\0") {
            Some(&mut self.binary_resources)
        } else if encoding.starts_with(ENCRYPTED) {
            Some(&mut self.encrypted_resources)
        } else {
            None
        };
        let resource = collection_of(key);
        if let Some(seen) = seen
            && !seen.contains(resource)
        {
            seen.insert(resource.into());
        }
        self.bound();
        previous
    }

    fn note_lease(&mut self, key: Identity, before: Option<i64>, revision: &Revision<'_>) {
        if let Some(lease) = before
            && let Some(keys) = self.by_lease.get_mut(&lease)
        {
            if revision.kind == RevisionKind::Delete {
                self.ended_leases.entry(lease).or_insert_with(|| keys.clone());
                if self.ended_leases.len() > 4_096 {
                    self.ended_leases.pop_first();
                }
            }
            keys.remove(&key);
            if keys.is_empty() {
                self.by_lease.remove(&lease);
            }
        }
        if revision.kind == RevisionKind::Put
            && let Some(lease) = revision.lease
        {
            self.by_lease.entry(lease).or_default().insert(key);
        }
    }

    /// The keys that hung on a lease when it lost its first one.
    pub(super) fn keys_of_ended_lease(&self, lease: i64) -> Option<&BTreeSet<Identity>> {
        self.ended_leases.get(&lease)
    }

    /// Whether objects beside this key are stored in the API server's binary form.
    pub(super) fn is_binary_collection(&self, key: &str) -> bool {
        self.binary_resources.contains(collection_of(key))
    }

    /// Whether objects beside this key are encrypted at rest.
    pub(super) fn is_encrypted_collection(&self, key: &str) -> bool {
        self.encrypted_resources.contains(collection_of(key))
    }

    fn bound(&mut self) {
        while self.keys.len() > REMEMBERED || self.order.len() > REMEMBERED * 3 {
            let Some((touched, key)) = self.order.pop_front() else { break };
            let current = self.keys.get(&key).is_some_and(|entry| entry.touched == touched);
            if !current || self.keys.len() <= REMEMBERED / 2 {
                continue;
            }
            let lease = self.keys.remove(&key).and_then(|entry| entry.state.lease);
            if let Some((lease, keys)) = lease.and_then(|lease| Some((lease, self.by_lease.get_mut(&lease)?)))
            {
                keys.remove(&key);
                if keys.is_empty() {
                    self.by_lease.remove(&lease);
                }
            }
        }
    }
}

/// The part of a key that its resource's objects share: prefix and resource.
fn collection_of(key: &str) -> &str {
    let end = key.match_indices('/').nth(2).map_or(key.len(), |(index, _)| index);
    key.get(..end).unwrap_or(key)
}
