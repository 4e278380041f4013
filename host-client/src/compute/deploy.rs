//! Applications on this Host: fetched from the Element, verified, unpacked,
//! kept across restarts, removed when nobody wants them any more.
//!
//! Invariant: a folder that is named by a digest is whole and was verified;
//! requests for one application share one fetch.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use gridmart_fabric::{
    door,
    package::{self, MANIFEST_NAME, PackageLimits, PackageStream},
    tls::{ClientTls, Expected},
};
use gridmart_schemas::{
    id::Digest,
    problem::{Code, Problem},
    resource::{Document as _, ae_doc::AeDocument, enumeration::AppEnvState},
};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

/// The Element may be silent for so long between two pieces.
const CHUNK_TIME_MAX: Duration = Duration::from_secs(30);
/// An application that nobody wishes is kept so long after its last use: the
/// Element may be about to wish it.
const KEEP_TIME: Duration = Duration::from_mins(10);

/// An application that can be called here.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) digest: Digest,
    pub(crate) manifest: AeDocument,
    /// Its unpacked package.
    pub(crate) folder: PathBuf,
}

/// Where packages come from.
#[derive(Clone, Debug)]
pub(crate) struct PackageSource {
    pub(crate) endpoints: Vec<String>,
    pub(crate) expected: Expected,
    pub(crate) tls: ClientTls,
}

type Outcome = Result<Arc<Application>, Problem>;

enum Place {
    Ready {
        application: Arc<Application>,
        used: Instant,
    },
    Fetching(watch::Receiver<Option<Outcome>>),
    Failed(Problem),
}

/// How far the deployment of an application has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeploymentState {
    pub(crate) digest: Digest,
    pub(crate) state: AppEnvState,
    pub(crate) reason: Option<String>,
}

/// The applications on this Host.
pub(crate) struct Deployer {
    folder: PathBuf,
    source: PackageSource,
    places: Mutex<HashMap<Digest, Place>>,
    /// Told whenever a state changes.
    changed: Arc<Notify>,
}

