//! What file names tell: which files are rotations of one log, and which node a log is from.

use std::path::Path;

/// A log's name without what rotation and compression added, and what tells its rotations apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogName {
    /// Common to all rotations: `audit.log`.
    pub(crate) base: String,
    /// Sorts the rotations from the oldest to the newest, the file that is still written last.
    pub(crate) rotation: Rotation,
}

/// Place among the rotations of one log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rotation {
    /// A date in the name: `audit-2026-03-31T10-00-00.000.log`, `messages-20260331`. Digits only.
    Date(String),
    /// A number that grows with age: `kubelet.log.2`. Negated, so that the oldest comes first.
    Number(i64),
    /// The file that is still written.
    Current,
}

/// Takes a file's name apart.
pub(crate) fn log_name(file: &str) -> LogName {
    let mut name = file;
    for suffix in [".gz", ".zst", ".zstd"] {
        name = name.strip_suffix(suffix).unwrap_or(name);
    }
    // kubelet.log.2, and klog's own kubelet.host.user.log.INFO.20260331-100000.1234
    if let Some((base, number)) = name.rsplit_once('.')
        && let Ok(number) = number.parse::<i64>()
    {
        if let Some((klog, date)) = base.rsplit_once('.')
            && let Some(digits) = date_digits(date)
        {
            return LogName { base: klog.to_owned(), rotation: Rotation::Date(digits) };
        }
        if number < 1_000_000 && !base.is_empty() {
            return LogName { base: base.to_owned(), rotation: Rotation::Number(-number) };
        }
    }
    // A date before or after the extension, behind a dash, an underscore or a dot.
    for (index, _) in name.match_indices(['-', '_', '.']) {
        let tail = &name[index + 1..];
        let width = tail
            .find(|character: char| {
                !character.is_ascii_digit() && !matches!(character, '-' | '_' | 'T' | '.' | 'Z' | ':')
            })
            .unwrap_or(tail.len());
        let date = tail[..width].trim_end_matches(['.', '-', '_']);
        if let Some(digits) = date_digits(date) {
            let base = format!("{}{}", &name[..index], &tail[date.len()..]);
            return LogName { base, rotation: Rotation::Date(digits) };
        }
    }
    LogName { base: name.to_owned(), rotation: Rotation::Current }
}

/// The digits of a date with at least year, month and day; `None` if it is none.
fn date_digits(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let other = text.chars().all(|character| {
        character.is_ascii_digit() || matches!(character, '-' | '_' | 'T' | '.' | 'Z' | ':')
    });
    let year: u32 = digits.get(..4)?.parse().ok()?;
    let month: u32 = digits.get(4..6)?.parse().ok()?;
    let day: u32 = digits.get(6..8)?.parse().ok()?;
    let plausible = (2000..2100).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    (other && plausible).then_some(digits)
}

/// Words in names of files and folders that say what a log is or where logs lie, not which machine one is from.
const COMMON_WORDS: [&str; 40] = [
    "audit",
    "auditd",
    "apiserver",
    "containerd",
    "containers",
    "crio",
    "cri",
    "o",
    "ctr",
    "docker",
    "dockerd",
    "etcd",
    "events",
    "falco",
    "inotify",
    "journal",
    "journald",
    "kube",
    "kubelet",
    "kubernetes",
    "log",
    "logs",
    "messages",
    "syslog",
    "tetragon",
    "watch",
    "webhook",
    "runtime",
    "var",
    "lib",
    "opt",
    "etc",
    "tmp",
    "pods",
    "nodes",
    "hosts",
    "files",
    "data",
    "server",
    "api",
];

