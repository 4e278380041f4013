//! What runs and waits now, and what has ended.

use std::time::Instant;

use gridmart_schemas::{
    api::{
        Page,
        activity::{ActivitiesView, CallView, CallsPage, JobView},
        live::{LiveCalls, Topic},
    },
    id::{CallId, Incarnation, JobId, NodeId},
    problem::{Code, Problem},
    wire::{
        control_element::{Activities, ActivityList},
        record::{CallRecord, CallRecords, JobProgress},
    },
};

use super::{Control, ELEMENT_ANSWER_MAX, context::Context};
use crate::{
    failure::Failure,
    feed::ring::Audience,
    store::{
        record::{self, StoredRecord},
        sql_session, transfer,
    },
};

/// Records of one batch that are told live.
const ENDED_MAX: usize = 100;
/// Rows in an answer.
pub const ROWS_MAX: u32 = 1000;

/// Lists what runs and waits on all Elements that answer.
pub async fn activity_list(
    control: &Control,
    context: &Context,
    application: Option<&str>,
    limit: u32,
) -> ActivitiesView {
    let limit = limit.clamp(1, ROWS_MAX);
    let request = ActivityList { limit };
    let answers = control
        .streams
        .ask_all(&request, Some(context.request), ELEMENT_ANSWER_MAX)
        .await;
    let view = control.catalogue.view();
    let mut shown = ActivitiesView::default();
    let mut heard = Vec::new();
    for (element, answer) in answers {
        match answer {
            Ok(Activities { activities }) => {
                heard.push(element);
                shown
                    .activities
                    .extend(activities.into_iter().filter(|row| {
                        application.is_none_or(|application| row.application == application)
                    }));
            }
            Err(problem) => {
                tracing::info!(node.id = %element, problem = %problem, "an Element did not list its activities");
            }
        }
    }
    shown.activities.truncate(limit as usize);
    shown.silent = view
        .catalogue
        .live_computing_elements()
        .filter(|(node, _)| !heard.contains(&node.id))
        .map(|(node, _)| node.name.clone())
        .collect();
    shown
}

/// Lists ended calls, newest first.
pub async fn call_list(
    control: &Control,
    application: Option<String>,
    before: Option<u64>,
    limit: u32,
) -> Result<CallsPage, Failure> {
    let limit = limit.clamp(1, ROWS_MAX);
    let rows = control
        .catalogue
        .read(move |store| record::call_record_page(store, application.as_deref(), before, limit))
        .await?;
    let next = next_page(&rows, limit, |row: &StoredRecord| row.sequence);
    Ok(Page {
        items: rows.into_iter().map(|row| row.record).collect(),
        next,
    })
}

/// Where a listing by falling number is read on.
pub fn next_page<T>(rows: &[T], limit: u32, number: impl Fn(&T) -> u64) -> Option<String> {
    let full = rows.len() >= limit as usize;
    rows.last()
        .filter(|_| full)
        .map(|last| number(last).to_string())
}

/// Shows all attempts of a call that has ended.
pub async fn call_view(control: &Control, call: CallId) -> Result<CallView, Failure> {
    let attempts = control
        .catalogue
        .read(move |store| record::call_record_of(store, call))
        .await?;
    if attempts.is_empty() {
        let detail = format!("No record of the call {call} is here; it may run still.");
        return Err(Problem::new(Code::UnknownCall, detail).into());
    }
    Ok(CallView { attempts })
}

/// Shows what is known of a map.
pub async fn job_view(control: &Control, job: JobId) -> Result<JobView, Failure> {
    let hosts = control
        .catalogue
        .read(move |store| record::job_progress_of(store, job))
        .await?;
    Ok(JobView { hosts })
}

/// Records what ended on an Element's Hosts. A batch that is in already
/// changes nothing, and is acknowledged again.
pub async fn record_batch(
    control: &Control,
    element: NodeId,
    incarnation: Incarnation,
    batch: CallRecords,
) -> Result<(), Failure> {
    let CallRecords {
        sequence,
        records,
        jobs,
        mut transfers,
        mut sql_sessions,
        told: _,
    } = batch;
    for record in &mut transfers {
        // Nobody tells of others' transfers.
        record.subject.element = element;
    }
    for record in &mut sql_sessions {
        record.subject.element = element;
    }
    let ended = records.len() as u64;
    let recorded = control
        .catalogue
        .update(move |update| {
            let store = update.transaction();
            if !record::record_batch_insert(store, element, incarnation, sequence, update.now())? {
                return Ok(None);
            }
            for record in &records {
                record::call_record_insert(store, record)?;
            }
            for record in &transfers {
                transfer::transfer_record_insert(store, record)?;
            }
            for record in &sql_sessions {
                sql_session::sql_session_record_insert(store, record)?;
            }
            for progress in &jobs {
                record::job_progress_add(store, progress, update.now())?;
            }
            Ok(Some((records, jobs)))
        })
        .await?;
    if let Some((records, jobs)) = recorded {
        tell_ended(control, records, &jobs);
    }
    control.metrics.call_records.inc_by(ended);
    Ok(())
}

/// What ended counts, and is told to whoever watches calls.
fn tell_ended(control: &Control, mut records: Vec<CallRecord>, jobs: &[JobProgress]) {
    let feed = &control.feed;
    feed.pulse.on_records(&records, jobs, Instant::now());
    if records.is_empty() || !feed.seats.reads(Topic::Calls) {
        return;
    }
    records.truncate(ENDED_MAX);
    let delta = LiveCalls {
        ended: records,
        ..LiveCalls::default()
    };
    feed.tell(Topic::Calls, Audience::All, &delta);
}
