//! Records to facts: the last step that runs on many threads.
//!
//! Most audit events are reads that no rule needs. They are counted and let go here, before anything is copied.

use std::collections::BTreeMap;
use std::sync::Arc;

use auditgap_records::audit::{AuditEvent, Level, Stage};
use auditgap_records::{Body, Position, Record, Timestamp};
use bounded_static::IntoBoundedStatic;

use crate::fact::{AuditFact, Fact, Verb};

mod body;
mod pod;

use pod::pod_facts;

/// A record as the engine queues it.
#[derive(Clone, Debug, PartialEq)]
pub struct Condensed {
    /// Event time.
    pub time: Timestamp,
    /// Identity of the record; equal for two deliveries.
    pub digest: u64,
    /// Where the raw bytes are.
    pub position: Position,
    /// What it says, if any rule may need it.
    pub fact: Option<Fact>,
}

/// A role binding that an authorisation decision cites: `ClusterRoleBinding/name` or `RoleBinding/namespace/name`.
pub type BindingName = String;

/// The earliest decision that cites a binding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Citation {
    /// When the request was received.
    pub time: Timestamp,
    /// The audit record.
    pub position: Position,
    /// Who was let through.
    pub user: String,
    /// What was asked, in words.
    pub request: String,
}

/// What a worker hands to the engine at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Records in the order read.
    pub records: Vec<Condensed>,
    /// The earliest citation of each binding among them.
    pub citations: BTreeMap<BindingName, Citation>,
}

/// Collects records into a [`Batch`].
#[derive(Debug, Default)]
pub struct Condenser {
    batch: Batch,
}

impl Condenser {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record.
    pub fn add(&mut self, record: Record<'_>) {
        let Record { time, position, digest, body, .. } = record;
        let fact = match body {
            Body::Audit(event) => {
                self.cite(&event, position);
                audit_fact(&event).map(|fact| Fact::Audit(Arc::new(fact)))
            }
            Body::Kubelet(line) => Some(Fact::Kubelet(Box::new(line.into_static()))),
            Body::ApiServer(line) => Some(Fact::ApiServer(Box::new(line.into_static()))),
            Body::Etcd(line) => Some(Fact::Etcd(Box::new(line.into_static()))),
            Body::Revision(revision) => Some(Fact::Revision(Box::new(revision.into_static()))),
            Body::Runtime(line) => Some(Fact::Runtime(Box::new(line.into_static()))),
            Body::Host(event) => Some(Fact::Host(Box::new(event.into_static()))),
            Body::Other => None,
        };
        self.batch.records.push(Condensed { time, digest, position, fact });
    }

    /// Number of records added since the last [`Self::take`].
    pub fn len(&self) -> usize {
        self.batch.records.len()
    }

    /// Whether nothing was added since the last [`Self::take`].
    pub fn is_empty(&self) -> bool {
        self.batch.records.is_empty()
    }

    /// What was added so far.
    pub fn take(&mut self) -> Batch {
        // The next batch is likely as long.
        let next = Batch { records: Vec::with_capacity(self.len()), ..Batch::default() };
        std::mem::replace(&mut self.batch, next)
    }

    fn cite(&mut self, event: &AuditEvent<'_>, position: Position) {
        let Some(binding) = event.authorization_reason.as_deref().and_then(cited_binding) else { return };
        // Nearly every event cites a binding, nearly always one already cited: compare before anything is copied.
        if let Some(known) = self.batch.citations.get(binding.0)
            && (known.time, known.position) <= (event.received, position)
        {
            return;
        }
        let citation = Citation {
            time: event.received,
            position,
            user: event.user.name.to_string(),
            request: format!("{} {}", event.verb, event.uri),
        };
        self.batch.citations.insert(binding.0.to_owned(), citation);
    }
}

/// The quoted reason's binding, as a slice of the reason that identifies it: `ClusterRoleBinding "x"`.
struct CitedBinding<'a>(&'a str);

/// Finds the binding in `RBAC: allowed by ClusterRoleBinding "x" of ClusterRole "y" to …`
/// (`plugin/pkg/auth/authorizer/rbac/rbac.go`).
fn cited_binding(reason: &str) -> Option<CitedBinding<'_>> {
    let rest = reason.strip_prefix("RBAC: allowed by ")?;
    let opening = rest.find('"')?;
    let closing = rest.get(opening + 1..)?.find('"')?;
    rest.get(..opening + closing + 2).map(CitedBinding)
}

