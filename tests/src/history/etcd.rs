//! etcd: revisions, the watch that reports them, and the log of requests.

use std::collections::BTreeMap;

use super::stamp;
use super::world::{Stream, World};
use super::{EtcdLog, MICRO};

#[derive(Clone, Copy, Debug)]
struct Object {
    created: i64,
    modified: i64,
    version: i64,
}

/// The key space: what is needed to tell revisions.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    revision: i64,
    objects: BTreeMap<String, Object>,
    watched: i64,
    lease: i64,
}

impl Store {
    pub(crate) fn new(revision: i64) -> Self {
        Self { revision, objects: BTreeMap::new(), watched: 0, lease: 7_587_890_000_000_000_001 }
    }

    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }

    pub(crate) fn revision_of(&self, key: &str) -> Option<i64> {
        self.objects.get(key).map(|object| object.modified)
    }

    pub(crate) fn keys_below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a String> {
        self.objects
            .range(prefix.to_owned()..)
            .map(|(key, _)| key)
            .take_while(move |key| key.starts_with(prefix))
    }

    /// An object from before the recording.
    pub(crate) fn exists_already(&mut self, key: &str) {
        let revision = self.revision - 500 + self.objects.len() as i64;
        self.objects.insert(key.to_owned(), Object { created: revision, modified: revision, version: 1 });
    }

    fn next_lease(&mut self) -> i64 {
        self.lease += 3;
        self.lease
    }
}

/// Who talks to etcd.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// Common name of its certificate.
    pub(crate) user: String,
    pub(crate) remote: String,
    /// It uses bare requests, not transactions.
    pub(crate) bare: bool,
}

fn api_server() -> Client {
    Client {
        user: "kube-apiserver-etcd-client".to_owned(),
        remote: "10.0.0.10:50854".to_owned(),
        bare: false,
    }
}

/// One request as its log line tells it: `request stats` and `apply request took too long` wrap it differently.
struct Said {
    method: &'static str,
    /// Operations for `request stats`.
    stats: String,
    /// Operations for the lines about applying.
    apply: String,
    secret: String,
}

impl World {
    /// A write of an API server.
    pub(crate) fn txn_put(&mut self, time: i64, key: &str, lasting: Option<i64>) -> i64 {
        self.put(time, key, lasting, &api_server())
    }

    /// A delete of an API server.
    pub(crate) fn txn_delete(&mut self, time: i64, key: &str) -> i64 {
        self.delete(time, key, &api_server())
    }

