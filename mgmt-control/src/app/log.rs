//! What applications printed: asked of all Elements that hold the version.

use std::collections::BTreeMap;

use gridmart_schemas::{
    id::NodeId,
    problem::Problem,
    role::Operation,
    wire::control_element::{LogRead, LogsRead},
};

use super::{Control, ELEMENT_ANSWER_MAX, context::Context};
use crate::access::application::{allows, find_version};

/// Bytes of each Host in one answer.
const BYTES_MAX: u32 = 256 * 1024;

/// Reads on from the cursors of an earlier answer; Hosts that it did not name
/// begin with their last lines. People see the lines of their own calls; the
/// owner, operators, and whom a rule names for `logs`, see all.
pub async fn log_read(
    control: &Control,
    context: &Context,
    name: &str,
    cursors: BTreeMap<NodeId, u64>,
) -> Result<LogsRead, Problem> {
    let application = find_version(&control.catalogue.snapshot(), name)?;
    let actor = &context.actor;
    let named = application.manifest.access.rules.iter().any(|rule| {
        rule.operations
            .as_ref()
            .is_some_and(|operations| operations.contains(&Operation::Logs))
    });
    let all = actor.is_operator()
        || application.owner == actor.name
        || (named && allows(&application, actor, Operation::Logs).0);
    let request = LogRead {
        digest: application.digest.clone(),
        owner: (!all).then(|| actor.name.to_string()),
        cursors,
        bytes_max: BYTES_MAX,
    };
    let answers = control
        .streams
        .ask_all(&request, Some(context.request), ELEMENT_ANSWER_MAX)
        .await;
    let mut shown = LogsRead::default();
    for (element, answer) in answers {
        match answer {
            Ok(LogsRead { hosts }) => shown.hosts.extend(hosts),
            Err(problem) => {
                tracing::info!(node.id = %element, problem = %problem, "an Element did not read its logs");
            }
        }
    }
    Ok(shown)
}
