//! One load, change or removal of a static Pod while its records come in.

use auditgap_records::Timestamp;

use crate::verdict::Cite;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Appeared,
    Changed,
    Removed,
}

/// What shows it, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// A sandbox in the runtime.
    Runtime,
    /// A request of the node's about the mirror Pod.
    Audit,
    /// The kubelet's lines about the mirror Pod.
    Mirror,
    /// The kubelet's lines about the Pod's source.
    Kubelet,
}

/// More records than this of one action add nothing.
const CITES: usize = 32;

/// An action.
#[derive(Debug)]
pub(super) struct Act {
    pub(super) kind: Kind,
    /// Namespace and name.
    pub(super) key: (String, String),
    pub(super) node: String,
    pub(super) first: Timestamp,
    pub(super) cites: Vec<Cite>,
    /// The strongest of what shows it.
    pub(super) source: Source,
    /// UID on the node, or empty.
    pub(super) uid: String,
    /// Why there is no mirror Pod.
    pub(super) refused: Option<String>,
    /// Loaded by a kubelet that had just been given another source of manifests.
    pub(super) other_source: bool,
    /// Loaded from a URL.
    pub(super) http: bool,
    /// Its kubelet could not reach the API server.
    pub(super) cut_off: bool,
    /// Found by what had just started.
    pub(super) at_start: bool,
    /// It came back with a manifest that it had before.
    pub(super) same: bool,
    /// Starts of the kubelet in this recording before the last one.
    pub(super) starts_before: usize,
}

impl Act {
    pub(super) fn new(kind: Kind, key: (String, String), cite: Cite, source: Source) -> Self {
        Self {
            kind,
            key,
            node: String::new(),
            first: cite.time,
            cites: vec![cite],
            source,
            uid: String::new(),
            refused: None,
            other_source: false,
            http: false,
            cut_off: false,
            at_start: false,
            same: false,
            starts_before: 0,
        }
    }

    pub(super) fn add(&mut self, cite: Cite, source: Source) {
        self.first = self.first.min(cite.time);
        self.source = self.source.max(source);
        if self.cites.len() < CITES {
            self.cites.push(cite);
        }
    }

    /// Notes the UID. The last one told is that of the manifest in force.
    pub(super) fn set_uid(&mut self, uid: &str) {
        if !uid.is_empty() {
            uid.clone_into(&mut self.uid);
        }
    }

    /// What was gone comes back: replaced, or the same again. A kubelet's own line about the source says more.
    pub(super) fn come_back(&mut self, same: bool) {
        if self.source < Source::Kubelet && self.kind != Kind::Appeared {
            self.kind = Kind::Changed;
            self.same = same;
        }
    }

    /// Notes why there is no mirror Pod. The first reason is the kubelet's own words, if they came.
    pub(super) fn refuse(&mut self, error: Option<&str>) {
        if let Some(error) = error
            && self.refused.as_deref().is_none_or(|known| known.len() < error.len())
        {
            self.refused = Some(error.to_owned());
        }
    }
}
