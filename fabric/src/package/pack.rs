//! Folder → package. The same folder always gives the same bytes: entries in
//! the order of their names, no times, no owners, two modes.

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use gridmart_schemas::{
    id::Digest,
    resource::{Document as _, ae_doc::AeDocument},
};

use super::{
    DEPTH_MAX, MANIFEST_NAME, NAME_BYTES_MAX, PackageError, PackageLimits, Packed,
    bounded::HashingWriter,
};

/// Compression level: packages are made rarely and read often.
const LEVEL: i32 = 9;

/// Packs `folder` into `out`; refuses what [`super::inspect`] would refuse.
pub fn pack<W: Write>(
    folder: &Path,
    out: W,
    limits: &PackageLimits,
) -> Result<Packed, PackageError> {
    check_manifest(folder)?;
    let broken = |error: std::io::Error| PackageError::Archive(error.to_string());
    let mut encoder =
        zstd::stream::write::Encoder::new(HashingWriter::new(out), LEVEL).map_err(broken)?;
    encoder.include_checksum(true).map_err(broken)?;
    let mut packer = Packer {
        builder: tar::Builder::new(encoder),
        limits: *limits,
        entries: 0,
        bytes: 0,
    };
    packer.folder(folder, &PathBuf::new(), 0)?;
    let encoder = packer.builder.into_inner().map_err(broken)?;
    let mut writer = encoder.finish().map_err(broken)?;
    writer.flush().map_err(broken)?;
    let (_, hash, size) = writer.finish();
    if size > limits.archive_bytes_max {
        return Err(PackageError::Limit {
            limit: limits.archive_bytes_max,
            unit: "bytes",
        });
    }
    Ok(Packed {
        digest: Digest::from_blake3(hash),
        size,
    })
}

fn check_manifest(folder: &Path) -> Result<(), PackageError> {
    let path = folder.join(MANIFEST_NAME);
    let length = fs::symlink_metadata(&path)
        .map_err(|_| PackageError::ManifestMissing)?
        .len();
    if length > AeDocument::BYTES_MAX as u64 {
        return Err(PackageError::entry(
            MANIFEST_NAME.as_bytes(),
            "is larger than a manifest may be",
        ));
    }
    let bytes = fs::read(&path).map_err(PackageError::disk("reading", &path))?;
    AeDocument::from_xml(&bytes, MANIFEST_NAME)
        .map(drop)
        .map_err(|error| PackageError::Manifest(Box::new(error)))
}

struct Packer<W: Write> {
    builder: tar::Builder<W>,
    limits: PackageLimits,
    entries: u64,
    bytes: u64,
}

impl<W: Write> Packer<W> {
    fn folder(&mut self, folder: &Path, inside: &Path, depth: usize) -> Result<(), PackageError> {
        if depth > DEPTH_MAX {
            return Err(PackageError::entry(
                inside.as_os_str().as_bytes(),
                "is nested too deeply",
            ));
        }
        let mut names = Vec::new();
        for child in fs::read_dir(folder).map_err(PackageError::disk("listing", folder))? {
            names.push(
                child
                    .map_err(PackageError::disk("listing", folder))?
                    .file_name(),
            );
        }
        names.sort_unstable();
        for name in names {
            self.child(folder, inside, &name, depth)?;
        }
        Ok(())
    }

    fn child(
        &mut self,
        folder: &Path,
        inside: &Path,
        name: &OsStr,
        depth: usize,
    ) -> Result<(), PackageError> {
        let path = folder.join(name);
        let inside = inside.join(name);
        let shown = inside.as_os_str().as_bytes();
        let metadata = fs::symlink_metadata(&path).map_err(PackageError::disk("reading", &path))?;
        self.count(shown)?;
        if metadata.is_dir() {
            self.append(
                &inside,
                tar::EntryType::Directory,
                0o755,
                0,
                std::io::empty(),
                &path,
            )?;
            self.folder(&path, &inside, depth + 1)
        } else if metadata.is_file() {
            self.bytes = self.bytes.saturating_add(metadata.len());
            if self.bytes > self.limits.unpacked_bytes_max {
                return Err(PackageError::Limit {
                    limit: self.limits.unpacked_bytes_max,
                    unit: "bytes, unpacked",
                });
            }
            let mode = if metadata.permissions().mode() & 0o100 == 0 {
                0o644
            } else {
                0o755
            };
            let file = fs::File::open(&path).map_err(PackageError::disk("opening", &path))?;
            let exact = super::bounded::BoundedReader::new(file, metadata.len());
            self.append(
                &inside,
                tar::EntryType::Regular,
                mode,
                metadata.len(),
                exact,
                &path,
            )
        } else {
            Err(PackageError::entry(shown, "is neither a file nor a folder"))
        }
    }

    fn count(&mut self, name: &[u8]) -> Result<(), PackageError> {
        self.entries += 1;
        if self.entries > self.limits.entries_max {
            return Err(PackageError::Limit {
                limit: self.limits.entries_max,
                unit: "entries",
            });
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(PackageError::entry(name, "has a name that is too long"));
        }
        super::reader::check_name(name).map(drop)
    }

    fn append(
        &mut self,
        inside: &Path,
        kind: tar::EntryType,
        mode: u32,
        size: u64,
        content: impl std::io::Read,
        path: &Path,
    ) -> Result<(), PackageError> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(0);
        header.set_path(inside).map_err(|_| {
            PackageError::entry(inside.as_os_str().as_bytes(), "has a name that is too long")
        })?;
        header.set_cksum();
        self.builder
            .append(&header, content)
            .map_err(PackageError::disk("packing", path))
    }
}
