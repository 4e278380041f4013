//! Snapshots of the store on the Hosts with the log: so that the log can be cut,
//! and for Hosts that miss more than is left of it.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gridmart_fabric::causes::with_causes;
use gridmart_schemas::id::NodeId;

use super::{hosts::LogHosts, members::Members};
use crate::storage::metadata::{
    FanOut, Replica, SnapshotHead, Writer, snapshot_export, snapshot_read,
};

/// How often it is looked whether one is needed.
const LOOK_PAUSE: Duration = Duration::from_secs(2);
/// How long nothing is tried after one that went wrong.
const FAILURE_PAUSE: Duration = Duration::from_mins(1);
/// The file in which one is made, beside the store.
const FILE: &str = "metadata.snapshot";

/// When the log is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Never before it has so many bytes of records.
    pub(super) least: u64,
    /// Always when it has so many: less than Hosts keep.
    pub(super) most: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            least: 64 * 1024 * 1024,
            most: 1024 * 1024 * 1024,
        }
    }
}

impl Bounds {
    /// Part of the store that the log may be: sending the whole costs no more
    /// than four times what the records did.
    const PART: u64 = 4;

    fn is_full(self, log_bytes: u64, store_bytes: u64) -> bool {
        log_bytes > (store_bytes / Self::PART).clamp(self.least, self.most)
    }
}

/// See the module.
pub(super) struct Snapshots {
    pub(super) store: PathBuf,
    pub(super) bounds: Bounds,
    pub(super) hosts: LogHosts,
    pub(super) fan_out: Arc<FanOut>,
    pub(super) writer: Writer,
    pub(super) members: Arc<Members>,
}

/// What a look has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// None was needed.
    Nothing,
    /// These have one now.
    To(BTreeSet<NodeId>),
}

impl Snapshots {
    /// Sends them whenever they are needed.
    pub(super) async fn tend(&self) {
        loop {
            let pause = match self.look().await {
                Ok(Sent::Nothing) => LOOK_PAUSE,
                Ok(Sent::To(hosts)) => {
                    tracing::info!(
                        hosts = hosts.len(),
                        "a snapshot of the metadata is on Hosts"
                    );
                    LOOK_PAUSE
                }
                Err(why) => {
                    tracing::warn!(why, "no snapshot of the metadata; it is tried again");
                    FAILURE_PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends one to those that need it; to all, and cuts the log, if that is
    /// long.
    pub(super) async fn look(&self) -> Result<Sent, String> {
        let behind: BTreeSet<NodeId> = self.fan_out.behind().into_iter().collect();
        let log_bytes = self.writer.progress().log_bytes();
        let store_bytes = fs::metadata(&self.store).map_or(0, |found| found.len());
        let is_full = self.bounds.is_full(log_bytes, store_bytes);
        let wanted = if is_full {
            let following = self.fan_out.following().into_iter();
            following.map(|one| one.host).collect()
        } else {
            behind
        };
        if wanted.is_empty() {
            return Ok(Sent::Nothing);
        }
        let (head, have) = self.send(wanted).await?;
        if is_full {
            let membership = self.members.membership().await;
            let missing = membership.missing(&have, |set| set.wanted);
            if let Some(set) = missing {
                return Err(format!(
                    "{} of {} Hosts have taken it, and {} must before the log is cut",
                    set.count(&have),
                    set.hosts.len(),
                    set.wanted
                ));
            }
            let cut = self.writer.log_cut(head.position.sequence).await;
            cut.map_err(|error| error.to_string())?;
        }
        if have.is_empty() {
            return Err("no Host has taken it".to_owned());
        }
        // They follow again from there.
        let assured = self.writer.assure().await;
        assured.map_err(|error| error.to_string())?;
        Ok(Sent::To(have))
    }

    /// Makes one, and sends it; gives who has it.
    async fn send(&self, to: BTreeSet<NodeId>) -> Result<(SnapshotHead, BTreeSet<NodeId>), String> {
        let (store, hosts, writer) = (self.store.clone(), self.hosts.clone(), self.writer.clone());
        let sending = tokio::task::spawn_blocking(move || {
            let file = store.with_file_name(FILE);
            discard(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            let head = snapshot_export(&store, &file).map_err(|error| with_causes(&error))?;
            let have = to.into_iter().filter(|host| {
                let replica = (hosts.replica)(*host);
                match put(&*replica, &writer, &head, &file) {
                    Ok(()) => true,
                    Err(why) => {
                        tracing::warn!(%host, why, "a Host has not taken a snapshot of the metadata");
                        false
                    }
                }
            });
            let have = have.collect();
            if let Err(error) = discard(&file) {
                tracing::warn!(%error, path = %file.display(), "a snapshot that was sent stays");
            }
            Ok((head, have))
        });
        sending.await.map_err(|error| error.to_string())?
    }
}

fn put(
    replica: &dyn Replica,
    writer: &Writer,
    head: &SnapshotHead,
    file: &Path,
) -> Result<(), String> {
    let mut content = snapshot_read(file, head).map_err(|error| with_causes(&error))?;
    let epoch = writer.progress().epoch();
    let sent = replica.snapshot_put(epoch, head, &mut content);
    sent.map_err(|error| error.to_string())
}

fn discard(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
