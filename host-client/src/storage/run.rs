//! Starts a storage Host, runs it until it is told to stop, and ends it.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{
    blocks::Blocks,
    bucket::{BucketSettings, BucketVolume},
    care::{Care, ScrubPace},
    config::Config,
    description::Description,
    gate::Gate,
    goods::{SHAPE, Storage},
    ledger::{Ledger, LedgerError, LedgerSettings},
    ledger_door,
    metrics::StorageMetrics,
    volume::{Volume, VolumeError, VolumeSettings},
};
use crate::member::{HostError, Joined, Member};

/// Runs a storage Host until `stop`.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), HostError> {
    let joined = Box::pin(Joined::open(config.member.clone(), SHAPE, &stop)).await?;
    let Some((joined, lock)) = joined else {
        return Ok(());
    };
    let member = Arc::clone(&joined.member);
    let opened = tokio::task::spawn_blocking(move || open(&member, config)).await;
    let storage = opened.map_err(std::io::Error::other);
    let storage = storage.map_err(HostError::system("opening", &"the Host's blocks"))??;
    let served = joined.serve(Arc::new(storage), stop).await;
    drop(lock);
    served
}

/// Opens what lies in the data folder; blocks for the disk.
fn open(member: &Arc<Member>, config: Config) -> Result<Storage, HostError> {
    let Config {
        policy,
        failure_labels,
        scrub_time,
        bucket,
        ..
    } = config;
    let folder = member.data_dir.display();
    let disk = || Arc::clone(&member.disk_watch.disk);
    let blocks = match &bucket {
        Some(bucket) => open_bucket(member, bucket)?,
        None => open_volume(member)?,
    };
    let refused = |error: LedgerError| std::io::Error::other(error);
    let ledger = Ledger::open(disk(), LedgerSettings::new(member.folder("ledger")))
        .map_err(refused)
        .map_err(HostError::system("opening the ledger in", &folder))?;
    let volume = Arc::new(blocks);
    let metrics = StorageMetrics::register(&member.metrics);
    let care = Arc::new(Care::new(
        Arc::clone(member),
        Arc::clone(&volume),
        metrics.clone(),
        policy.max_used_space,
        ScrubPace::within(scrub_time),
    ));
    care.look_at_room();
    let gate = Gate::new(Arc::clone(member), policy.max_streams);
    let description = Description::new(
        Arc::clone(member),
        Arc::clone(&volume),
        Arc::clone(&care),
        policy,
        failure_labels,
    )?;
    Ok(Storage {
        member: Arc::clone(member),
        volume,
        ledger: Arc::new(ledger),
        ledger_places: ledger_door::Places::default(),
        gate,
        description,
        care,
        metrics,
    })
}

/// Opens the blocks on the disk.
fn open_volume(member: &Member) -> Result<Blocks, HostError> {
    let folder = member.data_dir.display();
    let refused = |error: VolumeError| std::io::Error::other(error);
    // Nothing is put before the room is looked at.
    let settings = VolumeSettings::new(member.folder("volume"), 0);
    let disk = Arc::clone(&member.disk_watch.disk);
    let (volume, report) = Volume::open(disk, &settings)
        .map_err(refused)
        .map_err(HostError::system("opening the blocks in", &folder))?;
    tracing::info!(
        blocks = report.blocks,
        segments_read = report.segments_read,
        damage = report.damage.len(),
        "the Host's blocks are found"
    );
    Ok(Blocks::Disk(volume))
}

/// Opens the blocks in a bucket of another store.
fn open_bucket(member: &Member, bucket: &BucketSettings) -> Result<Blocks, HostError> {
    let shown = bucket.shown();
    let opened = BucketVolume::open(bucket, member.node);
    let volume = opened
        .map_err(std::io::Error::other)
        .map_err(HostError::system("opening the blocks in", &shown))?;
    tracing::info!(
        blocks = volume.blocks(),
        place = shown,
        "the Host's blocks are found in a bucket"
    );
    Ok(Blocks::Bucket(volume))
}
