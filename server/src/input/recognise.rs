//! One file, by its content: a feed's log, an audit policy, an inventory, or nothing that is known.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Result, anyhow};
use auditgap_ingest::{
    Compression, Detection, Expander, Format, Framing, HEAD, Limits, Unrecognised, detect,
};
use auditgap_records::FeedKind;
use memchr::memchr;

use super::walk::in_words;

/// Largest file that is read whole to see whether it is an inventory, in bytes after expanding.
const WHOLE: u64 = 64 << 20;

/// What a file is.
#[derive(Debug)]
pub(crate) enum Content {
    /// A log that is read.
    Log(Detection),
    /// A log of a component whose log says nothing about gaps.
    NotUsed(Detection),
    /// An audit policy.
    Policy(Vec<u8>),
    /// Something else that is small enough to be looked at as a whole.
    Document(Vec<u8>),
    /// Nothing is in it.
    Empty,
    /// No known format; the shape of its first lines.
    Unknown(String),
}

/// What a person said that a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The kind of feed.
    pub(crate) kind: FeedKind,
    /// The option that it was given with.
    pub(crate) option: &'static str,
}

/// Looks at a file.
pub(crate) fn look(path: &Path) -> io::Result<Content> {
    let head = head(path)?;
    if head.is_empty() {
        return Ok(Content::Empty);
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match detect(&head, &name).map(|detection| with_later_formats(detection, path, &name)) {
        Ok(detection) if detection.format.kind().is_none() && detection.others.is_empty() => {
            Ok(Content::NotUsed(detection))
        }
        Ok(detection) => Ok(Content::Log(detection)),
        Err(Unrecognised { shape, compression }) => match whole(path, compression)? {
            Some(bytes) if is_policy(&bytes) => Ok(Content::Policy(bytes)),
            Some(bytes) if bytes.is_empty() => Ok(Content::Empty),
            Some(bytes) => Ok(Content::Document(bytes)),
            None => Ok(Content::Unknown(shape)),
        },
    }
}

/// Adds what begins only later in a file that several components write to, as where an API server prints its audit
/// events among its own lines.
fn with_later_formats(mut detection: Detection, path: &Path, name: &str) -> Detection {
    if detection.compression != Compression::None
        || detection.framing != Framing::Lines
        || detection.format.kind() == Some(FeedKind::Audit)
    {
        return detection;
    }
    for piece in later_pieces(path) {
        let Ok(later) = detect(&piece, name) else { continue };
        if later.framing != Framing::Lines || later.envelopes != detection.envelopes {
            continue;
        }
        for format in std::iter::once(later.format).chain(later.others) {
            // Components that log alike are told apart by the file's beginning, where they say most of themselves.
            let known = std::iter::once(detection.format).chain(detection.others.iter().copied());
            if format.kind().is_some() && !known.into_iter().any(|known| looks_alike(known, format)) {
                detection.others.push(format);
            }
        }
    }
    detection
}

fn looks_alike(left: Format, right: Format) -> bool {
    let family = |format: Format| match format {
        // The API server lists in its own log the events that it could not store.
        Format::Kubelet | Format::ApiServer | Format::OtherKlog | Format::AuditLegacy => Some("klog"),
        Format::Containerd | Format::Crio => Some("logrus"),
        _ => None,
    };
    left == right || family(left).is_some_and(|family_of_left| family(right) == Some(family_of_left))
}

/// Whole lines from the middle and the end of a file that is longer than what is looked at of its beginning. Damage is
/// no matter here.
fn later_pieces(path: &Path) -> Vec<Vec<u8>> {
    let piece = |from: u64| -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut piece = Vec::new();
        file.take(HEAD as u64).read_to_end(&mut piece)?;
        let first_line = memchr(b'\n', &piece).map_or(piece.len(), |end| end + 1);
        Ok(piece.split_off(first_line))
    };
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let Some(last) = size.checked_sub(HEAD as u64).filter(|last| *last > 0) else { return Vec::new() };
    let places = if last > 2 * HEAD as u64 { vec![size / 2, last] } else { vec![last] };
    places.into_iter().filter_map(|from| piece(from).ok()).collect()
}

