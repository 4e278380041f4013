//! Package ← another node: streamed to a file, and believed only when its
//! length and its hash are those that were asked for.

use std::path::Path;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use gridmart_schemas::{
    id::Digest,
    problem::{Code, Problem},
};
use tokio::io::AsyncWriteExt as _;

use crate::door::Fetched;

/// Where the bytes of a package come from.
pub trait PackageStream: Send {
    /// The next piece; `None` at the end.
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, Problem>>;
}

impl PackageStream for Fetched {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, Problem>> {
        Box::pin(Fetched::chunk(self))
    }
}

/// Writes the package to the file at `path`, durably. On a refusal the file is
/// removed.
pub async fn receive(
    source: &mut dyn PackageStream,
    digest: &Digest,
    size: u64,
    path: &Path,
) -> Result<(), Problem> {
    let received = receive_to(source, digest, size, path).await;
    if received.is_err() {
        // The first error tells more than one from clearing up after it.
        let _ = tokio::fs::remove_file(path).await;
    }
    received
}

async fn receive_to(
    source: &mut dyn PackageStream,
    digest: &Digest,
    size: u64,
    path: &Path,
) -> Result<(), Problem> {
    let refused = |error: std::io::Error| {
        tracing::error!(path = %path.display(), %error, "a package cannot be written");
        Problem::new(
            Code::StorageFailed,
            format!("The package {digest} cannot be written to the node's disk."),
        )
    };
    let mut file = tokio::fs::File::create(path).await.map_err(refused)?;
    let mut hasher = blake3::Hasher::new();
    let mut length = 0;
    while let Some(chunk) = source.chunk().await? {
        length += chunk.len() as u64;
        if length > size {
            break;
        }
        hasher.update(&chunk);
        file.write_all(&chunk).await.map_err(refused)?;
    }
    let found = Digest::from_blake3(*hasher.finalize().as_bytes());
    if length != size || found != *digest {
        let detail = format!(
            "What came for the package {digest} of {size} bytes is not it ({length} bytes, {found})."
        );
        return Err(Problem::new(Code::DigestMismatch, detail));
    }
    file.sync_all().await.map_err(refused)
}
