//! Transfers: object bytes on their way into the Element, out of it or within
//! it; how people see them, end them, and read of them afterwards.
//!
//! `register` decides, as a plain state, what is under way and how it ends;
//! `running` counts and ends what goes through the Element itself; `killed` is
//! what of kills has to outlive the Element; `records` sends on what has ended;
//! `control` answers the controller and tells Hosts.
//!
//! Records are written a second's worth at a time: a crash loses those of the
//! last second, and those of what was under way.

mod control;
mod killed;
mod present;
mod records;
mod register;
mod running;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use gridmart_fabric::disk::RealDisk;
use gridmart_schemas::{
    id::{BucketId, NodeId, PersonName, StripeId, TransferId},
    problem::{Code, Problem},
    role::Desired,
    wire::{
        desired::Wish,
        record::CallState,
        transfer::{
            TransferDirection, TransferDoor, TransferMark, TransferOver, TransferRecord,
            TransferSubject,
        },
    },
};
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use self::{
    killed::Killed,
    present::{ended, finished},
    register::Register,
};
pub(super) use self::{
    present::{Ends, StreamNumber, Word},
    records::keep_records,
    running::Running,
};
use super::{metadata::Bucket, pool::Pool};
use crate::element::record::outbox::Outbox;

/// Where killed transfers are kept.
const KILLED_FILE: &str = "killed-transfers.json";

/// See the module.
pub(super) struct Transfers {
    element: NodeId,
    pool: Arc<Mutex<Pool>>,
    register: Mutex<Register>,
    outbox: Outbox<TransferRecord>,
    streams: AtomicU64,
    killed_path: PathBuf,
    /// One write of that file at a time, so that the newest is the last.
    killed_writing: Mutex<()>,
}

/// What is to be moved.
#[derive(Clone, Debug)]
pub(super) struct Cargo {
    pub(super) owner: Option<PersonName>,
    pub(super) bucket: BucketId,
    pub(super) bucket_name: String,
    pub(super) key: Option<String>,
    pub(super) direction: TransferDirection,
}

impl Cargo {
    /// Of an object in a bucket.
    pub(super) fn new(
        owner: Option<&PersonName>,
        bucket: &Bucket,
        key: &str,
        direction: TransferDirection,
    ) -> Self {
        Self {
            owner: owner.cloned(),
            bucket: bucket.id,
            bucket_name: bucket.name.to_string(),
            key: Some(key.to_owned()),
            direction,
        }
    }
}

impl Transfers {
    /// With those that were killed before the Element ended; blocks.
    pub(super) fn open(
        element: NodeId,
        pool: Arc<Mutex<Pool>>,
        folder: &Path,
    ) -> std::io::Result<Arc<Self>> {
        let killed_path = folder.join(KILLED_FILE);
        let killed = Killed::read(&RealDisk, &killed_path)?;
        Ok(Arc::new(Self {
            element,
            pool,
            register: Mutex::new(Register::new(killed)),
            outbox: Outbox::new("transfers"),
            streams: AtomicU64::default(),
            killed_path,
            killed_writing: Mutex::default(),
        }))
    }

    /// What should be; asked with the register locked, so that nothing begins
    /// between a kill and its sweep.
    fn wish(&self) -> Wish {
        self.pool.lock().wish()
    }

    fn subject(&self, id: TransferId, cargo: Cargo, door: TransferDoor) -> TransferSubject {
        let Cargo {
            owner,
            bucket,
            bucket_name,
            key,
            direction,
        } = cargo;
        TransferSubject {
            transfer: id,
            owner,
            element: self.element,
            bucket,
            bucket_name,
            key,
            direction,
            door,
            started: OffsetDateTime::now_utc(),
        }
    }

    /// Whether the Element is stopped.
    pub(super) fn is_stopped(&self) -> bool {
        self.wish().desired != Desired::Production
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.register.lock().is_idle()
    }

    // === Requests that the Element serves ===

    /// Begins one. `connection`: ended with it, where an answer is on its way
    /// before all bytes are.
    pub(super) fn begin(
        self: &Arc<Self>,
        id: TransferId,
        cargo: Cargo,
        door: TransferDoor,
        total: Option<u64>,
        connection: Option<CancellationToken>,
    ) -> Result<Arc<Running>, Problem> {
        let ends = Ends {
            work: CancellationToken::new(),
            connection,
        };
        let subject = self.subject(id, cargo, door);
        let mut register = self.register.lock();
        let bytes = register.on_request(subject, total, ends.clone(), self.wish())?;
        Ok(Arc::new(Running::new(
            Arc::clone(self),
            id,
            bytes,
            ends.work,
        )))
    }

    // === Programs ===

    /// Numbers a stream of a program.
    pub(super) fn stream(&self) -> StreamNumber {
        self.streams.fetch_add(1, Ordering::Relaxed)
    }

    /// A stream of a program has ended.
    pub(super) fn on_stream_lost(&self, stream: StreamNumber) {
        self.register.lock().on_stream_lost(stream, Instant::now());
    }

