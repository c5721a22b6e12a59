use std::borrow::Cow;

use auditgap_records::kubelet::{PodRef, PodSource, SyncOp};
use auditgap_records::{Body, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::clock::ClockHint;

fn context() -> LineContext {
    let near = Timestamp::parse("2026-11-23T12:00:00Z").unwrap();
    LineContext { clock: ClockHint { near, zone_seconds: 0 }, transport_time: None }
}

fn pod(namespace: &'static str, name: &'static str) -> PodRef<'static> {
    PodRef { namespace: namespace.into(), name: name.into(), uid: None }
}

fn old_pod(namespace: &'static str, name: &'static str) -> PodRef<'static> {
    PodRef { uid: Some("u-1".into()), ..pod(namespace, name) }
}

fn words(words: &[&'static str]) -> Vec<Text<'static>> {
    words.iter().copied().map(Cow::Borrowed).collect()
}

/// Each message as the text form has it; the header is put before it.
fn assert_lines(cases: Vec<(&str, KubeletLine<'_>)>) {
    let time = Timestamp::parse("2026-11-23T11:56:57.679743Z").unwrap();
    for (message, expected) in cases {
        let line = format!("I1123 11:56:57.679743   29044 file.go:1] {message}");
        assert_eq!(Kubelet.parse(&line, &context()), Parsed::Record(time, Body::Kubelet(expected)), "{line}");
    }
}

#[test]
fn sync_loop_lines_of_all_versions() {
    let line =
        |op, source, pods: &[PodRef<'static>]| KubeletLine::SyncLoop { op, source, pods: pods.to_vec() };
    assert_lines(vec![
        (
            r#""SyncLoop ADD" source="api" pods=["default/a","ns/b"]"#,
            line(SyncOp::Add, PodSource::Api, &[pod("default", "a"), pod("ns", "b")]),
        ),
        (r#""SyncLoop REMOVE" source="file" pods=[default/a ns/b]"#, {
            line(SyncOp::Remove, PodSource::File, &[pod("default", "a"), pod("ns", "b")])
        }),
        (
            r#""SyncLoop UPDATE" source="http" pods=[{"name":"a","namespace":"ns"}]"#,
            line(SyncOp::Update, PodSource::Http, &[pod("ns", "a")]),
        ),
        (r#""SyncLoop DELETE" source="api" pods=[]"#, line(SyncOp::Delete, PodSource::Api, &[])),
        (r#""SyncLoop RECONCILE" source="api" pods=null"#, line(SyncOp::Reconcile, PodSource::Api, &[])),
        (
            r#"SyncLoop (ADD, "api"): "web_default(u-1), b_ns(u-1):DeletionTimestamp=2020-01-01T00:00:00Z""#,
            line(SyncOp::Add, PodSource::Api, &[old_pod("default", "web"), old_pod("ns", "b")]),
        ),
        (r#"SyncLoop (REMOVE, "file"): """#, line(SyncOp::Remove, PodSource::File, &[])),
    ]);
}

#[test]
fn lifecycle_events_of_all_versions() {
    let line = |pod: Option<PodRef<'static>>| KubeletLine::Pleg {
        known_pod: pod.is_some(),
        pod,
        pod_uid: "u-1".into(),
        event: "ContainerStarted".into(),
        container: "c1".into(),
    };
    assert_lines(vec![
        (
            r#""SyncLoop (PLEG): event for pod" pod="ns/a" event={"ID":"u-1","Type":"ContainerStarted","Data":"c1"}"#,
            line(Some(pod("ns", "a"))),
        ),
        (
            r#""SyncLoop (PLEG): event for pod" pod="ns/a" event=&{ID:u-1 Type:ContainerStarted Data:c1}"#,
            line(Some(pod("ns", "a"))),
        ),
        (
            r#""SyncLoop (PLEG): pod does not exist, ignore irrelevant event" event={"ID":"u-1","Type":"ContainerStarted","Data":"c1"}"#,
            line(None),
        ),
        (
            r#"SyncLoop (PLEG): "a_ns(u-1)", event: &pleg.PodLifecycleEvent{ID:"u-1", Type:"ContainerStarted", Data:"c1"}"#,
            line(Some(old_pod("ns", "a"))),
        ),
        (
            r#"SyncLoop (PLEG): ignore irrelevant event: &pleg.PodLifecycleEvent{ID:"u-1", Type:"ContainerStarted", Data:"c1"}"#,
            line(None),
        ),
        (
            r#""SyncLoop (PLEG): event for pod" pod="ns/a" event={"ID":"u-1","Type":"PodSync","Data":null}"#,
            KubeletLine::Pleg {
                pod: Some(pod("ns", "a")),
                pod_uid: "u-1".into(),
                event: "PodSync".into(),
                container: "".into(),
                known_pod: true,
            },
        ),
    ]);
}

#[test]
fn static_pod_lines() {
    let path = || Text::from("/etc/kubernetes/manifests");
    let ignored = |path: &'static str, reason: &'static str| KubeletLine::ManifestIgnored {
        path: path.into(),
        reason: reason.into(),
    };
    assert_lines(vec![
        (
            r#""Adding static pod path" path="/etc/kubernetes/manifests""#,
            KubeletLine::StaticPodPath { path: path() },
        ),
        ("Adding pod path: /etc/kubernetes/manifests", KubeletLine::StaticPodPath { path: path() }),
        (
            r#""Adding pod URL with HTTP header" URL="http://u:p@h/x" header={"Authorization":["Bearer t"]}"#,
            KubeletLine::StaticPodUrl { url: "http://<masked>@h/x".into() },
        ),
        (
            r#"Adding pod url "http://h/x" with HTTP header map[Authorization:[Bearer t]]"#,
            KubeletLine::StaticPodUrl { url: "http://h/x".into() },
        ),
        (
            r#""Generated UID" pod="ns/a" podUID="u-1" source="/m/a.yaml""#,
            KubeletLine::StaticPodUid { pod: old_pod("ns", "a"), source: "/m/a.yaml".into() },
        ),
        (
            r#"Generated UID "u-1" pod "a" from /m/a.yaml"#,
            KubeletLine::StaticPodUid { pod: old_pod("", "a"), source: "/m/a.yaml".into() },
        ),
        (
            r#""Creating a mirror pod for static pod" pod="ns/a""#,
            KubeletLine::MirrorPodCreating { pod: pod("ns", "a") },
        ),
        (
            r#"Creating a mirror pod for static pod "a_ns(u-1)""#,
            KubeletLine::MirrorPodCreating { pod: old_pod("ns", "a") },
        ),
        (
            r#""Failed creating a mirror pod" err="namespaces \"x\" not found" pod="x/a""#,
            KubeletLine::MirrorPodFailed { pod: pod("x", "a"), error: "namespaces \"x\" not found".into() },
        ),
        (
            r#"Failed creating a mirror pod for "a_ns(u-1)": forbidden"#,
            KubeletLine::MirrorPodFailed { pod: old_pod("ns", "a"), error: "forbidden".into() },
        ),
        (r#""Deleting a mirror pod" pod="ns/a" podUID="u""#, {
            KubeletLine::MirrorPodDeleted { pod: pod("ns", "a") }
        }),
        (r#"Deleting a mirror pod "a_ns""#, KubeletLine::MirrorPodDeleted { pod: pod("ns", "a") }),
        (
            r#""Ignored pod manifest, because it starts with dots" eventName="/m/.a.yaml""#,
            ignored("/m/.a.yaml", "its name starts with a dot"),
        ),
        (
            r#""Could not process manifest file" err="no kind" path="/m/a.yaml""#,
            ignored("/m/a.yaml", "no kind"),
        ),
        (
            r#""Unable to process watch event" err="can't process config file \"/m/a.yaml\": no kind""#,
            ignored("/m/a.yaml", "no kind"),
        ),
        (r#"Can't process manifest file "/m/a.yaml": no kind"#, ignored("/m/a.yaml", "no kind")),
    ]);
}

#[test]
fn containers_and_probes() {
    let killing = |pod, container_name: &'static str| KubeletLine::KillingContainer {
        pod,
        container_name: container_name.into(),
        container: "c1".into(),
    };
    assert_lines(vec![
        (
            r#""Killing container with a grace period" pod="ns/a" podUID="u" containerName="c" containerID="containerd://c1" gracePeriod=30"#,
            killing(pod("ns", "a"), "c"),
        ),
        (r#"Killing container "docker://c1" with 30 second grace period"#, killing(PodRef::default(), "")),
        (
            r#""Clean up containers for orphaned pod we had not seen before" podUID="dead" killPodOptions={"Evict":false}"#,
            KubeletLine::OrphanedPod { pod_uid: "dead".into() },
        ),
        (
            r#""Created PodSandbox for pod" podSandboxID="s1" pod="ns/a""#,
            KubeletLine::SandboxCreated { pod: pod("ns", "a"), sandbox: "s1".into() },
        ),
        (
            r#"Created PodSandbox "s1" for pod "a_ns(u-1)""#,
            KubeletLine::SandboxCreated { pod: old_pod("ns", "a"), sandbox: "s1".into() },
        ),
        (
            r#""Exec-Probe runProbe" pod="ns/a" containerName="c" execCommand=["sh","-c","exit 0"]"#,
            KubeletLine::Probe {
                pod: Some(pod("ns", "a")),
                pod_uid: None,
                container_name: "c".into(),
                command: Some("sh -c exit 0".into()),
                exec: true,
            },
        ),
        (
            r#""Probe failed" probeType="Readiness" pod="ns/a" podUID="u" containerName="c" probeResult="failure" output="x""#,
            KubeletLine::Probe {
                pod: Some(pod("ns", "a")),
                pod_uid: Some("u".into()),
                container_name: "c".into(),
                command: None,
                exec: false,
            },
        ),
    ]);
}

#[test]
fn refusals() {
    let forbidden = |user: &'static str, subresources| KubeletLine::Forbidden {
        user: user.into(),
        verb: "get".into(),
        subresources: words(subresources),
    };
    assert_lines(vec![
        (
            r#""Forbidden" user="system:anonymous" verb="get" resource="nodes" subresource(s)=["pods","proxy"]"#,
            forbidden("system:anonymous", &["pods", "proxy"]),
        ),
        (
            r#""Forbidden" user="u" verb="get" resource="nodes" subresource="proxy""#,
            forbidden("u", &["proxy"]),
        ),
        ("Forbidden (user=u, verb=get, resource=nodes, subresource=proxy)", forbidden("u", &["proxy"])),
        (
            r#""Node request attributes" user="u" verb="get" resource="nodes" subresource(s)=["proxy"]"#,
            KubeletLine::RequestAttributes {
                user: "u".into(),
                verb: "get".into(),
                subresources: words(&["proxy"]),
            },
        ),
        (
            r#""Unable to authenticate the request due to an error" err="invalid bearer token""#,
            KubeletLine::AuthenticationFailed { error: "invalid bearer token".into() },
        ),
        (
            "http: TLS handshake error from [fd00::1]:40000: EOF",
            KubeletLine::TlsFailed { source: "[fd00::1]:40000".into(), error: "EOF".into() },
        ),
        (
            r#""Failed to update lease" err="Put \"https://h\": connect: connection refused""#,
            KubeletLine::ApiServerUnreachable {
                error: "Put \"https://h\": connect: connection refused".into(),
            },
        ),
    ]);
}

#[test]
fn starts_and_flags() {
    let flag = |name: &'static str, value: &'static str| KubeletLine::Flag {
        name: name.into(),
        value: value.into(),
    };
    let listening = |port, read_only| KubeletLine::Listening { port, read_only };
    assert_lines(vec![
        (r#""Kubelet version" kubeletVersion="v1.36.2""#, KubeletLine::Started),
        (r#""Started kubelet""#, KubeletLine::Started),
        ("Started kubelet", KubeletLine::Started),
        (r#""Starting to listen" address="0.0.0.0" port=10250"#, listening(10250, false)),
        (r#""Starting to listen read-only" address="::" port=10255"#, listening(10255, true)),
        ("Starting to listen read-only on 0.0.0.0:10255", listening(10255, true)),
        (r#"FLAG: --node-labels="a=\"b\",c=d""#, flag("node-labels", "a=\"b\",c=d")),
        (r#"FLAG: --manifest-url-header="Authorization:Bearer t""#, flag("manifest-url-header", "<masked>")),
        (r#"FLAG: --manifest-url="https://u:p@h/x""#, flag("manifest-url", "https://<masked>@h/x")),
    ]);
}

#[test]
fn requests() {
    let line = |code, forbidden_user: Option<&'static str>| KubeletLine::Http {
        method: "GET".into(),
        uri: "/exec/ns/a/c?command=id".into(),
        latency: 1_000_000,
        user_agent: "x/1".into(),
        source: "10.0.0.1:4000".into(),
        code,
        forbidden_user: forbidden_user.map(Text::Borrowed),
    };
    let head = r#""HTTP" verb="GET" URI="/exec/ns/a/c?command=id" latency="1ms" userAgent="x/1" audit-ID="" srcIP="10.0.0.1:4000""#;
    let added = "\n\tlogging error output: \"Forbidden (user=u, verb=get, resource=nodes, subresource(s)=[proxy])\\n\"";
    assert_lines(vec![
        (&format!("{head} hijacked=true"), line(None, None)),
        (&format!("{head} resp=200"), line(Some(200), None)),
        (
            &format!(
                "{head} resp=403 statusStack=<\n\t\n\tgoroutine 1 [running]:\n > addedInfo=<{added}\n >\n"
            ),
            line(Some(403), Some("u")),
        ),
        ("GET /exec/ns/a/c?command=id: (1ms) 200 [x/1 10.0.0.1:4000]", line(Some(200), None)),
    ]);
}

#[test]
fn json_says_the_same_as_text() {
    let time = Timestamp::parse("2026-11-23T11:35:10.35077Z").unwrap();
    for (rest, expected) in [
        (
            r#""msg":"SyncLoop ADD","v":2,"source":"file","pods":[{"name":"a","namespace":"ns"}]"#,
            KubeletLine::SyncLoop { op: SyncOp::Add, source: PodSource::File, pods: vec![pod("ns", "a")] },
        ),
        (
            r#""msg":"Failed creating a mirror pod","pod":{"name":"a","namespace":"x"},"err":"namespaces \"x\" not found""#,
            KubeletLine::MirrorPodFailed { pod: pod("x", "a"), error: "namespaces \"x\" not found".into() },
        ),
        (
            r#""msg":"Killing container with a grace period","v":2,"pod":{"name":"a","namespace":"ns"},"containerName":"c","containerID":{"Type":"containerd","ID":"c1"}"#,
            KubeletLine::KillingContainer {
                pod: pod("ns", "a"),
                container_name: "c".into(),
                container: "c1".into(),
            },
        ),
        (
            r#""msg":"HTTP","v":3,"verb":"GET","URI":"/pods","latency":"1ms","userAgent":"x","audit-ID":"","srcIP":"a:1","resp":200"#,
            KubeletLine::Http {
                method: "GET".into(),
                uri: "/pods".into(),
                latency: 1_000_000,
                user_agent: "x".into(),
                source: "a:1".into(),
                code: Some(200),
                forbidden_user: None,
            },
        ),
        (r#""msg":"FLAG: --v=\"4\"","v":1"#, KubeletLine::Flag { name: "v".into(), value: "4".into() }),
    ] {
        let line = format!(r#"{{"ts":1795433710350.77,"caller":"kubelet/kubelet.go:2724",{rest}}}"#);
        assert_eq!(Kubelet.parse(&line, &context()), Parsed::Record(time, Body::Kubelet(expected)), "{line}");
    }
}

#[test]
fn noise_is_other_and_what_is_broken_is_told() {
    for message in [
        r#""SyncLoop (housekeeping)""#,
        r#""Failed to update lease" err="the object has been modified""#,
        r#""Label not found" err=unreadable""#,
        "error while reading \"/proc/1/fd/1\" link",
        "SyncLoop (housekeeping, skipped): sources aren't ready yet.",
        "PLEG is not healthy",
        "Version: {KernelVersion:6.1}",
    ] {
        let line = format!("I1123 11:56:57.679743   29044 file.go:1] {message}");
        assert!(matches!(Kubelet.parse(&line, &context()), Parsed::Record(_, Body::Other)), "{line}");
    }
    for (message, reason) in [
        (r#""SyncLoop ADD" source="api""#, "\"SyncLoop ADD\" line: `pods` is missing"),
        (
            r#""SyncLoop ADD" source="moon" pods=[]"#,
            "\"SyncLoop ADD\" line: the source is none of api, file and http",
        ),
        (
            r#""SyncLoop ADD" source="api" pods=["default/a""#,
            "\"SyncLoop ADD\" line: the list of `pods` has no end",
        ),
        (r#""HTTP" verb="GET" URI="/po"#, "\"HTTP\" line: the value of `URI` has no end"),
        (r#""Starting to listen" port=99999"#, "\"Starting to listen\" line: `port` is not a port number"),
    ] {
        let line = format!("I1123 11:56:57.679743   29044 file.go:1] {message}");
        assert_eq!(Kubelet.parse(&line, &context()), Parsed::Reject(reason.to_owned()), "{line}");
    }
    assert_eq!(Kubelet.parse("panic: runtime error", &context()), Parsed::Unknown);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), message in "[\"A-Za-z(): ,=<>&{}\\[\\]\\\\\n\t/_@$.0-9µ-]{0,80}") {
        for line in [
            text,
            format!("I1123 11:56:57.679743   29044 file.go:1] {message}"),
            format!("I1123 11:56:57.679743   29044 file.go:1] \"HTTP\" verb={message}"),
            format!("I1123 11:56:57.679743   29044 file.go:1] \"SyncLoop ADD\" source=\"api\" pods={message}"),
            format!("I1123 11:56:57.679743   29044 file.go:1] SyncLoop (PLEG): {message}"),
            format!("{{\"ts\":1,\"msg\":\"SyncLoop ADD\",\"pods\":{message}}}"),
        ] {
            Kubelet.starts_entry(line.as_bytes());
            let _ = Kubelet.parse(&line, &context());
        }
    }
}
