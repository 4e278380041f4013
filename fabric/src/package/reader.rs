//! Reads a package entry by entry and refuses the first one that breaks a rule.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::PathBuf,
};

use gridmart_schemas::resource::{Document as _, ae_doc::AeDocument};

use super::{
    DEPTH_MAX, Inspection, MANIFEST_NAME, NAME_BYTES_MAX, PackageError, PackageLimits,
    WINDOW_LOG_MAX, bounded::BoundedReader,
};

/// Bytes of a tar header, and what contents are padded to.
const BLOCK_BYTES: u64 = 512;
/// Set-user-id, set-group-id, sticky.
const SPECIAL_BITS: u32 = 0o7000;

/// Takes what the reader has found to be good.
pub(super) trait Receiver {
    /// A folder; its parents were received before, or are implied.
    fn folder(&mut self, path: &str) -> Result<(), PackageError>;
    /// A file; `content` ends where the file ends.
    fn file(
        &mut self,
        path: &str,
        executable: bool,
        content: &mut dyn Read,
    ) -> Result<(), PackageError>;
}

/// Reads a package without keeping it: what is in it, and is it good?
pub fn inspect<R: Read>(reader: R, limits: &PackageLimits) -> Result<Inspection, PackageError> {
    struct Nowhere;
    impl Receiver for Nowhere {
        fn folder(&mut self, _: &str) -> Result<(), PackageError> {
            Ok(())
        }
        fn file(&mut self, _: &str, _: bool, content: &mut dyn Read) -> Result<(), PackageError> {
            io::copy(content, &mut io::sink())
                .map(drop)
                .map_err(|error| PackageError::Archive(error.to_string()))
        }
    }
    read(reader, limits, &mut Nowhere)
}

type Inflated<R> =
    BoundedReader<zstd::stream::read::Decoder<'static, io::BufReader<BoundedReader<R>>>>;

/// Reads a package into `receiver`.
pub(super) fn read<R: Read>(
    reader: R,
    limits: &PackageLimits,
    receiver: &mut dyn Receiver,
) -> Result<Inspection, PackageError> {
    let broken = |error: io::Error| PackageError::Archive(error.to_string());
    let archive = io::BufReader::with_capacity(
        64 * 1024,
        BoundedReader::new(reader, limits.archive_bytes_max),
    );
    let mut decoder = zstd::stream::read::Decoder::with_buffer(archive).map_err(broken)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(broken)?;
    // Headers and padding come on top of the contents.
    let overhead = limits
        .entries_max
        .saturating_add(40)
        .saturating_mul(2 * BLOCK_BYTES);
    let bounded = BoundedReader::new(decoder, limits.unpacked_bytes_max.saturating_add(overhead));
    let mut tar = tar::Archive::new(bounded);
    let read = Walk::new(limits, receiver).all(&mut tar);
    let mut bounded = tar.into_inner();
    let read = read.and_then(|inspection| end(&mut bounded).map(|()| inspection));
    read.map_err(|error| name_limit(error, &bounded, limits))
}

/// Nothing but zeros may follow the last entry; also brings the decoder to the
/// check sum at its end.
fn end<R: Read>(bounded: &mut Inflated<R>) -> Result<(), PackageError> {
    let mut buffer = [0; 8192];
    loop {
        match bounded.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) if buffer[..read].iter().all(|byte| *byte == 0) => {}
            Ok(_) => {
                return Err(PackageError::Archive(
                    "something follows its end".to_owned(),
                ));
            }
            Err(error) => return Err(PackageError::Archive(error.to_string())),
        }
    }
}

/// A reader that stopped at its limit shows as a broken archive: says which.
fn name_limit<R: Read>(
    error: PackageError,
    bounded: &Inflated<R>,
    limits: &PackageLimits,
) -> PackageError {
    if bounded.exceeded() {
        PackageError::Limit {
            limit: limits.unpacked_bytes_max,
            unit: "bytes, unpacked",
        }
    } else if bounded.inner().get_ref().get_ref().exceeded() {
        PackageError::Limit {
            limit: limits.archive_bytes_max,
            unit: "bytes",
        }
    } else {
        error
    }
}

struct Walk<'a> {
    limits: &'a PackageLimits,
    receiver: &'a mut dyn Receiver,
    /// Path → is it a folder; implied folders included.
    seen: BTreeMap<String, Seen>,
    entries: u64,
    bytes: u64,
    manifest: Option<AeDocument>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    File,
    Folder,
    /// A folder that had no entry of its own so far.
    Implied,
}

impl<'a> Walk<'a> {
    fn new(limits: &'a PackageLimits, receiver: &'a mut dyn Receiver) -> Self {
        Self {
            limits,
            receiver,
            seen: BTreeMap::new(),
            entries: 0,
            bytes: 0,
            manifest: None,
        }
    }

