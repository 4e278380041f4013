//! The server roles: settings from flags and a file, then the role's own
//! `run` until a signal ends it.
//!
//! Invariants: flags win over the file; keys of the file are the flags' names
//! and unknown ones are refused; a role started by `gridmart up` never
//! outlives it; a role that was told to end does so in bounded time.

pub(crate) mod control;
pub(crate) mod element;
pub(crate) mod host;
mod settings;

use std::{
    fmt,
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use clap::ValueEnum;
use nix::{
    sys::{
        prctl,
        resource::{Resource, getrlimit, setrlimit},
        signal::Signal,
    },
    unistd::getppid,
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use self::settings::RoleSettings;
use crate::failure::Failure;

/// Threads that run a role's tasks; one per CPU would cost a small machine
/// memory for nothing, since the work is done by the programs called.
const WORKER_THREADS: usize = 2;
/// How long a role may take to end after it was told to.
const SHUTDOWN_MAX: Duration = Duration::from_secs(20);
/// How long blocking work may hold up the end of a process.
const BLOCKING_MAX: Duration = Duration::from_secs(2);

/// How a role writes its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// How a role is started: its own settings, as flags and from a file.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments<S: clap::Args> {
    #[command(flatten)]
    settings: S,
    /// TOML file with the same keys as the flags; flags win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[arg(long, hide = true)]
    parent_pid: Option<i32>,
}

impl<S: clap::Args + RoleSettings> Arguments<S> {
    /// Gives the settings, those of the file included, and what is around them.
    fn settled(self) -> Result<(Frame, S), Failure> {
        let settings = self.settings.or(read_settings(self.config.as_deref())?);
        let frame = Frame {
            log_format: settings.log_format().unwrap_or_default(),
            log_level: settings.log_level().unwrap_or("info").to_owned(),
            parent_pid: self.parent_pid,
        };
        Ok((frame, settings))
    }
}

/// What every role has beside its own settings.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Its log's form.
    pub(crate) log_format: LogFormat,
    /// Its log's filter, for example `info` or `gridmart_host=debug`.
    pub(crate) log_level: String,
    /// The process that must not be outlived.
    pub(crate) parent_pid: Option<i32>,
}

impl Frame {
    /// Runs a role to its end, which is a signal or its own fault.
    pub(crate) fn serve<F, E>(
        &self,
        role: impl FnOnce(CancellationToken) -> F,
    ) -> Result<(), Failure>
    where
        F: Future<Output = Result<(), E>>,
        E: std::error::Error + Send + Sync + 'static,
    {
        follow_parent(self.parent_pid)?;
        let format = match self.log_format {
            LogFormat::Text => gridmart_fabric::telemetry::Format::Text,
            LogFormat::Json => gridmart_fabric::telemetry::Format::Json,
        };
        gridmart_fabric::telemetry::init(format, &self.log_level)
            .map_err(|error| Failure::Usage(format!("--log-level: {error}")))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKER_THREADS)
            .enable_all()
            .build()
            .context("the runtime cannot be started")?;
        let result = runtime.block_on(until_told(role));
        runtime.shutdown_timeout(BLOCKING_MAX);
        result
    }
}

/// Lets this process have as many files open as it may: its doors take what
/// connections the limit allows. Not for Hosts, whose programs would inherit it.
pub(crate) fn open_files_raise() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        // The doors make do with what there is, and say so.
        tracing::debug!(%error, "the limit of open files stays");
    }
}

/// Asks the kernel for SIGTERM when the parent dies, however it dies.
pub(crate) fn follow_parent(parent: Option<i32>) -> Result<(), Failure> {
    let Some(parent) = parent else { return Ok(()) };
    prctl::set_pdeathsig(Signal::SIGTERM).context("the parent's death cannot be watched")?;
    // It may have died before the kernel was asked.
    if getppid().as_raw() == parent {
        Ok(())
    } else {
        Err(Failure::local(format!(
            "the process {parent} that started this one is gone"
        )))
    }
}

async fn until_told<F, E>(role: impl FnOnce(CancellationToken) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let shutdown = CancellationToken::new();
    let running = role(shutdown.clone());
    tokio::pin!(running);
    tokio::select! {
        result = &mut running => return result.map_err(|error| anyhow::Error::from(error).into()),
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("told to end");
    shutdown.cancel();
    match tokio::time::timeout(SHUTDOWN_MAX, running).await {
        Ok(result) => result.map_err(|error| anyhow::Error::from(error).into()),
        Err(_) => Err(Failure::local(format!(
            "the role did not end within {} s",
            SHUTDOWN_MAX.as_secs()
        ))),
    }
}

/// Reads a settings file; absent, every setting is.
fn read_settings<T: DeserializeOwned + Default>(path: Option<&Path>) -> Result<T, Failure> {
    let Some(path) = path else {
        return Ok(T::default());
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the settings file {} cannot be read", path.display()))?;
    toml::from_str(&text).map_err(|error| {
        Failure::Usage(format!(
            "{} is not a settings file of this role:\n{error}",
            path.display()
        ))
    })
}

/// Takes a setting that has no default.
fn required<T>(value: Option<T>, flag: &str) -> Result<T, Failure> {
    value.ok_or_else(|| {
        Failure::Usage(format!(
            "--{flag} is needed, as a flag or in the settings file"
        ))
    })
}

/// The secret of a join token: its `Debug` shows nothing.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct JoinToken(String);

impl JoinToken {
    /// Takes what was typed; whether it is a token, the role tells.
    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("the token is empty".to_owned())
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinToken(…)")
    }
}

/// Takes the join token from where it was given: as a value or as a file.
fn join_token(value: Option<JoinToken>, file: Option<&Path>) -> Result<Option<String>, Failure> {
    match (value, file) {
        (Some(_), Some(_)) => Err(Failure::Usage(
            "give the join token as a value or as a file, not both".to_owned(),
        )),
        (Some(token), None) => Ok(Some(token.0)),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).with_context(|| {
                format!("the join token file {} cannot be read", path.display())
            })?;
            Ok(Some(text.trim().to_owned()))
        }
        (None, None) => Ok(None),
    }
}

/// Gives `$XDG_DATA_HOME/gridmart`, where things are kept that no flag places.
pub(crate) fn data_home() -> PathBuf {
    std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".local/share")))
        .unwrap_or_else(|| PathBuf::from("."))
        .join("gridmart")
}
