//! Streaming decompression with an end: what a small file may expand to is bounded.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::limits::Limits;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip, of one or several members.
    Gzip,
    /// Zstandard, of one or several frames.
    Zstd,
}

impl Compression {
    /// Recognises a compression by its magic number.
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// The word that reports show.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Why expanding was stopped. Found within the [`io::Error`] of a read; see [`ExpansionError::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpansionError {
    /// More output than a file may have.
    #[error("expands to more than {limit} bytes; the rest is not read")]
    TooLarge {
        /// The bound, in bytes.
        limit: u64,
    },
    /// Far more output than logs compress from: made to exhaust memory or time.
    #[error("expands to more than {limit} times its size ({expanded} bytes so far); the rest is not read")]
    TooDense {
        /// The bound.
        limit: u64,
        /// Bytes that had come out.
        expanded: u64,
    },
}

impl ExpansionError {
    /// The reason behind a failed read, if it was a bound and not damage.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()).copied()
    }
}

/// The decompressed bytes of a reader, within bounds.
///
/// What was read before an error stays valid: a caller parses it and reports the error beside.
pub struct Expander<R: Read> {
    source: Source<R>,
    limits: Limits,
    expanded: u64,
}

enum Source<R: Read> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<BufReader<Counting<R>>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<Counting<R>>>>),
}

impl<R: Read> Expander<R> {
    /// Reads `inner` as `compression` says. Errors when the decoder cannot be set up.
    pub fn new(compression: Compression, inner: R, limits: Limits) -> io::Result<Self> {
        let source = match compression {
            Compression::None => Source::Plain(inner),
            Compression::Gzip => Source::Gzip(Box::new(MultiGzDecoder::new(Counting::buffered(inner)))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(Counting::buffered(inner))?;
                // The frame header chooses the window; 128 MiB is the most that `zstd --long` writes by default.
                decoder.window_log_max(27)?;
                Source::Zstd(Box::new(decoder))
            }
        };
        Ok(Self { source, limits, expanded: 0 })
    }

    fn check(&self) -> Result<(), ExpansionError> {
        let consumed = match &self.source {
            Source::Plain(_) => return Ok(()),
            Source::Gzip(decoder) => decoder.get_ref().get_ref().bytes,
            Source::Zstd(decoder) => decoder.get_ref().get_ref().bytes,
        };
        if self.expanded > self.limits.expanded {
            return Err(ExpansionError::TooLarge { limit: self.limits.expanded });
        }
        let allowed = consumed.saturating_mul(self.limits.ratio);
        if self.expanded > self.limits.ratio_from && self.expanded > allowed {
            return Err(ExpansionError::TooDense { limit: self.limits.ratio, expanded: self.expanded });
        }
        Ok(())
    }
}

impl<R: Read> Read for Expander<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check().map_err(io::Error::other)?;
        let count = match &mut self.source {
            Source::Plain(inner) => inner.read(buffer)?,
            Source::Gzip(decoder) => decoder.read(buffer)?,
            Source::Zstd(decoder) => decoder.read(buffer)?,
        };
        self.expanded = self.expanded.saturating_add(count as u64);
        Ok(count)
    }
}

/// Counts what the decoder has taken in.
struct Counting<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Counting<R> {
    fn buffered(inner: R) -> BufReader<Self> {
        BufReader::with_capacity(64 << 10, Self { inner, bytes: 0 })
    }
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes = self.bytes.saturating_add(count as u64);
        Ok(count)
    }
}

/// The first decompressed bytes of a file whose first raw bytes are given. Damage and an early end are no errors
/// here: whatever comes out is returned.
pub(crate) fn head_of(raw: &[u8], most: usize) -> Vec<u8> {
    let mut output = Vec::new();
    if let Ok(expander) = Expander::new(Compression::of(raw), raw, Limits::default()) {
        let mut reader = BufReader::new(expander);
        while output.len() < most {
            let Ok(bytes) = reader.fill_buf() else { break };
            if bytes.is_empty() {
                break;
            }
            let taken = bytes.len().min(most - output.len());
            output.extend_from_slice(&bytes[..taken]);
            reader.consume(taken);
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn expand(raw: &[u8], limits: Limits) -> (Vec<u8>, Option<io::Error>) {
        let mut expander = Expander::new(Compression::of(raw), raw, limits).unwrap();
        let mut output = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match expander.read(&mut buffer) {
                Ok(0) => return (output, None),
                Ok(count) => output.extend_from_slice(&buffer[..count]),
                Err(error) => return (output, Some(error)),
            }
        }
    }

    #[test]
    fn every_compression_gives_back_the_text() {
        let text = b"one\ntwo\n".repeat(1000);
        let members = [gzip(&text[..4000]), gzip(&text[4000..])].concat();
        let zstd = zstd::stream::encode_all(&text[..], 3).unwrap();
        for raw in [text.clone(), gzip(&text), members, zstd] {
            let (output, error) = expand(&raw, Limits::default());
            assert_eq!(output, text);
            assert!(error.is_none());
        }
    }

    #[test]
    fn a_bomb_is_stopped_and_what_came_before_is_kept() {
        let raw = gzip(&vec![0; 8 << 20]);
        let limits = Limits { ratio_from: 1 << 20, ..Limits::default() };
        let (output, error) = expand(&raw, limits);
        assert!(matches!(ExpansionError::of(&error.unwrap()), Some(ExpansionError::TooDense { .. })));
        assert!(output.len() >= 1 << 20 && output.len() < 8 << 20);

        let (output, error) = expand(&raw, Limits { expanded: 100_000, ..Limits::default() });
        assert_eq!(ExpansionError::of(&error.unwrap()), Some(ExpansionError::TooLarge { limit: 100_000 }));
        assert!(output.len() >= 100_000);
    }

    #[test]
    fn a_cut_file_gives_what_it_has() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let raw = gzip(&text);
        let (output, error) = expand(&raw[..raw.len() / 2], Limits::default());
        assert!(!output.is_empty() && text.starts_with(&output));
        assert_eq!(error.unwrap().kind(), io::ErrorKind::UnexpectedEof);
    }
}
