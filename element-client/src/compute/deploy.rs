//! Packages: pulled once from the controller, kept by their hash, handed on to
//! the Element's Hosts, and brought to a Host before its first lease there.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use gridmart_fabric::{
    disk::{Disk as _, RealDisk},
    door::fetch,
    need::manifest_needs,
    package::{PackageLimits, inspect, receive},
};
use gridmart_schemas::{
    id::{Digest, NodeId},
    problem::{Code, Problem},
    resource::{ae_doc::AeDocument, enumeration::AppEnvState},
    role::NodeKind,
    wire::{control_element::Deployment, element_host::ApplicationEnsure},
};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{Ce, queue::application::Manifest};

/// How long a Host may take to get an application ready: packages may be large
/// and lines slow.
const ENSURE_TIMEOUT: Duration = Duration::from_mins(15);
/// Pulls at a time: each hashes a whole package.
const PULLS_MAX: usize = 4;
/// Folder of the packages, in the data folder.
const FOLDER: &str = "packages";

type Pull = Shared<BoxFuture<'static, Result<(), Problem>>>;

/// Where a package stands here.
#[derive(Clone, Debug, PartialEq)]
enum Standing {
    Fetching,
    Here,
    Failed(String),
}

/// The packages of an Element.
pub(crate) struct Shelf {
    folder: PathBuf,
    standing: Mutex<BTreeMap<Digest, Standing>>,
    /// Pulls under way: all who want the package share one.
    pulls: Mutex<HashMap<Digest, Pull>>,
    /// Pulls that may run at a time.
    places: Semaphore,
}

impl Shelf {
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join(FOLDER);
        RealDisk.create_folder(&folder)?;
        // What was being fetched when the process ended.
        for path in RealDisk.list(&folder)? {
            if path.extension().is_some() {
                RealDisk.remove(&path)?;
            }
        }
        Ok(Self {
            folder,
            standing: Mutex::default(),
            pulls: Mutex::default(),
            places: Semaphore::new(PULLS_MAX),
        })
    }

    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }

    /// Drops the packages of applications that are not offered any more.
    pub(crate) fn keep_only(&self, offered: &BTreeSet<Digest>) {
        self.standing
            .lock()
            .retain(|digest, _| offered.contains(digest));
        let Ok(paths) = RealDisk.list(&self.folder) else {
            return;
        };
        for path in paths {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let known =
                offered.iter().any(|digest| digest.hex() == name) || path.extension().is_some();
            if !known && let Err(error) = RealDisk.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "a package that is not offered any more cannot be removed");
            }
        }
    }
}

impl Ce {
    /// Makes sure that the package is on the shelf and whole.
    pub(crate) async fn pull(self: &Arc<Self>, digest: &Digest) -> Result<(), Problem> {
        let pull = {
            let mut pulls = self.goods.shelf.pulls.lock();
            pulls
                .entry(digest.clone())
                .or_insert_with(|| {
                    let (ce, digest) = (Arc::clone(self), digest.clone());
                    async move { ce.pull_alone(&digest).await }.boxed().shared()
                })
                .clone()
        };
        let outcome = pull.clone().await;
        let mut pulls = self.goods.shelf.pulls.lock();
        // The next one who wants it looks at the shelf again.
        if pulls.get(digest).is_some_and(|there| there.ptr_eq(&pull)) {
            pulls.remove(digest);
        }
        outcome
    }

    async fn pull_alone(self: &Arc<Self>, digest: &Digest) -> Result<(), Problem> {
        if self.goods.shelf.standing.lock().get(digest) == Some(&Standing::Here) {
            return Ok(());
        }
        self.goods
            .shelf
            .standing
            .lock()
            .insert(digest.clone(), Standing::Fetching);
        self.news.notify_one();
        let outcome = {
            // Nobody closes the semaphore.
            let _place = self.goods.shelf.places.acquire().await;
            self.fetch_and_read(digest).await
        };
        let standing = match &outcome {
            Ok(_) => Standing::Here,
            Err(problem) => Standing::Failed(problem.detail.clone()),
        };
        self.goods
            .shelf
            .standing
            .lock()
            .insert(digest.clone(), standing);
        self.news.notify_one();
        let manifest = outcome?;
        self.decide(|queue, now| queue.on_application_known(digest, manifest, now));
        Ok(())
    }

    async fn fetch_and_read(self: &Arc<Self>, digest: &Digest) -> Result<Manifest, Problem> {
        let path = self.goods.shelf.path(digest);
        let wanted = digest.clone();
        let kept = self.blocking(move |_| read_kept(&path, &wanted)).await?;
        if let Some(manifest) = kept? {
            return Ok(manifest);
        }
        self.download(digest).await?;
        let (path, wanted) = (self.goods.shelf.path(digest), digest.clone());
        let read = self.blocking(move |_| read_kept(&path, &wanted)).await??;
        read.ok_or_else(|| {
            Problem::new(
                Code::StorageFailed,
                format!("The package {digest} has vanished from the disk."),
            )
        })
    }

