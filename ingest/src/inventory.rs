//! What a folder holds beside logs: objects listed at some moment, static Pod manifests, a runtime's own lists, kubelet
//! configuration.
//!
//! A file is recognised by what it says, not by its name. Of Pods only what matching needs is kept; values of
//! environment variables, Secrets and the like are not read at all.

mod object;
mod runtime;
mod settings;
mod times;

use auditgap_records::inventory::{PodFacts, Snapshot};
use auditgap_records::pod::PodObject;
use memchr::memmem;

pub use settings::settings;

/// How far into a file to look for a sign that it is worth reading as a whole.
const SNIFF: usize = 64 << 10;
/// YAML is written by hand; what is larger is something else.
const MAX_YAML: usize = 16 << 20;

/// Reads a file that lists objects, or `None` if it is no such file:
///
/// - `kubectl get -o json` or `-o yaml`: lists, `PodList` and the like, single Pods, Namespaces, Nodes and bindings;
/// - static Pod manifests: Pods that no API server has given a UID, in JSON or YAML;
/// - `ctr containers ls`, `ctr images ls`, `crictl ps|pods|images -o json`.
///
/// `name` becomes the snapshot's source.
pub fn recognise(bytes: &[u8], name: &str) -> Option<Snapshot> {
    let shape = Shape::of(bytes)?;
    let text = text_of(bytes)?;
    let mut snapshot = Snapshot { source: name.to_owned(), ..Snapshot::default() };
    let recognised = match shape {
        Shape::Json => object::read(text, &mut snapshot) || runtime::read_json(text, &mut snapshot),
        Shape::Yaml => yaml_documents(text)?.iter().fold(false, |any, document| {
            let read = object::read(document, &mut snapshot);
            any || read
        }),
        Shape::Table => runtime::read_table(text, &mut snapshot),
    };
    recognised.then_some(snapshot)
}

/// What matching needs of one Pod, from its JSON; `None` if the text is not a Pod.
pub fn pod_facts(json: &str) -> Option<PodFacts> {
    let facts = serde_json::from_str::<PodObject>(json).ok()?.facts()?;
    (!facts.name.is_empty()).then_some(facts)
}

/// A file without its byte order mark and leading space.
fn content(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start()
}

fn text_of(bytes: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(content(bytes)).ok()
}

/// How a file is written, if it may be an inventory at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Json,
    Yaml,
    Table,
}

impl Shape {
    /// Judged by the first part of the file only: most files are logs, and large.
    fn of(bytes: &[u8]) -> Option<Self> {
        let content = content(bytes);
        let head = &content[..content.len().min(SNIFF)];
        if head.starts_with(b"{") {
            let signs: [&[u8]; 4] = [b"\"apiVersion\"", b"\"containers\"", b"\"images\"", b"\"items\""];
            let sign = signs.iter().any(|sign| memmem::find(head, sign).is_some());
            return sign.then_some(Self::Json);
        }
        let lines = head.split(|byte| *byte == b'\n');
        if lines.clone().next().is_some_and(runtime::is_table_head) {
            return Some(Self::Table);
        }
        let has = |key: &[u8]| lines.clone().any(|line| line.starts_with(key));
        (content.len() <= MAX_YAML && has(b"kind:") && has(b"apiVersion:")).then_some(Self::Yaml)
    }
}

/// Each document of a YAML file as JSON, so that there is one reader for both.
fn yaml_documents(text: &str) -> Option<Vec<String>> {
    let options = serde_saphyr::options! { with_snippet: false };
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple_with_options(text, options).ok()?;
    Some(documents.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests;
