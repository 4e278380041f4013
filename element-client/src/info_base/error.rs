//! What can be wrong with an information base, and what to do then.

use std::{io, path::PathBuf};

use gridmart_schemas::{
    problem::{Code, Problem},
    resource::{DocumentError, validate::Violations},
};

/// Why the information base cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum LibError {
    /// The file cannot be read as a document.
    #[error("the information base {} is damaged; {advice}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What can be done.
        advice: String,
        /// Which line, which element, what is wrong.
        source: Box<DocumentError>,
    },
    /// There is nothing to restore from.
    #[error("there is no whole previous generation at {}; repair the document by hand", path.display())]
    NoPrevious {
        /// Where it should be.
        path: PathBuf,
    },
    /// The present document is whole.
    #[error("the information base {} is whole; start without --restore-lib", path.display())]
    NotDamaged {
        /// Which file.
        path: PathBuf,
    },
    /// The disk refuses.
    #[error("cannot {action} {}; see that the disk has room and the folder is writable", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The change would make the document invalid.
    #[error("the change was refused: {0}")]
    Invalid(#[from] Violations),
    /// Somebody else changed it meanwhile.
    #[error(
        "the document is at generation {now}, not {seen} any more; read it again and repeat the change"
    )]
    Conflict {
        /// The generation that the editor saw.
        seen: u64,
        /// The present one.
        now: u64,
    },
    /// The change itself refused.
    #[error("{0}")]
    Refused(#[from] Problem),
}

impl LibError {
    /// The same once more, for others whose changes met it too.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Disk {
                action,
                path,
                source,
            } => Self::Disk {
                action,
                path: path.clone(),
                source: io::Error::new(source.kind(), source.to_string()),
            },
            other => Self::Refused(other.to_problem()),
        }
    }

    /// The problem as it is answered to whoever asked for the change.
    pub fn to_problem(&self) -> Problem {
        match self {
            Self::Refused(problem) => problem.clone(),
            Self::Invalid(_) => Problem::new(Code::InvalidDocument, self.to_string()),
            Self::Conflict { .. } => Problem::new(Code::GenerationConflict, self.to_string()),
            _ => Problem::new(
                Code::StorageFailed,
                "The Element's information base cannot be written.",
            ),
        }
    }
}
