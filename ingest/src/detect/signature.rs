//! What one entry is, judged by what only such entries have: the fields of a JSON object, the header of a text line.

use auditgap_records::Timestamp;

use super::component;
use crate::envelope::{self, Envelope};
use crate::format::{Format, audit_gke, klog};
use crate::shape::{Member, member, members, string};

/// What an entry looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Signature {
    /// An entry of a format.
    Format(Format),
    /// klog, with the component if the entry tells.
    Klog(Option<Format>),
    /// A logrus line of a container runtime, with the runtime if the entry tells.
    Logrus(Option<Format>),
    /// Something wrapped.
    Envelope(Envelope),
}

/// Recognises an entry.
pub(crate) fn of(text: &str) -> Option<Signature> {
    let text = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    if text.starts_with('{') {
        return of_object(text).or_else(|| envelope::recognise(text).map(Signature::Envelope));
    }
    of_line(text).or_else(|| envelope::recognise(text).map(Signature::Envelope))
}

fn of_object(text: &str) -> Option<Signature> {
    let all: Vec<Member<'_>> = members(text).take(96).collect();
    let get = |key: &str| all.iter().find(|member| member.key == key).map(|member| member.value);
    let has = |key: &str| get(key).is_some();
    let is_text = |key: &str| get(key).is_some_and(|value| value.starts_with('"'));
    if has("auditID") && has("stage") {
        return Some(Signature::Format(Format::AuditJson));
    }
    if get("protoPayload").is_some_and(audit_gke::is_kubernetes) {
        return Some(Signature::Format(Format::AuditGke));
    }
    if has("caller") && has("msg") && has("ts") {
        if is_text("ts") && has("level") {
            return Some(Signature::Format(Format::EtcdJson));
        }
        let message = get("msg").and_then(string).unwrap_or_default();
        let caller = get("caller").and_then(string).unwrap_or_default();
        let file = caller.split(':').next().unwrap_or_default();
        return Some(Signature::Klog(component::of_klog(file, &message)));
    }
    if is_watch(&get) {
        return Some(Signature::Format(Format::EtcdWatch));
    }
    if is_text("level") && is_text("msg") && is_text("time") {
        return Some(Signature::Logrus(component::of_logrus(text)));
    }
    if has("rule") && has("priority") && (has("output") || has("output_fields")) {
        return Some(Signature::Format(Format::Falco));
    }
    if has("Type") && has("Action") && has("Actor") {
        return Some(Signature::Format(Format::DockerEvents));
    }
    let tetragon =
        all.iter().any(|member| member.key.starts_with("process_") || member.key == "rate_limit_info");
    if tetragon
        && has("time")
        && (has("node_name") || all.iter().any(|member| member.value.contains("\"exec_id\"")))
    {
        return Some(Signature::Format(Format::Tetragon));
    }
    None
}

/// A watch on etcd: auditgap's own lines, `etcdctl watch -w json`, or the gateway's JSON.
fn is_watch<'a>(get: &impl Fn(&str) -> Option<&'a str>) -> bool {
    if get("key").is_some() && get("mod_revision").is_some() && get("type").is_some() {
        return true;
    }
    if get("Header").is_some() && (get("Events").is_some() || get("CompactRevision").is_some()) {
        return true;
    }
    get("result").is_some_and(|result| {
        member(result, "header").is_some()
            && (member(result, "events").is_some()
                || member(result, "created").is_some()
                || member(result, "watch_id").is_some())
    })
}

fn of_line(text: &str) -> Option<Signature> {
    let line = text.split(['\n', '\r']).next()?;
    // A word may stand before a klog header, but a time there is that of a transport.
    let behind_time = line.starts_with(|first: char| first.is_ascii_digit());
    if !behind_time && klog::stamp(line).is_some() {
        let (header, message) = line.split_once("] ").unwrap_or((line, ""));
        let place = header.rsplit(' ').next().unwrap_or_default();
        let file = place.split(':').next().unwrap_or_default();
        return Some(Signature::Klog(component::of_klog(file, message)));
    }
    if line.starts_with("time=\"") && line.contains(" level=") {
        return Some(Signature::Logrus(component::of_logrus(line)));
    }
    if is_auditd(line) {
        return Some(Signature::Format(Format::Auditd));
    }
    if is_inotify(line) {
        return Some(Signature::Format(Format::Inotify));
    }
    stamped(line).map(Signature::Format)
}

