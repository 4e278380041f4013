//! Transfers: the Storage Elements are asked what is under way, and told what to
//! end; what has ended is in the store. People see and end their own, operators
//! all.

use gridmart_schemas::{
    api::{
        Page,
        command::{Command, CommandView},
        transfer::{TransferRecordsPage, TransferShown, TransfersView},
    },
    id::{PersonName, TransferId},
    problem::{Code, Problem},
    role::NodeKind,
    wire::{
        control_element::Terminated,
        transfer::{TransferList, TransferTerminate, TransferView, TransfersTold},
    },
};

use super::{
    Control, ELEMENT_ANSWER_MAX, activity::next_page, applied::element_connected, context::Context,
};
use crate::{
    failure::Failure,
    store::transfer::{self, StoredTransfer, TransferFilter},
};

/// Rows in an answer.
const ROWS_MAX: u32 = 1000;

/// Which transfers are meant.
#[derive(Clone, Debug, Default)]
pub struct Meant {
    /// Of the bucket of this name.
    pub bucket: Option<String>,
    /// Of this person.
    pub owner: Option<String>,
}

/// Whose transfers may be seen: those of the one who is named, if they may be.
fn owner_seen(context: &Context, named: Option<&str>) -> Result<Option<PersonName>, Problem> {
    let actor = &context.actor;
    match named {
        None if actor.is_operator() => Ok(None),
        None => Ok(Some(actor.name.clone())),
        Some(name) if actor.is_operator() || name == actor.name.as_str() => {
            let read = name.parse().map(Some);
            read.map_err(|_| {
                let shown: String = name.chars().take(80).collect();
                Problem::new(
                    Code::InvalidRequest,
                    format!("{shown:?} is no person's name."),
                )
            })
        }
        Some(_) => Err(Problem::new(
            Code::NotAuthorized,
            "People see their own transfers; those of others are for operators.",
        )),
    }
}

/// Lists what is under way on all Storage Elements that answer.
pub async fn transfer_list(
    control: &Control,
    context: &Context,
    meant: &Meant,
    limit: u32,
) -> Result<TransfersView, Problem> {
    let limit = limit.clamp(1, ROWS_MAX);
    let request = TransferList {
        transfer: None,
        owner: owner_seen(context, meant.owner.as_deref())?,
        bucket: meant.bucket.clone(),
        limit,
    };
    Ok(under_way(control, context, &request).await)
}

async fn under_way(control: &Control, context: &Context, request: &TransferList) -> TransfersView {
    let on_behalf = Some(context.request);
    let asked = control
        .streams
        .ask_all(request, on_behalf, ELEMENT_ANSWER_MAX);
    let mut shown = TransfersView::default();
    let mut heard = Vec::new();
    for (element, answer) in asked.await {
        // Elements of other kinds do not know the question.
        if let Ok(TransfersTold { transfers }) = answer {
            heard.push(element);
            shown.transfers.extend(transfers);
        }
    }
    let key = |row: &TransferView| (row.subject.started, row.subject.transfer);
    shown.transfers.sort_by_key(key);
    shown.transfers.truncate(request.limit as usize);
    let view = control.catalogue.view();
    let nodes = view.catalogue.nodes.values();
    let silent = nodes.filter(|node| {
        node.kind == NodeKind::StorageElement && !node.revoked && !heard.contains(&node.id)
    });
    shown.silent = silent.map(|node| node.name.clone()).collect();
    shown.silent.sort();
    shown
}

/// Lists ended ones, newest first.
pub async fn transfer_record_list(
    control: &Control,
    context: &Context,
    meant: Meant,
    before: Option<u64>,
    limit: u32,
) -> Result<TransferRecordsPage, Failure> {
    let limit = limit.clamp(1, ROWS_MAX);
    let owner = owner_seen(context, meant.owner.as_deref())?;
    let filter = TransferFilter {
        owner: owner.map(|owner| owner.to_string()),
        bucket: meant.bucket,
    };
    let rows = control
        .catalogue
        .read(move |store| transfer::transfer_record_page(store, &filter, before, limit))
        .await?;
    let next = next_page(&rows, limit, |row: &StoredTransfer| row.sequence);
    Ok(Page {
        items: rows.into_iter().map(|row| row.record).collect(),
        next,
    })
}

