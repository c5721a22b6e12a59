//! Telling a person what was recognised, what was not, and what is missing to judge each path.

use std::io::{self, Write};

use auditgap_records::FeedKind;

use super::Inputs;
use crate::render::visible;

/// Names that are listed of each sort; the others are counted.
const NAMED: usize = 12;

/// Writes what there is to read. Meant for standard error.
pub(crate) fn announce(inputs: &Inputs, out: &mut dyn Write) -> io::Result<()> {
    for source in &inputs.feeds {
        let feed = &source.feed;
        let files = match source.files.as_slice() {
            [file] => file.shown.clone(),
            files => format!("{} ({} files)", feed.source, files.len()),
        };
        writeln!(
            out,
            "  {:<9} {:<16} {}  [{}]",
            feed.kind.as_str(),
            visible(&feed.instance),
            visible(&files),
            visible(&feed.format)
        )?;
    }
    if let Some((file, policy)) = &inputs.policy {
        writeln!(out, "  {:<9} {}  [{} rules]", "policy", visible(file), policy.rules.len())?;
    }
    list(out, "inventory", inputs.inventories.iter().cloned())?;
    list(
        out,
        "not used",
        inputs.not_used.iter().map(|(file, format)| format!("{file} [{}]", format.as_str())),
    )?;
    list(out, "unknown", inputs.unknown.iter().map(|(file, _)| file.clone()))?;
    for skipped in &inputs.skipped {
        let line = format!("{}: {}", skipped.path.display(), skipped.why);
        writeln!(out, "  {:<9} {}", "skipped", visible(&line))?;
    }
    for remark in &inputs.remarks {
        writeln!(out, "  {:<9} {}", "note", visible(remark))?;
    }
    for (what, loses) in missing(inputs) {
        writeln!(out, "  {:<9} {what}: {loses}", "missing")?;
    }
    writeln!(out)
}

fn list(out: &mut dyn Write, label: &str, names: impl ExactSizeIterator<Item = String>) -> io::Result<()> {
    let more = names.len().saturating_sub(NAMED);
    let mut named: Vec<String> = names.take(NAMED).map(|name| visible(&name).into_owned()).collect();
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    if named.is_empty() { Ok(()) } else { writeln!(out, "  {label:<9} {}", named.join(", ")) }
}

/// What is not there, and what cannot be said without it.
fn missing(inputs: &Inputs) -> Vec<(&'static str, &'static str)> {
    let without = [
        (
            FeedKind::Audit,
            "audit log (--audit)",
            "nothing can be accounted for, so only what is a bypass by its nature is found",
        ),
        (
            FeedKind::Kubelet,
            "kubelet log (--kubelet)",
            "no verdict on static Pods and on requests to the kubelet",
        ),
        (FeedKind::Etcd, "etcd log or watch (--etcd, --etcd-watch)", "no verdict on writes to etcd"),
        (
            FeedKind::Runtime,
            "runtime log or events (--runtime)",
            "no verdict on containers started past the kubelet",
        ),
    ];
    let mut missing: Vec<_> = without
        .into_iter()
        .filter(|(kind, _, _)| !inputs.has(*kind))
        .map(|(_, what, loses)| (what, loses))
        .collect();
    if inputs.policy.is_none() {
        missing.push((
            "audit policy (--audit-policy)",
            "what would be recorded is learned from what was, and less can be judged",
        ));
    }
    if inputs.inventory.snapshots.is_empty() {
        missing.push(("inventory (--inventory)", "Pods that are older than the logs are not known"));
    }
    missing
}
