//! What every gap about a write says: the object, what it is worth, and who may have done it.

use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::etcd::RevisionKind;
use auditgap_records::report::{GapObject, Severity};

use super::{INFO, Write};
use crate::key::ObjectKey;
use crate::ledger::host::process_words;
use crate::resources;
use crate::verdict::GapDraft;
use crate::world::World;

/// What every gap about a write says.
pub(super) fn draft(write: &Write, world: &World) -> GapDraft {
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
    draft.object = gap_object(write.object.as_ref(), &write.key, &write.uid);
    draft.threads = vec![thread(write)];
    attribute(write.at, world, &mut draft);
    draft
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

pub(super) fn severity_of(write: &Write) -> Severity {
    match &write.object {
        Some(object) => {
            resources::write_severity(&object.resource, &object.namespace, write.kind == RevisionKind::Delete)
        }
        None => Severity::Low,
    }
}

pub(super) fn techniques_of(write: &Write) -> Vec<&'static str> {
    match (&write.object, write.kind) {
        (_, RevisionKind::Delete) => vec!["ET7"],
        (Some(object), RevisionKind::Put) => technique_of_resource(&object.resource),
        (None, RevisionKind::Put) => vec!["ET3"],
    }
}

pub(super) fn technique_of_resource(resource: &str) -> Vec<&'static str> {
    match resource {
        "pods" => vec!["ET1"],
        "clusterroles" | "clusterrolebindings" | "roles" | "rolebindings" => vec!["ET2"],
        "leases" | "masterleases" | "peerserverleases" | "endpoints" | "endpointslices" => vec!["ET12"],
        _ => vec!["ET3"],
    }
}

/// The object that a key holds; a key that is no object's stands for itself.
pub(in crate::rule) fn gap_object(object: Option<&ObjectKey>, key: &str, uid: &str) -> GapObject {
    let Some(object) = object else {
        return GapObject { resource: "key".to_owned(), key: key.to_owned(), ..GapObject::default() };
    };
    GapObject {
        group: object.group.to_string(),
        resource: object.resource.to_string(),
        namespace: object.namespace.to_string(),
        name: object.name.to_string(),
        uid: uid.to_owned(),
        key: key.to_owned(),
    }
}

pub(super) fn thread(write: &Write) -> String {
    match &write.object {
        Some(object) if &*object.resource == "pods" => format!("pod:{}/{}", object.namespace, object.name),
        Some(object) => format!("object:{object}"),
        None => format!("key:{}", write.key),
    }
}
