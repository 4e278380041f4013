//! Why a command did not do what it was asked, and with which code it exits.
//!
//! Invariant: exit codes come from this file alone; for answers of gridmart's
//! doors they are a property of the problem's code.

use std::{fmt, io, process::ExitCode};

use gridmart_schemas::problem::{Code, Problem};
use serde::Serialize;

/// Done.
pub(crate) const EXIT_DONE: u8 = 0;
/// It was tried and failed.
pub(crate) const EXIT_FAILED: u8 = 1;
/// The command line, or the request made from it, is wrong.
pub(crate) const EXIT_USAGE: u8 = 2;
/// gridmart refused it.
pub(crate) const EXIT_REFUSED: u8 = 3;
/// There is no such thing.
pub(crate) const EXIT_NOT_FOUND: u8 = 4;
/// Nobody answered.
pub(crate) const EXIT_NOT_REACHABLE: u8 = 5;
/// 128 + SIGINT.
const EXIT_INTERRUPTED: u8 = 130;
/// 128 + SIGPIPE, as if the system had ended us.
const EXIT_BROKEN_PIPE: u8 = 141;

/// Why a command ended without having done its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A door of gridmart, or the SDK, said no.
    Problem(Box<Problem>),
    /// The words typed contradict each other.
    Usage(String),
    /// Something on this machine: a file, a process.
    Local(anyhow::Error),
    /// The program called ended with this exit status; it has said why itself.
    Program(u8),
    /// Everything is said already; only the exit code is left.
    Said(u8),
    /// Ctrl-C.
    Interrupted,
    /// Nobody reads what is printed.
    BrokenPipe,
}

impl Failure {
    /// Makes a failure of this machine.
    pub(crate) fn local(text: impl fmt::Display) -> Self {
        Self::Local(anyhow::anyhow!("{text}"))
    }

    /// Gives the code to exit with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Problem(problem) => exit_code_of(problem.code),
            Self::Usage(_) => EXIT_USAGE,
            Self::Local(_) => EXIT_FAILED,
            Self::Program(code) | Self::Said(code) => *code,
            Self::Interrupted => EXIT_INTERRUPTED,
            Self::BrokenPipe => EXIT_BROKEN_PIPE,
        }
    }

    /// Prints it on stderr, as text or as JSON, and gives the exit code.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        let text = if json { self.json() } else { self.text() };
        if let Some(text) = text {
            // Nothing can be done when stderr is gone as well.
            let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes());
        }
        ExitCode::from(self.exit_code())
    }

    /// Says it in one line, where others follow.
    pub(crate) fn brief(&self) -> String {
        match self {
            Self::Problem(problem) => format!("{} [{}]", problem.detail, problem.code),
            Self::Usage(text) => text.clone(),
            Self::Local(error) => format!("{error:#}"),
            Self::Program(code) | Self::Said(code) => format!("exit code {code}"),
            Self::Interrupted => "interrupted".to_owned(),
            Self::BrokenPipe => "nobody reads it".to_owned(),
        }
    }

    fn text(&self) -> Option<String> {
        match self {
            Self::Problem(problem) => Some(problem_text(problem)),
            Self::Usage(text) => Some(format!("gridmart: {text}\n  next: gridmart help\n")),
            Self::Local(error) => Some(format!("gridmart: {error:#}\n")),
            Self::Interrupted => Some("gridmart: interrupted\n".to_owned()),
            Self::Program(_) | Self::Said(_) | Self::BrokenPipe => None,
        }
    }

    fn json(&self) -> Option<String> {
        let text = match self {
            Self::Problem(problem) => serde_json::to_string(problem),
            Self::Usage(text) => {
                let mut problem = Problem::new(Code::InvalidRequest, text);
                "See `gridmart help`.".clone_into(&mut problem.hint);
                serde_json::to_string(&problem)
            }
            Self::Local(error) => {
                serde_json::to_string(&LocalProblem::new("failed-here", format!("{error:#}")))
            }
            Self::Interrupted => serde_json::to_string(&LocalProblem::new(
                "interrupted",
                "Ctrl-C was pressed.".to_owned(),
            )),
            Self::Program(_) | Self::Said(_) | Self::BrokenPipe => return None,
        };
        text.ok().map(|text| text + "\n")
    }
}

/// Problem details of something that no door of gridmart said: the same
/// members, without an HTTP status.
#[derive(Serialize)]
struct LocalProblem {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    detail: String,
    code: &'static str,
    retryable: bool,
}

impl LocalProblem {
    fn new(code: &'static str, detail: String) -> Self {
        Self {
            kind: format!("urn:gridmart:problem:{code}"),
            title: code.replace('-', " "),
            detail,
            code,
            retryable: false,
        }
    }
}

