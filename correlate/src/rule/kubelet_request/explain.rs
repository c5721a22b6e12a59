//! Which recorded request led to a kubelet's request, and what it says if none did.

use std::time::Duration;

use auditgap_records::audit::Stage;
use auditgap_records::report::{Expected, ExpectedRequest};
use auditgap_records::{FeedKind, Interval, Timestamp};

use super::{Action, Outcome};
use crate::fact::Verb;
use crate::kubelet_uri::{KubeletUri, Target, audited_query};
use crate::ledger::streams::{Stream, StreamId};
use crate::policy::CandidateRequest;
use crate::settings::Settings;
use crate::verdict::Cite;
use crate::world::{Absence, World};

/// Requests that are compared with each other, at the most.
pub(super) const TOGETHER: usize = 128;

/// How far the clocks of a node and of an API server may be apart. Pod, container and command have to agree as well,
/// and one recorded request accounts for one served, so that a wide margin hides nothing.
const CLOCKS: Duration = Duration::from_secs(2);

/// Cost of other options than recorded (input, terminal, how much of a log), in nanoseconds of distance.
const OTHER_OPTIONS: i64 = 10_000_000_000;

/// Cost of a recorded request that has not ended.
const STILL_OPEN: i64 = 30_000_000_000;

/// Audit records shown that came near.
const NEAR: usize = 3;

/// The recorded request that accounts for the first of the requests, if all of them get the best there is.
pub(super) fn assign(actions: &[&Action], world: &World) -> Option<StreamId> {
    let fits: Vec<Vec<(i64, StreamId)>> = actions.iter().map(|action| fitting(action, world)).collect();
    if fits.first()?.is_empty() {
        return None;
    }
    let mut order: Vec<usize> = (0..fits.len()).collect();
    order.sort_by_key(|index| (fits[*index].first().map_or(i64::MAX, |(cost, _)| *cost), *index));
    let mut taken: Vec<(StreamId, usize)> = Vec::new();
    for index in order {
        let mut tried = Vec::new();
        augment(index, &fits, &mut taken, &mut tried);
    }
    taken.iter().find(|(_, index)| *index == 0).map(|(stream, _)| *stream)
}

/// Finds a stream for a request, moving others to their next best where that makes room.
fn augment(
    index: usize,
    fits: &[Vec<(i64, StreamId)>],
    taken: &mut Vec<(StreamId, usize)>,
    tried: &mut Vec<StreamId>,
) -> bool {
    for (_, stream) in &fits[index] {
        if tried.contains(stream) {
            continue;
        }
        tried.push(*stream);
        let holder = taken.iter().find(|(id, _)| id == stream).map(|(_, holder)| *holder);
        let free = holder.is_none_or(|holder| augment(holder, fits, taken, tried));
        if free {
            taken.retain(|(id, _)| id != stream);
            taken.push((*stream, index));
            return true;
        }
    }
    false
}

/// Recorded requests that may have led to a kubelet's, the likeliest first.
fn fitting(action: &Action, world: &World) -> Vec<(i64, StreamId)> {
    let settings = &world.context.settings;
    let mut fits: Vec<(i64, StreamId)> = candidates(action, world)
        .filter_map(|(id, stream)| Some((distance(action, stream, settings, world).ok()?, id)))
        .collect();
    fits.sort_unstable();
    fits
}

fn candidates<'a>(action: &'a Action, world: &'a World) -> impl Iterator<Item = (StreamId, &'a Stream)> {
    let streams = &world.ledger.streams;
    let into_pod = pod_target(&action.uri)
        .map(|(subresource, target)| streams.of_pod(subresource, &target.namespace, &target.pod));
    into_pod.into_iter().flatten().chain(streams.of_proxied(&action.uri))
}

/// The subresource and Pod of the request to the API server that leads to a URI. The API server never writes a UID.
fn pod_target(uri: &KubeletUri) -> Option<(&'static str, &Target)> {
    let target = uri.target.as_ref().filter(|target| target.uid.is_empty())?;
    Some((uri.endpoint.pod_subresource()?, target))
}