    /// A program begins a transfer, or goes on with one.
    pub(super) fn on_word(
        &self,
        cargo: Cargo,
        mark: Option<TransferMark>,
        fill: impl FnOnce(&mut Word),
    ) -> Result<TransferMark, Problem> {
        let mut word = Word {
            subject: self.subject(TransferId::generate(), cargo, TransferDoor::Sdk),
            mark,
            version: None,
            upload: None,
            stream: 0,
            is_named: mark.is_some(),
        };
        fill(&mut word);
        let mut register = self.register.lock();
        register.on_word(word, self.wish(), Instant::now())
    }

    /// Refuses what was killed, before anything else is looked at: who goes on
    /// with it should hear just that.
    pub(super) fn check(&self, mark: Option<&TransferMark>) -> Result<(), Problem> {
        let Some(mark) = mark else { return Ok(()) };
        let register = self.register.lock();
        register.killed.check(Some(mark.transfer), None)?;
        if mark.cut < self.wish().cut_epoch {
            return Err(Problem::new(
                Code::Terminated,
                "The transfer was killed with its Element.",
            ));
        }
        Ok(())
    }

    /// Whether a stopped Element lets it go on.
    pub(super) fn is_present(&self, mark: Option<&TransferMark>) -> bool {
        mark.is_some_and(|mark| self.register.lock().has(mark.transfer))
    }

    /// A put has been given places.
    pub(super) fn on_planned(
        &self,
        mark: TransferMark,
        bytes: u64,
        planned: impl Iterator<Item = (StripeId, Vec<NodeId>)>,
    ) {
        let mut register = self.register.lock();
        register.on_planned(mark.transfer, bytes, planned);
    }

    /// A get that reads on from a byte has been told the places up to another
    /// one, of those up to the last.
    pub(super) fn on_reached(&self, mark: TransferMark, from: u64, to: (u64, u64)) {
        self.register.lock().on_reached(mark.transfer, from, to);
    }

    /// Bytes of it so far.
    pub(super) fn bytes(&self, mark: TransferMark) -> u64 {
        self.register.lock().bytes(mark.transfer)
    }

    /// A part of a put is the metadata's.
    pub(super) fn on_part(&self, mark: TransferMark, stripes: &[StripeId]) {
        self.register.lock().on_part(mark.transfer, stripes);
    }

    /// It is about to be shown.
    pub(super) fn on_committing(&self, id: TransferId) -> Result<(), Problem> {
        self.register.lock().on_committing(id)
    }

    /// What became of showing a put: the object's bytes, or why not.
    pub(super) fn on_commit<T>(&self, mark: TransferMark, done: &Result<T, Problem>, bytes: u64) {
        let id = mark.transfer;
        match done {
            Ok(_) => {
                // An upload that was gone on with has bytes of before.
                self.end(id, Some(bytes), finished());
            }
            Err(problem) => {
                let mut register = self.register.lock();
                register.on_not_committed(id);
                if !is_refusal(problem.code) {
                    register.on_doubt(id);
                }
            }
        }
    }

    /// A program says that it needs no more of it.
    pub(super) fn on_over(&self, stream: StreamNumber, over: &TransferOver) {
        let TransferOver { mark, bytes, code } = over;
        let end = match code {
            None => finished(),
            Some(Code::Terminated) => ended(Code::Terminated, "its program gave it up".to_owned()),
            Some(code) => ended(*code, "it failed for its program".to_owned()),
        };
        let record = {
            let mut register = self.register.lock();
            register.on_over(mark.transfer, stream, *bytes, end)
        };
        self.outbox.put(record);
    }

    fn end(
        &self,
        id: TransferId,
        bytes: Option<u64>,
        end: gridmart_schemas::wire::transfer::TransferEnd,
    ) {
        debug_assert!(end.state != CallState::Running);
        let record = self.register.lock().on_end(id, bytes, end);
        self.outbox.put(record);
    }

    // === The Element ===

    /// Other things should be.
    pub(super) fn on_desired(&self) {
        let cut = {
            let mut register = self.register.lock();
            let wish = self.wish();
            register.end_cut(wish)
        };
        if !cut.is_empty() {
            tracing::info!(transfers = cut.len(), "transfers were ended by a kill");
        }
        self.outbox.put(cut);
    }

    /// A second has passed.
    pub(super) fn on_tick(&self) {
        let gone = self.register.lock().on_tick(Instant::now());
        self.outbox.put(gone);
    }

    /// The Element goes down.
    fn end_all(&self) {
        let all = self.register.lock().end_all();
        self.outbox.put(all);
    }
}

/// Whether a change that failed so was certainly not made.
const fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::StorageDegraded
            | Code::Busy
            | Code::PreconditionFailed
            | Code::LimitExceeded
            | Code::NotFound
            | Code::Retained
            | Code::InvalidRequest
            | Code::TooLarge
    )
}