const STREAMS: [&str; 5] = ["exec", "attach", "portforward", "proxy", "log"];

fn audit_fact(event: &AuditEvent<'_>) -> Option<AuditFact> {
    let verb = Verb::parse(&event.verb);
    let object = event.object.as_ref()?;
    let stream = STREAMS.contains(&object.subresource.as_ref());
    let writes = verb.writes() && !stream;
    let read_of_one =
        verb == Verb::Get && !stream && event.level == Level::RequestResponse && !object.name.is_empty();
    if !(stream || writes || read_of_one) {
        return None;
    }
    if read_of_one && event.stage != Stage::ResponseComplete {
        return None;
    }
    let review = writes.then(|| body::review(event)).flatten();
    let response = if event.stage == Stage::ResponseComplete && !stream {
        event.response_object.and_then(body::object)
    } else {
        None
    };
    let request = if writes { event.request_object.and_then(body::object) } else { None };
    let metadata = response.as_ref().map(|object| &object.metadata);
    // A Status names the object in its details and has no metadata of its own.
    let response_is_object = response.as_ref().is_some_and(|object| object.kind.as_deref() != Some("Status"));
    let resulting_name = metadata.and_then(|metadata| metadata.name.as_deref()).unwrap_or_default();
    let name = if object.name.is_empty() { resulting_name } else { object.name.as_ref() };
    let uid = if response_is_object { metadata.and_then(|metadata| metadata.uid.as_deref()) } else { None };
    let uid = uid.or(event.details_uid.as_deref()).unwrap_or(object.uid.as_ref());
    let has_items =
        verb == Verb::DeleteCollection && response.as_ref().is_some_and(|object| object.items.is_some());
    let items = response.as_ref().filter(|_| has_items).map(body::Object::item_names).unwrap_or_default();
    let pod = if &*object.resource == "pods" && writes && !review_only(verb, &object.subresource) {
        event.response_object.and_then(pod_facts).or_else(|| event.request_object.and_then(pod_facts))
    } else {
        None
    };
    let text = |text: &str| Box::<str>::from(text);
    Some(AuditFact {
        received: event.received,
        staged: event.staged,
        level: event.level,
        stage: event.stage,
        verb,
        code: event.code.unwrap_or(0),
        audit_id: text(&event.audit_id),
        group: text(&object.group),
        resource: text(&object.resource),
        subresource: text(&object.subresource),
        namespace: text(&object.namespace),
        name: text(name),
        uid: text(uid),
        submitted_uid: text(&object.uid),
        user: text(event.impersonated.as_deref().unwrap_or(&event.user.name)),
        is_node: event.user.groups.iter().any(|group| group == "system:nodes"),
        groups: event.user.groups.join(",").into_boxed_str(),
        source_ip: text(event.source_ip.as_deref().unwrap_or_default()),
        user_agent: text(&event.user_agent),
        uri: if stream { text(&event.uri) } else { Box::default() },
        credential_id: text(event.user.credential_id.as_deref().unwrap_or_default()),
        issued_credential_id: text(event.issued_credential_id.as_deref().unwrap_or_default()),
        submitted_version: object.resource_version,
        resulting_version: if response_is_object {
            metadata
                .and_then(|metadata| metadata.resource_version.as_deref())
                .and_then(|text| text.parse().ok())
        } else {
            None
        },
        generate_name: text(
            request.as_ref().and_then(|object| object.metadata.generate_name.as_deref()).unwrap_or_default(),
        ),
        deletion_pending: metadata.is_some_and(|metadata| metadata.deletion_timestamp.is_some()),
        items,
        has_items,
        dry_run: event.is_dry_run(),
        truncated: event.truncated,
        review: review.map(Box::new),
        pod: pod.map(Box::new),
    })
}

/// Subresources of Pods whose bodies are not Pods.
fn review_only(verb: Verb, subresource: &str) -> bool {
    verb == Verb::Create && matches!(subresource, "binding" | "eviction")
}
