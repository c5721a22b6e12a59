//! The Pod in a body of an audit event.

use auditgap_records::inventory::PodFacts;
use auditgap_records::pod::PodObject;

/// Reads a Pod's JSON. `None` for anything else: a Status, a list, a patch that says nothing of what is needed.
pub(super) fn pod_facts(json: &str) -> Option<PodFacts> {
    let facts = serde_json::from_str::<PodObject>(json).ok()?.facts()?;
    let nothing = PodFacts { mirror_of: facts.mirror_of.clone(), ..PodFacts::default() };
    (facts != nothing).then_some(facts)
}
