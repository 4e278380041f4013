//! Where a compute Host starts from.

use std::path::PathBuf;

use gridmart_schemas::resource::host::HostPolicy;

use super::sandbox::RunnerProgram;
use crate::member::MemberConfig;

/// What a compute Host has to be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every Host has to be told.
    pub member: MemberConfig,
    /// How many calls may run at a time; absent: as many as the system shows
    /// CPUs.
    pub slots: Option<u32>,
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
