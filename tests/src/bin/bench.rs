//! Input for the benchmarks, and their clock. See `docs/benchmarks.md`.

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use auditgap_tests::history::{History, Options};
use auditgap_tests::measure;
use auditgap_tests::recording;
use auditgap_tests::traffic::Traffic;
use clap::{Parser, Subcommand};

/// Generates input and measures.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes an audit log at Metadata and the etcd watch beside it.
    Generate {
        /// Folder to write to.
        folder: PathBuf,
        /// Audit events.
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
        /// Revisions without a request.
        #[arg(long, default_value_t = 300)]
        gaps: u64,
    },
    /// Writes a synthetic history with its policy, inventory and truth: to look at what a property test found.
    History {
        /// Folder to write to.
        folder: PathBuf,
        /// Seed of the history and of its options.
        #[arg(long)]
        seed: u64,
    },
    /// Judges a folder of logs in several orders of arrival; fails if the reports differ.
    Order {
        /// The folder.
        folder: PathBuf,
    },
    /// Times the parser alone on one file.
    Parse {
        /// The file.
        file: PathBuf,
    },
    /// Times the engine alone on a folder that `generate` wrote.
    Engine {
        /// The folder.
        folder: PathBuf,
    },
    /// Times a whole scan and watches its memory.
    Scan {
        /// The folder.
        folder: PathBuf,
        /// The binary; the one built beside this by default.
        #[arg(long)]
        auditgap: Option<PathBuf>,
    },
}

fn main() -> io::Result<()> {
    let text = match Cli::parse().command {
        Command::Generate { folder, events, gaps } => generate(&folder, events, gaps)?,
        Command::History { folder, seed } => history(&folder, seed)?,
        Command::Order { folder } => recording::order(&folder)?,
        Command::Parse { file } => measure::parse(&file)?,
        Command::Engine { folder } => measure::engine(&folder)?,
        Command::Scan { folder, auditgap } => {
            let beside = std::env::current_exe()?.with_file_name("auditgap");
            measure::scan(&auditgap.unwrap_or(beside), &folder)?
        }
    };
    writeln!(io::stdout(), "{text}")
}

fn generate(folder: &Path, events: u64, gaps: u64) -> io::Result<String> {
    fs::create_dir_all(folder)?;
    let create =
        |name: &str| fs::File::create(folder.join(name)).map(|file| BufWriter::with_capacity(1 << 20, file));
    let (mut audit, mut watch) = (create("audit.jsonl")?, create("etcd-watch.jsonl")?);
    Traffic { events, gaps, spacing_micros: 4_000, seed: 1 }.write(&mut audit, &mut watch)?;
    audit.flush()?;
    watch.flush()?;
    fs::write(
        folder.join("audit-policy.yaml"),
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n",
    )?;
    Ok(format!("{events} audit events and {gaps} revisions without a request in {}", folder.display()))
}

fn history(folder: &Path, seed: u64) -> io::Result<String> {
    let options = Options::for_seed(seed);
    let history = History::generate(seed, &options);
    history.write_to(folder)?;
    let truth = history.truth.iter();
    let truth = truth.map(|injected| {
        format!("\n{} {} {:?} {}", injected.from, injected.what, injected.paths, injected.named)
    });
    Ok(format!("{options:?}{}", truth.collect::<String>()))
}
