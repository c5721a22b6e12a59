//! A busy API server's audit trail at Metadata, of any length, with the etcd watch beside it: what the benchmarks read.
//!
//! Three events in four are reads. Each write has its revision; a known number of revisions has no request. Names of those are
//! used nowhere else, so that a plain anti-join finds the same number (see `docs/benchmarks.md`).

use std::io::{self, Write};

use auditgap_records::Timestamp;

use crate::random::Random;

/// 2026-11-23T00:00:00Z.
const START: i64 = 1_795_392_000_000_000;

/// What to write.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// Audit events.
    pub events: u64,
    /// Revisions without a request.
    pub gaps: u64,
    /// Mean microseconds between two requests.
    pub spacing_micros: i64,
    /// Seed.
    pub seed: u64,
}

/// A client of the API server.
struct Client {
    /// The members of the event's `user`.
    user: String,
    agent: String,
    address: String,
}

/// What a write is about: resource, API group, folder in etcd.
const WRITTEN: &[(&str, &str)] = &[
    ("leases", "coordination.k8s.io"),
    ("configmaps", ""),
    ("pods", ""),
    ("deployments", "apps"),
    ("replicasets", "apps"),
    ("endpointslices", "discovery.k8s.io"),
    ("events", ""),
    ("secrets", ""),
];

const READ: &[(&str, &str)] = &[
    ("pods", ""),
    ("nodes", ""),
    ("configmaps", ""),
    ("secrets", ""),
    ("services", ""),
    ("deployments", "apps"),
    ("leases", "coordination.k8s.io"),
    ("customresourcedefinitions", "apiextensions.k8s.io"),
];

/// Kubelets among the clients: the first ones.
const NODES: usize = 60;

fn clients(random: &mut Random) -> Vec<Client> {
    let mut list = Vec::new();
    for node in 0..NODES {
        list.push(Client {
            user: format!(
                r#""username":"system:node:ip-10-0-{node}-17.example.internal","groups":["system:nodes","system:authenticated"],"extra":{{"authentication.kubernetes.io/credential-id":["X509SHA256={}"]}}"#,
                random.hex(64)
            ),
            agent: "kubelet/v1.34.1 (linux/amd64) kubernetes/93248f9".to_owned(),
            address: format!("10.0.{node}.17"),
        });
    }
    for number in 0..60 {
        let name = format!(
            "{}-{number}",
            random.word(&["replicaset-controller", "deployment-controller", "operator", "coredns"])
        );
        list.push(Client {
            user: format!(
                r#""username":"system:serviceaccount:kube-system:{name}","uid":"{}","groups":["system:serviceaccounts","system:serviceaccounts:kube-system","system:authenticated"],"extra":{{"authentication.kubernetes.io/credential-id":["JTI={}"],"authentication.kubernetes.io/node-name":["ip-10-0-3-17.example.internal"],"authentication.kubernetes.io/node-uid":["{}"],"authentication.kubernetes.io/pod-name":["{name}-7d9c5b8f6d-x2x7q"],"authentication.kubernetes.io/pod-uid":["{}"]}}"#,
                random.uid(),
                random.uid(),
                random.uid(),
                random.uid()
            ),
            agent: format!(
                "kube-controller-manager/v1.34.1 (linux/amd64) kubernetes/93248f9/system:serviceaccount:kube-system:{name}"
            ),
            address: "10.0.0.10".to_owned(),
        });
    }
    for person in 0..12 {
        list.push(Client {
            user: format!(
                r#""username":"oidc:person{person}@example.com","groups":["oidc:platform","oidc:team-{person}","system:authenticated"],"extra":{{"authentication.kubernetes.io/credential-id":["JTI={}"]}}"#,
                random.uid()
            ),
            agent: "kubectl/v1.34.1 (darwin/arm64) kubernetes/93248f9".to_owned(),
            address: format!("198.51.100.{person}"),
        });
    }
    list
}

