use std::io::Write;

use super::*;

const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"ResponseComplete","requestURI":"/","verb":"get"}"#;
const KLOG: &str = "I0301 11:00:00.000001    7 kubelet.go:9] \"SyncLoop ADD\" source=\"api\"";
const ANY_KLOG: &str = "I0301 11:00:00.000001    7 reflector.go:9] x";
const LEGACY: &str = "2026-03-01T11:00:00Z AUDIT: id=\"a\" stage=\"ResponseComplete\" ip=\"10.0.0.1\" method=\"get\" user=\"u\" groups=\"\" as=\"<self>\" asgroups=\"<lookup>\" user-agent=\"a\" namespace=\"<none>\" uri=\"/api\" response=\"200\"";
const CONTAINERD: &str = "time=\"2026-03-01T11:00:00Z\" level=info msg=\"RunPodSandbox for x\"";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn journal(unit: &str, message: &str) -> String {
    let message = serde_json::to_string(message).unwrap();
    format!(
        "{{\"__REALTIME_TIMESTAMP\":\"1772362800000000\",\"_SYSTEMD_UNIT\":\"{unit}\",\"MESSAGE\":{message}}}\n"
    )
}

#[test]
fn files_are_recognised_by_their_content() {
    let list = format!("{{\"kind\":\"EventList\",\"metadata\":{{}},\"items\":[{EVENT},{EVENT}]}}");
    let long_list = format!("{{\"kind\":\"EventList\",\"items\":[{}]}}", vec![EVENT; 4000].join(","));
    let long_event =
        EVENT.replace("get\"}", &format!("get\",\"requestObject\":\"{}\"}}", "x".repeat(2 * HEAD)));
    let pretty = EVENT.replace(',', ",\n  ");
    let stack = format!("{ANY_KLOG}\n{}", "\tgoroutine 1 [running]\n".repeat(12));
    for (name, text, expected) in [
        ("", format!("{EVENT}\n"), "audit.k8s.io/v1 JSON"),
        ("", format!("rubbish\n\n{}\n{EVENT}\n{EVENT}\n", &EVENT[70..]), "audit.k8s.io/v1 JSON"),
        ("kubelet.log", long_event, "audit.k8s.io/v1 JSON"),
        ("", list, "audit.k8s.io/v1 JSON, EventList"),
        ("", long_list, "audit.k8s.io/v1 JSON, EventList"),
        ("", pretty, "audit.k8s.io/v1 JSON"),
        ("kube-scheduler.log", format!("{KLOG}\n{ANY_KLOG}\n"), "kubelet klog"),
        ("kubelet.log", format!("{ANY_KLOG}\n"), "kubelet klog"),
        ("x/kube-apiserver-node.log", stack, "kube-apiserver klog"),
        ("x", format!("{ANY_KLOG}\n"), "klog of another component"),
        // Events that could not be stored are quoted in the server's own log.
        (
            "kube-apiserver.log",
            format!(
                "E0301 11:00:00.000001    7 metrics.go:9] Error in audit plugin 'log' affecting 1 audit events: x\nImpacted events:\n{LEGACY}\n{LEGACY}\n"
            ),
            "kube-apiserver klog",
        ),
        ("", format!("{LEGACY}\n{LEGACY}\n"), "audit legacy text"),
        ("", format!("2026-03-01T11:00:00Z stderr F {KLOG}\n"), "kubelet klog in CRI log"),
        ("", format!("Mar 01 11:00:00 node kubelet[7]: {KLOG}\n"), "kubelet klog in syslog"),
        (
            "",
            format!("2026-03-01T11:00:00.5Z {KLOG}\n2026-03-01T11:00:00.5Z \tmore\n"),
            "kubelet klog in stamped lines",
        ),
        ("", format!("2026-03-01T11:00:00.500Z {EVENT}\n"), "audit.k8s.io/v1 JSON in stamped lines"),
        ("", journal("kubelet.service", KLOG), "kubelet klog in journald JSON"),
        (
            "",
            format!(
                "[{{\"date\":1,\"log\":{}}}]",
                serde_json::to_string(&format!("2026-03-01T11:00:00Z stdout F {EVENT}")).unwrap()
            ),
            "audit.k8s.io/v1 JSON in CRI log in shipper JSON",
        ),
    ] {
        let head = &text.as_bytes()[..text.len().min(HEAD)];
        assert_eq!(detect(head, name).unwrap().describe(), expected, "{name} {text:.80}");
        let packed = gzip(&text);
        let found = detect(&packed[..packed.len() * 3 / 4], name);
        // Three quarters of a short file may hold no whole block.
        assert!(
            found.is_err() || found.unwrap().describe() == format!("{expected}, gzip"),
            "{name} {text:.80}"
        );
        let packed = zstd::encode_all(text.as_bytes(), 1).unwrap();
        assert_eq!(detect(&packed, name).unwrap().describe(), format!("{expected}, zstd"));
    }
}

