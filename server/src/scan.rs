//! `auditgap scan`: files in, gap report out.

use std::io::{self, Write};
use std::num::NonZero;
use std::process::ExitCode;

use anyhow::{Result, bail};
use auditgap_correlate::{Context, Engine, Outcome, Settings};
use auditgap_records::inventory::Inventory;
use auditgap_records::report::Gap;

use crate::cli::{InputArgs, ScanArgs};
use crate::exceptions::Exceptions;
use crate::input::{Inputs, announce, gather};
use crate::output::write_report;
use crate::progress::Progress;
use crate::raw;
use crate::reading::read_feeds;
use crate::render::visible;

/// Name of a cluster that nobody named.
const UNNAMED: &str = "unnamed";

/// Runs the command.
pub(crate) fn run(args: &ScanArgs) -> Result<ExitCode> {
    // A mistake in the exceptions is told before anything is read.
    let exceptions = args.exceptions.as_deref().map(Exceptions::load).transpose()?.unwrap_or_default();
    let mut inputs = look(&args.input)?;
    let mut report = judge(&args.input, &mut inputs, Vec::new()).report;
    exceptions.apply(&mut report);
    write_report(&report, args.format, args.output.as_deref())?;
    let failed = args.fail_on.is_some_and(|fail_on| {
        let counts = |gap: &Gap| gap.exception.is_none() && gap.severity >= fail_on.threshold();
        report.gaps.iter().any(counts)
    });
    Ok(ExitCode::from(u8::from(failed)))
}

/// Finds out what there is to read and says so.
pub(crate) fn look(args: &InputArgs) -> Result<Inputs> {
    if args.is_empty() {
        bail!(
            "nothing to read: name a folder of logs, or files with --audit, --kubelet, --etcd, … (see --help)"
        );
    }
    let inputs = gather(args)?;
    // Whether anybody listens is not worth an error.
    let _ = announce(&inputs, &mut io::stderr().lock());
    if inputs.feeds.is_empty() {
        if args.is_empty() {
            bail!(
                "nothing to read: name a folder of logs, or files with --audit, --kubelet, --etcd, … (see --help)"
            );
        }
        bail!(
            "no log of a known format is in what was named: auditgap reads audit logs of the API server, and logs of \
             kubelets, etcd, container runtimes and hosts"
        );
    }
    Ok(inputs)
}

/// Reads everything and judges it.
///
/// Of what `trace` names, explained verdicts are told one by one as well.
pub(crate) fn judge(args: &InputArgs, inputs: &mut Inputs, trace: Vec<String>) -> Outcome {
    let cluster = args.cluster.clone().unwrap_or_else(|| UNNAMED.to_owned());
    let policy = inputs.policy.as_ref().map(|(_, policy)| policy.clone());
    let inventory: Inventory = std::mem::take(&mut inputs.inventory);
    let mut context = Context::new(cluster, policy, inventory, Settings::default());
    context.trace = trace;
    let mut engine = Engine::new(context);
    let progress = Progress::new(inputs.bytes(), !args.no_progress);
    let mut troubles = read_feeds(&mut engine, inputs.feeds.clone(), threads(args), &progress);
    progress.finish();
    let names: Vec<String> = inputs.files.iter().map(|file| file.shown.clone()).collect();
    let mut outcome = engine.finish(&names);
    troubles.extend(raw::fill(&mut outcome.report, &inputs.files));
    for trouble in troubles {
        let _ = writeln!(io::stderr(), "auditgap: {}", visible(&trouble));
    }
    outcome
}

/// Threads that parse. The engine runs on one more, and mostly waits.
fn threads(args: &InputArgs) -> usize {
    args.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get), usize::from)
}
