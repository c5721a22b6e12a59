//! Records without end, for the proof that the engine's memory does not grow with the length of a stream.
//!
//! Objects are made, changed and deleted under names that are never used again; Pods come and go on nodes with their sandboxes
//! and containers. Nothing may be kept for ever because of any of that.

use std::collections::BTreeMap;

use auditgap_correlate::fact::Fact;
use auditgap_correlate::{Condensed, Condenser, Engine, FeedId};
use auditgap_records::audit::{AuditEvent, Level, ObjectRef, Stage, User};
use auditgap_records::etcd::{Revision, RevisionKind};
use auditgap_records::kubelet::{KubeletLine, PodRef, PodSource, SyncOp};
use auditgap_records::runtime::{RuntimeEvent, RuntimeEventKind, RuntimeLine, SandboxIdentity};
use auditgap_records::{Body, Feed, FeedKind, Position, Record, Timestamp};

const SECOND: i64 = 1_000_000_000;
const MILLI: i64 = 1_000_000;
/// 2026-11-23T00:00:00Z.
const START: i64 = 1_795_392_000 * SECOND;
/// Event time between the beginnings of two stories.
const SPACING: i64 = 8 * MILLI;
/// Stories between two deliveries to the engine.
const STORIES_PER_BATCH: u64 = 256;
const NODES: u64 = 40;

/// A stream of records at a steady rate of event time.
pub struct Soak {
    feeds: [FeedId; 4],
    condensers: [Condenser; 4],
    /// Records whose time has not come.
    ahead: [Vec<Condensed>; 4],
    /// Number of the story: of an object's life or a Pod's.
    story: u64,
    revision: i64,
    /// Revision in which each living key was made.
    created: BTreeMap<String, i64>,
    digest: u64,
    records: u64,
}

const AUDIT: usize = 0;
const WATCH: usize = 1;
const KUBELET: usize = 2;
const RUNTIME: usize = 3;

impl Soak {
    /// Announces the feeds to an engine.
    pub fn new(engine: &mut Engine) -> Self {
        let feeds = [
            (FeedKind::Audit, "apiserver-0"),
            (FeedKind::Etcd, "etcd-0"),
            (FeedKind::Kubelet, "worker-0"),
            (FeedKind::Runtime, "worker-0"),
        ]
        .map(|(kind, instance)| {
            let format = if kind == FeedKind::Etcd { "etcd watch" } else { "synthetic" };
            engine.feed_open(Feed {
                kind,
                instance: instance.to_owned(),
                source: "soak".to_owned(),
                format: format.to_owned(),
            })
        });
        Self {
            feeds,
            condensers: Default::default(),
            ahead: Default::default(),
            story: 0,
            revision: 1_000,
            created: BTreeMap::new(),
            digest: 0,
            records: 0,
        }
    }

    /// Records delivered so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Invents some more records and delivers them, feed by feed.
    pub fn deliver(&mut self, engine: &mut Engine) {
        for _ in 0..STORIES_PER_BATCH {
            let time = START + self.story as i64 * SPACING;
            if self.story.is_multiple_of(8) {
                self.pod(time);
            } else {
                self.object(time);
            }
            self.story += 1;
        }
        // What a story has still before it is delivered when its time has come, as a log would.
        let until = Timestamp(START + self.story as i64 * SPACING);
        for ((feed, condenser), ahead) in self.feeds.iter().zip(&mut self.condensers).zip(&mut self.ahead) {
            let mut batch = condenser.take();
            batch.records.append(ahead);
            batch.records.sort_by_key(|record| record.time);
            let ready = batch.records.partition_point(|record| record.time < until);
            *ahead = batch.records.split_off(ready);
            number_revisions(&mut batch.records, &mut self.revision, &mut self.created);
            for record in &mut batch.records {
                self.records += 1;
                record.position.offset = self.records;
            }
            engine.push(*feed, batch);
        }
    }

    fn add(&mut self, feed: usize, time: i64, body: Body<'_>) {
        self.digest = self.digest.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let position = Position { file: feed as u32, ..Position::default() };
        self.condensers[feed].add(Record {
            time: Timestamp(time),
            seen: None,
            position,
            digest: self.digest,
            body,
        });
    }

