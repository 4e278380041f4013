//! Who may use a bucket: the Element's rules and the bucket's own. The Element
//! judges again, key by key.

use gridmart_fabric::rule::{
    Ruling,
    bucket::{BucketRules, enter},
};
use gridmart_schemas::{
    api::explain::{Candidate, Check, Explanation, Verdict},
    id::NodeId,
    problem::{Code, Problem},
    role::{Desired, Operation},
    wire::bucket::BucketTold,
};

use crate::{
    app::context::Actor,
    catalogue::{View, node::Node},
};

/// Whether the Element's rules allow it.
pub fn element_ruling(view: &View, actor: &Actor, element: NodeId, operation: Operation) -> Ruling {
    let known = view.catalogue.elements.get(&element);
    let rules = known.map_or(&[][..], |known| &known.description.access().rules);
    enter(rules, &actor.subject(None), operation)
}

/// Whether it is allowed on some part of the bucket at least.
pub fn may_some(actor: &Actor, told: &BucketTold, operation: Operation) -> Ruling {
    let rules = BucketRules {
        owner: told.owner.clone(),
        access: told.area.access.clone(),
    };
    rules.allow_somewhere(&actor.subject(None), operation)
}

/// Decides whether the actor may use the bucket, with the reasons. `going_on`:
/// they say that they have used it before.
pub fn decide(
    view: &View,
    actor: &Actor,
    node: &Node,
    told: &BucketTold,
    (operations, going_on): (&[Operation], bool),
) -> Result<Explanation, Problem> {
    let name = format!("{}/{}", node.name, told.area.name);
    let mut checks = Vec::new();
    for operation in operations {
        let needed = format!("{operation} for {}", actor.name);
        let of_element = element_ruling(view, actor, node.id, *operation);
        checks.push(check("rule", needed.clone(), of_element));
        checks.push(check(
            "bucket-rule",
            needed,
            may_some(actor, told, *operation),
        ));
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
        question: format!("May {} use the bucket {name}?", actor.name),
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
