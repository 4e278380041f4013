//! Ending single calls and maps, on whichever Element they run.

use gridmart_schemas::{
    api::command::{Command, CommandView},
    id::{CallId, JobId},
    problem::{Code, Problem},
    wire::control_element::{Activities, ActivityList, CallTerminate, JobTerminate, Terminated},
};

use super::{Control, ELEMENT_ANSWER_MAX, applied::element_connected, context::Context};
use crate::{failure::Failure, store::record};

/// Rows that are searched for the owner of a call.
const ACTIVITY_ROWS_MAX: u32 = 10_000;

/// Ends one call.
pub async fn call_kill(
    control: &Control,
    context: &Context,
    call: CallId,
) -> Result<CommandView, Failure> {
    let records = control
        .catalogue
        .read(move |store| record::call_record_of(store, call))
        .await?;
    let owner = records.first().map(|record| record.owner.to_string());
    let owner = match owner {
        Some(owner) => Some(owner),
        None if context.actor.is_operator() => None,
        None => match control.explanations.ended_by(*call.as_uuid()) {
            Some(person) => Some(person.to_string()),
            None => activity_owner(control, context, &call.to_string(), None).await,
        },
    };
    ownership(context, owner.as_deref(), &format!("call {call}"))?;
    let by = context.actor.name.to_string();
    let entry = context.act("call.kill", call.to_string());
    let ended = terminate(control, context, &CallTerminate { call, by }).await;
    let id = *call.as_uuid();
    if ended == 0 && records.is_empty() && control.explanations.ended_by(id).is_none() {
        let problem = nobody_knows(control, &format!("the call {call}"));
        control.audit_refusal(entry, problem.code.as_str()).await;
        return Err(problem.into());
    }
    control.administer(entry, |_| Ok(())).await?;
    control
        .explanations
        .keep_ended(context, id, &format!("call {call}"));
    Ok(ended_view(call.to_string(), ended))
}

/// Ends all parts of a map, waiting ones included.
pub async fn job_kill(
    control: &Control,
    context: &Context,
    job: JobId,
) -> Result<CommandView, Failure> {
    let progress = control
        .catalogue
        .read(move |store| record::job_progress_of(store, job))
        .await?;
    let owner = progress.first().map(|progress| progress.owner.to_string());
    let owner = match owner {
        Some(owner) => Some(owner),
        None if context.actor.is_operator() => None,
        None => match control.explanations.ended_by(*job.as_uuid()) {
            Some(person) => Some(person.to_string()),
            None => activity_owner(control, context, "", Some(job)).await,
        },
    };
    ownership(context, owner.as_deref(), &format!("map {job}"))?;
    let by = context.actor.name.to_string();
    let entry = context.act("job.kill", job.to_string());
    let ended = terminate(control, context, &JobTerminate { job, by }).await;
    let id = *job.as_uuid();
    if ended == 0 && progress.is_empty() && control.explanations.ended_by(id).is_none() {
        let problem = nobody_knows(control, &format!("the map {job}"));
        control.audit_refusal(entry, problem.code.as_str()).await;
        return Err(problem.into());
    }
    control.administer(entry, |_| Ok(())).await?;
    control
        .explanations
        .keep_ended(context, id, &format!("map {job}"));
    Ok(ended_view(job.to_string(), ended))
}

/// People end their own calls, operators all.
fn ownership(context: &Context, owner: Option<&str>, what: &str) -> Result<(), Problem> {
    let own = owner == Some(context.actor.name.as_str());
    if own || context.actor.is_operator() {
        return Ok(());
    }
    // Calls of others are not even told to exist.
    Err(Problem::new(
        Code::UnknownCall,
        format!("There is no {what} of {}.", context.actor.name),
    ))
}

/// An Element that is away may know it; then it is worth another try.
fn nobody_knows(control: &Control, what: &str) -> Problem {
    let view = control.catalogue.view();
    let away: Vec<&str> = view
        .catalogue
        .live_computing_elements()
        .filter(|(node, _)| !element_connected(&view, node.id))
        .map(|(node, _)| node.name.as_str())
        .collect();
    if away.is_empty() {
        return Problem::new(Code::UnknownCall, format!("No Element knows {what}."));
    }
    let detail = format!(
        "No Element that is there knows {what}; away: {}.",
        away.join(", ")
    );
    Problem::new(Code::ElementDown, detail)
}

async fn activity_owner(
    control: &Control,
    context: &Context,
    id: &str,
    job: Option<JobId>,
) -> Option<String> {
    let request = ActivityList {
        limit: ACTIVITY_ROWS_MAX,
    };
    let answers = control
        .streams
        .ask_all(&request, Some(context.request), ELEMENT_ANSWER_MAX)
        .await;
    let rows = answers
        .into_iter()
        .filter_map(|(_, answer)| answer.ok())
        .flat_map(|Activities { activities }| activities);
    rows.into_iter()
        .find(|row| row.id == id || (job.is_some() && row.job == job))
        .map(|row| row.owner)
}

async fn terminate<R>(control: &Control, context: &Context, request: &R) -> u64
where
    R: gridmart_schemas::wire::Request<Answer = Terminated>,
{
    let answers = control
        .streams
        .ask_all(request, Some(context.request), ELEMENT_ANSWER_MAX)
        .await;
    answers
        .into_iter()
        .filter_map(|(_, answer)| answer.ok())
        .map(|Terminated { ended }| ended)
        .sum()
}

fn ended_view(target: String, ended: u64) -> CommandView {
    CommandView {
        command: Command::Kill.as_str().to_owned(),
        target,
        wish: None,
        status: "applied".to_owned(),
        waiting_for: Vec::new(),
        ended: Some(ended),
    }
}
