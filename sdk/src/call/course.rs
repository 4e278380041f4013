//! The course of one call, without I/O: whether it may run again elsewhere,
//! how it goes on after a cut, and its one end.
//!
//! Invariants: once it has ended nothing changes it; a call that may have begun
//! runs again only if running twice is allowed; a call whose output was handed
//! out never does.

use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    wire::record::CallEnd,
};

use crate::grid::Avoided;

/// A call that never began is placed anew so often.
const PLACEMENTS_MAX: u32 = 3;

/// What is allowed of a call that was lost.
#[derive(Clone, Copy, Debug)]
pub struct Rerun {
    /// It may run twice.
    pub retryable: bool,
    /// So often at most.
    pub attempts_max: u32,
    /// Nothing of its output was handed out, and its input is there still.
    pub untouched: bool,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It had ended already: nothing.
    Nothing,
    /// It does not run again.
    Over,
    /// It is placed anew.
    Anew,
}

/// The state of one call.
#[derive(Clone, Debug, Default)]
pub struct Course {
    end: Option<Result<CallEnd, Problem>>,
    /// The Host was asked to go on with it, and has not said from where.
    resuming: bool,
    /// A sign of the Host's that it has begun.
    begun: bool,
    cancelled: bool,
    attempts: u32,
    placements: u32,
    avoid: Avoided,
}

impl Course {
    /// It is sent to a Host.
    pub const fn on_placed(&mut self) {
        self.attempts += 1;
    }

    /// The Host says something of it, other than to refuse it.
    pub const fn on_sign(&mut self) {
        self.begun = true;
    }

    /// The Host goes on with it; tells whether that was asked.
    pub const fn on_started(&mut self) -> bool {
        std::mem::replace(&mut self.resuming, false)
    }

    /// Its end is there; the first counts.
    pub fn on_ended(&mut self, end: Result<CallEnd, Problem>) {
        self.end.get_or_insert(end);
    }

    /// Its caller does not want it any more; false: that is known, or too late.
    pub const fn on_cancelled(&mut self) -> bool {
        if self.end.is_some() || self.cancelled {
            return false;
        }
        self.cancelled = true;
        true
    }

    /// It was refused (`began`: false) or lost (`began`: perhaps) on `host`. If
    /// it does not run again, its end is the caller's to say.
    pub fn on_failed(
        &mut self,
        problem: &Problem,
        began: bool,
        rerun: Rerun,
        host: Option<NodeId>,
    ) -> After {
        if self.end.is_some() {
            return After::Nothing;
        }
        if !self.may_run_again(problem, began, rerun) {
            return After::Over;
        }
        self.placements += 1;
        (self.resuming, self.begun) = (false, false);
        if let Some(host) = host
            && problem.code == Code::HostDown
        {
            self.avoid.add(host);
        }
        After::Anew
    }

    /// Tells whether it may run again after this problem; `began`: it may have
    /// begun.
    fn may_run_again(&self, problem: &Problem, began: bool, rerun: Rerun) -> bool {
        let passing = matches!(
            problem.code,
            Code::HostDown
                | Code::HostRestarted
                | Code::LeaseEnded
                | Code::LeaseUnknown
                | Code::SandboxLost
                | Code::NotAccepting
                | Code::TicketExpired
                | Code::UnknownCall
                | Code::Busy
                | Code::Unavailable
        );
        let allowed = if began || problem.code == Code::UnknownCall {
            rerun.retryable && self.attempts < rerun.attempts_max.max(2)
        } else {
            self.placements < PLACEMENTS_MAX
        };
        passing && allowed && rerun.untouched && !self.cancelled
    }

    /// Its stream was cut and stands again; `held`: the Host has it, `heard`:
    /// it has taken input. Tells whether the Host is to go on with it: one that
    /// came to nothing is sent as new, one that is gone the Host will refuse.
    pub const fn on_reattached(&mut self, held: bool, heard: bool) -> bool {
        self.resuming = held || self.begun || heard;
        self.resuming
    }

    /// Its end, if it is reached.
    pub const fn end(&self) -> Option<&Result<CallEnd, Problem>> {
        self.end.as_ref()
    }

    /// Whether its end is reached.
    pub const fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Whether the Host may have begun it.
    pub const fn may_have_begun(&self) -> bool {
        self.begun || self.resuming
    }

    /// Whether the Host was asked to go on and has not answered.
    pub const fn is_resuming(&self) -> bool {
        self.resuming
    }

    /// Whether its caller does not want it any more.
    pub const fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// How often it was sent to a Host.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Hosts that were lost with it.
    pub fn avoid(&self) -> &[NodeId] {
        self.avoid.hosts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Rerun = Rerun {
        retryable: false,
        attempts_max: 1,
        untouched: true,
    };

    fn placed() -> Course {
        let mut course = Course::default();
        course.on_placed();
        course
    }

    #[test]
    fn only_what_may_run_twice_runs_again_after_it_may_have_begun() {
        let down = Problem::new(Code::HostDown, "");
        let host = NodeId::generate();
        let mut course = placed();
        assert_eq!(course.on_failed(&down, true, FRESH, None), After::Over);
        course.on_ended(Err(down.clone()));
        assert_eq!(course.on_failed(&down, true, FRESH, None), After::Nothing);
        let retryable = Rerun {
            retryable: true,
            ..FRESH
        };
        let mut course = placed();
        let anew = course.on_failed(&down, true, retryable, Some(host));
        assert_eq!((anew, course.avoid()), (After::Anew, &[host][..]));
        course.on_placed();
        let over = course.on_failed(&down, true, retryable, Some(host));
        assert_eq!(over, After::Over);
        let touched = Rerun {
            untouched: false,
            ..retryable
        };
        assert_eq!(placed().on_failed(&down, false, touched, None), After::Over);
    }

    #[test]
    fn what_never_began_is_placed_a_few_times() {
        let ended = Problem::new(Code::LeaseEnded, "");
        let mut course = placed();
        for _ in 0..PLACEMENTS_MAX {
            assert_eq!(course.on_failed(&ended, false, FRESH, None), After::Anew);
            course.on_placed();
        }
        assert_eq!(course.on_failed(&ended, false, FRESH, None), After::Over);
    }

    #[test]
    fn what_came_to_nothing_is_sent_as_new_after_a_cut() {
        assert!(!placed().on_reattached(false, false));
        assert!(placed().on_reattached(true, false));
        assert!(placed().on_reattached(false, true));
        let mut begun = placed();
        begun.on_sign();
        assert!(begun.on_reattached(false, false));
        assert!(begun.on_started() && !begun.on_started());
    }
}