    /// A write by anybody. `lasting`: the key is bound to a lease that ends after so many nanoseconds.
    pub(crate) fn put(&mut self, time: i64, key: &str, lasting: Option<i64>, client: &Client) -> i64 {
        // Outside the registry is the compactor's key, whose value is the revision that it read.
        let number = self.etcd.revision.to_string();
        let plain = !key.starts_with('/');
        let size = if plain { number.len() as i64 } else { self.random.between(60, 900) };
        let lease = lasting.map(|_| self.etcd.next_lease());
        let lease_text = lease.map(|lease| format!(" lease:{lease}")).unwrap_or_default();
        let before = self.etcd.revision_of(key).unwrap_or(0);
        let put = format!(r#"key:\"{key}\" value_size:{size}{lease_text}"#);
        let secret = format!(r#"key:\"{key}\" value:\"k8s\\000 c3VwZXJzZWNyZXQ \"{lease_text}"#);
        let said = if client.bare {
            Said {
                method: "Put",
                stats: format!("{put} "),
                apply: format!("put:<{put} >"),
                secret: format!("put:<{secret} >"),
            }
        } else if !plain {
            let compare = format!(r#"compare:<target:MOD key:\"{key}\" mod_revision:{before} >"#);
            let failure =
                if before == 0 { String::new() } else { format!(r#"request_range:<key:\"{key}\" > "#) };
            Said {
                method: "Txn",
                stats: format!("{compare} success:<request_put:<{put} >> failure:<{failure}>"),
                apply: format!("txn:<{compare} success:<request_put:<{put} >> failure:<{failure}> >"),
                secret: format!("txn:<{compare} success:<request_put:<{secret} > > failure:<{failure}> > "),
            }
        } else {
            let compare = format!(r#"compare:<key:\"{key}\" version:{} >"#, self.version_of(key));
            let failure = format!(r#"request_range:<key:\"{key}\" > "#);
            Said {
                method: "Txn",
                stats: format!("{compare} success:<request_put:<{put} >> failure:<{failure}>"),
                apply: format!("txn:<{compare} success:<request_put:<{put} >> failure:<{failure}> >"),
                secret: format!("txn:<{compare} success:<request_put:<{put} > > failure:<{failure}> > "),
            }
        };
        self.etcd.revision += 1;
        let revision = self.etcd.revision;
        let object = self.etcd.objects.entry(key.to_owned()).or_insert(Object {
            created: revision,
            modified: 0,
            version: 0,
        });
        object.modified = revision;
        object.version += 1;
        let object = *object;
        self.say_request(time, client, &said, size);
        let lease = lease.map_or_else(|| "null".to_owned(), |lease| lease.to_string());
        let uid = self.random.uid();
        let hash = self.random.hex(64);
        let encoding = match (plain, client.bare) {
            (true, _) => &number,
            (false, true) => r#"{\"kind\""#,
            (false, false) => r"k8s\u0000",
        };
        let rest = format!(
            r#""create_revision": {}, "mod_revision": {revision}, "version": {}, "lease": {lease}, "value_len": {size}, "value_sha256": "{hash}", "first_uuid": "{uid}", "enc": "{encoding}""#,
            object.created, object.version
        );
        self.say_watch(time, "PUT", key, &rest);
        if let Some(lasting) = lasting.filter(|lasting| *lasting < super::SECOND * 3_600) {
            let key = key.to_owned();
            self.later((time + lasting - self.now).max(0), move |world| world.expire(&key, revision));
        }
        revision
    }

    fn version_of(&self, key: &str) -> i64 {
        self.etcd.objects.get(key).map_or(0, |object| object.version)
    }

    /// A delete by anybody.
    pub(crate) fn delete(&mut self, time: i64, key: &str, client: &Client) -> i64 {
        let before = self.etcd.revision_of(key).unwrap_or(0);
        let said = if client.bare {
            let range = format!(r#"key:\"{key}\" "#);
            Said {
                method: "DeleteRange",
                stats: range.clone(),
                apply: format!("delete_range:<{range}>"),
                secret: format!("delete_range:<{range}> "),
            }
        } else {
            let text = format!(
                r#"compare:<target:MOD key:\"{key}\" mod_revision:{before} > success:<request_delete_range:<key:\"{key}\" > > failure:<request_range:<key:\"{key}\" > >"#
            );
            Said {
                method: "Txn",
                apply: format!("txn:<{text} >"),
                secret: format!("txn:<{text} > "),
                stats: text,
            }
        };
        self.etcd.revision += 1;
        let revision = self.etcd.revision;
        self.etcd.objects.remove(key);
        self.say_request(time, client, &said, 0);
        self.say_deleted(time, key, revision);
        revision
    }

    /// A lease ends, and its key with it, unless it was written since.
    fn expire(&mut self, key: &str, written: i64) {
        if self.etcd.revision_of(key) != Some(written) {
            return;
        }
        self.etcd.revision += 1;
        let revision = self.etcd.revision;
        self.etcd.objects.remove(key);
        if self.options.etcd_log == EtcdLog::Debug {
            let (line, lease) = (stamp::micros(self.now), self.etcd.lease);
            self.say(
                Stream::Etcd,
                self.now,
                format!(
                    r#"{{"level":"debug","ts":"{line}","caller":"etcdserver/server.go:1985","msg":"applyEntryNormal","raftReq":"header:<ID:{lease} > lease_revoke:<ID:{lease} > "}}"#
                ),
            );
        }
        self.say_deleted(self.now, key, revision);
    }

    fn say_deleted(&mut self, time: i64, key: &str, revision: i64) {
        let rest = format!(
            r#""create_revision": null, "mod_revision": {revision}, "version": null, "lease": null, "value_len": 0, "value_sha256": null, "first_uuid": null, "enc": null"#
        );
        self.say_watch(time, "DELETE", key, &rest);
    }

    fn say_watch(&mut self, time: i64, kind: &str, key: &str, rest: &str) {
        if !self.options.etcd_watch {
            return;
        }
        let delivered = time + self.random.between(200 * MICRO, 900 * MICRO);
        self.etcd.watched = self.etcd.watched.max(delivered);
        let delivered = self.etcd.watched;
        let line =
            format!(r#"{{"t_recv": {}, "type": "{kind}", "key": "{key}", {rest}}}"#, stamp::unix(delivered));
        self.say(Stream::Watch, delivered, line);
    }

    fn say_request(&mut self, time: i64, client: &Client, said: &Said, size: i64) {
        let took = self.random.between(300 * MICRO, 900 * MICRO);
        let id = 7_587_890_000_000_000_000 + self.number() as i64;
        let (ts, user) = (stamp::micros(time), &client.user);
        let header = format!(r#"header:<ID:{id} username:\"{user}\" auth_revision:1 > "#);
        match self.options.etcd_log {
            EtcdLog::Info => {}
            EtcdLog::Debug => {
                let lines = [
                    format!(
                        r#"{{"level":"debug","ts":"{}","caller":"auth/store.go:1045","msg":"found command name","common-name":"{user}","user-name":"{user}","revision":1}}"#,
                        stamp::micros(time - took)
                    ),
                    format!(
                        r#"{{"level":"debug","ts":"{}","caller":"etcdserver/server.go:1985","msg":"applyEntryNormal","raftReq":"{header}{}"}}"#,
                        stamp::micros(time - took / 4),
                        said.secret
                    ),
                    format!(
                        r#"{{"level":"debug","ts":"{ts}","caller":"v3rpc/interceptor.go:186","msg":"request stats","start time":"{}","time spent":"{}","remote":"{}","response type":"/etcdserverpb.KV/{}","request count":1,"request size":{},"response count":0,"response size":39,"request content":"{}"}}"#,
                        stamp::micros(time - took),
                        stamp::duration(took),
                        client.remote,
                        said.method,
                        size + 60,
                        said.stats
                    ),
                ];
                for (index, line) in lines.into_iter().enumerate() {
                    self.say(Stream::Etcd, time - took + took * index as i64 / 2, line);
                }
            }
            EtcdLog::SlowApply => {
                let line = format!(
                    r#"{{"level":"warn","ts":"{ts}","caller":"txn/util.go:93","msg":"apply request took too long","took":"{}","expected-duration":"1ns","prefix":"","request":"{header}{}","response":"size:5"}}"#,
                    stamp::duration(took / 8),
                    said.apply
                );
                self.say(Stream::Etcd, time, line);
            }
        }
    }

    /// A line of etcd's log that is there at every verbosity.
    pub(crate) fn say_etcd(&mut self, caller: &str, message: &str, rest: &str) {
        let line = format!(
            r#"{{"level":"info","ts":"{}","caller":"{caller}","msg":"{message}"{rest}}}"#,
            stamp::micros(self.now)
        );
        self.say(Stream::Etcd, self.now, line);
    }
}
