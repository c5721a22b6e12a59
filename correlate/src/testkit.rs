//! Recordings put together by hand, for the tests of rules.

use std::collections::BTreeMap;
use std::time::Duration;

use auditgap_records::audit::{Level, Stage};
use auditgap_records::inventory::Inventory;
use auditgap_records::kubelet::KubeletLine;
use auditgap_records::report::Report;
use auditgap_records::{Feed, FeedKind, Position, Timestamp};

use crate::condense::{Batch, BindingName, Citation, Condensed};
use crate::engine::{Context, Engine, FeedSummary};
use crate::fact::{AuditFact, Fact, Verb};
use crate::policy::Policy;
use crate::settings::Settings;

/// A moment: milliseconds after an arbitrary beginning.
pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis).unwrap()
}

/// An audit event at `ResponseComplete` about nothing in particular, to be changed.
pub(crate) fn request(verb: Verb, user: &str, received: Timestamp, staged: Timestamp) -> AuditFact {
    let none = Box::<str>::default;
    AuditFact {
        received,
        staged,
        level: Level::RequestResponse,
        stage: Stage::ResponseComplete,
        verb,
        code: 200,
        audit_id: format!("{user}-{}", received.0).into(),
        group: none(),
        resource: none(),
        subresource: none(),
        namespace: none(),
        name: none(),
        uid: none(),
        submitted_uid: none(),
        user: user.into(),
        is_node: user.starts_with("system:node:"),
        groups: none(),
        source_ip: none(),
        user_agent: none(),
        uri: none(),
        credential_id: none(),
        issued_credential_id: none(),
        submitted_version: None,
        resulting_version: None,
        generate_name: none(),
        deletion_pending: false,
        items: Vec::new(),
        has_items: false,
        dry_run: false,
        truncated: false,
        review: None,
        pod: None,
    }
}

/// A recording.
pub(crate) struct Recording {
    policy: Option<Policy>,
    inventory: Inventory,
    feeds: Vec<(Feed, Vec<Condensed>)>,
    records: u64,
    citations: BTreeMap<BindingName, Citation>,
}

impl Recording {
    pub(crate) fn new() -> Self {
        Self {
            policy: None,
            inventory: Inventory::default(),
            feeds: Vec::new(),
            records: 0,
            citations: BTreeMap::new(),
        }
    }

    /// Sets the audit policy: rules in YAML's flow form.
    pub(crate) fn policy(&mut self, rules: &[&str]) {
        let rules = rules.join("\n- ");
        let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {rules}\n");
        self.policy = Some(Policy::load(&text).unwrap().policy);
    }

    /// Objects listed beside the logs.
    pub(crate) fn snapshot(&mut self, snapshot: auditgap_records::inventory::Snapshot) {
        self.inventory.snapshots.push(snapshot);
    }

    /// A decision that cites a binding, as `ClusterRoleBinding "name"`.
    pub(crate) fn cited(&mut self, binding: &str, user: &str, time: Timestamp) {
        let citation = Citation {
            time,
            position: Position::default(),
            user: user.to_owned(),
            request: "get /".to_owned(),
        };
        self.citations.insert(binding.to_owned(), citation);
        self.add(FeedKind::Audit, "api", time, None);
    }

    /// A setting of a kubelet's configuration file.
    pub(crate) fn kubelet_setting(&mut self, key: &str, value: &str) {
        self.inventory.settings.push(("kubelet.yaml".to_owned(), key.to_owned(), value.to_owned()));
    }

    /// Audit records of no interest, so that the trail is known to be complete over a span.
    pub(crate) fn audited(&mut self, from: Timestamp, to: Timestamp) {
        let mut moment = from;
        while moment < to {
            self.add(FeedKind::Audit, "api", moment, None);
            moment = moment + Duration::from_secs(10);
        }
        self.add(FeedKind::Audit, "api", to, None);
    }

    pub(crate) fn audit(&mut self, fact: AuditFact) {
        self.add(FeedKind::Audit, "api", fact.staged, Some(Fact::Audit(fact.into())));
    }

    pub(crate) fn kubelet(&mut self, node: &str, time: Timestamp, line: KubeletLine<'static>) {
        self.add(FeedKind::Kubelet, node, time, Some(Fact::Kubelet(line.into())));
    }

    pub(crate) fn add(&mut self, kind: FeedKind, instance: &str, time: Timestamp, fact: Option<Fact>) {
        let found = self.feeds.iter().position(|(feed, _)| feed.kind == kind && feed.instance == instance);
        let index = found.unwrap_or_else(|| {
            let feed = Feed {
                kind,
                instance: instance.to_owned(),
                source: "test".to_owned(),
                format: "test".to_owned(),
            };
            self.feeds.push((feed, Vec::new()));
            self.feeds.len() - 1
        });
        self.records += 1;
        let position = Position { line: self.records as u32, ..Position::default() };
        self.feeds[index].1.push(Condensed { time, digest: self.records, position, fact });
    }

    /// Judges it.
    pub(crate) fn report(self) -> Report {
        self.run(false)
    }

    /// Judges it, the records of each feed coming one by one and the last ones first.
    pub(crate) fn report_backwards(self) -> Report {
        self.run(true)
    }

    fn run(self, backwards: bool) -> Report {
        let context = Context::new("test", self.policy, self.inventory, Settings::default());
        let mut engine = Engine::new(context);
        let mut opened: Vec<_> =
            self.feeds.into_iter().map(|(feed, records)| (engine.feed_open(feed), records)).collect();
        if backwards {
            opened.reverse();
        }
        engine.push(0, Batch { citations: self.citations, ..Batch::default() });
        for (id, mut records) in opened {
            if backwards {
                records.reverse();
            }
            for record in records {
                engine.push(id, Batch { records: vec![record], ..Batch::default() });
            }
            engine.feed_end(id, FeedSummary::default());
        }
        engine.finish(&[]).report
    }
}