/// Which API server, node or member a file is from, as its name or its folder says: `node-1/kubelet.log` and
/// `kubelet-node-1.log` are from `node-1`. A name that only says what the file is stands for itself.
pub(crate) fn instance(below: &Path) -> String {
    let name = below.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let base = log_name(&name).base;
    let stem = base.split_once('.').map_or(base.as_str(), |(stem, _)| stem);
    // From the innermost folder outwards: the first name that is more than common words.
    let parents = below.parent().into_iter().flat_map(Path::ancestors).filter_map(Path::file_name);
    let folders: Vec<String> = parents.map(|name| name.to_string_lossy().into_owned()).collect();
    let own = own_part(stem).or_else(|| folders.iter().find_map(|name| own_part(name)));
    // Numbers name a place in a sequence: the folder is the log.
    let named = |name: &&String| name.contains(|character: char| character.is_alphabetic());
    own.map(ToOwned::to_owned)
        .or_else(|| Some(stem.to_owned()).filter(|stem| named(&stem)))
        .or_else(|| folders.iter().find(named).cloned())
        .unwrap_or(base)
}

/// The machine that a folder of logs is named after, if it or a folder around it is named after anything.
pub(crate) fn folder_name(folder: &Path) -> Option<String> {
    let names =
        folder.ancestors().filter_map(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    names.into_iter().find_map(|name| own_part(&name).map(ToOwned::to_owned))
}

/// A name without the common words around it; `None` if nothing else is in it.
fn own_part(name: &str) -> Option<&str> {
    let is_separator = |character: char| matches!(character, '-' | '_' | '.' | ' ');
    let is_common =
        |word: &str| word.is_empty() || COMMON_WORDS.iter().any(|common| word.eq_ignore_ascii_case(common));
    let mut own = name;
    loop {
        let first = own.split(is_separator).next().unwrap_or_default();
        let last = own.rsplit(is_separator).next().unwrap_or_default();
        if own.is_empty() {
            return None;
        } else if is_common(first) {
            own = own.get(first.len() + 1..).unwrap_or_default();
        } else if is_common(last) {
            own = own.get(..own.len() - last.len() - 1).unwrap_or_default();
        } else {
            break;
        }
    }
    // Mere numbers are sequences, not names.
    own.contains(|character: char| character.is_alphabetic()).then_some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_share_a_base_and_sort_by_age() {
        for (file, base, rotation) in [
            ("audit.log", "audit.log", Rotation::Current),
            ("audit.log.gz", "audit.log", Rotation::Current),
            ("audit-2026-03-31T10-00-00.000.log", "audit.log", Rotation::Date("20260331100000000".into())),
            ("audit-2026-03-31T10-00-00.000.log.gz", "audit.log", Rotation::Date("20260331100000000".into())),
            ("kubelet.log.1", "kubelet.log", Rotation::Number(-1)),
            ("kubelet.log.12.gz", "kubelet.log", Rotation::Number(-12)),
            ("messages-20260331", "messages", Rotation::Date("20260331".into())),
            (
                "kubelet.n1.root.log.INFO.20260331-100000.77",
                "kubelet.n1.root.log.INFO",
                Rotation::Date("20260331100000".into()),
            ),
            ("node-1.log", "node-1.log", Rotation::Current),
            ("etcd-2.log", "etcd-2.log", Rotation::Current),
            ("host-20.log", "host-20.log", Rotation::Current),
        ] {
            assert_eq!(log_name(file), LogName { base: base.into(), rotation }, "{file}");
        }
        assert!(Rotation::Number(-2) < Rotation::Number(-1) && Rotation::Number(-1) < Rotation::Current);
    }

    #[test]
    fn a_name_is_kept_without_what_says_the_kind() {
        for (path, expected) in [
            ("kubelet.log", "kubelet"),
            ("node-1/kubelet.log", "node-1"),
            ("kubelet-node-1.log", "node-1"),
            ("logs/worker_2/var/containerd.log.1", "worker_2"),
            ("ip-10-0-0-1.internal/kubelet.log", "ip-10-0-0-1.internal"),
            ("master-0/audit/audit.log", "master-0"),
            ("audit-webhook/000001-1795434977.json", "audit-webhook"),
            ("etcd-watch.jsonl", "etcd-watch"),
            ("ip-10-0-0-1.kubelet.log", "ip-10-0-0-1"),
        ] {
            assert_eq!(instance(Path::new(path)), expected, "{path}");
        }
    }
}