/// Holds what a file is against what a person said that it is. Where formats look alike the person is right.
pub(crate) fn check(claim: Claim, mut detection: Detection, path: &Path) -> Result<Detection> {
    let formats = || std::iter::once(detection.format).chain(detection.others.iter().copied());
    if let Some(format) = formats().find(|format| format.kind() == Some(claim.kind)) {
        detection = if format == detection.format { detection } else { detection.of_other(format) };
        detection.others.clear();
        return Ok(detection);
    }
    let is_klog = |format: Format| matches!(format, Format::Kubelet | Format::ApiServer | Format::OtherKlog);
    let told = match claim.kind {
        FeedKind::Kubelet => Some(Format::Kubelet),
        FeedKind::ApiServer => Some(Format::ApiServer),
        FeedKind::Audit | FeedKind::Etcd | FeedKind::Runtime | FeedKind::Host => None,
    };
    if let Some(told) = told
        && is_klog(detection.format)
    {
        return Ok(detection.of_other(told));
    }
    Err(anyhow!(
        "{} was given as {}, but it is {}: name it with the option for that, or without one",
        path.display(),
        claim.option,
        detection.describe(),
    ))
}

/// The first raw bytes of a file.
fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// All of a file, expanded; `None` if it is too large to be anything but a log.
fn whole(path: &Path, compression: Compression) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let read = open(path, compression)?.take(WHOLE + 1).read_to_end(&mut bytes);
    match read {
        // A cut archive of an inventory is no inventory.
        Err(_) if compression != Compression::None => Ok(None),
        Err(error) => Err(error),
        Ok(_) => Ok((bytes.len() as u64 <= WHOLE).then_some(bytes)),
    }
}

/// Opens a file for reading its expanded bytes.
pub(crate) fn open(path: &Path, compression: Compression) -> io::Result<Expander<File>> {
    let mut file = File::open(path)?;
    file.rewind()?;
    Expander::new(compression, file, Limits::default())
}

/// The same in the words that a person reads.
pub(crate) fn look_in_words(path: &Path) -> Result<Content, String> {
    look(path).map_err(|error| in_words(&error))
}

/// Whether a document is an audit policy: it says so of itself, in YAML or JSON.
fn is_policy(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let says = |key: &str, is: &dyn Fn(&str) -> bool| {
        text.match_indices(key).any(|(at, _)| {
            let value = text[at + key.len()..].trim_start_matches(['"', '\'']).trim_start();
            value
                .strip_prefix(':')
                .is_some_and(|value| is(value.trim_start().trim_start_matches(['"', '\''])))
        })
    };
    says("apiVersion", &|value| value.starts_with("audit.k8s.io/"))
        && says("kind", &|value| {
            value.strip_prefix("Policy").is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_known_by_what_it_says_it_is() {
        for (text, policy) in [
            ("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: []\n", true),
            ("# comment\nkind: \"Policy\"\napiVersion: 'audit.k8s.io/v1'\n", true),
            (r#"{"kind":"Policy","apiVersion":"audit.k8s.io/v1","rules":[]}"#, true),
            ("apiVersion: audit.k8s.io/v1\nkind: PolicyList\n", false),
            ("apiVersion: policy/v1\nkind: Policy\n", false),
            ("the apiVersion of a kind", false),
        ] {
            assert_eq!(is_policy(text.as_bytes()), policy, "{text}");
        }
    }

    #[test]
    fn events_that_begin_late_in_a_containers_log_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let stamp = "2026-03-01T11:00:00.000000001Z";
        let flag = format!(
            "{stamp} stderr F I0301 11:00:00.000001       7 flags.go:64] FLAG: --etcd-servers=\"x\"\n"
        );
        let event = format!(
            "{stamp} stdout F {{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"Metadata\",\
             \"auditID\":\"a\",\"stage\":\"ResponseComplete\",\"verb\":\"get\"}}\n"
        );
        std::fs::write(&path, flag.repeat(HEAD / 50) + &event.repeat(HEAD / 100)).unwrap();
        let Content::Log(detection) = look(&path).unwrap() else { panic!("no log") };
        assert_eq!((detection.format, &*detection.others), (Format::ApiServer, &[Format::AuditJson][..]));
    }
}
