//! The `auditgap` binary as a library: the command line, reading files, and the report's forms.
//!
//! All effects of the product live in this crate. What a log line means is `ingest`'s business, what follows from it
//! `correlate`'s: this crate moves bytes to the one, records to the other, and words to the person who asked.

pub mod cli;
pub mod render;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Scan(_) | Command::Explain(_) | Command::Policy { .. } => ExitCode::from(2),
    }
}
