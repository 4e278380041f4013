//! What can go wrong, for programs to branch on.

use std::{io, path::Path};

use gridmart_schemas::{
    id::{CallId, JobId},
    problem::{Code, Problem},
    wire::{data::SqlFault, record::CallEnd},
};

use crate::map::MapReport;

/// Why the SDK could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A node refused, or a call failed by the system's fault: the problem
    /// says what, why and what to do next.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// Nobody answers there.
    #[error("{what} cannot be reached at {address}")]
    Unreachable {
        /// What was dialled, for people.
        what: String,
        /// Where.
        address: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The call did not end by itself with exit code 0
    /// (only from functions that promise success).
    #[error("call {call} has ended: {}", describe(.end))]
    Ended {
        /// Which call.
        call: CallId,
        /// How it ended.
        end: Box<CallEnd>,
    },
    /// The split or the merge of a map did not end with exit code 0.
    #[error("the {step} of map {job} failed: {}{}", describe(.end), last_line(.stderr))]
    Step {
        /// Which map.
        job: JobId,
        /// `split` or `merge`.
        step: &'static str,
        /// How it ended.
        end: Box<CallEnd>,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
    /// Parts of a map failed; all others have their results on disk.
    #[error("{} of {} parts of map {} failed", .report.failed.len(), .report.parts, .report.job)]
    PartsFailed {
        /// What was done, and what failed.
        report: Box<MapReport>,
    },
    /// A statement was refused, or has failed; it has changed nothing, unless the code
    /// is 08007.
    #[error("{}: {}", .0.state, .0.message)]
    Statement(Box<SqlFault>),
    /// The settings, the login file or the arguments are wrong.
    #[error("{0}")]
    Invalid(String),
    /// No map of that name on this disk.
    #[error("there is no map {job} in {folder}; maps are kept on the disk of who ran them")]
    UnknownJob {
        /// Which.
        job: String,
        /// Where it was looked for.
        folder: String,
    },
    /// Another process runs this map at present.
    #[error("map {0} is being run by another process; wait for it or end it")]
    JobInUse(JobId),
    /// This machine's disk or pipes refuse.
    #[error("cannot {action} {target}")]
    Local {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        target: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Says in words how a call ended.
pub(crate) fn describe(end: &CallEnd) -> String {
    if let Some(reason) = &end.reason {
        return reason.clone();
    }
    match (end.exit_code, end.signal, end.code) {
        (Some(code), ..) => format!("exit code {code}"),
        (None, Some(signal), _) => format!("signal {signal}"),
        (None, None, Some(code)) => code.to_string(),
        (None, None, None) => format!("{:?}", end.state),
    }
}

fn last_line(stderr: &str) -> String {
    let line = stderr.lines().rev().find(|line| !line.trim().is_empty());
    line.map(|line| format!(": {line}")).unwrap_or_default()
}

impl Error {
    /// Gives the stable code, where there is one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(problem) => Some(problem.code),
            Self::Ended { end, .. } | Self::Step { end, .. } => end.code,
            Self::PartsFailed { .. } => Some(Code::PartsFailed),
            Self::Unreachable { .. } => Some(Code::Unavailable),
            Self::Statement(_) => Some(Code::StatementRefused),
            Self::UnknownJob { .. } => Some(Code::NotFound),
            Self::Invalid(_) | Self::JobInUse(_) | Self::Local { .. } => None,
        }
    }

    /// Gives the problem details of a refusal.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            _ => None,
        }
    }

    /// Tells whether the same request may succeed later, unchanged.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Refused(problem) => problem.retryable,
            Self::Unreachable { .. } | Self::JobInUse(_) => true,
            _ => self.code().is_some_and(Code::retryable),
        }
    }

    /// Says what to do next, where that is known.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused(problem) => Some(&problem.hint),
            Self::Unreachable { .. } => Some("Check that it runs, and the address."),
            _ => self.code().map(Code::hint),
        }
    }

    pub(crate) fn refused(code: Code, detail: impl Into<String>) -> Self {
        Problem::new(code, detail).into()
    }

    pub(crate) fn local(action: &'static str, target: &Path, source: io::Error) -> Self {
        Self::Local {
            action,
            target: target.display().to_string(),
            source,
        }
    }

    /// The same failure for another waiter, as a problem.
    pub(crate) fn to_problem(&self) -> Problem {
        match self {
            Self::Refused(problem) => (**problem).clone(),
            other => Problem::new(other.code().unwrap_or(Code::Internal), other.to_string()),
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Refused(Box::new(problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_its_code_and_hint() {
        let error = Error::refused(Code::QueueFull, "The queue of ce1 is full.");
        assert_eq!(error.code(), Some(Code::QueueFull));
        assert!(error.retryable());
        assert!(error.to_string().contains("queue-full"));
        assert_eq!(error.hint(), Some(Code::QueueFull.hint()));
    }
}
