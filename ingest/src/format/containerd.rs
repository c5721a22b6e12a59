//! containerd's own log, logfmt or JSON: the only place where containerd names the Pod that a sandbox is for.
//!
//! The lines are those of the CRI plugin's instrumented service, 1.6 to 2.3. A call is told by a request line and an
//! answer line; only the answer of RunPodSandbox and CreateContainer has the new id. Exec, ExecSync and Attach are
//! written at debug level, but for their failures.

use std::borrow::Cow;

use auditgap_records::runtime::{ExecCall, RuntimeLine};
use auditgap_records::{Body, Text};

use super::cri_metadata::{container_name, sandbox_identity};
use super::logfmt::{self, Entry, go_quoted};
use super::{LineContext, LineFormat, Parsed};

/// Reads containerd's log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Containerd;

impl LineFormat for Containerd {
    fn starts_entry(&self, line: &[u8]) -> bool {
        logfmt::starts_entry(line)
    }

    fn parse<'a>(&self, text: &'a str, context: &LineContext) -> Parsed<'a> {
        let Some(entry) = Entry::read(text) else { return Parsed::Unknown };
        let Some(time) = entry.time(context) else {
            return Parsed::Reject("a containerd line without a readable time: expected RFC 3339".to_owned());
        };
        if !is_telling(entry.first_word()) {
            return Parsed::Record(time, Body::Other);
        }
        let Some(message) = entry.message() else {
            return Parsed::Reject("the message has no closing quote: the line was cut".to_owned());
        };
        Parsed::Record(time, read(&message, &entry).map_or(Body::Other, Body::Runtime))
    }
}

/// Whether a line that begins with this word may be more than noise.
fn is_telling(word: &str) -> bool {
    matches!(
        word,
        "RunPodSandbox"
            | "CreateContainer"
            | "StartContainer"
            | "StopContainer"
            | "RemoveContainer"
            | "StopPodSandbox"
            | "RemovePodSandbox"
            | "Exec"
            | "ExecSync"
            | "Attach"
            | "Generated"
            | "Portforward"
            | "PortForward"
            | "PullImage"
            | "Stop"
            | "Kill"
            | "shim"
            | "starting"
            | "containerd"
            | "received"
    )
}

fn read<'a>(message: &str, entry: &Entry<'a>) -> Option<RuntimeLine<'a>> {
    let (word, rest) = message.split_once(' ')?;
    match word {
        "RunPodSandbox" => run_pod_sandbox(rest.strip_prefix("for ")?, entry),
        "CreateContainer" => create_container(rest.strip_prefix("within sandbox ")?),
        "StartContainer" => {
            let (container, rest) = for_id(rest)?;
            Some(RuntimeLine::StartContainer { container, done: answer(rest)? })
        }
        "StopContainer" => {
            let (container, rest) = for_id(rest)?;
            let done = !rest.starts_with(" with timeout ") && answer(rest)?;
            Some(RuntimeLine::StopContainer { container, done })
        }
        "Stop" | "Kill" => match rest {
            "CRI service" => Some(RuntimeLine::Stopping),
            _ => Some(RuntimeLine::StopContainer {
                container: id(rest.strip_prefix("container ")?)?.0,
                done: false,
            }),
        },
        "RemoveContainer" => request(rest).map(|container| RuntimeLine::RemoveContainer { container }),
        "StopPodSandbox" => request(rest).map(|sandbox| RuntimeLine::StopPodSandbox { sandbox }),
        "RemovePodSandbox" => request(rest).map(|sandbox| RuntimeLine::RemovePodSandbox { sandbox }),
        "Exec" => exec(ExecCall::Exec, rest),
        "ExecSync" => exec(ExecCall::ExecSync, rest),
        "Attach" => exec(ExecCall::Attach, rest),
        "Generated" => {
            let (exec, rest) = id(rest.strip_prefix("exec id ")?)?;
            let (container, _) = id(rest.strip_prefix(" for container ")?)?;
            Some(RuntimeLine::ExecIdGenerated { container, exec })
        }
        "Portforward" | "PortForward" => {
            let (sandbox, rest) = for_id(rest)?;
            rest.starts_with(" port ").then_some(RuntimeLine::PortForward { sandbox })
        }
        "PullImage" => {
            let (image, rest) = id(rest)?;
            let done = rest.starts_with(" returns image reference ");
            (done || rest.is_empty()).then_some(RuntimeLine::PullImage { image, done })
        }
        "shim" if rest == "disconnected" => {
            entry.field("id").map(|container| RuntimeLine::ShimDisconnected { container })
        }
        "starting" if rest == "containerd" => Some(RuntimeLine::Started),
        "containerd" if rest.starts_with("successfully booted") => Some(RuntimeLine::Started),
        "received" if rest == "signal" => {
            let signal = entry.field("signal")?;
            matches!(signal.as_ref(), "terminated" | "interrupt").then_some(RuntimeLine::Stopping)
        }
        _ => None,
    }
}

