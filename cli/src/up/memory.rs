//! What `up` remembers from one start to the next: who has joined, and the
//! ports that others know.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use gridmart_fabric::{
    disk::{RealDisk, Secrecy, durable_write},
    ready::Ready,
};
use gridmart_schemas::id::NodeId;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The file, in the data folder.
const FILE: &str = "up.json";

/// All that is remembered.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    roles: BTreeMap<String, RoleMemory>,
    #[serde(skip)]
    path: PathBuf,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct RoleMemory {
    /// Its identity, once it has joined.
    node: Option<NodeId>,
    /// The port of each of its doors.
    ports: BTreeMap<String, u16>,
}

impl Memory {
    /// Reads what was remembered in a data folder.
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let mut memory: Self = match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).with_context(|| {
                format!(
                    "{} is damaged: remove it, the roles keep their identities without it",
                    path.display()
                )
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(error) => {
                return Err(anyhow::Error::from(error)
                    .context(format!("{} cannot be read", path.display()))
                    .into());
            }
        };
        memory.path = path;
        Ok(memory)
    }

    /// Tells who a role is, if it has joined.
    pub(crate) fn node(&self, role: &str) -> Option<NodeId> {
        self.roles.get(role)?.node
    }

    /// Tells the port that a role's door had.
    pub(crate) fn port(&self, role: &str, door: &str) -> Option<u16> {
        self.roles.get(role)?.ports.get(door).copied()
    }

    /// Tells which roles have joined.
    pub(crate) fn joined(&self) -> impl Iterator<Item = &str> {
        self.roles
            .iter()
            .filter(|(_, role)| role.node.is_some())
            .map(|(name, _)| name.as_str())
    }

    /// Remembers a role that is ready.
    pub(crate) fn note(&mut self, role: &str, ready: &Ready) -> Result<(), Failure> {
        let ports = ready
            .addresses
            .iter()
            .filter_map(|(name, address)| Some((name.clone(), port_of(address)?)))
            .collect();
        let new = RoleMemory {
            node: ready.node,
            ports,
        };
        if self.roles.get(role) == Some(&new) {
            return Ok(());
        }
        self.roles.insert(role.to_owned(), new);
        let text = serde_json::to_vec_pretty(self).map_err(anyhow::Error::from)?;
        Ok(durable_write(&RealDisk, &self.path, &text, Secrecy::Open)
            .with_context(|| format!("{} cannot be written", self.path.display()))?)
    }
}

/// Takes the port from `HOST:PORT` or a URL without a path.
pub(crate) fn port_of(address: &str) -> Option<u16> {
    address
        .rsplit_once(':')?
        .1
        .trim_end_matches('/')
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let node = NodeId::generate();
        let mut memory = Memory::read(folder.path()).unwrap();
        let ready = Ready {
            role: "ce".into(),
            pid: 1,
            node: Some(node),
            name: "ce-1".into(),
            addresses: [("door".to_owned(), "127.0.0.1:4242".to_owned())].into(),
        };
        memory.note("ce-1", &ready).unwrap();
        let again = Memory::read(folder.path()).unwrap();
        assert_eq!(
            (again.node("ce-1"), again.port("ce-1", "door")),
            (Some(node), Some(4242))
        );
        assert_eq!(again.joined().collect::<Vec<_>>(), ["ce-1"]);
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        let Err(Failure::Local(error)) = Memory::read(folder.path()) else {
            panic!("an error is expected")
        };
        assert!(error.to_string().contains(FILE), "{error}");
    }

    #[test]
    fn ports_are_read_from_addresses() {
        assert_eq!(port_of("127.0.0.1:80"), Some(80));
        assert_eq!(port_of("http://[::1]:7700/"), Some(7700));
        assert_eq!(port_of("nothing"), None);
    }
}
