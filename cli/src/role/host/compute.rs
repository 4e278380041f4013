//! `gridmart host compute`: a Host.

use std::{net::SocketAddr, path::PathBuf};

use super::{
    Arguments, JoinToken, LogFormat, data_home, element::machine_name, join_token, required,
    settings::settings,
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

/// Which kind of Host.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Kind {
    /// Run a compute Host: this machine's share of a pool
    Compute(Arguments<Settings>),
}

/// Runs the Host until it is told to end.
pub(crate) fn run(kind: Kind) -> Result<(), Failure> {
    let Kind::Compute(arguments) = kind;
    let (frame, settings) = arguments.settled()?;
    let relayed = settings.relayed.unwrap_or(false);
    if relayed && (settings.listen.is_some() || settings.advertise.is_some()) {
        return Err(Failure::Usage(
            "a relayed Host listens nowhere: leave out --listen and --advertise, or --relayed"
                .to_owned(),
        ));
    }
    let member = gridmart_host::member::MemberConfig {
        data_dir: settings
            .data_dir
            .unwrap_or_else(|| data_home().join("chost")),
        element: required(settings.element, "element")?,
        join_token: join_token(settings.join_token, settings.join_token_file.as_deref())?,
        name: settings.name.unwrap_or_else(machine_name),
        listen: settings
            .listen
            .unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0))),
        advertise: settings.advertise,
        relayed,
    };
    let config = gridmart_host::compute::Config {
        member,
        slots: settings.slots,
        allow_unsandboxed: settings.allow_unsandboxed.unwrap_or(false),
    };
    frame.serve(|shutdown| gridmart_host::compute::run(config, shutdown))
}
