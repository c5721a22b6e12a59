//! The verdict on one write.

use std::fmt::Write as _;
use std::time::Duration;

use auditgap_records::etcd::RevisionKind;
use auditgap_records::report::{Confidence, Path, Severity};
use auditgap_records::{Interval, Timestamp};

use super::gap::{draft, severity_of, thread};
use super::matching::{self, Fit};
use super::system::{self, SystemWrite};
use super::{EtcdWrite, Write, WriteId, is_neighbour};
use crate::fact::Verb;
use crate::key::ObjectKey;
use crate::ledger::requests::{Request, RequestId};
use crate::verdict::How;
use crate::world::World;

/// Requests and writes further away than this, beyond their own duration, do not compete.
const NEIGHBOURHOOD: Duration = Duration::from_secs(10);

/// How soon after the end of a change its deletion must show, where nothing tells that the object was to be deleted.
const FINALIZER_LAG: Duration = Duration::from_millis(250);

/// A clock this many nanoseconds ahead: the ledger has forgotten the requests when their revisions come.
const FORGOTTEN: i64 = 300_000_000_000;

impl EtcdWrite {
    /// Gives the first pending write its verdict.
    pub(super) fn judge_front(&mut self, world: &mut World) {
        let base = self.base;
        let Some(write) = self.pending.front_mut() else { return };
        let correction = self.offsets.correction(write.feed);
        write.at = Timestamp(write.time.0.saturating_sub(correction));
        let time = write.at;
        let Some(write) = self.pending.front() else { return };
        if is_neighbour(&write.key) {
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
        let foreign_form = write.kind == RevisionKind::Put
            && write.object.as_ref().is_some_and(|object| object.group.is_empty())
            && write.encoding.starts_with('{')
            && self.history.is_binary_collection(&write.key);
        if !write.dated && !foreign_form {
            let reason = "the watch on etcd tells no times, so that requests cannot be compared with it";
            let cure = "record the watch with the time of each line (docs/operating.md)";
            world.cannot_judge(Path::EtcdApi, reason, cure, write.time);
            return;
        }
        match system::recognise(write, world) {
            SystemWrite::Own => {
                if world.verdicts.is_tracing() {
                    let mut cite = write.cite();
                    cite.summary.push_str(", which the API server writes for itself and never records");
                    world.verdicts.trace(
                        How::SystemWrite,
                        &[&write.key, &write.mod_revision.to_string()],
                        cite,
                    );
                }
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
        if world.verdicts.is_tracing()
            && let Some(write) = self.pending.front()
            && let Some(request) = world.ledger.requests.get(id)
        {
            let mut cite = write.cite();
            cite.summary = format!(
                "{}, accounted for by the request that ended at {} ({})",
                cite.summary,
                request.fact.staged,
                request.cite().summary
            );
            world.verdicts.trace(how, &[&write.key, &write.mod_revision.to_string()], cite);
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