    fn request(&mut self, time: i64, verb: &str, user: &str, object: ObjectRef<'_>) {
        let event = AuditEvent {
            level: Level::Metadata,
            audit_id: format!("soak-{}", self.digest).into(),
            stage: Stage::ResponseComplete,
            uri: "/soak".into(),
            verb: verb.into(),
            user: User { name: user.into(), ..User::default() },
            impersonated: None,
            source_ip: Some("10.0.0.10".into()),
            user_agent: "soak".into(),
            object: Some(object),
            code: Some(if verb == "create" { 201 } else { 200 }),
            message: None,
            details_uid: None,
            received: Timestamp(time),
            staged: Timestamp(time + 3 * MILLI),
            allowed: Some(true),
            authorization_reason: Some(
                "RBAC: allowed by ClusterRoleBinding \"soak\" of ClusterRole \"soak\" to User \"soak\""
                    .into(),
            ),
            issued_credential_id: None,
            truncated: false,
            request_object: None,
            response_object: None,
        };
        self.add(AUDIT, time + 3 * MILLI, Body::Audit(Box::new(event)));
    }

    /// A revision two milliseconds after a request. `version` 0 is a delete. It is numbered when it is delivered.
    fn revise(&mut self, time: i64, key: &str, version: i64) {
        let revision = Revision {
            kind: if version == 0 { RevisionKind::Delete } else { RevisionKind::Put },
            key: key.to_owned().into(),
            mod_revision: 0,
            create_revision: 0,
            version,
            lease: None,
            value_length: Some(400),
            encoding: Some("k8s\0".into()),
            uid: None,
            replayed: false,
        };
        self.add(WATCH, time + 2 * MILLI, Body::Revision(revision));
    }

    /// A ConfigMap: made, read, changed, deleted.
    fn object(&mut self, time: i64) {
        let name = format!("story-{}", self.story);
        let key = format!("/registry/configmaps/soak/{name}");
        let object = || ObjectRef {
            resource: "configmaps".into(),
            namespace: "soak".into(),
            name: name.clone().into(),
            ..ObjectRef::default()
        };
        self.request(time, "create", "writer", object());
        self.revise(time, &key, 1);
        for read in 1..=3 {
            self.request(time + read * 200 * MILLI, "get", "reader", object());
        }
        self.request(time + SECOND, "patch", "writer", object());
        self.revise(time + SECOND, &key, 2);
        self.request(time + 2 * SECOND, "delete", "writer", object());
        self.revise(time + 2 * SECOND, &key, 0);
    }

