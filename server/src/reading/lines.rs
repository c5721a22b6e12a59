//! Cutting a stream into chunks of whole lines, which can then be parsed in any order and by anyone.

use std::io::{self, Read};

use auditgap_records::Position;
use memchr::{memchr, memchr_iter, memrchr};

/// Cuts one file's bytes into chunks that end with a line break, except perhaps the last.
#[derive(Debug)]
pub(super) struct LineChunks {
    /// Bytes read at a time.
    chunk: usize,
    /// Longest line that is kept, in bytes.
    limit: usize,
    /// The begun line behind the last chunk.
    carry: Vec<u8>,
    /// Where the next chunk begins.
    next: Position,
}

/// Whether there is more to read.
#[derive(Debug)]
pub(super) enum More {
    /// There may be.
    Yes,
    /// The stream has ended.
    No,
    /// It cannot be read further.
    Broken(io::Error),
}

impl LineChunks {
    /// For a file of this number.
    pub(super) fn new(file: u32, chunk: usize, limit: usize) -> Self {
        let next = Position { file, line: 1, ..Position::default() };
        Self { chunk, limit, carry: Vec::new(), next }
    }

    /// First byte that was not handed out.
    pub(super) fn offset(&self) -> u64 {
        self.next.offset
    }

    /// Fills `buffer` with whole lines and says where they begin: `None` if there are none. Lines that were read
    /// before the stream broke are handed out with the news that it did.
    pub(super) fn fill(&mut self, source: &mut impl Read, buffer: &mut Vec<u8>) -> (Option<Position>, More) {
        buffer.clear();
        buffer.append(&mut self.carry);
        loop {
            let before = buffer.len();
            let more = read_some(source, self.chunk, buffer);
            if !matches!(more, More::Yes) {
                return (self.hand_out(buffer.len() as u64, buffer), more);
            }
            if let Some(end) = memrchr(b'\n', &buffer[before..]) {
                self.carry.extend_from_slice(&buffer[before + end + 1..]);
                buffer.truncate(before + end + 1);
                return (self.hand_out(buffer.len() as u64, buffer), more);
            }
            if buffer.len() > self.limit + 1 {
                return self.skip_line(source, buffer);
            }
        }
    }

    /// Hands out the beginning of a line that is too long to be kept, so far beyond the bound (which does not count a
    /// carriage return) that the parser sees that it is; its rest is read and let go.
    fn skip_line(&mut self, source: &mut impl Read, buffer: &mut Vec<u8>) -> (Option<Position>, More) {
        let mut length = buffer.len() as u64;
        buffer.truncate(self.limit + 2);
        loop {
            self.carry.clear();
            let more = read_some(source, self.chunk, &mut self.carry);
            if let Some(end) = memchr(b'\n', &self.carry) {
                length += end as u64 + 1;
                self.carry.drain(..=end);
                buffer.push(b'\n');
            } else {
                length += self.carry.len() as u64;
                if matches!(more, More::Yes) {
                    continue;
                }
                self.carry.clear();
            }
            // What follows the line is still to come, whatever became of the stream: it is seen again then.
            let more = if self.carry.is_empty() { more } else { More::Yes };
            return (self.hand_out(length, buffer), more);
        }
    }

    fn hand_out(&mut self, length: u64, buffer: &[u8]) -> Option<Position> {
        let base = self.next;
        self.next.offset += length;
        let lines = u32::try_from(memchr_iter(b'\n', buffer).count()).unwrap_or(u32::MAX);
        self.next.line = self.next.line.saturating_add(lines);
        (!buffer.is_empty()).then_some(base)
    }
}

/// Adds up to `most` bytes.
pub(super) fn read_some(source: &mut impl Read, most: usize, buffer: &mut Vec<u8>) -> More {
    buffer.reserve(most);
    match source.take(most as u64).read_to_end(buffer) {
        Ok(count) if count == most => More::Yes,
        Ok(_) => More::No,
        Err(error) => More::Broken(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All chunks, each with its line and offset.
    fn chunks(mut source: impl Read, chunk: usize, limit: usize) -> (Vec<(u32, u64, String)>, More) {
        let mut lines = LineChunks::new(0, chunk, limit);
        let mut buffer = Vec::new();
        let mut all = Vec::new();
        loop {
            let (base, more) = lines.fill(&mut source, &mut buffer);
            if let Some(base) = base {
                all.push((base.line, base.offset, String::from_utf8_lossy(&buffer).into_owned()));
            }
            if !matches!(more, More::Yes) {
                return (all, more);
            }
        }
    }

    #[test]
    fn chunks_of_any_size_hold_the_same_lines() {
        let text = "one\ntwo\n\nfour four four\nfive";
        for size in 1..40 {
            let (chunks, more) = chunks(text.as_bytes(), size, 1000);
            let whole: String = chunks.iter().map(|(_, _, text)| text.as_str()).collect();
            assert_eq!(whole, text);
            assert!(matches!(more, More::No));
            for (line, offset, chunk) in chunks {
                let before = &text[..offset as usize];
                assert_eq!(line as usize, before.matches('\n').count() + 1);
                assert!(before.is_empty() || before.ends_with('\n'));
                assert!(text[offset as usize..].starts_with(&chunk));
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_let_go_and_the_next_keeps_its_place() {
        let text = format!("a\n{}\nlast\n", "x".repeat(100));
        for size in 1..150 {
            let (chunks, _) = chunks(text.as_bytes(), size, 10);
            let last = chunks.iter().find(|(_, _, chunk)| chunk.ends_with("last\n")).unwrap();
            let lines_before = last.2.matches('\n').count() as u32 - 1;
            assert_eq!(last.0 + lines_before, 3, "{size}");
            assert_eq!(last.1 + last.2.len() as u64, text.len() as u64, "{size}");
        }
    }

    #[test]
    fn lines_before_damage_are_handed_out() {
        struct Damaged(bool);
        impl Read for Damaged {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                buffer[..7].copy_from_slice(b"one\ntwo");
                Ok(7)
            }
        }
        let (chunks, more) = chunks(Damaged(false), 100, 100);
        assert_eq!(chunks, [(1, 0, "one\ntwo".to_owned())]);
        assert!(matches!(more, More::Broken(_)));
    }
}
