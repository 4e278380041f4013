//! Why a file of a bucket could not be brought, or stored.

use std::io;

use gridmart_schemas::{
    problem::{Code, Problem},
    wire::{
        record::{CallEnd, CallState},
        staging::StagedFile,
    },
};
use gridmart_sdk::Error;

use super::super::{fate::failed, room};

/// Why a call cannot have its files, as its caller is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StagingError {
    code: Code,
    reason: String,
    /// How the Host's own disk has failed, if that is it.
    disk: Option<io::ErrorKind>,
}

impl StagingError {
    /// An input cannot be brought.
    pub(super) fn input(file: &StagedFile, error: &Error) -> Self {
        Self::of(
            error,
            &format!("the input {} cannot be brought", file.object()),
        )
    }

    /// An output cannot be stored, or may not be.
    pub(super) fn output(file: &StagedFile, error: &Error) -> Self {
        let what = format!("{} cannot be stored as {}", file.path, file.object());
        Self::of(error, &what)
    }

    /// The program has not left what was to be stored.
    pub(super) fn left(file: &StagedFile, error: &dyn std::fmt::Display) -> Self {
        Self {
            code: Code::StagingFailed,
            reason: format!(
                "{} cannot be stored as {}: {error}; what the program leaves at that path, below \
                 its work folder, has to be a file",
                file.path,
                file.object()
            ),
            disk: None,
        }
    }

    /// The work folder does not take an input.
    pub(super) fn work_folder(file: &StagedFile, error: &io::Error) -> Self {
        Self {
            code: Code::StorageFailed,
            reason: format!(
                "the input {} cannot be written to {} on the Host: {error}",
                file.object(),
                file.path
            ),
            disk: Some(error.kind()),
        }
    }

    /// The disk has no room for it.
    pub(super) fn room(bytes: u64) -> Self {
        Self {
            code: Code::LimitExceeded,
            reason: format!(
                "the inputs of the call, {bytes} bytes, are more than the {}",
                room::LIMIT
            ),
            disk: None,
        }
    }

    /// It is longer than a file of the application may be.
    pub(super) fn file_size(file: &StagedFile, bytes: u64, most: u64) -> Self {
        Self {
            code: Code::LimitExceeded,
            reason: format!(
                "the input {} has {bytes} bytes, more than the FileSizeLimit of {most}",
                file.object()
            ),
            disk: None,
        }
    }

    fn of(error: &Error, what: &str) -> Self {
        let code = error.code().unwrap_or(Code::StagingFailed);
        let told = error.problem().map_or_else(
            || error.to_string(),
            |Problem { detail, .. }| detail.clone(),
        );
        // Codes of nodes that are away or busy would say that of this Host.
        let precise = !code.retryable() && !is_of_ticket(code) && code != Code::Internal;
        let (code, passing) = if precise {
            (code, String::new())
        } else {
            (Code::StagingFailed, format!(" [{code}]"))
        };
        let told = told.trim_end_matches('.');
        Self {
            code,
            reason: format!("{what}: {told}{passing}"),
            disk: None,
        }
    }

    /// How the Host's own disk has failed, if that is it.
    pub(crate) const fn refusal_of_disk(&self) -> Option<io::ErrorKind> {
        self.disk
    }

    /// The end of a call that never began.
    pub(crate) fn into_end(self) -> CallEnd {
        failed(CallState::Failed, self.code, self.reason)
    }
}

const fn is_of_ticket(code: Code) -> bool {
    matches!(
        code,
        Code::TicketExpired
            | Code::TicketInvalid
            | Code::TicketCut
            | Code::TicketForeign
            | Code::TicketKeyMismatch
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_code_and_names_the_object() {
        let file = StagedFile::parse_input("inn/a/b").unwrap();
        let told = |code, detail| {
            let error = StagingError::input(&file, &Problem::new(code, detail).into());
            (error.code, error.reason)
        };
        let (code, reason) = told(Code::NotAuthorized, "bob may not read in the bucket inn.");
        assert_eq!(code, Code::NotAuthorized);
        assert_eq!(
            reason,
            "the input inn/a/b cannot be brought: bob may not read in the bucket inn"
        );
        for passing in [Code::HostDown, Code::TimedOut, Code::TicketExpired] {
            let (code, reason) = told(passing, "away");
            assert_eq!(code, Code::StagingFailed, "{passing}");
            assert!(reason.contains(passing.as_str()), "{reason}");
        }
    }
}
