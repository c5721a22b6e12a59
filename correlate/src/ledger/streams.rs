//! Requests that open a stream into a Pod, read its logs, or go through a node's, Pod's or Service's proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use auditgap_records::audit::Stage;
use auditgap_records::kubelet::KubeletLine;
use auditgap_records::{Position, Timestamp};

use crate::fact::AuditFact;
use crate::kubelet_uri::{KubeletUri, proxied};
use crate::ledger::requests::{is_stream, summary};
use crate::lookup::Lookup;
use crate::verdict::Cite;
use crate::world::Seen;

/// A recorded streaming request. One entry for all its stages.
#[derive(Debug)]
pub struct Stream {
    /// Its last recorded stage.
    pub fact: Arc<AuditFact>,
    /// Feed of that record.
    pub feed: u16,
    /// Place of that record.
    pub position: Position,
    /// When it was received.
    pub received: Timestamp,
    /// When the response began, if that was recorded.
    pub started: Option<Timestamp>,
    /// When it was over, if that was recorded.
    pub ended: Option<Timestamp>,
    /// Kubelet requests that it has accounted for.
    pub kubelet_requests: u32,
    /// Execs in the runtime that it has accounted for.
    pub execs: u32,
}

impl Stream {
    /// A pointer to the record.
    pub fn cite(&self) -> Cite {
        Cite {
            time: self.fact.staged,
            feed: self.feed,
            position: self.position,
            summary: summary(&self.fact),
        }
    }
}

/// Number of a stream in the ledger. Never used again.
pub type StreamId = u64;

/// Stages of one request agree in these: the client chooses the first, and cannot choose the others alike by chance.
type Identity = (Box<str>, Timestamp, Box<str>);

/// All recorded streams of the last while.
#[derive(Debug, Default)]
pub struct Streams {
    entries: BTreeMap<StreamId, Stream>,
    next: StreamId,
    known: Lookup<Identity, StreamId>,
    by_pod: Lookup<String, Vec<StreamId>>,
    by_proxied: Lookup<String, Vec<StreamId>>,
    running_commands: BTreeSet<StreamId>,
    kubelet_logs_requests: bool,
}

/// How long a stream whose end was not seen is remembered: an interactive session of a working day.
const OPEN_STREAM: Duration = Duration::from_hours(12);

/// How long a stream waits for a kubelet that ends it later than the API server did: a connection that broke between
/// the two stays open on the kubelet's side for `--streaming-connection-idle-timeout`, 4 h by default.
const UNACCOUNTED_STREAM: Duration = Duration::from_hours(4);

/// More streams than this do not wait that long.
const PATIENCE: usize = 50_000;

impl Streams {
    pub(crate) fn observe(&mut self, seen: Seen<'_>, fact: &Arc<AuditFact>) {
        if !is_stream(fact) {
            return;
        }
        let identity = (fact.audit_id.clone(), fact.received, fact.uri.clone());
        let id = if let Some(id) = self.known.get(&identity) { *id } else { self.add(seen, fact, identity) };
        let Some(stream) = self.entries.get_mut(&id) else { return };
        // Where stages share a moment, the last one stands.
        if stream.ended.is_none() {
            stream.fact = Arc::clone(fact);
            stream.feed = seen.feed;
            stream.position = seen.position;
        }
        match fact.stage {
            Stage::RequestReceived => {}
            Stage::ResponseStarted => stream.started = Some(fact.staged),
            Stage::ResponseComplete | Stage::Panic => stream.ended = Some(fact.staged),
        }
    }

    /// Where a kubelet logs its requests, streams wait for theirs.
    pub(crate) fn observe_kubelet(&mut self, line: &KubeletLine<'_>) {
        self.kubelet_logs_requests |= matches!(line, KubeletLine::Http { .. });
    }

    fn add(&mut self, seen: Seen<'_>, fact: &Arc<AuditFact>, identity: Identity) -> StreamId {
        let id = self.next;
        self.next += 1;
        self.known.insert(identity, id);
        if runs_command(fact) {
            self.running_commands.insert(id);
        }
        match index_of(fact) {
            Some(Index::Pod(key)) => self.by_pod.entry(key).or_default().push(id),
            Some(Index::Proxied(key)) => self.by_proxied.entry(key).or_default().push(id),
            None => {}
        }
        let stream = Stream {
            fact: Arc::clone(fact),
            feed: seen.feed,
            position: seen.position,
            received: fact.received,
            started: None,
            ended: None,
            kubelet_requests: 0,
            execs: 0,
        };
        self.entries.insert(id, stream);
        id
    }

