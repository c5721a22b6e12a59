//! One gap or blind spot a row, for a spreadsheet.

use std::io::{self, Write};

use auditgap_records::report::{Gap, Report};

use super::escape::csv_cell;

const HEADER: [&str; 30] = [
    "verdict",
    "id",
    "incident",
    "cluster",
    "severity",
    "confidence",
    "path",
    "technique",
    "attack",
    "rule",
    "title",
    "first_seen",
    "last_seen",
    "count",
    "node",
    "group",
    "resource",
    "namespace",
    "name",
    "uid",
    "key",
    "user",
    "source_ip",
    "user_agent",
    "certificate_cn",
    "process",
    "policy_rule",
    "why",
    "evidence_file",
    "evidence_line",
];

/// All gaps, then all blind spots.
pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    rows.write_record(HEADER)?;
    for (verdict, gaps) in [("gap", &report.gaps), ("blind_spot", &report.blind_spots)] {
        for gap in gaps {
            let cells = row(verdict, &report.cluster, gap);
            rows.write_record(cells.iter().map(|cell| csv_cell(cell).into_owned()))?;
        }
    }
    rows.flush()
}

fn row(verdict: &str, cluster: &str, gap: &Gap) -> [String; HEADER.len()] {
    let first = gap.evidence.first();
    [
        verdict.to_owned(),
        gap.id.clone(),
        gap.incident.clone(),
        cluster.to_owned(),
        gap.severity.as_str().to_owned(),
        gap.confidence.as_str().to_owned(),
        gap.path.as_str().to_owned(),
        gap.technique.join(" "),
        gap.attack.join(" "),
        gap.rule.clone(),
        gap.title.clone(),
        gap.first_seen.to_string(),
        gap.last_seen.to_string(),
        gap.count.to_string(),
        gap.node.clone(),
        gap.object.group.clone(),
        gap.object.resource.clone(),
        gap.object.namespace.clone(),
        gap.object.name.clone(),
        gap.object.uid.clone(),
        gap.object.key.clone(),
        gap.actor.user.clone(),
        gap.actor.source_ip.clone(),
        gap.actor.user_agent.clone(),
        gap.actor.certificate_cn.clone(),
        gap.actor.process.clone(),
        gap.policy_rule.as_ref().map(|rule| rule.text.clone()).unwrap_or_default(),
        gap.why.clone(),
        first.map(|evidence| evidence.file.clone()).unwrap_or_default(),
        first.map(|evidence| evidence.line.to_string()).unwrap_or_default(),
    ]
}
