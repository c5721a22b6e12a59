//! From the command line to everything that is known before the first record is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use auditgap_correlate::policy::Policy;
use auditgap_ingest::{Compression, Detection, Format, inventory};
use auditgap_records::FeedKind;
use auditgap_records::inventory::Inventory;

use super::clocks::Clocks;
use super::group::{Group, LogFile, group};
use super::recognise::{Claim, Content, check, look_in_words};
use super::walk::{Found, Skipped, walk};
use crate::cli::{InputArgs, Named};
use crate::reading::{FeedSource, SourceFile};

/// A file that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its name in the report: as short as it can be and still be found.
    pub(crate) shown: String,
    /// How it is compressed.
    pub(crate) compression: Compression,
    /// The formats that it is read for.
    pub(crate) formats: Vec<Format>,
    /// Length in bytes as it lies on the disk.
    pub(crate) size: u64,
}

/// Everything that is known before the first record is read.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// Files that positions count.
    pub(crate) files: Vec<InputFile>,
    /// Feeds, in the order of their kinds and names.
    pub(crate) feeds: Vec<FeedSource>,
    /// The audit policy, and the file that it is from.
    pub(crate) policy: Option<(String, Policy)>,
    /// Objects listed beside the logs.
    pub(crate) inventory: Inventory,
    /// Files of inventories.
    pub(crate) inventories: Vec<String>,
    /// Logs that are known and not needed.
    pub(crate) not_used: Vec<(String, Format)>,
    /// Files of no known format, with the shape of their first lines if they have any.
    pub(crate) unknown: Vec<(String, String)>,
    /// What could not be looked at.
    pub(crate) skipped: Vec<Skipped>,
    /// What a person should know beside.
    pub(crate) remarks: Vec<String>,
}

impl Inputs {
    /// Whether there is a feed of a kind.
    pub(crate) fn has(&self, kind: FeedKind) -> bool {
        self.feeds.iter().any(|source| source.feed.kind == kind)
    }

    /// Bytes that will be read, as they lie on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        let files = self.feeds.iter().flat_map(|source| &source.files);
        files.filter_map(|file| self.files.get(file.number as usize)).map(|file| file.size).sum()
    }
}

/// Looks at everything that the command line names.
///
/// What is named itself must be there and be what it is said to be; what is found in a folder need not.
pub(crate) fn gather(args: &InputArgs) -> Result<Inputs> {
    let mut gatherer = Gatherer { inputs: Inputs::default(), logs: Vec::new(), roots: roots(args) };
    if let Some(path) = &args.audit_policy {
        let bytes = std::fs::read(path)
            .with_context(|| format!("cannot read the audit policy {}", path.display()))?;
        gatherer
            .policy(&path.display().to_string(), &bytes)
            .map_err(|why| anyhow!("{}: {why}", path.display()))?;
    }
    for (option, kind, named) in claims(args) {
        for item in named {
            gatherer.named(Claim { kind, option }, item)?;
        }
    }
    for path in &args.inventory {
        gatherer.declared(path)?;
    }
    for path in &args.paths {
        gatherer.folder(path)?;
    }
    Ok(gatherer.finish(args))
}

