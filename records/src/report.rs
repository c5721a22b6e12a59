//! The report: the stable contract `auditgap.report/v1` of `scan --format json` and of the reports API.
//!
//! Fields are only ever added. Every list has a stated order, so that the same input gives the same bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::{Interval, Timestamp};

/// Value of [`Report::schema`].
pub const SCHEMA: &str = "auditgap.report/v1";

/// Which of the ways around the API server, or the trail itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Path {
    /// Pods that a kubelet loads from files or URLs.
    StaticPod,
    /// The kubelet's own API.
    KubeletApi,
    /// etcd.
    EtcdApi,
    /// The container runtime's socket.
    RuntimeSocket,
    /// The audit trail itself.
    AuditTrail,
}

impl Path {
    /// All, in report order.
    pub const ALL: [Self; 5] =
        [Self::StaticPod, Self::KubeletApi, Self::EtcdApi, Self::RuntimeSocket, Self::AuditTrail];

    /// The word in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StaticPod => "static_pod",
            Self::KubeletApi => "kubelet_api",
            Self::EtcdApi => "etcd_api",
            Self::RuntimeSocket => "runtime_socket",
            Self::AuditTrail => "audit_trail",
        }
    }
}

/// How bad, if true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing, not worth waking anyone.
    Info,
    /// A refused attempt, or little reach.
    Low,
    /// Reach into one workload, or reading.
    Medium,
    /// Code execution, changed objects.
    High,
    /// Control of the cluster.
    Critical,
}

impl Severity {
    /// The word in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// How sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// One weak signal.
    Low,
    /// Key or window loose, or some candidate requests would not have been logged.
    Medium,
    /// Complete feeds, exact key, tight window.
    High,
    /// Structural proof, or an exact revision.
    Certain,
}

impl Confidence {
    /// The word in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Certain => "certain",
        }
    }
}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// Name of the cluster.
    pub cluster: String,
    /// From the first to the last record of any feed.
    pub window: Option<Interval>,
    /// What could be seen, by feed; ordered by kind, instance and source.
    pub coverage: Vec<Coverage>,
    /// Counts of verdicts.
    pub totals: Totals,
    /// Explained actions by how.
    pub explained_by: BTreeMap<String, u64>,
    /// Gaps by descending severity, then first time, then id.
    pub gaps: Vec<Gap>,
    /// Stories that gaps belong to; by descending severity, then first time, then id.
    pub incidents: Vec<Incident>,
    /// Actions whose audit record the policy would have dropped; ordered as gaps.
    pub blind_spots: Vec<Gap>,
    /// What no verdict could be given for; by path, then reason, then time.
    pub unassessable: Vec<Unassessable>,
}

/// What could be seen through one feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// Name of the feed.
    pub feed: String,
    /// Kind.
    pub kind: String,
    /// API server, node or member.
    pub instance: String,
    /// Recognised format.
    pub format: String,
    /// First event time.
    pub from: Option<Timestamp>,
    /// Last event time.
    pub to: Option<Timestamp>,
    /// Records, each counted once.
    pub records: u64,
    /// Entries that could not be read.
    pub rejected: u64,
    /// Median offset of its clock to the audit feed, in milliseconds; absent if nothing could be paired.
    pub offset_ms: Option<f64>,
    /// Spans in which it said nothing for longer than its idle limit.
    pub silent: Vec<Interval>,
    /// What a reader must know: year and zone assumed, sampling, verbosity too low, late records.
    pub notes: Vec<String>,
    /// The first rejects, with file, line and reason.
    pub rejects: Vec<RejectedLine>,
}

/// A rejected line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedLine {
    /// File.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// What is wrong.
    pub reason: String,
}

/// Counts of verdicts. Every action has exactly one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Actions seen on nodes and in etcd.
    pub actions: u64,
    /// Accounted for.
    pub explained: u64,
    /// Not accounted for though they should be.
    pub gap: u64,
    /// The policy would have dropped their record.
    pub blind_spot: u64,
    /// No verdict.
    pub unassessable: u64,
}

