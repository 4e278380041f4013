//! `gridmart map` and `gridmart retry`: one call over many parts.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use anyhow::Context as _;
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::staging::StagedFile,
};
use gridmart_sdk::{
    Client, Error, JobSelect, MapBuilder, MapInput, MapProgress, MapReport, MapResult, MapStage,
};
use serde::Serialize;

use crate::{
    call::variable,
    failure::{EXIT_FAILED, Failure},
    output::Output,
    progress::Progress,
    remote,
};

/// Failed parts that are told one by one.
const FAILED_SHOWN: usize = 5;
/// Lines of stderr that are shown of a failed part.
const STDERR_LINES_SHOWN: usize = 5;

/// Call an application once for each part of an input, on as many Hosts as there are slots.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The result goes to stdout or --output, a summary to stderr. An interrupted map is gone on with by `gridmart retry last`."
)]
pub(crate) struct Arguments {
    /// NAME or NAME@VERSION
    #[arg(value_name = "APP")]
    application: String,
    /// Arguments of the program, for each part
    #[arg(value_name = "ARG")]
    words: Vec<String>,
    /// File that the application's own split command makes parts of (`-`: stdin)
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "inputs",
        conflicts_with = "inputs"
    )]
    input: Option<PathBuf>,
    /// Ready-made parts: one line of a .jsonl file each, or one file of a folder each
    #[arg(long, value_name = "FILE.jsonl|DIR")]
    inputs: Option<PathBuf>,
    /// Argument of the split command
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    split_arg: Vec<String>,
    /// Argument of the merge command
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    merge_arg: Vec<String>,
    /// An object that each part finds in its work folder, at PATH [default: the last name of the key]
    #[arg(long, value_name = "BUCKET/KEY[=PATH]", value_parser = StagedFile::parse_input)]
    stage_in: Vec<StagedFile>,
    /// A file that each part leaves, stored as an object; `{part}` in the key is the part's number, from 0
    #[arg(long, value_name = "PATH=BUCKET/KEY", value_parser = StagedFile::parse_output)]
    stage_out: Vec<StagedFile>,
    /// A need: capability=spf/2.1, memory>=4GiB, cpus>=2, architecture=amd64, os=linux, domain=lab
    #[arg(long, value_name = "NEED")]
    need: Vec<String>,
    /// A variable of the program's environment
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Use at most so many Hosts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    hosts: Option<u32>,
    /// Use at most so many slots
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    slots: Option<u32>,
    /// Run parts of a lost Host again, even if the application does not say that it may be
    #[arg(long)]
    retry: bool,
    /// Go before those of lower priority where callers wait: -100 to 100; above 0 for operators only
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-100..=100))]
    priority: i32,
    #[command(flatten)]
    results: Results,
}

/// Go on with a map: after an interruption, or with the parts that failed.
#[derive(Debug, clap::Args)]
pub(crate) struct Retry {
    /// Id of the map; `last` is the newest on this machine
    #[arg(value_name = "JOB|last")]
    job: JobSelect,
    /// Run the parts that failed again, and only these
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    results: Results,
}

/// Where results go.
#[derive(Debug, clap::Args)]
struct Results {
    /// File for the result; absent: stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// File for the report: job, parts, failed parts, share of each Host, seconds (JSON)
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Runs a map.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    finish(&arguments.results, output, async |client| {
        describe(&client, arguments)
    })
}

/// Goes on with a map.
pub(crate) fn retry(arguments: &Retry, output: Output) -> Result<(), Failure> {
    let job = arguments.job;
    finish(&arguments.results, output, async |client| {
        let apps = client.apps();
        Ok(if arguments.failed {
            apps.map_retry_failed(job).await?
        } else {
            apps.map_resume(job).await?
        })
    })
}

fn describe(client: &Client, arguments: &Arguments) -> Result<MapBuilder, Failure> {
    let mut map = client
        .apps()
        .map(arguments.application.clone())
        .args(arguments.words.clone())
        .needs(arguments.need.clone())
        .priority(arguments.priority);
    for text in &arguments.split_arg {
        map = map.split_arg(text);
    }
    for text in &arguments.merge_arg {
        map = map.merge_arg(text);
    }
    for (name, value) in &arguments.env {
        map = map.env(name, value);
    }
    for input in &arguments.stage_in {
        map = map.stage_in(input.clone());
    }
    for left in &arguments.stage_out {
        map = map.stage_out(left.clone());
    }
    if let Some(hosts) = arguments.hosts {
        map = map.hosts(hosts);
    }
    if let Some(slots) = arguments.slots {
        map = map.slots(slots);
    }
    if arguments.retry {
        map = map.retry(true);
    }
    Ok(match (&arguments.input, &arguments.inputs) {
        (Some(path), _) if path == Path::new("-") => {
            map.input(MapInput::reader(tokio::io::stdin()))
        }
        (Some(path), _) => map.input(path.as_path()),
        (None, Some(path)) if path.is_dir() => map.inputs_dir(path),
        (None, Some(path)) => map.inputs_jsonl(path),
        (None, None) => return Err(Failure::Usage("--input or --inputs is needed".to_owned())),
    })
}

