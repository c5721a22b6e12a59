//! A write without a request: which requests were expected, which came near, and what their absence is worth.

use std::fmt::Write as _;
use std::time::Duration;

use auditgap_records::etcd::RevisionKind;
use auditgap_records::report::{Confidence, ExpectedRequest, Path};
use auditgap_records::{Interval, Timestamp};

use super::gap::draft;
use super::history::ENCRYPTED;
use super::{EtcdWrite, Write, matching};
use crate::key::ObjectKey;
use crate::policy::CandidateRequest;
use crate::resources;
use crate::verdict::GapDraft;
use crate::world::{Absence, World};

/// The audit trail must have been alive this long around a write to prove that its request is missing.
const ALIVE_BEFORE: Duration = Duration::from_secs(1);
pub(super) const ALIVE_AFTER: Duration = Duration::from_secs(2);

/// Requests that came near and are shown with the reason against them.
const REJECTED_SHOWN: usize = 5;

impl EtcdWrite {
    pub(super) fn missing_request(
        &self,
        write: &Write,
        time: Timestamp,
        world: &World,
    ) -> (GapDraft, Absence) {
        let mut draft = draft(write, world);
        let absence = self.explain_absence(&mut draft, write, time, world);
        let in_clear = write.kind == RevisionKind::Put
            && !write.encoding.is_empty()
            && !write.encoding.starts_with(ENCRYPTED);
        if in_clear && self.history.is_encrypted_collection(&write.key) {
            draft.why.push_str(
                " Its value is not encrypted, while the API server encrypts this kind of object: what wrote it has not \
                 the API server's keys.",
            );
            if matches!(absence, Absence::Proven) {
                draft.confidence = Confidence::Certain;
            }
        }
        (draft, absence)
    }

    /// Writes into a draft which requests were expected and which came near, and weighs their absence.
    pub(super) fn explain_absence(
        &self,
        draft: &mut GapDraft,
        write: &Write,
        time: Timestamp,
        world: &World,
    ) -> Absence {
        let settings = &world.context.settings;
        let Some(object) = &write.object else {
            draft.why.push_str(
                "No request of the API could have written this key: it is none of the API server's.",
            );
            return Absence::Proven;
        };
        draft.expected.window = Some(Interval::new(time - settings.request_timeout, time + settings.skew));
        let owner = allocated_for(object);
        let object = owner.as_ref().unwrap_or(object);
        let template = template(write, object);
        draft.expected.requests = expected(&template);
        for (_, request) in world.ledger.requests.of_object(object) {
            if draft.rejected.len() >= REJECTED_SHOWN {
                break;
            }
            if time.nanos_since(request.fact.staged).abs() > 10_000_000_000 {
                continue;
            }
            let why = match matching::weigh(write, time, request, settings) {
                Err(why) => why,
                Ok(_) => "it already accounts for another write, which it fits better",
            };
            draft.rejected.push((request.cite(), why.to_owned()));
        }
        let mut candidates = vec![template.candidate()];
        if write.kind == RevisionKind::Put && write.creates != Some(true) && &*object.resource != "services" {
            // The status of an object is written through its own subresource, and often left out of the trail.
            candidates.push(CandidateRequest { subresource: "status", ..template.candidate() });
        }
        let span = Interval::new(time - ALIVE_BEFORE, time + ALIVE_AFTER);
        let mut absence = world.weigh_absence(span, &candidates);
        if matches!(absence, Absence::Proven)
            && let Some(policy) = &world.context.policy
            && matching::tells_revision(policy.would_log_any(&candidates).least)
            && write.mod_revision > 0
        {
            draft.confidence = Confidence::Certain;
        }
        if matches!(absence, Absence::Proven) && world.context.policy.is_none() {
            absence = self.without_policy(write, object, world);
            draft.confidence = draft.confidence.min(Confidence::Medium);
        }
        let verb = if write.kind == RevisionKind::Put { "written" } else { "deleted" };
        let _ = match write.mod_revision {
            0 => write!(draft.why, "etcd's log shows that {} was {verb} at {}", write.key, write.time),
            revision => {
                write!(draft.why, "{} was {verb} in etcd at {} (revision {revision})", write.key, write.time)
            }
        };
        draft.why.push_str(match draft.rejected.len() {
            0 => ", and the audit trail has no request about this object near that time.",
            _ => ", and none of the requests about this object near that time can have done it.",
        });
        absence
    }

