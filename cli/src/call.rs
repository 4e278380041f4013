//! `gridmart call APP`: one call, as if the program ran here.
//!
//! Exit codes: the program's own when it ran to its end, 128 + n when signal n
//! ended it; gridmart's (3, 4, 5, …) when it could not be run.

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use gridmart_schemas::{
    id::CallId,
    problem::{Code, Problem},
    wire::{
        record::{CallEnd, CallState},
        staging::StagedFile,
    },
};
use gridmart_sdk::{CallBuilder, Client, OutputStream, Stdin};
use serde::Serialize;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::{failure::Failure, output::Output, period::Period, remote};

/// What a shell adds to the number of a signal.
const SIGNAL_BASE: i32 = 128;

/// Call an application: stdin, stdout, stderr and exit code are the program's.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Arguments that begin with a hyphen come after `--`: gridmart call APP -- --json\n\n\
    Exit code: the program's own, 128 + n if signal n ended it; 3 refused, 4 not found, 5 not reachable if it could not be run."
)]
pub(crate) struct Arguments {
    /// NAME or NAME@VERSION; may be absent with --need
    #[arg(value_name = "APP", required_unless_present = "need")]
    application: Option<String>,
    /// Arguments of the program
    #[arg(value_name = "ARG")]
    words: Vec<String>,
    /// File for the program's stdin, `-` for this stdin [default: this stdin, if it is no terminal]
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// An object that the program finds in its work folder, at PATH [default: the last name of the key]
    #[arg(long, value_name = "BUCKET/KEY[=PATH]", value_parser = StagedFile::parse_input)]
    stage_in: Vec<StagedFile>,
    /// A file that the program leaves in its work folder, stored as an object if it ends with exit code 0
    #[arg(long, value_name = "PATH=BUCKET/KEY", value_parser = StagedFile::parse_output)]
    stage_out: Vec<StagedFile>,
    /// A need: capability=spf/2.1, memory>=4GiB, cpus>=2, architecture=amd64, os=linux, domain=lab
    #[arg(long, value_name = "NEED")]
    need: Vec<String>,
    /// A variable of the program's environment
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Call again elsewhere if a Host is lost, even if the application does not say that it may be
    #[arg(long)]
    retry: bool,
    /// Go before those of lower priority where callers wait: -100 to 100; above 0 for operators only
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-100..=100))]
    priority: i32,
    /// End the call after this time
    #[arg(long, value_name = "PERIOD")]
    wall_limit: Option<Period>,
}

/// Reads `NAME=VALUE`.
pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=VALUE is expected".to_owned()),
    }
}

/// Calls it.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let end = remote::ask_remembering(async |client| {
        let call = describe(&client, arguments).await?;
        if output.json() {
            collected(call, output).await
        } else {
            streamed(call).await
        }
    })?;
    verdict(&end, output)
}

async fn describe(client: &Client, arguments: &Arguments) -> Result<CallBuilder, Failure> {
    let mut call = client
        .apps()
        .call(arguments.application.clone().unwrap_or_default())
        .args(arguments.words.clone())
        .needs(arguments.need.clone())
        .priority(arguments.priority)
        .stdin(stdin(arguments.input.as_deref()).await?);
    for (name, value) in &arguments.env {
        call = call.env(name, value);
    }
    for input in &arguments.stage_in {
        call = call.stage_in(input.clone());
    }
    for left in &arguments.stage_out {
        call = call.stage_out(left.clone());
    }
    if arguments.retry {
        call = call.retry(true);
    }
    if let Some(limit) = arguments.wall_limit {
        call = call.wall_limit(std::time::Duration::from_secs(limit.seconds()));
    }
    Ok(call)
}

async fn stdin(input: Option<&Path>) -> Result<Stdin, Failure> {
    match input {
        Some(path) if path != Path::new("-") => {
            let file = tokio::fs::File::open(path)
                .await
                .with_context(|| format!("the input {} cannot be read", path.display()))?;
            Ok(Stdin::reader(file))
        }
        None if io::stdin().is_terminal() => Ok(Stdin::Empty),
        _ => Ok(Stdin::reader(tokio::io::stdin())),
    }
}

