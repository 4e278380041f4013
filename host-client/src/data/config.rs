//! Where a data Host starts from.

use std::path::PathBuf;

use gridmart_schemas::resource::host::DataHostPolicy;

use crate::member::MemberConfig;

/// What a data Host has to be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every Host has to be told.
    pub member: MemberConfig,
    /// The folder of its databases; absent: `databases` in its data folder.
    pub database_dir: Option<PathBuf>,
    /// What the machine's owner allows.
    pub policy: DataHostPolicy,
}
