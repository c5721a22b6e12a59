mod candidates;
mod check;
mod evaluate;
mod load;

use super::Policy;

/// A policy of the given rules, in YAML's flow or block form, one per entry.
fn policy(rules: &[&str]) -> Policy {
    let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {}\n", rules.join("\n- "));
    Policy::load(&text).unwrap().policy
}
