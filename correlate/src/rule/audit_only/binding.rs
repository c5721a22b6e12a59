//! Bindings that let somebody through and that nobody created.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use auditgap_records::report::{Confidence, ExpectedRequest, GapObject, Severity};
use auditgap_records::{Interval, Timestamp};

use super::INFO;
use super::beginning::{Beginning, Listed, listed};
use crate::condense::Citation;
use crate::fact::{AuditFact, Verb};
use crate::key::ObjectKey;
use crate::policy::CandidateRequest;
use crate::verdict::{Cite, GapDraft};
use crate::world::{Seen, World};

/// Bindings remembered at the most.
const REMEMBERED: usize = 200_000;

/// A decision may cite a binding a moment before the record of its creation is closed.
const CLOSING: Duration = Duration::from_secs(2);

const RBAC: &str = "rbac.authorization.k8s.io";

/// Recorded requests about bindings.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    /// When each binding was first written, and whether it was ever deleted.
    written: BTreeMap<ObjectKey, Timestamp>,
    deleted: BTreeSet<ObjectKey>,
    /// Collections in which a create without a name, or a deletion of many, leaves open what it was about.
    open: BTreeSet<ObjectKey>,
    /// More bindings than can be remembered: none can be said not to be among them.
    full: bool,
}

impl Bindings {
    pub(super) fn observe(&mut self, seen: Seen<'_>, fact: &AuditFact) {
        let about = &*fact.group == RBAC && matches!(&*fact.resource, "clusterrolebindings" | "rolebindings");
        // Of a request without a recorded end it is not known whether it wrote.
        if !about || !fact.verb.writes() || fact.dry_run || !(fact.succeeded() || fact.code == 0) {
            return;
        }
        let key = ObjectKey::of_request(&fact.group, &fact.resource, &fact.namespace, &fact.name);
        if self.written.len() + self.deleted.len() + self.open.len() >= REMEMBERED {
            self.full = true;
            return;
        }
        match fact.verb {
            Verb::Delete => {
                self.deleted.insert(key);
            }
            _ if fact.name.is_empty() && fact.code != 0 => {
                self.open.insert(key.collection());
            }
            _ => {
                self.written.entry(key).or_insert(seen.time.min(fact.received));
            }
        }
    }

    pub(super) fn finish(&mut self, beginning: &Beginning, world: &mut World) {
        let citations = std::mem::take(&mut world.context.citations);
        for (name, (feed, citation)) in &citations {
            if let Some(binding) = Cited::parse(name) {
                self.judge(&binding, *feed, citation, beginning, world);
            }
        }
        world.context.citations = citations;
    }

    fn judge(
        &self,
        binding: &Cited<'_>,
        feed: u16,
        citation: &Citation,
        beginning: &Beginning,
        world: &mut World,
    ) {
        let key = binding.key();
        if self.full
            || self.written.get(&key).is_some_and(|written| *written <= citation.time + CLOSING)
            || self.deleted.contains(&key)
            || self.open.contains(&key.collection())
        {
            return;
        }
        let prefix = format!("{}/", binding.kind);
        let listing = listed(
            &world.context.inventory,
            citation.time,
            |snapshot| snapshot.bindings.iter().any(|listed| listed.starts_with(&prefix)),
            |snapshot| snapshot.bindings.contains(&binding.listed_as()),
        );
        let since = match (listing, beginning.of_cluster()) {
            (Listed::Yes, _) | (Listed::Unknown, None) => return,
            (Listed::NotSince(since), None) => since,
            // What was there at the cluster's beginning is on record, too.
            (Listed::NotSince(since), Some(first)) => since.max(first),
            (Listed::Unknown, Some(first)) => first,
        };
        let Some(from) = Some(since).filter(|since| *since < citation.time) else { return };
        let mut draft = draft(binding, feed, citation, from);
        if world.context.policy.is_none() {
            if self.written.is_empty() {
                return;
            }
            draft.confidence = Confidence::Medium;
        }
        let namespace = binding.namespace;
        let candidate = CandidateRequest {
            verbs: &["create", "patch", "update"],
            groups: &[RBAC],
            resource: binding.resource(),
            subresource: "",
            namespace: Some(namespace),
            name: Some(binding.name),
        };
        let absence = world.weigh_absence(Interval::new(from, citation.time), &[candidate]);
        world.judge_absence(draft, absence);
    }
}

/// A binding as an access decision names it: `ClusterRoleBinding "name"` or `RoleBinding "name/namespace"`.
#[derive(Debug, PartialEq, Eq)]
struct Cited<'a> {
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
}

impl<'a> Cited<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (kind, quoted) = text.split_once(' ')?;
        let full = quoted.strip_prefix('"')?.strip_suffix('"')?;
        match kind {
            "ClusterRoleBinding" => Some(Self { kind, namespace: "", name: full }),
            "RoleBinding" => {
                let (name, namespace) = full.rsplit_once('/')?;
                Some(Self { kind, namespace, name })
            }
            _ => None,
        }
    }

    fn resource(&self) -> &'static str {
        if self.kind == "RoleBinding" { "rolebindings" } else { "clusterrolebindings" }
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::of_request(RBAC, self.resource(), self.namespace, self.name)
    }

    /// As inventories write it.
    fn listed_as(&self) -> String {
        if self.namespace.is_empty() {
            format!("{}/{}", self.kind, self.name)
        } else {
            format!("{}/{}/{}", self.kind, self.namespace, self.name)
        }
    }
}

fn draft(binding: &Cited<'_>, feed: u16, citation: &Citation, since: Timestamp) -> GapDraft {
    let key = binding.key();
    let summary = format!("audit: {} let through by {key}: {}", citation.user, citation.request);
    let cite = Cite { time: citation.time, feed, position: citation.position, summary };
    let mut draft = GapDraft::new(&INFO, format!("{key} grants access and nobody created it"), vec![cite]);
    draft.severity = Severity::Critical;
    draft.confidence = Confidence::High;
    draft.techniques = vec!["ET2"];
    draft.object = GapObject {
        group: RBAC.to_owned(),
        resource: binding.resource().to_owned(),
        namespace: binding.namespace.to_owned(),
        name: binding.name.to_owned(),
        ..GapObject::default()
    };
    draft.actor.user.clone_from(&citation.user);
    draft.expected.requests = vec![ExpectedRequest {
        verb: "create".to_owned(),
        resource: binding.resource().to_owned(),
        namespace: binding.namespace.to_owned(),
        name: binding.name.to_owned(),
        ..ExpectedRequest::default()
    }];
    draft.expected.window = Some(Interval::new(since, citation.time));
    draft.threads = vec![format!("object:{key}")];
    let _ = write!(
        draft.why,
        "At {} the API server let {} through ({}) because of {key}. That binding was not there at {since}, and no \
         request since has created it: it was written around the API server.",
        citation.time, citation.user, citation.request
    );
    draft
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cited_binding_is_the_same_object_as_in_requests_and_inventories() {
        for (text, key, listed) in [
            (r#"ClusterRoleBinding "a:b""#, "clusterrolebindings/a:b", "ClusterRoleBinding/a:b"),
            (r#"RoleBinding "x/team-a""#, "rolebindings/team-a/x", "RoleBinding/team-a/x"),
        ] {
            let cited = Cited::parse(text).unwrap();
            assert_eq!(cited.key().to_string(), key);
            assert_eq!(cited.listed_as(), listed);
        }
        for text in ["", "RoleBinding", r#"RoleBinding "x""#, r#"Other "x""#] {
            assert_eq!(Cited::parse(text), None, "{text}");
        }
    }
}
