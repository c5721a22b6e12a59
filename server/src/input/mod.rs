//! What there is to read: files found, recognised by content and put together into feeds.

mod announce;
mod clocks;
mod gather;
mod group;
mod names;
mod recognise;
mod walk;

pub(crate) use announce::announce;
pub(crate) use gather::{InputFile, Inputs, gather};
pub(crate) use recognise::open;
pub(crate) use walk::in_words;
