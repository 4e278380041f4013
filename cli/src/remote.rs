//! What all commands share that ask a controller: a client that is closed
//! properly, Ctrl-C, and ids that are typed in part.

use std::{fmt::Display, fs, future::Future, io::Write as _, path::PathBuf};

use anyhow::Context as _;
use gridmart_schemas::{
    api::resource::ResourceRow,
    id::NodeId,
    problem::{Code, Problem},
};
use gridmart_sdk::Client;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// Fewer letters than this are not taken for the beginning of an id.
const PREFIX_LETTERS_MIN: usize = 4;

/// Runs what a command asks of the controller, and closes the client whatever
/// comes of it; Ctrl-C and TERM drop the work, which ends calls and maps.
pub(crate) fn ask<T>(work: impl AsyncFnOnce(Client) -> Result<T, Failure>) -> Result<T, Failure> {
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        let client = Client::from_env()?;
        let result = interruptible(work(client.clone())).await;
        client.close().await;
        result
    });
    // A read of the terminal cannot be ended; it must not hold up the exit.
    runtime.shutdown_background();
    result
}

/// Does with a client what asks nobody.
pub(crate) fn here<T>(work: impl AsyncFnOnce(Client) -> Result<T, Failure>) -> Result<T, Failure> {
    let client = Client::from_env()?;
    runtime()?.block_on(work(client))
}

/// Like [`ask`], and keeps a refusal for `explain last`.
pub(crate) fn ask_remembering<T>(
    work: impl AsyncFnOnce(Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let result = ask(work);
    if let Err(Failure::Problem(problem)) = &result
        && let Some(request) = problem.request_id
    {
        remember(request);
    }
    result
}

/// Makes the runtime of a command.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("the runtime cannot be started")?)
}

/// Runs work until it ends or Ctrl-C or TERM comes.
pub(crate) async fn interruptible<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = work => result,
        _ = interrupt.recv() => Err(Failure::Interrupted),
        _ = terminate.recv() => Err(Failure::Interrupted),
    }
}

/// Turns the beginning of a resource's id into the whole id; anything else,
/// names above all, stays as it is.
pub(crate) async fn whole_id(client: &Client, text: &str) -> Result<String, Failure> {
    let may_be_prefix = text.len() >= PREFIX_LETTERS_MIN
        && text.parse::<NodeId>().is_err()
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    if !may_be_prefix {
        return Ok(text.to_owned());
    }
    completed(&client.resources().list(None).await?, text)
}

fn completed(rows: &[ResourceRow], text: &str) -> Result<String, Failure> {
    if rows.iter().any(|row| row.name == text) {
        return Ok(text.to_owned());
    }
    let ids: Vec<String> = rows
        .iter()
        .map(|row| row.id.to_string())
        .filter(|id| id.starts_with(text))
        .collect();
    match ids.as_slice() {
        [] => Ok(text.to_owned()),
        [id] => Ok(id.clone()),
        several => {
            let detail = format!(
                "{text:?} is the beginning of {} ids: {}",
                several.len(),
                several.join(", ")
            );
            Err(Problem::new(Code::InvalidRequest, detail).into())
        }
    }
}

/// Keeps the id that `explain last` means.
pub(crate) fn remember(id: impl Display) {
    let keep = || -> std::io::Result<()> {
        let path = last_file();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::File::create(path)?.write_all(id.to_string().as_bytes())
    };
    // Only `explain last` misses it.
    if let Err(error) = keep() {
        tracing::debug!(%error, "the last id is not kept");
    }
}

/// Gives the id that `explain last` means.
pub(crate) fn last() -> Result<String, Failure> {
    let path = last_file();
    fs::read_to_string(&path)
        .map(|text| text.trim().to_owned())
        .map_err(|_| {
            Problem::new(
                Code::NotFound,
                format!(
                    "there is no last call or refusal here ({} is not there)",
                    path.display()
                ),
            )
            .into()
        })
}

fn last_file() -> PathBuf {
    std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir)
        .join("gridmart/last")
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::{
        api::resource::Condition,
        role::{Desired, NodeKind},
    };

    use super::*;

    fn row(id: &str, name: &str) -> ResourceRow {
        ResourceRow {
            id: id.parse().unwrap(),
            kind: NodeKind::ComputeHost,
            name: name.to_owned(),
            domain: "lab".to_owned(),
            element: None,
            serving_state: "production".to_owned(),
            health_state: "ok".to_owned(),
            health_info: None,
            condition: Condition::Ok,
            connected: true,
            age_seconds: None,
            desired: Desired::Production,
            pending: false,
            total_slots: None,
            free_slots: None,
            running_jobs: None,
            total_bytes: None,
            free_bytes: None,
        }
    }

    #[test]
    fn the_beginning_of_an_id_is_enough_if_it_is_the_only_one() {
        let rows = [
            row("01234567-0000-7000-8000-000000000001", "host-1"),
            row("01234567-0000-7000-8000-000000000002", "host-2"),
            row("aaaa4567-0000-7000-8000-000000000002", "cafe"),
        ];
        assert_eq!(
            completed(&rows, "aaaa").unwrap(),
            "aaaa4567-0000-7000-8000-000000000002"
        );
        assert_eq!(completed(&rows, "cafe").unwrap(), "cafe");
        assert_eq!(completed(&rows, "ffff").unwrap(), "ffff");
        assert!(matches!(completed(&rows, "0123"), Err(Failure::Problem(_))));
    }
}
