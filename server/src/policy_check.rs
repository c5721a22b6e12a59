//! `auditgap policy check`: which detections an audit policy blinds, by which rule, and what cures it.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Read as _, Write};
use std::path::Path as FilePath;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use auditgap_correlate::policy::Policy;
use auditgap_correlate::policy::check::{Effect, Finding, Mistake, PolicyCheck};
use auditgap_records::report::Path;
use clap::ValueEnum;

use crate::render::visible;

/// Policies are small; a file larger than this is something else.
const LARGEST_POLICY: u64 = 4 << 20;
/// Columns of the text form when it does not go to a terminal.
const WIDTH: usize = 100;

/// Form of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PolicyFormat {
    /// For a person at a terminal
    Text,
    /// The stable contract auditgap.policy-check/v1
    Json,
}

/// Checks the policy in a file and writes the result to standard output. The code is 0 if it blinds nothing and 1 if
/// it does; an error means that the file cannot be read or that the API server would refuse it (code 2).
pub fn run(path: &FilePath, format: PolicyFormat) -> Result<ExitCode> {
    let text = read(path)?;
    let loaded = Policy::load(&text).with_context(|| path.display().to_string())?;
    let check = loaded.policy.check(&loaded.diagnostics);
    let width = match terminal_size::terminal_size() {
        Some((columns, _)) if io::stdout().is_terminal() => usize::from(columns.0).clamp(50, 120),
        _ => WIDTH,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let written = match format {
        PolicyFormat::Text => write_text(&check, width, &mut out),
        PolicyFormat::Json => write_json(&check, &mut out),
    };
    match written.and_then(|()| out.flush()) {
        // Whoever reads has seen enough: `auditgap policy check … | head`.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error).context("cannot write"),
        _ => {}
    }
    Ok(ExitCode::from(u8::from(check.blinds())))
}

fn read(path: &FilePath) -> Result<String> {
    let failed = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST_POLICY + 1).read_to_end(&mut bytes))
        .with_context(failed)?;
    ensure!(bytes.len() as u64 <= LARGEST_POLICY, "{} is too large for an audit policy", path.display());
    String::from_utf8(bytes).context("it is not UTF-8 text").with_context(failed)
}

fn write_json(check: &PolicyCheck, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, check)?;
    writeln!(out)
}

/// Writes the text form: the verdict in one line, then what is behind it, by path.
pub fn write_text(check: &PolicyCheck, width: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page { out, width };
    page.paragraph("", "", &check.verdict)?;
    for path in Path::ALL {
        let findings: Vec<&Finding> = check.findings.iter().filter(|finding| finding.path == path).collect();
        if !findings.is_empty() {
            page.heading(path_words(path))?;
            findings.into_iter().try_for_each(|finding| page.finding(finding))?;
        }
    }
    if !check.mistakes.is_empty() {
        page.heading("Not what it seems")?;
        check.mistakes.iter().try_for_each(|mistake| page.mistake(mistake))?;
    }
    if !check.exposures.is_empty() {
        page.heading("Secrets in the log")?;
        check.exposures.iter().try_for_each(|finding| page.finding(finding))?;
    }
    Ok(())
}

fn path_words(path: Path) -> &'static str {
    match path {
        Path::StaticPod => "Static Pods",
        Path::KubeletApi => "Kubelet API",
        Path::EtcdApi => "etcd",
        Path::RuntimeSocket => "Container runtime socket",
        Path::AuditTrail => "The audit trail itself",
    }
}

fn effect_words(effect: Effect) -> &'static str {
    match effect {
        Effect::Blinds => "blinded",
        Effect::BlindsForSome => "blinded for some",
        Effect::Weakens => "weakened",
        Effect::Exposes => "exposed",
    }
}

/// Requests with the same verbs told together: `create/patch pods, secrets; get pods/log`.
fn grouped(requests: &[String]) -> String {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for request in requests {
        let (verbs, resource) = request.split_once(' ').unwrap_or(("", request));
        match groups.iter_mut().find(|(known, _)| *known == verbs) {
            Some((_, resources)) if !resources.contains(&resource) => resources.push(resource),
            Some(_) => {}
            None => groups.push((verbs, vec![resource])),
        }
    }
    let told: Vec<String> =
        groups.iter().map(|(verbs, resources)| format!("{verbs} {}", resources.join(", "))).collect();
    told.join("; ").trim_start().to_owned()
}

/// Lines of text, everything from the policy made harmless to the terminal.
struct Page<'w> {
    out: &'w mut dyn Write,
    width: usize,
}

impl Page<'_> {
    fn heading(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "\n{text}")
    }

    fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        let mut title = effect_words(finding.effect).to_owned();
        if !finding.technique.is_empty() {
            title = format!("{title} ({})", finding.technique.join(", "));
        }
        self.paragraph("  ", "    ", &format!("{title}: {}", finding.lost))?;
        self.field("requests", &grouped(&finding.requests))?;
        self.field("made by", &finding.users.join("; "))?;
        for at in &finding.rules {
            let text = match at.rule.index {
                Some(index) if at.line > 0 => format!("rule {index}, line {}: {}", at.line, at.rule.text),
                Some(index) => format!("rule {index}: {}", at.rule.text),
                None => at.rule.text.clone(),
            };
            self.field("because of", &text)?;
        }
        self.field("note", &finding.note)?;
        if let Some(cure) = &finding.cure {
            self.field("cure", &cure.text)?;
            for line in cure.yaml.iter().flat_map(|yaml| yaml.lines()) {
                writeln!(self.out, "        {}", visible(line))?;
            }
        }
        Ok(())
    }

    fn mistake(&mut self, mistake: &Mistake) -> io::Result<()> {
        let place = match (mistake.rule, mistake.line) {
            (Some(rule), 0) => format!("rule {rule}: "),
            (Some(rule), line) => format!("rule {rule}, line {line}: "),
            (None, 0) => String::new(),
            (None, line) => format!("line {line}: "),
        };
        self.paragraph("  ", "    ", &format!("{place}{}", mistake.text))?;
        self.field("cure", &mistake.cure)
    }

    fn field(&mut self, name: &str, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.paragraph("    ", "      ", &format!("{name}: {text}"))
    }

    fn paragraph(&mut self, first: &str, rest: &str, text: &str) -> io::Result<()> {
        let text = visible(text);
        let options = textwrap::Options::new(self.width)
            .initial_indent(first)
            .subsequent_indent(rest)
            .break_words(false)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        for line in textwrap::wrap(&text, options) {
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }
}
