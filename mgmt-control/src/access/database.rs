//! Who may use a database: the Element's rules and the database's own. The Element
//! judges each statement again, table by table and row by row.

use gridmart_fabric::rule::{self, Ruling};
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
    rule::database::may_some(database, &actor.subject(None), operation)
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
