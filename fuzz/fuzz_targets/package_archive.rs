//! Any bytes are unpacked or refused. What is unpacked lies inside its folder,
//! is files and folders and nothing else, and no more than the limits allow;
//! of what is refused nothing is left; and inspecting says what unpacking does.
//!
//! The first byte chooses what the others are: the archive as it is; or the
//! tar inside it, with check sums put right, behind a good manifest or not.
#![no_main]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use gridmart_fabric::package::{PackageError, PackageLimits, inspect, unpack};
use libfuzzer_sys::fuzz_target;

const BLOCK: usize = 512;
const LIMITS: PackageLimits = PackageLimits {
    archive_bytes_max: 256 * 1024,
    entries_max: 40,
    unpacked_bytes_max: 128 * 1024,
};
const MANIFEST: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <AEDoc xmlns=\"urn:gridmart:rdm:1\" Version=\"1\"><Info><AppName>a</AppName>\
    <AppVersion>1</AppVersion><Kind>task</Kind></Info><Policy/>\
    <AccessControlBase><Rule>ALL</Rule></AccessControlBase>\
    <Command><Executable>/bin/true</Executable></Command></AEDoc>\n";

/// Memory, where there is such a folder: unpacking syncs each file.
static SCRATCH: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a temporary folder can be made")
});

/// Puts each header's check sum right, as far as headers can be found.
fn check_sums(tar: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = tar.get_mut(at..at + BLOCK) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let octal = header[124..136]
            .iter()
            .take_while(|byte| (b'0'..=b'7').contains(*byte));
        let size = octal.fold(0_usize, |size, byte| {
            (size * 8 + usize::from(byte - b'0')).min(1 << 30)
        });
        at += BLOCK + size.div_ceil(BLOCK) * BLOCK;
    }
}

fn manifest_entry() -> Vec<u8> {
    let mut header = [0; BLOCK];
    header[..9].copy_from_slice(b"AEDoc.xml");
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(format!("{:011o}", MANIFEST.len()).as_bytes());
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let mut entry = header.to_vec();
    entry.extend_from_slice(MANIFEST.as_bytes());
    entry.resize(entry.len().next_multiple_of(BLOCK), 0);
    entry
}

fn archive(choice: u8, bytes: &[u8]) -> Vec<u8> {
    if choice.is_multiple_of(4) {
        return bytes.to_vec();
    }
    let mut tar = Vec::new();
    if choice % 4 != 1 {
        tar = manifest_entry();
    }
    tar.extend_from_slice(bytes);
    check_sums(&mut tar);
    if choice % 4 == 3 {
        tar.extend_from_slice(&[0; 2 * BLOCK]);
    }
    zstd::encode_all(tar.as_slice(), 1).expect("bytes can be compressed")
}

/// Counts what is below a folder, and demands that it is harmless.
fn walk(folder: &Path, bytes: &mut u64, entries: &mut u64) {
    for entry in fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("a folder can be read").path();
        let facts = fs::symlink_metadata(&path).expect("an entry can be looked at");
        *entries += 1;
        assert_eq!(facts.permissions().mode() & 0o7022, 0, "{}", path.display());
        if facts.is_dir() {
            walk(&path, bytes, entries);
        } else {
            assert!(facts.is_file(), "{} is no file", path.display());
            *bytes += facts.len();
        }
    }
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder can be read");
    entries
        .map(|entry| entry.expect("a folder can be read").path())
        .collect()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    let archive = archive(*choice, rest);
    let scratch = SCRATCH.path();
    let (package, into) = (scratch.join("package"), scratch.join("into"));
    fs::write(&package, &archive).expect("a file can be written");
    let inspected = inspect(archive.as_slice(), &LIMITS);
    match unpack(&package, &into, &LIMITS) {
        Ok(unpacked) => {
            let inspected = inspected.expect("what can be unpacked is found good");
            assert_eq!(
                (inspected.entries, inspected.unpacked_size),
                (unpacked.entries, unpacked.unpacked_size)
            );
            let (mut bytes, mut entries) = (0, 0);
            walk(&into, &mut bytes, &mut entries);
            assert_eq!(bytes, unpacked.unpacked_size);
            assert!(bytes <= LIMITS.unpacked_bytes_max);
            // Each entry may lie below folders that have none of their own.
            assert!(entries <= LIMITS.entries_max * 33, "{entries}");
            fs::remove_dir_all(&into).expect("a folder can be removed");
        }
        Err(PackageError::Disk {
            action,
            path,
            source,
        }) => {
            // A name may be too long for the file system; nothing else is its fault.
            assert!(
                inspected.is_ok(),
                "{action} {path}: {source}, found bad before"
            );
        }
        Err(error) => assert!(inspected.is_err(), "found good, but not unpacked: {error}"),
    }
    assert_eq!(
        names(scratch),
        [package],
        "something is left, or lies outside"
    );
});