async fn streamed(call: CallBuilder) -> Result<CallEnd, Failure> {
    let mut running = call.start().await?;
    remote::remember(running.id());
    let stdout = copy(running.stdout(), tokio::io::stdout());
    let stderr = copy(running.stderr(), tokio::io::stderr());
    // The first that fails drops the call, which ends its process tree.
    let ((), (), end) = tokio::try_join!(stdout, stderr, async { Ok(running.wait().await?) })?;
    Ok(end)
}

async fn copy(mut from: OutputStream, mut to: impl AsyncWrite + Unpin) -> Result<(), Failure> {
    while let Some(chunk) = from.chunk().await? {
        to.write_all(&chunk).await?;
        to.flush().await?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Called {
    call: CallId,
    end: CallEnd,
    encoding: &'static str,
    stdout: String,
    stderr: String,
}

async fn collected(call: CallBuilder, output: Output) -> Result<CallEnd, Failure> {
    let done = call.output().await?;
    remote::remember(done.call);
    let texts = (str::from_utf8(&done.stdout), str::from_utf8(&done.stderr));
    let (encoding, stdout, stderr) = match texts {
        (Ok(stdout), Ok(stderr)) => ("utf-8", stdout.to_owned(), stderr.to_owned()),
        _ => (
            "base64",
            STANDARD.encode(&done.stdout),
            STANDARD.encode(&done.stderr),
        ),
    };
    let called = Called {
        call: done.call,
        end: done.end,
        encoding,
        stdout,
        stderr,
    };
    output.print(&called, |_| ())?;
    Ok(called.end)
}

fn verdict(end: &CallEnd, output: Output) -> Result<(), Failure> {
    if end.succeeded() {
        return Ok(());
    }
    if end.state == CallState::Finished {
        if let Some(signal) = end.signal {
            output.note(&format!(
                "gridmart: the program was ended by signal {signal}"
            ));
        }
        return Err(Failure::Program(program_code(end)));
    }
    let code = end.code.unwrap_or(Code::Internal);
    let detail = end
        .reason
        .clone()
        .unwrap_or_else(|| format!("the call ended as {:?}", end.state));
    Err(Problem::new(code, detail).into())
}

/// Gives the exit code of a program that ended without success.
fn program_code(end: &CallEnd) -> u8 {
    let code = end
        .exit_code
        .or_else(|| end.signal.map(|signal| SIGNAL_BASE + signal))
        .unwrap_or(1);
    u8::try_from(code & 0xff)
        .ok()
        .filter(|code| *code != 0)
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(state: CallState, exit_code: Option<i32>, signal: Option<i32>) -> CallEnd {
        CallEnd {
            state,
            exit_code,
            signal,
            code: None,
            reason: None,
            wall_us: 0,
            cpu_us: 0,
            max_resident_bytes: 0,
            stdout_bytes: 0,
            stderr_bytes: 0,
            staged_in_bytes: 0,
            staged_out_bytes: 0,
        }
    }

    #[test]
    fn exit_codes_are_the_programs_own() {
        let output = Output::new(true);
        let code = |end: &CallEnd| {
            verdict(end, output)
                .err()
                .map(|failure| failure.exit_code())
        };
        assert_eq!(code(&end(CallState::Finished, Some(0), None)), None);
        assert_eq!(code(&end(CallState::Finished, Some(17), None)), Some(17));
        assert_eq!(code(&end(CallState::Finished, None, Some(9))), Some(137));
        assert_eq!(code(&end(CallState::Failed, None, None)), Some(1));
        let lost = CallEnd {
            code: Some(Code::HostDown),
            ..end(CallState::Failed, None, None)
        };
        assert_eq!(code(&lost), Some(5));
    }

    #[test]
    fn variables_have_a_name() {
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(variable("=b").is_err() && variable("A").is_err());
    }
}