/// The Pod's metadata is the caller's own text, so the answer is told from the line's end, never by searching for
/// its first word.
fn run_pod_sandbox<'a>(rest: &str, entry: &Entry<'a>) -> Option<RuntimeLine<'a>> {
    if let Some((metadata, sandbox)) = split_answer(rest, " returns sandbox id ") {
        return Some(RuntimeLine::RunPodSandbox {
            identity: sandbox_identity(metadata)?,
            sandbox: Some(sandbox),
            error: None,
        });
    }
    if let Some((metadata, error)) = failure(rest, entry) {
        return Some(RuntimeLine::RunPodSandbox {
            identity: sandbox_identity(metadata)?,
            sandbox: None,
            error: Some(error),
        });
    }
    Some(RuntimeLine::RunPodSandbox { identity: sandbox_identity(rest)?, sandbox: None, error: None })
}

fn failure<'b, 'a>(rest: &'b str, entry: &Entry<'a>) -> Option<(&'b str, Text<'a>)> {
    let metadata = rest.strip_suffix(" failed, error").or_else(|| rest.strip_suffix(" failed"))?;
    Some((metadata, entry.field("error").unwrap_or_default()))
}

fn create_container(rest: &str) -> Option<RuntimeLine<'static>> {
    let (sandbox, rest) = id(rest)?;
    let rest = rest.strip_prefix(" for ")?;
    // Only the request has the word "container" before the metadata.
    if let Some(metadata) = rest.strip_prefix("container ") {
        return Some(RuntimeLine::CreateContainer {
            sandbox,
            name: container_name(metadata)?,
            container: None,
        });
    }
    let (metadata, container) = split_answer(rest, " returns container id ")?;
    Some(RuntimeLine::CreateContainer {
        sandbox,
        name: container_name(metadata)?,
        container: Some(container),
    })
}

/// `for "<id>" with command [a b c], tty …`, `for "<id>" returns …` or `for "<id>" failed`.
fn exec(call: ExecCall, rest: &str) -> Option<RuntimeLine<'static>> {
    let (container, rest) = for_id(rest)?;
    if let Some(command) = rest.strip_prefix(" with command [") {
        let end =
            command.rfind("], tty ").or_else(|| command.rfind("] and timeout ")).unwrap_or(command.len());
        let command = Cow::Owned(command[..end].to_owned());
        return Some(RuntimeLine::Exec { container, command, call, done: false });
    }
    if call == ExecCall::Attach && rest.starts_with(" with tty ") {
        return Some(RuntimeLine::Exec { container, command: Cow::Borrowed(""), call, done: false });
    }
    let done = rest.starts_with(" returns ") || rest.starts_with(" failed");
    done.then_some(RuntimeLine::Exec { container, command: Cow::Borrowed(""), call, done })
}

/// `for "<id>"` with nothing behind: the request of a call whose answer says nothing new.
fn request(rest: &str) -> Option<Text<'static>> {
    for_id(rest).filter(|(_, rest)| rest.is_empty()).map(|(id, _)| id)
}

fn for_id(rest: &str) -> Option<(Text<'static>, &str)> {
    id(rest.strip_prefix("for ")?)
}

fn id(text: &str) -> Option<(Text<'static>, &str)> {
    go_quoted(text).map(|(id, rest)| (Cow::Owned(id.into_owned()), rest))
}

/// Whether what follows the id is the answer; `None` for a failure.
fn answer(rest: &str) -> Option<bool> {
    match rest {
        "" => Some(false),
        _ => rest.starts_with(" returns ").then_some(true),
    }
}

