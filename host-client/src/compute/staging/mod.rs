//! The files that calls take from buckets and leave in them.
//!
//! They go straight between this Host and the storage Hosts, by the SDK's own
//! transfers: verified block by block, rebuilt where blocks are lost, in bounded
//! memory. What a call may is what its caller may: `desk` asks the caller for
//! tickets. Each lease has a TLS key and connections of its own, since a lease
//! is for one person's program.
//!
//! Invariants: no program starts before all of its inputs are whole and in
//! place, and its outputs may be put; nothing is stored of a program that did
//! not end well; an object is there whole or not at all; of what a program
//! leaves only regular files of its own work folder are opened (`place`).

mod desk;
mod error;
mod place;

use std::{path::Path, sync::Arc};

use gridmart_fabric::{identity::EphemeralKey, tls::ClientTls};
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::staging::{Staged, StagedFile},
};
use gridmart_sdk::{DelegatedStorage, Error, ObjectReader, TransferMemory};
use parking_lot::Mutex;
use tokio::{
    fs::File,
    io::{AsyncWriteExt as _, BufWriter},
};
use tokio_util::task::TaskTracker;

use self::place::WorkFolder;
pub(crate) use self::{desk::AccessDesk, error::StagingError};
use super::{call::Moved, limits::Limits, room, runner::protocol::ProcessLimit};

/// Bytes that are written at a time.
const WRITE_BYTES: usize = 1024 * 1024;
/// The room on the disk is looked at each time so many bytes more were written.
const LOOK_BYTES: u64 = 16 * 1024 * 1024;

/// What a lease needs to move files.
pub(crate) struct Staging {
    pub(crate) desk: Arc<AccessDesk>,
    tls: ClientTls,
    memory: TransferMemory,
    tasks: TaskTracker,
    /// Made with the first file.
    transfers: Mutex<Option<DelegatedStorage>>,
}

impl Staging {
    pub(crate) fn new(tls: ClientTls, memory: TransferMemory, tasks: TaskTracker) -> Self {
        Self {
            desk: Arc::default(),
            tls,
            memory,
            tasks,
            transfers: Mutex::default(),
        }
    }

    fn transfers(&self) -> Result<DelegatedStorage, Error> {
        let mut transfers = self.transfers.lock();
        if let Some(transfers) = &*transfers {
            return Ok(transfers.clone());
        }
        let unusable = |error: &dyn std::fmt::Display| {
            let detail = format!("The Host cannot make a key to move files with: {error}.");
            Error::from(Problem::new(Code::Internal, detail))
        };
        let key = EphemeralKey::generate().map_err(|error| unusable(&error))?;
        let tls = self
            .tls
            .as_program(&key)
            .map_err(|error| unusable(&error))?;
        let source: Arc<AccessDesk> = Arc::clone(&self.desk);
        let memory = self.memory.clone();
        let made = DelegatedStorage::new(source, &key, &tls, memory, self.tasks.clone());
        Ok(transfers.insert(made).clone())
    }

    /// Brings a call's inputs into its work folder, once it is known that its
    /// outputs may be put. Dropping this ends it.
    pub(crate) async fn bring(
        &self,
        staged: &Staged,
        work: &Path,
        limits: &Limits,
        moved: &Moved,
    ) -> Result<(), StagingError> {
        for output in &staged.outputs {
            let failed = |error| StagingError::output(output, &error);
            let transfers = self.transfers().map_err(failed)?;
            let judged = transfers.may_put(&output.bucket, &output.key).await;
            judged.map_err(failed)?;
        }
        let mut inputs = Vec::with_capacity(staged.inputs.len());
        for input in &staged.inputs {
            let failed = |error| StagingError::input(input, &error);
            let transfers = self.transfers().map_err(failed)?;
            let opened = transfers.open(&input.bucket, &input.key).await;
            inputs.push((input, opened.map_err(failed)?));
        }
        let sizes = inputs.iter().map(|(input, reader)| (*input, reader.left()));
        fits(sizes, work, limits)?;
        for (input, reader) in inputs {
            brought(input, reader, work, moved).await?;
        }
        Ok(())
    }

    /// Stores what a call's program has left. Dropping this ends it.
    pub(crate) async fn store(
        &self,
        staged: &Staged,
        work: &Path,
        moved: &Moved,
    ) -> Result<(), StagingError> {
        // All of them, before the first is stored.
        let mut left = Vec::with_capacity(staged.outputs.len());
        for output in &staged.outputs {
            let opened = WorkFolder::open(work)
                .map_err(place::LeftError::System)
                .and_then(|folder| folder.open_left(&output.path));
            let (file, bytes) = opened.map_err(|error| StagingError::left(output, &error))?;
            left.push((output, file, bytes));
        }
        for (output, file, bytes) in left {
            let failed = |error| StagingError::output(output, &error);
            let transfers = self.transfers().map_err(failed)?;
            let put = transfers.put(&output.bucket, &output.key, File::from_std(file), bytes);
            put.await.map_err(failed)?;
            moved.add_out(bytes);
        }
        Ok(())
    }
}

/// Refuses inputs for which there is no room, or that a file of the application
/// may not be as long as.
fn fits<'a>(
    sizes: impl Iterator<Item = (&'a StagedFile, u64)>,
    work: &Path,
    limits: &Limits,
) -> Result<(), StagingError> {
    let mut file_limits = limits.processes.iter();
    let most = file_limits.find(|(limit, _)| *limit == ProcessLimit::FileSize);
    let mut total = 0u64;
    for (input, bytes) in sizes {
        if let Some((_, most)) = most
            && bytes > *most
        {
            return Err(StagingError::file_size(input, bytes, *most));
        }
        total = total.saturating_add(bytes);
    }
    if room::takes(work, total) {
        Ok(())
    } else {
        Err(StagingError::room(total))
    }
}

async fn brought(
    input: &StagedFile,
    mut reader: ObjectReader,
    work: &Path,
    moved: &Moved,
) -> Result<(), StagingError> {
    let refused = |error: std::io::Error| StagingError::work_folder(input, &error);
    let made = WorkFolder::open(work).and_then(|folder| folder.create(&input.path));
    let file = File::from_std(made.map_err(refused)?);
    let mut file = BufWriter::with_capacity(WRITE_BYTES, file);
    let mut unlooked = 0;
    while let Some(piece) = reader
        .next()
        .await
        .map_err(|error| StagingError::input(input, &error))?
    {
        let bytes = piece.len() as u64;
        unlooked += bytes;
        if unlooked >= LOOK_BYTES {
            unlooked = 0;
            // Others write as well.
            if !room::takes(work, bytes) {
                return Err(StagingError::room(reader.object().size));
            }
        }
        file.write_all(&piece).await.map_err(refused)?;
        moved.add_in(bytes);
    }
    file.flush().await.map_err(refused)
}
