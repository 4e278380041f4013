//! What a ledger refuses, and why.

use std::{io, path::PathBuf, sync::Arc};

use gridmart_schemas::problem::{Code, Problem};

use super::Position;

/// Why a ledger did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// Somebody with a newer epoch was here.
    #[error(
        "epoch {offered} is older than {newest}, which this ledger has seen; another process of the Element has written meanwhile"
    )]
    StaleEpoch {
        /// The epoch of who asked.
        offered: u64,
        /// The newest one that was seen.
        newest: u64,
    },
    /// What should come before the records is not here.
    #[error(
        "the ledger does not have the record before these; send those after {there}, or a snapshot"
    )]
    Gap {
        /// Up to here it may agree with the sender.
        there: Position,
    },
    /// The records are only in the snapshot any more.
    #[error("the records up to {snapshot} are in the snapshot only; read it first")]
    InSnapshot {
        /// What the snapshot covers.
        snapshot: Position,
    },
    /// There is no snapshot.
    #[error("the ledger has no snapshot; read its records from the beginning")]
    NoSnapshot,
    /// What was sent is not of the form that it should be.
    #[error("{0}")]
    Malformed(String),
    /// The log has as many bytes as it may have.
    #[error("the ledger's log has {0} bytes; send a snapshot, so that records can go")]
    Full(u64),
    /// Something of it is not what was written.
    #[error("{what} of the ledger is damaged; read it from another Host")]
    Damaged {
        /// What.
        what: String,
    },
    /// The disk refused this.
    #[error("{doing} {} has failed; make room or repair the disk", path.display())]
    Disk {
        /// What was done.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the disk said.
        source: Arc<io::Error>,
    },
}

impl LedgerError {
    pub(crate) fn disk(
        doing: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<Arc<io::Error>>,
    ) -> Self {
        Self::Disk {
            doing,
            path: path.into(),
            source: source.into(),
        }
    }

    /// The code of the public table.
    pub const fn code(&self) -> Code {
        match self {
            Self::StaleEpoch { .. } => Code::StaleEpoch,
            Self::Gap { .. } | Self::InSnapshot { .. } => Code::LedgerGap,
            Self::NoSnapshot => Code::NotFound,
            Self::Malformed(_) => Code::InvalidRequest,
            Self::Damaged { .. } => Code::BlockDamaged,
            Self::Full(_) | Self::Disk { .. } => Code::StorageFailed,
        }
    }

    /// What whoever asked is told.
    pub fn to_problem(&self) -> Problem {
        Problem::new(self.code(), crate::storage::sentence(&self.to_string()))
    }
}
