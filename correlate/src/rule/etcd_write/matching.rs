//! Which recorded request made which write: one request for as many writes as it can have caused, and not more.

use auditgap_records::audit::Level;
use auditgap_records::etcd::RevisionKind;
use auditgap_records::{Interval, Timestamp};

use super::Write;
use crate::fact::{AuditFact, Verb};
use crate::ledger::requests::{Request, RequestId};
use crate::settings::Settings;

/// How well a request fits a write; smaller is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fit {
    /// 0: the response carries the revision. 1: one object, by name. 2: a create without a name. 3: a whole
    /// collection. 4: a request whose end was not recorded.
    pub(super) class: u8,
    /// Nanoseconds by which the write lies outside the request.
    pub(super) distance: i64,
    /// Nanoseconds between the write and the request's end.
    pub(super) lag: i64,
}

/// Why a request that came near does not account for a write.
pub(super) type Misfit = &'static str;

/// Weighs a request against a write. `time` is the write's, corrected for its clock.
pub(super) fn weigh(
    write: &Write,
    time: Timestamp,
    request: &Request,
    settings: &Settings,
) -> Result<Fit, Misfit> {
    let fact = &request.fact;
    if request.ended && !fact.succeeded() && !matches!(fact.code, 0 | 500 | 504) {
        return Err("it was refused, so that it wrote nothing");
    }
    // After a server-side timeout or a panic the handler may still have written.
    let unsure = !request.ended || !fact.succeeded();
    can_cause(write, fact)?;
    let end = if unsure { fact.received + settings.request_timeout } else { fact.staged };
    let window = Interval::new(fact.received - settings.skew, end + settings.watch_lag);
    if !window.contains(time) {
        return Err(if time < window.from {
            "it was received only afterwards"
        } else {
            "it was over before"
        });
    }
    let exact =
        fact.resulting_version.is_some_and(|version| i64::try_from(version) == Ok(write.mod_revision));
    if !exact && write.mod_revision > 0 && fact.resulting_version.is_some() && !also_writes(write, fact) {
        return Err("its response names another revision, so that it did not make this one");
    }
    if let (Some(submitted), Some(previous)) = (fact.submitted_version, write.previous)
        && fact.verb == Verb::Update
        && fact.subresource.is_empty()
        && submitted > 0
        && previous.mod_revision > 0
        && i64::try_from(submitted) != Ok(previous.mod_revision)
        && !exact
    {
        return Err("it demanded another revision of the object than the one that was there");
    }
    let distance =
        if time < fact.received { fact.received.nanos_since(time) } else { time.nanos_since(end).max(0) };
    let class = if exact {
        0
    } else if unsure {
        4
    } else if fact.verb == Verb::DeleteCollection {
        3
    } else if fact.name.is_empty() {
        2
    } else {
        1
    };
    Ok(Fit { class, distance, lag: time.nanos_since(fact.staged).abs() })
}

/// Whether a request of this kind can have caused a write of this kind.
fn can_cause(write: &Write, fact: &AuditFact) -> Result<(), Misfit> {
    let Some(object) = &write.object else { return Err("the key is no API object") };
    let subresource = &*fact.subresource;
    if subresource == "token" {
        return Err("it issued a token, which is stored nowhere");
    }
    match fact.verb {
        Verb::Create if subresource.is_empty() => {
            if write.kind == RevisionKind::Delete {
                return Err("a create deletes nothing");
            }
            if write.creates == Some(false) {
                return Err("a create does not change what is there");
            }
            if fact.name.is_empty() && !object.name.starts_with(&*fact.generate_name) {
                return Err("the generated name would begin otherwise");
            }
            if !fact.name.is_empty() && fact.name != object.name {
                return Err("it created another object");
            }
        }
        Verb::Create => {
            if write.kind == RevisionKind::Delete && subresource != "eviction" {
                return Err("it deletes nothing");
            }
            if write.creates == Some(true) {
                return Err("it creates nothing");
            }
        }
        Verb::Update | Verb::Patch => {
            if write.creates == Some(true) && write.kind == RevisionKind::Put && request_of_existing(fact) {
                return Err("it changed what was there and created nothing");
            }
        }
        Verb::Delete => {
            if write.creates == Some(true) && write.kind == RevisionKind::Put {
                return Err("a delete creates nothing");
            }
        }
        Verb::DeleteCollection => {
            if write.creates == Some(true) && write.kind == RevisionKind::Put {
                return Err("a delete creates nothing");
            }
            let name = format!("{}/{}", object.namespace, object.name);
            if fact.has_items && !fact.items.iter().any(|item| **item == *name) {
                return Err("its response does not list the object");
            }
        }
        Verb::Get | Verb::List | Verb::Watch | Verb::Other => return Err("it reads"),
    }
    Ok(())
}

