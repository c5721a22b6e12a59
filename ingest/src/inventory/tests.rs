use std::collections::BTreeSet;

use auditgap_records::Timestamp;
use auditgap_records::inventory::{SpecCause, SpecCommand};

use super::{pod_facts, recognise, settings};

const POD: &str = r#"{
  "apiVersion": "v1", "kind": "Pod",
  "metadata": {
    "name": "api-0", "namespace": "shop", "uid": "0b7b2a3c-0000-4000-8000-000000000001",
    "creationTimestamp": "2026-03-01T10:00:00Z",
    "annotations": {"note": "2199-01-01T00:00:00Z"},
    "managedFields": [{"manager": "m", "time": "2026-03-01T10:00:07Z", "fieldsV1": {"time": "x"}}],
    "ownerReferences": [{"kind": "ConfigMap", "name": "not-me"}, {"kind": "StatefulSet", "name": "api", "controller": true}]
  },
  "spec": {
    "nodeName": "n7", "serviceAccountName": "api",
    "initContainers": [{"name": "init", "image": "setup:1"}],
    "containers": [{
      "name": "c", "image": "api:2",
      "livenessProbe": {"exec": {"command": ["cat", "/ok"]}, "periodSeconds": 5},
      "readinessProbe": {"httpGet": {"path": "/", "port": 80}},
      "startupProbe": {"exec": {"command": ["true"]}},
      "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "drain"]}}},
      "env": [{"name": "PLAIN", "value": "x"}, {"name": "PW", "valueFrom": {"secretKeyRef": {"name": "db", "key": "pw"}}}],
      "envFrom": [{"secretRef": {"name": "all"}}]
    }],
    "volumes": [
      {"name": "h", "hostPath": {"path": "/var/run"}},
      {"name": "s", "secret": {"secretName": "tls"}},
      {"name": "p", "projected": {"sources": [{"serviceAccountToken": {}}, {"secret": {"name": "proj"}}]}}
    ]
  },
  "status": {
    "containerStatuses": [{"name": "c", "containerID": "containerd://abc"}],
    "initContainerStatuses": [{"name": "init", "containerID": null}],
    "conditions": [{"lastProbeTime": null, "lastTransitionTime": "2026-03-01T10:00:05Z"}]
  }
}"#;

