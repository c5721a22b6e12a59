//! What a detection rests on: requests, who sends them, and what is lost without their records.

use std::fmt;

use auditgap_records::audit::Level;
use auditgap_records::report::Path;

use super::Effect;
use crate::policy::candidates::{CandidateRequest, Prospect, Sender};

/// One family of detections that rest on the same requests.
pub(super) struct Watch {
    pub(super) path: Path,
    pub(super) technique: &'static [&'static str],
    pub(super) sender: Sender,
    pub(super) requests: &'static [Wanted],
    /// If requests are not recorded; `None` where another watch already says so.
    pub(super) lost: Option<Lost>,
    /// If requests are recorded below the level that is wanted.
    pub(super) weak: Option<Weak>,
}

/// What not recording the requests does.
pub(super) struct Lost {
    pub(super) effect: Effect,
    pub(super) text: &'static str,
    /// Level of the rule that cures it.
    pub(super) level: Level,
    pub(super) note: &'static str,
}

/// What recording the requests at too low a level does.
pub(super) struct Weak {
    pub(super) text: &'static str,
    /// Whether a higher level is advised at all.
    pub(super) advised: bool,
    pub(super) note: &'static str,
}

/// Requests for one resource and the level at which their record tells all that a detection can use.
pub(super) struct Wanted {
    pub(super) verbs: &'static [&'static str],
    pub(super) group: &'static str,
    pub(super) resource: &'static str,
    pub(super) subresource: &'static str,
    pub(super) level: Level,
}

impl Wanted {
    pub(super) fn candidate(&self) -> CandidateRequest<'_> {
        CandidateRequest {
            verbs: self.verbs,
            groups: std::slice::from_ref(&self.group),
            resource: self.resource,
            subresource: self.subresource,
            namespace: None,
            name: None,
        }
    }

    /// The request with only those of its verbs that go unrecorded.
    pub(super) fn with_verbs_of(&self, prospect: &Prospect) -> String {
        let dropped = |verb: &&str| prospect.unlogged.iter().any(|entry| entry.verb == *verb);
        let verbs: Vec<&str> = self.verbs.iter().copied().filter(dropped).collect();
        self.in_words(&verbs)
    }

    fn in_words(&self, verbs: &[&str]) -> String {
        let slash = if self.subresource.is_empty() { "" } else { "/" };
        format!("{} {}{slash}{}", verbs.join("/"), self.resource, self.subresource)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.in_words(self.verbs))
    }
}