/// A PUT or PATCH that made its object answers 201.
fn request_of_existing(fact: &AuditFact) -> bool {
    fact.code == 200
}

/// Whether a request writes once more than its response tells: the mark of deletion before the deletion itself.
fn also_writes(write: &Write, fact: &AuditFact) -> bool {
    let before_the_last = fact
        .resulting_version
        .is_some_and(|version| i64::try_from(version).is_ok_and(|last| write.mod_revision < last));
    match fact.verb {
        Verb::Delete => {
            write.kind == RevisionKind::Put && before_the_last || write.kind == RevisionKind::Delete
        }
        Verb::DeleteCollection => true,
        // The last finalizer's removal ends in the deletion.
        Verb::Update | Verb::Patch => write.kind == RevisionKind::Delete && fact.deletion_pending,
        _ => false,
    }
}

/// Writes that a request can account for: marks and puts, deletions, and both together.
pub(super) fn capacity(fact: &AuditFact) -> (u32, u32, u32) {
    match (fact.verb, &*fact.subresource) {
        (Verb::DeleteCollection, _) => (u32::MAX, u32::MAX, u32::MAX),
        // The condition, the mark of deletion, and with no grace the deletion.
        (Verb::Create, "eviction") => (2, 1, 3),
        (Verb::Delete, _) if &*fact.resource == "pods" => (1, 1, 2),
        (Verb::Delete | Verb::Update | Verb::Patch, _) => (1, 1, 1),
        _ => (1, 0, 1),
    }
}

/// What is left of a request's capacity for one kind of write.
fn left(request: &Request, kind: RevisionKind, taken: (u32, u32)) -> bool {
    let (puts, deletes, both) = capacity(&request.fact);
    let used = (request.puts.saturating_add(taken.0), request.deletes.saturating_add(taken.1));
    let room = match kind {
        RevisionKind::Put => used.0 < puts,
        RevisionKind::Delete => used.1 < deletes,
    };
    room && used.0.saturating_add(used.1) < both
}

/// Gives each write the request that fits it best, best fits first; ties go to the earlier write, then to the request
/// recorded first. Returns the request of the first write.
pub(super) fn assign(
    writes: &[(&Write, Timestamp)],
    requests: &[(RequestId, &Request)],
    settings: &Settings,
) -> Option<(RequestId, Fit)> {
    // Nearly every write has one request and no rival.
    if let ([(write, time)], [(id, request)]) = (writes, requests) {
        let fit = weigh(write, *time, request, settings).ok()?;
        return left(request, write.kind, (0, 0)).then_some((*id, fit));
    }
    let mut pairs: Vec<(Fit, usize, usize)> = Vec::new();
    for (write_index, (write, time)) in writes.iter().enumerate() {
        for (request_index, (_, request)) in requests.iter().enumerate() {
            if let Ok(fit) = weigh(write, *time, request, settings) {
                pairs.push((fit, write_index, request_index));
            }
        }
    }
    pairs.sort_unstable();
    let mut assigned = vec![false; writes.len()];
    let mut taken = vec![(0, 0); requests.len()];
    for (fit, write_index, request_index) in pairs {
        let (id, request) = requests[request_index];
        let kind = writes[write_index].0.kind;
        if assigned[write_index] || !left(request, kind, taken[request_index]) {
            continue;
        }
        if write_index == 0 {
            return Some((id, fit));
        }
        assigned[write_index] = true;
        match kind {
            RevisionKind::Put => taken[request_index].0 += 1,
            RevisionKind::Delete => taken[request_index].1 += 1,
        }
    }
    None
}

/// Whether records at this level carry the revision that a write made.
pub(super) fn tells_revision(level: Level) -> bool {
    level == Level::RequestResponse
}
