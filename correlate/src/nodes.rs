//! Which feeds speak of the same node.
//!
//! A kubelet's log and a runtime's log are one node's where a person or the folders say so by giving them the same
//! instance. Where they were only found side by side, each carries the name of its file, and all are one node's as
//! long as nothing speaks for more than one.

use std::collections::BTreeSet;

use auditgap_records::{FeedKind, Timestamp};

use crate::feeds::FeedState;
use crate::ledger::verbosity::Shown;
use crate::world::World;

impl World {
    /// A name for the node that a feed speaks of: equal for all feeds of one node. It is the kubelet's instance where
    /// there is a kubelet's feed.
    pub(crate) fn node_of(&self, feed: u16) -> &str {
        let own = self.feeds.instance(feed);
        let kubelets = self.instances(FeedKind::Kubelet);
        let runtimes = self.instances(FeedKind::Runtime);
        let mut names = kubelets.iter();
        match (names.next(), names.next()) {
            (Some(only), None) if !runtimes.contains(only) => only,
            (None, _) if self.runtimes_are_of_one_node() => runtimes.first().copied().unwrap_or(own),
            _ => own,
        }
    }

    fn instances(&self, kind: FeedKind) -> BTreeSet<&str> {
        self.feeds.of_kind(kind).map(|state| state.feed.instance.as_str()).collect()
    }

    /// Two nodes would have two feeds of the same format.
    fn runtimes_are_of_one_node(&self) -> bool {
        let mut formats = BTreeSet::new();
        self.feeds.of_kind(FeedKind::Runtime).all(|state| formats.insert(state.feed.format.as_str()))
    }

    /// Feeds of a node that have shown a kind of line.
    fn showing<'a>(&'a self, node: &'a str, shown: Shown) -> impl Iterator<Item = &'a FeedState> {
        let count = u16::try_from(self.feeds.states.len()).unwrap_or(u16::MAX);
        (0..count)
            .filter(move |feed| self.ledger.verbosity.has_shown(*feed, shown) && self.node_of(*feed) == node)
            .filter_map(|feed| self.feeds.state(feed))
    }

    /// Whether some feed of a node shows a kind of line at all.
    pub(crate) fn ever_shows(&self, node: &str, shown: Shown) -> bool {
        self.showing(node, shown).next().is_some()
    }

    /// Whether a feed of a node that shows a kind of line was being recorded at a moment, so that the line would be
    /// there.
    pub(crate) fn would_show(&self, node: &str, shown: Shown, moment: Timestamp) -> bool {
        self.showing(node, shown).any(|state| {
            state.activity.range().is_some_and(|range| range.from <= moment && moment <= range.to)
        })
    }
}
