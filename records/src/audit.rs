//! `audit.k8s.io/v1` events, as far as matching needs them.
//!
//! Field meanings: `k8s.io/apiserver/pkg/apis/audit/v1/types.go`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::record::Text;
use crate::time::Timestamp;

/// How much of a request the policy had recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Nothing is recorded.
    None,
    /// Who, what and when; no bodies.
    Metadata,
    /// With the request body.
    Request,
    /// With request and response body.
    RequestResponse,
}

impl FromStr for Level {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "None" => Ok(Self::None),
            "Metadata" => Ok(Self::Metadata),
            "Request" => Ok(Self::Request),
            "RequestResponse" => Ok(Self::RequestResponse),
            _ => Err(()),
        }
    }
}

/// When in a request's life the event was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Before the handler ran.
    RequestReceived,
    /// Headers sent: long-running requests, and every refused authentication.
    ResponseStarted,
    /// Done.
    ResponseComplete,
    /// The handler panicked.
    Panic,
}

impl FromStr for Stage {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "RequestReceived" => Ok(Self::RequestReceived),
            "ResponseStarted" => Ok(Self::ResponseStarted),
            "ResponseComplete" => Ok(Self::ResponseComplete),
            "Panic" => Ok(Self::Panic),
            _ => Err(()),
        }
    }
}

/// An identity as the API server authenticated it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User<'a> {
    /// User name; empty when authentication failed.
    pub name: Text<'a>,
    /// Groups, in the event's order.
    pub groups: Vec<Text<'a>>,
    /// `authentication.kubernetes.io/credential-id` of `extra`: joins a token or certificate to its uses.
    pub credential_id: Option<Text<'a>>,
    /// `authentication.kubernetes.io/pod-name` of `extra`, for a service account token bound to a Pod.
    pub pod_name: Option<Text<'a>>,
    /// `authentication.kubernetes.io/node-name` of `extra`.
    pub node_name: Option<Text<'a>>,
}

/// The object a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectRef<'a> {
    /// API group, empty for the core group.
    pub group: Text<'a>,
    /// Plural resource name.
    pub resource: Text<'a>,
    /// Subresource, empty if none.
    pub subresource: Text<'a>,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: Text<'a>,
    /// Name; empty for lists, deletecollection and creates with a generated name.
    pub name: Text<'a>,
    /// UID, where the event has one.
    pub uid: Text<'a>,
    /// `resourceVersion` that the *client submitted* (an update's precondition).
    pub resource_version: Option<u64>,
}

/// One audit event.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEvent<'a> {
    /// How much was recorded.
    pub level: Level,
    /// Chosen by the client if it sends an `Audit-ID` header: never a key by itself.
    pub audit_id: Text<'a>,
    /// When in the request's life.
    pub stage: Stage,
    /// Raw request URI with its query.
    pub uri: Text<'a>,
    /// Audit verb; empty for methods that have none.
    pub verb: Text<'a>,
    /// Who, before impersonation.
    pub user: User<'a>,
    /// Whom it acted as.
    pub impersonated: Option<Text<'a>>,
    /// The last of `sourceIPs`, the only one a client cannot set.
    pub source_ip: Option<Text<'a>>,
    /// Chosen by the client.
    pub user_agent: Text<'a>,
    /// Absent for non-resource requests.
    pub object: Option<ObjectRef<'a>>,
    /// HTTP status; absent at `RequestReceived`.
    pub code: Option<u16>,
    /// `responseStatus.message`.
    pub message: Option<Text<'a>>,
    /// `responseStatus.details.uid`: the UID of a deleted object, at every level.
    pub details_uid: Option<Text<'a>>,
    /// When the API server received the request.
    pub received: Timestamp,
    /// When the stage was reached: the record's event time.
    pub staged: Timestamp,
    /// `authorization.k8s.io/decision` is `allow`.
    pub allowed: Option<bool>,
    /// `authorization.k8s.io/reason`.
    pub authorization_reason: Option<Text<'a>>,
    /// `authentication.kubernetes.io/issued-credential-id`, on the creation of a token.
    pub issued_credential_id: Option<Text<'a>>,
    /// `audit.k8s.io/truncated`: the bodies were dropped for size.
    pub truncated: bool,
    /// Raw JSON of the request body.
    pub request_object: Option<&'a str>,
    /// Raw JSON of the response body.
    pub response_object: Option<&'a str>,
}

impl AuditEvent<'_> {
    /// Whether the request was a dry run: it writes nothing. Known from the query alone.
    pub fn is_dry_run(&self) -> bool {
        let Some((_, query)) = self.uri.split_once('?') else { return false };
        query.split('&').any(|pair| pair == "dryRun=All" || pair.starts_with("dryRun=All"))
    }

    /// Whether the status says that the request did what it asked (2xx, or 101 for an upgraded connection).
    pub fn succeeded(&self) -> bool {
        matches!(self.code, Some(101 | 200..=299))
    }
}
