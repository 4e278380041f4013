//! Application packages: a zstd-compressed tar archive of a folder with
//! `AEDoc.xml` at its top, named by the BLAKE3 hash of the archive's bytes.
//!
//! Invariants: a package holds regular files and folders and nothing else; a
//! name in it never leads out of the folder it is unpacked into; what reading
//! one costs is bounded before it is paid (bytes, entries, memory). Packages
//! come from outside, so both [`inspect`] and [`unpack`] go through the same
//! reader, which trusts nothing.

mod bounded;
mod pack;
mod reader;
mod receive;
mod unpack;

use std::{fs::File, io, path::Path};

use gridmart_schemas::{
    id::Digest,
    problem::{Code, Problem},
    resource::DocumentError,
    resource::ae_doc::AeDocument,
};

pub use self::{
    pack::pack,
    reader::inspect,
    receive::{PackageStream, receive},
    unpack::unpack,
};

/// Name of the manifest, at the top of the package.
pub const MANIFEST_NAME: &str = "AEDoc.xml";
/// The most bytes of one name in a package: what a plain tar header holds.
pub const NAME_BYTES_MAX: usize = 255;
/// The most folders above one file.
const DEPTH_MAX: usize = 32;
/// Reading needs at most this window (a power of two, in bytes): 16 MiB.
const WINDOW_LOG_MAX: u32 = 24;

/// How much a package may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackageLimits {
    /// Bytes of the archive.
    pub archive_bytes_max: u64,
    /// Files and folders.
    pub entries_max: u64,
    /// Bytes of all files together, unpacked.
    pub unpacked_bytes_max: u64,
}

impl Default for PackageLimits {
    fn default() -> Self {
        Self {
            archive_bytes_max: 512 * 1024 * 1024,
            entries_max: 20_000,
            unpacked_bytes_max: 2 * 1024 * 1024 * 1024,
        }
    }
}

/// What was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Hash of the archive.
    pub digest: Digest,
    /// Bytes of the archive.
    pub size: u64,
}

/// What a package holds.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Its manifest.
    pub manifest: AeDocument,
    /// How many files and folders it has.
    pub entries: u64,
    /// Bytes of all its files.
    pub unpacked_size: u64,
}

/// A package that cannot be made, read or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// An entry breaks a rule for packages.
    #[error("entry {name:?} {rule}")]
    Entry {
        /// The entry, as far as its name can be shown.
        name: String,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// More than may be.
    #[error("the package has more than {limit} {unit}")]
    Limit {
        /// How many may be.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// It is no archive, or a damaged one.
    #[error("the archive cannot be read: {0}")]
    Archive(String),
    /// There is no manifest.
    #[error("there is no file {MANIFEST_NAME} at the top of the package")]
    ManifestMissing,
    /// The manifest breaks its schema.
    #[error("the manifest is refused")]
    Manifest(#[source] Box<DocumentError>),
    /// The file system refuses.
    #[error("{action} {path} failed")]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl PackageError {
    fn entry(name: &[u8], rule: &'static str) -> Self {
        let shown: String = String::from_utf8_lossy(name)
            .chars()
            .take(NAME_BYTES_MAX)
            .collect();
        Self::Entry { name: shown, rule }
    }

    fn disk(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Disk {
            action,
            path,
            source,
        }
    }
}

impl From<PackageError> for Problem {
    fn from(error: PackageError) -> Self {
        let code = match &error {
            PackageError::Entry { .. }
            | PackageError::Archive(_)
            | PackageError::ManifestMissing => Code::PackageInvalid,
            PackageError::Limit { .. } => Code::TooLarge,
            PackageError::Manifest(_) => Code::InvalidDocument,
            PackageError::Disk { .. } => Code::StorageFailed,
        };
        let detail = match &error {
            PackageError::Manifest(cause) => format!("{error}: {cause}"),
            PackageError::Disk { source, .. } => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        Self::new(code, detail)
    }
}

/// Hashes a package that is on the disk already.
pub fn digest_of(path: &Path) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(Digest::from_blake3(*hasher.finalize().as_bytes()))
}

#[cfg(test)]
mod tests;