/// Shows one, under way or ended.
pub async fn transfer_view(
    control: &Control,
    context: &Context,
    id: TransferId,
) -> Result<TransferShown, Failure> {
    let request = TransferList {
        transfer: Some(id),
        owner: owner_seen(context, None)?,
        bucket: None,
        limit: 1,
    };
    let mut shown = under_way(control, context, &request).await;
    if let Some(view) = shown.transfers.pop() {
        return Ok(TransferShown::Running(view));
    }
    match ended(control, context, id).await? {
        Some(record) => Ok(TransferShown::Ended(record)),
        None => Err(nobody_knows(control, id).into()),
    }
}

/// The record of one that the actor may see.
async fn ended(
    control: &Control,
    context: &Context,
    id: TransferId,
) -> Result<Option<gridmart_schemas::wire::transfer::TransferRecord>, Failure> {
    let owner = owner_seen(context, None)?;
    let read = control
        .catalogue
        .read(move |store| transfer::transfer_record_of(store, id));
    let found = read.await?;
    Ok(found.filter(|record| owner.is_none() || record.subject.owner == owner))
}

/// Ends one.
pub async fn transfer_kill(
    control: &Control,
    context: &Context,
    id: TransferId,
) -> Result<CommandView, Failure> {
    let request = TransferTerminate {
        transfer: id,
        owner: owner_seen(context, None)?,
        by: context.actor.name.clone(),
    };
    let entry = context.act("transfer.kill", id.to_string());
    let ended = match terminate(control, context, &request).await {
        Ok(ended) => ended,
        Err(problem) => {
            control.audit_refusal(entry, problem.code.as_str()).await;
            return Err(problem.into());
        }
    };
    let uuid = *id.as_uuid();
    let is_known = ended > 0
        || control.explanations.ended_by(uuid).as_ref() == Some(&context.actor.name)
        || self::ended(control, context, id).await?.is_some();
    if !is_known {
        let problem = nobody_knows(control, id);
        control.audit_refusal(entry, problem.code.as_str()).await;
        return Err(problem.into());
    }
    control.administer(entry, |_| Ok(())).await?;
    control
        .explanations
        .keep_ended(context, uuid, &format!("transfer {id}"));
    Ok(CommandView {
        command: Command::Kill.as_str().to_owned(),
        target: id.to_string(),
        wish: None,
        status: "applied".to_owned(),
        waiting_for: Vec::new(),
        ended: Some(ended),
    })
}

/// How many were ended; what an Element says that could not do it.
async fn terminate(
    control: &Control,
    context: &Context,
    request: &TransferTerminate,
) -> Result<u64, Problem> {
    let on_behalf = Some(context.request);
    let asked = control
        .streams
        .ask_all(request, on_behalf, ELEMENT_ANSWER_MAX);
    let mut sum = 0;
    let mut failed = None;
    for (_, answer) in asked.await {
        match answer {
            Ok(Terminated { ended }) => sum += ended,
            // Elements of other kinds do not know the question.
            Err(problem) if problem.code == Code::UnknownMessage => {}
            Err(problem) => failed = Some(problem),
        }
    }
    match failed {
        Some(problem) if sum == 0 => Err(problem),
        _ => Ok(sum),
    }
}

/// An Element that is away may know it; then it is worth another try.
fn nobody_knows(control: &Control, id: TransferId) -> Problem {
    let view = control.catalogue.view();
    let nodes = view.catalogue.nodes.values();
    let away: Vec<&str> = nodes
        .filter(|node| node.kind == NodeKind::StorageElement && !node.revoked)
        .filter(|node| !element_connected(&view, node.id))
        .map(|node| node.name.as_str())
        .collect();
    if away.is_empty() {
        let detail = format!("No Storage Element knows the transfer {id}.");
        return Problem::new(Code::NotFound, detail);
    }
    let detail = format!(
        "No Storage Element that is there knows the transfer {id}; away: {}.",
        away.join(", ")
    );
    Problem::new(Code::ElementDown, detail)
}
