//! Which recorded request led to an exec.

use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::runtime::ExecCall;

use super::Exec;
use super::witness::{asked, same_command};
use crate::kubelet_uri::{Endpoint, KubeletUri, audited_query, proxied};
use crate::ledger::containers::Container;
use crate::ledger::streams::{Stream, StreamId};
use crate::world::World;

/// How far the clocks of a node and of an API server may be apart. Pod, container and command have to agree as well,
/// and one recorded request accounts for one exec.
const CLOCKS: Duration = Duration::from_secs(1);

/// Recorded requests that may have led to an exec, the nearest first.
pub(super) fn candidates(exec: &Exec, container: &Container, world: &World) -> Vec<(i64, StreamId)> {
    let streams = &world.ledger.streams;
    let subresource = if exec.call == Some(ExecCall::Attach) { "attach" } else { "exec" };
    let into_pod = streams
        .of_pod(subresource, &container.pod_namespace, &container.pod_name)
        .filter(|(_, stream)| asks_for(exec, container, stream));
    let through_node = streams.running_commands().filter(|(_, stream)| leads_to(exec, container, stream));
    let mut found: Vec<(i64, StreamId)> = into_pod
        .chain(through_node)
        .filter_map(|(id, stream)| Some((distance(exec, stream, world)?, id)))
        .collect();
    found.sort_unstable();
    found
}

/// Whether a stream into the Pod asks for this command in this container.
fn asks_for(exec: &Exec, container: &Container, stream: &Stream) -> bool {
    // The interactive CRI call is never made for a probe, and ExecSync never for a stream.
    if exec.call == Some(ExecCall::ExecSync) {
        return false;
    }
    let query = audited_query(&stream.fact.uri);
    let values = |name: &str| {
        query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let command = values("command").join(" ");
    let command = Some(command.as_str()).filter(|command| !command.is_empty());
    let other_container = values("container")
        .first()
        .is_some_and(|asked| !asked.is_empty() && !container.name.is_empty() && *asked != container.name);
    !other_container && same_command(exec.command.as_deref(), command)
}

/// Whether a request through the node's proxy leads to this exec.
fn leads_to(exec: &Exec, container: &Container, stream: &Stream) -> bool {
    let Some(uri) = proxied(&stream.fact.uri).map(KubeletUri::parse) else { return false };
    let fits = match (exec.call, uri.endpoint) {
        (Some(ExecCall::ExecSync), Endpoint::Run)
        | (Some(ExecCall::Exec), Endpoint::Exec)
        | (Some(ExecCall::Attach), Endpoint::Attach)
        | (None, Endpoint::Run | Endpoint::Exec) => true,
        (_, _) => false,
    };
    fits && same_command(exec.command.as_deref(), asked(&uri).as_deref())
        && uri.target.is_some_and(|target| {
            target.namespace == container.pod_namespace
                && target.pod == container.pod_name
                && (container.name.is_empty() || target.container == container.name)
        })
}

/// How far a recorded request is from an exec; `None` if it cannot have led to it.
fn distance(exec: &Exec, stream: &Stream, world: &World) -> Option<i64> {
    if stream.execs > 0 || (stream.fact.code >= 400 && stream.fact.code != 500) {
        return None;
    }
    let margin = CLOCKS.max(world.context.settings.skew);
    let latest = match (stream.started, stream.ended) {
        (Some(started), _) if &*stream.fact.resource == "pods" => started,
        (_, Some(ended)) => ended,
        _ => stream.received + world.context.settings.request_timeout,
    };
    let begin = stream.started.filter(|_| &*stream.fact.resource == "pods").unwrap_or(stream.received);
    // The clock is the kubelet's; a runtime's log that was gathered in another way may follow another.
    let by_server_clock = Timestamp(exec.time.0.saturating_sub(world.clock_ahead(&exec.node)));
    [by_server_clock, exec.time]
        .into_iter()
        .filter(|time| *time + margin >= stream.received && *time <= latest + margin)
        .map(|time| time.nanos_since(begin).saturating_abs())
        .min()
}
