//! Transfers: the Storage Elements are asked what is under way, and told what to
//! end; what has ended is in the store. People see and end their own, operators
//! all.

use gridmart_schemas::{
    api::{
        Page,
        command::CommandView,
        transfer::{TransferRecordsPage, TransferShown, TransfersView},
    },
    id::TransferId,
    problem::Problem,
    role::NodeKind,
    wire::transfer::{
        TransferList, TransferRecord, TransferTerminate, TransferView, TransfersTold,
    },
};

use super::{Control, activity::next_page, context::Context, personal::Personal};
use crate::{
    failure::Failure,
    store::transfer::{self, StoredTransfer, TransferFilter},
};

/// Rows in an answer.
const ROWS_MAX: u32 = 1000;

const TRANSFER: Personal = Personal {
    noun: "transfer",
    nouns: "transfers",
    kind: NodeKind::StorageElement,
    element: "Storage Element",
    action: "transfer.kill",
};

/// Which transfers are meant.
#[derive(Clone, Debug, Default)]
pub struct Meant {
    /// Of the bucket of this name.
    pub bucket: Option<String>,
    /// Of this person.
    pub owner: Option<String>,
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
        owner: TRANSFER.whose(context, meant.owner.as_deref())?,
        bucket: meant.bucket.clone(),
        limit,
    };
    Ok(under_way(control, context, &request).await)
}

async fn under_way(control: &Control, context: &Context, request: &TransferList) -> TransfersView {
    let (answers, silent) = TRANSFER.ask_all(control, context, request).await;
    let told = answers
        .into_iter()
        .flat_map(|TransfersTold { transfers }| transfers);
    let mut transfers: Vec<TransferView> = told.collect();
    transfers.sort_by_key(|row| (row.subject.started, row.subject.transfer));
    transfers.truncate(request.limit as usize);
    TransfersView { transfers, silent }
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
    let owner = TRANSFER.whose(context, meant.owner.as_deref())?;
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
        owner: TRANSFER.whose(context, None)?,
        bucket: None,
        limit: 1,
    };
    let mut shown = under_way(control, context, &request).await;
    if let Some(view) = shown.transfers.pop() {
        return Ok(TransferShown::Running(view));
    }
    match ended(control, context, id).await? {
        Some(record) => Ok(TransferShown::Ended(record)),
        None => Err(TRANSFER.nobody_knows(control, *id.as_uuid()).into()),
    }
}

/// The record of one that the actor may see.
async fn ended(
    control: &Control,
    context: &Context,
    id: TransferId,
) -> Result<Option<TransferRecord>, Failure> {
    let owner = TRANSFER.whose(context, None)?;
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
        owner: TRANSFER.whose(context, None)?,
        by: context.actor.name.clone(),
    };
    let recorded = async { Ok(ended(control, context, id).await?.is_some()) };
    let meant = (*id.as_uuid(), &request);
    TRANSFER.kill(control, context, meant, recorded).await
}
