//! What a volume refuses, and why.

use std::{io, path::PathBuf, sync::Arc};

use gridmart_schemas::{
    id::BlockId,
    problem::{Code, Problem},
    storage::BlockRoot,
};

/// Why a volume did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum VolumeError {
    /// No such block is here.
    #[error("block {0} is not on this Host")]
    NotFound(BlockId),
    /// A block of that id is here, with other content.
    #[error(
        "block {id} is on this Host with root {there}, and {offered} was offered; a block never changes, write a new stripe"
    )]
    Conflict {
        /// The block.
        id: BlockId,
        /// The root of the one that is here.
        there: BlockRoot,
        /// The root of the other one.
        offered: BlockRoot,
    },
    /// It was here, and is not served any more.
    #[error("block {id} is damaged on this Host ({reason}); read another copy or rebuild it")]
    Damaged {
        /// The block.
        id: BlockId,
        /// What was found.
        reason: String,
    },
    /// Chunks beyond the block's end were asked for.
    #[error("block {id} has {there} chunks, and those from {first} on were asked for")]
    NoSuchChunk {
        /// The block.
        id: BlockId,
        /// The first chunk that was asked for.
        first: usize,
        /// Chunks of the block.
        there: usize,
    },
    /// The quota is reached.
    #[error(
        "the volume has {used} bytes of its {quota} in use, and {wanted} more do not fit; raise MaxUsedSpace or delete something"
    )]
    Full {
        /// Bytes in use.
        used: u64,
        /// Bytes that may be used.
        quota: u64,
        /// Bytes that were to be added.
        wanted: u64,
    },
    /// Writes have failed; reading goes on.
    #[error(
        "the volume takes no changes since its disk refused: {why}; make room or repair the disk, it is tried again by itself"
    )]
    ReadOnly {
        /// The last failure.
        why: String,
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
    /// The object store that keeps the blocks refused this, or was not reached.
    #[error(
        "{doing} {what} in the object store has failed ({why}); see whether it is there, has room and lets the Host in"
    )]
    Remote {
        /// What was done.
        doing: &'static str,
        /// On which object.
        what: String,
        /// What the store said.
        why: String,
    },
}

impl VolumeError {
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
            Self::NotFound(_) => Code::NotFound,
            Self::Conflict { .. } => Code::BlockConflict,
            Self::Damaged { .. } => Code::BlockDamaged,
            Self::NoSuchChunk { .. } => Code::InvalidRequest,
            Self::Full { .. } | Self::ReadOnly { .. } | Self::Disk { .. } | Self::Remote { .. } => {
                Code::StorageFailed
            }
        }
    }

    /// What whoever asked is told.
    pub fn to_problem(&self) -> Problem {
        Problem::new(self.code(), crate::storage::sentence(&self.to_string()))
    }
}
