//! The engine: from records to verdicts. Pure and deterministic.
//!
//! One [`Engine`] serves one cluster. Worker threads turn [`auditgap_records::Record`]s into compact [`Batch`]es
//! with a [`Condenser`]; the engine puts them in the order of event time, keeps a ledger of what the API server
//! recorded, lets the rules in [`rule`] judge every action that a node or etcd shows, and ends in a
//! [`auditgap_records::report::Report`].
//!
//! Knows no file, clock, thread, log format or network. "Now" is the event time of the record at hand.

pub mod condense;
pub mod engine;
pub mod fact;
mod feeds;
mod fold;
mod incident;
pub mod key;
mod kubelet_uri;
pub mod ledger;
mod lookup;
mod nodes;
mod patience;
pub mod policy;
mod report;
mod resources;
pub mod rule;
mod runtime_view;
mod sequence;
pub mod settings;
#[cfg(test)]
mod testkit;
pub mod verdict;
pub mod world;

pub use condense::{Batch, Condensed, Condenser};
pub use engine::{Context, Engine, FeedId, FeedSummary, Outcome};
pub use settings::Settings;