fn problem_text(problem: &Problem) -> String {
    use fmt::Write as _;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "gridmart: {} [{}]",
        crate::output::plain(&problem.detail),
        problem.code
    );
    if let Some(explanation) = &problem.explanation {
        for candidate in &explanation.candidates {
            for check in candidate.checks.iter().filter(|check| !check.met) {
                let _ = writeln!(
                    text,
                    "  {}: {} needed {}, found {}",
                    crate::output::plain(&candidate.name),
                    crate::output::plain(&check.name),
                    crate::output::plain(&check.needed),
                    crate::output::plain(&check.found)
                );
            }
        }
    }
    if !problem.hint.is_empty() {
        let _ = writeln!(text, "  next: {}", crate::output::plain(&problem.hint));
    }
    if let Some(request) = problem.request_id {
        let _ = writeln!(text, "  request: {request}");
    }
    text
}

/// Gives the exit code that belongs to a problem's code.
pub(crate) fn exit_code_of(code: Code) -> u8 {
    match code {
        Code::InvalidRequest => EXIT_USAGE,
        Code::NotFound | Code::UnknownApplication | Code::UnknownCall => EXIT_NOT_FOUND,
        Code::HostDown
        | Code::HostRestarted
        | Code::RelayFailed
        | Code::ElementDown
        | Code::NodeAway
        | Code::TimedOut
        | Code::Unavailable => EXIT_NOT_REACHABLE,
        Code::Terminated
        | Code::LimitExceeded
        | Code::StartFailed
        | Code::StagingFailed
        | Code::SandboxLost
        | Code::PartsFailed
        | Code::StorageFailed
        | Code::StatementRefused
        | Code::UnknownMessage
        | Code::Internal => EXIT_FAILED,
        Code::InvalidDocument
        | Code::TooLarge
        | Code::Unauthenticated
        | Code::CredentialsRefused
        | Code::RequestForged
        | Code::NotAuthorized
        | Code::VersionExists
        | Code::AlreadyExists
        | Code::GenerationConflict
        | Code::NeedUnmet
        | Code::NotAccepting
        | Code::QueueFull
        | Code::QuotaExceeded
        | Code::RateLimited
        | Code::TicketInvalid
        | Code::TicketExpired
        | Code::TicketForeign
        | Code::TicketKeyMismatch
        | Code::TicketCut
        | Code::NodeRevoked
        | Code::JoinTokenInvalid
        | Code::JoinTokenSpent
        | Code::JoinTokenExpired
        | Code::CertificateRefused
        | Code::TlsRequired
        | Code::PackageInvalid
        | Code::DigestMismatch
        | Code::LeaseUnknown
        | Code::LeaseEnded
        | Code::SandboxUnavailable
        | Code::VersionUnsupported
        | Code::BlockConflict
        | Code::BlockDamaged
        | Code::StaleEpoch
        | Code::LedgerGap
        | Code::PreconditionFailed
        | Code::NotEmpty
        | Code::Retained
        | Code::Encrypted
        | Code::StorageDegraded
        | Code::Busy => EXIT_REFUSED,
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<gridmart_sdk::Error> for Failure {
    fn from(error: gridmart_sdk::Error) -> Self {
        use gridmart_sdk::Error;
        match error {
            Error::Refused(problem) => Self::Problem(problem),
            Error::Invalid(text) => Self::Usage(text),
            Error::Local { .. } => anyhow::Error::from(error).into(),
            other => {
                let code = other.code().unwrap_or(Code::NotAccepting);
                let hint = other.hint().unwrap_or_else(|| code.hint()).to_owned();
                let mut problem = Problem::new(code, format!("{:#}", anyhow::Error::from(other)));
                problem.hint = hint;
                problem.into()
            }
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let broken = error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
        if broken {
            return Self::BrokenPipe;
        }
        match error.downcast::<Problem>() {
            Ok(problem) => problem.into(),
            Err(error) => Self::Local(error),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_exit_code_that_is_not_done() {
        for code in Code::ALL {
            assert!(
                (EXIT_FAILED..=EXIT_NOT_REACHABLE).contains(&exit_code_of(*code)),
                "{code}"
            );
        }
    }

    #[test]
    fn what_is_not_there_and_what_is_refused_differ() {
        assert_eq!(exit_code_of(Code::UnknownApplication), EXIT_NOT_FOUND);
        assert_eq!(exit_code_of(Code::QueueFull), EXIT_REFUSED);
        assert_eq!(exit_code_of(Code::HostDown), EXIT_NOT_REACHABLE);
    }

    #[test]
    fn a_problem_inside_of_an_error_chain_keeps_its_code() {
        let error = anyhow::Error::from(Problem::new(Code::QueueFull, "full"));
        let Failure::Problem(problem) = Failure::from(error) else {
            panic!("a problem is expected")
        };
        assert_eq!(problem.code, Code::QueueFull);
    }

    #[test]
    fn a_broken_pipe_is_quiet() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(failure.text().is_none() && failure.json().is_none());
    }

    #[test]
    fn text_of_others_cannot_steer_the_terminal() {
        let text = problem_text(&Problem::new(Code::NotFound, "\u{1b}[2Jgone\u{7}"));
        assert!(
            !text.contains('\u{1b}') && !text.contains('\u{7}'),
            "{text:?}"
        );
    }
}
