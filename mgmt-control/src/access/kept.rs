//! Who may use what Elements keep for people (buckets, databases): the Element's rules
//! and the thing's own, which the Element judges again in its parts.

use gridmart_fabric::rule::{Ruling, bucket::enter};
use gridmart_schemas::{
    api::explain::{Candidate, Check, Explanation, Verdict},
    id::NodeId,
    problem::{Code, Problem},
    role::{Desired, Operation},
};

use crate::{
    app::context::Actor,
    catalogue::{View, node::Node},
};

/// What somebody wants to do with a thing that an Element keeps.
pub struct Question<'a> {
    /// What it is, as people say it: `bucket`.
    pub what: &'static str,
    /// Its name on its Element.
    pub name: &'a str,
    /// What is to be done.
    pub operations: &'a [Operation],
    /// They say that they have used it before.
    pub going_on: bool,
}

/// Whether the Element's rules allow it.
pub fn element_ruling(view: &View, actor: &Actor, element: NodeId, operation: Operation) -> Ruling {
    let known = view.catalogue.elements.get(&element);
    let rules = known.map_or(&[][..], |known| &known.description.access().rules);
    enter(rules, &actor.subject(None), operation)
}

/// Decides whether the actor may use it, with the reasons. `own`: what its own rules say.
pub fn decide(
    view: &View,
    actor: &Actor,
    node: &Node,
    question: &Question<'_>,
    own: impl Fn(Operation) -> Ruling,
) -> Result<Explanation, Problem> {
    let Question {
        what,
        name,
        operations,
        going_on,
    } = *question;
    let name = format!("{}/{name}", node.name);
    let mut checks = Vec::new();
    for operation in operations {
        let needed = format!("{operation} for {}", actor.name);
        let of_element = element_ruling(view, actor, node.id, *operation);
        checks.push(check("rule", needed.clone(), of_element));
        checks.push(check(&format!("{what}-rule"), needed, own(*operation)));
    }
    let refused = checks.iter().any(|check| !check.met);
    // What is under way there may end; whether it is, the Element knows.
    let in_service = going_on || node.wish.desired == Desired::Production;
    checks.push(Check {
        name: "desired".to_owned(),
        met: in_service,
        needed: "in production".to_owned(),
        found: node.wish.desired.to_string(),
    });
    let allowed = in_service && !refused;
    let reason = checks.iter().find(|check| !check.met);
    let outcome = reason.map_or_else(
        || format!("{} may use {name}.", actor.name),
        |check| format!("{} may not use {name}: {}.", actor.name, check.found),
    );
    let explanation = Explanation {
        question: format!("May {} use the {what} {name}?", actor.name),
        outcome: outcome.clone(),
        candidates: vec![Candidate {
            id: node.id.to_string(),
            name,
            verdict: if allowed {
                Verdict::Chosen
            } else {
                Verdict::Unfit
            },
            checks,
        }],
    };
    if allowed {
        return Ok(explanation);
    }
    let code = if refused {
        Code::NotAuthorized
    } else {
        Code::NotAccepting
    };
    let mut problem = Problem::new(code, outcome);
    problem.explanation = Some(Box::new(explanation));
    Err(problem)
}

fn check(name: &str, needed: String, ruling: Ruling) -> Check {
    Check {
        name: name.to_owned(),
        met: ruling.allowed,
        needed,
        found: ruling.reason,
    }
}
