//! Who may use a bucket: the Element's rules and the bucket's own. The Element
//! judges again, key by key.

use gridmart_fabric::rule::{Ruling, bucket::BucketRules};
use gridmart_schemas::{
    api::explain::Explanation, problem::Problem, role::Operation, wire::bucket::BucketTold,
};

use super::kept::{self, Question};
use crate::{
    app::context::Actor,
    catalogue::{View, node::Node},
};

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
    let question = Question {
        what: "bucket",
        name: told.area.name.as_str(),
        operations,
        going_on,
    };
    kept::decide(view, actor, node, &question, |operation| {
        may_some(actor, told, operation)
    })
}
