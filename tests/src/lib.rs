//! Synthetic histories of clusters, and the harness of the tests.
//!
//! [`history`] invents what a cluster's components would have logged, as text, with known bypasses among benign churn: it
//! goes in by the front door, as any log does. [`soak`] invents records without end for the proof of bounded memory.

pub mod front_door;
pub mod history;
pub mod measure;
pub mod random;
pub mod recording;
pub mod soak;
pub mod traffic;
