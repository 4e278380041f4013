//! What lies in a Host's data folder.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    command::Commands,
    deploy::{Deployer, PackageSource},
    error::HostError,
    folder::folder_removed,
    log::LogBook,
    record::Recorder,
    spool::SpoolRoom,
};

/// What lies in the data folder.
pub(crate) struct Stores {
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
        Ok(Self {
            commands: Arc::new(Commands::open(&desired).map_err(fault("reading", &desired))?),
            recorder: Arc::new(Recorder::open(&records).map_err(fault("opening", &records))?),
            logs: LogBook::open(&logs).map_err(fault("opening", &logs))?,
            spools: SpoolRoom::open(&spools).map_err(fault("opening", &spools))?,
            deployer: Arc::new(
                Deployer::open(&packages, source).map_err(fault("opening", &packages))?,
            ),
            sandbox_folder,
        })
    }
}
