//! `gridmart host compute`.

use std::{net::SocketAddr, path::PathBuf};

use super::{
    super::{Arguments, JoinToken, LogFormat, settings::settings},
    Told,
};
use crate::failure::Failure;

settings! {
    /// Settings of a compute Host.
    Settings {
        /// Folder for everything it keeps [default: $XDG_DATA_HOME/gridmart/chost]
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// The Element's door
        #[arg(long, value_name = "HOST:PORT")]
        element: String,
        /// Join token, for the first start only
        #[arg(long, value_name = "TOKEN", env = "GRIDMART_JOIN_TOKEN", hide_env_values = true, value_parser = JoinToken::read)]
        join_token: JoinToken,
        /// File with the join token
        #[arg(long, value_name = "FILE")]
        join_token_file: PathBuf,
        /// Its name, for people [default: the machine's name]
        #[arg(long)]
        name: String,
        /// How many calls may run at a time [default: one per CPU]
        #[arg(long, value_name = "N")]
        slots: u32,
        /// Address of its door, for programs [default: 0.0.0.0:0]
        #[arg(long, value_name = "ADDR:PORT")]
        listen: SocketAddr,
        /// Host name or address that programs reach it by
        #[arg(long, value_name = "HOST[:PORT]")]
        advertise: String,
        /// Listen nowhere: programs reach the Host through its Element, to which it dials
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
        relayed: bool,
        /// Take calls even where no sandbox can be had: programs then see this machine's files
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
        allow_unsandboxed: bool,
        /// Form of its log [default: text]
        #[arg(long, value_name = "FORM")]
        log_format: LogFormat,
        /// What goes into its log, as in `info` or `gridmart_host=debug` [default: info]
        #[arg(long, value_name = "FILTER")]
        log_level: String,
    }
}

/// Runs the Host until it is told to end.
pub(super) fn run(arguments: Arguments<Settings>) -> Result<(), Failure> {
    let (frame, settings) = arguments.settled()?;
    let told = Told {
        data_dir: settings.data_dir,
        element: settings.element,
        join_token: settings.join_token,
        join_token_file: settings.join_token_file,
        name: settings.name,
        listen: settings.listen,
        advertise: settings.advertise,
        relayed: settings.relayed,
    };
    let config = gridmart_host::compute::Config {
        member: told.settled("chost")?,
        slots: settings.slots,
        allow_unsandboxed: settings.allow_unsandboxed.unwrap_or(false),
    };
    frame.serve(|shutdown| gridmart_host::compute::run(config, shutdown))
}
