//! Rules that do not do what they seem to: they match nothing, less, or more than a reader would think.

use serde::{Deserialize, Serialize};

use super::shadow;
use crate::policy::candidates::CandidateRequest;
use crate::policy::{Diagnostic, GroupResources, Policy, Rule};

/// A place in a policy that does not do what it seems to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mistake {
    /// Line, from 1; 0 if not known.
    pub line: u32,
    /// Rule, from 0.
    pub rule: Option<usize>,
    /// What the server makes of it.
    pub text: String,
    /// What would be right; may be empty.
    pub cure: String,
}

/// Verbs of resource requests.
const RESOURCE_VERBS: &[&str] =
    &["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "proxy"];
/// Verbs of other requests: HTTP methods.
const METHODS: &[&str] = &["get", "post", "put", "patch", "delete", "head", "options"];
/// Words that people take for verbs, with what they stand for.
const NOT_VERBS: &[(&str, &str)] = &[
    ("exec", "a session is verb get or create of resource pods/exec"),
    ("attach", "a session is verb get or create of resource pods/attach"),
    ("portforward", "a session is verb get or create of resource pods/portforward"),
    ("log", "reading logs is verb get of resource pods/log"),
    ("logs", "reading logs is verb get of resource pods/log"),
    ("bind", "it is an authorization verb; creating the binding is verb create"),
    ("escalate", "it is an authorization verb; the request is create, update or patch"),
    ("impersonate", "it is an authorization verb; the request keeps its own verb"),
    ("apply", "a server-side apply is verb patch"),
    ("edit", "it is verb update or patch"),
    ("*", "verbs have no wildcard: leave `verbs` out to match all"),
];
/// Groups that the API server or the cluster's certificates hand out, often written under `users`.
const GROUPS: &[&str] = &[
    "system:authenticated",
    "system:unauthenticated",
    "system:masters",
    "system:nodes",
    "system:serviceaccounts",
    "system:bootstrappers",
    "system:monitoring",
];
/// Users of the control plane, often written under `userGroups`.
const USERS: &[&str] = &[
    "system:anonymous",
    "system:apiserver",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "system:kube-proxy",
    "system:cloud-controller-manager",
];
/// Built-in resources by group.
const RESOURCES: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "pods",
            "services",
            "endpoints",
            "namespaces",
            "nodes",
            "secrets",
            "configmaps",
            "events",
            "serviceaccounts",
            "persistentvolumes",
            "persistentvolumeclaims",
            "replicationcontrollers",
            "resourcequotas",
            "limitranges",
            "podtemplates",
            "bindings",
            "componentstatuses",
        ],
    ),
    ("apps", &["deployments", "daemonsets", "statefulsets", "replicasets", "controllerrevisions"]),
    ("batch", &["jobs", "cronjobs"]),
    ("rbac.authorization.k8s.io", &["roles", "rolebindings", "clusterroles", "clusterrolebindings"]),
    ("coordination.k8s.io", &["leases"]),
    ("authentication.k8s.io", &["tokenreviews", "selfsubjectreviews"]),
    (
        "authorization.k8s.io",
        &[
            "subjectaccessreviews",
            "localsubjectaccessreviews",
            "selfsubjectaccessreviews",
            "selfsubjectrulesreviews",
        ],
    ),
    ("certificates.k8s.io", &["certificatesigningrequests"]),
    ("networking.k8s.io", &["networkpolicies", "ingresses", "ingressclasses"]),
    ("discovery.k8s.io", &["endpointslices"]),
    ("policy", &["poddisruptionbudgets"]),
    ("autoscaling", &["horizontalpodautoscalers"]),
    ("storage.k8s.io", &["storageclasses", "volumeattachments", "csidrivers", "csinodes"]),
    (
        "admissionregistration.k8s.io",
        &[
            "validatingwebhookconfigurations",
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
        ],
    ),
    ("apiextensions.k8s.io", &["customresourcedefinitions"]),
    ("apiregistration.k8s.io", &["apiservices"]),
    ("scheduling.k8s.io", &["priorityclasses"]),
];