impl Traffic {
    /// Writes the audit events and the revisions.
    pub fn write(&self, audit: &mut impl Write, watch: &mut impl Write) -> io::Result<()> {
        let mut random = Random::new(self.seed);
        let clients = clients(&mut random);
        let mut now = START;
        let mut objects = Objects::new();
        let every = self.events.checked_div(self.gaps).map_or(u64::MAX, |every| every.max(1));
        let mut gaps = 0;
        for event in 0..self.events {
            now += random.between(1, self.spacing_micros * 2 - 1);
            if random.chance(25) {
                write_one(audit, watch, &mut random, &clients, now, &mut objects)?;
            } else {
                let Some(client) = random.pick(&clients) else { continue };
                read_one(audit, &mut random, client, now)?;
            }
            if event % every == every / 2 && gaps < self.gaps {
                gaps += 1;
                let revision = objects.next_revision();
                let key = format!("/registry/secrets/kube-system/injected-{gaps}");
                let object = Object { created: revision, modified: revision, version: 1 };
                revised(watch, &mut random, objects.deliver(now + 500), &key, revision, object)?;
            }
        }
        Ok(())
    }
}

/// An object as etcd has it.
#[derive(Clone, Copy, Debug, Default)]
struct Object {
    created: i64,
    modified: i64,
    /// 0: it does not exist.
    version: i64,
}

/// The objects that are written, by resource and number.
struct Objects {
    list: Vec<Object>,
    revision: i64,
    /// When the watch delivered last: it delivers in the order of revisions.
    delivered: i64,
}

/// Objects of each resource.
const OBJECTS: u64 = 20_000;

impl Objects {
    fn new() -> Self {
        Self {
            list: vec![Object::default(); OBJECTS as usize * WRITTEN.len()],
            revision: 100_000,
            delivered: 0,
        }
    }

    fn deliver(&mut self, time: i64) -> i64 {
        self.delivered = self.delivered.max(time);
        self.delivered
    }

    fn next_revision(&mut self) -> i64 {
        self.revision += 1;
        self.revision
    }
}

fn write_one(
    audit: &mut impl Write,
    watch: &mut impl Write,
    random: &mut Random,
    clients: &[Client],
    now: i64,
    objects: &mut Objects,
) -> io::Result<()> {
    let index = random.below(objects.list.len() as u64);
    let (resource, group) = WRITTEN.get((index / OBJECTS) as usize).copied().unwrap_or_default();
    // Of Pods a kubelet creates and deletes only the mirrors of static ones, of which there are none here.
    let clients = if resource == "pods" { clients.get(NODES..).unwrap_or_default() } else { clients };
    let Some(client) = random.pick(clients) else { return Ok(()) };
    let namespace = format!("team-{}", index % 60);
    let name = format!("{resource}-{:05x}", index % OBJECTS);
    let before = objects.list[index as usize];
    let verb = match (before.version, random.below(10)) {
        (0, _) => "create",
        (_, 0) => "delete",
        (_, 1..=4) => "patch",
        _ => "update",
    };
    let conflict = verb == "update" && random.chance(6);
    let done = now + random.between(900, 4_000);
    let code = match verb {
        _ if conflict => 409,
        "create" => 201,
        _ => 200,
    };
    if !conflict {
        let modified = objects.next_revision();
        let created = if before.version == 0 { modified } else { before.created };
        let object = if verb == "delete" {
            Object::default()
        } else {
            Object { created, modified, version: before.version + 1 }
        };
        objects.list[index as usize] = object;
        let key = format!("/registry/{resource}/{namespace}/{name}");
        let delivered = objects.deliver(done + random.between(50, 400));
        revised(watch, random, delivered, &key, modified, object)?;
    }
    let version = (verb == "update").then_some(before.modified);
    let line = Line { verb, group, resource, namespace: &namespace, name: &name, code, version };
    let staged = done + random.between(150, 700);
    line.write(audit, random, client, now, staged)
}

