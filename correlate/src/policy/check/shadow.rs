//! Rules that never decide, because earlier rules match all that they match.

use std::collections::BTreeSet;

use crate::policy::{GroupResources, Rule};

/// Pieces that a rule is cut into at most; beyond that nothing is claimed.
const PIECES: usize = 20_000;

/// One combination of a rule's alternatives. `None` is "any".
#[derive(Clone, Copy, Debug)]
struct Piece<'a> {
    user: Option<&'a str>,
    user_group: Option<&'a str>,
    verb: Option<&'a str>,
    namespace: Option<&'a str>,
    resource: Option<Resource<'a>>,
    path: Option<&'a str>,
}

#[derive(Clone, Copy, Debug)]
struct Resource<'a> {
    group: &'a str,
    /// `None` is everything in the group.
    pattern: Option<&'a str>,
    name: Option<&'a str>,
}

/// The earlier rules that match all that the rule at `index` matches, if each of its alternatives is matched by one
/// of them. Never claims it wrongly; may miss it where several rules together match one alternative.
pub(super) fn shadowed_by(rules: &[Rule], index: usize) -> Option<Vec<usize>> {
    let (earlier, rule) = (rules.get(..index)?, rules.get(index)?);
    let pieces = pieces(rule)?;
    let mut by = BTreeSet::new();
    for piece in pieces {
        by.insert(earlier.iter().position(|earlier| covers(earlier, &piece))?);
    }
    (!by.is_empty()).then(|| by.into_iter().collect())
}

/// `None` when there are too many.
fn pieces(rule: &Rule) -> Option<Vec<Piece<'_>>> {
    let resources: Vec<Option<Resource<'_>>> = if rule.resources.is_empty() {
        vec![None]
    } else {
        rule.resources.iter().flat_map(alternatives_of).map(Some).collect()
    };
    let (users, groups) = (alternatives(&rule.users), alternatives(&rule.user_groups));
    let (verbs, namespaces) = (alternatives(&rule.verbs), alternatives(&rule.namespaces));
    let paths = alternatives(&rule.non_resource_urls);
    let count = [users.len(), groups.len(), verbs.len(), namespaces.len(), resources.len(), paths.len()]
        .iter()
        .try_fold(1_usize, |product, length| product.checked_mul(*length))?;
    if count > PIECES {
        return None;
    }
    let mut pieces = Vec::with_capacity(count);
    for user in &users {
        for user_group in &groups {
            for verb in &verbs {
                for namespace in &namespaces {
                    for resource in &resources {
                        for path in &paths {
                            pieces.push(Piece {
                                user: *user,
                                user_group: *user_group,
                                verb: *verb,
                                namespace: *namespace,
                                resource: *resource,
                                path: *path,
                            });
                        }
                    }
                }
            }
        }
    }
    Some(pieces)
}

fn alternatives(list: &[String]) -> Vec<Option<&str>> {
    if list.is_empty() { vec![None] } else { list.iter().map(|entry| Some(entry.as_str())).collect() }
}

fn alternatives_of(entry: &GroupResources) -> Vec<Resource<'_>> {
    let mut all = Vec::new();
    for pattern in alternatives(&entry.resources) {
        for name in alternatives(&entry.resource_names) {
            // Without resources the names have no meaning.
            let name = pattern.and(name);
            all.push(Resource { group: &entry.group, pattern, name });
        }
    }
    all
}

fn covers(rule: &Rule, piece: &Piece<'_>) -> bool {
    let lists = [
        (&rule.users, piece.user),
        (&rule.user_groups, piece.user_group),
        (&rule.verbs, piece.verb),
        (&rule.namespaces, piece.namespace),
    ];
    let listed = lists
        .iter()
        .all(|(list, one)| list.is_empty() || one.is_some_and(|one| list.iter().any(|entry| entry == one)));
    let resource = rule.resources.is_empty()
        || piece.resource.is_some_and(|one| rule.resources.iter().any(|entry| covers_resource(entry, one)));
    let path = rule.non_resource_urls.is_empty()
        || piece
            .path
            .is_some_and(|one| rule.non_resource_urls.iter().any(|pattern| covers_path(pattern, one)));
    listed && resource && path
}

fn covers_resource(entry: &GroupResources, one: Resource<'_>) -> bool {
    if entry.group != one.group && entry.group != "*" {
        return false;
    }
    if entry.resources.is_empty() {
        return true;
    }
    let named = entry.resource_names.is_empty()
        || one.name.is_some_and(|name| entry.resource_names.iter().any(|entry| entry == name));
    let Some(pattern) = one.pattern else {
        return named && entry.resources.iter().any(|wider| wider == "*");
    };
    named && entry.resources.iter().any(|wider| covers_pattern(wider, pattern))
}

fn covers_pattern(wider: &str, pattern: &str) -> bool {
    if wider == pattern || wider == "*" {
        return true;
    }
    let (resource, subresource) = pattern.split_once('/').unwrap_or((pattern, ""));
    let all_of_resource = wider.strip_suffix("/*") == Some(resource) && resource != "*";
    let all_of_subresource = !subresource.is_empty() && wider.strip_prefix("*/") == Some(subresource);
    all_of_resource || all_of_subresource
}

fn covers_path(wider: &str, path: &str) -> bool {
    wider == path || wider.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}
