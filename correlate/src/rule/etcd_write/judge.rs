//! The verdict on one write, and the words for it.

use std::fmt::Write as _;
use std::time::Duration;

use auditgap_records::etcd::RevisionKind;
use auditgap_records::report::{Confidence, ExpectedRequest, GapObject, Path, Severity};
use auditgap_records::{Interval, Timestamp};

use super::history::ENCRYPTED;
use super::log::LogWrite;
use super::matching::{self, Fit};
use super::system::{self, SystemWrite};
use super::{EtcdWrite, INFO, Write, WriteId};
use crate::fact::Verb;
use crate::key::ObjectKey;
use crate::ledger::host::process_words;
use crate::ledger::requests::{Request, RequestId};
use crate::policy::CandidateRequest;
use crate::resources;
use crate::verdict::{GapDraft, How};
use crate::world::{Absence, World};

/// Requests and writes further away than this, beyond their own duration, do not compete.
const NEIGHBOURHOOD: Duration = Duration::from_secs(10);

/// How soon after the end of a change its deletion must show, where nothing tells that the object was to be deleted.
const FINALIZER_LAG: Duration = Duration::from_millis(250);

/// The audit trail must have been alive this long around a write to prove that its request is missing.
const ALIVE_BEFORE: Duration = Duration::from_secs(1);
const ALIVE_AFTER: Duration = Duration::from_secs(2);

/// A clock this many nanoseconds ahead: the ledger has forgotten the requests when their revisions come.
const FORGOTTEN: i64 = 300_000_000_000;

/// Requests that came near and are shown with the reason against them.
const REJECTED_SHOWN: usize = 5;

/// Keys of other applications that share an etcd with the API server (network plugins). No request of the API could
/// account for them, and nothing here can judge them.
const NEIGHBOURS: [&str; 8] =
    ["cilium/", "/cilium/", "/calico/", "calico/", "/coreos.com/", "/skydns/", "/flannel/", "/weave/"];

impl EtcdWrite {
    /// Gives the first pending write its verdict.
    pub(super) fn judge_front(&mut self, world: &mut World) {
        let base = self.base;
        let Some(write) = self.pending.front_mut() else { return };
        let correction = self.offsets.correction(write.feed);
        write.at = Timestamp(write.time.0.saturating_sub(correction));
        let time = write.at;
        let Some(write) = self.pending.front() else { return };
        if NEIGHBOURS.iter().any(|prefix| write.key.starts_with(prefix)) {
            return;
        }
        // A request that no API server would send made it: that request is the gap, and this is its effect.
        if let Some(request) = self.log.of_write(write.at, write.kind, &write.key)
            && request.foreign.is_some()
        {
            request.revisions.push(write.cite());
            return;
        }
        if write.mod_revision > 0
            && self.by_revision.get(&write.mod_revision).is_some_and(|ids| ids.len() > 1)
        {
            self.judge_together(write.mod_revision, world);
            return;
        }
        match system::recognise(write, world) {
            SystemWrite::Own => {
                world.verdicts.explained(How::SystemWrite);
                return;
            }
            SystemWrite::Strange(why) => {
                let mut draft = draft(write, world);
                draft.severity = Severity::High;
                draft.confidence = Confidence::Medium;
                draft.techniques = vec!["ET12"];
                let _ =
                    write!(draft.why, "The API server writes this key for itself, but not like this: {why}.");
                world.report(draft);
                return;
            }
            SystemWrite::No => {}
        }
        let foreign_form = write.kind == RevisionKind::Put
            && write.object.as_ref().is_some_and(|object| object.group.is_empty())
            && write.encoding.starts_with('{')
            && self.history.is_binary_collection(&write.key);
        if foreign_form {
            let mut draft = draft(write, world);
            draft.confidence = Confidence::Certain;
            self.explain_absence(&mut draft, write, time, world);
            draft.why.push_str(
                " Its value is JSON, while the API server stores this kind of object in its binary form: whatever \
                 wrote it, it was not the API server.",
            );
            draft.confidence = Confidence::Certain;
            world.report(draft);
            return;
        }
        if correction > FORGOTTEN {
            let reason = "the clock of the watch on etcd is minutes ahead of the API server's";
            let cure =
                "keep the clocks of all hosts together (NTP), or record the watch on the API server's host";
            world.cannot_judge(Path::EtcdApi, reason, cure, write.time);
            return;
        }
        if let Some((id, fit)) = self.best_request(base, time, world) {
            let kind = write.kind;
            let object = write.object.clone();
            self.spend(id, fit, kind, object.as_ref(), world);
            return;
        }
        if self.went_with_its_service(time, world) {
            world.verdicts.explained(How::Request);
            return;
        }
        if self.pending.front().is_some_and(|write| write.kind == RevisionKind::Delete)
            && self.judge_lease(world)
        {
            return;
        }
        let Some(write) = self.pending.front() else { return };
        if !write.done {
            if !lost_its_race(write, time, world) {
                let reason = "etcd's log does not tell whether a transaction wrote or its condition failed";
                let cure = "record a watch on the whole key space (docs/operating.md)";
                world.cannot_judge(Path::EtcdApi, reason, cure, write.time);
            }
            return;
        }
        let (draft, absence) = self.missing_request(write, time, world);
        if let Some(object) = write.object.clone() {
            self.by_resource.entry(object.resource).or_default().1 += 1;
        }
        world.judge_absence(draft, absence);
    }

