//! Who sent a request to a kubelet. Evidence for a gap, never a reason to have none.
//!
//! A kubelet that does not know a caller has the API server review the token and the access; the answers are cached
//! there for minutes, so that most requests leave no review.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::explain::by_server_clock;
use super::{Action, Outcome};
use crate::kubelet_uri::{Endpoint, authorisation_verb};
use crate::ledger::reviews::RecordedReview;
use crate::verdict::Cite;
use crate::world::World;

/// A review this near to the beginning of a request was asked for because of it.
const NEAR: Duration = Duration::from_millis(100);

/// A review further away than this was not.
const FAR: Duration = Duration::from_secs(1);

/// How long a kubelet remembers that somebody is allowed (`cacheAuthorizedTTL`, by default).
const REMEMBERED: Duration = Duration::from_mins(5);

/// How long before a review the API server may have received the request that led to it: admission comes between.
const BEFORE_REVIEW: Duration = Duration::from_secs(2);

/// Others that it may have been, at the most.
const CANDIDATES: usize = 5;

/// How the user is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Source {
    /// Not at all.
    #[default]
    Unknown,
    /// A review at the same moment.
    Review,
    /// The kubelet's own line names it.
    Kubelet,
}

/// Who it was.
#[derive(Clone, Debug, Default)]
pub(super) struct Attribution {
    pub(super) user: String,
    pub(super) source: Source,
    /// Id of the credential, which joins it to the request that issued a token and to its other uses.
    pub(super) credential: String,
    pub(super) evidence: Vec<Cite>,
    pub(super) candidates: Vec<String>,
    /// The user is an API server's own.
    pub(super) is_api_server: bool,
    /// Some review at the moment of the request, whatever it said.
    pub(super) reviewed: bool,
}

impl Attribution {
    /// Whether the kubelet itself says that it was somebody other than an API server: then no request to the API
    /// server can account for it.
    pub(super) fn is_stranger(&self, world: &World) -> bool {
        self.source == Source::Kubelet
            && !self.user.is_empty()
            && !world.ledger.reviews.is_api_server(&self.user)
    }
}

/// Finds out who it was.
pub(super) fn attribute(action: &Action, world: &World) -> Attribution {
    let mut found = Attribution { evidence: action.notes.clone(), ..Attribution::default() };
    let near = reviews_around(action, world, NEAR);
    found.reviewed = !near.is_empty();
    if action.refused_user.is_empty() {
        by_review(&mut found, action, &near, world);
        if found.source == Source::Unknown && action.outcome() != Outcome::Refused {
            by_review(&mut found, action, &reviews_around(action, world, FAR), world);
        }
    } else {
        found.user = action.refused_user.to_string();
        found.source = Source::Kubelet;
        let user = &action.refused_user;
        let own = near.iter().filter(|entry| entry.review().is_some_and(|review| review.user == *user));
        for entry in own {
            take_credential(&mut found, entry);
            found.evidence.push(entry.cite());
        }
    }
    if found.source == Source::Unknown && action.outcome() != Outcome::Refused {
        let known = std::mem::take(&mut found.candidates);
        found.candidates = remembered(action, world, known);
    }
    found.is_api_server = !found.user.is_empty() && world.ledger.reviews.is_api_server(&found.user);
    found
}

/// The API server's user, by a review that a request of its own led to.
pub(super) fn api_server_user(action: &Action, world: &World) -> Option<String> {
    let near = reviews_around(action, world, NEAR);
    let mut users = near
        .into_iter()
        .filter(|entry| fits(action, entry))
        .filter_map(|entry| entry.review())
        .filter(|review| {
            review.credential_id.starts_with("X509") && !review.user.starts_with("system:service")
        })
        .map(|review| review.user.to_string());
    let user = users.next()?;
    users.all(|other| other == user).then_some(user)
}

fn reviews_around<'a>(action: &'a Action, world: &'a World, margin: Duration) -> Vec<&'a RecordedReview> {
    // The review comes before the request is carried out, however long it lasts then.
    let (start, end) = by_server_clock(action, world);
    let to = end.min(start + FAR) + margin;
    world.ledger.reviews.by_node(&action.node, start - margin, to).collect()
}

/// The user of the reviews that fit, if they agree; else those they name become candidates.
fn by_review(found: &mut Attribution, action: &Action, reviews: &[&RecordedReview], world: &World) {
    let mut by_user: BTreeMap<&str, Vec<&RecordedReview>> = BTreeMap::new();
    let access = reviews.iter().filter(|entry| fits(action, entry));
    for entry in access.filter(|entry| !is_of_api_servers_request(entry, world)) {
        let user = entry.review().map(|review| &*review.user).unwrap_or_default();
        by_user.entry(user).or_default().push(entry);
    }
    let tokens = reviews.iter().filter(|entry| entry.review().is_some_and(|review| review.token));
    let tokens: Vec<&RecordedReview> = tokens.copied().collect();
    if by_user.is_empty() && action.outcome() != Outcome::Refused {
        for entry in &tokens {
            if let Some(user) = entry.review().map(|review| &*review.user).filter(|user| !user.is_empty()) {
                by_user.entry(user).or_default().push(entry);
            }
        }
    }
    if action.code == Some(401) {
        let failed = |entry: &&&RecordedReview| entry.review().is_some_and(|review| !review.allowed);
        found.evidence.extend(tokens.iter().filter(failed).map(|entry| entry.cite()));
    }
    if by_user.len() > 1 {
        found.candidates = by_user.keys().map(|user| format!("{user} (reviewed at that moment)")).collect();
        found.evidence.extend(by_user.values().flatten().map(|entry| entry.cite()));
        return;
    }
    let Some((user, entries)) = by_user.into_iter().next() else { return };
    user.clone_into(&mut found.user);
    found.source = Source::Review;
    for entry in entries {
        take_credential(found, entry);
        found.evidence.push(entry.cite());
    }
    let own_token = |entry: &&RecordedReview| entry.review().is_some_and(|review| &*review.user == user);
    found.evidence.extend(tokens.into_iter().filter(own_token).map(RecordedReview::cite));
}

