//! JSON documents that do not keep to lines: pretty-printed, concatenated without a separator, elements of an array,
//! or items of a list object.
//!
//! Brackets and commas between documents are skipped, so an array's elements come out one by one and a batch of any
//! size needs no more memory than its largest element. A document with a line break inside a string, or that is
//! still open where the next line begins with `{`, is broken: it is given up, and the search goes on behind it.

use auditgap_records::Position;
use memchr::memchr3;

use super::{Cut, Fault, length};

/// Chunks are taken in pieces of this size, so that a mapped file is not copied as a whole.
const PIECE: usize = 1 << 20;

/// Cuts chunks into documents.
#[derive(Debug)]
pub(crate) struct DocumentCutter {
    limit: usize,
    list: Option<&'static str>,
    /// Bytes from the begin of the open document on.
    buffer: Vec<u8>,
    /// Offset of the buffer's first byte in the stream.
    origin: u64,
    /// First byte of the buffer that has not been looked at.
    at: usize,
    file: u32,
    line: u32,
    item: u32,
    state: State,
    open: Option<Open>,
    /// The last whole string at depth 1, to know the member that a list opens.
    key: std::ops::Range<usize>,
    /// The list of a list object is being read.
    within_list: bool,
}

/// The document being read.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Offset in the stream.
    offset: u64,
    line: u32,
    depth: u32,
    kind: Kind,
    /// Its bytes were dropped, since they are too many.
    dropped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// An object or a string: an entry.
    Document,
    /// What follows the list in a list object.
    Tail,
    /// Anything that is no JSON, up to the end of the line.
    Junk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Outside,
    InString,
    Escaped,
    /// After a line break within a document.
    LineBegin,
}

impl DocumentCutter {
    pub(crate) fn new(file: u32, limit: usize, list: Option<&'static str>) -> Self {
        Self {
            limit,
            list,
            buffer: Vec::new(),
            origin: 0,
            at: 0,
            file,
            line: 1,
            item: 0,
            state: State::Outside,
            open: None,
            key: 0..0,
            within_list: false,
        }
    }

