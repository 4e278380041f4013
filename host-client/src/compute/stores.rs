//! What lies in a Host's data folder.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    deploy::{Deployer, PackageSource},
    folder::folder_removed,
    goods::SHAPE,
    log::LogBook,
    record::Recorder,
    remnant::remnants_ended,
    spool::SpoolRoom,
};
use crate::member::{HostError, Member};

/// What lies in the data folder.
pub(crate) struct Stores {
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) logs: LogBook,
    pub(crate) spools: Arc<SpoolRoom>,
    pub(crate) deployer: Arc<Deployer>,
    pub(crate) sandbox_folder: PathBuf,
}

impl Stores {
    pub(crate) fn open(member: &Member, source: PackageSource) -> Result<Self, HostError> {
        let fault = |action: &'static str, path: &Path| {
            let target = path.display().to_string();
            move |source| HostError::System {
                action,
                target,
                source,
            }
        };
        let sandbox_folder = member.folder("sandboxes");
        remnants_ended(&sandbox_folder);
        // What an earlier start has left: its sandboxes died with it.
        if let Err(error) = folder_removed(&sandbox_folder) {
            // Names of sandboxes are never used twice.
            tracing::warn!(folder = %sandbox_folder.display(), %error, "what an earlier start has left cannot be removed");
        }
        fs::create_dir_all(&sandbox_folder).map_err(fault("making", &sandbox_folder))?;
        let (records, logs, spools, packages) = (
            member.folder("records"),
            member.folder("logs"),
            member.folder(SHAPE.trial_folder),
            member.folder("packages"),
        );
        let watch = &member.disk_watch;
        let recorder = Recorder::open(Arc::clone(&watch.disk), Arc::clone(watch), &records);
        let room = SpoolRoom::open(Arc::clone(&watch.disk), Arc::clone(watch), &spools);
        Ok(Self {
            recorder: Arc::new(recorder.map_err(fault("opening", &records))?),
            logs: LogBook::open(&logs).map_err(fault("opening", &logs))?,
            spools: room.map_err(fault("opening", &spools))?,
            deployer: Arc::new(
                Deployer::open(&packages, source, Arc::clone(&member.changed))
                    .map_err(fault("opening", &packages))?,
            ),
            sandbox_folder,
        })
    }
}