    /// The request that the front write is to be put down to.
    fn best_request(&self, base: WriteId, time: Timestamp, world: &World) -> Option<(RequestId, Fit)> {
        let write = self.pending.front()?;
        let object = write.object.as_ref()?;
        let settings = &world.context.settings;
        let near = |(_, request): &(RequestId, &Request)| {
            let end = if request.ended {
                request.fact.staged
            } else {
                request.fact.received + settings.request_timeout
            };
            request.fact.received - NEIGHBOURHOOD <= time && time <= end + NEIGHBOURHOOD
        };
        let requests = &world.ledger.requests;
        let mut candidates: Vec<_> = requests.of_object(object).filter(near).collect();
        candidates.extend(requests.of_collection(object).filter(near));
        if write.kind == RevisionKind::Delete {
            // A change deletes only what was marked for deletion and kept by a finalizer. Where no mark is on record, it
            // must have come at the very moment.
            let marked = requests
                .of_object(object)
                .any(|(_, request)| request.fact.verb == Verb::Delete && request.fact.succeeded());
            candidates.retain(|(_, request)| {
                let changes = matches!(request.fact.verb, Verb::Update | Verb::Patch);
                !changes || marked || request.fact.deletion_pending || time <= request.end() + FINALIZER_LAG
            });
        }
        if candidates.is_empty() {
            return None;
        }
        // Creates without a name compete for every new object of the collection; of others only the same object's.
        let mut writes = vec![(write, time)];
        let rivals = write.identity.and_then(|identity| self.by_object.get(&identity));
        let rivals = rivals.map(crate::lookup::Numbers::as_slice).unwrap_or_default();
        for rival in rivals.iter().filter(|id| **id != base).filter_map(|id| self.get(*id)) {
            let rival_time = Timestamp(rival.time.0.saturating_sub(write.time.0).saturating_add(time.0));
            if !rival.decided && rival_time <= time + NEIGHBOURHOOD {
                writes.push((rival, rival_time));
            }
        }
        matching::assign(&writes, &candidates, settings)
    }

    /// The deletion of a Service deletes its Endpoints in the same request
    /// (`k8s.io/kubernetes/pkg/registry/core/service/storage/storage.go`, `afterDelete`).
    fn went_with_its_service(&self, time: Timestamp, world: &mut World) -> bool {
        let Some(write) = self.pending.front() else { return false };
        let Some(object) = write.object.as_ref().filter(|object| &*object.resource == "endpoints") else {
            return false;
        };
        if write.kind != RevisionKind::Delete {
            return false;
        }
        let settings = &world.context.settings;
        let (skew, lag) = (settings.skew, settings.watch_lag);
        let service = ObjectKey::of_request("", "services", &object.namespace, &object.name);
        let deletes = |request: &Request| {
            let window = Interval::new(request.fact.received - skew, request.end() + lag);
            request.fact.verb == Verb::Delete
                && request.fact.succeeded()
                && !request.side_write
                && window.contains(time)
        };
        let requests = &mut world.ledger.requests;
        let id = requests.of_object(&service).find(|(_, request)| deletes(request)).map(|(id, _)| id);
        let Some(request) = id.and_then(|id| requests.entry_mut(id)) else { return false };
        request.side_write = true;
        true
    }

