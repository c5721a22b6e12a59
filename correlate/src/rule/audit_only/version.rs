//! Objects read at a version that no recorded write produced.
//!
//! Told only of resources that nothing writes but whole requests about them, and only where both the last write and
//! the read carry the object, as at level `RequestResponse`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use auditgap_records::audit::Stage;
use auditgap_records::report::{Confidence, ExpectedRequest, GapObject};
use auditgap_records::{Interval, Timestamp};

use super::INFO;
use crate::fact::{AuditFact, Verb};
use crate::key::ObjectKey;
use crate::ledger::requests::summary;
use crate::lookup::Lookup;
use crate::policy::CandidateRequest;
use crate::resources;
use crate::verdict::{Cite, GapDraft};
use crate::world::{Seen, World};

/// Resources without subresources that write them.
const PLAIN: [&str; 7] = [
    "configmaps",
    "secrets",
    "serviceaccounts",
    "roles",
    "rolebindings",
    "clusterroles",
    "clusterrolebindings",
];

/// Objects remembered at the most.
const OBJECTS: usize = 100_000;

/// Findings kept until it is known whether etcd was watched.
const FOUND: usize = 1_000;

/// The last version of an object that is accounted for.
#[derive(Debug)]
struct Last {
    version: u64,
    time: Timestamp,
    cite: Cite,
}

/// A read that waits until every write before it is on record.
#[derive(Debug)]
struct Read {
    key: ObjectKey,
    version: u64,
    fact: Arc<AuditFact>,
    cite: Cite,
}

#[derive(Debug)]
struct Phantom {
    read: Read,
    last_version: u64,
    last_time: Timestamp,
    last_cite: Cite,
}

/// Versions of objects.
#[derive(Debug, Default)]
pub(super) struct Versions {
    last: Lookup<ObjectKey, Last>,
    /// Objects of which a write is on record that does not tell its version, or does not tell its name.
    unclear: Lookup<ObjectKey, Timestamp>,
    reads: VecDeque<Read>,
    found: Vec<Phantom>,
}

impl Versions {
    pub(super) fn observe(&mut self, seen: Seen<'_>, fact: &Arc<AuditFact>) {
        if !PLAIN.contains(&&*fact.resource) || fact.dry_run {
            return;
        }
        let key = ObjectKey::of_request(&fact.group, &fact.resource, &fact.namespace, &fact.name);
        if fact.verb == Verb::Get {
            if let Some(version) = fact.resulting_version.filter(|_| fact.succeeded())
                && fact.subresource.is_empty()
                && self.reads.len() < OBJECTS
            {
                let cite = seen.cite(summary(fact));
                self.reads.push_back(Read { key, version, fact: Arc::clone(fact), cite });
            }
            return;
        }
        if !fact.verb.writes() || fact.code >= 400 {
            return;
        }
        let ended = matches!(fact.stage, Stage::ResponseComplete);
        let told =
            fact.resulting_version.filter(|_| ended && !fact.name.is_empty() && fact.subresource.is_empty());
        match told {
            Some(version) if fact.verb != Verb::Delete && fact.verb != Verb::DeleteCollection => {
                self.note(key, version, fact.staged, seen.cite(summary(fact)));
            }
            _ if ended => {
                // A deletion ends what is known; a write of an unknown version makes it unknown.
                self.last.remove(&key);
                if self.unclear.len() < OBJECTS {
                    self.unclear
                        .insert(if fact.name.is_empty() { key.collection() } else { key }, fact.staged);
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, key: ObjectKey, version: u64, time: Timestamp, cite: Cite) {
        if let Some(last) = self.last.get_mut(&key) {
            if version > last.version {
                *last = Last { version, time, cite };
            }
        } else if self.last.len() < OBJECTS {
            self.last.insert(key, Last { version, time, cite });
        }
    }

    /// Compares reads whose writes must be on record by now.
    pub(super) fn settle(&mut self, due: Timestamp) {
        while self.reads.front().is_some_and(|read| read.fact.staged <= due) {
            let Some(read) = self.reads.pop_front() else { return };
            let Some(last) = self.last.get(&read.key) else { continue };
            let unclear = [read.key.collection(), read.key.clone()]
                .iter()
                .any(|key| self.unclear.get(key).is_some_and(|time| *time >= last.time));
            // What is known may be newer than the read by now.
            if unclear || read.version <= last.version || last.time > read.fact.received {
                continue;
            }
            let (last_version, last_time, last_cite) = (last.version, last.time, last.cite.clone());
            let (key, version) = (read.key.clone(), read.version);
            let (time, cite) = (read.fact.staged, read.cite.clone());
            if self.found.len() < FOUND {
                self.found.push(Phantom { read, last_version, last_time, last_cite });
            }
            // Told once: from here on this version is the last known.
            self.note(key, version, time, cite);
        }
    }

    pub(super) fn finish(&mut self, world: &mut World) {
        for phantom in std::mem::take(&mut self.found) {
            judge(phantom, world);
        }
    }
}

fn judge(phantom: Phantom, world: &mut World) {
    let Phantom { read, last_version, last_time, last_cite } = phantom;
    let key = &read.key;
    // A write that began and whose end is not on record may have made the version.
    let unended = world.ledger.requests.of_object(key).any(|(_, request)| !request.ended);
    if unended {
        return;
    }
    let span = Interval::new(last_time + Duration::from_nanos(1), read.fact.received);
    let groups = resources::groups_of(&key.resource);
    let candidate = CandidateRequest {
        verbs: &["update", "patch"],
        groups,
        resource: &key.resource,
        subresource: "",
        namespace: Some(&key.namespace),
        name: Some(&key.name),
    };
    let absence = world.weigh_absence(span, &[candidate]);
    let title = format!("{key} was read at a version that no recorded write produced");
    let mut draft = GapDraft::new(&INFO, title, vec![last_cite, read.cite]);
    draft.severity = resources::write_severity(&key.resource, &key.namespace, false);
    // Without the policy it is not known whose writes are left out.
    draft.confidence = if world.context.policy.is_some() { Confidence::High } else { Confidence::Medium };
    draft.techniques = vec![if key.resource.contains("role") { "ET2" } else { "ET3" }];
    draft.object = GapObject {
        resource: key.resource.to_string(),
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        uid: read.fact.uid.to_string(),
        ..GapObject::default()
    };
    let expected = |verb: &str| ExpectedRequest {
        verb: verb.to_owned(),
        resource: key.resource.to_string(),
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        ..ExpectedRequest::default()
    };
    draft.expected.requests = vec![expected("update"), expected("patch")];
    draft.expected.window = Some(span);
    draft.threads = vec![format!("object:{key}")];
    draft.why = format!(
        "The last recorded write of {key} left it at version {last_version} ({last_time}). At {} it was read at \
         version {}, and nothing on record wrote that: somebody changed it in etcd in between.",
        read.fact.received, read.version
    );
    world.judge_absence(draft, absence);
}
