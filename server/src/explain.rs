//! `auditgap explain`: the life of one object.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::cli::ExplainArgs;

pub(crate) fn run(_args: &ExplainArgs) -> Result<ExitCode> {
    bail!("not yet")
}
