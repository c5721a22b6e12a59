//! What depends on stages, on failed authentications, and on two requests together; and what had better not be in the
//! log.

use std::collections::BTreeSet;

use auditgap_records::audit::{Level, Stage};
use auditgap_records::report::Path;

use super::cure::{self, Cure};
use super::watch::Wanted;
use super::{Effect, Finding};
use crate::policy::candidates::{CandidateRequest, Sender};
use crate::policy::{Policy, RequestAttributes};

const BASE: CandidateRequest<'static> = CandidateRequest {
    verbs: &["create"],
    groups: &[""],
    resource: "pods",
    subresource: "",
    namespace: None,
    name: None,
};

/// Findings that no single level tells.
pub(super) fn findings(policy: &Policy) -> Vec<Finding> {
    let all = [
        failed_authentications(policy),
        open_sessions(policy),
        apply(policy),
        panics(policy),
        names(policy),
        custom_resources(policy),
    ];
    all.into_iter().flatten().collect()
}

fn finding(
    policy: &Policy,
    path: Path,
    technique: &[&str],
    effect: Effect,
    lost: &str,
    requests: &[&str],
    rules: &BTreeSet<Option<usize>>,
) -> Finding {
    let indexes: Vec<Option<usize>> = rules.iter().copied().collect();
    Finding {
        path,
        technique: technique.iter().map(|id| (*id).to_owned()).collect(),
        effect,
        lost: lost.to_owned(),
        requests: requests.iter().map(|request| (*request).to_owned()).collect(),
        users: Vec::new(),
        rules: policy.rules_at(&indexes),
        cure: None,
        note: String::new(),
    }
}

/// A request that fails authentication has no user and one stage only, `ResponseStarted`.
fn failed_authentications(policy: &Policy) -> Option<Finding> {
    let resource = |verb, resource| RequestAttributes {
        verb,
        resource,
        namespace: "default",
        is_resource_request: true,
        ..RequestAttributes::default()
    };
    let probes = [
        resource("list", "pods"),
        resource("list", "secrets"),
        resource("create", "pods"),
        RequestAttributes { verb: "get", path: "/api", ..RequestAttributes::default() },
    ];
    let decisions: Vec<_> = probes.iter().map(|probe| policy.evaluate(probe)).collect();
    let dropped: BTreeSet<Option<usize>> = decisions
        .iter()
        .filter(|decision| {
            decision.level == Level::None || decision.omit_stages.contains(Stage::ResponseStarted)
        })
        .map(|decision| decision.rule)
        .collect();
    if dropped.is_empty() {
        return None;
    }
    let lost = "refused credentials (401) leave no record: the server records them at ResponseStarted only, and no \
                rule on users or groups matches them";
    let mut finding = finding(
        policy,
        Path::AuditTrail,
        &[],
        Effect::Weakens,
        lost,
        &["any request with refused credentials"],
        &dropped,
    );
    let by_stage: BTreeSet<Option<usize>> = decisions
        .iter()
        .filter(|decision| {
            decision.level != Level::None && decision.omit_stages.contains(Stage::ResponseStarted)
        })
        .map(|decision| decision.rule)
        .collect();
    let by_level: Vec<String> = dropped.difference(&by_stage).flatten().map(ToString::to_string).collect();
    finding.cure = Some(Cure::in_words(if !by_stage.is_empty() {
        cure::stage_words(policy, &by_stage, Stage::ResponseStarted)
    } else if !by_level.is_empty() {
        format!(
            "narrow rule {} by users or groups, which a request without a user never matches",
            by_level.join(", ")
        )
    } else {
        "end the policy with `- level: Metadata`, which matches requests without a user too".to_owned()
    }));
    Some(finding)
}