fn read_one(audit: &mut impl Write, random: &mut Random, client: &Client, now: i64) -> io::Result<()> {
    let (resource, group) = random.pick(READ).copied().unwrap_or_default();
    let namespace = if resource == "nodes" || group == "apiextensions.k8s.io" {
        String::new()
    } else {
        format!("team-{}", random.below(60))
    };
    let verb = random.word(&["get", "get", "get", "list", "watch"]);
    let name = if verb == "get" { format!("{resource}-{:05x}", random.below(40_000)) } else { String::new() };
    let code = if random.chance(3) { 404 } else { 200 };
    let line = Line { verb, group, resource, namespace: &namespace, name: &name, code, version: None };
    let staged = now + random.between(300, 9_000);
    line.write(audit, random, client, now, staged)
}

struct Line<'a> {
    verb: &'a str,
    group: &'a str,
    resource: &'a str,
    namespace: &'a str,
    name: &'a str,
    code: u16,
    version: Option<i64>,
}

impl Line<'_> {
    fn write(
        &self,
        audit: &mut impl Write,
        random: &mut Random,
        client: &Client,
        received: i64,
        staged: i64,
    ) -> io::Result<()> {
        let &Line { verb, group, resource, namespace, name, code, version } = self;
        let (prefix, api_group) = if group.is_empty() {
            ("/api/v1".to_owned(), String::new())
        } else {
            (format!("/apis/{group}/v1"), format!(r#","apiGroup":"{group}""#))
        };
        let scope = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
        let in_namespace =
            if namespace.is_empty() { String::new() } else { format!(r#","namespace":"{namespace}""#) };
        let (path, in_name) = if name.is_empty() {
            (String::new(), String::new())
        } else {
            (
                if verb == "create" { String::new() } else { format!("/{name}") },
                format!(r#","name":"{name}""#),
            )
        };
        let query = match verb {
            "list" => "?limit=500&resourceVersion=0",
            "watch" => "?allowWatchBookmarks=true&resourceVersion=918273&timeoutSeconds=512&watch=true",
            "patch" => "?fieldManager=operator&force=true",
            _ => "",
        };
        let version = version.map(|version| format!(r#","resourceVersion":"{version}""#)).unwrap_or_default();
        let failure = if code == 409 {
            format!(
                r#""status":"Failure","message":"Operation cannot be fulfilled on {resource} \"{name}\": the object has been modified; please apply your changes to the latest version and try again","reason":"Conflict","#
            )
        } else {
            String::new()
        };
        writeln!(
            audit,
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{}","stage":"ResponseComplete","requestURI":"{prefix}{scope}/{resource}{path}{query}","verb":"{verb}","user":{{{}}},"sourceIPs":["{}"],"userAgent":"{}","objectRef":{{"resource":"{resource}"{in_namespace}{in_name}{api_group},"apiVersion":"v1"{version}}},"responseStatus":{{"metadata":{{}},{failure}"code":{code}}},"requestReceivedTimestamp":"{}","stageTimestamp":"{}","annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"system:controller:{resource}-controller\" of ClusterRole \"system:controller:{resource}-controller\" to ServiceAccount \"{resource}-controller/kube-system\""}}}}"#,
            random.uid(),
            client.user,
            client.address,
            client.agent,
            micros(received),
            micros(staged)
        )
    }
}

fn revised(
    watch: &mut impl Write,
    random: &mut Random,
    at: i64,
    key: &str,
    revision: i64,
    object: Object,
) -> io::Result<()> {
    let (effect, encoding) = if object.version == 0 { ("DELETE", "null") } else { ("PUT", r#""k8s\u0000""#) };
    writeln!(
        watch,
        r#"{{"t_recv": {}.{:06}, "type": "{effect}", "key": "{key}", "create_revision": {}, "mod_revision": {revision}, "version": {}, "lease": null, "value_len": {}, "value_sha256": null, "first_uuid": null, "enc": {encoding}}}"#,
        at / 1_000_000,
        at % 1_000_000,
        object.created,
        object.version,
        random.below(4_000)
    )
}

/// RFC 3339 with six fraction digits, whatever the moment.
fn micros(time: i64) -> String {
    let mut text = Timestamp(time / 1_000_000 * 1_000_000_000).to_string();
    text.pop();
    format!("{text}.{:06}Z", time % 1_000_000)
}
