//! The newest epoch that a ledger has seen, in a file of its own.

use std::{io, path::Path};

use gridmart_fabric::disk::{Disk, Secrecy, durable_write};

const MAGIC: &[u8; 8] = b"GMEPOCH1";
const FILE_BYTES: u64 = 48;

/// Reads it; 0 if there is none.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> io::Result<u64> {
    let Some(bytes) = disk.read_bounded(path, FILE_BYTES)? else {
        return Ok(0);
    };
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is damaged");
    let (bytes, check) = bytes.split_last_chunk::<32>().ok_or_else(damaged)?;
    let epoch = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
    let epoch = epoch.try_into().map_err(|_| damaged())?;
    if blake3::hash(bytes) != *check {
        return Err(damaged());
    }
    Ok(u64::from_le_bytes(epoch))
}

/// Keeps it durably.
pub(super) fn write(disk: &dyn Disk, path: &Path, epoch: u64) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&epoch.to_le_bytes());
    let check = blake3::hash(&bytes);
    bytes.extend_from_slice(check.as_bytes());
    durable_write(disk, path, &bytes, Secrecy::Secret)
}