/// Without `ResponseStarted` a session is recorded when it ends, which may be never.
fn open_sessions(policy: &Policy) -> Option<Finding> {
    let exec = CandidateRequest { verbs: &["get", "create"], subresource: "exec", ..BASE };
    let prospect = policy.would_log(&exec);
    if prospect.logged_by.is_empty() || prospect.stages.contains(Stage::ResponseStarted) {
        return None;
    }
    let rules: BTreeSet<Option<usize>> = prospect.logged_by.iter().copied().map(Some).collect();
    let lost = "an exec session is recorded at its end only: until then it looks like one that went around the API \
                server, and a server that dies before leaves no record";
    let mut finding = finding(
        policy,
        Path::KubeletApi,
        &["KL2", "KL3"],
        Effect::Weakens,
        lost,
        &["get/create pods/exec"],
        &rules,
    );
    finding.technique.push("RT4".to_owned());
    finding.cure = Some(Cure::in_words(cure::stage_words(policy, &rules, Stage::ResponseStarted)));
    Some(finding)
}

/// Server-side apply with a YAML body: affected servers cannot encode the record once it holds the body. Only
/// `RequestReceived`, made before the body is read, gets through (kubernetes/kubernetes#110671).
fn apply(policy: &Policy) -> Option<Finding> {
    const KINDS: &[(&str, &str)] = &[
        ("", "pods"),
        ("", "configmaps"),
        ("", "services"),
        ("apps", "deployments"),
        ("apps", "daemonsets"),
        ("rbac.authorization.k8s.io", "clusterrolebindings"),
        ("example.com", "customresources"),
    ];
    let mut rules: BTreeSet<Option<usize>> = BTreeSet::new();
    for (group, resource) in KINDS {
        let groups = [*group];
        let patch = CandidateRequest { verbs: &["patch"], groups: &groups, resource, ..BASE };
        let prospect = policy.would_log(&patch);
        rules.extend(prospect.logged_by.iter().copied().map(Some).filter(|index| {
            let decision = policy.decision(*index);
            decision.level >= Level::Request && decision.omit_stages.contains(Stage::RequestReceived)
        }));
    }
    if rules.is_empty() {
        return None;
    }
    let lost = "a server-side apply sent as YAML leaves no record at all on API servers before the fix of \
                kubernetes/kubernetes#110671 (1.36.2 is still affected): its write looks like one made in etcd";
    let mut finding = finding(
        policy,
        Path::AuditTrail,
        &["AU4"],
        Effect::Weakens,
        lost,
        &["patch (server-side apply)"],
        &rules,
    );
    finding.cure = Some(Cure::in_words(format!(
        "{}, or record patches at Metadata",
        cure::stage_words(policy, &rules, Stage::RequestReceived)
    )));
    Some(finding)
}

fn panics(policy: &Policy) -> Option<Finding> {
    let rules: BTreeSet<Option<usize>> = policy
        .would_log(&BASE)
        .logged_by
        .into_iter()
        .map(Some)
        .filter(|index| policy.decision(*index).omit_stages.contains(Stage::Panic))
        .collect();
    if rules.is_empty() {
        return None;
    }
    let lost =
        "a request whose handler panics has no later stage than Panic, so it leaves no record of its outcome";
    let mut finding =
        finding(policy, Path::AuditTrail, &["AU4"], Effect::Weakens, lost, &["create pods"], &rules);
    finding.cure = Some(Cure::in_words(cure::stage_words(policy, &rules, Stage::Panic)));
    Some(finding)
}

/// A generated name stands in the response body, or in the binding; one of them must be recorded.
fn names(policy: &Policy) -> Option<Finding> {
    let create = policy.would_log(&BASE);
    let binding = policy.would_log(&CandidateRequest { subresource: "binding", ..BASE });
    if create.logged_by.is_empty() || create.least == Level::RequestResponse || binding.unlogged.is_empty() {
        return None;
    }
    let rules: BTreeSet<Option<usize>> = binding.unlogged.iter().map(|entry| entry.rule).collect();
    let lost = "Pods of a controller get their names from the server; with neither the response body nor the binding \
                recorded, a container's Pod can only be counted, not named";
    let mut finding = finding(
        policy,
        Path::RuntimeSocket,
        &["RT1"],
        Effect::Weakens,
        lost,
        &["create pods/binding"],
        &rules,
    );
    let wanted = super::catalogue::POD_BINDING;
    let prospect = policy.forecast(&[wanted.candidate()], Sender::Anyone);
    finding.cure = Some(cure::for_unlogged(policy, &[(&wanted, prospect)], Level::Metadata));
    Some(finding)
}

