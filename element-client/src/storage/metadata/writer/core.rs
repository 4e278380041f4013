//! What the writer does with a group of changes; all steps in order, on one
//! thread.
//!
//! A group that was given to replicas and is not committed here leaves records
//! behind that must never count. So the epoch is *spent*: before anybody is
//! answered, and before anything else is sent, a newer one is made durable here;
//! its records take the place of the others on every replica, and a start adopts
//! none of an older one.
//!
//! Before a writer sends its first record, enough of its Hosts have heard of its
//! epoch. So who rebuilds hears of it, and leaps over all that the writer has
//! sent: a record on a single Host that is away then never passes for a newer
//! one than what is acknowledged after the rebuild.

use std::sync::{Arc, atomic::Ordering};

use gridmart_fabric::{causes::with_causes, fault::FaultPoint};
use rusqlite::{Connection, Transaction, TransactionBehavior, ffi};

use super::{Committed, Progress, WriteError};
use crate::storage::metadata::{
    apply::{ApplyError, admit},
    moment::Moment,
    position::{Entry, Epoch, Position, WriterMark},
    record::{Change, Record},
    recovery::Recovered,
    replica::{Append, NotDurable, Replicas},
    store::{During as _, StoreError, query},
};

/// Bytes of records after which a group takes no further change.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The writer's state.
pub(in super::super) struct Core {
    connection: Connection,
    replicas: Arc<dyn Replicas>,
    mark: WriterMark,
    epoch: Epoch,
    last: Position,
    /// Times of records never go back while the writer runs.
    time: Moment,
    standing: Standing,
    progress: Arc<Progress>,
    pub(in super::super) steps: Steps,
}

/// Whether changes are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    /// Too few Hosts may have heard of the epoch.
    Unheard,
    Well,
    /// Replicas may have records that do not count.
    EpochSpent,
    /// A sync has failed: nobody knows what is on the disk.
    SyncFailed,
    Superseded(Epoch),
}

/// Where a crash may fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Step {
    /// Applied here, not sent.
    Applied,
    /// On the replicas, not committed.
    Replicated,
    /// Committed, nobody answered.
    Committed,
    /// Taken back, the epoch not raised.
    TakenBack,
    /// The epoch raised, nobody answered.
    EpochRaised,
}

/// Why a whole group failed.
enum GroupError {
    Store(StoreError),
    NotDurable(NotDurable),
}

impl From<StoreError> for GroupError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

type Results = Vec<Result<Committed, WriteError>>;

impl Core {
    pub(in super::super) fn new(
        connection: Connection,
        recovered: &Recovered,
        replicas: Arc<dyn Replicas>,
    ) -> Self {
        let progress = Arc::new(Progress::default());
        let number = recovered.epoch.number();
        progress.epoch.store(number, Ordering::Release);
        let sequence = recovered.position.sequence;
        progress.sequence.store(sequence, Ordering::Release);
        let core = Self {
            connection,
            replicas,
            mark: recovered.mark,
            epoch: recovered.epoch,
            last: recovered.position,
            time: Moment::default(),
            standing: Standing::Unheard,
            progress,
            steps: Steps::default(),
        };
        core.measure_log();
        core
    }

    /// What others see of it.
    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    fn measure_log(&self) {
        // A best effort: without it the log is cut later.
        if let Ok(bytes) = query::log_bytes(&self.connection) {
            self.progress.log_bytes.store(bytes, Ordering::Release);
        }
    }

    /// Makes changes together, as many as fit in a group but one at least; gives
    /// the answers to those.
    pub(in super::super) fn run(&mut self, changes: &[Change]) -> Results {
        let result = self
            .require_standing()
            .and_then(|()| self.make(changes).map_err(|error| self.on_failure(&error)));
        result.unwrap_or_else(|error| changes.iter().map(|_| Err(error.clone())).collect())
    }

    /// Brings all that the store has to as many replicas as are wanted, and a
    /// record of this epoch: with it, none of an older epoch comes back.
    pub(in super::super) fn assure(&mut self) -> Result<(), WriteError> {
        self.require_standing()?;
        if self.last.epoch != self.epoch {
            let begun = self.run(&[Change::EpochBegun]);
            return begun.into_iter().try_for_each(|result| result.map(drop));
        }
        self.reach()
    }

