//! Facts: what the engine keeps of a record. Small and owned, since they wait for the watermark in great number.

use std::sync::Arc;

use auditgap_records::Timestamp;
use auditgap_records::audit::{Level, Stage};
use auditgap_records::etcd::{EtcdLine, Revision};
use auditgap_records::host::HostEvent;
use auditgap_records::inventory::PodFacts;
use auditgap_records::kubelet::KubeletLine;
use auditgap_records::record::ApiServerLine;
use auditgap_records::runtime::RuntimeLine;

/// What a record says that some rule may need.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A request that the API server recorded.
    Audit(Arc<AuditFact>),
    /// A line of a kubelet.
    Kubelet(Box<KubeletLine<'static>>),
    /// A line of the API server's own log.
    ApiServer(Box<ApiServerLine<'static>>),
    /// A line of an etcd member.
    Etcd(Box<EtcdLine<'static>>),
    /// A revision from a watch on etcd.
    Revision(Box<Revision<'static>>),
    /// A line or event of a container runtime.
    Runtime(Box<RuntimeLine<'static>>),
    /// Something the host saw.
    Host(Box<HostEvent<'static>>),
}

/// Audit verbs, as far as they differ for matching.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// POST to a collection or a creating subresource.
    Create,
    /// PUT.
    Update,
    /// PATCH, server-side apply included: it may create.
    Patch,
    /// DELETE of one object.
    Delete,
    /// DELETE of a collection.
    DeleteCollection,
    /// GET of one object, or the method of a connection.
    Get,
    /// GET of a collection.
    List,
    /// A watch.
    Watch,
    /// Anything else.
    Other,
}

impl Verb {
    /// From the audit event's word.
    pub fn parse(word: &str) -> Self {
        match word {
            "create" | "post" => Self::Create,
            "update" | "put" => Self::Update,
            "patch" => Self::Patch,
            "delete" => Self::Delete,
            "deletecollection" => Self::DeleteCollection,
            "get" | "head" => Self::Get,
            "list" => Self::List,
            "watch" => Self::Watch,
            _ => Self::Other,
        }
    }

    /// The audit event's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Other => "other",
        }
    }

    /// Whether a request with this verb may write.
    pub fn writes(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Patch | Self::Delete | Self::DeleteCollection)
    }
}

/// One stage of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditFact {
    /// When the API server received the request.
    pub received: Timestamp,
    /// When the stage was reached.
    pub staged: Timestamp,
    /// How much was recorded.
    pub level: Level,
    /// Which stage.
    pub stage: Stage,
    /// Verb.
    pub verb: Verb,
    /// HTTP status; 0 if not told.
    pub code: u16,
    /// Client-chosen id.
    pub audit_id: Box<str>,
    /// API group.
    pub group: Box<str>,
    /// Resource.
    pub resource: Box<str>,
    /// Subresource, or empty.
    pub subresource: Box<str>,
    /// Namespace, or empty.
    pub namespace: Box<str>,
    /// Name of the object: from the request, or from the response where it was generated. May be empty.
    pub name: Box<str>,
    /// UID of the object if any part of the event tells.
    pub uid: Box<str>,
    /// `objectRef.uid`: for the mirror of a static Pod the UID that the kubelet and the runtime use.
    pub submitted_uid: Box<str>,
    /// User name.
    pub user: Box<str>,
    /// The groups include `system:nodes`.
    pub is_node: bool,
    /// Groups, joined by commas.
    pub groups: Box<str>,
    /// Peer address.
    pub source_ip: Box<str>,
    /// User agent.
    pub user_agent: Box<str>,
    /// Request URI; kept for connections and proxies only.
    pub uri: Box<str>,
    /// Credential that authenticated the request.
    pub credential_id: Box<str>,
    /// Credential that the request issued.
    pub issued_credential_id: Box<str>,
    /// `resourceVersion` that the client submitted.
    pub submitted_version: Option<u64>,
    /// `resourceVersion` in the response object.
    pub resulting_version: Option<u64>,
    /// `metadata.generateName` of the request, or empty.
    pub generate_name: Box<str>,
    /// The response object carries a deletion time.
    pub deletion_pending: bool,
    /// Objects in the response of a deletecollection: `namespace/name`.
    pub items: Vec<Box<str>>,
    /// Whether the response listed the items at all.
    pub has_items: bool,
    /// Dry run: nothing was written.
    pub dry_run: bool,
    /// Bodies dropped for size.
    pub truncated: bool,
    /// A SubjectAccessReview or TokenReview.
    pub review: Option<Box<Review>>,
    /// Spec of a Pod in the bodies.
    pub pod: Option<Box<PodFacts>>,
}

impl AuditFact {
    /// Whether the request did what it asked, as far as the status tells.
    pub fn succeeded(&self) -> bool {
        matches!(self.code, 101 | 200..=299)
    }

    /// The user name of a node's kubelet ends in the node's name.
    pub fn node(&self) -> Option<&str> {
        self.user.strip_prefix("system:node:")
    }
}

/// What a review asked and was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// True for a TokenReview, false for a SubjectAccessReview.
    pub token: bool,
    /// The user that was reviewed; empty at level Metadata.
    pub user: Box<str>,
    /// Verb asked for.
    pub verb: Box<str>,
    /// Resource asked for.
    pub resource: Box<str>,
    /// Subresource asked for.
    pub subresource: Box<str>,
    /// Name asked for.
    pub name: Box<str>,
    /// The answer.
    pub allowed: bool,
    /// Credential of the reviewed user.
    pub credential_id: Box<str>,
    /// The error of a refused token.
    pub error: Box<str>,
}