impl Deployer {
    /// Finds what an earlier start has unpacked; removes what it left behind.
    pub(crate) fn open(
        folder: &Path,
        source: PackageSource,
        changed: Arc<Notify>,
    ) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut places = HashMap::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            match read_application(&path) {
                Some(application) => {
                    let digest = application.digest.clone();
                    let application = Arc::new(application);
                    places.insert(
                        digest,
                        Place::Ready {
                            application,
                            used: Instant::now(),
                        },
                    );
                }
                None => remove(&path),
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            source,
            places: Mutex::new(places),
            changed,
        })
    }

    /// Gives an application that is here, and notes its use.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Arc<Application>> {
        match self.places.lock().get_mut(digest) {
            Some(Place::Ready { application, used }) => {
                *used = Instant::now();
                Some(Arc::clone(application))
            }
            _ => None,
        }
    }

    /// Brings an application here, if it is not; waits until it is.
    pub(crate) async fn ensure(self: &Arc<Self>, digest: &Digest, size: u64) -> Outcome {
        if let Some(application) = self.get(digest) {
            return Ok(application);
        }
        let mut fetching = self.join_fetch(digest, size);
        let outcome = fetching
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| Err(Problem::new(Code::Unavailable, "The Host is going down.")))
    }

    /// States of all applications that are here, or were to be.
    pub(crate) fn states(&self) -> Vec<DeploymentState> {
        let places = self.places.lock();
        let mut states: Vec<_> = places
            .iter()
            .map(|(digest, place)| {
                let (state, reason) = match place {
                    Place::Ready { .. } => (AppEnvState::Installedverified, None),
                    Place::Fetching(_) => (AppEnvState::Installingautomatically, None),
                    Place::Failed(problem) => (
                        AppEnvState::Installationfailed,
                        Some(problem.detail.clone()),
                    ),
                };
                DeploymentState {
                    digest: digest.clone(),
                    state,
                    reason,
                }
            })
            .collect();
        states.sort_by(|one, other| one.digest.cmp(&other.digest));
        states
    }

    /// Removes applications that nobody wishes and nobody uses, and gives
    /// them; blocks for the disk.
    pub(crate) fn sweep(&self, wished: &HashSet<Digest>, in_use: &HashSet<Digest>) -> Vec<Digest> {
        let now = Instant::now();
        let mut removed = Vec::new();
        self.places.lock().retain(|digest, place| {
            let keep = wished.contains(digest)
                || in_use.contains(digest)
                || match place {
                    Place::Ready { used, .. } => now.duration_since(*used) < KEEP_TIME,
                    Place::Fetching(_) => true,
                    Place::Failed(_) => false,
                };
            if !keep && matches!(place, Place::Ready { .. }) {
                removed.push(digest.clone());
            }
            keep
        });
        for digest in &removed {
            tracing::info!(%digest, "an application that nobody wishes is removed");
            // Renamed first: half a folder must not be found at the next start.
            let folder = self.folder.join(digest.hex());
            let removing = folder.with_extension("removing");
            if fs::rename(&folder, &removing).is_ok() {
                remove(&removing);
            }
        }
        if !removed.is_empty() {
            self.changed.notify_one();
        }
        removed
    }

    fn join_fetch(
        self: &Arc<Self>,
        digest: &Digest,
        size: u64,
    ) -> watch::Receiver<Option<Outcome>> {
        let mut places = self.places.lock();
        if let Some(Place::Fetching(fetching)) = places.get(digest) {
            return fetching.clone();
        }
        let (done, fetching) = watch::channel(None);
        places.insert(digest.clone(), Place::Fetching(fetching.clone()));
        drop(places);
        self.changed.notify_one();
        // A task of its own: whoever asked may go away, the others wait on.
        let (deployer, digest) = (Arc::clone(self), digest.clone());
        tokio::spawn(async move {
            let outcome = deployer.fetch(&digest, size).await;
            deployer.settle(&digest, &outcome);
            let _ = done.send(Some(outcome));
        });
        fetching
    }

    fn settle(&self, digest: &Digest, outcome: &Outcome) {
        let place = match outcome {
            Ok(application) => {
                tracing::info!(%digest, "an application is ready");
                Place::Ready {
                    application: Arc::clone(application),
                    used: Instant::now(),
                }
            }
            Err(problem) => {
                tracing::warn!(%digest, %problem, "an application could not be brought here");
                Place::Failed(problem.clone())
            }
        };
        self.places.lock().insert(digest.clone(), place);
        self.changed.notify_one();
    }

    async fn fetch(&self, digest: &Digest, size: u64) -> Outcome {
        let limits = PackageLimits::default();
        if size > limits.archive_bytes_max {
            let detail = format!(
                "The package has {size} bytes, {} may be.",
                limits.archive_bytes_max
            );
            return Err(Problem::new(Code::TooLarge, detail));
        }
        let archive = self.folder.join(format!("{}.part", digest.hex()));
        let fetched = self.fetch_archive(digest, size, &archive).await;
        let outcome = match fetched {
            Ok(()) => self.unpack(digest, &archive, limits).await,
            Err(problem) => Err(problem),
        };
        // Its unpacked form is all that is needed from here on.
        let _ = tokio::fs::remove_file(&archive).await;
        outcome
    }

    async fn fetch_archive(
        &self,
        digest: &Digest,
        size: u64,
        archive: &Path,
    ) -> Result<(), Problem> {
        let source = &self.source;
        let path = format!("/v1/packages/{}", digest.hex());
        let fetched = door::fetch(&source.endpoints, source.expected, &source.tls, &path).await;
        let mut pieces = Pieces(fetched.map_err(|problem| staging(&problem))?);
        package::receive(&mut pieces, digest, size, archive).await
    }

    async fn unpack(&self, digest: &Digest, archive: &Path, limits: PackageLimits) -> Outcome {
        let (archive, folder, digest) = (
            archive.to_owned(),
            self.folder.join(digest.hex()),
            digest.clone(),
        );
        let unpacked = tokio::task::spawn_blocking(move || {
            // Left over from a state that was not understood at the start.
            remove(&folder);
            let inspection = package::unpack(&archive, &folder, &limits).map_err(Problem::from)?;
            Ok(Arc::new(Application {
                digest,
                manifest: inspection.manifest,
                folder,
            }))
        });
        unpacked.await.unwrap_or_else(|_| {
            Err(Problem::new(
                Code::Internal,
                "Unpacking the package failed.",
            ))
        })
    }
}

/// A package on its way, which must not stop on it.
struct Pieces(door::Fetched);

impl PackageStream for Pieces {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, Problem>> {
        Box::pin(async {
            let piece = timeout(CHUNK_TIME_MAX, self.0.chunk()).await;
            let silent = |_| Problem::new(Code::TimedOut, "the Element stopped sending");
            piece
                .map_err(silent)
                .flatten()
                .map_err(|problem| staging(&problem))
        })
    }
}

/// Why a package could not be brought: the cause stays in the words.
fn staging(problem: &Problem) -> Problem {
    Problem::new(
        Code::StagingFailed,
        format!(
            "The package could not be fetched from the Element: {}",
            problem.detail
        ),
    )
}

/// Reads an unpacked application; `None` if the path is anything else.
fn read_application(folder: &Path) -> Option<Application> {
    let name = folder.file_name()?.to_str()?;
    let digest: Digest = format!("blake3:{name}").parse().ok()?;
    let bytes = fs::read(folder.join(MANIFEST_NAME)).ok()?;
    let manifest = AeDocument::from_xml(&bytes, MANIFEST_NAME)
        .inspect_err(|error| tracing::warn!(%digest, %error, "an unpacked application is damaged and removed"))
        .ok()?;
    Some(Application {
        digest,
        manifest,
        folder: folder.to_owned(),
    })
}

fn remove(path: &Path) {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    if let Err(error) = removed
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "what is not needed any more cannot be removed");
    }
}
