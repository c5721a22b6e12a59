//! Maps for look-ups only.

use std::collections::hash_map::Entry;
use std::hash::Hash;

/// A hash map that is never iterated into an output, so that its order cannot reach one. Its hash is keyed afresh
/// in every process: object names are chosen by attackers.
#[expect(
    clippy::disallowed_types,
    reason = "looked up by key; where it is iterated the result is sorted first"
)]
pub(crate) type Lookup<K, V> = std::collections::HashMap<K, V>;

/// The same for keys that are hashes or numbers, of which there is one look-up or more per record: one multiplication
/// by a secret number is enough to keep them apart.
#[expect(clippy::disallowed_types, reason = "looked up by key, never iterated")]
pub(crate) type Index<K, V> = std::collections::HashMap<K, V, foldhash::quality::RandomState>;

/// A set under the same rule.
#[expect(clippy::disallowed_types, reason = "membership only")]
pub(crate) type Members<K> = std::collections::HashSet<K, foldhash::quality::RandomState>;

/// Numbers of the entries under one key: nearly always one.
pub(crate) type Numbers = smallvec::SmallVec<[u64; 2]>;

/// Takes a number off a list, and the list away with its last.
pub(crate) fn unlist<K: Eq + Hash>(lists: &mut Index<K, Numbers>, key: K, number: u64) {
    let Entry::Occupied(mut list) = lists.entry(key) else { return };
    list.get_mut().retain(|known| *known != number);
    if list.get().is_empty() {
        list.remove();
    }
}
