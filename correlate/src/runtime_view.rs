//! What the rules about container runtimes have in common: ids, names for people, who was at the socket.

use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::host::HostEvent;

use crate::kubelet_uri::shown;
use crate::ledger::containers::Container;
use crate::ledger::host::{HostTrace, process_words};
use crate::verdict::GapDraft;
use crate::world::World;

/// Programs that talk to a runtime by hand, or go past it.
const TOOLS: [&str; 8] = ["ctr", "crictl", "nerdctl", "docker", "podman", "runc", "crun", "nsenter"];

/// Programs that talk to a runtime all day.
const RESIDENTS: [&str; 6] = ["kubelet", "containerd", "containerd-shim", "crio", "dockerd", "cri-dockerd"];

/// Endings of the paths of runtimes' sockets.
const SOCKETS: [&str; 5] =
    ["containerd.sock", "crio.sock", "docker.sock", "cri-dockerd.sock", "dockershim.sock"];

/// A tool is started this long before what it does shows, and connects no later than shortly after.
const BEFORE: Duration = Duration::from_millis(1_500);
const AFTER: Duration = Duration::from_millis(100);

/// Whether an id is of the form that CRI implementations make: 32 random bytes in lower hex.
pub(crate) fn is_cri_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// An id as people read it: the first part of a long one.
pub(crate) fn short_id(id: &str) -> String {
    match id.get(..12) {
        Some(short) if is_cri_id(id) => short.to_owned(),
        _ => shown(id),
    }
}

/// A container in words, by its Pod where that is known.
pub(crate) fn container_words(id: &str, container: Option<&Container>) -> String {
    match container.filter(|container| !container.pod_name.is_empty()) {
        Some(container) => {
            let pod = shown(&format!("{}/{}", container.pod_namespace, container.pod_name));
            if container.name.is_empty() {
                format!("container {} of Pod {pod}", short_id(id))
            } else {
                format!("container {} of Pod {pod}", shown(&container.name))
            }
        }
        None => format!("container {}", short_id(id)),
    }
}

/// What joins gaps about one container and its Pod.
pub(crate) fn threads(id: &str, container: Option<&Container>) -> Vec<String> {
    let mut threads = vec![format!("container:{id}")];
    if let Some(container) = container.filter(|container| !container.pod_name.is_empty()) {
        threads.push(format!("pod:{}/{}", container.pod_namespace, container.pod_name));
    }
    threads
}

/// A command line for a person: short, and without what follows an option that takes a secret.
pub(crate) fn command_shown(command: &str) -> String {
    const MASK: &str = "<masked>";
    let mut words: Vec<&str> = Vec::new();
    let mut masks_next = false;
    for word in command.split(' ') {
        let bare = word.trim_start_matches(['"', '\'']);
        let masked = masks_next || bare.contains("eyJ");
        masks_next = false;
        if masked {
            words.push(MASK);
            continue;
        }
        let lower = bare.to_ascii_lowercase();
        let is_secret = ["token", "passw", "passphrase", "secret", "apikey", "api-key", "api_key"]
            .iter()
            .any(|part| lower.contains(part));
        if is_secret && let Some((name, _)) = word.split_once(['=', ':']) {
            words.extend([name, MASK]);
            continue;
        }
        let scheme = lower.rsplit(':').next().unwrap_or(&lower);
        masks_next = matches!(scheme, "bearer" | "basic")
            || (is_secret && lower.starts_with('-'))
            || matches!(word, "-u" | "--user");
        words.push(word);
    }
    shown(&words.join(" "))
}

/// Adds what the host saw of a tool, or of a stranger at a runtime's socket, just before a moment: the last process
/// that comes into question.
pub(crate) fn attribute(draft: &mut GapDraft, node: &str, moment: Timestamp, world: &World) {
    let near = || {
        world
            .ledger
            .host
            .near(moment, BEFORE, AFTER)
            .filter(|trace| is_at_runtime(trace) && world.node_of(trace.cite.feed) == node)
    };
    let Some(last) = near().filter_map(HostTrace::process).last() else { return };
    draft.actor.process = process_words(last);
    let own = near().filter(|trace| trace.process().is_some_and(|process| process.pid == last.pid));
    draft.evidence.extend(own.map(|trace| trace.cite.clone()));
}

fn is_at_runtime(trace: &HostTrace) -> bool {
    match &trace.event {
        HostEvent::Connect { path, .. } => {
            SOCKETS.iter().any(|socket| path.ends_with(socket)) && !trace.is_program(&RESIDENTS)
        }
        HostEvent::Exec { .. } => trace.is_program(&TOOLS),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_commands_are_not_shown() {
        for (command, expected) in [
            ("sh -c id; uname -a", "sh -c id; uname -a"),
            ("curl -H Authorization: Bearer abc x", "curl -H Authorization: Bearer <masked> x"),
            ("mysql --password=abc -e x", "mysql --password <masked> -e x"),
            ("login --token abc", "login --token <masked>"),
            ("curl -u root:pw https://x", "curl -u <masked> https://x"),
            ("x eyJhbGciOi.eyJpc3Mi.c2ln y", "x <masked> y"),
        ] {
            assert_eq!(command_shown(command), expected, "{command}");
        }
    }

    #[test]
    fn only_what_a_runtime_makes_is_an_id_of_its_form() {
        assert!(is_cri_id(&"0a".repeat(32)));
        for id in ["rogue1", "", &"0A".repeat(32), &"0a".repeat(31), &"0g".repeat(32)] {
            assert!(!is_cri_id(id), "{id}");
        }
    }
}
