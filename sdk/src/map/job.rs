//! The folder of a map: what it is, where it stands; one process at a time.
//!
//! ```text
//! <jobs>/<job id>/job.json   what is to be done, and how far it is
//!                 input      the input to split, unless it is a file of the user's
//!                 parts      all parts, one after the other
//!                 ends       where each ends: u64, little endian
//!                 results    outputs (see `results`)
//!                 failed.json  parts that failed for good in the last run
//!                 output     the result
//! ```

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use gridmart_fabric::disk::{RealDisk, Secrecy, durable_write};
use gridmart_schemas::{api::access::ApplicationAccess, id::JobId, wire::staging::Staged};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::report::{FailedPart, JobSelect};
use crate::error::Error;

/// A job.json over this size is not one.
const JOB_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A folder that is locked is tried again for so long.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
const LOCK_INTERVAL: Duration = Duration::from_millis(10);

/// What is to be done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct JobPlan {
    /// `NAME` or `NAME@VERSION`, as the user said.
    pub(crate) application: String,
    pub(crate) needs: Vec<String>,
    pub(crate) arguments: Vec<String>,
    pub(crate) split_arguments: Vec<String>,
    pub(crate) merge_arguments: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) hosts_max: Option<u32>,
    pub(crate) slots: u32,
    /// Absent in jobs of an older version.
    #[serde(default)]
    pub(crate) priority: i32,
    /// Overrides what the application says of itself.
    pub(crate) retry: Option<bool>,
    /// Of each part. Absent in jobs of an older version.
    #[serde(default)]
    pub(crate) staged: Staged,
}

/// Where the parts come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// They were collected before the map began.
    Parts,
    /// The split command makes them of this file.
    Split(PathBuf),
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobState {
    /// Parts are not complete yet.
    Collecting,
    /// So many parts; they run.
    Running { parts: u64 },
    /// The output is there.
    Done { parts: u64 },
}

/// What `job.json` says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) plan: JobPlan,
    pub(crate) source: Source,
    pub(crate) state: JobState,
    /// The version that was meant when it began: it stays the same to the end.
    pub(crate) application: Option<ApplicationAccess>,
}

/// The folder, locked for this process.
#[derive(Debug)]
pub(crate) struct JobFolder {
    path: PathBuf,
    _lock: File,
}

/// Tells where maps are kept.
pub(crate) fn jobs_folder(chosen: Option<PathBuf>) -> Result<PathBuf, Error> {
    let absolute = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    chosen
        .or_else(|| absolute("XDG_DATA_HOME").map(|home| home.join("gridmart/jobs")))
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share/gridmart/jobs")))
        .ok_or_else(|| {
            Error::Invalid(
                "neither XDG_DATA_HOME nor HOME is set: say where maps are to be kept".to_owned(),
            )
        })
}

/// Finds a map on this disk.
pub(crate) fn find(jobs: &Path, select: JobSelect) -> Result<JobId, Error> {
    let unknown = || Error::UnknownJob {
        job: select.to_string(),
        folder: jobs.display().to_string(),
    };
    match select {
        JobSelect::Id(id) if jobs.join(id.to_string()).join("job.json").is_file() => Ok(id),
        JobSelect::Id(_) => Err(unknown()),
        JobSelect::Last => {
            let entries = fs::read_dir(jobs).map_err(|_| unknown())?;
            let ids = entries
                .flatten()
                .filter(|entry| entry.path().join("job.json").is_file());
            // Ids sort by age.
            ids.filter_map(|entry| entry.file_name().to_str()?.parse::<JobId>().ok())
                .max()
                .ok_or_else(unknown)
        }
    }
}

impl JobFolder {
    /// Makes the folder of a new map.
    pub(crate) fn create(jobs: &Path, id: JobId) -> Result<Self, Error> {
        let path = jobs.join(id.to_string());
        fs::create_dir_all(&path).map_err(|e| Error::local("make the folder", &path, e))?;
        Self::lock(path, id)
    }

    /// Opens the folder of a map that is there.
    pub(crate) fn open(jobs: &Path, id: JobId) -> Result<(Self, Job), Error> {
        let folder = Self::lock(jobs.join(id.to_string()), id)?;
        let job = folder.read("job.json")?.ok_or_else(|| Error::UnknownJob {
            job: id.to_string(),
            folder: jobs.display().to_string(),
        })?;
        Ok((folder, job))
    }

    fn lock(path: PathBuf, id: JobId) -> Result<Self, Error> {
        let lock_path = path.join("lock");
        let lock = File::options().create(true).append(true).open(&lock_path);
        let lock = lock.map_err(|e| Error::local("open", &lock_path, e))?;
        let began = Instant::now();
        let mut locked = lock.try_lock();
        // A map of this process that was dropped just now is writing its last.
        while matches!(locked, Err(TryLockError::WouldBlock)) && began.elapsed() < LOCK_PATIENCE {
            std::thread::sleep(LOCK_INTERVAL);
            locked = lock.try_lock();
        }
        match locked {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::JobInUse(id)),
            Err(TryLockError::Error(error)) => Err(Error::local("lock", &lock_path, error)),
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes `job.json`, durably.
    pub(crate) fn save(&self, job: &Job) -> Result<(), Error> {
        self.write("job.json", job)
    }

    /// Remembers what failed, for `retry --failed`.
    pub(crate) fn save_failed(&self, failed: &[FailedPart]) -> Result<(), Error> {
        self.write("failed.json", &failed)
    }

    pub(crate) fn failed(&self) -> Result<Vec<FailedPart>, Error> {
        Ok(self.read("failed.json")?.unwrap_or_default())
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        let path = self.file(name);
        let text = serde_json::to_vec(value).map_err(|e| Error::local("write", &path, e.into()))?;
        durable_write(&RealDisk, &path, &text, Secrecy::Open)
            .map_err(|e| Error::local("write", &path, e))
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let path = self.file(name);
        let failed = |e: io::Error| Error::local("read", &path, e);
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(meta) if meta.len() > JOB_BYTES_MAX => {
                return Err(Error::Invalid(format!("{} is too large", path.display())));
            }
            Ok(_) => {}
        }
        let text = fs::read(&path).map_err(failed)?;
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|e| failed(e.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: JobId) -> Job {
        Job {
            id,
            plan: JobPlan::default(),
            source: Source::Parts,
            state: JobState::Collecting,
            application: None,
        }
    }

    #[test]
    fn last_means_the_newest_and_one_process_runs_it() {
        let jobs = tempfile::tempdir().unwrap();
        assert!(matches!(
            find(jobs.path(), JobSelect::Last),
            Err(Error::UnknownJob { .. })
        ));
        let (old, new) = (JobId::generate(), JobId::generate());
        for id in [new, old] {
            JobFolder::create(jobs.path(), id)
                .unwrap()
                .save(&job(id))
                .unwrap();
        }
        fs::create_dir(jobs.path().join("zzz")).unwrap();
        assert_eq!(find(jobs.path(), JobSelect::Last).unwrap(), new);
        assert_eq!(find(jobs.path(), old.into()).unwrap(), old);
        let (_held, read) = JobFolder::open(jobs.path(), old).unwrap();
        assert_eq!(read.id, old);
        assert!(matches!(JobFolder::open(jobs.path(), old), Err(Error::JobInUse(id)) if id == old));
    }
}