    /// Has enough Hosts hear of the epoch, and have all that the store has.
    fn reach(&mut self) -> Result<(), WriteError> {
        let append = Append {
            epoch: self.epoch,
            previous: self.last,
            entries: Vec::new(),
        };
        let reached = self.replicas.append(append);
        reached.map_err(|error| self.on_not_durable(&error))
    }

    /// Drops the log's beginning; never what was just written.
    pub(in super::super) fn log_cut(&mut self, through: u64) -> Result<(), WriteError> {
        query::log_cut(&self.connection, through.min(self.last.sequence))
            .map_err(|error| self.on_store_failure(&error))?;
        self.measure_log();
        Ok(())
    }

    fn require_standing(&mut self) -> Result<(), WriteError> {
        match &self.standing {
            Standing::Well => Ok(()),
            Standing::Unheard => {
                self.reach()?;
                self.standing = Standing::Well;
                Ok(())
            }
            Standing::EpochSpent => self.raise_epoch(),
            Standing::SyncFailed => Err(WriteError::Storage {
                why: "its disk has failed to sync; repair it, then start the Element again"
                    .to_owned(),
            }),
            Standing::Superseded(epoch) => Err(WriteError::Superseded {
                epoch: epoch.to_string(),
            }),
        }
    }

    fn raise_epoch(&mut self) -> Result<(), WriteError> {
        let epoch = self.epoch.next(self.mark);
        query::epoch_put(&self.connection, epoch).map_err(|error| self.on_store_failure(&error))?;
        self.epoch = epoch;
        self.progress.epoch.store(epoch.number(), Ordering::Release);
        self.standing = Standing::Well;
        self.steps.pass(Step::EpochRaised);
        Ok(())
    }

    /// Gives the answers to the changes that became durable, or were refused.
    fn make(&mut self, changes: &[Change]) -> Result<Results, GroupError> {
        self.time = self.time.max(Moment::now());
        let previous = self.last;
        let mut transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .during("begin")?;
        let mut group = Made {
            last: Position {
                epoch: self.epoch,
                sequence: previous.sequence,
            },
            time: self.time,
            results: Vec::with_capacity(changes.len()),
            entries: Vec::new(),
            bytes: 0,
            has_settings: false,
        };
        for change in changes {
            if group.bytes >= GROUP_BYTES_MAX {
                break;
            }
            group.execute(&mut transaction, change)?;
        }
        if group.entries.is_empty() {
            return Ok(group.results);
        }
        self.steps.pass(Step::Applied);
        // From here on the epoch is spent, unless the commit goes well.
        self.standing = Standing::EpochSpent;
        let append = Append {
            epoch: self.epoch,
            previous,
            entries: group.entries,
        };
        self.replicas
            .append(append)
            .map_err(GroupError::NotDurable)?;
        self.steps.pass(Step::Replicated);
        transaction.commit().during("commit")?;
        if group.has_settings {
            self.progress.settings.fetch_add(1, Ordering::AcqRel);
        }
        self.last = group.last;
        let sequence = group.last.sequence;
        self.progress.sequence.store(sequence, Ordering::Release);
        let bytes = group.bytes as u64;
        self.progress.log_bytes.fetch_add(bytes, Ordering::AcqRel);
        self.standing = Standing::Well;
        self.steps.pass(Step::Committed);
        Ok(group.results)
    }

    /// What everybody in a group that failed is told; the transaction is taken
    /// back by now.
    fn on_failure(&mut self, error: &GroupError) -> WriteError {
        match error {
            GroupError::Store(error) => {
                let told = self.on_store_failure(error);
                self.spend_epoch();
                told
            }
            GroupError::NotDurable(error) => {
                tracing::warn!(%error, "changes of the metadata were taken back");
                let told = self.on_not_durable(error);
                self.steps.pass(Step::TakenBack);
                self.spend_epoch();
                told
            }
        }
    }

