//! Access to compute: slots without an application in mind.

use gridmart_schemas::{problem::Problem, role::Operation};

use gridmart_fabric::need::Need;

use super::placement::{self, Placement, Question};
use crate::{app::context::Actor, catalogue::View};

/// Decides which Elements serve it.
pub fn decide(
    view: &View,
    actor: &Actor,
    needs: &[Need],
    operations: &[Operation],
) -> Result<Placement, Problem> {
    let needed: Vec<String> = needs
        .iter()
        .map(|need| format!("{} {need}", need.name()))
        .collect();
    let with = if needed.is_empty() {
        String::new()
    } else {
        format!(" with {}", needed.join(", "))
    };
    let words = format!("Which Element gives {} slots{with}?", actor.name);
    placement::place(
        view,
        &Question {
            subject: actor.subject(None),
            application: None,
            needs,
            operations,
            avoid: &[],
            words: &words,
        },
    )
}
