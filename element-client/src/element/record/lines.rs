//! Files of JSON lines, to which what has to survive is appended; a torn last
//! line, left by a crash, is dropped.

use std::path::Path;

use gridmart_fabric::disk::Disk;
use serde::de::DeserializeOwned;

/// Reads all whole lines; `None` stands for nothing there.
pub(crate) fn read_lines<T: DeserializeOwned>(
    disk: &dyn Disk,
    path: &Path,
) -> std::io::Result<Vec<T>> {
    let bytes = match disk.read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut lines = Vec::new();
    for line in bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_suffix(b"\n"))
    {
        match serde_json::from_slice(line) {
            Ok(value) => lines.push(value),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a line of the journal cannot be read and is left out");
            }
        }
    }
    Ok(lines)
}

pub(crate) fn write_line<T: serde::Serialize>(
    into: &mut Vec<u8>,
    value: &T,
) -> std::io::Result<()> {
    serde_json::to_writer(&mut *into, value)?;
    into.push(b'\n');
    Ok(())
}
