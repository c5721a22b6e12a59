//! Files to feeds: rotations of one log, and the many bodies of one webhook, are one stream each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use auditgap_ingest::{Detection, Envelope, Format, Framing};
use auditgap_records::{Feed, FeedKind, Interval};

use super::names::{Rotation, folder_name, instance, log_name};

/// A recognised log file.
#[derive(Clone, Debug)]
pub(crate) struct LogFile {
    /// Number of the file.
    pub(crate) file: u32,
    /// Its place below the folder that was named.
    pub(crate) below: PathBuf,
    /// Node, API server or member that a person said it is from.
    pub(crate) instance: Option<String>,
    /// What it was recognised as.
    pub(crate) detection: Detection,
    /// First and last record near its beginning and end, if any were found.
    pub(crate) span: Option<Interval>,
}

/// Files that make one feed, in the order in which they are read.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Its identity.
    pub(crate) feed: Feed,
    /// Its files, the oldest first.
    pub(crate) files: Vec<LogFile>,
}

/// What the files of one feed have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    kind: FeedKind,
    instance: String,
    folder: PathBuf,
    base: String,
    format: Format,
    envelopes: Vec<String>,
}

/// Puts files together, and files of one feed in order.
pub(crate) fn group(mut files: Vec<LogFile>) -> Vec<Group> {
    name_by_folder(&mut files);
    let mut groups: BTreeMap<Key, Vec<(LogFile, Rotation)>> = BTreeMap::new();
    for file in files {
        let Some(kind) = file.detection.format.kind() else { continue };
        let name = file.below.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = log_name(&name);
        let folder = file.below.parent().unwrap_or(Path::new("")).to_owned();
        let is_body = file.detection.format == Format::AuditJson
            && matches!(file.detection.framing, Framing::Documents { list: Some(_) });
        // A folder of webhook bodies is one stream whatever they are called.
        let base = if is_body { String::new() } else { name.base };
        let named = file.instance.clone();
        let key = Key {
            kind,
            instance: named
                .unwrap_or_else(|| instance(if is_body { body_place(&file.below) } else { &file.below })),
            folder,
            base,
            format: file.detection.format,
            envelopes: file
                .detection
                .envelopes
                .iter()
                .map(|envelope| Envelope::as_str(*envelope).to_owned())
                .collect(),
        };
        groups.entry(key).or_default().push((file, name.rotation));
    }
    groups.into_iter().map(|(key, files)| ordered(key, files)).collect()
}

/// Logs of a node that lie in a folder of their own are that node's, whatever they are called: where their names
/// disagree and none is there twice, the folder tells.
fn name_by_folder(files: &mut [LogFile]) {
    let mut folders: BTreeMap<PathBuf, Vec<&mut LogFile>> = BTreeMap::new();
    for file in files {
        let kind = file.detection.format.kind();
        let of_node = matches!(kind, Some(FeedKind::Kubelet | FeedKind::Runtime | FeedKind::Host));
        if of_node && file.instance.is_none() {
            folders.entry(file.below.parent().unwrap_or(Path::new("")).to_owned()).or_default().push(file);
        }
    }
    for (folder, members) in folders {
        let Some(name) = folder_name(&folder) else { continue };
        let names: BTreeSet<String> = members.iter().map(|file| instance(&file.below)).collect();
        let base = |file: &LogFile| file.below.file_name().map(|name| log_name(&name.to_string_lossy()).base);
        let logs: BTreeSet<_> = members.iter().map(|file| (file.detection.format, base(file))).collect();
        let formats: BTreeSet<_> = logs.iter().map(|(format, _)| *format).collect();
        if names.len() > 1 && formats.len() == logs.len() {
            for file in members {
                file.instance = Some(name.clone());
            }
        }
    }
}

/// What names a webhook body: its folder, or itself where it lies in none.
fn body_place(below: &Path) -> &Path {
    below.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(below)
}