/// What was named with an option that says what it is.
fn claims(args: &InputArgs) -> [(&'static str, FeedKind, &[Named]); 7] {
    [
        ("--audit", FeedKind::Audit, &args.audit),
        ("--kubelet", FeedKind::Kubelet, &args.kubelet),
        ("--etcd", FeedKind::Etcd, &args.etcd),
        ("--etcd-watch", FeedKind::Etcd, &args.etcd_watch),
        ("--runtime", FeedKind::Runtime, &args.runtime),
        ("--host", FeedKind::Host, &args.host),
        ("--apiserver", FeedKind::ApiServer, &args.apiserver),
    ]
}

/// How many folders were named: names below a single one are unique without it.
fn roots(args: &InputArgs) -> usize {
    let named: usize = claims(args).iter().map(|(_, _, named)| named.len()).sum();
    named + args.paths.len()
}

struct Gatherer {
    inputs: Inputs,
    logs: Vec<LogFile>,
    roots: usize,
}

impl Gatherer {
    /// A file or folder whose kind a person has told.
    fn named(&mut self, claim: Claim, item: &Named) -> Result<()> {
        let Named { instance, path } = item;
        let is_folder = path.is_dir();
        for found in self.walk(path)? {
            let content = look_in_words(&found.path);
            let shown = found.path.display();
            match content {
                Ok(Content::Log(detection) | Content::NotUsed(detection)) => {
                    match check(claim, detection, &found.path) {
                        Ok(detection) => self.log(&found, instance.as_deref(), detection),
                        Err(error) if is_folder => self.inputs.remarks.push(error.to_string()),
                        Err(error) => return Err(error),
                    }
                }
                Ok(Content::Empty) => self.inputs.remarks.push(format!("{shown} is empty")),
                Ok(_) if is_folder => self.inputs.unknown.push((shown.to_string(), String::new())),
                Ok(_) => {
                    return Err(anyhow!(
                        "{shown} was given as {}, but it is no log of a known format",
                        claim.option
                    ));
                }
                Err(why) if is_folder => self.skip(&found.path, why),
                Err(why) => return Err(anyhow!("{shown} {why}")),
            }
        }
        Ok(())
    }

    /// What a person declares to be there.
    fn declared(&mut self, path: &Path) -> Result<()> {
        let is_folder = path.is_dir();
        for found in self.walk(path)? {
            let shown = found.path.display().to_string();
            let known = match look_in_words(&found.path) {
                Ok(Content::Document(bytes)) => self.document(&shown, &bytes, true),
                Ok(Content::Empty) => true,
                Ok(_) => false,
                Err(why) if is_folder => {
                    self.skip(&found.path, why);
                    true
                }
                Err(why) => return Err(anyhow!("{shown} {why}")),
            };
            if !known && !is_folder {
                return Err(anyhow!(
                    "{shown} was given as --inventory, but it is neither a list of objects (kubectl get … -o json), a \
                     manifest, a runtime's list nor a kubelet configuration"
                ));
            }
            if !known {
                self.inputs.unknown.push((shown, String::new()));
            }
        }
        Ok(())
    }

    /// A file or folder of which nothing was told.
    fn folder(&mut self, path: &Path) -> Result<()> {
        for found in self.walk(path)? {
            let shown = self.shown(&found);
            match look_in_words(&found.path) {
                Ok(Content::Log(detection)) => self.log(&found, None, detection),
                Ok(Content::NotUsed(detection)) => self.inputs.not_used.push((shown, detection.format)),
                Ok(Content::Policy(bytes)) => {
                    if let Err(why) = self.policy(&shown, &bytes) {
                        self.inputs.remarks.push(format!("{shown}: {why}"));
                    }
                }
                Ok(Content::Document(bytes)) => {
                    if !self.document(&shown, &bytes, false) {
                        self.inputs.unknown.push((shown, String::new()));
                    }
                }
                Ok(Content::Unknown(shape)) => self.inputs.unknown.push((shown, shape)),
                Ok(Content::Empty) => self.inputs.remarks.push(format!("{shown} is empty")),
                Err(why) => self.skip(&found.path, why),
            }
        }
        Ok(())
    }

    /// Files below a path; an error if the path itself cannot be read.
    fn walk(&mut self, path: &Path) -> Result<Vec<Found>> {
        let mut skipped = Vec::new();
        let found = walk(path, &mut skipped);
        if let Some(own) = skipped.iter().find(|skipped| skipped.path == path) {
            return Err(anyhow!("{} {}", path.display(), own.why));
        }
        self.inputs.skipped.append(&mut skipped);
        Ok(found)
    }

    fn skip(&mut self, path: &Path, why: String) {
        self.inputs.skipped.push(Skipped { path: path.to_owned(), why });
    }

    fn shown(&self, found: &Found) -> String {
        let path = if self.roots > 1 { &found.path } else { &found.below };
        path.display().to_string()
    }

    fn log(&mut self, found: &Found, instance: Option<&str>, detection: Detection) {
        let number = self.inputs.files.len() as u32;
        let shown = self.shown(found);
        self.inputs.files.push(InputFile {
            path: found.path.clone(),
            shown,
            compression: detection.compression,
            formats: std::iter::once(detection.format).chain(detection.others.iter().copied()).collect(),
            size: found.size,
        });
        let others: Vec<Detection> =
            detection.others.iter().map(|format| detection.of_other(*format)).collect();
        // A file that also holds other components' lines is read once for each.
        for detection in std::iter::once(Detection { others: Vec::new(), ..detection }).chain(others) {
            if detection.format.kind().is_some() {
                let (below, instance) = (found.below.clone(), instance.map(ToOwned::to_owned));
                self.logs.push(LogFile { file: number, below, instance, detection, span: None });
            }
        }
    }

    fn policy(&mut self, shown: &str, bytes: &[u8]) -> Result<(), String> {
        let text =
            std::str::from_utf8(bytes).map_err(|error| format!("the audit policy is not UTF-8: {error}"))?;
        let loaded = Policy::load(text).map_err(|error| format!("the audit policy is {error}"))?;
        if let Some((first, policy)) = &self.inputs.policy {
            return if *policy == loaded.policy {
                Ok(())
            } else {
                Err(format!(
                    "another audit policy than {first}, which is used: name the right one with --audit-policy"
                ))
            };
        }
        for diagnostic in &loaded.diagnostics {
            self.inputs.remarks.push(format!("{shown}:{}: {}", diagnostic.line, diagnostic.text));
        }
        self.inputs.policy = Some((shown.to_owned(), loaded.policy));
        Ok(())
    }

    /// Takes a document for what it is; whether it is anything.
    fn document(&mut self, shown: &str, bytes: &[u8], declared: bool) -> bool {
        if let Some(settings) = inventory::settings(bytes, shown) {
            self.inputs.inventory.settings.extend(settings);
        } else if let Some(mut snapshot) = inventory::recognise(bytes, shown) {
            snapshot.declared = declared;
            self.inputs.inventory.snapshots.push(snapshot);
        } else {
            return false;
        }
        self.inputs.inventories.push(shown.to_owned());
        true
    }

    fn finish(mut self, args: &InputArgs) -> Inputs {
        let clocks = Clocks::of(&mut self.logs, &self.inputs.files, args);
        let mut groups = group(self.logs);
        number_as_read(&mut groups, &mut self.inputs.files);
        let files = &self.inputs.files;
        self.inputs.feeds = groups.into_iter().map(|group| source(group, &clocks, files)).collect();
        self.inputs
    }
}

/// Numbers files in the order in which they are read, the oldest of a log's rotations first: records of one moment
/// stand in the order of their positions, and the order in which files were found or named does not count.
fn number_as_read(groups: &mut [Group], files: &mut Vec<InputFile>) {
    let mut numbers = BTreeMap::new();
    for log in groups.iter().flat_map(|group| &group.files) {
        let next = numbers.len() as u32;
        numbers.entry(log.file).or_insert(next);
    }
    for old in 0..files.len() as u32 {
        let next = numbers.len() as u32;
        numbers.entry(old).or_insert(next);
    }
    let mut numbered: Vec<(Option<&u32>, InputFile)> =
        (0..).zip(files.drain(..)).map(|(old, file): (u32, _)| (numbers.get(&old), file)).collect();
    numbered.sort_by_key(|(number, _)| *number);
    files.extend(numbered.into_iter().map(|(_, file)| file));
    for log in groups.iter_mut().flat_map(|group| &mut group.files) {
        log.file = numbers.get(&log.file).copied().unwrap_or(log.file);
    }
}

/// A feed with everything that is needed to read it.
fn source(group: Group, clocks: &Clocks, files: &[InputFile]) -> FeedSource {
    let mut notes = Vec::new();
    let mut sources = Vec::with_capacity(group.files.len());
    for log in group.files {
        let Some(file) = files.get(log.file as usize) else { continue };
        let (clock, note) = clocks.hint(file, &log);
        notes.extend(note.filter(|note| !notes.contains(note)));
        sources.push(SourceFile {
            number: log.file,
            path: file.path.clone(),
            shown: file.shown.clone(),
            detection: log.detection,
            clock,
        });
    }
    FeedSource { feed: group.feed, files: sources, notes }
}
