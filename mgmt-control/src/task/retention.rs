//! Bounds what the store keeps: records of calls, progress of maps, tokens
//! whose time is over.

use std::{sync::Arc, time::Duration};

use gridmart_fabric::causes::with_causes;

use crate::{
    app::Control,
    failure::Failure,
    store::{
        event::{self, EVENTS_MAX},
        record::{self, Retention},
    },
};

/// Name on the task board.
const NAME: &str = "retention";
/// Time between two runs.
const INTERVAL: Duration = Duration::from_mins(5);
/// Rows of map progress kept: one per map and Host.
const JOB_ROWS_MAX: u64 = 100_000;
/// A batch is not repeated after so long: its sender has given up or restarted.
const BATCH_MEMORY: time::Duration = time::Duration::days(1);

/// Runs until the controller goes down.
pub(crate) async fn run(control: Arc<Control>, call_records_max: u64) {
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while control
        .shutdown
        .run_until_cancelled(tick.tick())
        .await
        .is_some()
    {
        let result = retain(&control, call_records_max)
            .await
            .map_err(|error| with_causes(&error));
        if let Err(error) = &result {
            tracing::error!(error, "old rows could not be removed");
        }
        control.tasks.on_run(NAME, &result);
    }
}

async fn retain(control: &Control, call_records: u64) -> Result<String, Failure> {
    let removed = control
        .catalogue
        .update(move |update| {
            update.remove_expired_tokens()?;
            let retention = Retention {
                call_records,
                job_rows: JOB_ROWS_MAX,
                batches_since: update.now() - BATCH_MEMORY,
            };
            let events = event::event_retain(update.transaction(), EVENTS_MAX)?;
            Ok(events + record::retain(update.transaction(), retention)?)
        })
        .await?;
    Ok(format!("{removed} rows removed"))
}