    fn on_not_durable(&mut self, error: &NotDurable) -> WriteError {
        match error {
            NotDurable::Superseded { newest } => {
                tracing::error!(%newest, "another writer has taken over the metadata");
                self.standing = Standing::Superseded(*newest);
                WriteError::Superseded {
                    epoch: newest.to_string(),
                }
            }
            NotDurable::TooFew { .. } => WriteError::Degraded {
                why: error.to_string(),
            },
        }
    }

    /// Raises a spent epoch; if the disk refuses, it is tried with the next
    /// group.
    fn spend_epoch(&mut self) {
        if self.standing == Standing::EpochSpent
            && let Err(error) = self.raise_epoch()
        {
            tracing::error!(%error, "the epoch of the metadata cannot be raised");
        }
    }

    fn on_store_failure(&mut self, error: &StoreError) -> WriteError {
        let why = with_causes(error);
        tracing::error!(why, "the database of the metadata has failed");
        if is_failed_sync(error) {
            self.standing = Standing::SyncFailed;
        }
        WriteError::Storage { why }
    }
}

/// A group in the making.
struct Made {
    /// The last record, or the one before the first under the new epoch.
    last: Position,
    time: Moment,
    results: Results,
    entries: Vec<Entry>,
    bytes: usize,
    /// One of the changes is of a setting.
    has_settings: bool,
}

impl Made {
    /// Applies a change; one that is refused takes back nothing but itself.
    fn execute(
        &mut self,
        transaction: &mut Transaction<'_>,
        change: &Change,
    ) -> Result<(), StoreError> {
        let record = Record {
            time: self.time,
            change: change.clone(),
        };
        let encoded = match record.encode() {
            Ok(encoded) => encoded,
            Err(error) => {
                self.results.push(Err(error.into()));
                return Ok(());
            }
        };
        let position = Position {
            epoch: self.last.epoch,
            sequence: self.last.sequence + 1,
        };
        let entry = Entry {
            position,
            bytes: encoded.into(),
        };
        let savepoint = transaction.savepoint().during("savepoint")?;
        let result = match admit(&savepoint, &entry, &record) {
            Ok(applied) => {
                savepoint.commit().during("release")?;
                Ok(Committed {
                    applied,
                    position,
                    time: self.time,
                })
            }
            Err(ApplyError::Refused(refusal)) => {
                savepoint.finish().during("roll back")?;
                Err(refusal.into())
            }
            Err(ApplyError::Store(error)) => return Err(error),
        };
        require_standing(transaction)?;
        if result.is_ok() {
            self.bytes += entry.bytes.len();
            self.has_settings |= change.is_setting();
            self.entries.push(entry);
            self.last = position;
        }
        self.results.push(result);
        Ok(())
    }
}

/// A full disk, among other faults, makes SQLite take back the whole
/// transaction by itself.
fn require_standing(connection: &Connection) -> Result<(), StoreError> {
    if !connection.is_autocommit() {
        return Ok(());
    }
    let fault = ffi::Error::new(ffi::SQLITE_ABORT_ROLLBACK);
    Err(rusqlite::Error::SqliteFailure(fault, None)).during("a change of the group")
}

fn is_failed_sync(error: &StoreError) -> bool {
    let StoreError::Query {
        source: rusqlite::Error::SqliteFailure(error, _),
        ..
    } = error
    else {
        return false;
    };
    matches!(
        error.extended_code,
        ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC
    )
}

impl Step {
    /// Where a whole process can be made to die, if it is such a place.
    const fn fault_point(self) -> Option<FaultPoint> {
        match self {
            Self::Applied => Some(FaultPoint::MetadataApplied),
            Self::Replicated => Some(FaultPoint::MetadataReplicated),
            Self::Committed => Some(FaultPoint::MetadataCommitted),
            Self::TakenBack | Self::EpochRaised => None,
        }
    }
}

/// Where a kill is most dangerous; a test crashes there.
#[derive(Default)]
pub(in super::super) struct Steps {
    #[cfg(test)]
    pub(in super::super) crash: Option<Step>,
}

impl Steps {
    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "tests crash here"))]
    fn pass(&self, step: Step) {
        if let Some(point) = step.fault_point() {
            point.pass_or_die();
        }
        #[cfg(test)]
        if self.crash == Some(step) {
            // Without the hook's report: a test may crash a hundred times.
            std::panic::resume_unwind(Box::new(step));
        }
    }
}
