//! Cutting a stream of bytes into entries: physical lines, or JSON documents that do not keep to lines.
//!
//! Both cutters take chunks of any size and give the same entries however the stream is cut. Both bound what they
//! hold.

mod documents;
mod lines;

pub(crate) use documents::DocumentCutter;
pub(crate) use lines::{LineCutter, Window, for_each_line};

use auditgap_records::Position;

/// How a file is cut into entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One entry, or a part of one, on each physical line.
    Lines,
    /// JSON documents: pretty-printed, concatenated, elements of one array, or items of a list.
    Documents {
        /// The member of a top-level object whose elements are the entries: `items` of an EventList.
        list: Option<&'static str>,
    },
}

/// One cut entry, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut<'a> {
    /// Its bytes, without a line break.
    pub(crate) bytes: &'a [u8],
    /// Where they stand.
    pub(crate) position: Position,
    /// What is wrong, where the framing itself is broken.
    pub(crate) fault: Option<Fault>,
}

/// What can be wrong with framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The file ends without a line break: the entry may be cut.
    Unterminated,
    /// Longer than the bound; the bytes are not kept.
    TooLong {
        /// The bound in bytes.
        limit: usize,
    },
    /// A JSON document that does not end where the next one begins, or at the end of the file.
    Unbalanced,
    /// Nothing but NUL bytes: a hole left by a crash or by truncating an open file.
    Hole,
}

/// A length as a position keeps it.
pub(crate) fn length(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
