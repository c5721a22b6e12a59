//! The hot path: audit events as JSON, one a line.
//!
//! A run of lines is validated as UTF-8 at once, then each is parsed in place with borrowed fields.

use auditgap_records::{Body, Position, Record};

use super::pipeline::{Place, fault_reason, parse_entry, reject};
use super::{Options, Sink};
use crate::digest;
use crate::format::{Format, audit};
use crate::framing::{Cut, Fault, LineCutter, Window, for_each_line};

/// Reads whole lines of a file that was recognised as audit events, one a line ([`crate::Detection::is_audit_lines`]).
///
/// Keeps no state: chunks of a mapped file, cut at line breaks, may be read by several threads, and give the records
/// that a [`super::Parser`] gives. `base` is the position of the chunk's first byte: file, line and offset.
pub fn parse_audit_lines<S: Sink + ?Sized>(chunk: &[u8], base: Position, options: &Options, sink: &mut S) {
    let mut cutter = LineCutter::at(base, options.limits.line);
    cutter.feed(chunk, |lines| window(lines, options, sink));
    cutter.finish(|lines| window(lines, options, sink));
}

/// Reads a run of whole lines.
pub(super) fn window<S: Sink + ?Sized>(window: Result<Window<'_>, Cut<'_>>, options: &Options, sink: &mut S) {
    let window = match window {
        Ok(window) => window,
        Err(cut) => return cut_off(cut, sink),
    };
    let text = simdutf8::basic::from_utf8(window.bytes).ok();
    for_each_line(window, options.limits.line, |cut| {
        if !matches!(cut.fault, None | Some(Fault::Unterminated)) {
            return cut_off(cut, sink);
        }
        let start = (cut.position.offset - window.base.offset) as usize;
        match text.and_then(|text| text.get(start..start + cut.bytes.len())) {
            Some(line) => entry(line, cut, options, sink),
            None => entry(&String::from_utf8_lossy(cut.bytes), cut, options, sink),
        }
    });
}

#[inline]
fn entry<S: Sink + ?Sized>(line: &str, cut: Cut<'_>, options: &Options, sink: &mut S) {
    let Ok(event) = audit::parse_event(line) else {
        return refused(line, cut, options, sink);
    };
    sink.record(Record {
        time: event.staged,
        seen: None,
        position: cut.position,
        digest: digest::of_audit(options.digest_key, &event),
        body: Body::Audit(event),
    });
}

#[cold]
fn refused<S: Sink + ?Sized>(line: &str, cut: Cut<'_>, options: &Options, sink: &mut S) {
    let place = Place { position: cut.position, seen: None, unterminated: cut.fault.is_some() };
    parse_entry(Format::AuditJson, options, line, place, sink);
}

#[cold]
fn cut_off<S: Sink + ?Sized>(cut: Cut<'_>, sink: &mut S) {
    if let Some(fault) = cut.fault {
        reject(cut.position, fault_reason(fault), sink);
    }
}
