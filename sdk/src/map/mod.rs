//! One application over many parts: split, run, merge.
//!
//! A map's state is on this machine's disk (`job`, `parts`, `results`), so that
//! it can go on after an interruption. Which part runs where is decided by
//! `core`, a state machine without I/O; `engine` talks to the Hosts.

mod attempt;
pub mod core;
mod disk;
mod engine;
mod input;
mod job;
mod output;
mod parts;
mod report;
mod results;
mod run;
mod seat;
mod steps;

use std::{fmt, path::PathBuf, sync::Arc};

use bytes::Bytes;
use gridmart_schemas::{id::JobId, wire::staging::StagedFile};

pub use input::MapInput;
pub use report::{FailedPart, HostShare, JobSelect, MapProgress, MapReport, MapResult, MapStage};

use crate::{client::Client, error::Error};
use input::Given;
use job::{Job, JobFolder, JobPlan, find, jobs_folder};

/// Slots that are asked for, if nothing else is said: as many as there are.
const SLOTS_DEFAULT: u32 = 1024;

type OnProgress = Arc<dyn Fn(&MapProgress) + Send + Sync>;

/// Describes a map.
#[must_use = "nothing happens before `run`"]
pub struct MapBuilder {
    client: Client,
    plan: JobPlan,
    given: Given,
    /// A map that is on disk already.
    resumed: Option<Resumed>,
    jobs: Option<PathBuf>,
    progress: OnProgress,
}

struct Resumed {
    job: JobId,
    failed_only: bool,
}

impl fmt::Debug for MapBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapBuilder")
            .field("plan", &self.plan)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

impl MapBuilder {
    pub(crate) fn new(client: Client, application: String) -> Self {
        Self {
            jobs: client.jobs_folder(),
            client,
            plan: JobPlan {
                application,
                slots: SLOTS_DEFAULT,
                ..JobPlan::default()
            },
            given: Given::Nothing,
            resumed: None,
            progress: Arc::new(|_| ()),
        }
    }

    pub(crate) async fn resumed(
        client: Client,
        select: JobSelect,
        failed_only: bool,
    ) -> Result<Self, Error> {
        let jobs = jobs_folder(client.jobs_folder())?;
        let (job, plan) = tokio::task::spawn_blocking(move || {
            let id = find(&jobs, select)?;
            let (_, job): (JobFolder, Job) = JobFolder::open(&jobs, id)?;
            Ok::<_, Error>((id, job.plan))
        })
        .await
        .map_err(|e| Error::Invalid(format!("reading the map was interrupted: {e}")))??;
        let fresh = Self::new(client, plan.application.clone());
        Ok(Self {
            plan,
            resumed: Some(Resumed { job, failed_only }),
            ..fresh
        })
    }

    /// Adds an argument to the command that runs on each part.
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.plan.arguments.push(argument.into());
        self
    }

    /// Adds arguments to the command that runs on each part.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.plan
            .arguments
            .extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds an argument to the split command.
    pub fn split_arg(mut self, argument: impl Into<String>) -> Self {
        self.plan.split_arguments.push(argument.into());
        self
    }

    /// Adds arguments to the split command.
    pub fn split_args(mut self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.plan
            .split_arguments
            .extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds an argument to the merge command.
    pub fn merge_arg(mut self, argument: impl Into<String>) -> Self {
        self.plan.merge_arguments.push(argument.into());
        self
    }

    /// Adds arguments to the merge command.
    pub fn merge_args(mut self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.plan
            .merge_arguments
            .extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the environment, for all steps.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.plan.environment.insert(name.into(), value.into());
        self
    }

    /// Adds a need over and above the application's.
    pub fn need(mut self, need: impl Into<String>) -> Self {
        self.plan.needs.push(need.into());
        self
    }

    /// Adds needs.
    pub fn needs(mut self, needs: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.plan.needs.extend(needs.into_iter().map(Into::into));
        self
    }

    /// Has each part's Host bring an object into the part's work folder, as
    /// [`CallBuilder::stage_in`](crate::CallBuilder::stage_in) does. Split and
    /// merge take no files of buckets.
    pub fn stage_in(mut self, input: StagedFile) -> Self {
        self.plan.staged.inputs.push(input);
        self
    }

    /// Has each part's Host store a file that the part leaves, as
    /// [`CallBuilder::stage_out`](crate::CallBuilder::stage_out) does: `{part}`
    /// in the key is the part's number, from 0, and has to be there.
    pub fn stage_out(mut self, output: StagedFile) -> Self {
        self.plan.staged.outputs.push(output);
        self
    }

    /// Gives an input; the application's split command makes parts of it.
    pub fn input(mut self, input: impl Into<MapInput>) -> Self {
        self.given = Given::Input(input.into());
        self
    }

    /// Gives ready-made parts.
    pub fn parts<I>(mut self, parts: I) -> Self
    where
        I: IntoIterator<Item = Bytes>,
        I::IntoIter: Send + 'static,
    {
        self.given = Given::Parts(Box::new(parts.into_iter()));
        self
    }

    /// Gives a file whose lines, JSON each, are parts.
    pub fn inputs_jsonl(mut self, path: impl Into<PathBuf>) -> Self {
        self.given = Given::Lines(path.into());
        self
    }

    /// Gives a folder whose files are parts, in the order of their names.
    pub fn inputs_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.given = Given::Folder(path.into());
        self
    }

    /// Uses at most so many Hosts.
    pub fn hosts(mut self, max: u32) -> Self {
        self.plan.hosts_max = Some(max.max(1));
        self
    }

    /// Uses at most so many slots.
    pub fn slots(mut self, max: u32) -> Self {
        self.plan.slots = max.max(1);
        self
    }

    /// As [`CallBuilder::priority`](crate::CallBuilder::priority), for all that
    /// the map runs.
    pub fn priority(mut self, priority: i32) -> Self {
        self.plan.priority = priority;
        self
    }

    /// Says whether parts may run more than once, whatever the application
    /// says of itself.
    pub fn retry(mut self, allowed: bool) -> Self {
        self.plan.retry = Some(allowed);
        self
    }

    /// Is told how far the map is, some times a second. Must not wait.
    pub fn on_progress(mut self, told: impl Fn(&MapProgress) + Send + Sync + 'static) -> Self {
        self.progress = Arc::new(told);
        self
    }

    /// Keeps the state of this map below another folder.
    pub fn job_dir(mut self, jobs: impl Into<PathBuf>) -> Self {
        self.jobs = Some(jobs.into());
        self
    }

    /// Runs the map to its end. Dropping the future stops it; what is done
    /// stays done, and [`Apps::map_resume`](crate::Apps::map_resume) goes on.
    pub async fn run(self) -> Result<MapResult, Error> {
        self.plan.staged.check_for_map()?;
        run::run(self).await
    }
}
