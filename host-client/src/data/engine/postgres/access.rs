//! Where a server is, as whom to come, and whether what travels is encrypted.

use std::time::Duration;

use tokio_postgres::{
    CancelToken, Client, Config, Error, NoTls,
    config::{Host, SslMode},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::words;
use crate::data::server::{ServerUrl, client_config};

/// The server is asked for so long to end a statement.
const CANCEL_MAX: Duration = Duration::from_secs(5);
/// The database that is there in any case.
const MAINTENANCE: &str = "postgres";

/// See the module.
#[derive(Clone)]
pub(super) struct Access {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

/// What ends the statement that runs on a connection.
#[derive(Clone)]
pub(super) struct Canceller {
    token: CancelToken,
    tls: Option<MakeRustlsConnect>,
}

impl Access {
    /// Reads a URL; asks nobody yet. What is wrong with it does not show it.
    pub(super) fn of_url(url: &ServerUrl) -> Result<Self, String> {
        let (rest, roots) = url.parts()?;
        let mut config: Config = rest.parse().map_err(|_| {
            "its URL cannot be read: postgresql://ACCOUNT:PASSWORD@HOST:PORT, or \
             postgresql://ACCOUNT@%2Fvar%2Frun%2Fpostgresql for a socket"
                .to_owned()
        })?;
        if config.get_user().is_none() {
            return Err("its URL names no account".to_owned());
        }
        let Some(roots) = roots else {
            require_near(&config)?;
            config.ssl_mode(SslMode::Disable);
            return Ok(Self { config, tls: None });
        };
        let is_socket = |host: &Host| matches!(host, Host::Unix(_));
        if config.get_hosts().is_empty() || config.get_hosts().iter().any(is_socket) {
            return Err("its URL has a sslrootcert, and names no server by its name".to_owned());
        }
        let tls = MakeRustlsConnect::new(client_config(&roots)?);
        config.ssl_mode(SslMode::Require);
        Ok(Self {
            config,
            tls: Some(tls),
        })
    }

    /// The account's name.
    pub(super) fn account(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }

    /// The database from which others are made.
    pub(super) fn maintenance(&self) -> &str {
        self.config.get_dbname().unwrap_or(MAINTENANCE)
    }

    /// Connects, with what `change` says besides.
    pub(super) async fn connect(&self, change: impl FnOnce(&mut Config)) -> Result<Client, Error> {
        let mut config = self.config.clone();
        change(&mut config);
        match &self.tls {
            None => {
                let (client, driver) = config.connect(NoTls).await?;
                drive(driver);
                Ok(client)
            }
            Some(tls) => {
                let (client, driver) = config.connect(tls.clone()).await?;
                drive(driver);
                Ok(client)
            }
        }
    }

    /// What ends a statement of a connection that was made by this.
    pub(super) fn canceller(&self, client: &Client) -> Canceller {
        Canceller {
            token: client.cancel_token(),
            tls: self.tls.clone(),
        }
    }
}

/// Keeps a connection going.
fn drive(driver: impl Future<Output = Result<(), Error>> + Send + 'static) {
    tokio::spawn(async move {
        // Who uses it is told of its end as well.
        if let Err(error) = driver.await {
            tracing::debug!(
                error = words(&error),
                "a connection to PostgreSQL has ended"
            );
        }
    });
}

impl Canceller {
    /// Has the server end it; it may be over already.
    pub(super) async fn cancel(&self) {
        let asked = async {
            match &self.tls {
                None => self.token.cancel_query(NoTls).await,
                Some(tls) => self.token.cancel_query(tls.clone()).await,
            }
        };
        if !matches!(tokio::time::timeout(CANCEL_MAX, asked).await, Ok(Ok(()))) {
            tracing::debug!("a statement at PostgreSQL could not be ended");
        }
    }
}

/// In the clear, nothing leaves this machine.
fn require_near(config: &Config) -> Result<(), String> {
    let is_near = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            let address = name.trim_start_matches('[').trim_end_matches(']');
            let address: Result<std::net::IpAddr, _> = address.parse();
            address.map_or(name == "localhost", |address| address.is_loopback())
        }
    };
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    let are_near = addresses.iter().all(std::net::IpAddr::is_loopback);
    if !hosts.is_empty() && hosts.iter().all(is_near) && are_near {
        return Ok(());
    }
    Err(
        "its URL names another machine, or none: a server elsewhere is reached over TLS alone, \
         with the certificates that vouch for it (?sslrootcert=/PATH/ca.pem)"
            .to_owned(),
    )
}
