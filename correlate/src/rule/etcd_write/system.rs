//! What the API server writes for itself and never records.
//!
//! Recognised by all that such a write is (key, lease, form, cadence), never by its key alone: a key that is let
//! through is where an attacker would write. Sources: `k8s.io/kubernetes/pkg/controlplane/reconcilers/lease.go`
//! (masterleases), `…/peerserverleases`, `pkg/registry/core/service/{ipallocator,portallocator}` (ranges),
//! `k8s.io/apiserver/pkg/storage/etcd3/compact.go` (compact_rev_key).

use std::time::Duration;

use auditgap_records::Interval;
use auditgap_records::etcd::RevisionKind;

use super::Write;
use crate::fact::Verb;
use crate::key::ObjectKey;
use crate::world::World;

/// A lease of this kind is renewed every 10 s; a write this soon after the last is not a renewal.
const RENEWAL: Duration = Duration::from_secs(4);

/// The compactor runs every `--etcd-compaction-interval`; intervals under 20 s are not in use.
const COMPACTION: Duration = Duration::from_secs(20);

/// An API server that starts repairs its allocators and takes its leases anew.
const START: Duration = Duration::from_secs(60);

/// What a key that the API server writes unrecorded shows.
pub(super) enum SystemWrite {
    /// It is one of its own writes.
    Own,
    /// It has such a key and is not such a write: why.
    Strange(String),
    /// It has no such key.
    No,
}

pub(super) fn recognise(write: &Write, world: &World) -> SystemWrite {
    if &*write.key == "compact_rev_key" {
        return compaction(write);
    }
    let prefixes = &world.context.settings.key_prefixes;
    let rest = prefixes.iter().find_map(|prefix| write.key.strip_prefix(prefix.as_str())?.strip_prefix('/'));
    match rest.and_then(|rest| rest.split_once('/')) {
        Some(("masterleases" | "peerserverleases", _)) => lease(write, world),
        Some(("ranges", _)) => allocation(write, world),
        _ => SystemWrite::No,
    }
}

fn compaction(write: &Write) -> SystemWrite {
    if write.kind == RevisionKind::Delete {
        return SystemWrite::Strange(
            "the compactor's own key was deleted, which the API server never does".to_owned(),
        );
    }
    if write.lease.is_some() || write.value_length.is_some_and(|length| length > 20) {
        return SystemWrite::Strange(
            "its value is not the bare revision number that the compactor writes".to_owned(),
        );
    }
    match write.previous {
        Some(previous) if previous.time + COMPACTION > write.time => {
            SystemWrite::Strange(format!("it came only {} after the last one", seconds(write, previous.time)))
        }
        _ => SystemWrite::Own,
    }
}

fn lease(write: &Write, world: &World) -> SystemWrite {
    let starting = world.ledger.lifecycle.api_server_started(write.at, START);
    if write.kind == RevisionKind::Delete {
        // It is deleted when its API server ends, or when the lease runs out because the API server has died.
        return SystemWrite::Own;
    }
    // A watch that tells of leases tells of this one; where only the log is there, the lease is not told.
    if write.mod_revision > 0 && write.lease.is_none() {
        return SystemWrite::Strange(
            "it hangs on no lease, while the API server always writes it with one".to_owned(),
        );
    }
    if write.encoding.starts_with('{') {
        return SystemWrite::Strange(
            "its value is JSON, while the API server writes it in binary form".to_owned(),
        );
    }
    match write.previous {
        Some(previous) if !previous.deleted && previous.time + RENEWAL > write.time && !starting => {
            SystemWrite::Strange(format!(
                "it came only {} after the last renewal",
                seconds(write, previous.time)
            ))
        }
        _ => SystemWrite::Own,
    }
}

/// Ports and addresses of Services are allocated within the Service's own request.
fn allocation(write: &Write, world: &World) -> SystemWrite {
    let settings = &world.context.settings;
    let starting = world.ledger.lifecycle.api_server_started(write.at, START)
        || world.ledger.lifecycle.api_server_started(write.at + Duration::from_secs(2), START);
    let services = ObjectKey::of_request("", "services", "", "");
    let in_window = world.ledger.requests.of_resource(&services).any(|request| {
        let window = Interval::new(request.fact.received - settings.skew, request.end() + settings.watch_lag);
        request.fact.verb != Verb::Get && window.contains(write.at)
    });
    if in_window || starting {
        return SystemWrite::Own;
    }
    if write.previous.is_none() && write.creates == Some(true) {
        return SystemWrite::Own;
    }
    SystemWrite::No
}

fn seconds(write: &Write, before: auditgap_records::Timestamp) -> String {
    format!("{:.1} s", write.time.nanos_since(before) as f64 / 1e9)
}
