//! What lies in a Host's data folder.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use gridmart_fabric::disk::{Disk, RealDisk};

use super::{
    command::Commands,
    deploy::{Deployer, PackageSource},
    disk_watch::DiskWatch,
    error::HostError,
    folder::folder_removed,
    log::LogBook,
    record::Recorder,
    spool::SpoolRoom,
};

/// What lies in the data folder.
pub(crate) struct Stores {
    pub(crate) disk_watch: Arc<DiskWatch>,
    pub(crate) commands: Arc<Commands>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) logs: LogBook,
    pub(crate) spools: Arc<SpoolRoom>,
    pub(crate) deployer: Arc<Deployer>,
    pub(crate) sandbox_folder: PathBuf,
}

impl Stores {
    pub(crate) fn open(data: &Path, source: PackageSource) -> Result<Self, HostError> {
        let fault = |action: &'static str, path: &Path| {
            let target = path.display().to_string();
            move |source| HostError::System {
                action,
                target,
                source,
            }
        };
        let sandbox_folder = data.join("sandboxes");
        // What an earlier start has left: its sandboxes died with it.
        if let Err(error) = folder_removed(&sandbox_folder) {
            // Names of sandboxes are never used twice.
            tracing::warn!(folder = %sandbox_folder.display(), %error, "what an earlier start has left cannot be removed");
        }
        fs::create_dir_all(&sandbox_folder).map_err(fault("making", &sandbox_folder))?;
        let desired = data.join("desired.json");
        let (records, logs, spools, packages) = (
            data.join("records"),
            data.join("logs"),
            data.join("spools"),
            data.join("packages"),
        );
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let disk_watch = DiskWatch::new(Arc::clone(&disk), &spools);
        let commands = Commands::open(Arc::clone(&disk_watch), &desired);
        let recorder = Recorder::open(Arc::clone(&disk), Arc::clone(&disk_watch), &records);
        let room = SpoolRoom::open(Arc::clone(&disk), Arc::clone(&disk_watch), &spools);
        Ok(Self {
            disk_watch,
            commands: Arc::new(commands.map_err(fault("reading", &desired))?),
            recorder: Arc::new(recorder.map_err(fault("opening", &records))?),
            logs: LogBook::open(&logs).map_err(fault("opening", &logs))?,
            spools: room.map_err(fault("opening", &spools))?,
            deployer: Arc::new(
                Deployer::open(&packages, source).map_err(fault("opening", &packages))?,
            ),
            sandbox_folder,
        })
    }
}
