//! From an object to memory, a file, or whoever reads.

use std::{
    io,
    ops::{Bound, Range, RangeBounds},
    path::{Path, PathBuf},
};

use bytes::{Bytes, BytesMut};
use gridmart_schemas::{id::VersionId, problem::Code, wire::storage::ObjectView};
use tempfile::NamedTempFile;
use tokio::io::{AsyncWrite, AsyncWriteExt as _, BufWriter};

use super::{
    Storage,
    progress::{Meter, TransferProgress},
    read::ObjectReader,
};
use crate::error::Error;

/// Bytes that are written to a file at a time.
const WRITE_BYTES: usize = 1024 * 1024;
/// [`GetBuilder::bytes`] gives at most so many, if nothing else is said.
const MEMORY_BYTES_DEFAULT: u64 = 1024 * 1024 * 1024;

/// Describes a get.
#[derive(Debug)]
#[must_use = "nothing happens before `open`, `bytes`, `file` or `write_to`"]
pub struct GetBuilder {
    storage: Storage,
    bucket: String,
    key: String,
    version: Option<VersionId>,
    range: Range<u64>,
    memory_bytes_max: u64,
    meter: Meter,
}

impl GetBuilder {
    pub(super) fn new(storage: Storage, bucket: String, key: String) -> Self {
        Self {
            storage,
            bucket,
            key,
            version: None,
            range: 0..u64::MAX,
            memory_bytes_max: MEMORY_BYTES_DEFAULT,
            meter: Meter::default(),
        }
    }

    /// Gets an older version instead of the newest.
    pub fn version(mut self, version: VersionId) -> Self {
        self.version = Some(version);
        self
    }

    /// Gets these bytes alone; what of them is behind the end is left out.
    pub fn range(mut self, range: impl RangeBounds<u64>) -> Self {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.range = start..end;
        self
    }

    /// Bounds what [`Self::bytes`] gives; a longer object is an error.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_bytes_max = bytes;
        self
    }

    /// Is told how much has come. Must not wait.
    pub fn on_progress(mut self, told: impl Fn(TransferProgress) + Send + Sync + 'static) -> Self {
        self.meter.tell(told);
        self
    }

    /// Opens the object, to be read piece by piece.
    pub async fn open(self) -> Result<ObjectReader, Error> {
        let plane = self.storage.plane().await?;
        ObjectReader::open(
            plane,
            self.bucket,
            self.key,
            self.version,
            self.range,
            self.meter,
        )
        .await
    }

    /// Gets all of it into memory.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        let limit = self.memory_bytes_max;
        let mut reader = self.open().await?;
        let length = reader.left();
        if length > limit {
            let detail =
                format!("{length} bytes are over the limit of {limit} bytes; read it as a stream");
            return Err(Error::refused(Code::TooLarge, detail));
        }
        let mut bytes = BytesMut::with_capacity(usize::try_from(length).unwrap_or_default());
        while let Some(piece) = reader.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    /// Gets it into a file, which is there, in place of one that was, when all
    /// has come.
    pub async fn file(self, path: impl Into<PathBuf>) -> Result<ObjectView, Error> {
        let path = path.into();
        // First: what is not there leaves no file.
        let mut reader = self.open().await?;
        let (temporary, file) = beside(&path)?;
        let mut file = BufWriter::with_capacity(WRITE_BYTES, tokio::fs::File::from_std(file));
        copy(&mut reader, &mut file)
            .await?
            .map_err(|error| Error::local("write", &path, error))?;
        drop(file);
        temporary
            .persist(&path)
            .map_err(|error| Error::local("write", &path, error.error))?;
        Ok(reader.object().clone())
    }

    /// Gets it to whoever writes. Fails for the reader, or inside for the writer.
    pub async fn write_to(
        self,
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<io::Result<ObjectView>, Error> {
        let mut reader = self.open().await?;
        let copied = copy(&mut reader, writer).await?;
        Ok(copied.map(|()| reader.object().clone()))
    }
}

async fn copy(
    reader: &mut ObjectReader,
    writer: &mut (impl AsyncWrite + Unpin),
) -> Result<io::Result<()>, Error> {
    while let Some(piece) = reader.next().await? {
        if let Err(error) = writer.write_all(&piece).await {
            return Ok(Err(error));
        }
    }
    Ok(writer.flush().await)
}

/// A temporary file in the folder of another one, gone unless it takes its place.
fn beside(path: &Path) -> Result<(NamedTempFile, std::fs::File), Error> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let made = tempfile::Builder::new()
        .prefix(".gridmart-")
        .permissions(permissions())
        .tempfile_in(folder)
        .and_then(|temporary| {
            let file = temporary.as_file().try_clone()?;
            Ok((temporary, file))
        });
    made.map_err(|error| Error::local("make a file in", folder, error))
}

/// What the user's umask leaves of it.
fn permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::Permissions::from_mode(0o666)
}
