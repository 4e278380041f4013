//! `gridmart host data`.

use std::{net::SocketAddr, path::PathBuf};

use gridmart_host::data::server::ServerUrl;
use gridmart_schemas::resource::host::DataHostPolicy;

use super::{
    super::{Arguments, JoinToken, LogFormat, settings::settings},
    Told,
};
use crate::{failure::Failure, size::Size};

settings! {
    /// Settings of a data Host.
    Settings {
        /// Folder for everything it keeps [default: $XDG_DATA_HOME/gridmart/dhost]
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// Folder of its databases [default: `databases` in its data folder]
        #[arg(long, value_name = "DIR")]
        database_dir: PathBuf,
        /// Bytes of its log that a core keeps for shadows that are away; who misses more begins anew [default: 1GiB]
        #[arg(long, value_name = "SIZE", value_parser = Size::above_zero)]
        log_max: Size,
        /// File with the URL of a database server, as postgresql://ACCOUNT:PASSWORD@HOST or mariadb://…, for databases with that engine; may be repeated
        #[arg(long, value_name = "FILE", env = "GRIDMART_DATA_SERVERS", value_delimiter = ',')]
        server: Vec<PathBuf>,
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
        /// Address of its door, for its Element and other Hosts [default: 0.0.0.0:0]
        #[arg(long, value_name = "ADDR:PORT")]
        listen: SocketAddr,
        /// Host name or address that its Element and other Hosts reach it by
        #[arg(long, value_name = "HOST[:PORT]")]
        advertise: String,
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
        relayed: None,
    };
    let servers = settings.server.unwrap_or_default();
    let servers = ServerUrl::of_files(servers.iter().map(PathBuf::as_path));
    let servers = servers.map_err(|error| Failure::Usage(error.to_string()))?;
    let config = gridmart_host::data::Config {
        member: told.settled("dhost")?,
        database_dir: settings.database_dir,
        servers,
        log_bytes_max: settings.log_max.map(Size::bytes),
        policy: DataHostPolicy::default(),
    };
    frame.serve(|shutdown| gridmart_host::data::run(config, shutdown))
}