fn is_auditd(line: &str) -> bool {
    let line =
        line.strip_prefix("node=").and_then(|rest| rest.split_once(' ')).map_or(line, |(_, rest)| rest);
    line.starts_with("type=") && line.contains("msg=audit(")
}

/// `1795434975 /etc/kubernetes/manifests/ CREATE web.yaml`.
fn is_inotify(line: &str) -> bool {
    let mut words = line.splitn(3, ' ');
    let (Some(time), Some(path), Some(rest)) = (words.next(), words.next(), words.next()) else {
        return false;
    };
    (9..=11).contains(&time.len())
        && time.bytes().all(|byte| byte.is_ascii_digit())
        && path.starts_with('/')
        && rest.split([' ', ',']).next().is_some_and(|event| {
            matches!(
                event,
                "CREATE"
                    | "MODIFY"
                    | "DELETE"
                    | "ATTRIB"
                    | "OPEN"
                    | "ACCESS"
                    | "CLOSE"
                    | "CLOSE_WRITE"
                    | "CLOSE_NOWRITE"
                    | "MOVED_TO"
                    | "MOVED_FROM"
                    | "MOVE_SELF"
                    | "DELETE_SELF"
                    | "UNMOUNT"
            )
        })
}

/// Formats whose lines begin with a date.
fn stamped(line: &str) -> Option<Format> {
    if line.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    if let Some((time, rest)) = line.split_once('\t') {
        let level = rest.split('\t').next()?;
        let known = matches!(
            level.to_ascii_lowercase().as_str(),
            "debug" | "info" | "warn" | "error" | "dpanic" | "panic" | "fatal"
        );
        return (known && Timestamp::parse(time).is_some()).then_some(Format::EtcdConsole);
    }
    if let Some((time, rest)) = line.split_once(" AUDIT: ") {
        return (rest.starts_with("id=\"") && Timestamp::parse(time).is_some())
            .then_some(Format::AuditLegacy);
    }
    let mut words = line.splitn(7, ' ');
    let (date, clock) = (words.next()?, words.next()?);
    Timestamp::parse(line.get(..date.len() + 1 + clock.len())?)?;
    let third = words.next()?;
    // Go's time.String(): date, time, offset, zone name; then namespace and topic.
    if third.len() == 5 && third.starts_with(['+', '-']) {
        let (_zone, _namespace, topic) = (words.next()?, words.next()?, words.next()?);
        return topic.starts_with('/').then_some(Format::CtrEvents);
    }
    (matches!(third, "C" | "E" | "W" | "N" | "I" | "D") && words.next()? == "|")
        .then_some(Format::EtcdCapnslog)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_its_signature_and_other_files_have_none() {
        use Signature::{Envelope as Wrapped, Format as Of, Klog, Logrus};
        for (text, expected) in [
            (
                r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"Panic","req"#,
                Some(Of(Format::AuditJson)),
            ),
            (r#"{"level":"Metadata","auditID":"a","stage":"Panic"}"#, Some(Of(Format::AuditJson))),
            (r#"{"protoPayload":{"serviceName":"k8s.io"}}"#, Some(Of(Format::AuditGke))),
            (r#"{"protoPayload":{"serviceName":"container.googleapis.com"}}"#, None),
            (
                r#"{"level":"info","ts":"2026-11-23T11:00:00.000000Z","caller":"a/b.go:1","msg":"x"}"#,
                Some(Of(Format::EtcdJson)),
            ),
            (
                r#"{"ts":1795433710350.77,"caller":"kubelet/kubelet.go:2724","msg":"SyncLoop ADD","v":2}"#,
                Some(Klog(Some(Format::Kubelet))),
            ),
            (r#"{"type":"PUT","key":"/a","mod_revision":2}"#, Some(Of(Format::EtcdWatch))),
            (r#"{"Header":{"revision":2},"Events":[],"Canceled":false}"#, Some(Of(Format::EtcdWatch))),
            (r#"{"result":{"header":{"revision":"2"},"created":true}}"#, Some(Of(Format::EtcdWatch))),
            (r#"{"level":"info","msg":"loading plugin","time":"2026-11-23T11:35:43Z"}"#, Some(Logrus(None))),
            (r#"{"output":"x","priority":"Warning","rule":"r"}"#, Some(Of(Format::Falco))),
            (r#"{"process_exec":{"process":{}},"node_name":"n","time":"t"}"#, Some(Of(Format::Tetragon))),
            (r#"{"Type":"container","Action":"start","Actor":{}}"#, Some(Of(Format::DockerEvents))),
            (
                "I1123 11:00:00.123456     123 kubelet.go:1] \"SyncLoop ADD\" source=\"api\"",
                Some(Klog(Some(Format::Kubelet))),
            ),
            (
                "I1123 11:00:00.123456     123 flags.go:64] FLAG: --etcd-servers=\"[]\"",
                Some(Klog(Some(Format::ApiServer))),
            ),
            ("I1123 11:00:00.123456     123 reflector.go:1] x", Some(Klog(None))),
            (
                "time=\"2026-11-23T11:00:00Z\" level=info msg=\"RunPodSandbox for x\"",
                Some(Logrus(Some(Format::Containerd))),
            ),
            (
                "time=\"2026-11-23T11:00:00Z\" level=info msg=\"Running pod sandbox: a/b/POD\"",
                Some(Logrus(Some(Format::Crio))),
            ),
            ("node=n type=CWD msg=audit(1795433743.583:4711): cwd=\"/\"", Some(Of(Format::Auditd))),
            ("1795434975 /etc/kubernetes/manifests/ CLOSE_WRITE,CLOSE a.yaml", Some(Of(Format::Inotify))),
            ("2026-11-23 11:35:43.583093167 +0000 UTC k8s.io /tasks/exit {}", Some(Of(Format::CtrEvents))),
            (
                "2026-11-23 11:00:00.076462 W | etcdserver: request took too long",
                Some(Of(Format::EtcdCapnslog)),
            ),
            ("2026-11-23T11:00:00.076462Z\tinfo\ta/b.go:1\tmsg\t{}", Some(Of(Format::EtcdConsole))),
            ("2026-11-23T11:00:00.12Z AUDIT: id=\"a\" stage=\"Panic\"", Some(Of(Format::AuditLegacy))),
            ("2026-11-23T11:00:00.12Z stderr F I1123", Some(Wrapped(Envelope::Cri))),
            (r#"[{"date":1.5,"log":"x"}]"#, Some(Wrapped(Envelope::List))),
            (r#"{"kind":"EventList","items":[{"level":"#, Some(Wrapped(Envelope::List))),
            (
                r#"{"log":"x\n","stream":"stdout","time":"2026-11-23T11:00:00Z"}"#,
                Some(Wrapped(Envelope::DockerJson)),
            ),
            (r#"{"date":1.5,"log":"x"}"#, Some(Wrapped(Envelope::Shipper))),
            (r#"{"records":[{"properties":{}}]}"#, Some(Wrapped(Envelope::List))),
            (r#"{"category":"kube-audit","properties":{"log":"{}"}}"#, Some(Wrapped(Envelope::Azure))),
            (r#"{"resourceLogs":[]}"#, Some(Wrapped(Envelope::Otlp))),
            (r#"{"kind":"List","items":[{"kind":"Pod"}]}"#, None),
            (r#"{"scenario":"x","t":"2026-11-23T11:00:00Z","rc":0,"out":""}"#, None),
            ("apiVersion: audit.k8s.io/v1", None),
            ("", None),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }
}