fn take_credential(found: &mut Attribution, entry: &RecordedReview) {
    if let Some(review) = entry.review()
        && found.credential.is_empty()
    {
        found.credential = review.credential_id.to_string();
    }
}

/// Whether a review asks for what the request needs, and was answered as the request was.
fn fits(action: &Action, entry: &RecordedReview) -> bool {
    let Some(review) = entry.review() else { return false };
    let answered = match action.code {
        Some(401) => return false,
        Some(403) => !review.allowed,
        _ => review.allowed,
    };
    !review.token && answered && asks_for(action, entry)
}

fn asks_for(action: &Action, entry: &RecordedReview) -> bool {
    entry.review().is_some_and(|review| {
        &*review.resource == "nodes"
            && !review.user.is_empty()
            && &*review.verb == authorisation_verb(&action.method)
            && action.uri.endpoint.node_subresources().contains(&&*review.subresource)
    })
}

/// Whether a review of an API server's user was asked for because of a recorded request.
fn is_of_api_servers_request(entry: &RecordedReview, world: &World) -> bool {
    let Some(review) = entry.review() else { return false };
    if !world.ledger.reviews.is_api_server(&review.user) {
        return false;
    }
    let (from, to) = (entry.fact.received - BEFORE_REVIEW, entry.fact.received + NEAR);
    world.ledger.streams.iter().any(|stream| stream.received >= from && stream.received <= to)
}

/// Users whom the kubelet still had in its memory.
fn remembered(action: &Action, world: &World, mut known: Vec<String>) -> Vec<String> {
    let reviews = &world.ledger.reviews;
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let (start, _) = by_server_clock(action, world);
    let mut latest: Vec<&RecordedReview> = reviews
        .by_node(&action.node, start - REMEMBERED, start)
        .filter(|entry| entry.review().is_some_and(|review| review.allowed && !review.token))
        .filter(|entry| asks_for(action, entry))
        .collect();
    latest.sort_by_key(|entry| std::cmp::Reverse((entry.fact.received, entry.feed, entry.position)));
    for entry in latest {
        let Some(review) = entry.review() else { continue };
        if known.len() >= CANDIDATES || !seen.insert(&review.user) {
            continue;
        }
        let user = &review.user;
        let who = if reviews.is_api_server(user) { "the API server's own client " } else { "" };
        let when = entry.fact.received;
        known.push(format!("{who}{user} (allowed at {when}, an answer that kubelets remember for minutes)"));
    }
    known
}

/// What is known of how the kubelet lets callers in.
#[derive(Clone, Debug, Default)]
pub(super) struct Access {
    /// The setting that lets anybody do anything, if nothing speaks against its having been used.
    pub(super) anonymous: Option<String>,
    /// What speaks for the read-only port.
    pub(super) read_only: Option<String>,
}

impl Access {
    pub(super) fn of(
        action: &Action,
        attribution: &Attribution,
        read_only: &BTreeSet<String>,
        world: &World,
    ) -> Self {
        if attribution.source != Source::Unknown || attribution.reviewed {
            return Self::default();
        }
        let setting = |key: &str, value: &str| {
            let settings = &world.context.inventory.settings;
            settings.iter().find(|(_, name, found)| name == key && found == value).map(|(source, ..)| source)
        };
        let open = setting("authentication.anonymous.enabled", "true")
            .and(setting("authorization.mode", "AlwaysAllow"))
            .map(|source| format!("{source} lets anonymous callers do everything"));
        let anonymous = open.filter(|_| action.outcome() != Outcome::Refused);
        let port = world
            .context
            .inventory
            .settings
            .iter()
            .find(|(_, name, value)| name == "readOnlyPort" && value != "0")
            .map(|(source, _, port)| format!("{source} opens the read-only port {port}"));
        let port = port.or_else(|| {
            let listens = read_only.contains(&action.node);
            listens.then(|| "the kubelet said that it listens on its read-only port".to_owned())
        });
        // That port serves reads only, and answers others 405.
        let served = matches!(
            action.uri.endpoint,
            Endpoint::Pods | Endpoint::Metrics | Endpoint::Stats | Endpoint::Health
        );
        let may_be = (served && action.outcome() == Outcome::Done && &*action.method == "GET")
            || (action.code == Some(405) && &*action.method != "GET");
        Self { anonymous, read_only: port.filter(|_| may_be) }
    }
}
