//! Which feeds speak of the same node.
//!
//! A kubelet's log and a runtime's log are one node's where a person or the folders say so by giving them the same
//! instance. Where they were only found side by side, each carries the name of its file, and all are one node's as
//! long as nothing speaks for more than one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use auditgap_records::{Feed, FeedKind, Timestamp};

use crate::ledger::verbosity::Shown;
use crate::world::World;

/// A log that was quiet for this long has ended, as far as verdicts go.
const QUIET: Duration = Duration::from_mins(10);

/// Feeds by node. Found out once: all feeds are announced before the first record.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    of_feed: Vec<Box<str>>,
    feeds: BTreeMap<Box<str>, Vec<u16>>,
}

impl Nodes {
    pub(crate) fn new<'a>(feeds: impl Iterator<Item = &'a Feed> + Clone) -> Self {
        let instances = |kind: FeedKind| -> BTreeSet<&str> {
            feeds.clone().filter(|feed| feed.kind == kind).map(|feed| feed.instance.as_str()).collect()
        };
        let kubelets = instances(FeedKind::Kubelet);
        let runtimes = instances(FeedKind::Runtime);
        // Two nodes would have two feeds of the same format.
        let mut formats = BTreeSet::new();
        let runtimes_of_one_node = feeds
            .clone()
            .filter(|feed| feed.kind == FeedKind::Runtime)
            .all(|feed| formats.insert(feed.format.as_str()));
        // Beside a runtime that is said to be the kubelet's, another one's log is so only if nothing names its node.
        let joins = |only: &str| {
            !runtimes.contains(only)
                || feeds
                    .clone()
                    .filter(|feed| feed.kind == FeedKind::Runtime && feed.instance != only)
                    .all(|feed| !feed.source.contains('/') && feed.source.starts_with(&feed.instance))
        };
        let mut names = kubelets.iter();
        let common = match (names.next(), names.next()) {
            (Some(only), None) if runtimes_of_one_node && joins(only) => Some(*only),
            (None, _) if runtimes_of_one_node => runtimes.first().copied(),
            _ => None,
        };
        let mut nodes = Self::default();
        for (number, feed) in feeds.enumerate() {
            let name = common.unwrap_or(&feed.instance);
            nodes.of_feed.push(name.into());
            if let Ok(number) = u16::try_from(number) {
                nodes.feeds.entry(name.into()).or_default().push(number);
            }
        }
        nodes
    }
}

impl World {
    /// A name for the node that a feed speaks of: equal for all feeds of one node. It is the kubelet's instance where
    /// there is a kubelet's feed.
    pub(crate) fn node_of(&self, feed: u16) -> &str {
        self.feeds.nodes().of_feed.get(usize::from(feed)).map_or("", |name| name)
    }

    /// Nanoseconds by which a node's clock is ahead of the API server's; 0 where nothing is known of it.
    pub(crate) fn clock_ahead(&self, node: &str) -> i64 {
        let feeds = self.feeds.nodes().feeds.get(node).map(Vec::as_slice).unwrap_or_default();
        feeds.iter().map(|feed| self.ledger.clocks.ahead(*feed)).find(|ahead| *ahead != 0).unwrap_or(0)
    }

    /// Whether all that a node's kubelet and runtime have to say up to a moment is known: a log may be quiet for
    /// minutes, and only its next line shows that nothing was in between. `over` says that no line will come any more.
    pub(crate) fn is_told(&self, node: &str, moment: Timestamp, over: bool) -> bool {
        if over || self.clock >= moment + QUIET {
            return true;
        }
        let feeds = self.feeds.nodes().feeds.get(node).map(Vec::as_slice).unwrap_or_default();
        feeds
            .iter()
            .filter_map(|feed| self.feeds.state(*feed))
            .filter(|state| matches!(state.feed.kind, FeedKind::Kubelet | FeedKind::Runtime))
            .filter_map(|state| state.activity.range())
            .all(|range| range.to >= moment)
    }

    fn showing<'a>(&'a self, node: &str, shown: Shown) -> impl Iterator<Item = u16> + 'a {
        let feeds = self.feeds.nodes().feeds.get(node).map(Vec::as_slice).unwrap_or_default();
        feeds.iter().copied().filter(move |feed| self.ledger.verbosity.has_shown(*feed, shown))
    }

    /// Whether some feed of a node shows a kind of line at all.
    pub(crate) fn ever_shows(&self, node: &str, shown: Shown) -> bool {
        self.showing(node, shown).next().is_some()
    }

    /// Whether a feed of a node that shows a kind of line was being recorded at a moment, so that the line would be
    /// there.
    pub(crate) fn would_show(&self, node: &str, shown: Shown, moment: Timestamp) -> bool {
        self.showing(node, shown).filter_map(|feed| self.feeds.state(feed)).any(|state| {
            state.activity.range().is_some_and(|range| range.from <= moment && moment <= range.to)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(feeds: &[(FeedKind, &str, &str)]) -> Vec<String> {
        let feeds: Vec<Feed> = feeds
            .iter()
            .map(|(kind, instance, format)| Feed {
                kind: *kind,
                instance: (*instance).to_owned(),
                source: String::new(),
                format: (*format).to_owned(),
            })
            .collect();
        Nodes::new(feeds.iter()).of_feed.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn feeds_found_side_by_side_are_one_nodes() {
        use FeedKind::{Kubelet, Runtime};
        for (feeds, expected) in [
            (vec![(Kubelet, "kubelet", ""), (Runtime, "containerd", "log")], vec!["kubelet", "kubelet"]),
            (
                vec![(Kubelet, "n1", ""), (Runtime, "n1", "log"), (Runtime, "n2", "log")],
                vec!["n1", "n1", "n2"],
            ),
            (
                vec![(Kubelet, "n1", ""), (Kubelet, "n2", ""), (Runtime, "containerd", "log")],
                vec!["n1", "n2", "containerd"],
            ),
            (
                vec![(Kubelet, "kubelet", ""), (Runtime, "a", "log"), (Runtime, "b", "log")],
                vec!["kubelet", "a", "b"],
            ),
            (vec![(Runtime, "a", "log"), (Runtime, "b", "events")], vec!["a", "a"]),
            (vec![(Runtime, "a", "log"), (Runtime, "b", "log")], vec!["a", "b"]),
        ] {
            assert_eq!(nodes(&feeds), expected, "{feeds:?}");
        }
    }
}
