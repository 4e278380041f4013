//! New leases that could not be used, without I/O: whether another one is asked
//! for, and from whom.
//!
//! A Host that cannot be reached is avoided. One that answers that the lease is
//! over is not: it serves others, and the Element hears in a moment why.

use std::time::{Duration, Instant};

use gridmart_schemas::problem::{Code, Problem};

/// How long leases that are over before they were used are asked for anew.
const OVER_PATIENCE: Duration = Duration::from_secs(30);

/// What follows from a lease that could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another Host is asked for.
    Elsewhere,
    /// A lease is asked for again, after a moment.
    Anew,
    /// That was enough.
    Over,
}

/// New leases that one demand has lost.
#[derive(Debug)]
pub struct Tries {
    unreached: usize,
    unreached_max: usize,
    over_since: Option<Instant>,
}

impl Tries {
    /// Gives up with so many Hosts that could not be reached.
    pub const fn new(unreached_max: usize) -> Self {
        Self {
            unreached: 0,
            unreached_max,
            over_since: None,
        }
    }

    /// A new lease could not be attached.
    pub fn on_unusable(&mut self, problem: &Problem, now: Instant) -> Next {
        if is_lease_over(problem.code) {
            let since = *self.over_since.get_or_insert(now);
            return if now.saturating_duration_since(since) < OVER_PATIENCE {
                Next::Anew
            } else {
                Next::Over
            };
        }
        self.unreached += 1;
        if self.unreached < self.unreached_max {
            Next::Elsewhere
        } else {
            Next::Over
        }
    }

    /// A lease was attached.
    pub const fn on_attached(&mut self) {
        self.over_since = None;
    }
}

/// Whether a Host has refused the lease, not who holds it.
const fn is_lease_over(code: Code) -> bool {
    matches!(
        code,
        Code::HostRestarted | Code::LeaseEnded | Code::LeaseUnknown
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_cannot_be_reached_are_counted() {
        let (mut tries, now) = (Tries::new(2), Instant::now());
        let down = Problem::new(Code::HostDown, "");
        assert_eq!(tries.on_unusable(&down, now), Next::Elsewhere);
        assert_eq!(tries.on_unusable(&down, now), Next::Over);
    }

    #[test]
    fn a_lease_that_is_over_is_asked_for_anew_for_a_while() {
        let (mut tries, now) = (Tries::new(1), Instant::now());
        let restarted = Problem::new(Code::HostRestarted, "");
        let late = now + OVER_PATIENCE;
        for _ in 0..10 {
            assert_eq!(tries.on_unusable(&restarted, now), Next::Anew);
        }
        assert_eq!(tries.on_unusable(&restarted, late), Next::Over);
        tries.on_attached();
        assert_eq!(tries.on_unusable(&restarted, late), Next::Anew);
    }
}