/// Beginning and end of a request by the API server's clock.
pub(super) fn by_server_clock(action: &Action, world: &World) -> (Timestamp, Timestamp) {
    let ahead = world.clock_ahead(world.node_of(action.feed));
    (Timestamp(action.start.0.saturating_sub(ahead)), Timestamp(action.end.0.saturating_sub(ahead)))
}

/// How far a recorded request is from a kubelet's, or why it cannot have led to it.
fn distance(
    action: &Action,
    stream: &Stream,
    settings: &Settings,
    world: &World,
) -> Result<i64, &'static str> {
    let fact = &stream.fact;
    let mut cost = 0;
    if &*fact.resource == "nodes" {
        if expected_verb(&action.method).is_some_and(|verb| verb != fact.verb) {
            return Err("it was another kind of request (HTTP method)");
        }
        if leads_elsewhere(&fact.name, action, world) {
            return Err("it went to another node");
        }
    } else {
        let query = audited_query(&fact.uri);
        same_command(&action.uri, &query)?;
        if !same_options(&action.uri, &query) {
            cost += OTHER_OPTIONS;
        }
    }
    if fact.code >= 400 && matches!(action.outcome(), Outcome::Done) {
        return Err("it was refused or failed, and this was served");
    }
    let margin = CLOCKS.max(settings.skew);
    let (start, end) = by_server_clock(action, world);
    let latest = stream
        .started
        .unwrap_or(stream.received + settings.request_timeout)
        .min(stream.ended.unwrap_or(Timestamp::MAX));
    if start < stream.received - margin || start > latest + margin {
        return Err("it was at another time");
    }
    if stream.ended.is_some_and(|ended| end + settings.request_timeout < ended) {
        return Err("it went on long after this was over");
    }
    if stream.kubelet_requests > 0 {
        return Err("it accounts for another request to the kubelet");
    }
    let begin = stream.started.unwrap_or(stream.received);
    cost += start.nanos_since(begin).saturating_abs();
    cost += stream.ended.map_or(STILL_OPEN, |ended| end.nanos_since(ended).saturating_abs());
    Ok(cost)
}

fn same_command(uri: &KubeletUri, query: &[(String, String)]) -> Result<(), &'static str> {
    let commands = query.iter().filter(|(name, _)| name == "command").map(|(_, value)| value.as_str());
    if !uri.values("command").eq(commands) {
        return Err("it ran another command");
    }
    let container = query.iter().find(|(name, _)| name == "container").map(|(_, value)| value.as_str());
    let own = uri.target.as_ref().map(|target| target.container.as_str()).unwrap_or_default();
    match container {
        Some(container) if !container.is_empty() && !own.is_empty() && container != own => {
            Err("it went to another container")
        }
        _ => Ok(()),
    }
}

/// Whether input, terminal and range of a log agree. Both sides write them in their own words.
fn same_options(uri: &KubeletUri, query: &[(String, String)]) -> bool {
    let audited = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let flag = |value: Option<&str>| value.is_some_and(|value| !matches!(value, "0" | "false"));
    let flags = [("stdin", "input"), ("tty", "tty"), ("follow", "follow"), ("previous", "previous")];
    let numbers = ["tailLines", "sinceSeconds", "limitBytes"];
    let number = |value: Option<&str>| value.and_then(|value| value.parse::<i64>().ok());
    flags.iter().all(|(ours, theirs)| flag(audited(ours)) == flag(uri.values(theirs).next()))
        && numbers.iter().all(|name| number(audited(name)) == number(uri.values(name).next()))
}

/// Whether a proxied request names a node that is another kubelet's.
fn leads_elsewhere(name: &str, action: &Action, world: &World) -> bool {
    // `https:node:10250` is a name with scheme and port.
    let named = |node: &str| name.split(':').any(|part| part == node);
    let others = world.feeds.of_kind(FeedKind::Kubelet).map(|state| state.feed.instance.as_str());
    !named(&action.node) && others.into_iter().any(|other| !other.is_empty() && named(other))
}

