//! The stable contract `auditgap.report/v1`, as one document or line by line.

use std::io::{self, Write};

use auditgap_records::report::Report;
use serde::Serialize;

/// The whole report as one document.
pub(super) fn write_document(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    out.write_all(b"\n")
}

/// One line of the line form: the same objects as in the document, each with its `type` and `cluster`.
#[derive(Serialize)]
struct Line<'a, T> {
    r#type: &'static str,
    schema: &'a str,
    cluster: &'a str,
    #[serde(flatten)]
    object: &'a T,
}

/// What the document says about the whole.
#[derive(Serialize)]
struct Whole<'a> {
    window: &'a Option<auditgap_records::Interval>,
    totals: &'a auditgap_records::report::Totals,
    explained_by: &'a std::collections::BTreeMap<String, u64>,
}

/// The report as one object a line, for pipes and log shippers.
pub(super) fn write_lines(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let whole = Whole { window: &report.window, totals: &report.totals, explained_by: &report.explained_by };
    line(report, "report", &whole, out)?;
    report.coverage.iter().try_for_each(|object| line(report, "coverage", object, out))?;
    report.incidents.iter().try_for_each(|object| line(report, "incident", object, out))?;
    report.gaps.iter().try_for_each(|object| line(report, "gap", object, out))?;
    report.blind_spots.iter().try_for_each(|object| line(report, "blind_spot", object, out))?;
    report.unassessable.iter().try_for_each(|object| line(report, "unassessable", object, out))
}

fn line<T: Serialize>(
    report: &Report,
    r#type: &'static str,
    object: &T,
    out: &mut dyn Write,
) -> io::Result<()> {
    let line = Line { r#type, schema: &report.schema, cluster: &report.cluster, object };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}
