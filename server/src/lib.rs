//! The `auditgap` binary as a library: the command line, reading files, and the report's forms.
//!
//! All effects of the product live in this crate. What a log line means is `ingest`'s business, what follows from it
//! `correlate`'s: this crate moves bytes to the one, records to the other, and words to the person who asked.

pub mod cli;
mod exceptions;
mod explain;
mod input;
mod output;
pub mod policy_check;
mod progress;
mod raw;
mod reading;
pub mod render;
mod scan;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use cli::{Cli, Command, PolicyCommand};

/// Exit code for a wrong command line or input that cannot be read, as clap uses it.
const USAGE: u8 = 2;

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(&cli.command) {
        Ok(code) => code,
        Err(error) => {
            let message = format!("{error:#}");
            let _ = writeln!(std::io::stderr(), "auditgap: {}", render::visible(&message));
            ExitCode::from(USAGE)
        }
    }
}

fn dispatch(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Scan(args) => scan::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Policy { command: PolicyCommand::Check { policy, format } } => {
            policy_check::run(policy, *format)
        }
    }
}
