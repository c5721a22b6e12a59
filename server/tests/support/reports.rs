//! Reports to be rendered, one of them hostile.

use auditgap_records::report::{
    Actor, Confidence, Coverage, Evidence, Expected, ExpectedRequest, Gap, GapObject, Incident, Path,
    PolicyRuleRef, RejectedCandidate, RejectedLine, Report, SCHEMA, Severity, Totals, Unassessable,
};
use auditgap_records::{Interval, Timestamp};
use auditgap_server::cli::OutputFormat;
use auditgap_server::render::{self, TextStyle};

pub(crate) fn at(time: &str) -> Timestamp {
    Timestamp::parse(&format!("2026-03-31T{time}Z")).unwrap()
}

pub(crate) fn evidence(feed: &str, time: &str, line: u32, summary: &str, raw: &str) -> Evidence {
    Evidence {
        feed: feed.into(),
        time: at(time),
        seen: None,
        file: format!("logs/{}.log", feed.split('/').next().unwrap()),
        line,
        offset: u64::from(line) * 400,
        length: raw.len() as u32,
        raw: Some(raw.into()),
        summary: summary.into(),
    }
}

fn gap(id: &str, path: Path, severity: Severity, title: &str, why: &str, evidence: Vec<Evidence>) -> Gap {
    Gap {
        id: id.into(),
        incident: String::new(),
        path,
        technique: vec![],
        attack: vec![],
        rule: "etcd_write".into(),
        title: title.into(),
        severity,
        confidence: Confidence::Certain,
        first_seen: evidence.first().unwrap().time,
        last_seen: evidence.last().unwrap().time,
        count: 1,
        node: String::new(),
        object: GapObject::default(),
        actor: Actor::default(),
        expected: Expected::default(),
        rejected_candidates: vec![],
        policy_rule: None,
        exception: None,
        why: why.into(),
        next_steps: vec![],
        evidence,
    }
}