/// Splits at the last `marker` if only a quoted id follows it.
fn split_answer<'b>(text: &'b str, marker: &str) -> Option<(&'b str, Text<'static>)> {
    let (before, after) = text.rsplit_once(marker)?;
    let (id, rest) = id(after)?;
    rest.is_empty().then_some((before, id))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::testing::{context, runtime};
    use auditgap_records::Timestamp;
    use auditgap_records::runtime::SandboxIdentity;

    /// A log line of both encodings for a message and its further fields.
    fn lines(message: &str, fields: &[(&str, &str)]) -> [String; 2] {
        let mut text = format!("time=\"2026-11-23T11:35:43.582937213Z\" level=info msg={message:?}");
        let mut json = serde_json::Map::new();
        for (key, value) in fields {
            text = format!("{text} {key}={value:?}");
            json.insert((*key).to_owned(), (*value).into());
        }
        json.insert("level".to_owned(), "info".into());
        json.insert("msg".to_owned(), message.into());
        json.insert("time".to_owned(), "2026-11-23T11:35:43.582937213Z".into());
        [text, serde_json::to_string(&json).unwrap()]
    }

    fn web(attempt: u32) -> SandboxIdentity<'static> {
        SandboxIdentity { name: "web-0".into(), namespace: "default".into(), uid: "34a3".into(), attempt }
    }

    #[test]
    fn every_line_of_the_cri_plugin_is_understood_in_every_version() {
        let run = |attempt, sandbox: Option<&'static str>, error: Option<&'static str>| {
            let (sandbox, error) = (sandbox.map(Into::into), error.map(Into::into));
            Some(RuntimeLine::RunPodSandbox { identity: web(attempt), sandbox, error })
        };
        let create = |container: Option<&'static str>| {
            let container = container.map(Into::into);
            Some(RuntimeLine::CreateContainer { sandbox: "s1".into(), name: "app".into(), container })
        };
        let exec = |call, command: &'static str, done| {
            Some(RuntimeLine::Exec { container: "c1".into(), command: command.into(), call, done })
        };
        let start = |done| Some(RuntimeLine::StartContainer { container: "c1".into(), done });
        let stop = |done| Some(RuntimeLine::StopContainer { container: "c1".into(), done });
        let old = "&PodSandboxMetadata{Name:web-0,Uid:34a3,Namespace:default,Attempt:2,}";
        let new = r#"name:"web-0"  uid:"34a3"  namespace:"default""#;
        for (message, fields, expected) in [
            (format!("RunPodSandbox for {old}"), vec![], run(2, None, None)),
            (format!("RunPodSandbox for {old} returns sandbox id \"s1\""), vec![], run(2, Some("s1"), None)),
            (
                format!("RunPodSandbox for {old} failed, error"),
                vec![("error", "no \"cni\"")],
                run(2, None, Some("no \"cni\"")),
            ),
            (format!("RunPodSandbox for {new}"), vec![], run(0, None, None)),
            (format!("RunPodSandbox for {new} attempt:3"), vec![], run(3, None, None)),
            (format!("RunPodSandbox for {new} returns sandbox id \"s1\""), vec![], run(0, Some("s1"), None)),
            (
                "RunPodSandbox for nil".to_owned(),
                vec![],
                Some(RuntimeLine::RunPodSandbox {
                    identity: SandboxIdentity::default(),
                    sandbox: None,
                    error: None,
                }),
            ),
            (
                "CreateContainer within sandbox \"s1\" for container &ContainerMetadata{Name:app,Attempt:0,}".to_owned(),
                vec![],
                create(None),
            ),
            (
                "CreateContainer within sandbox \"s1\" for &ContainerMetadata{Name:app,Attempt:0,} returns container id \"c1\""
                    .to_owned(),
                vec![],
                create(Some("c1")),
            ),
            ("CreateContainer within sandbox \"s1\" for container name:\"app\"".to_owned(), vec![], create(None)),
            (
                "CreateContainer within sandbox \"s1\" for name:\"app\"  attempt:1 returns container id \"c1\"".to_owned(),
                vec![],
                create(Some("c1")),
            ),
            ("CreateContainer within sandbox \"s1\" for name:\"app\" failed".to_owned(), vec![("error", "x")], None),
            ("StartContainer for \"c1\"".to_owned(), vec![], start(false)),
            ("StartContainer for \"c1\" returns successfully".to_owned(), vec![], start(true)),
            ("StartContainer for \"c1\" failed".to_owned(), vec![("error", "x")], None),
            ("StopContainer for \"c1\" with timeout 30 (s)".to_owned(), vec![], stop(false)),
            ("StopContainer for \"c1\" returns successfully".to_owned(), vec![], stop(true)),
            ("Stop container \"c1\" with signal terminated".to_owned(), vec![], stop(false)),
            ("Kill container \"c1\"".to_owned(), vec![], stop(false)),
            (
                "RemoveContainer for \"c1\"".to_owned(),
                vec![],
                Some(RuntimeLine::RemoveContainer { container: "c1".into() }),
            ),
            ("RemoveContainer for \"c1\" returns successfully".to_owned(), vec![], None),
            (
                "StopPodSandbox for \"s1\"".to_owned(),
                vec![],
                Some(RuntimeLine::StopPodSandbox { sandbox: "s1".into() }),
            ),
            (
                "RemovePodSandbox for \"s1\"".to_owned(),
                vec![],
                Some(RuntimeLine::RemovePodSandbox { sandbox: "s1".into() }),
            ),
            ("RemovePodSandbox \"s1\" returns successfully".to_owned(), vec![], None),
            (
                "Exec for \"c1\" with command [sh -c echo ], tty x; id], tty true and stdin false".to_owned(),
                vec![],
                exec(ExecCall::Exec, "sh -c echo ], tty x; id", false),
            ),
            ("Exec for \"c1\" returns URL \"http://127.0.0.1:1/x\"".to_owned(), vec![], exec(ExecCall::Exec, "", true)),
            (
                "ExecSync for \"c1\" with command [cat /tmp/ok] and timeout 1 (s)".to_owned(),
                vec![],
                exec(ExecCall::ExecSync, "cat /tmp/ok", false),
            ),
            ("ExecSync for \"c1\" returns with exit code 0".to_owned(), vec![], exec(ExecCall::ExecSync, "", true)),
            ("ExecSync for \"c1\" failed".to_owned(), vec![("error", "x")], exec(ExecCall::ExecSync, "", true)),
            ("Attach for \"c1\" with tty false and stdin true".to_owned(), vec![], exec(ExecCall::Attach, "", false)),
            ("Exec process \"e1\" exits with exit code 0 and error <nil>".to_owned(), vec![], None),
            (
                "Generated exec id \"e1\" for container \"c1\"".to_owned(),
                vec![],
                Some(RuntimeLine::ExecIdGenerated { container: "c1".into(), exec: "e1".into() }),
            ),
            (
                "Portforward for \"s1\" port [80]".to_owned(),
                vec![],
                Some(RuntimeLine::PortForward { sandbox: "s1".into() }),
            ),
            ("Portforward for \"s1\" returns URL \"http://127.0.0.1:1/x\"".to_owned(), vec![], None),
            (
                "PullImage \"r/i:1\"".to_owned(),
                vec![],
                Some(RuntimeLine::PullImage { image: "r/i:1".into(), done: false }),
            ),
            (
                "PullImage \"r/i:1\" returns image reference \"sha256:00\"".to_owned(),
                vec![],
                Some(RuntimeLine::PullImage { image: "r/i:1".into(), done: true }),
            ),
            (
                "shim disconnected".to_owned(),
                vec![("id", "c1"), ("namespace", "k8s.io")],
                Some(RuntimeLine::ShimDisconnected { container: "c1".into() }),
            ),
            ("starting containerd".to_owned(), vec![("version", "2.1.0")], Some(RuntimeLine::Started)),
            ("containerd successfully booted in 0.01s".to_owned(), vec![], Some(RuntimeLine::Started)),
            ("received signal".to_owned(), vec![("signal", "terminated")], Some(RuntimeLine::Stopping)),
            ("received signal".to_owned(), vec![("signal", "user defined signal 1")], None),
            ("Stop CRI service".to_owned(), vec![], Some(RuntimeLine::Stopping)),
            ("loading plugin \"io.containerd.x\"...".to_owned(), vec![("type", "x")], None),
        ] {
            for line in lines(&message, &fields) {
                assert_eq!(runtime(&Containerd, &line), expected, "{line}");
            }
        }
    }

    #[test]
    fn a_name_that_imitates_an_answer_stays_a_name() {
        let name = r#"x,Uid:0,Namespace:kube-system,Attempt:0,} returns sandbox id "s9""#;
        let message =
            format!("RunPodSandbox for &PodSandboxMetadata{{Name:{name},Uid:u,Namespace:n,Attempt:0,}}");
        let [text, _] = lines(&message, &[]);
        let Some(RuntimeLine::RunPodSandbox { identity, sandbox, .. }) = runtime(&Containerd, &text) else {
            panic!("{text}");
        };
        assert_eq!((identity.namespace.as_ref(), sandbox), ("n", None));
    }

    #[test]
    fn cut_and_foreign_lines_are_told_apart() {
        let cut = r#"time="2026-11-23T11:35:43Z" level=info msg="StartContainer for \"c1"#;
        assert!(matches!(Containerd.parse(cut, &context()), Parsed::Reject(_)));
        let dateless = r#"time="yesterday" level=info msg="x""#;
        assert!(matches!(Containerd.parse(dateless, &context()), Parsed::Reject(_)));
        for foreign in
            ["", "goroutine 1 [running]:", "{}", "{", "I1123 11:00:00.000000       1 a.go:1] \"x\""]
        {
            assert_eq!(Containerd.parse(foreign, &context()), Parsed::Unknown, "{foreign}");
        }
        let local = r#"time="2026-11-23T13:35:43+02:00" level=info msg=serving..."#;
        let expected = Timestamp::parse("2026-11-23T11:35:43Z").unwrap();
        assert_eq!(Containerd.parse(local, &context()), Parsed::Record(expected, Body::Other));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(word in "(RunPodSandbox for |CreateContainer within sandbox |Exec for |x)", rest in ".*") {
            let _ = Containerd.parse(&rest, &context());
            let _ = Containerd.parse(&format!("time=\"2026-11-23T11:35:43Z\" level=info msg=\"{word}{rest}"), &context());
            for line in lines(&format!("{word}{rest}"), &[("error", &rest)]) {
                let _ = Containerd.parse(&line, &context());
            }
        }
    }
}
