//! Where a data Host starts from.

use std::path::PathBuf;

use gridmart_schemas::resource::host::DataHostPolicy;

use super::server::ServerUrl;
use crate::member::MemberConfig;

/// What a data Host has to be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every Host has to be told.
    pub member: MemberConfig,
    /// The folder of its databases; absent: `databases` in its data folder.
    pub database_dir: Option<PathBuf>,
    /// Database servers beside the Host, which are engines of its.
    pub servers: Vec<ServerUrl>,
    /// Bytes of its log that a core keeps for shadows that are away; absent: 1 GiB.
    pub log_bytes_max: Option<u64>,
    /// What the machine's owner allows.
    pub policy: DataHostPolicy,
}
