//! Where every Host starts from.

use std::{net::SocketAddr, path::PathBuf};

use gridmart_fabric::door::advertised::endpoint;

use crate::facts::Machine;

/// What every Host has to be told.
#[derive(Clone)]
pub struct MemberConfig {
    /// Its own folder: identity, wishes, and whatever its goods are.
    pub data_dir: PathBuf,
    /// Its Element's door, `HOST:PORT`.
    pub element: String,
    /// Proves, at the first start, that it may join.
    pub join_token: Option<String>,
    /// The name that people read.
    pub name: String,
    /// Where its door listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// How programs reach its door, `HOST` or `HOST:PORT`, where that is not
    /// where it listens.
    pub advertise: Option<String>,
    /// It cannot be dialled: it listens nowhere, whatever `listen` says, and
    /// programs reach it through its Element.
    pub relayed: bool,
}

impl std::fmt::Debug for MemberConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the token: it is a secret.
        f.debug_struct("MemberConfig")
            .field("data_dir", &self.data_dir)
            .field("element", &self.element)
            .field("name", &self.name)
            .field("listen", &self.listen)
            .field("advertise", &self.advertise)
            .field("relayed", &self.relayed)
            .finish_non_exhaustive()
    }
}

impl MemberConfig {
    /// Where programs may reach the door, most preferred first.
    pub(super) fn endpoints(&self, address: SocketAddr, machine: &Machine) -> Vec<String> {
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
