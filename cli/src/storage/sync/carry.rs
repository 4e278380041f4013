//! Files and objects, carried some at a time.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{StreamExt as _, stream};
use gridmart_sdk::{Storage, TransferProgress};

use super::{
    HASH, Report, TIME, Way,
    local::{hash, make_folders, path_of, set_changed, time_text},
    plan::{Changed, Entry, Side},
};
use crate::{failure::Failure, progress::Progress};

/// Transfers at a time.
const TRANSFERS_MAX: usize = 4;
/// After so many failures the rest is not tried any more.
const FAILURES_MAX: usize = 20;

/// Carries files and objects.
pub(super) struct Carrier {
    pub(super) storage: Storage,
    pub(super) bucket: String,
    pub(super) prefix: String,
    pub(super) folder: PathBuf,
    pub(super) way: Way,
    /// Hashes are kept with objects.
    pub(super) hashed: bool,
}

/// How far all of them are.
#[derive(Clone)]
struct Sum {
    done: Arc<AtomicU64>,
    total: u64,
    bar: Progress,
}

impl Sum {
    /// Counts one transfer.
    fn counter(&self) -> impl Fn(TransferProgress) + Send + Sync + 'static {
        let (sum, last) = (self.clone(), AtomicU64::new(0));
        move |state| {
            let before = last.fetch_max(state.done, Ordering::Relaxed);
            let more = state.done.saturating_sub(before);
            let done = sum.done.fetch_add(more, Ordering::Relaxed) + more;
            sum.bar.set(done, Some(sum.total), String::new());
        }
    }
}

impl Carrier {
    /// Does what is planned; goes on after a failure, and tells the first one.
    pub(super) async fn carry_out(
        &self,
        source: &Side,
        carried: Vec<(String, u64)>,
        removed: Vec<String>,
        bar: &Progress,
        report: &mut Report,
    ) -> Option<Failure> {
        let sum = Sum {
            done: Arc::default(),
            total: carried.iter().map(|(_, bytes)| bytes).sum(),
            bar: bar.clone(),
        };
        let mut first = None;
        let transfers = carried.into_iter().filter_map(|(name, bytes)| {
            let (entry, sum) = (source.get(&name)?, &sum);
            Some(async move {
                let done = self.carry(&name, entry, sum).await;
                (name, bytes, done)
            })
        });
        let mut transfers = stream::iter(transfers).buffer_unordered(TRANSFERS_MAX);
        while let Some((name, bytes, done)) = transfers.next().await {
            match done {
                Ok(()) => {
                    report.bytes += bytes;
                    report.carried.push(name);
                }
                Err(failure) => note(report, &mut first, &name, failure),
            }
            if report.failed.len() >= FAILURES_MAX {
                break;
            }
        }
        drop(transfers);
        // What failed to come is no reason to delete anything.
        if first.is_some() {
            return first;
        }
        for name in removed {
            match self.remove(&name).await {
                Ok(()) => report.deleted.push(name),
                Err(failure) => {
                    note(report, &mut first, &name, failure);
                    break;
                }
            }
        }
        report.carried.sort();
        first
    }

    async fn carry(&self, name: &str, entry: &Entry, sum: &Sum) -> Result<(), Failure> {
        let key = format!("{}{name}", self.prefix);
        let path = path_of(&self.folder, name)
            .ok_or_else(|| Failure::local(format!("{name} is no name of a file")))?;
        let (Changed::At(time) | Changed::PutAt(time)) = entry.changed;
        match self.way {
            Way::Up => {
                let mut put = self.storage.put(&self.bucket, key).resume();
                put = put
                    .metadata(TIME, time_text(time))
                    .on_progress(sum.counter());
                if self.hashed {
                    let (known, at) = (entry.hash.clone(), path.clone());
                    let hash = match known {
                        Some(hash) => hash,
                        None => apart(move || hash(&at)).await?,
                    };
                    put = put.metadata(HASH, hash);
                }
                put.file(path).await?;
            }
            Way::Down => {
                let (folder, at) = (self.folder.clone(), name.to_owned());
                apart(move || make_folders(&folder, &at)).await?;
                let get = self
                    .storage
                    .get(&self.bucket, key)
                    .on_progress(sum.counter());
                get.file(&path).await?;
                let changed = entry.changed;
                apart(move || set_changed(&path, changed)).await?;
            }
        }
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<(), Failure> {
        match self.way {
            Way::Up => {
                let key = format!("{}{name}", self.prefix);
                self.storage.delete(&self.bucket, &key).await?;
            }
            Way::Down => {
                if let Some(path) = path_of(&self.folder, name) {
                    apart(move || std::fs::remove_file(path)).await?;
                }
            }
        }
        Ok(())
    }
}

fn note(report: &mut Report, first: &mut Option<Failure>, name: &str, failure: Failure) {
    report.failed.push(format!("{name}: {}", failure.brief()));
    first.get_or_insert(failure);
}

async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(anyhow::Error::from)??)
}
