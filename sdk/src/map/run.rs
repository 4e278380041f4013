//! The course of a map: collect, split, run, merge; each step begins where an
//! interrupted one ended.

use std::{
    collections::HashSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_fabric::disk::RealDisk;
use gridmart_schemas::{
    api::access::ApplicationAccess,
    id::{CallId, JobId, RequestId},
    problem::Code,
    wire::call::{CallOpen, PartOf, Step},
};

use super::{
    MapBuilder, OnProgress, Resumed,
    core::{Core, Rules},
    disk::Disk,
    engine::{Engine, RunPlan, RunProgress, RunSummary},
    input::collect,
    job::{Job, JobFolder, JobState, Source, jobs_folder},
    parts::Parts,
    report::{MapProgress, MapReport, MapResult, MapStage},
    results::ResultsFile,
    steps,
};
use crate::{client::Client, error::Error, grid::Need};

/// Time for the disk to end what it was given, at the end.
const DISK_PATIENCE: Duration = Duration::from_mins(1);

struct Course {
    client: Client,
    folder: Arc<JobFolder>,
    job: Job,
    failed_only: bool,
    progress: OnProgress,
    began: Instant,
}

pub(super) async fn run(builder: MapBuilder) -> Result<MapResult, Error> {
    let mut course = Course::begin(builder).await?;
    let application = course.application().await?;
    let parts = match course.job.state {
        JobState::Collecting => course.split(&application).await?,
        JobState::Running { parts } | JobState::Done { parts } => parts,
    };
    let (summary, results) = course.run_parts(parts, &application).await?;
    let report = course.report(parts, summary);
    course.folder.save_failed(&report.failed)?;
    if !report.failed.is_empty() {
        return Err(Error::PartsFailed {
            report: Box::new(report),
        });
    }
    if report.done < parts {
        let missing = parts - report.done;
        return Err(Error::Invalid(format!(
            "{missing} parts of map {} have not run yet, since it was interrupted: resume it",
            course.job.id
        )));
    }
    course.merge(report, Arc::new(results)).await
}

impl Course {
    async fn begin(builder: MapBuilder) -> Result<Self, Error> {
        let MapBuilder {
            client,
            plan,
            given,
            resumed,
            jobs,
            progress,
        } = builder;
        let jobs = jobs_folder(jobs)?;
        let failed_only = resumed.as_ref().is_some_and(|resumed| resumed.failed_only);
        let id = resumed
            .as_ref()
            .map_or_else(JobId::generate, |resumed| resumed.job);
        let (folder, stored) = blocking(move || opened(&jobs, id, resumed.as_ref())).await?;
        let folder = Arc::new(folder);
        let job = if let Some(job) = stored {
            // Slots, Hosts and retry may be chosen anew.
            Job { plan, ..job }
        } else {
            let job = Job {
                id,
                plan,
                source: Source::Parts,
                state: JobState::Collecting,
                application: None,
            };
            tell(
                &progress,
                &job,
                MapStage::Splitting,
                None,
                RunProgress::default(),
            );
            let (source, parts) = collect(given, &folder).await?;
            let state = parts.map_or(JobState::Collecting, |parts| JobState::Running { parts });
            Job {
                source,
                state,
                ..job
            }
        };
        folder.save(&job)?;
        Ok(Self {
            client,
            folder,
            job,
            failed_only,
            progress,
            began: Instant::now(),
        })
    }

    /// Pins the version that is meant, so that a resumed map runs the same.
    async fn application(&mut self) -> Result<ApplicationAccess, Error> {
        if let Some(application) = &self.job.application {
            return Ok(application.clone());
        }
        let need = Need {
            application: self.job.plan.application.clone(),
            needs: self.job.plan.needs.clone(),
        };
        let application = self
            .client
            .grid()
            .await?
            .access(&need)
            .await?
            .application
            .clone();
        let needs_split = matches!(self.job.source, Source::Split(_));
        if needs_split && !application.has_split {
            return Err(Error::refused(
                Code::InvalidRequest,
                format!(
                    "{} {} declares no Split command: give ready-made parts",
                    application.name, application.version
                ),
            ));
        }
        self.job.application = Some(application.clone());
        self.folder.save(&self.job)?;
        Ok(application)
    }

    fn tell(&self, stage: MapStage, parts: Option<u64>, run: RunProgress) {
        tell(&self.progress, &self.job, stage, parts, run);
    }

    async fn split(&mut self, application: &ApplicationAccess) -> Result<u64, Error> {
        self.tell(MapStage::Splitting, None, RunProgress::default());
        let Source::Split(input) = self.job.source.clone() else {
            return Err(Error::Invalid(format!(
                "collecting the parts of map {} was interrupted: start a new one",
                self.job.id
            )));
        };
        tracing::debug!(job.id = %self.job.id, application = application.name, "splitting");
        let parts = steps::split(&self.client, &self.job, &self.folder, &input).await?;
        self.job.state = JobState::Running { parts };
        self.folder.save(&self.job)?;
        Ok(parts)
    }

    async fn run_parts(
        &self,
        total: u64,
        application: &ApplicationAccess,
    ) -> Result<(RunSummary, ResultsFile), Error> {
        let (parts, results) = self.data(total).await?;
        let wanted = self.wanted()?;
        let retryable = self.job.plan.retry.unwrap_or(application.retryable);
        let rules = Rules {
            attempts_max: application.attempts_max,
            retryable,
        };
        let core = Core::new(
            rules,
            parts.count(),
            |part| results.index().is_done(part),
            |part| {
                wanted
                    .as_ref()
                    .is_some_and(|wanted| !wanted.contains(&part))
            },
        );
        if core.is_complete() {
            let done = core.counts().done;
            return Ok((
                RunSummary {
                    done,
                    ..RunSummary::default()
                },
                results,
            ));
        }
        let failed = |e| Error::local("keep the results in", &self.folder.file("results"), e);
        let disk = Disk::start(Arc::clone(&self.folder), parts.clone(), results).map_err(failed)?;
        let told = |run: RunProgress| {
            let stage = if run.hosts == 0 && run.done == 0 {
                MapStage::Waiting
            } else {
                MapStage::Running
            };
            self.tell(stage, Some(total), run);
        };
        let grid = Arc::clone(self.client.grid().await?);
        let mut engine = Engine::new(grid, self.run_plan(), parts, core, disk, &told);
        let outcome = engine.run().await;
        // What was done is kept, and the folder let go, before anybody is told.
        let (summary, disk) = engine.into_parts();
        let finished = tokio::time::timeout(DISK_PATIENCE, disk.finish()).await;
        outcome?;
        let results = finished
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(failed)?;
        Ok((summary, results))
    }

    /// What is on disk: the parts, and the results so far.
    async fn data(&self, total: u64) -> Result<(Parts, ResultsFile), Error> {
        let folder = Arc::clone(&self.folder);
        blocking(move || {
            let (parts, results) = (folder.file("parts"), folder.file("results"));
            Ok((
                Parts::open(&parts, &folder.file("ends"), total)
                    .map_err(|e| Error::local("read", &parts, e))?,
                ResultsFile::open(&RealDisk, &results)
                    .map_err(|e| Error::local("read", &results, e))?,
            ))
        })
        .await
    }

    /// The only parts to be run; none: all that have no result.
    fn wanted(&self) -> Result<Option<HashSet<u64>>, Error> {
        if !self.failed_only {
            return Ok(None);
        }
        let failed = self.folder.failed()?;
        Ok(Some(failed.iter().map(|failed| failed.part).collect()))
    }

    fn run_plan(&self) -> RunPlan {
        let plan = &self.job.plan;
        let request = RequestId::generate();
        let open = CallOpen {
            call: CallId::generate(),
            arguments: plan.arguments.clone(),
            environment: plan.environment.clone(),
            step: Step::Run,
            part_of: Some(PartOf {
                job: self.job.id,
                part: None,
                attempt: 1,
            }),
            request: Some(request),
            wall_seconds_max: None,
            staged: plan.staged.clone(),
            resume: None,
        };
        RunPlan {
            job: self.job.id,
            need: Need {
                application: self.job.application_spec(),
                needs: plan.needs.clone(),
            },
            slots: plan.slots,
            hosts_max: plan.hosts_max,
            priority: plan.priority,
            request,
            open,
        }
    }

    fn report(&self, parts: u64, summary: RunSummary) -> MapReport {
        let mut hosts: Vec<_> = summary.shares.into_values().collect();
        for host in &mut hosts {
            // Sums of microseconds: the rest is noise of the addition.
            host.busy_seconds = (host.busy_seconds * 1e6).round() / 1e6;
        }
        hosts.sort_by(|a, b| b.parts.cmp(&a.parts).then_with(|| a.name.cmp(&b.name)));
        MapReport {
            job: self.job.id,
            parts,
            done: summary.done,
            failed: summary.failed.into_values().collect(),
            hosts,
            wall_seconds: (self.began.elapsed().as_secs_f64() * 1e6).round() / 1e6,
            attempts: summary.attempts,
        }
    }

    async fn merge(
        mut self,
        mut report: MapReport,
        results: Arc<ResultsFile>,
    ) -> Result<MapResult, Error> {
        let run = RunProgress {
            done: report.done,
            ..RunProgress::default()
        };
        let path = self.folder.file("output");
        let kept = tokio::fs::metadata(&path).await.ok();
        let bytes = if let (JobState::Done { .. }, Some(meta)) = (self.job.state, kept) {
            // Resumed after its end: the result is there.
            meta.len()
        } else {
            self.tell(MapStage::Merging, Some(report.parts), run);
            steps::merge(&self.client, &self.job, &self.folder, results, report.parts).await?
        };
        self.job.state = JobState::Done {
            parts: report.parts,
        };
        self.folder.save(&self.job)?;
        self.tell(MapStage::Done, Some(report.parts), run);
        report.wall_seconds = self.began.elapsed().as_secs_f64();
        Ok(MapResult {
            job: self.job.id,
            report,
            path,
            bytes,
        })
    }
}

impl Job {
    /// The very version, once it is known.
    pub(super) fn application_spec(&self) -> String {
        self.application.as_ref().map_or_else(
            || self.plan.application.clone(),
            |application| format!("{}@{}", application.name, application.version),
        )
    }
}

fn tell(progress: &OnProgress, job: &Job, stage: MapStage, parts: Option<u64>, run: RunProgress) {
    let RunProgress {
        done,
        failed,
        running,
        hosts,
        position,
    } = run;
    progress(&MapProgress {
        job: job.id,
        stage,
        parts,
        done,
        failed,
        running,
        hosts,
        position,
    });
}

fn opened(
    jobs: &Path,
    id: JobId,
    resumed: Option<&Resumed>,
) -> Result<(JobFolder, Option<Job>), Error> {
    match resumed {
        Some(_) => JobFolder::open(jobs, id).map(|(folder, job)| (folder, Some(job))),
        None => JobFolder::create(jobs, id).map(|folder| (folder, None)),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::Invalid(format!("reading the map was interrupted: {e}")))?
}
