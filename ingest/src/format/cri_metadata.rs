//! How Go prints the CRI's `PodSandboxMetadata` and `ContainerMetadata` into log lines: as a struct with cri-api up to
//! 0.32 (containerd up to 2.1), in the protobuf text format from 0.34 on. Both are the caller's own text, so a
//! hostile value may look like another field; the later field wins then, as both forms write the name first.

use std::borrow::Cow;

use auditgap_records::Text;
use auditgap_records::runtime::SandboxIdentity;

use super::logfmt::go_quoted;

/// Reads a sandbox's metadata; `None` when it has neither form.
pub(crate) fn sandbox_identity(text: &str) -> Option<SandboxIdentity<'static>> {
    if matches!(text, "nil" | "<nil>" | "") {
        return Some(SandboxIdentity::default());
    }
    if let Some(inner) = text.strip_prefix("&PodSandboxMetadata{Name:") {
        let (rest, attempt) = inner.strip_suffix(",}")?.rsplit_once(",Attempt:")?;
        let (rest, namespace) = rest.rsplit_once(",Namespace:")?;
        let (name, uid) = rest.rsplit_once(",Uid:")?;
        return Some(SandboxIdentity {
            name: owned(name),
            namespace: owned(namespace),
            uid: owned(uid),
            attempt: attempt.parse().ok()?,
        });
    }
    let mut identity = SandboxIdentity::default();
    for_each_field(text, |key, value| match key {
        "name" => identity.name = owned(value),
        "uid" => identity.uid = owned(value),
        "namespace" => identity.namespace = owned(value),
        "attempt" => identity.attempt = value.parse().unwrap_or_default(),
        _ => {}
    })?;
    Some(identity)
}

/// Reads a container's name from its metadata; `None` when it has neither form.
pub(crate) fn container_name(text: &str) -> Option<Text<'static>> {
    if matches!(text, "nil" | "<nil>" | "") {
        return Some(Cow::Borrowed(""));
    }
    if let Some(inner) = text.strip_prefix("&ContainerMetadata{Name:") {
        return inner.strip_suffix(",}")?.rsplit_once(",Attempt:").map(|(name, _)| owned(name));
    }
    let mut name = Cow::Borrowed("");
    for_each_field(text, |key, value| {
        if key == "name" {
            name = owned(value);
        }
    })?;
    Some(name)
}

/// Walks the `key:value` pairs of the protobuf text format, whose spaces vary by build on purpose.
pub(crate) fn for_each_field(text: &str, mut visit: impl FnMut(&str, &str)) -> Option<()> {
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once(':')?;
        let after = after.trim_start();
        rest = if after.starts_with('"') {
            let (value, rest) = go_quoted(after)?;
            visit(key.trim(), &value);
            rest
        } else {
            let (value, rest) = after.split_at(after.find(' ').unwrap_or(after.len()));
            visit(key.trim(), value);
            rest
        }
        .trim_start();
    }
    Some(())
}

fn owned(text: &str) -> Text<'static> {
    Cow::Owned(text.to_owned())
}
