//! Command line of `link-failures`: the whole job here, or one step of it on the grid.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use link_failures::gml::{GmlError, MAX_FILE_SIZE};
use link_failures::part::{self, DEFAULT_PARTS, MAX_PARTS, PartError};
use link_failures::report::Report;
use link_failures::sql::{self, SqlName};
use link_failures::topology::{Topology, topology_read};

/// Links shown where nobody says how many.
const DEFAULT_TOP: usize = 20;
/// Most bytes read of part, part results or a result, which are made from one bounded file.
const MAX_JSON_SIZE: usize = 256 << 20;

/// What happens to a network when any one link fails
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Arguments {
    #[command(subcommand)]
    step: Option<Step>,
    #[command(flatten)]
    whole: Option<Whole>,
}

#[derive(Debug, Args)]
struct Whole {
    /// The network, a GML file; - for standard input
    file: PathBuf,
    /// Print the result as JSON
    #[arg(long, conflicts_with = "top")]
    json: bool,
    /// Links to show, the most critical first
    #[arg(long, value_name = "N", default_value_t = DEFAULT_TOP)]
    top: usize,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// Cut the job: GML on standard input, one part per line out
    Split {
        /// Most parts to make
        #[arg(long, value_name = "N", default_value_t = DEFAULT_PARTS, value_parser = parts_parse)]
        parts: usize,
    },
    /// Do one part: a part on standard input, its result out
    Run,
    /// Put together: the results of all parts, in order, on standard input, JSON out
    Merge,
    /// Write a result as statements of SQL that make a table of it: its JSON on standard input
    Sql {
        /// Name of the table
        #[arg(long, value_name = "NAME", default_value = "links")]
        table: SqlName,
        /// GML file whose labels name the nodes
        #[arg(long, value_name = "FILE")]
        labels: Option<PathBuf>,
    },
    /// Show a result for people: its JSON on standard input
    Table {
        /// Links to show, the most critical first
        #[arg(long, value_name = "N", default_value_t = DEFAULT_TOP)]
        top: usize,
        /// GML file whose labels name the nodes
        #[arg(long, value_name = "FILE")]
        labels: Option<PathBuf>,
    },
}

#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("cannot read {file}")]
    Unreadable {
        file: String,
        #[source]
        source: io::Error,
    },
    #[error("{file} holds more than {} MiB, the most that is read", limit >> 20)]
    TooLarge { file: String, limit: usize },
    #[error("{file}:{}: {}", error.line, error.fault)]
    Malformed { file: String, error: GmlError },
    #[error(transparent)]
    Part(#[from] PartError),
    #[error("the input is not a result of this program")]
    NoReport(#[source] serde_json::Error),
    #[error("cannot write the output")]
    Unwritable(#[source] io::Error),
}

fn main() -> ExitCode {
    match arguments_run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever closed the pipe has seen enough.
        Err(CommandError::Unwritable(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            let mut message = format!("link-failures: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                message = format!("{message}: {error}");
                cause = error.source();
            }
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn arguments_run(arguments: Arguments) -> Result<(), CommandError> {
    match (arguments.step, arguments.whole) {
        (Some(Step::Split { parts }), _) => {
            let topology = topology_from(&Source::Standard)?;
            lines_print(part::split(&topology.network, parts))
        }
        (Some(Step::Run), _) => lines_print([part::run(&Source::Standard.bytes(MAX_JSON_SIZE)?)?]),
        (Some(Step::Merge), _) => {
            report_print(&part::merge(&Source::Standard.bytes(MAX_JSON_SIZE)?)?)
        }
        (Some(Step::Sql { table, labels }), _) => sql_print(&table, labels),
        (Some(Step::Table { top, labels }), _) => table_print(top, labels),
        (None, Some(whole)) => whole_run(whole),
        (None, None) => Ok(()),
    }
}

fn whole_run(whole: Whole) -> Result<(), CommandError> {
    let topology = topology_from(&Source::from_argument(whole.file))?;
    let report = Report::compute(&topology.network);
    if whole.json {
        return report_print(&report);
    }
    text_print(&report.table(whole.top, &topology.labels))
}

fn table_print(top: usize, labels: Option<PathBuf>) -> Result<(), CommandError> {
    let labels = labels_from(labels)?;
    text_print(&report_read()?.table(top, &labels))
}

fn sql_print(table: &SqlName, labels: Option<PathBuf>) -> Result<(), CommandError> {
    let labels = labels_from(labels)?;
    text_print(&sql::statements(&report_read()?, table, &labels))
}

fn labels_from(file: Option<PathBuf>) -> Result<HashMap<i64, String>, CommandError> {
    Ok(match file {
        Some(file) => topology_from(&Source::File(file))?.labels,
        None => HashMap::new(),
    })
}

fn report_read() -> Result<Report, CommandError> {
    let json = Source::Standard.bytes(MAX_JSON_SIZE)?;
    serde_json::from_slice(&json).map_err(CommandError::NoReport)
}

fn parts_parse(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(parts) if (1..=MAX_PARTS).contains(&parts) => Ok(parts),
        _ => Err(format!("a whole number from 1 to {MAX_PARTS}")),
    }
}

/// Where input comes from.
enum Source {
    Standard,
    File(PathBuf),
}

impl Source {
    fn from_argument(path: PathBuf) -> Self {
        if path.as_os_str() == "-" {
            Source::Standard
        } else {
            Source::File(path)
        }
    }

    fn name(&self) -> String {
        match self {
            Source::Standard => "standard input".to_owned(),
            Source::File(path) => path.display().to_string(),
        }
    }

    /// Reads all of it, if it is no larger than `limit`.
    fn bytes(&self, limit: usize) -> Result<Vec<u8>, CommandError> {
        let mut bytes = Vec::new();
        let within = limit as u64 + 1;
        let read = match self {
            Source::Standard => io::stdin().lock().take(within).read_to_end(&mut bytes),
            Source::File(path) => {
                std::fs::File::open(path).and_then(|file| file.take(within).read_to_end(&mut bytes))
            }
        };
        match read {
            Ok(size) if size > limit => Err(CommandError::TooLarge {
                file: self.name(),
                limit,
            }),
            Ok(_) => Ok(bytes),
            Err(source) => Err(CommandError::Unreadable {
                file: self.name(),
                source,
            }),
        }
    }
}

fn topology_from(source: &Source) -> Result<Topology, CommandError> {
    topology_read(&source.bytes(MAX_FILE_SIZE)?).map_err(|error| CommandError::Malformed {
        file: source.name(),
        error,
    })
}

fn report_print(report: &Report) -> Result<(), CommandError> {
    lines_print([report.to_json()])
}

fn text_print(text: &str) -> Result<(), CommandError> {
    let mut output = io::stdout().lock();
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .map_err(CommandError::Unwritable)
}

fn lines_print(lines: impl IntoIterator<Item = String>) -> Result<(), CommandError> {
    lines
        .into_iter()
        .try_for_each(|line| text_print(&(line + "\n")))
}
