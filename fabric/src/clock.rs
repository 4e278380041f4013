//! Clocks of other machines. They are not trusted: ages are judged by a node's
//! own arrival clock. But where a ticket is refused for its time, it helps to
//! know by how much the clocks differ.

use std::time::{Duration, Instant};

use gridmart_schemas::problem::{Code, Problem};
use parking_lot::Mutex;
use time::OffsetDateTime;

/// A difference up to this is nobody's concern; tickets bear twice as much.
const DIFFERENCE_BORNE: Duration = Duration::from_secs(30);

/// What a node knows of its parent's clock: the time that was told in a
/// welcome, and when that came by a clock that nobody sets.
#[derive(Debug, Default)]
pub struct ParentClock {
    told: Mutex<Option<(OffsetDateTime, Instant)>>,
}

impl ParentClock {
    /// Takes what a welcome says, as seconds since 1970; an older parent says
    /// nothing. A difference that matters is logged.
    pub fn on_welcome(&self, seconds: Option<i64>) {
        let told = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        *self.told.lock() = told.map(|told| (told, Instant::now()));
        if let Some(difference) = self.difference(OffsetDateTime::now_utc()) {
            tracing::warn!(
                difference,
                "this machine's clock and its parent's differ: tickets may be refused"
            );
        }
    }

    /// By how much this machine's clock differs, if that matters: `3600 s ahead`.
    pub fn difference(&self, now: OffsetDateTime) -> Option<String> {
        let (told, heard) = (*self.told.lock())?;
        let ahead = now - (told + heard.elapsed());
        if ahead.unsigned_abs() <= DIFFERENCE_BORNE {
            return None;
        }
        let way = if ahead.is_negative() {
            "behind"
        } else {
            "ahead"
        };
        Some(format!("{} s {way}", ahead.unsigned_abs().as_secs()))
    }

    /// Says, with a ticket that was refused for its time, what is wrong with
    /// the clocks; `here` and `parent` name the two machines.
    #[must_use]
    pub fn explain(&self, problem: Problem, here: &str, parent: &str) -> Problem {
        if problem.code != Code::TicketExpired {
            return problem;
        }
        let Some(difference) = self.difference(OffsetDateTime::now_utc()) else {
            return problem;
        };
        Problem {
            detail: format!(
                "{} The clock of {here} is {difference} of that of {parent}: set the one that is wrong.",
                problem.detail
            ),
            ..problem
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_where_it_explains_a_refusal() {
        let clock = ParentClock::default();
        let now = OffsetDateTime::now_utc();
        let refusal = |code| clock.explain(Problem::new(code, "No."), "this Host", "its Element");
        assert_eq!(clock.difference(now), None, "nothing was told");
        clock.on_welcome(Some(now.unix_timestamp() - 3600));
        let told = refusal(Code::TicketExpired).detail;
        assert!(
            told.starts_with("No. The clock of this Host is 36"),
            "{told}"
        );
        assert!(told.contains("s ahead of that of its Element"), "{told}");
        assert_eq!(refusal(Code::TicketCut).detail, "No.");
        let later = now - Duration::from_hours(2);
        let behind = clock.difference(later).unwrap();
        assert!(behind.ends_with("s behind"), "{behind}");
        clock.on_welcome(Some(now.unix_timestamp() - 20));
        assert_eq!(clock.difference(now), None, "tickets bear that");
        clock.on_welcome(None);
        assert_eq!(refusal(Code::TicketExpired).detail, "No.");
    }
}
