//! Whether the store takes changes.
//!
//! A disk that is full or read-only may be well again by itself: each change is
//! tried, and a task tries one of its own. After a failed sync of the disk
//! nobody knows what of the last changes is on it, and a second sync that says
//! all is well may say so of what was lost: no change is taken any more until
//! the controller is started again and reads what is there.

use gridmart_schemas::problem::{Code, Problem};
use parking_lot::Mutex;
use rusqlite::{ErrorCode, ffi};

use crate::{failure::Failure, store::StoreError};

/// What is wrong with the store.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ailment {
    /// The disk refuses; it may pass.
    Refuses,
    /// A sync has failed; only a restart helps.
    SyncFailed,
}

/// What the last changes said of the store.
#[derive(Debug, Default)]
pub(super) struct StoreHealth(Mutex<Option<Ailment>>);

impl StoreHealth {
    /// A commit has gone well.
    pub(super) fn on_success(&self) {
        let mut ailment = self.0.lock();
        if *ailment == Some(Ailment::Refuses) {
            tracing::info!("the controller's database takes changes again");
            *ailment = None;
        }
    }

    /// A change has failed, or a group of them; not all of that is the disk's
    /// fault.
    pub(super) fn on_failure(&self, error: &StoreError) {
        let Some(found) = ailment_of(error) else {
            return;
        };
        let mut ailment = self.0.lock();
        if ailment.is_none() {
            tracing::error!(
                ailment = words(&found),
                "the controller's database takes no changes"
            );
        }
        if *ailment != Some(Ailment::SyncFailed) {
            *ailment = Some(found);
        }
    }

    /// Why no change is even tried, if none is.
    pub(super) fn closed(&self) -> Option<Failure> {
        let ailment = self.0.lock().clone();
        ailment
            .filter(|ailment| *ailment == Ailment::SyncFailed)
            .map(|ailment| problem(&ailment).into())
    }

    /// What is wrong, if anything is.
    pub(super) fn problem(&self) -> Option<Problem> {
        self.0.lock().as_ref().map(problem)
    }

    /// Whether a change may show that it is well again.
    pub(super) fn may_pass(&self) -> bool {
        *self.0.lock() == Some(Ailment::Refuses)
    }
}

fn problem(ailment: &Ailment) -> Problem {
    Problem::new(
        Code::StorageFailed,
        format!("The controller takes no changes: {}.", words(ailment)),
    )
}

const fn words(ailment: &Ailment) -> &'static str {
    match ailment {
        Ailment::Refuses => "its disk is full, read-only or fails",
        Ailment::SyncFailed => {
            "its disk has failed to sync; repair it, then start the controller again"
        }
    }
}

fn ailment_of(error: &StoreError) -> Option<Ailment> {
    let StoreError::Query {
        source: rusqlite::Error::SqliteFailure(error, _),
        ..
    } = error
    else {
        return None;
    };
    match (error.code, error.extended_code) {
        (_, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) => Some(Ailment::SyncFailed),
        // SQLite takes back a whole transaction by itself where its disk fails.
        (_, ffi::SQLITE_ABORT_ROLLBACK)
        | (
            ErrorCode::DiskFull
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen,
            _,
        ) => Some(Ailment::Refuses),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(extended: i32) -> StoreError {
        StoreError::Query {
            what: "commit",
            source: rusqlite::Error::SqliteFailure(ffi::Error::new(extended), None),
        }
    }

    #[test]
    fn a_full_disk_passes_and_a_failed_sync_does_not() {
        let health = StoreHealth::default();
        health.on_failure(&failed(ffi::SQLITE_CONSTRAINT));
        assert!(health.problem().is_none(), "that is not the disk's fault");
        health.on_failure(&failed(ffi::SQLITE_ABORT_ROLLBACK));
        assert!(health.may_pass() && health.closed().is_none());
        health.on_success();
        health.on_failure(&failed(ffi::SQLITE_FULL));
        assert!(health.may_pass() && health.closed().is_none());
        assert_eq!(health.problem().unwrap().code, Code::StorageFailed);
        health.on_success();
        assert!(health.problem().is_none());
        health.on_failure(&failed(ffi::SQLITE_IOERR_FSYNC));
        health.on_failure(&failed(ffi::SQLITE_FULL));
        health.on_success();
        assert_eq!(health.closed().unwrap().code(), Code::StorageFailed);
        assert!(!health.may_pass());
    }
}
