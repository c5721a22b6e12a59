//! What the policy decides for one request, exactly as the API server does (`checker.go`): the first rule that
//! matches wins, and what none matches is not recorded.

use auditgap_records::audit::{AuditEvent, Level};

use super::{GroupResources, Policy, Rule, StageSet};

/// Who sends a request: the authenticated user, never the one it impersonates (the policy is asked before that).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity<'a> {
    /// User name.
    pub name: &'a str,
    /// Groups, those that the API server adds included (`system:authenticated`).
    pub groups: Vec<&'a str>,
}

/// What the policy sees of a request. All of it is known from the URL and the credentials, nothing from the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestAttributes<'a> {
    /// `None` when authentication failed.
    pub user: Option<Identity<'a>>,
    /// Audit verb: the API verb, or the HTTP method in lower case for other paths.
    pub verb: &'a str,
    /// Namespace, empty if none; for one Namespace object its own name.
    pub namespace: &'a str,
    /// API group, empty for the core group.
    pub group: &'a str,
    /// Plural resource name.
    pub resource: &'a str,
    /// Subresource, empty if none.
    pub subresource: &'a str,
    /// Name in the URL: empty for the create of an object, even if its body has a name.
    pub name: &'a str,
    /// Path without query.
    pub path: &'a str,
    /// Whether the path is one of an API resource.
    pub is_resource_request: bool,
}

impl<'a> RequestAttributes<'a> {
    /// What the policy saw of a request whose event was recorded.
    pub fn of_event(event: &'a AuditEvent<'_>) -> Self {
        let failed_authentication = event.user.name.is_empty() && event.user.groups.is_empty();
        let user = (!failed_authentication).then(|| Identity {
            name: &event.user.name,
            groups: event.user.groups.iter().map(AsRef::as_ref).collect(),
        });
        let path = event.uri.split_once('?').map_or(event.uri.as_ref(), |(path, _)| path);
        let base = Self { user, verb: &event.verb, path, ..Self::default() };
        let Some(object) = &event.object else { return base };
        // The event's name may have been filled in from the body, which the policy did not see.
        let name =
            if event.verb == "create" && object.subresource.is_empty() { "" } else { object.name.as_ref() };
        Self {
            namespace: &object.namespace,
            group: &object.group,
            resource: &object.resource,
            subresource: &object.subresource,
            name,
            is_resource_request: true,
            ..base
        }
    }
}

/// What is recorded of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// How much.
    pub level: Level,
    /// Not at these stages.
    pub omit_stages: StageSet,
    /// The rule that decided, from 0; `None` if none matches.
    pub rule: Option<usize>,
    /// Bodies lose `metadata.managedFields`.
    pub omit_managed_fields: bool,
}

impl Policy {
    /// What is recorded of a request.
    pub fn evaluate(&self, request: &RequestAttributes<'_>) -> Decision {
        let user = request.user.as_ref();
        let index =
            self.rules.iter().position(|rule| rule.matches_user(user) && rule.matches_request(request));
        self.decision(index)
    }

    /// What the rule at an index (or the absence of one) decides.
    pub(super) fn decision(&self, index: Option<usize>) -> Decision {
        let Some(rule) = index.and_then(|index| self.rules.get(index)) else {
            return Decision {
                level: Level::None,
                omit_stages: self.omit_stages,
                rule: None,
                omit_managed_fields: self.omit_managed_fields,
            };
        };
        Decision {
            level: rule.level,
            omit_stages: self.omit_stages.union(rule.omit_stages),
            rule: index,
            omit_managed_fields: rule.omit_managed_fields.unwrap_or(self.omit_managed_fields),
        }
    }
}

/// The part of a resource request that is not about who sends it. `None` stands for a text that no rule mentions.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResourceRequest<'a> {
    pub(super) verb: &'a str,
    pub(super) namespace: Option<&'a str>,
    pub(super) group: &'a str,
    pub(super) resource: &'a str,
    pub(super) subresource: &'a str,
    pub(super) name: Option<&'a str>,
}

impl Rule {
    /// Whether the conditions on the user hold.
    pub(super) fn matches_user(&self, user: Option<&Identity<'_>>) -> bool {
        let name = self.users.is_empty() || user.is_some_and(|user| mentions(&self.users, user.name));
        let group = self.user_groups.is_empty()
            || user.is_some_and(|user| user.groups.iter().any(|group| mentions(&self.user_groups, group)));
        name && group
    }

    fn matches_request(&self, request: &RequestAttributes<'_>) -> bool {
        if request.is_resource_request {
            return self.matches_resource_request(&ResourceRequest {
                verb: request.verb,
                namespace: Some(request.namespace),
                group: request.group,
                resource: request.resource,
                subresource: request.subresource,
                name: Some(request.name),
            });
        }
        let verb = self.verbs.is_empty() || mentions(&self.verbs, request.verb);
        let path = self.non_resource_urls.is_empty()
            || self.non_resource_urls.iter().any(|pattern| path_matches(request.path, pattern));
        verb && self.namespaces.is_empty() && self.resources.is_empty() && path
    }

    /// Whether everything but the conditions on the user holds for a resource request.
    pub(super) fn matches_resource_request(&self, request: &ResourceRequest<'_>) -> bool {
        if !self.verbs.is_empty() && !mentions(&self.verbs, request.verb) {
            return false;
        }
        if self.namespaces.is_empty() && self.resources.is_empty() {
            return self.non_resource_urls.is_empty();
        }
        let namespace = self.namespaces.is_empty()
            || request.namespace.is_some_and(|namespace| mentions(&self.namespaces, namespace));
        namespace
            && (self.resources.is_empty()
                || self.resources.iter().any(|resources| resources.matches(request)))
    }
}

impl GroupResources {
    /// Whether a request is for one of these resources.
    pub(super) fn matches(&self, request: &ResourceRequest<'_>) -> bool {
        if self.group != request.group && self.group != "*" {
            return false;
        }
        if self.resources.is_empty() {
            return true;
        }
        let named = self.resource_names.is_empty()
            || request.name.is_some_and(|name| mentions(&self.resource_names, name));
        named
            && self
                .resources
                .iter()
                .any(|pattern| resource_matches(pattern, request.resource, request.subresource))
    }
}

/// `*`, `resource[/subresource]`, `*/subresource`, or `resource/*`, which matches the bare resource too.
fn resource_matches(pattern: &str, resource: &str, subresource: &str) -> bool {
    let exact = match pattern.split_once('/') {
        Some((left, right)) if !subresource.is_empty() => left == resource && right == subresource,
        Some(_) => false,
        None => subresource.is_empty() && pattern == resource,
    };
    exact
        || pattern == "*"
        || (!subresource.is_empty() && pattern.strip_prefix("*/") == Some(subresource))
        || pattern.strip_suffix("/*") == Some(resource)
}

fn path_matches(path: &str, pattern: &str) -> bool {
    pattern == "*"
        || pattern == path
        || (pattern.ends_with('*') && path.starts_with(pattern.trim_end_matches('*')))
}

fn mentions(list: &[String], text: &str) -> bool {
    list.iter().any(|entry| entry == text)
}
