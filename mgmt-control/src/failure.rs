//! Why an operation of the controller did not happen, and the one place that
//! turns it into what the caller is told.

use gridmart_fabric::causes::with_causes;
use gridmart_schemas::problem::{Code, Problem};

use crate::store::StoreError;

/// Why an operation did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It was refused; the caller is told all of it.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// The database failed; the caller is told only that.
    #[error("the controller's database failed")]
    Store(#[from] StoreError),
    /// The transaction that this change shared with others failed; the caller
    /// is told only that.
    #[error("the controller's database failed: {cause}")]
    Group {
        /// Why, all causes.
        cause: String,
    },
    /// Something else failed; the caller is told only that.
    #[error("{what} failed: {cause}")]
    Internal {
        /// What was done.
        what: &'static str,
        /// Why it failed, all causes.
        cause: String,
    },
}

impl Failure {
    /// A fault that the caller cannot help.
    pub fn internal(what: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Internal {
            what,
            cause: with_causes(error),
        }
    }

    /// The code that the caller sees.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(problem) => problem.code,
            Self::Store(_) | Self::Group { .. } => Code::StorageFailed,
            Self::Internal { .. } => Code::Internal,
        }
    }

    /// What the caller is told. A fault is logged here, once, with all its
    /// causes; a refusal is the caller's affair.
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Refused(problem) => *problem,
            Self::Store(error) => {
                tracing::error!(error = with_causes(&error), "the store failed");
                Problem::new(Code::StorageFailed, "The controller could not record it.")
            }
            Self::Group { .. } => {
                tracing::error!(error = %self, "the store failed");
                Problem::new(Code::StorageFailed, "The controller could not record it.")
            }
            Self::Internal { .. } => {
                tracing::error!(error = %self, "an operation failed");
                Problem::new(Code::Internal, "The controller could not do it.")
            }
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Refused(Box::new(problem))
    }
}
