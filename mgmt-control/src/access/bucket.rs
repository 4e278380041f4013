//! Who may use a bucket: the Element's rules and the bucket's own. The Element
//! judges again, key by key.

use gridmart_fabric::rule::{Ruling, evaluate};
use gridmart_schemas::{
    api::explain::{Candidate, Check, Explanation, Verdict},
    id::NodeId,
    problem::{Code, Problem},
    role::{Desired, Operation, Role},
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
    let ruling = evaluate(rules, &actor.subject(None), operation, None);
    if operation == Operation::Write && actor.role > Role::User {
        return Ruling {
            allowed: false,
            reason: format!("whoever is {} looks at things and writes none", actor.role),
        };
    }
    ruling
}

/// Whether it is allowed on some part of the bucket at least.
pub fn may_some(actor: &Actor, told: &BucketTold, operation: Operation) -> Ruling {
    if told.owner == actor.name {
        return Ruling {
            allowed: true,
            reason: "it is the owner".to_owned(),
        };
    }
    let rules = &told.area.access.rules;
    let subject = actor.subject(None);
    let by_part = rules.iter().map(|rule| {
        let part = rule
            .part
            .as_ref()
            .map(gridmart_schemas::scalar::Text::as_str);
        evaluate(std::slice::from_ref(rule), &subject, operation, part)
    });
    let allowing = by_part.into_iter().find(|ruling| ruling.allowed);
    allowing.unwrap_or_else(|| evaluate(rules, &subject, operation, None))
}

/// Decides whether the actor may use the bucket, with the reasons.
pub fn decide(
    view: &View,
    actor: &Actor,
    node: &Node,
    told: &BucketTold,
    operations: &[Operation],
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
    let in_service = node.wish.desired == Desired::Production;
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

#[cfg(test)]
mod tests {
    use gridmart_schemas::{
        id::BucketId,
        resource::{
            common::{AccessControlBase, AccessRule},
            storage_area::{AreaInfo, StorageArea},
        },
        storage::Redundancy,
    };

    use super::*;

    fn told(rules: Vec<AccessRule>) -> BucketTold {
        let info = AreaInfo::new(Redundancy::replica(3).unwrap());
        let name = "maps".parse().unwrap();
        let mut area = StorageArea::new(BucketId::generate(), name, info).unwrap();
        area.access = AccessControlBase::from_rules(rules);
        BucketTold {
            owner: "ada".parse().unwrap(),
            area,
        }
    }

    fn actor(name: &str, role: Role) -> Actor {
        Actor {
            name: name.parse().unwrap(),
            role,
            domain: None,
        }
    }

    #[test]
    fn the_owner_may_all_and_others_what_some_rule_allows_somewhere() {
        let mut part = AccessRule::new("user:ben".parse().unwrap());
        part.operations = Some(vec![Operation::Read]);
        part.part = Some("public/".parse().unwrap());
        let told = told(vec![part]);
        let may =
            |name: &str, operation| may_some(&actor(name, Role::User), &told, operation).allowed;
        assert!(may("ada", Operation::Read) && may("ada", Operation::Write));
        assert!(may("ben", Operation::Read) && !may("ben", Operation::Write));
        assert!(!may("cyd", Operation::Read));
    }
}