/// Resources of groups that nobody could list beforehand.
fn custom_resources(policy: &Policy) -> Option<Finding> {
    let mut group = "custom.example".to_owned();
    while policy.rules.iter().flat_map(|rule| &rule.resources).any(|entry| entry.group == group) {
        group.push('x');
    }
    let groups = [group.as_str()];
    let write = CandidateRequest {
        verbs: &["create", "update", "patch", "delete", "deletecollection"],
        groups: &groups,
        resource: "customresources",
        ..BASE
    };
    let prospect = policy.would_log(&write);
    let rules: BTreeSet<Option<usize>> = prospect.unlogged.iter().map(|entry| entry.rule).collect();
    if rules.is_empty() {
        return None;
    }
    let effect = if prospect.logged_by.is_empty() { Effect::Blinds } else { Effect::BlindsForSome };
    let lost = "objects of API groups that the policy does not name (custom resources) can be written to etcd directly \
                and go unnoticed";
    let requests = ["create/update/patch/delete/deletecollection of custom resources"];
    let mut finding = finding(policy, Path::EtcdApi, &["ET8"], effect, lost, &requests, &rules);
    finding.cure = Some(Cure::in_words(match rules.first() {
        Some(Some(index)) => format!("narrow rule {index} to the API groups that it is meant for"),
        _ => {
            "end the policy with `- level: Metadata`, or name the groups of your custom resources".to_owned()
        }
    }));
    Some(finding)
}

/// Bodies that are secrets, in the log.
pub(super) fn exposures(policy: &Policy) -> Vec<Finding> {
    const BODIES: &[(Wanted, &str)] = &[
        (wanted("", "secrets", ""), "the values of Secrets"),
        (wanted("", "serviceaccounts", "token"), "newly issued service account tokens"),
        (wanted("authentication.k8s.io", "tokenreviews", ""), "callers' bearer tokens (TokenReview)"),
    ];
    let mut rules = BTreeSet::new();
    let mut exposed = Vec::new();
    for (wanted, what) in BODIES {
        let prospect = policy.would_log(&wanted.candidate());
        let with_body: Vec<usize> = prospect
            .logged_by
            .into_iter()
            .filter(|index| policy.decision(Some(*index)).level >= Level::Request)
            .collect();
        if !with_body.is_empty() {
            rules.extend(with_body.into_iter().map(Some));
            exposed.push((wanted, *what));
        }
    }
    if exposed.is_empty() {
        return Vec::new();
    }
    let what: Vec<&str> = exposed.iter().map(|(_, what)| *what).collect();
    let lost = format!("in clear, for whoever may read the log: {}", what.join("; "));
    let mut finding = finding(policy, Path::AuditTrail, &[], Effect::Exposes, &lost, &[], &rules);
    finding.requests = exposed.iter().map(|(wanted, _)| wanted.to_string()).collect();
    let wanted: Vec<&Wanted> = exposed.iter().map(|(wanted, _)| *wanted).collect();
    finding.cure = Some(cure::for_level(&wanted, rules.iter().flatten().min().copied()));
    "Without the bodies, revisions of Secrets are matched by key and time instead of exactly: a small loss."
        .clone_into(&mut finding.note);
    vec![finding]
}

/// Writes with a body that is kept out of the log at Metadata.
const fn wanted(group: &'static str, resource: &'static str, subresource: &'static str) -> Wanted {
    Wanted { verbs: &["create", "update", "patch"], group, resource, subresource, level: Level::Metadata }
}
