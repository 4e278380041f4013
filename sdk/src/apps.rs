//! Applications: list, upload, call, map, logs.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use gridmart_fabric::package::PackageLimits;
use gridmart_schemas::{
    api::application::{ApplicationView, UploadDone},
    id::NodeId,
    wire::{control_element::LogsRead, element_host::LogLine},
};
use tokio::io::AsyncReadExt as _;

use crate::{
    call::CallBuilder,
    client::Client,
    error::Error,
    map::{JobSelect, MapBuilder},
    people::all_pages,
};

/// Bytes of a package that are read at a time.
const UPLOAD_CHUNK_BYTES: usize = 64 * 1024;
/// Time between two looks at the logs while following.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

/// How far an upload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadProgress {
    /// Bytes sent.
    pub sent: u64,
    /// Bytes of the package; 0 while it is packed.
    pub total: u64,
}

/// `client.apps()`.
#[derive(Clone, Debug)]
pub struct Apps(pub(crate) Client);

impl Apps {
    /// Lists all versions of all applications.
    pub async fn list(&self) -> Result<Vec<ApplicationView>, Error> {
        all_pages(&self.0, "applications", &[], None).await
    }

    /// Lists the versions of one application.
    pub async fn versions(&self, name: &str) -> Result<Vec<ApplicationView>, Error> {
        all_pages(&self.0, &format!("applications/{name}"), &[], None).await
    }

    /// Makes a version the default: the one that is called where none is named.
    pub async fn promote(&self, name: &str, version: &str) -> Result<ApplicationView, Error> {
        self.0
            .post(
                &format!("applications/{name}/promote"),
                &[("version", Some(version.to_owned()))],
                &(),
            )
            .await
    }

    /// Packs a folder that has an `AEDoc.xml` at its top, and puts it on the
    /// shelf.
    pub async fn upload(
        &self,
        folder: &Path,
        progress: impl Fn(UploadProgress) + Send + Sync + 'static,
    ) -> Result<UploadDone, Error> {
        progress(UploadProgress { sent: 0, total: 0 });
        let package = packed(folder).await?;
        let total = package
            .as_file()
            .metadata()
            .map_err(|e| Error::local("read", package.path(), e))?
            .len();
        let file = tokio::fs::File::open(package.path())
            .await
            .map_err(|e| Error::local("read", package.path(), e))?;
        let chunks = stream::try_unfold(
            (file, 0u64, progress),
            move |(mut file, sent, progress)| async move {
                let mut chunk = vec![0; UPLOAD_CHUNK_BYTES];
                let count = file.read(&mut chunk).await?;
                chunk.truncate(count);
                let sent = sent + count as u64;
                progress(UploadProgress { sent, total });
                Ok::<_, std::io::Error>(
                    (count > 0).then(|| (Bytes::from(chunk), (file, sent, progress))),
                )
            },
        );
        self.0
            .http()
            .upload("applications", reqwest::Body::wrap_stream(chunks), total)
            .await
    }

    /// Begins to describe a call of `NAME` or `NAME@VERSION`; an empty name
    /// means whatever meets the needs.
    pub fn call(&self, application: impl Into<String>) -> CallBuilder {
        CallBuilder::new(self.0.clone(), application.into())
    }

    /// Begins to describe a map over many parts.
    pub fn map(&self, application: impl Into<String>) -> MapBuilder {
        MapBuilder::new(self.0.clone(), application.into())
    }

    /// Goes on with a map that was interrupted.
    pub async fn map_resume(&self, job: JobSelect) -> Result<MapBuilder, Error> {
        MapBuilder::resumed(self.0.clone(), job, false).await
    }

    /// Runs only the parts of a map that failed.
    pub async fn map_retry_failed(&self, job: JobSelect) -> Result<MapBuilder, Error> {
        MapBuilder::resumed(self.0.clone(), job, true).await
    }

    /// Reads what an application printed to stderr; `follow`: and goes on
    /// doing so.
    pub fn logs(&self, application: &str, follow: bool) -> LogTail {
        LogTail {
            client: self.0.clone(),
            application: application.to_owned(),
            follow,
            cursors: BTreeMap::new(),
            ready: Vec::new(),
            started: false,
        }
    }
}

async fn packed(folder: &Path) -> Result<Arc<tempfile::NamedTempFile>, Error> {
    let folder = folder.to_owned();
    let packing = tokio::task::spawn_blocking(move || {
        let package = tempfile::NamedTempFile::new()
            .map_err(|e| Error::local("make a temporary file in", &std::env::temp_dir(), e))?;
        gridmart_fabric::package::pack(&folder, package.as_file(), &PackageLimits::default())
            .map_err(|e| Error::Invalid(format!("{} cannot be packed: {e}", folder.display())))?;
        Ok(Arc::new(package))
    });
    packing
        .await
        .map_err(|e| Error::Invalid(format!("packing was interrupted: {e}")))?
}

/// `client.compute()`.
#[derive(Clone, Debug)]
pub struct Compute(pub(crate) Client);

impl Compute {
    /// As [`Apps::upload`].
    pub async fn upload(
        &self,
        folder: &Path,
        progress: impl Fn(UploadProgress) + Send + Sync + 'static,
    ) -> Result<UploadDone, Error> {
        self.0.apps().upload(folder, progress).await
    }
}

/// Lines of one Host.
#[derive(Clone, Debug)]
pub struct LogPiece {
    /// Which Host.
    pub host: NodeId,
    /// Lines, oldest first.
    pub lines: Vec<LogLine>,
    /// Older lines were dropped before these.
    pub gap: bool,
}

/// Reads logs piece by piece.
#[derive(Debug)]
pub struct LogTail {
    client: Client,
    application: String,
    follow: bool,
    cursors: BTreeMap<NodeId, u64>,
    ready: Vec<LogPiece>,
    started: bool,
}

impl LogTail {
    /// Gives the next lines; none: all was read (never while following).
    pub async fn next(&mut self) -> Result<Option<LogPiece>, Error> {
        loop {
            if let Some(piece) = self.ready.pop() {
                return Ok(Some(piece));
            }
            if self.started && self.follow {
                tokio::time::sleep(FOLLOW_INTERVAL).await;
            }
            let first = !self.started;
            let answer = self.read().await?;
            self.started = true;
            self.take(answer);
            if self.ready.is_empty() && !self.follow && !first {
                return Ok(None);
            }
        }
    }

    async fn read(&self) -> Result<LogsRead, Error> {
        let (name, version) = match self.application.split_once('@') {
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (self.application.as_str(), None),
        };
        let cursors = (!self.cursors.is_empty())
            .then(|| serde_json::to_string(&self.cursors).unwrap_or_default());
        self.client
            .get(
                &format!("applications/{name}/logs"),
                &[("version", version), ("cursors", cursors)],
            )
            .await
    }

    fn take(&mut self, answer: LogsRead) {
        for (host, log) in answer.hosts {
            self.cursors.insert(host, log.cursor);
            if !log.lines.is_empty() || log.gap {
                self.ready.push(LogPiece {
                    host,
                    lines: log.lines,
                    gap: log.gap,
                });
            }
        }
    }
}
