//! `gridmart control`: the controller.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::ValueEnum;
use gridmart_control::{Config, PeopleTls};
use serde::Deserialize;

use super::{Arguments, LogFormat, data_home, settings::settings};
use crate::{failure::Failure, period::Period, size::Size};

/// When the people's door speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tls {
    /// Everywhere but on loopback
    Auto,
    /// On loopback as well
    Always,
}

settings! {
    /// Settings of the controller.
    Settings {
        /// Folder for everything it keeps [default: $XDG_DATA_HOME/gridmart/control]
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// Address of the people's door: API [default: 127.0.0.1:7700]
        #[arg(long, value_name = "ADDR:PORT")]
        people_listen: SocketAddr,
        /// Address of the nodes' door: mutual TLS [default: 127.0.0.1:7709]
        #[arg(long, value_name = "ADDR:PORT")]
        nodes_listen: SocketAddr,
        /// Its name, for people [default: control]
        #[arg(long)]
        name: String,
        /// Host name or address that other machines reach it by
        #[arg(long, value_name = "HOST")]
        advertise: String,
        /// When the people's door speaks TLS [default: auto]
        #[arg(long, value_name = "WHEN")]
        people_tls: Tls,
        /// The largest application package [default: 1GiB]
        #[arg(long, value_name = "SIZE")]
        package_max: Size,
        /// How many ended calls are remembered [default: 100000]
        #[arg(long, value_name = "N")]
        call_records_max: u64,
        /// Time between two heartbeats of an Element [default: 2s]
        #[arg(long, value_name = "PERIOD")]
        heartbeat_interval: Period,
        /// How long nodes' certificates live; they are renewed at half of it [default: 7d]
        #[arg(long, value_name = "PERIOD")]
        certificate_lifetime: Period,
        /// Form of its log [default: text]
        #[arg(long, value_name = "FORM")]
        log_format: LogFormat,
        /// What goes into its log, as in `info` or `gridmart_control=debug` [default: info]
        #[arg(long, value_name = "FILTER")]
        log_level: String,
    }
}

/// Runs the controller until it is told to end.
pub(crate) fn run(arguments: Arguments<Settings>) -> Result<(), Failure> {
    let (frame, settings) = arguments.settled()?;
    let config = config(settings)?;
    super::open_files_raise();
    frame.serve(|shutdown| gridmart_control::run(config, shutdown))
}

fn config(settings: Settings) -> Result<Config, Failure> {
    let mut config = Config::new(
        settings
            .data_dir
            .unwrap_or_else(|| data_home().join("control")),
    );
    config.people_listen = settings.people_listen.unwrap_or(config.people_listen);
    config.nodes_listen = settings.nodes_listen.unwrap_or(config.nodes_listen);
    config.name = settings.name.unwrap_or(config.name);
    config.advertise = settings.advertise;
    config.people_tls = match settings.people_tls {
        Some(Tls::Always) => PeopleTls::Always,
        Some(Tls::Auto) | None => PeopleTls::Auto,
    };
    config.package_bytes_max = settings
        .package_max
        .map_or(config.package_bytes_max, Size::bytes);
    config.call_records_max = settings.call_records_max.unwrap_or(config.call_records_max);
    if let Some(interval) = settings.heartbeat_interval {
        config.heartbeat_interval = u32::try_from(interval.seconds())
            .map_err(|_| Failure::Usage(format!("--heartbeat-interval {interval} is too long")))?;
    }
    if let Some(lifetime) = settings.certificate_lifetime {
        config.certificate_lifetime = Duration::from_secs(lifetime.seconds());
    }
    config
        .check()
        .map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(config)
}