    /// All remembered, in the order of their first record.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Stream> {
        self.entries.values()
    }

    /// Requests through a node's proxy that have the kubelet run commands, in the order of their first record.
    pub fn running_commands(&self) -> impl Iterator<Item = (StreamId, &Stream)> {
        self.running_commands.iter().filter_map(|id| Some((*id, self.entries.get(id)?)))
    }

    /// All remembered, to note what they account for.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Stream> {
        self.entries.values_mut()
    }

    /// Streams through a subresource of a Pod, in the order of their first record.
    pub fn of_pod(
        &self,
        subresource: &str,
        namespace: &str,
        name: &str,
    ) -> impl Iterator<Item = (StreamId, &Stream)> {
        self.listed(self.by_pod.get(&pod_key(subresource, namespace, name)))
    }

    /// Streams through a node's proxy that lead to a kubelet's URI, in the order of their first record.
    pub(crate) fn of_proxied(&self, uri: &KubeletUri) -> impl Iterator<Item = (StreamId, &Stream)> {
        self.listed(self.by_proxied.get(&uri.canonical()))
    }

    fn listed<'a>(&'a self, ids: Option<&'a Vec<StreamId>>) -> impl Iterator<Item = (StreamId, &'a Stream)> {
        ids.into_iter().flatten().filter_map(|id| Some((*id, self.entries.get(id)?)))
    }

    /// A stream by its id.
    pub fn get(&self, id: StreamId) -> Option<&Stream> {
        self.entries.get(&id)
    }

    /// A stream by its id, to note what it accounts for.
    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.entries.get_mut(&id)
    }

    pub(crate) fn forget(&mut self, before: Timestamp) {
        let open_before = before - OPEN_STREAM;
        let patient = self.kubelet_logs_requests && self.entries.len() <= PATIENCE;
        let unaccounted_before = if patient { before - UNACCOUNTED_STREAM } else { before };
        let gone: Vec<StreamId> = self
            .entries
            .iter()
            .filter(|(_, stream)| match stream.ended {
                None => stream.received < open_before,
                Some(ended) if stream.kubelet_requests == 0 => ended < unaccounted_before,
                Some(ended) => ended < before,
            })
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            let Some(stream) = self.entries.remove(&id) else { continue };
            self.running_commands.remove(&id);
            let fact = &stream.fact;
            self.known.remove(&(fact.audit_id.clone(), stream.received, fact.uri.clone()));
            match index_of(fact) {
                Some(Index::Pod(key)) => unlist(&mut self.by_pod, &key, id),
                Some(Index::Proxied(key)) => unlist(&mut self.by_proxied, &key, id),
                None => {}
            }
        }
    }
}

/// What a stream is looked up by.
enum Index {
    Pod(String),
    Proxied(String),
}

fn index_of(fact: &AuditFact) -> Option<Index> {
    match (&*fact.resource, &*fact.subresource) {
        ("pods", "proxy") => None,
        ("pods", subresource) => Some(Index::Pod(pod_key(subresource, &fact.namespace, &fact.name))),
        ("nodes", "proxy") => {
            proxied(&fact.uri).map(|uri| Index::Proxied(KubeletUri::parse(uri).canonical()))
        }
        _ => None,
    }
}

/// Whether a request through a node's proxy leads to where the kubelet runs commands.
fn runs_command(fact: &AuditFact) -> bool {
    &*fact.resource == "nodes"
        && proxied(&fact.uri).is_some_and(|uri| KubeletUri::parse(uri).endpoint.executes())
}

fn pod_key(subresource: &str, namespace: &str, name: &str) -> String {
    format!("{subresource}/{namespace}/{name}")
}

fn unlist(map: &mut Lookup<String, Vec<StreamId>>, key: &str, id: StreamId) {
    if let Some(ids) = map.get_mut(key) {
        ids.retain(|known| *known != id);
        if ids.is_empty() {
            map.remove(key);
        }
    }
}