/// Every mistake, by line.
pub(super) fn mistakes(policy: &Policy, diagnostics: &[Diagnostic]) -> Vec<Mistake> {
    let mut found: Vec<Mistake> = diagnostics
        .iter()
        .map(|diagnostic| Mistake {
            line: diagnostic.line,
            rule: diagnostic.rule,
            text: diagnostic.text.clone(),
            cure: String::new(),
        })
        .collect();
    for (index, rule) in policy.rules.iter().enumerate() {
        let mut say = |text: String, cure: String| {
            found.push(Mistake { line: rule.line, rule: Some(index), text, cure });
        };
        verbs(rule, &mut say);
        users(rule, &mut say);
        places(rule, &mut say);
        for entry in &rule.resources {
            resources(entry, &mut say);
            resource_names(rule, entry, &mut say);
        }
        if let Some(earlier) = shadow::shadowed_by(&policy.rules, index) {
            let earlier: Vec<String> = earlier.iter().map(ToString::to_string).collect();
            let noun = if earlier.len() == 1 { "rule" } else { "rules" };
            say(
                format!(
                    "it never decides a request: all it matches is decided earlier, by {noun} {}",
                    earlier.join(", ")
                ),
                "move it before them, or remove it".to_owned(),
            );
        }
    }
    found.extend(plain_pods(policy));
    found.sort();
    found.dedup();
    found
}

fn verbs(rule: &Rule, say: &mut impl FnMut(String, String)) {
    let for_resources = !rule.resources.is_empty() || !rule.namespaces.is_empty();
    let for_paths = !rule.non_resource_urls.is_empty();
    let known = |verb: &str| {
        (!for_paths && RESOURCE_VERBS.contains(&verb)) || (!for_resources && METHODS.contains(&verb))
    };
    let unknown: Vec<&String> = rule.verbs.iter().filter(|verb| !known(verb)).collect();
    let nothing = unknown.len() == rule.verbs.len();
    for verb in unknown {
        let effect = if nothing { ", so the rule matches nothing" } else { "" };
        let cure = match NOT_VERBS.iter().find(|(word, _)| word == verb) {
            Some((_, cure)) => (*cure).to_owned(),
            None if RESOURCE_VERBS.contains(&verb.to_lowercase().as_str()) => {
                format!("write it in lower case: `{}`", verb.to_lowercase())
            }
            None if for_paths => "paths have HTTP methods in lower case: get, post, …".to_owned(),
            None => format!("the verbs are {}", RESOURCE_VERBS[..8].join(", ")),
        };
        say(format!("no request here has the verb `{verb}`{effect}"), cure);
    }
}

fn users(rule: &Rule, say: &mut impl FnMut(String, String)) {
    for name in &rule.users {
        let is_group = GROUPS.contains(&name.as_str()) || name.starts_with("system:serviceaccounts:");
        if is_group {
            say(format!("`{name}` is a group, no user has that name"), "name it under userGroups".to_owned());
        } else if name == "system:unsecured" {
            let text = "`system:unsecured` was the user of the insecure port, which API servers no longer have: the \
                        condition matches nobody";
            say(text.to_owned(), "remove the rule".to_owned());
        } else if name.contains('*') {
            say(format!("`{name}` is compared literally, names have no wildcard"), String::new());
        }
    }
    for group in &rule.user_groups {
        if USERS.contains(&group.as_str()) || group.starts_with("system:serviceaccount:") {
            say(format!("`{group}` is a user, no group has that name"), "name it under users".to_owned());
        } else if group.contains('*') {
            say(format!("`{group}` is compared literally, names have no wildcard"), String::new());
        }
    }
}

fn places(rule: &Rule, say: &mut impl FnMut(String, String)) {
    for namespace in &rule.namespaces {
        if namespace.contains('*') {
            say(format!("`{namespace}` is compared literally, names have no wildcard"), String::new());
        }
    }
    let only_namespaces = !rule.resources.is_empty()
        && rule.resources.iter().all(|entry| {
            let base = |resource: &String| resource.split('/').next() == Some("namespaces");
            entry.group.is_empty() && !entry.resources.is_empty() && entry.resources.iter().all(base)
        });
    if only_namespaces && !rule.namespaces.is_empty() && rule.namespaces.iter().all(String::is_empty) {
        let text = "of Namespaces it matches creates and lists only: requests for one Namespace count as made in the \
                    namespace of that name, not outside of any";
        say(text.to_owned(), "leave `namespaces` out".to_owned());
    }
    for path in &rule.non_resource_urls {
        let segments: Vec<&str> =
            path.trim_end_matches('*').split('/').filter(|part| !part.is_empty()).collect();
        let of_resource = match segments.first() {
            Some(&"api") => segments.len() > 2,
            Some(&"apis") => segments.len() > 3,
            _ => false,
        };
        if of_resource {
            say(
                format!("`{path}` is the path of a resource, nonResourceURLs never match those"),
                "name it under resources".to_owned(),
            );
        }
    }
}

