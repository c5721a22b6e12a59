//! A request to the API server: its audit events, and what it writes to etcd.

use std::fmt::Write as _;

use super::people::Actor;
use super::stamp;
use super::world::{Stream, World};
use super::{Auditing, MICRO};

/// A kind of API object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) resource: &'static str,
    pub(crate) name: &'static str,
    /// Folder below `/registry`.
    pub(crate) folder: &'static str,
}

const fn kind(group: &'static str, resource: &'static str, name: &'static str, folder: &'static str) -> Kind {
    Kind { group, resource, name, folder }
}

pub(crate) const POD: Kind = kind("", "pods", "Pod", "pods");
pub(crate) const EVENT: Kind = kind("", "events", "Event", "events");
pub(crate) const NAMESPACE: Kind = kind("", "namespaces", "Namespace", "namespaces");
pub(crate) const NODE: Kind = kind("", "nodes", "Node", "minions");
pub(crate) const SECRET: Kind = kind("", "secrets", "Secret", "secrets");
pub(crate) const CONFIG_MAP: Kind = kind("", "configmaps", "ConfigMap", "configmaps");
pub(crate) const SERVICE: Kind = kind("", "services", "Service", "services/specs");
pub(crate) const SERVICE_ACCOUNT: Kind = kind("", "serviceaccounts", "ServiceAccount", "serviceaccounts");
pub(crate) const DEPLOYMENT: Kind = kind("apps", "deployments", "Deployment", "deployments");
pub(crate) const REPLICA_SET: Kind = kind("apps", "replicasets", "ReplicaSet", "replicasets");
pub(crate) const LEASE: Kind = kind("coordination.k8s.io", "leases", "Lease", "leases");
pub(crate) const ENDPOINT_SLICE: Kind =
    kind("discovery.k8s.io", "endpointslices", "EndpointSlice", "endpointslices");
pub(crate) const IP_ADDRESS: Kind = kind("networking.k8s.io", "ipaddresses", "IPAddress", "ipaddresses");
pub(crate) const BINDING: Kind =
    kind("rbac.authorization.k8s.io", "clusterrolebindings", "ClusterRoleBinding", "clusterrolebindings");
pub(crate) const WIDGET: Kind = kind("shop.example.com", "widgets", "Widget", "shop.example.com/widgets");
pub(crate) const TOKEN_REVIEW: Kind = kind("authentication.k8s.io", "tokenreviews", "TokenReview", "");

impl Kind {
    /// Key in etcd.
    pub(crate) fn key(self, namespace: &str, name: &str) -> String {
        let slash = if namespace.is_empty() { "" } else { "/" };
        format!("/registry/{}/{namespace}{slash}{name}", self.folder)
    }

    fn prefix(self) -> String {
        if self.group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}/v1", self.group) }
    }

    fn api_version(self) -> String {
        if self.group.is_empty() { "v1".to_owned() } else { format!("{}/v1", self.group) }
    }
}

/// What a request does to a key.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Put(String),
    /// A put bound to a lease that ends after so many nanoseconds.
    PutFor(String, i64),
    Delete(String),
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) actor: Actor,
    pub(crate) verb: &'static str,
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    /// Name in the request; empty for a list, a collection and a generated name.
    pub(crate) name: String,
    /// Name in the answer, where it differs.
    pub(crate) made: String,
    pub(crate) subresource: &'static str,
    pub(crate) query: String,
    /// UID in the object reference.
    pub(crate) reference_uid: String,
    /// The request names the revision that it expects.
    pub(crate) preconditioned: bool,
    pub(crate) code: u16,
    pub(crate) writes: Vec<Write>,
    pub(crate) uid: String,
    /// Rest of the object's JSON, beginning with a comma.
    pub(crate) rest: String,
    /// The answer is a `Status`, not the object.
    pub(crate) answers_status: bool,
    /// Rest of the annotations' JSON, beginning with a comma.
    pub(crate) annotations: String,
}

impl Call {
    pub(crate) fn new(actor: Actor, verb: &'static str, kind: Kind, namespace: &str, name: &str) -> Self {
        Self {
            actor,
            verb,
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            made: String::new(),
            subresource: "",
            query: String::new(),
            reference_uid: String::new(),
            preconditioned: matches!(verb, "update"),
            code: if verb == "create" { 201 } else { 200 },
            writes: Vec::new(),
            uid: String::new(),
            rest: String::new(),
            answers_status: false,
            annotations: String::new(),
        }
    }

    fn key(&self) -> String {
        self.kind.key(&self.namespace, if self.made.is_empty() { &self.name } else { &self.made })
    }

    /// It writes its object.
    pub(crate) fn puts(mut self) -> Self {
        self.writes.push(Write::Put(self.key()));
        self
    }

    /// It deletes its object.
    pub(crate) fn deletes(mut self) -> Self {
        self.writes.push(Write::Delete(self.key()));
        self
    }