/// The audit verb of a method, where it is a request through a proxy.
fn expected_verb(method: &str) -> Option<Verb> {
    match method {
        "GET" | "HEAD" => Some(Verb::Get),
        "POST" => Some(Verb::Create),
        "PUT" => Some(Verb::Update),
        "PATCH" => Some(Verb::Patch),
        "DELETE" => Some(Verb::Delete),
        _ => None,
    }
}

/// What the audit trail should have shown, and what it means that it does not.
pub(super) fn weigh(action: &Action, world: &World) -> (Expected, Absence) {
    let settings = &world.context.settings;
    let proxy_verbs: &[&str] = match expected_verb(&action.method) {
        Some(Verb::Get) => &["get"],
        Some(Verb::Update) => &["update"],
        Some(Verb::Patch) => &["patch"],
        Some(Verb::Delete) => &["delete"],
        _ => &["create"],
    };
    let mut candidates = vec![CandidateRequest {
        verbs: proxy_verbs,
        groups: &[""],
        resource: "nodes",
        subresource: "proxy",
        namespace: Some(""),
        name: None,
    }];
    let mut requests: Vec<ExpectedRequest> =
        proxy_verbs.iter().map(|verb| request(verb, "nodes", "proxy", "", &action.node)).collect();
    if let Some((subresource, target)) = pod_target(&action.uri) {
        // A WebSocket is a `get`, SPDY a `create`; the API server may translate one into the other.
        let verbs: &[&str] = if subresource == "log" { &["get"] } else { &["get", "create"] };
        candidates.push(CandidateRequest {
            verbs,
            groups: &[""],
            resource: "pods",
            subresource,
            namespace: Some(&target.namespace),
            name: Some(&target.pod),
        });
        let into_pod = |verb: &&str| request(verb, "pods", subresource, &target.namespace, &target.pod);
        requests.splice(0..0, verbs.iter().map(into_pod));
    }
    let (start, end) = by_server_clock(action, world);
    let margin = CLOCKS.max(settings.skew);
    let window = Interval::new(start - margin, start + margin);
    let expected = Expected { requests, window: Some(window), audit_watermark: None };

    let stages = world.context.policy.as_ref().map(|policy| policy.would_log_any(&candidates).stages);
    let recorded_at_start = stages.is_some_and(|stages| stages.contains(Stage::ResponseStarted));
    // A stream is on record soon after it begins, unless that stage is left out.
    let on_record = if recorded_at_start && action.code.is_none() {
        end.min(start + Duration::from_secs(1))
    } else {
        end
    };
    let span = Interval::new(start - settings.skew, on_record + settings.skew);
    let lasted = Duration::from_nanos(end.nanos_since(start).unsigned_abs());
    let lifecycle = &world.ledger.lifecycle;
    let interrupted = lifecycle.api_server_stopped(end, lasted) || lifecycle.api_server_started(end, lasted);
    if interrupted && !recorded_at_start {
        let reason =
            "an API server stopped while the request ran, and a request is on record only when it ends";
        let cure = "let the audit policy record ResponseStarted for streams";
        return (expected, Absence::Unknown(reason.to_owned(), cure.to_owned()));
    }
    (expected, world.weigh_absence(span, &candidates))
}

fn request(verb: &str, resource: &str, subresource: &str, namespace: &str, name: &str) -> ExpectedRequest {
    ExpectedRequest {
        verb: verb.to_owned(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

/// Audit records that came near, and why each does not account for the request.
pub(super) fn near_misses(action: &Action, world: &World) -> Vec<(Cite, String)> {
    let settings = &world.context.settings;
    let around = settings.request_timeout;
    let mut near: Vec<(i64, StreamId, Cite, &'static str)> = candidates(action, world)
        .filter(|(_, stream)| {
            stream.received >= action.start - around && stream.received <= action.start + around
        })
        .map(|(id, stream)| {
            let why = distance(action, stream, settings, world)
                .err()
                .unwrap_or("it fits another request to the kubelet better");
            (action.start.nanos_since(stream.received).saturating_abs(), id, stream.cite(), why)
        })
        .collect();
    near.sort_unstable_by_key(|(distance, id, ..)| (*distance, *id));
    near.into_iter().take(NEAR).map(|(_, _, cite, why)| (cite, why.to_owned())).collect()
}