    /// Pulls from the controller; what arrives is believed only if its hash is
    /// the package's name.
    async fn download(&self, digest: &Digest) -> Result<(), Problem> {
        let expected = (self.controller, NodeKind::Control);
        let path = format!("/v1/packages/{}", digest.hex());
        let (size, limit) = (
            self.package_size(digest),
            PackageLimits::default().archive_bytes_max,
        );
        if size > limit {
            return Err(Problem::new(
                Code::TooLarge,
                format!("The package is over the limit of {limit} bytes."),
            ));
        }
        let mut fetched = fetch(&self.controller_endpoints, expected, &self.tls, &path).await?;
        let target = self.goods.shelf.path(digest);
        let temporary = target.with_extension("part");
        receive(&mut fetched, digest, size, &temporary).await?;
        let fault = |error: io::Error| {
            tracing::error!(path = %target.display(), %error, "a package cannot be kept");
            Problem::new(Code::StorageFailed, "The Element's disk refuses a package.")
        };
        tokio::fs::rename(&temporary, &target)
            .await
            .map_err(fault)?;
        RealDisk
            .sync_folder(&self.goods.shelf.folder)
            .map_err(fault)?;
        tracing::info!(%digest, bytes = size, "a package was fetched");
        Ok(())
    }

    pub(crate) fn spawn_fetch(self: &Arc<Self>, digest: Digest) {
        let ce = Arc::clone(self);
        self.tasks.spawn(async move {
            if let Err(problem) = ce.pull(&digest).await {
                tracing::warn!(%digest, %problem, "an application's package cannot be fetched");
                let refusal = Problem::new(
                    Code::StagingFailed,
                    format!(
                        "The application's package cannot be fetched: {}",
                        problem.detail
                    ),
                );
                ce.decide(|queue, now| queue.on_application_failed(&digest, &refusal, now));
            }
        });
    }

    /// Has a Host get an application ready.
    pub(crate) fn spawn_ensure(self: &Arc<Self>, host: NodeId, digest: Digest) {
        let ce = Arc::clone(self);
        let Some(peer) = self.links.host(host) else {
            return;
        };
        self.tasks.spawn(async move {
            let size = ce.package_size(&digest);
            let ensure = ApplicationEnsure { digest: digest.clone(), size };
            let result = peer.ask(&ensure, ENSURE_TIMEOUT).await.and_then(|deployment| judge(&deployment));
            if let Err(problem) = &result {
                if peer.is_closed() {
                    // The loss of the stream says all there is to say.
                    return;
                }
                tracing::warn!(node.id = %host, %digest, %problem, "the Host cannot get an application ready");
            }
            ce.decide(|queue, now| queue.on_ensured(host, &digest, result, now));
        });
    }

    fn package_size(&self, digest: &Digest) -> u64 {
        let told = self
            .standing
            .lock()
            .get()
            .desired
            .applications
            .iter()
            .find(|wish| wish.digest == *digest)
            .map(|wish| wish.size);
        told.unwrap_or_default()
    }

    /// The applications as the Element holds them.
    pub(crate) fn deployments(&self) -> Vec<Deployment> {
        let standing = self.goods.shelf.standing.lock().clone();
        let desired = self.standing.lock().get().desired.clone();
        let told = |wish: gridmart_schemas::wire::desired::ApplicationWish| {
            let (state, reason) = match standing.get(&wish.digest) {
                None => (AppEnvState::Installable, None),
                Some(Standing::Fetching) => (AppEnvState::Installingautomatically, None),
                Some(Standing::Here) => (AppEnvState::Installedverified, None),
                Some(Standing::Failed(reason)) => {
                    (AppEnvState::Installationfailed, Some(reason.clone()))
                }
            };
            Deployment {
                digest: wish.digest,
                state: state.as_str().to_owned(),
                generation: wish.wish.generation,
                serving: wish.wish.desired,
                reason,
            }
        };
        desired.applications.into_iter().map(told).collect()
    }
}

fn judge(deployment: &Deployment) -> Result<(), Problem> {
    if deployment.state == AppEnvState::Installedverified.as_str() {
        return Ok(());
    }
    let reason = deployment.reason.as_deref().unwrap_or("it gave no reason");
    Err(Problem::new(
        Code::StagingFailed,
        format!("The Host reports {}: {reason}.", deployment.state),
    ))
}

/// Reads the manifest of a package on the shelf. A damaged package is removed,
/// so that it is fetched again.
fn read_kept(path: &Path, digest: &Digest) -> Result<Option<Manifest>, Problem> {
    let fault = |error: io::Error| {
        tracing::error!(path = %path.display(), %error, "a package cannot be read");
        Problem::new(Code::StorageFailed, "The Element's disk refuses a package.")
    };
    if !path.exists() {
        return Ok(None);
    }
    if gridmart_fabric::package::digest_of(path).map_err(fault)? != *digest {
        tracing::warn!(path = %path.display(), "a package on the disk is damaged and is fetched again");
        std::fs::remove_file(path).map_err(fault)?;
        return Ok(None);
    }
    let file = std::fs::File::open(path).map_err(fault)?;
    let inspection = inspect(file, &PackageLimits::default())?;
    Ok(Some(manifest_of(inspection.manifest)))
}

fn manifest_of(document: AeDocument) -> Manifest {
    Manifest {
        needs: manifest_needs(&document.needs),
        capabilities: document.info.capabilities,
        wall_limit: document.policy.wall_time_limit.map(Duration::from_secs),
    }
}