    /// Takes a chunk.
    pub(crate) fn feed(&mut self, chunk: &[u8], mut emit: impl FnMut(Cut<'_>)) {
        for piece in chunk.chunks(PIECE) {
            self.buffer.extend_from_slice(piece);
            self.scan(&mut emit);
            self.forget();
        }
    }

    /// Ends the stream.
    pub(crate) fn finish(&mut self, mut emit: impl FnMut(Cut<'_>)) {
        match self.open.map(|open| open.kind) {
            Some(Kind::Document) => self.close(Some(Fault::Unbalanced), &mut emit),
            Some(Kind::Junk) => self.close(None, &mut emit),
            Some(Kind::Tail) | None => {}
        }
    }

    fn scan(&mut self, emit: &mut impl FnMut(Cut<'_>)) {
        while self.at < self.buffer.len() {
            match self.state {
                State::InString => {
                    let Some(skip) = memchr3(b'"', b'\\', b'\n', &self.buffer[self.at..]) else {
                        self.at = self.buffer.len();
                        break;
                    };
                    self.at += skip;
                    match self.buffer[self.at] {
                        b'\\' => self.state = State::Escaped,
                        b'"' => {
                            self.state = State::Outside;
                            self.key.end = self.at;
                            if self.open.is_some_and(|open| open.depth == 0) {
                                self.at += 1;
                                self.close(None, emit);
                                continue;
                            }
                        }
                        // Not consumed: the line break is seen again outside.
                        _ => {
                            self.close(Some(Fault::Unbalanced), emit);
                            continue;
                        }
                    }
                    self.at += 1;
                }
                State::Escaped => {
                    self.state = State::InString;
                    if self.buffer[self.at] != b'\n' {
                        self.at += 1;
                    }
                }
                State::LineBegin => {
                    self.state = State::Outside;
                    if self.buffer[self.at] == b'{'
                        && self.open.is_some_and(|open| open.kind == Kind::Document)
                    {
                        self.close(Some(Fault::Unbalanced), emit);
                    }
                }
                State::Outside => self.outside(emit),
            }
        }
    }

    /// Looks at one byte outside of strings.
    fn outside(&mut self, emit: &mut impl FnMut(Cut<'_>)) {
        let byte = self.buffer[self.at];
        let Some(mut open) = self.open else {
            match byte {
                b'{' => self.begin(Kind::Document, 1),
                b'"' => {
                    self.begin(Kind::Document, 0);
                    self.state = State::InString;
                }
                b']' if self.within_list => {
                    self.within_list = false;
                    self.begin(Kind::Tail, 1);
                }
                b'\n' => self.line = self.line.saturating_add(1),
                b'[' | b']' | b',' | b' ' | b'\t' | b'\r' | 0 | 0xef | 0xbb | 0xbf => {}
                _ => self.begin(Kind::Junk, 0),
            }
            self.at += 1;
            return;
        };
        if open.kind == Kind::Junk {
            if byte == b'\n' {
                self.close(None, emit);
            } else {
                self.at += 1;
            }
            return;
        }
        match byte {
            b'"' => {
                self.state = State::InString;
                if open.depth == 1 {
                    self.key = self.at + 1..self.at + 1;
                }
            }
            b'[' if open.depth == 1 && open.kind == Kind::Document && self.opens_list() => {
                self.open = None;
                self.within_list = true;
                self.item = 0;
                self.at += 1;
                return;
            }
            b'{' | b'[' => open.depth = open.depth.saturating_add(1),
            b'}' | b']' => {
                open.depth -= 1;
                if open.depth == 0 {
                    self.at += 1;
                    self.close(None, emit);
                    return;
                }
            }
            b'\n' => {
                self.line = self.line.saturating_add(1);
                self.state = State::LineBegin;
            }
            _ => {}
        }
        self.at += 1;
        self.open = Some(open);
    }

    fn opens_list(&self) -> bool {
        self.list.is_some_and(|list| self.buffer.get(self.key.clone()) == Some(list.as_bytes()))
    }

    fn begin(&mut self, kind: Kind, depth: u32) {
        if !self.within_list {
            self.item = 0;
        }
        let offset = self.origin + self.at as u64;
        self.open = Some(Open { offset, line: self.line, depth, kind, dropped: false });
        self.key = 0..0;
    }

    /// Hands on the open document, which ends before `at`.
    fn close(&mut self, fault: Option<Fault>, emit: &mut impl FnMut(Cut<'_>)) {
        let Some(open) = self.open.take() else { return };
        self.state = State::Outside;
        if open.kind == Kind::Tail {
            // No entry, and its bytes are gone.
            return;
        }
        let end = self.origin + self.at as u64;
        let size = end.saturating_sub(open.offset);
        let position = Position {
            file: self.file,
            line: open.line,
            offset: open.offset,
            length: length(size),
            item: self.item,
        };
        self.item = self.item.saturating_add(1);
        if open.dropped || size > self.limit as u64 {
            emit(Cut { bytes: &[], position, fault: Some(Fault::TooLong { limit: self.limit }) });
            return;
        }
        let start = (open.offset - self.origin) as usize;
        emit(Cut { bytes: &self.buffer[start..self.at], position, fault });
    }

    /// Drops the bytes that are no longer needed.
    fn forget(&mut self) {
        let keep = match &mut self.open {
            Some(open) if open.kind != Kind::Tail && !open.dropped => {
                let start = (open.offset - self.origin) as usize;
                if self.at - start > self.limit {
                    open.dropped = true;
                    self.at
                } else {
                    start
                }
            }
            _ => self.at,
        };
        self.key = self.key.start.saturating_sub(keep)..self.key.end.saturating_sub(keep);
        self.buffer.drain(..keep);
        self.origin += keep as u64;
        self.at -= keep;
        if self.buffer.capacity() > 4 * PIECE && self.buffer.len() < PIECE {
            self.buffer.shrink_to(2 * PIECE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(chunks: &[&[u8]], list: Option<&'static str>) -> Vec<(String, u32, u32, Option<Fault>)> {
        let mut found = Vec::new();
        let mut cutter = DocumentCutter::new(0, 40, list);
        let mut push = |cut: Cut<'_>| {
            let text = String::from_utf8_lossy(cut.bytes).into_owned();
            found.push((text, cut.position.line, cut.position.item, cut.fault));
        };
        for chunk in chunks {
            cutter.feed(chunk, &mut push);
        }
        cutter.finish(&mut push);
        found
    }

    #[test]
    fn documents_are_cut_however_the_stream_is() {
        let long = format!("{{\"x\":\"{}\"}}", "y".repeat(60));
        let text = [
            "[{\"a\":\"]}\\\"\"},\n {\"b\":\n  [1,{}]}\n]{\"c\":1}{\"d\":2}\n",
            "{\"e\":{\"cut\":1\n{\"f\":3}\n{\"g\":\"broken\n\"string\" junk\n",
            &long,
            "{\"kind\":\"L\",\"m\":{},\"items\":[{\"h\":[]},{\"i\":1}],\"z\":{\"items\":[]}}\n{\"items\":[],\"broken\n{\"j\":{\"items\":[]}}\n{\"k\":",
        ]
        .concat();
        let expected: Vec<(String, u32, u32, Option<Fault>)> = [
            ("{\"a\":\"]}\\\"\"}", 1, 0, None),
            ("{\"b\":\n  [1,{}]}", 2, 0, None),
            ("{\"c\":1}", 4, 0, None),
            ("{\"d\":2}", 4, 0, None),
            ("{\"e\":{\"cut\":1\n", 5, 0, Some(Fault::Unbalanced)),
            ("{\"f\":3}", 6, 0, None),
            ("{\"g\":\"broken", 7, 0, Some(Fault::Unbalanced)),
            ("\"string\"", 8, 0, None),
            ("junk", 8, 0, None),
            ("", 9, 0, Some(Fault::TooLong { limit: 40 })),
            ("{\"h\":[]}", 9, 0, None),
            ("{\"i\":1}", 9, 1, None),
            ("{\"j\":{\"items\":[]}}", 11, 0, None),
            ("{\"k\":", 12, 0, Some(Fault::Unbalanced)),
        ]
        .into_iter()
        .map(|(text, line, item, fault)| (text.to_owned(), line, item, fault))
        .collect();
        for size in [1, 2, 3, 5, 7, 64, 1000] {
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            assert_eq!(documents(&chunks, Some("items")), expected, "chunks of {size}");
        }
    }
}
