//! The report in the forms that people and programs read.
//!
//! A renderer turns a finished [`Report`] into bytes. It judges nothing and reads nothing else. Text that came out of
//! a log is the attacker's to choose, so every form escapes it in its own way.

mod csv;
mod escape;
mod html;
mod html_parts;
mod json;
mod lanes;
mod summary;
mod text;
mod text_page;

use std::io::{self, Write};

use auditgap_records::report::Report;

pub use escape::visible;
pub use summary::{Summary, span_in_words};
pub use text::TextStyle;
pub(crate) use text_page::{Page, Tone};

use crate::cli::OutputFormat;

/// Writes the report in the form asked for.
pub fn write(report: &Report, format: OutputFormat, style: TextStyle, out: &mut dyn Write) -> io::Result<()> {
    match format {
        OutputFormat::Text => text::write(report, style, out),
        OutputFormat::Json => json::write_document(report, out),
        OutputFormat::Ndjson => json::write_lines(report, out),
        OutputFormat::Html => out.write_all(html::page(report).into_string().as_bytes()),
        OutputFormat::Csv => csv::write(report, out),
    }
}