/// The report in one of its forms.
pub(crate) fn rendered(report: &Report, format: OutputFormat, colour: bool) -> String {
    let mut bytes = Vec::new();
    render::write(report, format, TextStyle { width: 100, colour }, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A report with something of everything in it.
pub(crate) fn sample() -> Report {
    let mut secret = gap(
        "g-7c1f0a2b",
        Path::EtcdApi,
        Severity::Critical,
        "ClusterRoleBinding/backup-sync written to etcd past the API server",
        "Revision 48123 of /registry/clusterrolebindings/backup-sync was written at 10:14:03.221 by a bare KV/Put. The API server writes only in transactions, so this write did not come from it; no audit record of a create, update or patch of this object exists between 10:13:58 and 10:14:08, although the policy logs every one of them and the audit feed is complete up to 10:59:58.",
        vec![
            evidence(
                "etcd/master-1/etcd",
                "10:14:03.221417",
                8_812,
                "KV/Put of /registry/clusterrolebindings/backup-sync by etcd-admin from 10.3.0.9:51822",
                r#"{"level":"debug","ts":"2026-03-31T10:14:03.221Z","msg":"request stats","response type":"/etcdserverpb.KV/Put","request content":"key:\"/registry/clusterrolebindings/backup-sync\" value_size:412"}"#,
            ),
            evidence(
                "etcd/master-1/watch",
                "10:14:03.221900",
                4_101,
                "revision 48123: PUT of /registry/clusterrolebindings/backup-sync, version 1, 412 bytes",
                r#"{"type":"PUT","key":"/registry/clusterrolebindings/backup-sync","mod_revision":48123}"#,
            ),
        ],
    );
    secret.incident = "i-7c1f".into();
    secret.technique = vec!["ET2".into()];
    secret.attack = vec!["T1098.006".into(), "T1565.001".into()];
    secret.object = GapObject {
        group: "rbac.authorization.k8s.io".into(),
        resource: "clusterrolebindings".into(),
        name: "backup-sync".into(),
        uid: "0e1c1a0e-9f0b-4a51-8a80-b4aa7e2a3d11".into(),
        key: "/registry/clusterrolebindings/backup-sync".into(),
        ..GapObject::default()
    };
    secret.actor = Actor {
        certificate_cn: "etcd-admin".into(),
        source_ip: "10.3.0.9".into(),
        candidates: vec![
            "process etcdctl (pid 41177, login uid 1003) was started 0.4 s before on master-1".into(),
        ],
        ..Actor::default()
    };
    secret.expected = Expected {
        requests: ["create", "update", "patch"]
            .map(|verb| ExpectedRequest {
                verb: verb.into(),
                resource: "clusterrolebindings".into(),
                name: "backup-sync".into(),
                ..ExpectedRequest::default()
            })
            .to_vec(),
        window: Some(Interval::new(at("10:13:58"), at("10:14:08"))),
        audit_watermark: Some(at("10:59:58")),
    };
    secret.rejected_candidates = vec![RejectedCandidate {
        audit: evidence(
            "audit/master-1/audit",
            "10:13:59.002",
            77_120,
            "get clusterrolebindings/backup-sync by ops-ro: 404",
            r#"{"kind":"Event","verb":"get"}"#,
        ),
        why: "a read writes nothing".into(),
    }];
    secret.next_steps = vec![
        "Read the binding's subjects: kubectl get clusterrolebinding backup-sync -o yaml".into(),
        "Revoke the client certificate etcd-admin and find where its key was used from.".into(),
    ];
    let mut exec = gap(
        "g-19d4e07f",
        Path::KubeletApi,
        Severity::High,
        "Command run in payments/ledger-0 through the kubelet of node-2",
        "The kubelet of node-2 served POST /run/payments/ledger-0/app at 10:15:40. A command that comes through the API server leaves a create of pods/exec in the audit trail; there is none for this Pod within 30 seconds.",
        vec![evidence(
            "kubelet/node-2/kubelet",
            "10:15:40.118",
            30_214,
            "POST /run/payments/ledger-0/app from 10.3.0.9, 200, 51 ms",
            "I0331 10:15:40.118311    1203 httplog.go:132] \"HTTP\" verb=\"POST\" URI=\"/run/payments/ledger-0/app?cmd=id\" latency=\"51ms\" srcIP=\"10.3.0.9:40112\" resp=200",
        )],
    );
    exec.incident = "i-7c1f".into();
    exec.technique = vec!["KA1".into()];
    exec.attack = vec!["T1609".into()];
    exec.rule = "kubelet_exec".into();
    exec.confidence = Confidence::High;
    exec.node = "node-2".into();
    exec.count = 3;
    exec.last_seen = at("10:16:02.400");
    exec.object = GapObject {
        resource: "pods/exec".into(),
        namespace: "payments".into(),
        name: "ledger-0".into(),
        ..GapObject::default()
    };
    exec.actor = Actor {
        user: "system:masters via kubelet-client".into(),
        source_ip: "10.3.0.9".into(),
        user_agent: "curl/8.5.0".into(),
        ..Actor::default()
    };
    let mut refused = gap(
        "g-55aa0913",
        Path::KubeletApi,
        Severity::Low,
        "Anonymous request to the kubelet of node-1 refused",
        "A request without credentials to /pods was answered 401. Nothing was done; somebody tried.",
        vec![evidence("kubelet/node-1/kubelet", "10:52:11", 9, "GET /pods from 10.3.0.77, 401", "I0331 ...")],
    );
    refused.confidence = Confidence::Medium;
    let mut blind = gap(
        "b-0d3c",
        Path::EtcdApi,
        Severity::Info,
        "Events deleted in bulk",
        "1,204 keys below /registry/events were deleted. The policy logs no request on events, so nobody can say whether the API server was asked.",
        vec![evidence(
            "etcd/master-1/watch",
            "10:31:00",
            9_000,
            "1204 deletes below /registry/events/",
            "{}",
        )],
    );
    blind.policy_rule =
        Some(PolicyRuleRef { index: Some(5), text: "level: None, resources: [events]".into() });
    blind.count = 1204;
    let incident = Incident {
        id: "i-7c1f".into(),
        title: "etcd written directly, then a command run in payments/ledger-0".into(),
        severity: Severity::Critical,
        first_seen: at("10:14:03.221417"),
        last_seen: at("10:16:02.400"),
        gaps: vec!["g-7c1f0a2b".into(), "g-19d4e07f".into()],
        story: "From 10.3.0.9 a role binding was written straight into etcd; 97 seconds later the same address ran three commands in payments/ledger-0 through the kubelet of node-2. Neither left an audit record.".into(),
    };
    let coverage =
        |kind: &str, instance: &str, source: &str, format: &str, from: &str, to: &str, records| Coverage {
            feed: format!("{kind}/{instance}/{source}"),
            kind: kind.into(),
            instance: instance.into(),
            format: format.into(),
            from: Some(at(from)),
            to: Some(at(to)),
            records,
            rejected: 0,
            offset_ms: None,
            silent: vec![],
            notes: vec![],
            rejects: vec![],
        };
    let mut feeds = vec![
        coverage("audit", "master-1", "audit", "audit.k8s.io/v1 JSON", "10:00:00", "10:59:58", 182_334),
        coverage("etcd", "master-1", "etcd", "etcd zap JSON", "10:00:00", "10:59:59", 90_112),
        coverage("etcd", "master-1", "watch", "etcd watch", "10:00:01", "10:59:59", 41_870),
        coverage("kubelet", "node-1", "kubelet", "kubelet klog", "10:00:02", "10:59:50", 20_001),
        coverage("kubelet", "node-2", "kubelet", "kubelet klog", "10:00:02", "10:59:51", 36_540),
        coverage("runtime", "node-2", "containerd", "containerd log", "10:02:00", "10:40:12", 7_712),
    ];
    feeds[3].silent = vec![Interval::new(at("10:20:00"), at("10:41:00"))];
    feeds[3].rejected = 2;
    feeds[3].rejects = vec![RejectedLine {
        file: "logs/kubelet.log".into(),
        line: 512,
        reason: "not UTF-8 at byte 17".into(),
    }];
    feeds[4].offset_ms = Some(-3.4);
    feeds[4].notes = vec!["year 2026 and UTC taken from the audit feed".into()];
    Report {
        schema: SCHEMA.into(),
        cluster: "prod-eu-1".into(),
        window: Some(Interval::new(at("10:00:00"), at("10:59:59"))),
        coverage: feeds,
        totals: Totals { actions: 45_210, explained: 43_816, gap: 5, blind_spot: 1_204, unassessable: 185 },
        explained_by: [
            ("revision", 30_112),
            ("request", 9_401),
            ("lineage", 2_200),
            ("probe", 1_900),
            ("system_write", 203),
        ]
        .into_iter()
        .map(|(how, count)| (how.to_owned(), count))
        .collect(),
        gaps: vec![secret, exec, refused],
        incidents: vec![incident],
        blind_spots: vec![blind],
        unassessable: vec![
            Unassessable {
                path: Path::KubeletApi,
                reason: "the kubelet feed of node-1 was silent".into(),
                from: Some(at("10:20:00")),
                to: Some(at("10:41:00")),
                actions: 185,
                cure:
                    "Find out why journald on node-1 stopped, and raise RateLimitBurst if it dropped lines."
                        .into(),
            },
            Unassessable {
                path: Path::StaticPod,
                reason: "no inventory: static Pods cannot be told from declared ones".into(),
                from: None,
                to: None,
                actions: 0,
                cure: "auditgap scan --inventory pods.json".into(),
            },
        ],
    }
}

/// What an attacker would like to have written into a log.
pub(crate) const HOSTILE: &str =
    "\u{1b}[2J\u{202e}<script>alert(1)</script>\" onmouseover=\"x\0\r\n=cmd|' /C calc'!A0</style></pre>";

/// The sample with hostile text wherever a log's text can reach.
pub(crate) fn hostile() -> Report {
    let text = serde_json::to_string(&sample()).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    poison(&mut value, "");
    serde_json::from_value(value).unwrap()
}

fn poison(value: &mut serde_json::Value, key: &str) {
    // Words of the contract stay what they are, or the report could not be read back.
    const WORDS: [&str; 9] = [
        "path",
        "severity",
        "confidence",
        "from",
        "to",
        "first_seen",
        "last_seen",
        "time",
        "audit_watermark",
    ];
    match value {
        serde_json::Value::String(text) if !WORDS.contains(&key) => *text = format!("={HOSTILE}{text}"),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| poison(item, key)),
        serde_json::Value::Object(fields) => fields.iter_mut().for_each(|(key, field)| poison(field, key)),
        _ => {}
    }
}
