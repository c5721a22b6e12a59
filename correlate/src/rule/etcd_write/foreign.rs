//! Requests of etcd's log that no API server sends.

use std::fmt::Write as _;

use auditgap_records::Timestamp;
use auditgap_records::etcd::RevisionKind;
use auditgap_records::report::{Confidence, Severity};

use super::absence::ALIVE_AFTER;
use super::gap::{attribute, gap_object, technique_of_resource};
use super::log::LogWrite;
use super::{EtcdWrite, INFO, is_neighbour};
use crate::key::ObjectKey;
use crate::resources;
use crate::verdict::GapDraft;
use crate::world::World;

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
        if is_neighbour(&target.key) {
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
    draft.object = gap_object(object.as_ref(), &target.key, "");
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
    let remote = request.remote.as_deref().unwrap_or_default();
    crate::rule::address_of(remote).clone_into(&mut draft.actor.source_ip);
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
