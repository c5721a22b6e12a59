//! The command line: what may be asked, and the checks that need no file to be opened.

use std::path::PathBuf;

use auditgap_records::Timestamp;
use auditgap_records::report::Severity;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::policy_check::PolicyFormat;

/// Finds what happened on nodes and in etcd without an API audit record that accounts for it.
#[derive(Debug, Parser)]
#[command(name = "auditgap", version, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read logs of a cluster from files and report the gaps
    Scan(Box<ScanArgs>),
    /// Print everything the logs say about one object, container or revision, in time order
    Explain(Box<ExplainArgs>),
    /// Work with audit policies
    Policy {
        /// What to do with the policy.
        #[command(subcommand)]
        command: PolicyCommand,
    },
}

/// Commands about audit policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say which detections a policy blinds, by which rule, and the smallest change that cures it
    Check {
        /// The policy file that kube-apiserver runs with (--audit-policy-file)
        policy: PathBuf,
        /// Form of the result
        #[arg(long, value_enum, default_value_t = PolicyFormat::Text)]
        format: PolicyFormat,
    },
}

/// `auditgap scan`.
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// What to read.
    #[command(flatten)]
    pub input: InputArgs,
    /// Form of the report
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub format: OutputFormat,
    /// Write the report to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Accepted classes of gap: a TOML file (docs/exceptions.md)
    #[arg(long, value_name = "FILE")]
    pub exceptions: Option<PathBuf>,
    /// Exit with 1 if there is a gap that no exception covers, or one of at least this severity
    #[arg(long, value_enum, value_name = "WHAT")]
    pub fail_on: Option<FailOn>,
}

/// `auditgap explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// namespace/name, resource/namespace/name, an etcd key, a container or Pod id, or a revision number
    pub subject: String,
    /// What to read.
    #[command(flatten)]
    pub input: InputArgs,
    /// Print at most this many records
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub limit: usize,
}

/// What to read, and how.
#[derive(Debug, Default, Args)]
pub struct InputArgs {
    /// Folders and files whose formats are found by content
    #[arg(value_name = "DIR|FILE")]
    pub paths: Vec<PathBuf>,
    /// Audit log of an API server (JSON lines, EventList bodies, legacy text, GKE), or a folder of them
    #[arg(long, value_name = "[NAME=]FILE", help_heading = "Feeds")]
    pub audit: Vec<Named>,
    /// Log of a kubelet
    #[arg(long, value_name = "NODE=FILE", help_heading = "Feeds")]
    pub kubelet: Vec<Named>,
    /// Log of an etcd member
    #[arg(long, value_name = "[MEMBER=]FILE", help_heading = "Feeds")]
    pub etcd: Vec<Named>,
    /// Recording of a watch on etcd's key space
    #[arg(long, value_name = "[MEMBER=]FILE", help_heading = "Feeds")]
    pub etcd_watch: Vec<Named>,
    /// Log or events of a container runtime
    #[arg(long, value_name = "NODE=FILE", help_heading = "Feeds")]
    pub runtime: Vec<Named>,
    /// auditd, Falco, Tetragon or inotify output of a host
    #[arg(long, value_name = "NODE=FILE", help_heading = "Feeds")]
    pub host: Vec<Named>,
    /// kube-apiserver's own log
    #[arg(long, value_name = "[NAME=]FILE", help_heading = "Feeds")]
    pub apiserver: Vec<Named>,
    /// Audit policy that was in force
    #[arg(long, value_name = "FILE", help_heading = "What else is known")]
    pub audit_policy: Option<PathBuf>,
    /// Declared state: Pods and other objects as JSON or YAML, manifests of static Pods, kubelet configuration
    #[arg(long, value_name = "FILE|DIR", help_heading = "What else is known")]
    pub inventory: Vec<PathBuf>,
    /// Name of the cluster in the report
    #[arg(long, value_name = "NAME", help_heading = "What else is known")]
    pub cluster: Option<String>,
    /// A day near which logs without a year (klog) were written; found from the other logs by default
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day, help_heading = "What else is known")]
    pub near: Option<Timestamp>,
    /// Offset to UTC of the clock that wrote time stamps without a zone, such as +02:00
    #[arg(long, value_name = "OFFSET", value_parser = zone, allow_hyphen_values = true,
          help_heading = "What else is known")]
    pub zone: Option<i32>,
    /// Do not draw a progress bar
    #[arg(long)]
    pub no_progress: bool,
    /// Threads that parse; as many as there are processors by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
}

