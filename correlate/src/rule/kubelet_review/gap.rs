//! A call that only a review betrays, in words.

use auditgap_records::report::{Actor, Confidence, GapObject, Severity};

use super::{Asked, INFO};
use crate::fact::Review;
use crate::verdict::GapDraft;
use crate::world::World;

/// Writes the gap.
pub(super) fn draft(asked: &Asked, review: &Review, world: &World) -> GapDraft {
    let fact = &asked.fact;
    let Asked { node, .. } = asked;
    let Review { user, verb, subresource, .. } = review;
    let received = fact.received;
    let is_api_server = world.ledger.reviews.is_api_server(user);
    let (title, mut why) = if review.token {
        (
            format!("Refused request at the kubelet of {node}, past the API server: token not accepted"),
            format!(
                "At {received} the kubelet of {node} had a token reviewed that is none of this cluster's ({}).",
                review.error
            ),
        )
    } else {
        let answer = if review.allowed { "and it was" } else { "and it was not" };
        let word = if review.allowed { "Request" } else { "Refused request" };
        (
            format!(
                "{word} at the kubelet of {node}, past the API server: {user} to {verb} nodes/{subresource}"
            ),
            format!(
                "At {received} the kubelet of {node} asked whether {user} is allowed to {verb} nodes/{subresource}, {answer}. A kubelet asks this when somebody comes to its own API."
            ),
        )
    };
    if is_api_server {
        why.push_str(
            " The name is an API server's own towards kubelets, and no recorded request of that moment leads to a kubelet: its key is in other hands, or the API server is.",
        );
    }
    if !review.credential_id.is_empty() {
        why.push_str(&format!(" The credential was {}", review.credential_id));
        match world.ledger.reviews.issue(&review.credential_id) {
            Some(issue) => {
                why.push_str(&format!(", issued at {} to {}.", issue.time, issue.user));
            }
            None => why.push('.'),
        }
    }
    why.push_str(" The kubelet's log has no line of the request itself.");
    let mut draft = GapDraft::new(&INFO, title, vec![asked.cite()]);
    draft.why = why;
    draft.severity = severity(review);
    draft.confidence = if is_api_server { Confidence::Medium } else { Confidence::High };
    draft.techniques = techniques(review, is_api_server);
    draft.node.clone_from(node);
    draft.object = GapObject {
        resource: "kubelet".to_owned(),
        name: node.clone(),
        key: if review.token { String::new() } else { format!("nodes/{subresource}") },
        ..GapObject::default()
    };
    draft.actor = Actor { user: user.to_string(), ..Actor::default() };
    if !user.is_empty() {
        draft.threads.push(format!("user:{user}"));
    }
    draft
}

fn severity(review: &Review) -> Severity {
    if review.token || !review.allowed {
        return Severity::Low;
    }
    match (&*review.subresource, &*review.verb) {
        ("metrics" | "stats" | "healthz" | "statusz" | "flagz", "get") => Severity::Info,
        ("proxy" | "checkpoint", "create") => Severity::High,
        ("configz", "get") => Severity::Low,
        _ => Severity::Medium,
    }
}

fn techniques(review: &Review, is_api_server: bool) -> Vec<&'static str> {
    let mut ids = vec![match (&*review.subresource, &*review.verb) {
        ("proxy", "create") => "KL2",
        ("proxy", _) => "KL3",
        ("log", _) => "KL9",
        ("checkpoint", _) => "KL10",
        _ => "KL1",
    }];
    if &*review.user == "system:anonymous" {
        ids.push(if review.allowed { "KL4" } else { "KL5" });
    }
    if is_api_server {
        ids.push("KL8");
    }
    ids
}
