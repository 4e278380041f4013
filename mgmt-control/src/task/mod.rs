//! Background tasks: each has an owner that stops and awaits it, takes no
//! input but what is stored, and shows here what it last did.

pub(crate) mod call_watch;
pub(crate) mod element_sync;
pub(crate) mod feed;
pub(crate) mod renewal;
pub(crate) mod retention;
pub(crate) mod store_watch;

use std::collections::BTreeMap;

use gridmart_schemas::api::task::TaskRow;
use parking_lot::Mutex;
use time::OffsetDateTime;

/// Runs of all tasks.
#[derive(Default)]
pub struct TaskBoard {
    rows: Mutex<BTreeMap<&'static str, TaskRow>>,
}

impl TaskBoard {
    /// Notes a run and how it ended.
    pub fn on_run<E: std::fmt::Display>(&self, name: &'static str, result: &Result<String, E>) {
        let now = OffsetDateTime::now_utc();
        let mut rows = self.rows.lock();
        let row = rows.entry(name).or_insert_with(|| TaskRow {
            name: name.to_owned(),
            runs: 0,
            last_run: now,
            last_result: String::new(),
            last_error: None,
            last_error_time: None,
        });
        row.runs += 1;
        row.last_run = now;
        match result {
            Ok(done) => row.last_result.clone_from(done),
            Err(error) => {
                row.last_error = Some(error.to_string());
                row.last_error_time = Some(now);
            }
        }
    }

    /// All tasks that have run.
    pub fn list(&self) -> Vec<TaskRow> {
        self.rows.lock().values().cloned().collect()
    }
}