    fn all<R: Read>(mut self, tar: &mut tar::Archive<R>) -> Result<Inspection, PackageError> {
        let broken = |error: io::Error| PackageError::Archive(error.to_string());
        // Raw: extension headers (long names, sparse maps) are entries of
        // their own and thereby refused, before anything is allocated for them.
        for entry in tar.entries().map_err(broken)?.raw(true) {
            self.entry(&mut entry.map_err(broken)?)?;
        }
        let manifest = self.manifest.ok_or(PackageError::ManifestMissing)?;
        Ok(Inspection {
            manifest,
            entries: self.entries,
            unpacked_size: self.bytes,
        })
    }

    fn entry<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<(), PackageError> {
        self.entries += 1;
        if self.entries > self.limits.entries_max {
            return Err(PackageError::Limit {
                limit: self.limits.entries_max,
                unit: "entries",
            });
        }
        let header = entry.header().clone();
        let raw_name = header.path_bytes().into_owned();
        let refusal = |rule| PackageError::entry(&raw_name, rule);
        let is_folder = match header.entry_type() {
            tar::EntryType::Directory => true,
            tar::EntryType::Regular => false,
            tar::EntryType::Symlink | tar::EntryType::Link => return Err(refusal("is a link")),
            tar::EntryType::Char | tar::EntryType::Block => return Err(refusal("is a device")),
            tar::EntryType::Fifo => return Err(refusal("is a named pipe")),
            _ => return Err(refusal("is neither a plain file nor a folder")),
        };
        let mode = header
            .mode()
            .map_err(|_| refusal("has a mode that cannot be read"))?;
        if mode & SPECIAL_BITS != 0 {
            return Err(refusal("has a set-user-id, set-group-id or sticky bit"));
        }
        let path = check_name(&raw_name)?;
        if is_folder {
            if header.size().unwrap_or(1) != 0 {
                return Err(refusal("is a folder with content"));
            }
            // The folder itself (`./`) needs no entry, and may have one.
            return if path.is_empty() {
                Ok(())
            } else {
                self.folder(&path)
            };
        }
        if path.is_empty() {
            return Err(refusal("has no name"));
        }
        let size = header
            .size()
            .map_err(|_| refusal("has a size that cannot be read"))?;
        self.file(&path, mode & 0o100 != 0, size, entry)
    }

    fn folder(&mut self, path: &str) -> Result<(), PackageError> {
        match self.seen.get(path) {
            None => {
                self.parents(path)?;
                self.receiver.folder(path)?;
            }
            Some(Seen::Implied) => {}
            Some(_) => return Err(PackageError::entry(path.as_bytes(), "is there twice")),
        }
        self.seen.insert(path.to_owned(), Seen::Folder);
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        path: &str,
        executable: bool,
        size: u64,
        entry: &mut tar::Entry<'_, R>,
    ) -> Result<(), PackageError> {
        if self.seen.contains_key(path) {
            return Err(PackageError::entry(path.as_bytes(), "is there twice"));
        }
        self.parents(path)?;
        self.seen.insert(path.to_owned(), Seen::File);
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.unpacked_bytes_max {
            return Err(PackageError::Limit {
                limit: self.limits.unpacked_bytes_max,
                unit: "bytes, unpacked",
            });
        }
        if path != MANIFEST_NAME {
            return self.receiver.file(path, executable, entry);
        }
        if size > AeDocument::BYTES_MAX as u64 {
            return Err(PackageError::entry(
                path.as_bytes(),
                "is larger than a manifest may be",
            ));
        }
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .map_err(|error| PackageError::Archive(error.to_string()))?;
        let document = AeDocument::from_xml(&bytes, MANIFEST_NAME);
        self.manifest = Some(document.map_err(|error| PackageError::Manifest(Box::new(error)))?);
        self.receiver.file(path, false, &mut bytes.as_slice())
    }

    /// Sees to it that all folders above `path` are folders.
    fn parents(&mut self, path: &str) -> Result<(), PackageError> {
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            match self.seen.get(parent) {
                Some(Seen::File) => {
                    return Err(PackageError::entry(path.as_bytes(), "lies below a file"));
                }
                Some(_) => {}
                None => {
                    self.receiver.folder(parent)?;
                    self.seen.insert(parent.to_owned(), Seen::Implied);
                }
            }
        }
        Ok(())
    }
}

/// Brings a name into its one form, `a/b/c`; empty for the top itself.
pub(super) fn check_name(name: &[u8]) -> Result<String, PackageError> {
    let refusal = |rule| PackageError::entry(name, rule);
    if name.len() > NAME_BYTES_MAX {
        return Err(refusal("has a name that is too long"));
    }
    let text = std::str::from_utf8(name).map_err(|_| refusal("has a name that is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(refusal("has a control character in its name"));
    }
    if text.starts_with('/') {
        return Err(refusal("has an absolute path"));
    }
    let mut path = PathBuf::new();
    let mut depth = 0;
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(refusal("leads out of the package")),
            part => {
                path.push(part);
                depth += 1;
            }
        }
    }
    if depth > DEPTH_MAX {
        return Err(refusal("is nested too deeply"));
    }
    path.into_os_string()
        .into_string()
        .map_err(|_| refusal("has a name that is not UTF-8"))
}
