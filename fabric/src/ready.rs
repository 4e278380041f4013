//! `ready.json`: how a role tells whoever started it that it serves, and where.
//!
//! The file is there from the moment the role serves until it begins to end;
//! a role removes what an earlier run left before it starts anything.

use std::{collections::BTreeMap, io, path::Path};

use gridmart_schemas::id::NodeId;
use serde::{Deserialize, Serialize};

use crate::disk::{RealDisk, Secrecy, durable_write, read_bounded};

/// Name of the file in a data folder.
pub const FILE: &str = "ready.json";
/// The most bytes such a file has.
const BYTES_MAX: u64 = 64 * 1024;

/// What a serving role says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// `control`, `ce`, `chost`.
    pub role: String,
    /// Its process.
    pub pid: u32,
    /// Its node id, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The name that people read.
    pub name: String,
    /// Door → address, as bound (`people`, `nodes`, `door`).
    pub addresses: BTreeMap<String, String>,
}

/// Says that the role serves.
pub fn announce(data_folder: &Path, ready: &Ready) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(ready)?;
    text.push(b'\n');
    durable_write(&RealDisk, &data_folder.join(FILE), &text, Secrecy::Open)
}

/// Reads what the role of that data folder says; `None` while it does not serve.
pub fn read(data_folder: &Path) -> io::Result<Option<Ready>> {
    let bytes = read_bounded(&data_folder.join(FILE), BYTES_MAX)?;
    bytes
        .map(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from))
        .transpose()
}

/// Takes the word back; nothing happens if there is none.
pub fn withdraw(data_folder: &Path) -> io::Result<()> {
    match std::fs::remove_file(data_folder.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_given_and_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        withdraw(folder.path()).unwrap();
        let ready = Ready {
            role: "ce".to_owned(),
            pid: 7,
            node: Some(NodeId::generate()),
            name: "ce1".to_owned(),
            addresses: BTreeMap::from([("door".to_owned(), "127.0.0.1:4".to_owned())]),
        };
        announce(folder.path(), &ready).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Some(ready));
        withdraw(folder.path()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
    }
}
