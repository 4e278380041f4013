//! Settings of a controller.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use gridmart_fabric::authority::DEFAULT_VALIDITY;
use serde::Deserialize;

/// The largest package that may be allowed: 8 GiB.
const PACKAGE_BYTES_CEILING: u64 = 8 * 1024 * 1024 * 1024;
/// The longest time between two heartbeats, seconds.
const HEARTBEAT_CEILING: u32 = 60;
/// The shortest life of a certificate, seconds: renewed at half of it, a node
/// has time for some tries.
const LIFETIME_FLOOR: u64 = 10;
/// The longest: renewal is to happen while somebody remembers that there is one.
const LIFETIME_CEILING: u64 = 366 * 24 * 60 * 60;

/// When the people's door speaks TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeopleTls {
    /// Everywhere but on loopback. There is no "never".
    #[default]
    Auto,
    /// On loopback as well.
    Always,
}

/// Settings of a controller.
#[derive(Clone, Debug)]
pub struct Config {
    /// Everything that it keeps.
    pub data_dir: PathBuf,
    /// The people's door: API and console.
    pub people_listen: SocketAddr,
    /// The nodes' door: mutual TLS.
    pub nodes_listen: SocketAddr,
    /// Its name, for people.
    pub name: String,
    /// Host name or address that other machines reach it by; absent: found out.
    pub advertise: Option<String>,
    /// When the people's door speaks TLS.
    pub people_tls: PeopleTls,
    /// Bytes of one application package, at most.
    pub package_bytes_max: u64,
    /// Records of ended calls that are kept.
    pub call_records_max: u64,
    /// Seconds between two heartbeats of an Element.
    pub heartbeat_interval: u32,
    /// How long the certificates of nodes live, the controller's own included.
    /// A node that is away for longer has to join again.
    pub certificate_lifetime: Duration,
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the setting {name} cannot be {found}: {expected}")]
pub struct ConfigError {
    name: &'static str,
    found: String,
    expected: String,
}

impl Config {
    /// The defaults, on this data folder.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            people_listen: SocketAddr::from(([127, 0, 0, 1], 7700)),
            nodes_listen: SocketAddr::from(([127, 0, 0, 1], 7709)),
            name: "control".to_owned(),
            advertise: None,
            people_tls: PeopleTls::Auto,
            package_bytes_max: 1024 * 1024 * 1024,
            call_records_max: 100_000,
            heartbeat_interval: 2,
            certificate_lifetime: DEFAULT_VALIDITY,
        }
    }

    /// Refuses settings that cannot work, before anything is opened.
    pub fn check(&self) -> Result<(), ConfigError> {
        let bad = |name, found: String, expected: String| {
            Err(ConfigError {
                name,
                found,
                expected,
            })
        };
        let name = self.name.chars().count();
        if !(1..=64).contains(&name) {
            return bad(
                "name",
                format!("{:?}", self.name),
                "1 to 64 characters are expected".to_owned(),
            );
        }
        if let Some(advertise) = &self.advertise {
            let good = !advertise.is_empty()
                && advertise.len() <= 253
                && advertise
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':'));
            if !good {
                return bad(
                    "advertise",
                    format!("{advertise:?}"),
                    "a host name or address, without a port, is expected".to_owned(),
                );
            }
        }
        if !(1..=PACKAGE_BYTES_CEILING).contains(&self.package_bytes_max) {
            return bad(
                "package_bytes_max",
                self.package_bytes_max.to_string(),
                format!("1 to {PACKAGE_BYTES_CEILING} are expected"),
            );
        }
        if !(1..=HEARTBEAT_CEILING).contains(&self.heartbeat_interval) {
            return bad(
                "heartbeat_interval",
                self.heartbeat_interval.to_string(),
                format!("1 to {HEARTBEAT_CEILING} seconds are expected"),
            );
        }
        let lifetime = self.certificate_lifetime.as_secs();
        if !(LIFETIME_FLOOR..=LIFETIME_CEILING).contains(&lifetime) {
            return bad(
                "certificate_lifetime",
                format!("{lifetime} s"),
                format!("{LIFETIME_FLOOR} to {LIFETIME_CEILING} seconds are expected"),
            );
        }
        Ok(())
    }

    /// Whether the people's door speaks TLS: always, unless it is on loopback
    /// and that was not asked for.
    pub fn people_speak_tls(&self) -> bool {
        self.people_tls == PeopleTls::Always || !self.people_listen.ip().is_loopback()
    }

    /// The host by which other machines reach a door that is bound to `listen`.
    pub fn advertised_host(&self, listen: SocketAddr) -> String {
        match &self.advertise {
            Some(advertise) => advertise.clone(),
            None if listen.ip().is_unspecified() => machine_name(),
            None => listen.ip().to_string(),
        }
    }
}

/// The machine's own name, as its system tells it.
fn machine_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// `HOST:PORT`, with brackets around an IPv6 address.
pub(crate) fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_alone() {
        let mut config = Config::new("x");
        assert!(!config.people_speak_tls());
        config.people_tls = PeopleTls::Always;
        assert!(config.people_speak_tls());
        config.people_tls = PeopleTls::Auto;
        for open in ["0.0.0.0:7700", "[::]:7700", "192.0.2.1:7700"] {
            config.people_listen = open.parse().unwrap();
            assert!(config.people_speak_tls(), "{open}");
        }
    }

    #[test]
    fn settings_that_cannot_be_are_refused() {
        assert_eq!(Config::new("x").check(), Ok(()));
        let wrong: [fn(&mut Config); 6] = [
            |config| config.name.clear(),
            |config| config.advertise = Some("http://a".to_owned()),
            |config| config.package_bytes_max = 0,
            |config| config.heartbeat_interval = 0,
            |config| config.certificate_lifetime = Duration::from_secs(9),
            |config| config.certificate_lifetime = Duration::from_hours(400 * 24),
        ];
        for change in wrong {
            let mut config = Config::new("x");
            change(&mut config);
            assert!(config.check().is_err(), "{config:?}");
        }
    }

    #[test]
    fn addresses_are_advertised_so_that_others_can_use_them() {
        let config = Config::new("x");
        assert_eq!(
            config.advertised_host("127.0.0.1:1".parse().unwrap()),
            "127.0.0.1"
        );
        assert_ne!(
            config.advertised_host("0.0.0.0:1".parse().unwrap()),
            "0.0.0.0"
        );
        assert_eq!(host_and_port("::1", 7), "[::1]:7");
        assert_eq!(host_and_port("a.example", 7), "a.example:7");
    }
}