    /// Without a policy it is not known what would be recorded. What was recorded of the same kind tells.
    fn without_policy(&self, write: &Write, object: &ObjectKey, world: &World) -> Absence {
        let (explained, unexplained) = self.by_resource.get(&object.resource).copied().unwrap_or_default();
        // Of what components write all day, some of it is often left out of the trail: by whom it was written tells.
        let components = ["system:nodes", "system:apiserver", "system:kube-scheduler"];
        let is_routine = components
            .iter()
            .any(|user| resources::writes_by_routine(user, &object.resource, &object.namespace));
        // An object that a component renews all day has requests on record if its are recorded at all.
        let is_recorded =
            write.creates == Some(true) || world.ledger.requests.of_object(object).next().is_some();
        let usual =
            !is_routine || (is_recorded && explained >= 10 && unexplained.saturating_mul(10) <= explained);
        if usual && explained > unexplained && explained > 0 && &*object.resource != "events" {
            return Absence::Proven;
        }
        Absence::Unknown(
            format!(
                "no audit policy was given, and writes of {} are not known to be recorded",
                object.resource
            ),
            "give the policy that the API server runs with (--audit-policy)".to_owned(),
        )
    }
}

/// Addresses and ports are allocated within requests for Services.
fn allocated_for(object: &ObjectKey) -> Option<ObjectKey> {
    (&*object.resource == "ranges").then(|| ObjectKey::of_request("", "services", "", ""))
}

/// A kind of request that could account for a write.
struct Template<'a> {
    verbs: &'static [&'static str],
    groups: Vec<&'a str>,
    object: &'a ObjectKey,
}

impl Template<'_> {
    fn candidate(&self) -> CandidateRequest<'_> {
        // Of an allocation it is not known which Service it is for.
        let known = !self.object.name.is_empty();
        CandidateRequest {
            verbs: self.verbs,
            groups: &self.groups,
            resource: &self.object.resource,
            subresource: "",
            namespace: known.then_some(&*self.object.namespace),
            name: known.then_some(&*self.object.name),
        }
    }
}

/// The requests any of which could have done it, by their verbs.
fn template<'a>(write: &Write, object: &'a ObjectKey) -> Template<'a> {
    let verbs: &'static [&'static str] = match (write.kind, write.creates) {
        _ if &*object.resource == "services" && object.name.is_empty() => {
            &["create", "update", "patch", "delete"]
        }
        (RevisionKind::Put, Some(true)) => &["create"],
        (RevisionKind::Put, Some(false)) => &["update", "patch"],
        (RevisionKind::Put, None) => &["create", "update", "patch"],
        (RevisionKind::Delete, _) => &["delete", "deletecollection"],
    };
    let groups = if object.group.is_empty() {
        resources::groups_of(&object.resource).to_vec()
    } else {
        vec![&*object.group]
    };
    Template { verbs, groups, object }
}

fn expected(template: &Template<'_>) -> Vec<ExpectedRequest> {
    let request = |verb: &&str| ExpectedRequest {
        verb: (*verb).to_owned(),
        resource: template.object.resource.to_string(),
        subresource: String::new(),
        namespace: template.object.namespace.to_string(),
        name: template.object.name.to_string(),
    };
    template.verbs.iter().map(request).collect()
}

/// Says what of this path could not be watched.
pub(super) fn not_watched(rule: &mut EtcdWrite, world: &mut World) {
    for feed in rule.offsets.feeds() {
        if let Some(median) = rule.offsets.median(feed)
            && let Some(state) = world.feeds.states.get_mut(usize::from(feed))
        {
            state.offsets.insert(median / 100_000, 1_000);
        }
    }
    if rule.watched.is_empty() {
        let cure = "record a watch on the whole key space (docs/operating.md), which alone shows every write";
        let reason = if world.has_feed(auditgap_records::FeedKind::Etcd) {
            "no watch on etcd: of writes only those can be judged that etcd's log tells of"
        } else {
            "no etcd feed: writes and reads around the API server cannot be seen"
        };
        world.verdicts.not_watched(Path::EtcdApi, reason, cure);
    }
}
