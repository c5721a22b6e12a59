//! Whole recordings through the engine.

use crate::fact::Verb;
use crate::testkit::{Recording, at, request};

/// Requests of one node: number, seconds between them, address.
fn count(spans: &[(i64, i64, &str)]) -> usize {
    let mut recording = Recording::new();
    let mut time = 0;
    for (number, pause, address) in spans {
        for _ in 0..*number {
            time += pause * 1_000;
            let mut fact = request(Verb::Update, "system:node:n1", at(time), at(time + 1));
            (fact.resource, fact.source_ip) = ("leases".into(), (*address).into());
            recording.audit(fact);
        }
    }
    recording.report().gaps.iter().filter(|gap| gap.rule == "node-identity").count()
}

#[test]
fn a_foreign_address_between_a_nodes_own_is_told() {
    for (spans, expected) in [
        (&[(30, 10, "10.0.0.1"), (2, 1, "10.0.0.9"), (30, 10, "10.0.0.1")][..], 1),
        (&[(30, 10, "10.0.0.1")], 0),
        // Before the node's own address was learned: it is the only other one, and rare.
        (&[(3, 10, "10.0.0.1"), (2, 1, "10.0.0.9"), (30, 10, "10.0.0.1")], 1),
        (&[(3, 10, "10.0.0.1"), (9, 1, "10.0.0.9"), (30, 10, "10.0.0.1")], 0),
        // It moved.
        (&[(30, 10, "10.0.0.1"), (30, 10, "10.0.0.2")], 0),
        // It comes by several ways from the beginning.
        (
            &[
                (3, 10, "10.0.0.1"),
                (3, 10, "10.0.0.2"),
                (30, 10, "10.0.0.1"),
                (1, 10, "10.0.0.9"),
                (9, 10, "10.0.0.1"),
            ],
            0,
        ),
        // Through the loopback interface of its own control plane, now and then by its address.
        (&[(30, 10, "127.0.0.1"), (2, 1, "10.0.0.9"), (30, 10, "127.0.0.1")], 0),
        (&[(30, 10, "10.0.0.1"), (2, 1, "127.0.0.1"), (30, 10, "10.0.0.1")], 0),
    ] {
        assert_eq!(count(spans), expected, "{spans:?}");
    }
}
