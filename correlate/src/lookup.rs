//! A map for look-ups only.

/// A hash map that is never iterated into an output, so that its order cannot reach one. Its hash is keyed afresh
/// in every process: object names are chosen by attackers.
#[expect(
    clippy::disallowed_types,
    reason = "looked up by key; where it is iterated the result is sorted first"
)]
pub(crate) type Lookup<K, V> = std::collections::HashMap<K, V>;

/// A set under the same rule.
#[expect(clippy::disallowed_types, reason = "membership only")]
pub(crate) type Members<K> = std::collections::HashSet<K>;
