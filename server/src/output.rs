//! Where a report goes: standard output or a file, and what the terminal can show.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use auditgap_records::report::Report;

use crate::cli::OutputFormat;
use crate::render::{self, TextStyle};

/// Writes the report to `file`, or to standard output.
///
/// A file is written beside its place and moved there: a report that was there before is replaced by a whole one or
/// not at all.
pub(crate) fn write_report(report: &Report, format: OutputFormat, file: Option<&Path>) -> Result<()> {
    let Some(path) = file else {
        let style = terminal_style(&io::stdout());
        let mut out = BufWriter::new(io::stdout().lock());
        let written = render::write(report, format, style, &mut out).and_then(|()| out.flush());
        return match written {
            // Whoever reads has seen enough: `auditgap scan … | head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.context("cannot write the report to standard output"),
        };
    };
    let mut name = path.file_name().context("--output is not the name of a file")?.to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let said = || format!("cannot write the report to {}", path.display());
    let mut out = BufWriter::new(File::create(&part).with_context(said)?);
    render::write(report, format, TextStyle::PLAIN, &mut out)
        .and_then(|()| out.flush())
        .with_context(said)?;
    drop(out);
    std::fs::rename(&part, path).with_context(said)
}

/// What can be shown where the output goes: colours only on a terminal, and never against `NO_COLOR`.
pub(crate) fn terminal_style(out: &impl anstream::stream::RawStream) -> TextStyle {
    let colour = anstream::AutoStream::choice(out) != anstream::ColorChoice::Never;
    match terminal_size::terminal_size() {
        Some((width, _)) if io::IsTerminal::is_terminal(&io::stdout()) => {
            TextStyle::terminal(usize::from(width.0), colour)
        }
        _ => TextStyle { colour, ..TextStyle::PLAIN },
    }
}