#[test]
fn other_files_are_not() {
    for text in [
        "",
        "\0\0\0\0",
        "{",
        "[",
        "apiVersion: v1\nkind: Pod\n",
        r#"{"kind":"List","items":[{"kind":"Pod","metadata":{"name":"a"}}]}"#,
        "{\n  \"kind\": \"PodList\",\n  \"items\": [\n    {\"kind\": \"Pod\"}\n  ]\n}\n",
        "{\"scenario\": \"x\", \"out\": \"I0301 11:00:00.000001    7 kubelet.go:9] x\"}\n",
        "2026-03-01T11:00:00.463511Z START kubelet: kubelet --v=2\n",
        "How to read it: a line looks like\n\nI0301 11:00:00.000001    7 kubelet.go:9] x\n\nand says\nwhat\nwas\ndone.\n",
    ] {
        assert!(detect(text.as_bytes(), "kubelet.log").is_err(), "{text}");
    }
}

#[test]
fn a_journal_of_several_units_names_them_all() {
    let text =
        [journal("kubelet.service", KLOG).repeat(3), journal("containerd.service", CONTAINERD)].concat();
    let found = detect(text.as_bytes(), "").unwrap();
    assert_eq!((found.format, &*found.others), (Format::Kubelet, &[Format::Containerd][..]));
    assert_eq!(found.of_other(Format::Containerd).describe(), "containerd log in journald JSON");
}

#[test]
fn an_api_servers_log_that_begins_amid_the_events_it_lists_is_its_log() {
    let event =
        "2026-03-01T11:00:00.1Z AUDIT: id=\"a\" stage=\"ResponseComplete\" ip=\"::1\" method=\"get\"\n";
    let text = [&event.repeat(60), ANY_KLOG, "\n"].concat();
    let found = detect(text.as_bytes(), "kube-apiserver.log.3").unwrap();
    assert_eq!((found.format, &*found.others), (Format::ApiServer, &[][..]));
    assert_eq!(detect(event.repeat(60).as_bytes(), "apiserver.log").unwrap().format, Format::AuditLegacy);
}

#[test]
fn events_are_preferred_among_the_lines_of_other_components() {
    let record = |category: &str, log: &str| {
        let log = serde_json::to_string(log).unwrap();
        format!("{{\"category\":\"{category}\",\"properties\":{{\"log\":{log}}}}}")
    };
    let records =
        [record("kube-apiserver", ANY_KLOG), record("kube-apiserver", ANY_KLOG), record("kube-audit", EVENT)];
    let found = detect(format!("{{\"records\":[{}]}}", records.join(",")).as_bytes(), "").unwrap();
    assert_eq!(found.describe(), "audit.k8s.io/v1 JSON in Azure diagnostics");
    assert_eq!(found.framing, Framing::Documents { list: Some("records") });
}
