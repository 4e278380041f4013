//! Placement: which Elements serve a question, best first, and why the others
//! do not.
//!
//! Invariant: an Element is eligible exactly if none of the checks in its
//! explanation failed.

use std::time::Duration;

use gridmart_fabric::rule::Subject;
use gridmart_schemas::{
    api::explain::{Candidate, Check, Explanation, Verdict},
    id::NodeId,
    problem::{Code, Problem},
    role::Operation,
};

use gridmart_fabric::need::Need;

use super::judgement::{Judged, NEAREST_HOST, judge};
use crate::catalogue::{View, application::Application};

/// Elements in an answer: the choice and three alternatives.
pub const ELEMENTS_MAX: usize = 4;
/// Who is away is often back after so long.
const RETURN_TIME: Duration = Duration::from_secs(1);
/// Candidates in an explanation; the nearest ones are kept.
const CANDIDATES_MAX: usize = 64;
/// Candidates of which all checks are told; of those behind them only what
/// failed. More would cost more than the decision.
const TOLD_WHOLE_MAX: usize = 8;

/// What is asked.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// Who asks.
    pub subject: Subject<'a>,
    /// For which application version.
    pub application: Option<&'a Application>,
    /// What a Host and its Element have to be.
    pub needs: &'a [Need],
    /// What is to be done.
    pub operations: &'a [Operation],
    /// Elements that failed for the asker.
    pub avoid: &'a [NodeId],
    /// The question in words.
    pub words: &'a str,
}

/// The answer: eligible Elements, best first.
#[derive(Debug)]
pub struct Placement {
    /// At least one.
    pub elements: Vec<NodeId>,
    /// The nearest Elements with their checks, those above first.
    pub explanation: Explanation,
}

/// Decides.
pub fn place(view: &View, question: &Question<'_>) -> Result<Placement, Problem> {
    let mut judged: Vec<Judged<'_>> = view
        .catalogue
        .live_computing_elements()
        .map(|(node, element)| judge(view, question, node, element))
        .collect();
    judged.sort_by_key(|judged| {
        (
            judged.failed.distance(),
            std::cmp::Reverse(judged.free_slots),
            judged.response_ms,
            judged.node.id,
        )
    });
    let elements: Vec<NodeId> = judged
        .iter()
        .filter(|judged| judged.failed.is_none())
        .take(ELEMENTS_MAX)
        .map(|judged| judged.node.id)
        .collect();
    if elements.is_empty() {
        return Err(refusal(question, &judged));
    }
    let outcome = match elements.len() - 1 {
        0 => format!(
            "{} serves it; there is no alternative",
            view.name_of(elements[0])
        ),
        others => format!(
            "{} serves it; {others} more could",
            view.name_of(elements[0])
        ),
    };
    Ok(Placement {
        elements,
        explanation: explain(question, outcome, &judged),
    })
}

fn explain(question: &Question<'_>, outcome: String, judged: &[Judged<'_>]) -> Explanation {
    let candidates = judged
        .iter()
        .take(CANDIDATES_MAX)
        .enumerate()
        .map(|(place, judged)| {
            let verdict = match (judged.failed.is_none(), place) {
                (true, 0) => Verdict::Chosen,
                (true, _) => Verdict::Eligible,
                (false, _) => Verdict::Unfit,
            };
            Candidate {
                id: judged.node.id.to_string(),
                name: judged.node.name.clone(),
                verdict,
                checks: if place < TOLD_WHOLE_MAX {
                    judged.checks()
                } else {
                    judged.faults()
                },
            }
        });
    Explanation {
        question: question.words.to_owned(),
        outcome,
        candidates: candidates.collect(),
    }
}

// === Refusal ===

/// Names what fails at the nearest Element; `judged` is sorted, nearest first.
fn refusal(question: &Question<'_>, judged: &[Judged<'_>]) -> Problem {
    let Some(nearest) = judged.first() else {
        let outcome = "No Element has joined yet, so nothing can serve it.".to_owned();
        return Problem::new(Code::NeedUnmet, outcome.clone())
            .with_explanation(explain(question, outcome, judged));
    };
    // What would do once its state is better is worth a later try, even if
    // something else comes as near.
    let passing = judged.iter().find(|judged| judged.failed.is_passing());
    let (code, meant) = match passing {
        Some(passing) => (Code::NotAccepting, passing),
        None if nearest.failed.needs == 0 => (Code::NotAuthorized, nearest),
        None => (Code::NeedUnmet, nearest),
    };
    let intro = match code {
        Code::NotAccepting => "Nothing that could serve it takes work at present",
        Code::NotAuthorized => "The rules of what could serve it do not allow it",
        _ => "No resource meets what is needed",
    };
    let faults = meant.faults();
    let host = faults.iter().find(|check| check.name == NEAREST_HOST);
    let host = host.map_or_else(String::new, |check| {
        format!(" with its Host {}", check.found)
    });
    let detail = format!(
        "{intro}. Nearest is {}{host}: {}.",
        meant.node.name,
        failures(&faults)
    );
    let is_away = judged.iter().any(|judged| judged.failed.is_away());
    let problem =
        Problem::new(code, detail.clone()).with_explanation(explain(question, detail, judged));
    if is_away {
        problem.with_retry_after(RETURN_TIME)
    } else {
        problem
    }
}

/// The failed checks in words.
pub(super) fn failures(checks: &[Check]) -> String {
    let failed: Vec<String> = checks
        .iter()
        .filter(|check| !check.met && check.name != NEAREST_HOST)
        .map(|check| {
            format!(
                "{}: needed {}, found {}",
                check.name, check.needed, check.found
            )
        })
        .collect();
    failed.join("; ")
}

#[cfg(test)]
mod tests;
