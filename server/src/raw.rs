//! The raw lines behind the evidence: read again at the end, and only those that the report points to.
//!
//! Holding lines while the logs are read would cost memory for every record that might become evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom};

use auditgap_ingest::{Compression, Format, redact};
use auditgap_records::report::{Evidence, Report};

use crate::input::{InputFile, open};

/// Longest raw text that is shown of one entry, in bytes.
const SHOWN: usize = 8 << 10;
/// Longest entry that is read to be shown. Masking needs the whole entry: a secret may stand across a cut.
const LONGEST: u32 = 4 << 20;

/// A span of a file.
type Span = (u64, u32);

/// Fills in [`Evidence::raw`] throughout the report. Gives back what went wrong, in words.
pub(crate) fn fill(report: &mut Report, files: &[InputFile]) -> Vec<String> {
    let gaps = report.gaps.iter_mut().chain(&mut report.blind_spots);
    let evidence = gaps.flat_map(|gap| {
        let candidates = gap.rejected_candidates.iter_mut().map(|candidate| &mut candidate.audit);
        gap.evidence.iter_mut().chain(candidates)
    });
    fill_each(evidence.collect(), files)
}

/// Fills in [`Evidence::raw`] of a list.
pub(crate) fn fill_evidence(evidence: &mut [Evidence], files: &[InputFile]) -> Vec<String> {
    fill_each(evidence.iter_mut().collect(), files)
}

fn fill_each(evidence: Vec<&mut Evidence>, files: &[InputFile]) -> Vec<String> {
    let mut wanted: BTreeMap<&str, BTreeSet<Span>> = BTreeMap::new();
    let mut troubles = Vec::new();
    for item in &evidence {
        wanted.entry(&item.file).or_default().insert((item.offset, item.length));
    }
    let mut lines: BTreeMap<&str, BTreeMap<Span, String>> = BTreeMap::new();
    for file in files {
        let Some(spans) = wanted.get(file.shown.as_str()) else { continue };
        let mut found = BTreeMap::new();
        if let Err(error) = read_spans(file, spans, &mut found) {
            troubles.push(format!("raw lines of {} cannot be shown: {error}", file.shown));
        }
        lines.insert(&file.shown, found);
    }
    for item in evidence {
        let span = (item.offset, item.length);
        item.raw = lines.get(item.file.as_str()).and_then(|found| found.get(&span)).cloned();
    }
    troubles
}

/// Reads spans of one file in their order: by seeking, or in one pass over what is compressed.
fn read_spans(
    file: &InputFile,
    spans: &BTreeSet<Span>,
    found: &mut BTreeMap<Span, String>,
) -> io::Result<()> {
    if file.compression == Compression::None {
        let mut source = std::fs::File::open(&file.path)?;
        for span in spans {
            source.seek(SeekFrom::Start(span.0))?;
            found.insert(*span, shown(&bytes_of(&mut source, span.1)?, span.1, &file.formats));
        }
        return Ok(());
    }
    let mut source = open(&file.path, file.compression)?;
    // What was read from `start` on and may be needed again: spans overlap where an entry holds several records.
    let (mut start, mut window) = (0_u64, Vec::new());
    for span in spans {
        let (offset, length) = (span.0, span.1.min(LONGEST) as usize);
        let behind = offset.saturating_sub(start);
        if behind >= window.len() as u64 {
            io::copy(&mut (&mut source).take(behind - window.len() as u64), &mut io::sink())?;
            window.clear();
        } else {
            window.drain(..behind as usize);
        }
        start = offset;
        let missing = length.saturating_sub(window.len());
        (&mut source).take(missing as u64).read_to_end(&mut window)?;
        let entry = window.get(..length).unwrap_or(&window);
        found.insert(*span, shown(entry, span.1, &file.formats));
    }
    Ok(())
}

fn bytes_of(source: &mut impl Read, length: u32) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(u64::from(length.min(LONGEST))).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of an entry as it may be shown: secrets masked, and not endless.
fn shown(bytes: &[u8], length: u32, formats: &[Format]) -> String {
    if length > LONGEST {
        return format!("[an entry of {length} bytes, too long to be shown]");
    }
    // What is masked depends on the format: a file of several components' lines is looked through for all.
    let masked = formats
        .iter()
        .fold(String::from_utf8_lossy(bytes).into_owned(), |text, format| redact(*format, text.as_bytes()));
    if masked.len() <= SHOWN {
        return masked;
    }
    let mut end = SHOWN;
    while !masked.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} [cut: {} of {} bytes]", &masked[..end], end, masked.len())
}