    fn spend(
        &mut self,
        id: RequestId,
        fit: Fit,
        kind: RevisionKind,
        object: Option<&ObjectKey>,
        world: &mut World,
    ) {
        let mut how = How::Request;
        if let Some(request) = world.ledger.requests.entry_mut(id) {
            match kind {
                RevisionKind::Put => request.puts = request.puts.saturating_add(1),
                RevisionKind::Delete => request.deletes = request.deletes.saturating_add(1),
            }
            how = match (fit.class, request.fact.verb) {
                (0, _) => How::Revision,
                (_, Verb::DeleteCollection) => How::Batch,
                _ => How::Request,
            };
        }
        self.explain(object, how, world);
    }

    /// Several keys changed in one revision. Only the end of a lease does that in an API server's etcd.
    fn judge_together(&mut self, revision: i64, world: &mut World) {
        let ids = self.by_revision.get(&revision).cloned().unwrap_or_default();
        let writes: Vec<&Write> = ids.iter().filter_map(|id| self.get(*id)).collect();
        let Some(first) = writes.first() else { return };
        let all_deleted = writes.iter().all(|write| write.kind == RevisionKind::Delete);
        let leases: Vec<Option<i64>> =
            writes.iter().map(|write| write.previous.and_then(|previous| previous.lease)).collect();
        let past_known = writes.iter().filter(|write| write.previous.is_some()).count();
        let one_lease = leases.iter().flatten().collect::<std::collections::BTreeSet<_>>().len() <= 1
            && writes.iter().zip(&leases).all(|(write, lease)| lease.is_some() || write.previous.is_none());
        let count = writes.len() as u64;
        let time = first.time;
        if all_deleted && one_lease {
            let explained = past_known > 0;
            let reason = "keys were deleted together, and whether they hung on one lease was decided before the recording began";
            for _ in 0..count {
                if explained {
                    world.verdicts.explained(How::LeaseExpiry);
                } else {
                    let cure = "begin the watch on etcd earlier, or have etcd log at debug level";
                    world.cannot_judge(Path::EtcdApi, reason, cure, time);
                }
            }
        } else {
            let mut draft = draft(first, world);
            draft.count = count;
            draft.evidence = writes.iter().map(|write| write.cite()).collect();
            draft.threads = writes.iter().map(|write| thread(write)).collect();
            draft.confidence = Confidence::Certain;
            let verb = if all_deleted { "deleted" } else { "written" };
            draft.title = format!("{count} keys {verb} in etcd by one transaction, {} among them", first.key);
            let mut keys: Vec<&str> = writes.iter().map(|write| &*write.key).collect();
            keys.sort_unstable();
            keys.truncate(8);
            draft.why = format!(
                "{count} keys share revision {revision}: {}. The API server changes one key per transaction, and no \
                 lease held just these keys, so that another client of etcd did it.",
                keys.join(", ")
            );
            draft.severity = writes.iter().map(|write| severity_of(write)).max().unwrap_or(Severity::Medium);
            if all_deleted {
                draft.techniques = vec!["ET7"];
            }
            world.report(draft);
        }
        for id in ids {
            if let Some(write) = self.get_mut(id) {
                write.decided = true;
            }
        }
    }

    /// A key that hung on a lease is gone without a request. Returns whether that settles it.
    fn judge_lease(&mut self, world: &mut World) -> bool {
        let Some(write) = self.pending.front() else { return false };
        let leased_kind = write.object.as_ref().is_some_and(|object| &*object.resource == "events");
        let Some(previous) = write.previous else {
            if leased_kind {
                let reason = "the deleted Event was written before the recording began, so that its lease is not known";
                let cure = "begin the watch on etcd earlier, or have etcd log at debug level";
                world.cannot_judge(Path::EtcdApi, reason, cure, write.time);
            }
            return leased_kind;
        };
        let Some(lease) = previous.lease else { return false };
        let alone = self.history.keys_of_ended_lease(lease).is_some_and(|keys| keys.len() == 1);
        if !alone {
            // The end of a lease takes all its keys at once; this one went by itself.
            return false;
        }
        let age = write.time.nanos_since(previous.time);
        let ttl = self
            .event_ttl
            .filter(|_| leased_kind)
            .map(|ttl| i64::try_from(ttl.as_nanos()).unwrap_or(i64::MAX));
        match ttl {
            Some(ttl) if age < ttl - ttl / 20 => false,
            Some(_) => {
                world.verdicts.explained(How::LeaseExpiry);
                true
            }
            None => {
                let reason = "a key that hung on a lease is gone: whether the lease ended or somebody deleted the key cannot be told";
                let cure = if leased_kind {
                    "have etcd log at debug level, or give the API server's log (its --event-ttl)"
                } else {
                    "have etcd log at debug level"
                };
                world.cannot_judge(Path::EtcdApi, reason, cure, write.time);
                true
            }
        }
    }