/// Runs the map that was described, and brings its result and report where
/// they belong.
fn finish(
    results: &Results,
    output: Output,
    describe: impl AsyncFnOnce(Client) -> Result<MapBuilder, Failure>,
) -> Result<(), Failure> {
    let bar = Progress::count(output, "map");
    let job = Arc::new(OnceLock::new());
    let (shown, known) = (bar.clone(), Arc::clone(&job));
    let watch = move |state: &MapProgress| {
        if known.set(state.job).is_ok() {
            remote::remember(state.job);
        }
        shown.set(state.done, state.parts, message(state));
    };
    let done = remote::ask_remembering(async |client| {
        let map = describe(client).await?.on_progress(watch);
        let ran = map.run().await;
        // The result may go to the same terminal.
        bar.clear();
        match ran {
            Ok(result) => {
                let bytes = result.bytes;
                let path = deliver(&result, results.output.as_deref(), output).await?;
                Ok((result.report, Ok(Delivered { path, bytes })))
            }
            Err(Error::PartsFailed { report }) => {
                let problem = Problem::new(
                    Code::PartsFailed,
                    format!(
                        "{} of {} parts of map {} failed",
                        report.failed.len(),
                        report.parts,
                        report.job
                    ),
                );
                Ok((*report, Err(problem)))
            }
            Err(error) => Err(error.into()),
        }
    });
    bar.clear();
    if matches!(done, Err(Failure::Interrupted))
        && let Some(job) = job.get()
    {
        output.note(&format!(
            "map {job} was interrupted; go on with it: gridmart retry {job}"
        ));
    }
    let (report, delivered) = done?;
    if let Some(path) = &results.report {
        let text = serde_json::to_vec_pretty(&report).map_err(anyhow::Error::from)?;
        std::fs::write(path, text)
            .with_context(|| format!("the report {} cannot be written", path.display()))?;
    }
    tell(&report, delivered, output)
}

#[derive(Serialize)]
struct Delivered {
    path: Option<PathBuf>,
    bytes: u64,
}

#[derive(Serialize)]
struct Mapped<'a> {
    report: &'a MapReport,
    result: Option<&'a Delivered>,
}

fn tell(
    report: &MapReport,
    delivered: Result<Delivered, Problem>,
    output: Output,
) -> Result<(), Failure> {
    if output.json() {
        output.print(
            &Mapped {
                report,
                result: delivered.as_ref().ok(),
            },
            |_| (),
        )?;
    } else {
        output.note(&summary(report));
    }
    match delivered {
        Ok(_) => Ok(()),
        Err(problem) if output.json() => Err(problem.into()),
        Err(_) => {
            output.note(&failures(report));
            Err(Failure::Said(EXIT_FAILED))
        }
    }
}

/// Brings the result to its place; programs that read JSON find it in a file.
async fn deliver(
    result: &MapResult,
    to: Option<&Path>,
    output: Output,
) -> Result<Option<PathBuf>, Failure> {
    let mut from = result.open().await?;
    match to {
        Some(path) => {
            let fresh = path.with_added_extension(format!("{}.part", std::process::id()));
            let copied = async {
                let mut file = tokio::fs::File::create(&fresh).await?;
                tokio::io::copy(&mut from, &mut file).await?;
                file.sync_all().await?;
                tokio::fs::rename(&fresh, path).await
            };
            copied
                .await
                .with_context(|| format!("the result cannot be written to {}", path.display()))?;
            Ok(Some(path.to_owned()))
        }
        None if output.json() => Ok(Some(result.path.clone())),
        None => {
            let mut stdout = tokio::io::stdout();
            tokio::io::copy(&mut from, &mut stdout).await?;
            tokio::io::AsyncWriteExt::flush(&mut stdout).await?;
            Ok(None)
        }
    }
}

fn message(state: &MapProgress) -> String {
    let mut text = match (state.stage, state.position) {
        (MapStage::Splitting, _) => "splitting".to_owned(),
        (MapStage::Waiting, Some(position)) => format!("waiting, place {position}"),
        (MapStage::Waiting, None) => "waiting".to_owned(),
        (MapStage::Merging, _) => "merging".to_owned(),
        _ => format!("{} on {} Hosts", state.running, state.hosts),
    };
    if state.failed > 0 {
        // Writing to a String cannot fail.
        let _ = write!(text, ", {} failed", state.failed);
    }
    text
}

fn summary(report: &MapReport) -> String {
    let mut text = format!(
        "map {}: {} of {} parts in {:.2} s on {} Hosts",
        report.job,
        report.done,
        report.parts,
        report.wall_seconds,
        report.hosts.len()
    );
    for host in &report.hosts {
        let _ = write!(
            text,
            "\n  {:<16} {:>6} parts  {:>8.2} s busy",
            host.name, host.parts, host.busy_seconds
        );
    }
    text
}

fn failures(report: &MapReport) -> String {
    let mut text = format!(
        "gridmart: {} parts failed [{}]",
        report.failed.len(),
        Code::PartsFailed
    );
    for part in report.failed.iter().take(FAILED_SHOWN) {
        let _ = write!(
            text,
            "\n  part {} after {} attempts: {}",
            part.part, part.attempts, part.reason
        );
        for line in part.stderr.lines().take(STDERR_LINES_SHOWN) {
            let _ = write!(text, "\n    {line}");
        }
    }
    if report.failed.len() > FAILED_SHOWN {
        let _ = write!(
            text,
            "\n  … and {} more; --report FILE has them all",
            report.failed.len() - FAILED_SHOWN
        );
    }
    let _ = write!(text, "\n  next: gridmart retry {} --failed", report.job);
    text
}