/// One gap or blind spot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// Derived from rule, object and first evidence.
    pub id: String,
    /// Id of the incident it belongs to.
    pub incident: String,
    /// Which way around.
    pub path: Path,
    /// Technique ids of the catalogue (`docs/rules`), `SP1`, `ET4`.
    pub technique: Vec<String>,
    /// MITRE ATT&CK ids.
    pub attack: Vec<String>,
    /// Rule, the name of its page in `docs/rules`.
    pub rule: String,
    /// One line.
    pub title: String,
    /// How bad, if true.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// First evidence.
    pub first_seen: Timestamp,
    /// Last evidence.
    pub last_seen: Timestamp,
    /// Actions folded into it.
    pub count: u64,
    /// Node, or empty.
    pub node: String,
    /// What was touched.
    pub object: GapObject,
    /// Who did it, as far as evidence goes.
    pub actor: Actor,
    /// The audit requests any of which would have accounted for it.
    pub expected: Expected,
    /// Audit records that came near, and why each does not account for it.
    pub rejected_candidates: Vec<RejectedCandidate>,
    /// For a blind spot: the policy rule that would have dropped the record.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy_rule: Option<PolicyRuleRef>,
    /// The exception that a person made for it, if any. It changes what is done about the gap, never the verdict.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exception: Option<AppliedException>,
    /// A paragraph that can be read aloud.
    pub why: String,
    /// What to do next, from the rule's page.
    pub next_steps: Vec<String>,
    /// Evidence in time order.
    pub evidence: Vec<Evidence>,
}

/// What was touched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapObject {
    /// API group.
    pub group: String,
    /// Resource, or `container`, `image`, `key`, `kubelet`.
    pub resource: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// etcd key, container id or request path.
    pub key: String,
}

/// Who did it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// User name.
    pub user: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Address.
    pub source_ip: String,
    /// User agent, chosen by the client.
    pub user_agent: String,
    /// Common name of a client certificate.
    pub certificate_cn: String,
    /// Process on the host.
    pub process: String,
    /// Who else it may have been, each with its reason.
    pub candidates: Vec<String>,
}

/// What the audit trail should have shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Any of these.
    pub requests: Vec<ExpectedRequest>,
    /// Received within.
    pub window: Option<Interval>,
    /// Event time up to which the audit trail was complete when the verdict was given.
    pub audit_watermark: Option<Timestamp>,
}

/// One request that would have accounted for an action.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExpectedRequest {
    /// Audit verb.
    pub verb: String,
    /// Resource.
    pub resource: String,
    /// Subresource.
    pub subresource: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// An audit record that came near.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RejectedCandidate {
    /// The record.
    pub audit: Evidence,
    /// Why it does not account for the action.
    pub why: String,
}

/// A rule of the audit policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRuleRef {
    /// Index from 0; `None` when no rule matches (the default is to log nothing).
    pub index: Option<usize>,
    /// The rule in one line.
    pub text: String,
}

/// An exception that covers a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedException {
    /// Who answers for it.
    pub owner: String,
    /// Why the gap is accepted.
    pub reason: String,
    /// Last day on which it covers anything.
    pub expires: String,
}

/// A pointer to a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Name of the feed.
    pub feed: String,
    /// Event time.
    pub time: Timestamp,
    /// When the transport saw it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seen: Option<Timestamp>,
    /// File.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// First byte in the decompressed file.
    pub offset: u64,
    /// Length in bytes.
    pub length: u32,
    /// Raw line, secrets masked; filled in by whoever holds the bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub raw: Option<String>,
    /// What it says, in words.
    pub summary: String,
}

/// Gaps that belong to one story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Derived from its first gap.
    pub id: String,
    /// One line.
    pub title: String,
    /// The highest of its gaps.
    pub severity: Severity,
    /// First evidence.
    pub first_seen: Timestamp,
    /// Last evidence.
    pub last_seen: Timestamp,
    /// Ids of its gaps in time order.
    pub gaps: Vec<String>,
    /// The story in a few sentences.
    pub story: String,
}

/// What no verdict could be given for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unassessable {
    /// Which way around.
    pub path: Path,
    /// Why not.
    pub reason: String,
    /// Since when.
    pub from: Option<Timestamp>,
    /// Until when.
    pub to: Option<Timestamp>,
    /// Actions concerned; 0 when a path could not be watched at all.
    pub actions: u64,
    /// What would cure it: the exact setting or command.
    pub cure: String,
}