/// A file, with the name of the API server, node or member that it is from, if given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Name before the `=`.
    pub instance: Option<String>,
    /// The file or folder.
    pub path: PathBuf,
}

impl InputArgs {
    /// Whether nothing was named that holds logs.
    pub fn is_empty(&self) -> bool {
        let named = [
            &self.audit,
            &self.kubelet,
            &self.etcd,
            &self.etcd_watch,
            &self.runtime,
            &self.host,
            &self.apiserver,
        ];
        self.paths.is_empty() && named.iter().all(|files| files.is_empty())
    }
}

impl std::str::FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A path that exists as it stands wins: file names may hold `=`.
        match text.split_once('=') {
            Some((name, path)) if !name.contains('/') && !std::path::Path::new(text).exists() => {
                if name.is_empty() || path.is_empty() {
                    return Err(format!("`{text}` is not NAME=FILE"));
                }
                Ok(Self { instance: Some(name.to_owned()), path: path.into() })
            }
            _ if text.is_empty() => Err("the file name is empty".to_owned()),
            _ => Ok(Self { instance: None, path: text.into() }),
        }
    }
}

/// Forms of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For a person at a terminal
    Text,
    /// The stable contract auditgap.report/v1
    Json,
    /// One JSON object a line: coverage, incidents, gaps, blind spots, what could not be judged
    Ndjson,
    /// One self-contained page
    Html,
    /// One gap or blind spot a row
    Csv,
}

/// What makes the exit code 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Any gap but those that are only information
    Gap,
    /// Any gap at all
    Info,
    /// A gap of low severity or worse
    Low,
    /// A gap of medium severity or worse
    Medium,
    /// A gap of high severity or worse
    High,
    /// A critical gap
    Critical,
}

impl FailOn {
    /// The least severity that counts.
    pub fn threshold(self) -> Severity {
        match self {
            Self::Info => Severity::Info,
            Self::Gap | Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }
}

fn day(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text)
        .or_else(|| Timestamp::parse(&format!("{text}T12:00:00Z")))
        .ok_or_else(|| format!("`{text}` is not a day such as 2026-03-31"))
}

fn zone(text: &str) -> Result<i32, String> {
    // The offset is read by the one parser of times there is, at a moment where only the zone is open.
    let epoch = Timestamp::parse(&format!("1970-01-02T00:00:00{text}"));
    match epoch {
        Some(moment) if text.starts_with(['+', '-', 'Z']) => Ok((86_400 - moment.unix_seconds()) as i32),
        _ => Err(format!("`{text}` is not an offset to UTC such as +02:00, -0500 or Z")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn offsets_to_utc() {
        for (text, seconds) in [("Z", 0), ("+02:00", 7_200), ("-0500", -18_000), ("+0530", 19_800)] {
            assert_eq!(zone(text), Ok(seconds), "{text}");
        }
        for text in ["", "2", "+25:00", "Europe/Berlin"] {
            assert!(zone(text).is_err(), "{text}");
        }
    }

    #[test]
    fn files_with_and_without_a_name() {
        let named =
            |name: Option<&str>, path: &str| Ok(Named { instance: name.map(Into::into), path: path.into() });
        assert_eq!("node-1=kubelet.log".parse(), named(Some("node-1"), "kubelet.log"));
        assert_eq!("kubelet.log".parse(), named(None, "kubelet.log"));
        assert_eq!("logs/a=b.log".parse(), named(None, "logs/a=b.log"));
        assert!("=x".parse::<Named>().is_err());
    }
}
