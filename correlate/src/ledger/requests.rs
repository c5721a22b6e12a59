//! Requests that write objects, by the object and by the collection.

use std::collections::VecDeque;
use std::sync::Arc;

use auditgap_records::audit::Stage;
use auditgap_records::{Position, Timestamp};

use crate::fact::{AuditFact, Verb};
use crate::key::{Identity, ObjectKey};
use crate::lookup::{Index, Numbers, unlist};
use crate::verdict::Cite;
use crate::world::Seen;

/// A recorded request. One entry for all its stages.
#[derive(Debug)]
pub struct Request {
    /// Its last recorded stage that tells of the outcome, else the first.
    pub fact: Arc<AuditFact>,
    /// Feed of that record.
    pub feed: u16,
    /// Place of that record.
    pub position: Position,
    /// Whether the end of the request was recorded. If not, it may or may not have written.
    pub ended: bool,
    /// Writes that it has accounted for so far.
    pub puts: u32,
    /// Deletes that it has accounted for so far.
    pub deletes: u32,
    /// Whether it has accounted for the write beside its own object that its kind entails.
    pub side_write: bool,
    /// Under which object it is found.
    object: Option<Identity>,
    /// Under which collection it is found.
    collection: Option<Identity>,
}

impl Request {
    /// A pointer to the record.
    pub fn cite(&self) -> Cite {
        Cite {
            time: self.fact.staged,
            feed: self.feed,
            position: self.position,
            summary: summary(&self.fact),
        }
    }

    /// When it was over, as far as recorded.
    pub fn end(&self) -> Timestamp {
        if self.ended { self.fact.staged } else { Timestamp::MAX }
    }
}

/// An audit event in words.
pub fn summary(fact: &AuditFact) -> String {
    let mut object = fact.resource.to_string();
    if !fact.subresource.is_empty() {
        object = format!("{object}/{}", fact.subresource);
    }
    for part in [&fact.namespace, &fact.name] {
        if !part.is_empty() {
            object = format!("{object} {part}");
        }
    }
    let user = if fact.user.is_empty() { "nobody (not authenticated)" } else { &fact.user };
    let outcome = match fact.code {
        0 => "no outcome recorded".to_owned(),
        code => code.to_string(),
    };
    format!("audit: {} {object} by {user}, {outcome}", fact.verb.as_str())
}

/// Number of a request in the ledger. Never used again.
pub type RequestId = u64;

/// All recorded requests that write, of the last while.
#[derive(Debug, Default)]
pub struct Requests {
    entries: VecDeque<Option<Request>>,
    /// Id of the first entry.
    base: RequestId,
    by_object: Index<Identity, Numbers>,
    /// Creates whose name is not known, and deletions of a whole collection, by collection.
    by_collection: Index<Identity, Numbers>,
    /// Requests of which only the first stage was seen so far.
    open: Index<(Identity, Timestamp), RequestId>,
}

impl Requests {
    pub(crate) fn observe(&mut self, seen: Seen<'_>, fact: &Arc<AuditFact>) {
        if !fact.verb.writes() || is_stream(fact) || fact.dry_run || fact.review.is_some() {
            return;
        }
        let open_key = || (Identity::of(&[&fact.audit_id]), fact.received);
        let ended = matches!(fact.stage, Stage::ResponseComplete | Stage::Panic);
        let begun = if ended && !self.open.is_empty() { self.open.remove(&open_key()) } else { None };
        if let Some(id) = begun {
            if let Some(entry) = self.entry_mut(id) {
                entry.fact = Arc::clone(fact);
                entry.feed = seen.feed;
                entry.position = seen.position;
                entry.ended = true;
            }
            // The end may tell the name that the beginning did not know.
            self.index(id, fact);
            return;
        }
        let id = self.base + self.entries.len() as u64;
        self.entries.push_back(Some(Request {
            fact: Arc::clone(fact),
            feed: seen.feed,
            position: seen.position,
            ended,
            puts: 0,
            deletes: 0,
            side_write: false,
            object: None,
            collection: None,
        }));
        self.index(id, fact);
        if !ended {
            self.open.insert(open_key(), id);
        }
    }

