//! Which static Pods were there before, as far as inventories tell.
//!
//! Who adds a static Pod would have it listed by the next inventory. So a listing speaks for a Pod only if a person
//! declared it, if it was taken before the Pod was loaded, or, for what a kubelet finds when it starts, if it is the
//! earliest there is.

use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::inventory::{Inventory, PodFacts, Snapshot};

/// Times in objects are whole seconds, and the newest of them dates a listing.
const GRAIN: Duration = Duration::from_secs(5);

/// When a static Pod was loaded, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load<'a> {
    pub(super) time: Timestamp,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    /// The UID that it has on the node, which is made of its manifest; empty if not known.
    pub(super) uid: &'a str,
    /// Found by a kubelet that started, rather than added while it ran.
    pub(super) at_start: bool,
}

/// What inventories say of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// It was there before.
    Known,
    /// It was there before with another manifest.
    Differs,
    /// Not in any listing that may speak for it.
    New,
    /// There is no listing that could tell.
    None,
}

/// Looks a load up.
pub(super) fn listing(inventory: &Inventory, load: Load<'_>) -> Listing {
    let lists_pods = |snapshot: &&Snapshot| !snapshot.pods.is_empty() || !snapshot.manifests.is_empty();
    let mut found = Listing::None;
    let earliest = inventory
        .snapshots
        .iter()
        .filter(|snapshot| !snapshot.pods.is_empty())
        .filter_map(|snapshot| snapshot.as_of)
        .min();
    for snapshot in inventory.snapshots.iter().filter(lists_pods) {
        let before = snapshot.as_of.is_some_and(|as_of| as_of + GRAIN < load.time);
        // Manifests carry no time: they are taken to be of the beginning, which is what a starting kubelet reads.
        let first = snapshot.as_of.is_none() || snapshot.as_of == earliest;
        if !(snapshot.declared || before || (load.at_start && first)) {
            continue;
        }
        match look(snapshot, load, snapshot.declared || before) {
            Listing::Known => return Listing::Known,
            Listing::Differs => found = Listing::Differs,
            other if found == Listing::None => found = other,
            _ => {}
        }
    }
    found
}

fn look(snapshot: &Snapshot, load: Load<'_>, compares: bool) -> Listing {
    let is_mirror =
        |pod: &&PodFacts| pod.mirror_of.is_some() && pod.namespace == load.namespace && pod.name == load.name;
    if let Some(mirror) = snapshot.pods.iter().find(is_mirror) {
        let hash = mirror.mirror_of.as_deref().unwrap_or_default();
        let differs = compares && !load.uid.is_empty() && !hash.is_empty() && hash != load.uid;
        return if differs { Listing::Differs } else { Listing::Known };
    }
    // A kubelet names a static Pod after its manifest and its node.
    let by_manifest = snapshot.manifests.iter().any(|(namespace, name)| {
        namespace == load.namespace
            && load
                .name
                .strip_prefix(name.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    });
    if by_manifest {
        return Listing::Known;
    }
    // A listing of one namespace, or of a cluster whose mirror Pods were left out, tells nothing of those not in it.
    let lists_static =
        !snapshot.manifests.is_empty() || snapshot.pods.iter().any(|pod| pod.mirror_of.is_some());
    if lists_static { Listing::New } else { Listing::None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(name: &str, hash: &str) -> PodFacts {
        PodFacts {
            namespace: "kube-system".to_owned(),
            name: name.to_owned(),
            mirror_of: Some(hash.to_owned()),
            ..PodFacts::default()
        }
    }

    fn load(time: i64, name: &'static str, uid: &'static str, at_start: bool) -> Load<'static> {
        Load { time: Timestamp(time * 1_000_000_000), namespace: "kube-system", name, uid, at_start }
    }

    #[test]
    fn only_a_listing_from_before_speaks_for_a_pod() {
        let early = Snapshot {
            as_of: Timestamp::from_unix(100, 0),
            pods: vec![mirror("etcd-n1", "aa")],
            ..Snapshot::default()
        };
        let late = Snapshot {
            as_of: Timestamp::from_unix(300, 0),
            pods: vec![mirror("etcd-n1", "aa"), mirror("evil-n1", "ee")],
            ..Snapshot::default()
        };
        let inventory = Inventory { snapshots: vec![late.clone(), early.clone()], ..Inventory::default() };
        for (load, expected) in [
            (load(200, "etcd-n1", "", false), Listing::Known),
            (load(200, "etcd-n1", "aa", false), Listing::Known),
            (load(200, "etcd-n1", "bb", false), Listing::Differs),
            (load(200, "evil-n1", "", false), Listing::New),
            (load(90, "etcd-n1", "aa", true), Listing::Known),
            (load(90, "evil-n1", "ee", true), Listing::New),
            // Nothing was listed before this one came, and no kubelet started.
            (load(90, "etcd-n1", "aa", false), Listing::None),
        ] {
            assert_eq!(listing(&inventory, load), expected, "{load:?}");
        }
        let declared = Snapshot { declared: true, ..late };
        let inventory = Inventory { snapshots: vec![early, declared], ..Inventory::default() };
        assert_eq!(listing(&inventory, load(200, "evil-n1", "ee", false)), Listing::Known);
        assert_eq!(listing(&inventory, load(200, "evil-n1", "e2", false)), Listing::Differs);
    }

    #[test]
    fn a_manifest_speaks_for_what_a_starting_kubelet_finds() {
        let manifests = Snapshot {
            manifests: [("kube-system".to_owned(), "etcd".to_owned())].into(),
            ..Snapshot::default()
        };
        let inventory = Inventory { snapshots: vec![manifests], ..Inventory::default() };
        assert_eq!(listing(&inventory, load(5, "etcd-n1", "aa", true)), Listing::Known);
        assert_eq!(listing(&inventory, load(5, "etcdx-n1", "aa", true)), Listing::New);
        assert_eq!(listing(&inventory, load(5, "etcd-n1", "aa", false)), Listing::None);
        assert_eq!(listing(&Inventory::default(), load(5, "etcd-n1", "", true)), Listing::None);
    }
}
