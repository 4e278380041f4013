//! Which Element is asked next, without I/O: all of a decision in its order,
//! each once in a round; rounds go on for a while if all are away.

use std::time::{Duration, Instant};

use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
};

/// How long Elements that are all away are tried again.
const AWAY_PATIENCE: Duration = Duration::from_secs(30);
/// A fresh ticket is refused so often before the refusal is believed.
const TICKET_REFUSALS_MAX: u32 = 2;

/// What follows from a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The ticket was at fault: ask the controller anew.
    AskAnew,
    /// The next Element's turn.
    Next,
}

/// How far a search for slots is.
#[derive(Debug)]
pub struct Rounds {
    /// Elements that failed in this round, and why the first did.
    failed: Vec<NodeId>,
    first_problem: Option<Problem>,
    all_away: bool,
    away_since: Option<Instant>,
    ticket_refusals: u32,
}

impl Default for Rounds {
    fn default() -> Self {
        Self {
            failed: Vec::new(),
            first_problem: None,
            all_away: true,
            away_since: None,
            ticket_refusals: 0,
        }
    }
}

impl Rounds {
    /// Whether it was asked in this round and failed.
    pub fn has_failed(&self, element: NodeId) -> bool {
        self.failed.contains(&element)
    }

    /// It took the entry.
    pub const fn on_entered(&mut self) {
        self.away_since = None;
    }

    /// It refused the entry.
    pub fn on_refused(&mut self, element: NodeId, problem: Problem) -> Refusal {
        if is_ticket_refusal(problem.code) && self.ticket_refusals < TICKET_REFUSALS_MAX {
            self.ticket_refusals += 1;
            return Refusal::AskAnew;
        }
        self.on_failed(element, problem);
        Refusal::Next
    }

    /// It failed, while asked or later.
    pub fn on_failed(&mut self, element: NodeId, problem: Problem) {
        self.failed.push(element);
        self.all_away &= matches!(
            problem.code,
            Code::ElementDown | Code::Unavailable | Code::TimedOut
        );
        self.first_problem.get_or_insert(problem);
    }

    /// All were asked: another round follows, or the problem is final.
    /// `nobody`: there was none to be asked.
    pub fn on_round_over(
        &mut self,
        nobody: impl FnOnce() -> Problem,
        now: Instant,
    ) -> Result<(), Problem> {
        let problem = self.first_problem.take().unwrap_or_else(nobody);
        let has_patience = self.has_patience(now);
        if !self.all_away || self.failed.is_empty() || !has_patience {
            return Err(problem);
        }
        self.begin_anew();
        Ok(())
    }

    /// The controller names nobody. Tells whether it is to be asked again: as
    /// long as who could serve it is on the way back.
    pub fn on_undecided(&mut self, problem: &Problem, now: Instant) -> bool {
        if !is_return_awaited(problem) || !self.has_patience(now) {
            return false;
        }
        self.begin_anew();
        true
    }

    fn begin_anew(&mut self) {
        self.failed.clear();
        self.first_problem = None;
        self.all_away = true;
    }

    fn has_patience(&mut self, now: Instant) -> bool {
        let since = *self.away_since.get_or_insert(now);
        now.saturating_duration_since(since) <= AWAY_PATIENCE
    }
}

/// Whether the controller expects that somebody can serve it soon: what could
/// is neither stopped nor unfit, but away.
fn is_return_awaited(problem: &Problem) -> bool {
    problem.code == Code::NotAccepting && problem.retry_after.is_some()
}

/// Whether another ticket might do.
pub const fn is_ticket_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::TicketExpired | Code::TicketCut | Code::TicketInvalid | Code::TicketForeign
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> Problem {
        Problem::new(Code::NotAccepting, "nobody")
    }

    #[test]
    fn all_that_are_away_are_tried_for_a_while() {
        let (mut rounds, element, began) = (Rounds::default(), NodeId::generate(), Instant::now());
        let away = Problem::new(Code::ElementDown, "away");
        for seconds in [0, 10, 30] {
            let refusal = rounds.on_refused(element, away.clone());
            assert_eq!(refusal, Refusal::Next);
            assert!(rounds.has_failed(element));
            let now = began + Duration::from_secs(seconds);
            assert!(rounds.on_round_over(nobody, now).is_ok());
            assert!(!rounds.has_failed(element));
        }
        rounds.on_failed(element, away);
        let over = rounds.on_round_over(nobody, began + Duration::from_secs(31));
        assert_eq!(over.unwrap_err().code, Code::ElementDown);
    }

    #[test]
    fn the_controller_is_asked_again_for_a_while_where_it_expects_a_return() {
        let (mut rounds, began) = (Rounds::default(), Instant::now());
        let stopped = Problem::new(Code::NotAccepting, "stopped");
        let away = stopped.clone().with_retry_after(Duration::from_secs(1));
        assert!(!rounds.on_undecided(&stopped, began));
        for seconds in [0, 10, 30] {
            assert!(rounds.on_undecided(&away, began + Duration::from_secs(seconds)));
        }
        assert!(!rounds.on_undecided(&away, began + Duration::from_secs(31)));
        // One patience for the Element that is away and for the decision.
        let (mut rounds, element) = (Rounds::default(), NodeId::generate());
        rounds.on_failed(element, Problem::new(Code::ElementDown, "away"));
        assert!(rounds.on_round_over(nobody, began).is_ok());
        assert!(!rounds.on_undecided(&away, began + Duration::from_secs(31)));
    }

    #[test]
    fn any_other_refusal_is_final_and_the_first_is_told() {
        let mut rounds = Rounds::default();
        rounds.on_refused(NodeId::generate(), Problem::new(Code::QueueFull, "full"));
        rounds.on_refused(NodeId::generate(), Problem::new(Code::ElementDown, "away"));
        let over = rounds.on_round_over(nobody, Instant::now());
        assert_eq!(over.unwrap_err().code, Code::QueueFull);
        let over = Rounds::default().on_round_over(nobody, Instant::now());
        assert_eq!(over.unwrap_err().code, Code::NotAccepting);
    }

    #[test]
    fn a_refused_ticket_is_asked_for_anew_twice() {
        let (mut rounds, element) = (Rounds::default(), NodeId::generate());
        let cut = Problem::new(Code::TicketCut, "cut");
        assert_eq!(rounds.on_refused(element, cut.clone()), Refusal::AskAnew);
        assert_eq!(rounds.on_refused(element, cut.clone()), Refusal::AskAnew);
        assert_eq!(rounds.on_refused(element, cut), Refusal::Next);
    }
}
