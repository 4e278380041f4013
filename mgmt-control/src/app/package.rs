//! The shelf of application packages: files named by their content hash.
//!
//! Invariants: a file under its final name is whole, hashed and synced; a
//! package is inspected before it gets that name; what a crash left half is
//! removed at the next start.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use gridmart_fabric::{
    fault::FaultPoint,
    package::{self, Inspection, PackageLimits},
};
use gridmart_schemas::{
    id::Digest,
    problem::{Code, Problem},
};
use tokio::{
    io::AsyncWriteExt as _,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use uuid::Uuid;

use crate::failure::Failure;

/// Uploads at a time; more wait, and then are told to try again.
const UPLOADS_MAX: usize = 4;
/// How long an upload may wait for its turn.
const TURN_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long nothing may come of an upload.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// Folder of packages that are not whole yet.
const INCOMING: &str = "incoming";

/// The folder of packages.
pub struct PackageShelf {
    folder: PathBuf,
    limits: PackageLimits,
    turns: Arc<Semaphore>,
}

/// A package that has arrived and was inspected, not on the shelf yet.
pub struct Arrived {
    file: Incoming,
    /// Its content hash.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// What is in it.
    pub inspection: Inspection,
    _turn: OwnedSemaphorePermit,
}

/// A file that is removed unless it is placed.
struct Incoming(Option<PathBuf>);

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // What stays is removed at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl PackageShelf {
    /// Opens the shelf; removes what a crash left half, and what the catalogue
    /// does not know.
    pub fn open(folder: PathBuf, bytes_max: u64, known: &BTreeSet<String>) -> io::Result<Self> {
        let incoming = folder.join(INCOMING);
        std::fs::create_dir_all(&incoming)?;
        for entry in std::fs::read_dir(&incoming)? {
            std::fs::remove_file(entry?.path())?;
        }
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let kept = name.to_str().is_some_and(|name| known.contains(name));
            if entry.file_type()?.is_file() && !kept {
                tracing::info!(package = ?name, "a package that the catalogue does not know is removed");
                std::fs::remove_file(entry.path())?;
            }
        }
        let limits = PackageLimits {
            archive_bytes_max: bytes_max,
            ..PackageLimits::default()
        };
        Ok(Self {
            folder,
            limits,
            turns: Arc::new(Semaphore::new(UPLOADS_MAX)),
        })
    }

    /// Where a package is, or will be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }

    /// Takes a package as it comes, hashing it on the way, and inspects it.
    pub async fn receive<S, E>(&self, stream: S) -> Result<Arrived, Failure>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: std::fmt::Display,
    {
        let turn = tokio::time::timeout(TURN_WAIT_MAX, Arc::clone(&self.turns).acquire_owned())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| {
                Problem::new(Code::Busy, "Other uploads take all the controller's turns.")
            })?;
        let path = self.folder.join(INCOMING).join(Uuid::now_v7().to_string());
        let file = Incoming(Some(path.clone()));
        let (digest, size) = self.write(&path, stream).await?;
        let limits = self.limits;
        let inspected = tokio::task::spawn_blocking(move || {
            let file =
                std::fs::File::open(&path).map_err(|error| disk("reading an upload", &error))?;
            package::inspect(io::BufReader::new(file), &limits)
                .map_err(|error| Failure::from(Problem::from(error)))
        });
        let inspection = inspected
            .await
            .map_err(|error| Failure::internal("inspecting a package", &error))??;
        Ok(Arrived {
            file,
            digest,
            size,
            inspection,
            _turn: turn,
        })
    }

    async fn write<S, E>(&self, path: &Path, mut stream: S) -> Result<(Digest, u64), Failure>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: std::fmt::Display,
    {
        let writing = |error: io::Error| disk("writing an upload", &error);
        let mut file = tokio::fs::File::create_new(path).await.map_err(writing)?;
        let mut hasher = blake3::Hasher::new();
        let mut size = 0u64;
        loop {
            let chunk = tokio::time::timeout(SILENCE_MAX, stream.next())
                .await
                .map_err(|_| {
                    Problem::new(Code::TimedOut, "Nothing came of the upload for a minute.")
                })?;
            let Some(chunk) = chunk else { break };
            let chunk = chunk.map_err(|error| {
                Problem::new(
                    Code::InvalidRequest,
                    format!("The upload was broken off: {error}."),
                )
            })?;
            size += chunk.len() as u64;
            if size > self.limits.archive_bytes_max {
                let limit = self.limits.archive_bytes_max;
                return Err(Problem::new(
                    Code::TooLarge,
                    format!("A package has {limit} bytes at most."),
                )
                .into());
            }
            hasher.update(&chunk);
            file.write_all(&chunk).await.map_err(writing)?;
        }
        file.flush().await.map_err(writing)?;
        file.sync_all().await.map_err(writing)?;
        Ok((Digest::from_blake3(*hasher.finalize().as_bytes()), size))
    }

    /// Puts an arrived package on the shelf, durably.
    pub async fn place(&self, mut arrived: Arrived) -> Result<(), Failure> {
        let to = self.path(&arrived.digest);
        let folder = self.folder.clone();
        let placed = tokio::task::spawn_blocking(move || -> io::Result<()> {
            if let Some(from) = arrived.file.0.take() {
                std::fs::rename(from, to)?;
            }
            std::fs::File::open(folder)?.sync_all()?;
            FaultPoint::PackagePlaced.pass()
        });
        placed
            .await
            .map_err(|error| Failure::internal("placing a package", &error))?
            .map_err(|error| disk("placing a package", &error))
    }
}

/// The disk's refusal; the cause is for the log.
fn disk(what: &'static str, error: &io::Error) -> Failure {
    tracing::error!(what, error = %error, "the package folder failed");
    Problem::new(
        Code::StorageFailed,
        "The controller's disk refuses the package.",
    )
    .into()
}