    fn index(&mut self, id: RequestId, fact: &AuditFact) {
        let of_collection = fact.name.is_empty() || fact.verb == Verb::DeleteCollection;
        let name = if of_collection { "" } else { &fact.name };
        let identity = ObjectKey::identity_of_request(&fact.group, &fact.resource, &fact.namespace, name);
        if let Some(request) = self.entry_mut(id) {
            let found_under = if of_collection { &mut request.collection } else { &mut request.object };
            *found_under = Some(identity);
        }
        let lists = if of_collection { &mut self.by_collection } else { &mut self.by_object };
        let list = lists.entry(identity).or_default();
        if list.last() != Some(&id) && !list.contains(&id) {
            list.push(id);
        }
    }

    /// A request by its id, if it is still remembered.
    pub fn get(&self, id: RequestId) -> Option<&Request> {
        self.entries.get(usize::try_from(id.checked_sub(self.base)?).ok()?)?.as_ref()
    }

    pub(crate) fn entry_mut(&mut self, id: RequestId) -> Option<&mut Request> {
        self.entries.get_mut(usize::try_from(id.checked_sub(self.base)?).ok()?)?.as_mut()
    }

    /// Requests about an object, in the order recorded.
    pub fn of_object(&self, key: &ObjectKey) -> impl Iterator<Item = (RequestId, &Request)> {
        let ids = self.by_object.get(&key.identity()).map(Numbers::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| Some((*id, self.get(*id)?)))
    }

    /// Requests about a collection: creates without a name, deletions of many. Those that span all namespaces are
    /// among them.
    pub fn of_collection(&self, key: &ObjectKey) -> impl Iterator<Item = (RequestId, &Request)> {
        let own = Identity::of(&[&key.group, &key.resource, &key.namespace, ""]);
        let everywhere = Identity::of(&[&key.group, &key.resource, "", ""]);
        let everywhere = (!key.namespace.is_empty()).then_some(everywhere);
        let lists = [self.by_collection.get(&own), everywhere.and_then(|key| self.by_collection.get(&key))];
        lists.into_iter().flatten().flatten().filter_map(|id| Some((*id, self.get(*id)?)))
    }

    /// Requests about the collection that an etcd key prefix holds.
    pub fn of_collection_key(&self, key: &str, prefixes: &[String]) -> Vec<Arc<AuditFact>> {
        let probe = format!("{}/x", key.trim_end_matches('/'));
        let Some(object) = ObjectKey::of_key(&probe, prefixes) else { return Vec::new() };
        self.of_collection(&object).map(|(_, request)| Arc::clone(&request.fact)).collect()
    }

    /// All remembered requests about a resource, in any namespace. Looks at every request.
    pub fn of_resource<'a>(&'a self, key: &'a ObjectKey) -> impl Iterator<Item = &'a Request> {
        let same = move |request: &&Request| {
            request.fact.resource == key.resource
                && ObjectKey::of_request(&request.fact.group, "", "", "").group == key.group
        };
        self.entries.iter().flatten().filter(same)
    }

    pub(crate) fn forget(&mut self, before: Timestamp) {
        while let Some(front) = self.entries.front() {
            if front.as_ref().is_some_and(|request| request.fact.staged >= before) {
                break;
            }
            let Some(Some(request)) = self.entries.pop_front() else { continue };
            let id = self.base;
            self.base += 1;
            let fact = &request.fact;
            for (map, key) in
                [(&mut self.by_object, request.object), (&mut self.by_collection, request.collection)]
            {
                if let Some(key) = key {
                    unlist(map, key, id);
                }
            }
            if !request.ended {
                self.open.remove(&(Identity::of(&[&fact.audit_id]), fact.received));
            }
        }
    }
}

/// Whether a request opens a stream or goes through a proxy: it writes no object itself.
pub fn is_stream(fact: &AuditFact) -> bool {
    matches!(&*fact.subresource, "exec" | "attach" | "portforward" | "proxy" | "log")
}
