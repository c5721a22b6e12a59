//! Physical lines across chunk borders.

use auditgap_records::Position;
use memchr::{memchr, memchr_iter, memrchr};

use super::{Cut, Fault, length};

/// Whole lines are handed on in pieces of about this size, so that a piece is validated and parsed while it is in
/// the processor's cache.
const PIECE: usize = 256 << 10;

/// A run of whole lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'a> {
    /// The lines with their breaks.
    pub(crate) bytes: &'a [u8],
    /// Position of the first line; its length is not set.
    pub(crate) base: Position,
    /// The last line has no break, and the stream has ended.
    pub(crate) unterminated: bool,
}

/// Cuts chunks into runs of whole lines.
#[derive(Debug)]
pub(crate) struct LineCutter {
    limit: usize,
    carry: Vec<u8>,
    /// Where the next window begins.
    next: Position,
    /// Bytes of a line beyond the bound that have been dropped so far; 0 when not dropping.
    dropped: u64,
}

impl LineCutter {
    pub(crate) fn new(file: u32, limit: usize) -> Self {
        Self::at(Position { file, line: 1, ..Position::default() }, limit)
    }

    /// A cutter that begins within a file, at a line's begin.
    pub(crate) fn at(next: Position, limit: usize) -> Self {
        Self { limit, carry: Vec::new(), next, dropped: 0 }
    }

    /// Takes a chunk. `windows` gets runs of lines, `faults` the lines that are too long to be kept.
    pub(crate) fn feed(&mut self, mut chunk: &[u8], mut emit: impl FnMut(Result<Window<'_>, Cut<'_>>)) {
        if self.dropped > 0 || !self.carry.is_empty() {
            let Some(end) = memchr(b'\n', chunk) else {
                self.keep(chunk);
                return;
            };
            let (head, rest) = chunk.split_at(end + 1);
            chunk = rest;
            if self.dropped > 0 {
                self.dropped += end as u64;
                self.finish_dropping(&mut emit);
                self.next.offset += 1;
            } else {
                self.carry.extend_from_slice(head);
                let carried = std::mem::take(&mut self.carry);
                self.window(&carried, false, &mut emit);
                self.carry = carried;
                self.carry.clear();
                self.carry.shrink_to(PIECE);
            }
        }
        let Some(end) = memrchr(b'\n', chunk) else {
            self.keep(chunk);
            return;
        };
        let (mut lines, tail) = chunk.split_at(end + 1);
        while !lines.is_empty() {
            let cut = if lines.len() <= PIECE {
                lines.len()
            } else {
                // A line longer than a piece makes the piece longer.
                memrchr(b'\n', &lines[..PIECE])
                    .or_else(|| memchr(b'\n', &lines[PIECE..]).map(|at| PIECE + at))
                    .map_or(lines.len(), |at| at + 1)
            };
            let (piece, rest) = lines.split_at(cut);
            self.window(piece, false, &mut emit);
            lines = rest;
        }
        self.keep(tail);
    }

    /// Ends the stream.
    pub(crate) fn finish(&mut self, mut emit: impl FnMut(Result<Window<'_>, Cut<'_>>)) {
        if self.dropped > 0 {
            self.finish_dropping(&mut emit);
        } else if !self.carry.is_empty() {
            let carried = std::mem::take(&mut self.carry);
            self.window(&carried, true, &mut emit);
        }
    }

    fn keep(&mut self, tail: &[u8]) {
        if self.dropped > 0 {
            self.dropped += tail.len() as u64;
        } else if self.carry.len() + tail.len() > self.limit.saturating_add(2) {
            // Two bytes of grace: a carriage return, and the line break that would have ended the line.
            self.dropped = (self.carry.len() + tail.len()) as u64;
            self.carry = Vec::new();
        } else {
            self.carry.extend_from_slice(tail);
        }
    }

    fn finish_dropping(&mut self, emit: &mut impl FnMut(Result<Window<'_>, Cut<'_>>)) {
        let position = Position { length: length(self.dropped), ..self.next };
        self.next.offset += self.dropped;
        self.next.line = self.next.line.saturating_add(1);
        self.dropped = 0;
        emit(Err(Cut { bytes: &[], position, fault: Some(Fault::TooLong { limit: self.limit }) }));
    }

