//! What a person may set, each with its default and the reason for it.

use std::time::Duration;

use auditgap_records::FeedKind;

/// Settings of one engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Records held back to put them in order, at the most. A finished recording below this size is judged as a
    /// whole, in whatever order it came. Sixty thousand records take some 20 MB.
    pub reorder_capacity: usize,
    /// How far a feed's records may be out of order: a line is written when its request ends, and several writers
    /// share a log.
    pub lateness: Duration,
    /// How much later than an action its request may end and still account for it: `--request-timeout` of the API
    /// server (60 s by default) and a margin.
    pub request_timeout: Duration,
    /// How far before a request's reception an effect may be stamped: clocks of one host jitter by milliseconds.
    pub skew: Duration,
    /// How long after a request's end its revision may reach a watcher.
    pub watch_lag: Duration,
    /// Silence after which an audit feed is no longer taken to be complete. A running control plane renews leases
    /// every 2 to 10 s, and few policies drop all of them.
    pub audit_idle: Duration,
    /// Silence after which any other feed is shown as silent.
    pub idle: Duration,
    /// How long a copy, compaction or rewriting of etcd's database waits for others that come at the same interval, as
    /// a job's do. The default lets a finished recording be judged as a whole; who watches live wants minutes.
    pub rhythm_wait: Duration,
    /// Key prefixes under which an API server stores its objects (`--etcd-prefix`).
    pub key_prefixes: Vec<String>,
    /// Evidence kept of one gap, at the most.
    pub evidence_limit: usize,
    /// Gaps kept, at the most; more are counted as unassessable, never dropped in silence.
    pub gap_limit: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reorder_capacity: 60_000,
            lateness: Duration::from_secs(10),
            request_timeout: Duration::from_secs(65),
            skew: Duration::from_millis(50),
            watch_lag: Duration::from_secs(2),
            audit_idle: Duration::from_secs(60),
            idle: Duration::from_secs(300),
            rhythm_wait: Duration::from_hours(24),
            key_prefixes: ["/registry", "/kubernetes.io", "/openshift.io"].map(str::to_owned).to_vec(),
            evidence_limit: 20,
            gap_limit: 50_000,
        }
    }
}

impl Settings {
    /// Silence after which a feed of this kind is shown as silent.
    pub fn idle_limit(&self, kind: FeedKind) -> Duration {
        match kind {
            FeedKind::Audit => self.audit_idle,
            FeedKind::Kubelet | FeedKind::Etcd | FeedKind::Runtime | FeedKind::Host | FeedKind::ApiServer => {
                self.idle
            }
        }
    }
}