fn resources(entry: &GroupResources, say: &mut impl FnMut(String, String)) {
    let group = entry.group.as_str();
    let version =
        group.strip_prefix('v').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    if group == "core" || version {
        let cure = "the core group is the empty text: `group: \"\"`".to_owned();
        say(format!("there is no API group `{group}`, so the entry matches nothing"), cure);
        return;
    }
    for pattern in &entry.resources {
        let (resource, subresource) = pattern.split_once('/').unwrap_or((pattern, ""));
        let place = RESOURCES.iter().find(|(_, resources)| resources.contains(&resource));
        if pattern == "*/*" {
            say("`*/*` matches nothing".to_owned(), "`*` matches resources and subresources".to_owned());
        } else if resource.contains('*') && resource != "*" || subresource.contains('*') && subresource != "*"
        {
            say(format!("`{pattern}` is compared literally, it matches nothing"), String::new());
        } else if let Some((actual, _)) = place {
            let moved = group == "extensions" || group == "events.k8s.io" || group == "*";
            if *actual != group && !moved {
                let shown = if actual.is_empty() { "core (`\"\"`)" } else { actual };
                let here = if group.is_empty() {
                    "the core API group".to_owned()
                } else {
                    format!("API group `{group}`")
                };
                let text = format!("`{pattern}` is not in {here}, so it matches nothing");
                say(text, format!("its group is {shown}"));
            }
        } else if let Some(plural) = plural_of(resource) {
            say(format!("there is no resource `{resource}`"), format!("its plural name is `{plural}`"));
        }
    }
}

/// The built-in resource that a kind or a singular name means.
fn plural_of(word: &str) -> Option<&'static str> {
    let lower = word.to_lowercase();
    let all = || RESOURCES.iter().flat_map(|(_, resources)| resources.iter().copied());
    let means = |plural: &&str| {
        *plural == lower
            || plural.strip_suffix('s') == Some(&lower)
            || plural.strip_suffix("es") == Some(&lower)
            || plural.strip_suffix("ies").is_some_and(|stem| lower.strip_suffix('y') == Some(stem))
    };
    all().find(means)
}

fn resource_names(rule: &Rule, entry: &GroupResources, say: &mut impl FnMut(String, String)) {
    const NAMELESS: &[&str] = &["create", "list", "watch", "deletecollection"];
    let bare = entry.resources.iter().all(|resource| !resource.contains('/') && resource != "*");
    let nameless = !rule.verbs.is_empty() && rule.verbs.iter().all(|verb| NAMELESS.contains(&verb.as_str()));
    if entry.resource_names.is_empty() || !bare || !nameless {
        return;
    }
    let text = if rule.verbs.iter().all(|verb| verb == "create") {
        "resourceNames never match here: the URL of a create has no name"
    } else {
        "resourceNames match here only if the request selects one name: the URLs of these verbs have none"
    };
    say(text.to_owned(), "leave resourceNames out".to_owned());
}

/// `pods` does not stand for its subresources. Said only where sessions go unrecorded, as few policies mean to.
fn plain_pods(policy: &Policy) -> Option<Mistake> {
    let exec = CandidateRequest {
        verbs: &["get", "create"],
        groups: &[""],
        resource: "pods",
        subresource: "exec",
        ..CandidateRequest::default()
    };
    if policy.would_log(&exec).unlogged.is_empty() {
        return None;
    }
    let names_pods = |rule: &Rule| {
        rule.resources
            .iter()
            .any(|entry| entry.group.is_empty() && entry.resources.iter().any(|resource| resource == "pods"))
    };
    let records = |rule: &Rule| rule.level != auditgap_records::audit::Level::None;
    let (index, rule) =
        policy.rules.iter().enumerate().find(|(_, rule)| records(rule) && names_pods(rule))?;
    Some(Mistake {
        line: rule.line,
        rule: Some(index),
        text:
            "`pods` does not stand for its subresources: this rule records no sessions (`pods/exec` and kin)"
                .to_owned(),
        cure: "if they are meant too, write `pods/*` or name them".to_owned(),
    })
}