    pub(crate) fn of(mut self, uid: &str) -> Self {
        uid.clone_into(&mut self.uid);
        self
    }

    pub(crate) fn on(mut self, subresource: &'static str) -> Self {
        self.subresource = subresource;
        self
    }

    pub(crate) fn answered(mut self, code: u16) -> Self {
        self.code = code;
        self
    }

    pub(crate) fn with_status(mut self) -> Self {
        self.answers_status = true;
        self
    }

    fn uri(&self) -> String {
        let mut uri = self.kind.prefix();
        if self.kind == NAMESPACE {
            let _ = write!(uri, "/namespaces");
        } else if self.namespace.is_empty() {
            let _ = write!(uri, "/{}", self.kind.resource);
        } else {
            let _ = write!(uri, "/namespaces/{}/{}", self.namespace, self.kind.resource);
        }
        // A create names its object in the body, but for subresources.
        if !self.name.is_empty() && (self.verb != "create" || !self.subresource.is_empty()) {
            let _ = write!(uri, "/{}", self.name);
        }
        if !self.subresource.is_empty() {
            let _ = write!(uri, "/{}", self.subresource);
        }
        uri + &self.query
    }

    fn reference(&self, resource_version: Option<i64>) -> String {
        let mut text = format!(r#"{{"resource":"{}""#, self.kind.resource);
        for (field, value) in [
            ("namespace", if self.kind == NAMESPACE { &self.name } else { &self.namespace }),
            ("name", &self.name),
            ("uid", &self.reference_uid),
        ] {
            if !value.is_empty() {
                let _ = write!(text, r#","{field}":"{value}""#);
            }
        }
        if !self.kind.group.is_empty() {
            let _ = write!(text, r#","apiGroup":"{}""#, self.kind.group);
        }
        text.push_str(r#","apiVersion":"v1""#);
        if let Some(revision) = resource_version {
            let _ = write!(text, r#","resourceVersion":"{revision}""#);
        }
        if !self.subresource.is_empty() {
            let _ = write!(text, r#","subresource":"{}""#, self.subresource);
        }
        text.push('}');
        text
    }

    /// What a collection's deletion lists: the objects as they were.
    fn items(&self) -> Vec<String> {
        let names = self.writes.iter().filter_map(|write| match write {
            Write::Delete(key) => key.rsplit('/').next(),
            Write::Put(_) | Write::PutFor(..) => None,
        });
        names
            .map(|name| format!(r#"{{"metadata":{{"name":"{name}","namespace":"{}"}}}}"#, self.namespace))
            .collect()
    }

    fn object(&self, name: &str, created: i64, revision: Option<i64>) -> String {
        let mut text = format!(
            r#"{{"kind":"{}","apiVersion":"{}","metadata":{{"name":"{name}""#,
            self.kind.name,
            self.kind.api_version()
        );
        if !self.namespace.is_empty() {
            let _ = write!(text, r#","namespace":"{}""#, self.namespace);
        }
        if let Some(revision) = revision {
            let _ = write!(
                text,
                r#","uid":"{}","resourceVersion":"{revision}","creationTimestamp":"{}""#,
                self.uid,
                stamp::seconds(created)
            );
        }
        text.push('}');
        text.push_str(&self.rest);
        text.push('}');
        text
    }
}

/// How much of a request a policy records.
fn level(auditing: Auditing, kind: Kind) -> Option<&'static str> {
    match auditing {
        Auditing::RequestResponse => Some("RequestResponse"),
        Auditing::Managed if kind == EVENT => None,
        Auditing::Managed if kind == POD => Some("RequestResponse"),
        Auditing::Metadata | Auditing::Managed => Some("Metadata"),
    }
}

impl World {
    /// Makes a request now. It is worked on for some milliseconds, in which it writes.
    pub(crate) fn call(&mut self, call: Call) {
        let received = self.now;
        let work = self.random.between(1_200 * MICRO, 5_000 * MICRO);
        self.later(work, move |world| world.answer(&call, received));
    }

    fn answer(&mut self, call: &Call, received: i64) {
        let before = self.etcd.revision_of(&call.key());
        let mut revision = before;
        let mut time = self.now;
        for write in &call.writes {
            let made = match write {
                Write::Put(key) => self.txn_put(time, key, None),
                Write::PutFor(key, lasting) => self.txn_put(time, key, Some(*lasting)),
                Write::Delete(key) => self.txn_delete(time, key),
            };
            // A side effect on another key does not change the object's revision.
            if matches!(write, Write::Put(key) | Write::PutFor(key, _) | Write::Delete(key) if *key == call.key())
            {
                revision = Some(made);
            }
            time += self.random.between(500 * MICRO, 1_100 * MICRO);
        }
        let staged = time + self.random.between(200 * MICRO, 900 * MICRO);
        self.audit(call, received, staged, before, revision);
    }

    /// The audit events of a request that is over.
    fn audit(&mut self, call: &Call, received: i64, staged: i64, before: Option<i64>, revision: Option<i64>) {
        let Some(level) = level(self.options.auditing, call.kind) else { return };
        let precondition = before.filter(|_| call.preconditioned);
        let head = self.audit_head(level, call);
        if self.options.auditing == Auditing::RequestResponse {
            let line = format!(
                r#"{head}"objectRef":{},"requestReceivedTimestamp":"{received}","stageTimestamp":"{received}"}}"#,
                call.reference(None),
                received = stamp::micros(received)
            )
            .replacen("ResponseComplete", "RequestReceived", 1);
            self.say_audit(received, line);
        }
        let failed = call.code >= 400;
        let mut status = r#"{"metadata":{}"#.to_owned();
        if failed {
            let reason = match call.code {
                403 => "Forbidden",
                404 => "NotFound",
                409 => "Conflict",
                _ => "Invalid",
            };
            let _ = write!(
                status,
                r#","status":"Failure","message":"{} \"{}\": {reason}","reason":"{reason}""#,
                call.kind.resource, call.name
            );
        } else if call.answers_status {
            status.push_str(r#","status":"Success""#);
            if call.verb == "delete" {
                let _ = write!(
                    status,
                    r#","details":{{"name":"{}","kind":"{}","uid":"{}"}}"#,
                    call.name, call.kind.resource, call.uid
                );
            }
        }
        let _ = write!(status, r#","code":{}}}"#, call.code);
        let mut line =
            format!(r#"{head}"objectRef":{},"responseStatus":{status}"#, call.reference(precondition));
        if level == "RequestResponse" {
            let name = if call.made.is_empty() { &call.name } else { &call.made };
            if matches!(call.verb, "create" | "update" | "patch") {
                let _ = write!(line, r#","requestObject":{}"#, call.object(&call.name, received, None));
            } else if call.verb.starts_with("delete") {
                line.push_str(
                    r#","requestObject":{"kind":"DeleteOptions","apiVersion":"meta.k8s.io/__internal"}"#,
                );
            }
            if failed || call.answers_status {
                let _ =
                    write!(line, r#","responseObject":{{"kind":"Status","apiVersion":"v1",{}"#, &status[1..]);
            } else if call.verb == "deletecollection" {
                let _ = write!(
                    line,
                    r#","responseObject":{{"kind":"{}List","apiVersion":"{}","metadata":{{"resourceVersion":"{}"}},"items":[{}]}}"#,
                    call.kind.name,
                    call.kind.api_version(),
                    self.etcd.revision(),
                    call.items().join(",")
                );
            } else if call.query.contains("dryRun") {
                let _ = write!(line, r#","responseObject":{}"#, call.object(name, received, None));
            } else {
                let _ = write!(line, r#","responseObject":{}"#, call.object(name, received, revision));
            }
        }
        let _ = write!(
            line,
            r#","requestReceivedTimestamp":"{}","stageTimestamp":"{}","annotations":{{"authorization.k8s.io/decision":"{}","authorization.k8s.io/reason":""{}}}}}"#,
            stamp::micros(received),
            stamp::micros(staged),
            if call.code == 403 { "forbid" } else { "allow" },
            call.annotations
        );
        self.say_audit(staged, line);
    }

    fn say_audit(&mut self, time: i64, line: String) {
        let server = self.random.below(self.options.api_servers as u64) as usize;
        // Lines are not in the order of their stages: they are written by whoever comes first.
        let written = time + self.random.between(0, 2_500 * MICRO);
        self.say(Stream::Audit(server), written, line);
    }

    fn audit_head(&mut self, level: &str, call: &Call) -> String {
        let id = self.random.uid();
        let groups: Vec<String> = call.actor.groups.iter().map(|group| format!("\"{group}\"")).collect();
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"{level}","auditID":"{id}","stage":"ResponseComplete","requestURI":"{}","verb":"{}","user":{{"username":"{}","groups":[{}]}},"sourceIPs":["{}"],"userAgent":"{}","#,
            call.uri(),
            call.verb,
            call.actor.user,
            groups.join(","),
            call.actor.address,
            call.actor.agent
        )
    }

    /// The audit events of a stream (exec, attach, port-forward): when it is accepted, and when it ends.
    pub(crate) fn audit_stream(&mut self, call: &Call, received: i64, started: i64, ended: i64) {
        let Some(level) = level(self.options.auditing, call.kind) else { return };
        let head = self.audit_head(level, call);
        for (stage, time) in [("ResponseStarted", started), ("ResponseComplete", ended)] {
            let line = format!(
                r#"{}"objectRef":{},"responseStatus":{{"metadata":{{}},"code":{}}},"requestReceivedTimestamp":"{}","stageTimestamp":"{}","annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}}}"#,
                head.replacen("ResponseComplete", stage, 1),
                call.reference(None),
                call.code,
                stamp::micros(received),
                stamp::micros(time)
            );
            self.say_audit(time, line);
        }
    }
}
