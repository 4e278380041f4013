//! Who may use a database: the Element's rules and the database's own. The Element
//! judges each statement again, table by table and row by row.

use gridmart_fabric::rule::{Ruling, names};
use gridmart_schemas::{
    api::explain::Explanation, problem::Problem, resource::database::Database, role::Operation,
};

use super::kept::{self, Question};
use crate::{
    app::context::Actor,
    catalogue::{View, node::Node},
};

/// Whether it is allowed on some table of the database at least.
pub fn may_some(actor: &Actor, database: &Database, operation: Operation) -> Ruling {
    if database.owner == actor.name {
        return Ruling {
            allowed: true,
            reason: "it is the owner's".to_owned(),
        };
    }
    let subject = actor.subject(None);
    let named = database
        .access
        .rules
        .iter()
        .filter(|rule| names(&rule.who, &subject));
    let mut reason = format!("no rule of the database names {}", actor.name);
    for rule in named {
        let operations = rule.operations.as_deref();
        // Who may write may see what they write.
        let is_allowed = operations.is_none_or(|operations| {
            operations.contains(&operation) || operation == Operation::Read
        });
        if is_allowed {
            let reason = format!("a rule for {} allows {operation}", rule.who);
            return Ruling {
                allowed: true,
                reason,
            };
        }
        reason = format!("the rule for {} does not allow {operation}", rule.who);
    }
    Ruling {
        allowed: false,
        reason,
    }
}

/// Decides whether the actor may use the database, with the reasons.
pub fn decide(
    view: &View,
    actor: &Actor,
    node: &Node,
    database: &Database,
    operations: &[Operation],
) -> Result<Explanation, Problem> {
    let question = Question {
        what: "database",
        name: database.name.as_str(),
        operations,
        going_on: false,
    };
    kept::decide(view, actor, node, &question, |operation| {
        may_some(actor, database, operation)
    })
}
