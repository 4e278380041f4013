//! What a map tells: progress while it runs, a report when it has ended.

use std::{fmt, path::PathBuf, str::FromStr};

use bytes::Bytes;
use gridmart_schemas::{
    id::{IdError, JobId, NodeId},
    wire::record::CallEnd,
};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A result over this size is not read into memory whole.
const READ_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Which map on this disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobSelect {
    /// The newest: the word `last`.
    Last,
    /// This one.
    Id(JobId),
}

impl FromStr for JobSelect {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text == "last" {
            Ok(Self::Last)
        } else {
            text.parse().map(Self::Id)
        }
    }
}

impl From<JobId> for JobSelect {
    fn from(job: JobId) -> Self {
        Self::Id(job)
    }
}

impl fmt::Display for JobSelect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last => f.write_str("last"),
            Self::Id(job) => job.fmt(f),
        }
    }
}

/// What a map is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MapStage {
    /// Input is split, or parts are collected.
    Splitting,
    /// Waits for its first slot.
    Waiting,
    /// Parts run.
    Running,
    /// Outputs are merged.
    Merging,
    /// The result is there.
    Done,
}

/// How far a map has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MapProgress {
    /// Which map.
    pub job: JobId,
    /// What it is doing.
    pub stage: MapStage,
    /// Parts in all, once that is known.
    pub parts: Option<u64>,
    /// Parts whose result is there, those of an earlier run included.
    pub done: u64,
    /// Parts that failed for good.
    pub failed: u64,
    /// Parts on Hosts now.
    pub running: u64,
    /// Hosts that take parts now.
    pub hosts: u32,
    /// Place in the queue, while one waits.
    pub position: Option<u32>,
}

/// A part that failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedPart {
    /// Which, from 0.
    pub part: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// How its last attempt ended; absent: its Host was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<CallEnd>,
    /// The same in words.
    pub reason: String,
    /// The end of what its last attempt wrote to stderr.
    #[serde(default)]
    pub stderr: String,
}

/// What one Host did for a map, in this run of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostShare {
    /// Which Host.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Parts whose result came from it.
    pub parts: u64,
    /// Wall time of its attempts together, seconds.
    pub busy_seconds: f64,
}

/// What a run of a map has done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapReport {
    /// Which map.
    pub job: JobId,
    /// Parts in all.
    pub parts: u64,
    /// Parts whose result is there.
    pub done: u64,
    /// Parts that failed for good.
    pub failed: Vec<FailedPart>,
    /// By Host, most parts first.
    pub hosts: Vec<HostShare>,
    /// From start to end of this run, seconds.
    pub wall_seconds: f64,
    /// Attempts made in this run.
    pub attempts: u64,
}

/// A map's result.
#[derive(Clone, Debug)]
pub struct MapResult {
    /// Which map.
    pub job: JobId,
    /// What was done.
    pub report: MapReport,
    /// The file with what merge printed; without a merge, all outputs in part
    /// order.
    pub path: PathBuf,
    /// Bytes of it.
    pub bytes: u64,
}

impl MapResult {
    /// Opens the result.
    pub async fn open(&self) -> Result<tokio::fs::File, Error> {
        tokio::fs::File::open(&self.path)
            .await
            .map_err(|e| Error::local("read", &self.path, e))
    }

    /// Reads the whole result, if it is not larger than a gigabyte.
    pub async fn read(&self) -> Result<Bytes, Error> {
        if self.bytes > READ_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "the result has {} bytes: read it from {}",
                self.bytes,
                self.path.display()
            )));
        }
        let data = tokio::fs::read(&self.path)
            .await
            .map_err(|e| Error::local("read", &self.path, e))?;
        Ok(data.into())
    }
}
