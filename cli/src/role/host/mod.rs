//! `gridmart host …`: a Host, of one kind of goods.

mod compute;
mod data;
mod storage;

use std::{net::SocketAddr, path::PathBuf};

use gridmart_host::member::MemberConfig;

use super::{Arguments, JoinToken, data_home, element::machine_name, join_token, required};
use crate::failure::Failure;

/// Which kind of Host.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Kind {
    /// Run a compute Host: this machine's share of a pool
    Compute(Arguments<compute::Settings>),
    /// Run a storage Host: it keeps blocks of objects on this machine's disk
    Storage(Arguments<storage::Settings>),
    /// Run a data Host: it keeps copies of databases on this machine's disk
    Data(Arguments<data::Settings>),
}

/// Runs the Host until it is told to end.
pub(crate) fn run(kind: Kind) -> Result<(), Failure> {
    match kind {
        Kind::Compute(arguments) => compute::run(arguments),
        Kind::Storage(arguments) => storage::run(arguments),
        Kind::Data(arguments) => data::run(arguments),
    }
}

/// What all Hosts are told, as it was typed.
struct Told {
    data_dir: Option<PathBuf>,
    element: Option<String>,
    join_token: Option<JoinToken>,
    join_token_file: Option<PathBuf>,
    name: Option<String>,
    listen: Option<SocketAddr>,
    advertise: Option<String>,
    relayed: Option<bool>,
}

impl Told {
    /// Settles it; `folder` is the data folder's name where none was typed.
    fn settled(self, folder: &str) -> Result<MemberConfig, Failure> {
        let relayed = self.relayed.unwrap_or(false);
        if relayed && (self.listen.is_some() || self.advertise.is_some()) {
            return Err(Failure::Usage(
                "a relayed Host listens nowhere: leave out --listen and --advertise, or --relayed"
                    .to_owned(),
            ));
        }
        Ok(MemberConfig {
            data_dir: self.data_dir.unwrap_or_else(|| data_home().join(folder)),
            element: required(self.element, "element")?,
            join_token: join_token(self.join_token, self.join_token_file.as_deref())?,
            name: self.name.unwrap_or_else(machine_name),
            listen: self.listen.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0))),
            advertise: self.advertise,
            relayed,
        })
    }
}
