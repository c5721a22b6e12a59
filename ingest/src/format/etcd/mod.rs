//! What the four forms of etcd's output have in common: log entries, the text form of requests, and values.
//!
//! zap JSON, zap console and capnslog say the same things in three spellings; each spelling's file turns a line into a
//! message and its fields, and [`line`] turns those into the vocabulary.

pub(crate) mod duration;
pub(crate) mod escape;
pub(crate) mod fields;
pub(crate) mod line;
pub(crate) mod request;
pub(crate) mod tokens;
pub(crate) mod value;

#[cfg(test)]
mod tests;