fn strings(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn a_pod_tells_what_the_kubelet_runs_and_what_it_mounts() {
    let facts = pod_facts(POD).unwrap();
    assert_eq!((facts.namespace.as_str(), facts.name.as_str(), facts.node.as_str()), ("shop", "api-0", "n7"));
    assert_eq!(facts.owner.as_deref(), Some("StatefulSet/api"));
    assert_eq!(facts.created, Timestamp::parse("2026-03-01T10:00:00Z"));
    let command = |cause, words: &[&str], period_seconds| SpecCommand {
        container: "c".to_owned(),
        cause,
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        period_seconds,
    };
    assert_eq!(
        facts.commands,
        [
            command(SpecCause::Probe, &["cat", "/ok"], 5),
            command(SpecCause::Probe, &["true"], 10),
            command(SpecCause::Hook, &["sh", "-c", "drain"], 0),
        ]
    );
    assert_eq!(facts.secrets, strings(&["all", "db", "proj", "tls"]));
    assert_eq!(facts.host_paths, strings(&["/var/run"]));
    assert_eq!(facts.containers.into_iter().collect::<Vec<_>>(), [("c".to_owned(), "abc".to_owned())]);
    assert_eq!(facts.images.len(), 2);
    assert_eq!(pod_facts(r#"{"kind":"Node","metadata":{"name":"n"}}"#), None);
}

#[test]
fn lists_of_every_spelling_are_read() {
    for (text, pods) in [
        (
            format!(
                r#"{{"apiVersion":"v1","items":[{POD}],"kind":"List","metadata":{{"resourceVersion":""}}}}"#
            ),
            1,
        ),
        (
            format!(
                r#"{{"kind":"PodList","apiVersion":"v1","items":[{}]}}"#,
                POD.replacen(r#""kind": "Pod","#, "", 1)
            ),
            1,
        ),
        (POD.to_owned(), 1),
        (
            format!(
                "---\n{}\n",
                "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: p, uid: u}"
            ),
            1,
        ),
        (r#"{"apiVersion":"v1","items":[],"kind":"List"}"#.to_owned(), 0),
    ] {
        let snapshot = recognise(text.as_bytes(), "file").unwrap();
        assert_eq!(snapshot.pods.len(), pods, "{text}");
        assert!(snapshot.manifests.is_empty(), "{text}");
    }
}

#[test]
fn a_snapshot_is_as_old_as_its_latest_server_set_time() {
    let snapshot = recognise(POD.as_bytes(), "pods.json").unwrap();
    assert_eq!(snapshot.as_of, Timestamp::parse("2026-03-01T10:00:07Z"));
    assert_eq!(snapshot.source, "pods.json");
}

#[test]
fn a_pod_without_uid_is_a_manifest() {
    for text in [
        "apiVersion: v1\nkind: Pod\nmetadata: {name: edge}\nspec: {containers: [{name: c, image: i}]}\n",
        "# comment\nkind: Pod\napiVersion: v1\nmetadata:\n  name: edge\n  creationTimestamp: null\n",
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"edge"}}"#,
    ] {
        let snapshot = recognise(text.as_bytes(), "edge.yaml").unwrap();
        assert_eq!(snapshot.manifests, BTreeSet::from([("default".to_owned(), "edge".to_owned())]), "{text}");
        assert!(snapshot.pods.is_empty(), "{text}");
    }
}

#[test]
fn cluster_objects_are_named() {
    let text = r#"{"apiVersion":"v1","kind":"List","items":[
        {"kind":"Namespace","metadata":{"name":"shop"}},
        {"kind":"Node","metadata":{"name":"n7"}},
        {"kind":"ClusterRoleBinding","metadata":{"name":"cb"}},
        {"kind":"RoleBinding","metadata":{"name":"rb","namespace":"shop"}},
        {"kind":"Widget","metadata":{"name":"w"},"spec":{"containers":7}}]}"#;
    let snapshot = recognise(text.as_bytes(), "all").unwrap();
    assert_eq!(snapshot.namespaces, strings(&["shop"]));
    assert_eq!(snapshot.nodes, strings(&["n7"]));
    assert_eq!(snapshot.bindings, strings(&["ClusterRoleBinding/cb", "RoleBinding/shop/rb"]));
}

#[test]
fn a_runtime_s_lists_are_read() {
    for (text, containers, images) in [
        (
            "CONTAINER    IMAGE    RUNTIME                  \nc1    busybox:1    io.containerd.runc.v2\nc2    -    x\n",
            2,
            1,
        ),
        (
            "REF TYPE DIGEST SIZE PLATFORMS LABELS \nbusybox:1 application/x sha256:1 2.0 MiB linux/amd64 a=b \n",
            0,
            1,
        ),
        (
            r#"{"containers":[{"id":"c1","podSandboxId":"s1","image":{"image":"sha256:1","userSpecifiedImage":"busybox:1"},"createdAt":"1795434976653167000"}]}"#,
            2,
            2,
        ),
        (r#"{"items":[{"id":"s1","state":"SANDBOX_READY","createdAt":"1795434976653167000"}]}"#, 1, 0),
        (r#"{"images":[{"id":"sha256:1","repoTags":["busybox:1"],"repoDigests":[]}]}"#, 0, 2),
    ] {
        let snapshot = recognise(text.as_bytes(), "runtime").unwrap();
        assert_eq!((snapshot.containers.len(), snapshot.images.len()), (containers, images), "{text}");
    }
}

#[test]
fn other_files_are_left_alone() {
    for text in [
        "",
        "{",
        "State Recv-Q Send-Q Local Address:Port",
        "NAME   LABELS \nk8s.io        \n",
        r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"level":"Metadata"}]}"#,
        "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\"}\n{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\"}\n",
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: []\n",
        "apiVersion: v1\nkind: Config\nusers: [{name: admin, user: {token: abc}}]\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: [}\n",
    ] {
        assert_eq!(recognise(text.as_bytes(), "file"), None, "{text}");
    }
    assert_eq!(recognise(b"\xff\xfe\0binary", "file"), None);
}

#[test]
fn kubelet_settings_are_flattened_and_credentials_masked() {
    let yaml = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nreadOnlyPort: 10255\nauthentication:\n  anonymous: {enabled: true}\nclusterDNS: [10.0.0.10, fd00::a]\nstaticPodURLHeader: {Authorization: [Bearer abc]}\n";
    let json = r#"{"kubeletconfig":{"readOnlyPort":10255,"authentication":{"anonymous":{"enabled":true}},"clusterDNS":["10.0.0.10","fd00::a"],"staticPodURLHeader":{"Authorization":["Bearer abc"]}}}"#;
    for text in [yaml, json] {
        let mut found = settings(text.as_bytes(), "config.yaml").unwrap();
        found.sort();
        let expected = [
            ("authentication.anonymous.enabled", "true"),
            ("clusterDNS", "10.0.0.10,fd00::a"),
            ("readOnlyPort", "10255"),
            ("staticPodURLHeader", "(masked)"),
        ];
        let found: Vec<_> = found.iter().map(|(_, key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(found, expected, "{text}");
    }
    assert_eq!(settings(b"kind: Pod\n", "x"), None);
}