fn ordered(key: Key, mut files: Vec<(LogFile, Rotation)>) -> Group {
    // The first record decides where it is known: clocks know better than names. A stable sort keeps the names' order
    // where it is not.
    files.sort_by(|(left, left_age), (right, right_age)| {
        (left_age, &left.below).cmp(&(right_age, &right.below))
    });
    if files.iter().all(|(file, _)| file.span.is_some()) {
        files.sort_by_key(|(file, _)| file.span.map(|span| span.from));
    }
    let files: Vec<LogFile> = files.into_iter().map(|(file, _)| file).collect();
    let source = if key.base.is_empty() {
        let folder = key.folder.file_name().map(|name| name.to_string_lossy().into_owned());
        folder.unwrap_or_else(|| key.instance.clone())
    } else {
        key.folder.join(&key.base).to_string_lossy().into_owned()
    };
    let format = files.first().map_or_else(String::new, |file| file.detection.describe());
    Group { feed: Feed { kind: key.kind, instance: key.instance, source, format }, files }
}

#[cfg(test)]
mod tests {
    use auditgap_ingest::Compression;
    use auditgap_records::Timestamp;

    use super::*;

    fn file(number: u32, below: &str, format: Format, list: Option<&'static str>) -> LogFile {
        let framing = if list.is_some() { Framing::Documents { list } } else { Framing::Lines };
        let detection =
            Detection { format, envelopes: vec![], framing, compression: Compression::None, others: vec![] };
        LogFile { file: number, below: below.into(), instance: None, detection, span: None }
    }

    fn grouped(files: Vec<LogFile>) -> Vec<(String, Vec<u32>)> {
        let names = |group: Group| (group.feed.name(), group.files.iter().map(|file| file.file).collect());
        group(files).into_iter().map(names).collect()
    }

    #[test]
    fn rotations_are_one_feed_and_nodes_are_not() {
        let files = vec![
            file(0, "audit.log", Format::AuditJson, None),
            file(1, "audit-2026-03-31T10-00-00.000.log.gz", Format::AuditJson, None),
            file(2, "node-1.log", Format::Kubelet, None),
            file(3, "node-2.log", Format::Kubelet, None),
            file(4, "node-2.log.1", Format::Kubelet, None),
            file(5, "node-2.log.2", Format::Kubelet, None),
        ];
        let expected = [
            ("audit/audit/audit.log", vec![1, 0]),
            ("kubelet/node-1/node-1.log", vec![2]),
            ("kubelet/node-2/node-2.log", vec![5, 4, 3]),
        ];
        assert_eq!(grouped(files), expected.map(|(name, files)| (name.to_owned(), files)));
    }

    #[test]
    fn a_folder_names_the_node_where_the_files_disagree() {
        let files = vec![
            file(0, "worker-1/syslog", Format::Kubelet, None),
            file(1, "worker-1/cd.txt", Format::Containerd, None),
            file(2, "worker-1/cd.txt.1", Format::Containerd, None),
            file(3, "all/node-2.log", Format::Kubelet, None),
            file(4, "all/node-3.log", Format::Kubelet, None),
        ];
        let expected = [
            ("kubelet/node-2/all/node-2.log", vec![3]),
            ("kubelet/node-3/all/node-3.log", vec![4]),
            ("kubelet/worker-1/worker-1/syslog", vec![0]),
            ("runtime/worker-1/worker-1/cd.txt", vec![2, 1]),
        ];
        assert_eq!(grouped(files), expected.map(|(name, files)| (name.to_owned(), files)));
    }

    #[test]
    fn the_bodies_of_a_webhook_are_one_feed() {
        let files = vec![
            file(0, "hook/000002-1795434978.json", Format::AuditJson, Some("items")),
            file(1, "hook/000001-1795434977.json", Format::AuditJson, Some("items")),
            file(2, "audit.log", Format::AuditJson, None),
        ];
        let expected = [("audit/audit/audit.log", vec![2]), ("audit/hook/hook", vec![1, 0])];
        assert_eq!(grouped(files), expected.map(|(name, files)| (name.to_owned(), files)));
    }

    #[test]
    fn the_first_record_orders_what_names_do_not() {
        let mut files = vec![
            file(0, "hook/a.json", Format::AuditJson, Some("items")),
            file(1, "hook/b.json", Format::AuditJson, Some("items")),
        ];
        files[0].span = Some(Interval::new(Timestamp(2), Timestamp(2)));
        files[1].span = Some(Interval::new(Timestamp(1), Timestamp(9)));
        assert_eq!(grouped(files), [("audit/hook/hook".to_owned(), vec![1, 0])]);
    }
}