    fn window(
        &mut self,
        bytes: &[u8],
        unterminated: bool,
        emit: &mut impl FnMut(Result<Window<'_>, Cut<'_>>),
    ) {
        let base = self.next;
        self.next.offset += bytes.len() as u64;
        let breaks = u32::try_from(memchr_iter(b'\n', bytes).count()).unwrap_or(u32::MAX);
        self.next.line = self.next.line.saturating_add(breaks);
        emit(Ok(Window { bytes, base, unterminated }));
    }
}

/// Goes through the lines of a window. Skips empty ones; strips carriage returns, a byte order mark and leading NULs.
#[inline]
pub(crate) fn for_each_line<'a>(window: Window<'a>, limit: usize, mut each: impl FnMut(Cut<'a>)) {
    let bytes = window.bytes;
    let mut position = window.base;
    let mut start = 0;
    while start < bytes.len() {
        let (end, ended) = match memchr(b'\n', &bytes[start..]) {
            Some(at) => (start + at, true),
            None => (bytes.len(), false),
        };
        let whole = &bytes[start..end];
        position.offset = window.base.offset + start as u64;
        position.length = length(whole.len() as u64);
        let unterminated = !ended && window.unterminated;
        each_line(whole, position, unterminated, limit, &mut each);
        position.line = position.line.saturating_add(1);
        start = end + 1;
    }
}

#[inline]
fn each_line<'a>(
    whole: &'a [u8],
    mut position: Position,
    unterminated: bool,
    limit: usize,
    each: &mut impl FnMut(Cut<'a>),
) {
    if whole.len() > limit.saturating_add(1) {
        each(Cut { bytes: &[], position, fault: Some(Fault::TooLong { limit }) });
        return;
    }
    let mut line = whole;
    if let [rest @ .., b'\r'] = line {
        line = rest;
    }
    if let (0, [0xef, 0xbb, 0xbf, rest @ ..]) = (position.offset, line) {
        line = rest;
        position.offset += 3;
    }
    if line.first() == Some(&0) {
        let nuls = line.iter().take_while(|byte| **byte == 0).count();
        line = &line[nuls..];
        if line.is_empty() {
            each(Cut { bytes: &[], position, fault: Some(Fault::Hole) });
            return;
        }
        position.offset += nuls as u64;
    }
    if line.iter().all(u8::is_ascii_whitespace) {
        return;
    }
    position.length = length(line.len() as u64);
    each(Cut { bytes: line, position, fault: unterminated.then_some(Fault::Unterminated) });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]], limit: usize) -> Vec<(String, u32, u64, u32, Option<Fault>)> {
        let mut found = Vec::new();
        let mut cutter = LineCutter::new(0, limit);
        let mut take = |window: Result<Window<'_>, Cut<'_>>| {
            let mut push = |cut: Cut<'_>| {
                let text = String::from_utf8_lossy(cut.bytes).into_owned();
                found.push((text, cut.position.line, cut.position.offset, cut.position.length, cut.fault));
            };
            match window {
                Ok(window) => for_each_line(window, limit, push),
                Err(fault) => push(fault),
            }
        };
        for chunk in chunks {
            cutter.feed(chunk, &mut take);
        }
        cutter.finish(&mut take);
        found
    }

    #[test]
    fn lines_have_their_place_however_the_stream_is_cut() {
        let text = b"\xef\xbb\xbfone\r\n\n\0\0two\n\0\0\nthree is too long\n  \nfour";
        let expected = vec![
            ("one".to_owned(), 1, 3, 3, None),
            ("two".to_owned(), 3, 11, 3, None),
            (String::new(), 4, 15, 2, Some(Fault::Hole)),
            (String::new(), 5, 18, 17, Some(Fault::TooLong { limit: 8 })),
            ("four".to_owned(), 7, 39, 4, Some(Fault::Unterminated)),
        ];
        assert_eq!(lines(&[text], 8), expected);
        for size in 1..12 {
            let chunks: Vec<&[u8]> = text.chunks(size).collect();
            assert_eq!(lines(&chunks, 8), expected, "chunks of {size}");
        }
    }
}
