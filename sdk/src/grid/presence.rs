//! Whether a Host is there still, without I/O: what a probe's answer and a
//! fresh dial say about the calls that were begun on it.

use std::time::{Duration, Instant};

use gridmart_schemas::{
    id::Incarnation,
    problem::{Code, Problem},
    wire::queue::OverdueAnswer,
};

/// A Host keeps the calls of a lost caller for so long.
pub const REATTACH_GRACE: Duration = Duration::from_secs(30);

/// What the Element's answer about an overdue call means.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// It is the Host that it was: ask again after this.
    There(Duration),
    /// The Element is away: it says nothing about the Host.
    Unknown,
    /// What was begun on it is lost.
    Lost(Problem),
}

/// Reads an answer about the Host `name`, on which work was begun under `was`.
pub fn judge_probe(answer: Option<&OverdueAnswer>, was: Incarnation, name: &str) -> Finding {
    match answer {
        Some(OverdueAnswer::Alive {
            incarnation,
            again_after_ms,
        }) if *incarnation == was => Finding::There(Duration::from_millis(*again_after_ms)),
        Some(OverdueAnswer::Alive { .. }) => Finding::Lost(host_restarted(name)),
        Some(OverdueAnswer::Down {}) => Finding::Lost(Problem::new(
            Code::HostDown,
            format!("Host {name} does not answer any more"),
        )),
        None => Finding::Unknown,
    }
}

/// What a dial after a cut means.
#[derive(Clone, Debug, PartialEq)]
pub enum Dialled {
    /// Its calls go on.
    Attached,
    /// It is dialled again.
    Again,
    /// What was begun on it is lost.
    Lost(Problem),
}

/// Reads a dial to the Host `name`, on which work was begun under `was`; the
/// next one would be at `next`, and `deadline` ends the grace.
pub fn judge_dial(
    dialled: Result<Incarnation, &Problem>,
    was: Incarnation,
    name: &str,
    next: Instant,
    deadline: Instant,
) -> Dialled {
    match dialled {
        Ok(incarnation) if incarnation == was => Dialled::Attached,
        Ok(_) => Dialled::Lost(host_restarted(name)),
        Err(problem) if is_final(problem.code) => Dialled::Lost(problem.clone()),
        Err(problem) if next >= deadline => Dialled::Lost(Problem::new(
            Code::HostDown,
            format!("the stream to Host {name} is lost: {}", problem.detail),
        )),
        Err(_) => Dialled::Again,
    }
}

fn host_restarted(name: &str) -> Problem {
    Problem::new(
        Code::HostRestarted,
        format!("Host {name} started anew while calls ran on it"),
    )
}

const fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::LeaseUnknown
            | Code::LeaseEnded
            | Code::HostRestarted
            | Code::TicketCut
            | Code::TicketInvalid
            | Code::TicketForeign
            | Code::TicketKeyMismatch
            | Code::NodeRevoked
            | Code::CertificateRefused
            | Code::NotAuthorized
            | Code::Terminated
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_start_or_silence_loses_what_was_begun() {
        let was = Incarnation::generate();
        let alive = |incarnation| OverdueAnswer::Alive {
            incarnation,
            again_after_ms: 7,
        };
        let lost = |finding| match finding {
            Finding::Lost(problem) => problem.code,
            other => panic!("{other:?}"),
        };
        let there = Finding::There(Duration::from_millis(7));
        assert_eq!(judge_probe(Some(&alive(was)), was, "h"), there);
        assert_eq!(judge_probe(None, was, "h"), Finding::Unknown);
        let other = judge_probe(Some(&alive(Incarnation::generate())), was, "h");
        assert_eq!(lost(other), Code::HostRestarted);
        let down = judge_probe(Some(&OverdueAnswer::Down {}), was, "h");
        assert_eq!(lost(down), Code::HostDown);
    }

    #[test]
    fn a_host_is_dialled_until_the_grace_or_a_final_word() {
        let (was, now) = (Incarnation::generate(), Instant::now());
        let later = now + Duration::from_secs(1);
        let away = Problem::new(Code::HostDown, "refused");
        let finals = [Code::LeaseEnded, Code::HostRestarted].map(|code| Problem::new(code, "over"));
        let judged = |dialled, next| judge_dial(dialled, was, "h", next, later);
        assert_eq!(judged(Ok(was), later), Dialled::Attached);
        assert_eq!(judged(Err(&away), now), Dialled::Again);
        assert!(matches!(judged(Err(&away), later), Dialled::Lost(_)));
        for last in &finals {
            assert_eq!(judged(Err(last), now), Dialled::Lost(last.clone()));
        }
        let other = judged(Ok(Incarnation::generate()), now);
        assert!(matches!(other, Dialled::Lost(_)));
    }
}
