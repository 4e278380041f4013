//! Where a compute Host starts from.

use std::{net::SocketAddr, path::PathBuf};

use gridmart_fabric::door::advertised::endpoint;
use gridmart_schemas::resource::host::HostPolicy;

use super::sandbox::RunnerProgram;
use crate::facts::Machine;

/// What a compute Host has to be told.
#[derive(Clone)]
pub struct Config {
    /// Its own folder: identity, applications, journals.
    pub data_dir: PathBuf,
    /// Its Element's door, `HOST:PORT`.
    pub element: String,
    /// Proves, at the first start, that it may join.
    pub join_token: Option<String>,
    /// The name that people read.
    pub name: String,
    /// How many calls may run at a time; absent: as many as the system shows
    /// CPUs.
    pub slots: Option<u32>,
    /// Where its door listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// How programs reach its door, `HOST` or `HOST:PORT`, where that is not
    /// where it listens.
    pub advertise: Option<String>,
    /// It cannot be dialled: it listens nowhere, whatever `listen` says, and
    /// programs reach it through its Element.
    pub relayed: bool,
    /// Runs calls without a sandbox where none can be had.
    pub allow_unsandboxed: bool,
}

/// What only programs that embed a Host say.
#[derive(Clone, Debug, Default)]
pub struct Embedding {
    /// What the machine's owner allows.
    pub policy: HostPolicy,
    /// The program that runs inside of sandboxes; absent: this one, with the
    /// hidden command `runner`.
    pub runner: Option<RunnerProgram>,
    /// The bubblewrap program; absent: where systems have it.
    pub bubblewrap: Option<PathBuf>,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the token: it is a secret.
        f.debug_struct("Config")
            .field("data_dir", &self.data_dir)
            .field("element", &self.element)
            .field("name", &self.name)
            .field("slots", &self.slots)
            .field("listen", &self.listen)
            .field("advertise", &self.advertise)
            .field("relayed", &self.relayed)
            .field("allow_unsandboxed", &self.allow_unsandboxed)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Where programs may reach the door, most preferred first.
    pub(crate) fn endpoints(&self, address: SocketAddr, machine: &Machine) -> Vec<String> {
        match &self.advertise {
            Some(advertised) => vec![endpoint(advertised, address.port())],
            None if !address.ip().is_unspecified() => vec![address.to_string()],
            None => {
                let facts = machine.facts();
                let addresses = facts
                    .network_adapters
                    .iter()
                    .filter_map(|adapter| adapter.ip_address.as_ref());
                let addresses = addresses.filter_map(|address| address.as_str().parse().ok());
                let mut endpoints: Vec<_> = addresses
                    .map(|ip| SocketAddr::new(ip, address.port()).to_string())
                    .collect();
                endpoints.push(format!("{}:{}", facts.host_name, address.port()));
                endpoints
            }
        }
    }
}