    fn missing_request(&self, write: &Write, time: Timestamp, world: &World) -> (GapDraft, Absence) {
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
    fn explain_absence(
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
            absence = self.without_policy(object);
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
    fn without_policy(&self, object: &ObjectKey) -> Absence {
        let (explained, unexplained) = self.by_resource.get(&object.resource).copied().unwrap_or_default();
        // Of what components write all day, some of it is often left out of the trail: by whom it was written tells.
        let components = ["system:nodes", "system:apiserver", "system:kube-scheduler"];
        let is_routine = components
            .iter()
            .any(|user| resources::writes_by_routine(user, &object.resource, &object.namespace));
        let usual = !is_routine || (explained >= 10 && unexplained.saturating_mul(10) <= explained);
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

/// What every gap about a write says.
fn draft(write: &Write, world: &World) -> GapDraft {
    let verb = match (write.kind, write.creates) {
        (RevisionKind::Put, Some(true)) => "created",
        (RevisionKind::Put, _) => "written",
        (RevisionKind::Delete, _) => "deleted",
    };
    let name = write.object.as_ref().map_or_else(|| write.key.to_string(), ToString::to_string);
    let mut draft =
        GapDraft::new(&INFO, format!("{name} {verb} in etcd without a request"), vec![write.cite()]);
    draft.severity = severity_of(write);
    draft.techniques = techniques_of(write);
    draft.object = gap_object(write);
    draft.threads = vec![thread(write)];
    attribute(write.at, world, &mut draft);
    draft
}

/// Whether a request at the time was refused because another had been quicker: its transaction wrote nothing.
fn lost_its_race(write: &Write, time: Timestamp, world: &World) -> bool {
    let settings = &world.context.settings;
    let Some(object) = &write.object else { return false };
    world.ledger.requests.of_object(object).any(|(_, request)| {
        let window = Interval::new(request.fact.received - settings.skew, request.end() + settings.watch_lag);
        request.fact.code == 409 && window.contains(time)
    })
}

/// Gives verdicts on the requests of etcd's log that no API server sends.
pub(super) fn foreign_requests(rule: &mut EtcdWrite, due: Timestamp, world: &mut World) {
    let due = if due == Timestamp::MAX { due } else { due - ALIVE_AFTER };
    for mut request in rule.log.take_until(due) {
        if request.foreign.is_none()
            && let Some(user) = &request.user
        {
            request.foreign = rule.log.foreign_name(user);
        }
        let Some(why) = request.foreign.clone() else { continue };
        let Some(target) = request.targets.first() else { continue };
        if NEIGHBOURS.iter().any(|prefix| target.key.starts_with(prefix)) {
            continue;
        }
        let borrowed = request.user.as_deref().is_some_and(|user| rule.log.is_usual_name(user));
        report_foreign(&request, &why, borrowed, world);
    }
}

/// `borrowed`: it came with the API server's own certificate.
fn report_foreign(request: &LogWrite, why: &str, borrowed: bool, world: &mut World) {
    let Some(target) = request.targets.first() else { return };
    let prefixes = &world.context.settings.key_prefixes;
    let object = ObjectKey::of_key(&target.key, prefixes).filter(|_| target.range_end.is_empty());
    let verb = if target.kind == RevisionKind::Put { "written" } else { "deleted" };
    let what = match (&object, target.range_end.is_empty()) {
        (Some(object), true) => object.to_string(),
        (None, true) => target.key.to_string(),
        (_, false) => format!("every key from {} to {}", target.key, target.range_end),
    };
    let more = match request.targets.len() {
        0 | 1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let title = format!("{what}{more} {verb} in etcd by a client that is not the API server");
    let mut evidence = request.cites.clone();
    evidence.extend(request.revisions.iter().cloned());
    let mut draft = GapDraft::new(&INFO, title, evidence);
    draft.count = (request.revisions.len() as u64).max(1);
    draft.confidence = Confidence::Certain;
    let severities = request.targets.iter().map(|target| {
        ObjectKey::of_key(&target.key, prefixes).map_or(Severity::Low, |object| {
            resources::write_severity(
                &object.resource,
                &object.namespace,
                target.kind == RevisionKind::Delete,
            )
        })
    });
    draft.severity = severities.max().unwrap_or(Severity::Medium);
    draft.techniques = match (&object, target.kind) {
        (_, RevisionKind::Delete) => vec!["ET7"],
        (Some(object), RevisionKind::Put) => technique_of_resource(&object.resource),
        (None, RevisionKind::Put) => vec!["ET3"],
    };
    if borrowed {
        draft.techniques.push("ET8");
    }
    draft.object = GapObject {
        group: object.as_ref().map_or_else(String::new, |object| object.group.to_string()),
        resource: object.as_ref().map_or_else(|| "key".to_owned(), |object| object.resource.to_string()),
        namespace: object.as_ref().map_or_else(String::new, |object| object.namespace.to_string()),
        name: object.as_ref().map_or_else(String::new, |object| object.name.to_string()),
        uid: String::new(),
        key: target.key.to_string(),
    };
    draft.threads = request
        .targets
        .iter()
        .map(|target| match ObjectKey::of_key(&target.key, prefixes) {
            Some(object) => format!("object:{object}"),
            None => format!("key:{}", target.key),
        })
        .collect();
    attribute(request.first, world, &mut draft);
    request.user.as_deref().unwrap_or_default().clone_into(&mut draft.actor.certificate_cn);
    request.remote.as_deref().unwrap_or_default().clone_into(&mut draft.actor.source_ip);
    if let Some(remote) = request.remote.as_deref() {
        draft.threads.push(format!("etcd-client:{remote}"));
    }
    let keys: Vec<&str> = request.targets.iter().map(|target| &*target.key).take(8).collect();
    draft.why = format!(
        "etcd served a write of {} at {}, and the API server did not send it: {why}. No audit record can account for \
         a write that did not come through the API server.",
        keys.join(", "),
        request.first
    );
    if borrowed {
        let _ = write!(
            draft.why,
            " It came with the certificate of the API server's own writes ({}): that is in other hands.",
            draft.actor.certificate_cn
        );
    }
    if let Some(count) =
        request.response_count.filter(|count| *count > 0 && target.kind == RevisionKind::Delete)
    {
        let _ = write!(draft.why, " Keys deleted: {count}.");
    }
    world.report(draft);
}

/// Looks for the process on the host that did it.
pub(in crate::rule) fn attribute(time: Timestamp, world: &World, draft: &mut GapDraft) {
    let clients = ["etcdctl", "etcdutl", "etcdhelper", "auger"];
    let near = world.ledger.host.near(time, Duration::from_secs(3), Duration::from_millis(200));
    for trace in near.filter(|trace| trace.is_program(&clients)) {
        if let Some(process) = trace.process() {
            draft.actor.process = process_words(process);
            draft.evidence.push(trace.cite.clone());
        }
    }
}

fn severity_of(write: &Write) -> Severity {
    match &write.object {
        Some(object) => {
            resources::write_severity(&object.resource, &object.namespace, write.kind == RevisionKind::Delete)
        }
        None => Severity::Low,
    }
}

fn techniques_of(write: &Write) -> Vec<&'static str> {
    match (&write.object, write.kind) {
        (_, RevisionKind::Delete) => vec!["ET7"],
        (Some(object), RevisionKind::Put) => technique_of_resource(&object.resource),
        (None, RevisionKind::Put) => vec!["ET3"],
    }
}

fn technique_of_resource(resource: &str) -> Vec<&'static str> {
    match resource {
        "pods" => vec!["ET1"],
        "clusterroles" | "clusterrolebindings" | "roles" | "rolebindings" => vec!["ET2"],
        "leases" | "masterleases" | "peerserverleases" | "endpoints" | "endpointslices" => vec!["ET12"],
        _ => vec!["ET3"],
    }
}

fn gap_object(write: &Write) -> GapObject {
    let Some(object) = &write.object else {
        return GapObject { resource: "key".to_owned(), key: write.key.to_string(), ..GapObject::default() };
    };
    GapObject {
        group: object.group.to_string(),
        resource: object.resource.to_string(),
        namespace: object.namespace.to_string(),
        name: object.name.to_string(),
        uid: write.uid.to_string(),
        key: write.key.to_string(),
    }
}

fn thread(write: &Write) -> String {
    match &write.object {
        Some(object) if &*object.resource == "pods" => format!("pod:{}/{}", object.namespace, object.name),
        Some(object) => format!("object:{object}"),
        None => format!("key:{}", write.key),
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