    /// A Pod: made, bound, run on a node, deleted there.
    fn pod(&mut self, time: i64) {
        let name = format!("pod-{}", self.story);
        let uid = format!("{:08x}-0000-4000-a000-{:012x}", self.story >> 16, self.story);
        let key = format!("/registry/pods/soak/{name}");
        let node = format!("system:node:worker-{}", self.story % NODES);
        let object = |subresource: &'static str, uid: &str| ObjectRef {
            resource: "pods".into(),
            subresource: subresource.into(),
            namespace: "soak".into(),
            name: name.clone().into(),
            uid: uid.to_owned().into(),
            ..ObjectRef::default()
        };
        self.request(time, "create", "writer", object("", ""));
        self.revise(time, &key, 1);
        self.request(time + 10 * MILLI, "create", "system:kube-scheduler", object("binding", &uid));
        self.revise(time + 10 * MILLI, &key, 2);
        self.sync(time + 14 * MILLI, SyncOp::Add, &name);
        self.run(time + 400 * MILLI, &name, &uid);
        self.request(time + 500 * MILLI, "patch", &node, object("status", ""));
        self.revise(time + 500 * MILLI, &key, 3);
        self.request(time + 2 * SECOND, "delete", "writer", object("", ""));
        self.revise(time + 2 * SECOND, &key, 4);
        self.sync(time + 2_010 * MILLI, SyncOp::Delete, &name);
        self.end(time + 2_100 * MILLI);
        self.request(time + 2_500 * MILLI, "delete", &node, object("", ""));
        self.revise(time + 2_500 * MILLI, &key, 5);
        self.revise(time + 2_501 * MILLI, &key, 0);
        self.sync(time + 2_510 * MILLI, SyncOp::Remove, &name);
    }

    fn sync(&mut self, time: i64, op: SyncOp, name: &str) {
        let pod = PodRef { namespace: "soak".into(), name: name.to_owned().into(), uid: None };
        self.add(
            KUBELET,
            time,
            Body::Kubelet(KubeletLine::SyncLoop { op, source: PodSource::Api, pods: vec![pod] }),
        );
    }

    fn ids(&self) -> (String, String) {
        (format!("{:064x}", self.story * 2), format!("{:064x}", self.story * 2 + 1))
    }

    fn event(&mut self, time: i64, kind: RuntimeEventKind, id: &str) {
        let event = RuntimeEvent {
            namespace: "k8s.io".into(),
            kind,
            subject: id.to_owned().into(),
            image: None,
            exec: None,
            pid: Some(4_711),
            exit_status: None,
            command: None,
            identity: None,
        };
        self.add(RUNTIME, time, Body::Runtime(RuntimeLine::Event(event)));
    }

    fn run(&mut self, time: i64, name: &str, uid: &str) {
        let (sandbox, container) = self.ids();
        let identity =
            SandboxIdentity { name: name.into(), namespace: "soak".into(), uid: uid.into(), attempt: 0 };
        let asked = RuntimeLine::RunPodSandbox { identity: identity.clone(), sandbox: None, error: None };
        self.add(RUNTIME, time, Body::Runtime(asked));
        self.event(time + MILLI, RuntimeEventKind::ContainerCreate, &sandbox);
        self.event(time + 2 * MILLI, RuntimeEventKind::TaskStart, &sandbox);
        let answered =
            RuntimeLine::RunPodSandbox { identity, sandbox: Some(sandbox.clone().into()), error: None };
        self.add(RUNTIME, time + 3 * MILLI, Body::Runtime(answered));
        self.event(time + 4 * MILLI, RuntimeEventKind::ContainerCreate, &container);
        let created = RuntimeLine::CreateContainer {
            sandbox: sandbox.into(),
            name: "app".into(),
            container: Some(container.clone().into()),
        };
        self.add(RUNTIME, time + 5 * MILLI, Body::Runtime(created));
        self.event(time + 6 * MILLI, RuntimeEventKind::TaskStart, &container);
        self.add(
            RUNTIME,
            time + 7 * MILLI,
            Body::Runtime(RuntimeLine::StartContainer { container: container.into(), done: true }),
        );
    }

    fn end(&mut self, time: i64) {
        let (sandbox, container) = self.ids();
        let stop = RuntimeLine::StopContainer { container: container.clone().into(), done: false };
        self.add(RUNTIME, time, Body::Runtime(stop));
        self.event(time + MILLI, RuntimeEventKind::TaskExit, &container);
        self.add(
            RUNTIME,
            time + 2 * MILLI,
            Body::Runtime(RuntimeLine::StopPodSandbox { sandbox: sandbox.clone().into() }),
        );
        self.event(time + 3 * MILLI, RuntimeEventKind::TaskExit, &sandbox);
        self.event(time + 4 * MILLI, RuntimeEventKind::ContainerDelete, &container);
        self.event(time + 5 * MILLI, RuntimeEventKind::ContainerDelete, &sandbox);
        self.add(
            RUNTIME,
            time + 6 * MILLI,
            Body::Runtime(RuntimeLine::RemovePodSandbox { sandbox: sandbox.into() }),
        );
    }
}

/// Gives revisions their numbers in the order in which they are delivered, as etcd does.
fn number_revisions(records: &mut [Condensed], last: &mut i64, created: &mut BTreeMap<String, i64>) {
    for record in records {
        let Some(Fact::Revision(revision)) = &mut record.fact else { continue };
        *last += 1;
        revision.mod_revision = *last;
        if revision.kind == RevisionKind::Delete {
            created.remove(revision.key.as_ref());
        } else {
            revision.create_revision = *created.entry(revision.key.to_string()).or_insert(*last);
        }
    }
}
