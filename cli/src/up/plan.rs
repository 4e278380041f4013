//! Which roles there are, and with which words each is started.

use std::{
    ffi::OsString,
    fs::DirBuilder,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use gridmart_schemas::role::NodeKind;

use super::memory::Memory;
use crate::{failure::Failure, period::Period, role::LogFormat, size::Size};

/// The controller's name, folder and log.
pub(crate) const CONTROL: &str = "control";
/// The Storage Element's.
pub(crate) const STORAGE_ELEMENT: &str = "se-1";
/// The Data Element's.
pub(crate) const DATA_ELEMENT: &str = "de-1";
/// Distance of the PostgreSQL door from the first port.
const POSTGRES_PORT: u16 = 2;
/// Distance of the S3 door from the first port.
const S3_PORT: u16 = 1;
/// Distance of the nodes' door from the first port.
const NODES_PORT: u16 = 9;

/// What the person asked for.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Everything is below it.
    pub(crate) folder: PathBuf,
    /// First port, 0 for free ones.
    pub(crate) port_base: u16,
    /// Number of compute Hosts.
    pub(crate) compute_hosts: u32,
    /// Number of storage Hosts; without any there is no Storage Element.
    pub(crate) storage_hosts: u32,
    /// Number of data Hosts; without any there is no Data Element.
    pub(crate) data_hosts: u32,
    /// Slots of each Host.
    pub(crate) slots: Option<u32>,
    /// Address of the Elements' doors.
    pub(crate) listen: IpAddr,
    /// Domain of the Elements.
    pub(crate) domain: String,
    /// How long certificates live, if anything is said.
    pub(crate) certificate_lifetime: Option<Period>,
    /// How long a silent storage Host is waited for, if anything is said.
    pub(crate) repair_delay: Option<Period>,
    /// How fast it is repaired, if anything is said.
    pub(crate) repair_rate: Option<Size>,
    /// How long blocks stay that nothing names, if anything is said.
    pub(crate) collect_after: Option<Period>,
    /// How long a day is in rules on how long objects live, if anything is said.
    pub(crate) lifecycle_day: Option<Period>,
    /// In which time storage Hosts read every block again, if anything is said.
    pub(crate) scrub_time: Option<Period>,
    /// Whether dead roles are started again.
    pub(crate) restart: bool,
    /// Whether Hosts may do without a sandbox.
    pub(crate) allow_unsandboxed: bool,
    /// Form of the logs.
    pub(crate) log_format: LogFormat,
    /// Filter of the logs.
    pub(crate) log_level: String,
}

/// An Element and its Hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pool {
    /// The Element's kind.
    pub(crate) kind: NodeKind,
    /// The Element's name, folder and log.
    pub(crate) element: &'static str,
    /// What its Hosts' names begin with; a number follows.
    pub(crate) prefix: &'static str,
    /// Number of Hosts.
    hosts: u32,
}

impl Pool {
    /// Names the Hosts.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = String> + use<> {
        let prefix = self.prefix;
        (1..=self.hosts).map(move |number| format!("{prefix}{number}"))
    }
}

/// One role's process, as it is to be started.
#[derive(Clone, Debug)]
pub(crate) struct RoleSpec {
    /// Its name, that of its resource, and of its folder.
    pub(crate) name: String,
    /// Its data folder.
    pub(crate) folder: PathBuf,
    /// Its log.
    pub(crate) log: PathBuf,
    /// Words of its command line, without its doors.
    pub(crate) words: Vec<OsString>,
    /// Its doors.
    pub(crate) doors: Vec<DoorSpec>,
    /// For its first start; given in the environment, out of sight of `ps`.
    pub(crate) join_token: Option<String>,
}

/// A door of a role.
#[derive(Clone, Debug)]
pub(crate) struct DoorSpec {
    /// Its name in the ready file.
    pub(crate) name: &'static str,
    /// Its flag.
    pub(crate) flag: &'static str,
    /// Its address; port 0 until it has been open once.
    pub(crate) address: SocketAddr,
}

impl RoleSpec {
    /// Gives the whole command line after the program's name.
    pub(crate) fn command_line(&self) -> Vec<OsString> {
        let mut words = self.words.clone();
        for door in &self.doors {
            words.push(door.flag.into());
            words.push(door.address.to_string().into());
        }
        words
    }
}

impl Plan {
    /// Gives the Elements with their Hosts.
    pub(crate) fn pools(&self) -> Vec<Pool> {
        let compute = Pool {
            kind: NodeKind::ComputingElement,
            element: "ce-1",
            prefix: "host-",
            hosts: self.compute_hosts,
        };
        let storage = Pool {
            kind: NodeKind::StorageElement,
            element: STORAGE_ELEMENT,
            prefix: "storage-",
            hosts: self.storage_hosts,
        };
        let data = Pool {
            kind: NodeKind::DataElement,
            element: DATA_ELEMENT,
            prefix: "data-",
            hosts: self.data_hosts,
        };
        let mut pools = vec![compute];
        pools.extend((self.storage_hosts > 0).then_some(storage));
        pools.extend((self.data_hosts > 0).then_some(data));
        pools
    }

    /// Plans the controller.
    pub(crate) fn control(&self, memory: &Memory) -> RoleSpec {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let port = |name, offset| self.port(memory, CONTROL, name, offset);
        let mut spec = self.role(CONTROL, &["control"]);
        if let Some(lifetime) = self.certificate_lifetime {
            spec.words
                .extend(["--certificate-lifetime".into(), lifetime.to_string().into()]);
        }
        spec.doors = vec![
            DoorSpec {
                name: "people",
                flag: "--people-listen",
                address: SocketAddr::new(local, port("people", 0)),
            },
            DoorSpec {
                name: "nodes",
                flag: "--nodes-listen",
                address: SocketAddr::new(local, port("nodes", NODES_PORT)),
            },
        ];
        spec
    }

    /// Plans an Element. Its port stays the same over restarts, since Hosts
    /// of other machines know it.
    pub(crate) fn element(
        &self,
        pool: Pool,
        memory: &Memory,
        controller: &str,
        join_token: Option<String>,
    ) -> RoleSpec {
        let mut spec = self.role(pool.element, &["element", pool.kind.goods()]);
        spec.words
            .extend(["--controller".into(), controller.into()]);
        spec.words
            .extend(["--advertise".into(), self.near_element().to_string().into()]);
        let periods = [
            ("--repair-delay", self.repair_delay),
            ("--collect-after", self.collect_after),
            ("--lifecycle-day", self.lifecycle_day),
        ];
        for (flag, period) in periods {
            if let Some(period) = period
                && pool.kind == NodeKind::StorageElement
            {
                spec.words.extend([flag.into(), period.to_string().into()]);
            }
        }
        spec.doors = vec![DoorSpec {
            name: "door",
            flag: "--listen",
            address: SocketAddr::new(
                self.listen,
                free_again(self.listen, memory.port(pool.element, "door")),
            ),
        }];
        if pool.kind == NodeKind::StorageElement {
            if let Some(rate) = self.repair_rate {
                let words = ["--repair-rate".into(), rate.bytes().to_string().into()];
                spec.words.extend(words);
            }
            let port = self.port(memory, pool.element, "s3", S3_PORT);
            spec.doors.push(DoorSpec {
                name: "s3",
                flag: "--s3-listen",
                address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            });
        }
        if pool.kind == NodeKind::DataElement {
            let port = self.port(memory, pool.element, "postgres", POSTGRES_PORT);
            spec.doors.push(DoorSpec {
                name: "postgres",
                flag: "--postgres-listen",
                address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            });
        }
        spec.join_token = join_token;
        spec
    }

    /// Gives the port on loopback of a door at this distance from the first.
    fn port(&self, memory: &Memory, role: &str, door: &str, offset: u16) -> u16 {
        match self.port_base {
            0 => free_again(Ipv4Addr::LOCALHOST.into(), memory.port(role, door)),
            base => base + offset,
        }
    }

    /// Plans a Host.
    pub(crate) fn host(
        &self,
        pool: Pool,
        name: &str,
        element: &str,
        join_token: Option<String>,
    ) -> RoleSpec {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut spec = self.role(name, &["host", pool.kind.goods()]);
        spec.words.extend(["--element".into(), element.into()]);
        if pool.kind == NodeKind::ComputingElement {
            if let Some(slots) = self.slots {
                spec.words
                    .extend(["--slots".into(), slots.to_string().into()]);
            }
            if self.allow_unsandboxed {
                spec.words.push("--allow-unsandboxed".into());
            }
        } else if let Some(time) = self.scrub_time
            && pool.kind == NodeKind::StorageElement
        {
            spec.words
                .extend(["--scrub-time".into(), time.to_string().into()]);
        }
        spec.doors = vec![DoorSpec {
            name: "door",
            flag: "--listen",
            address: SocketAddr::new(local, 0),
        }];
        spec.join_token = join_token;
        spec
    }

    /// Gives the address by which this machine's programs reach the Element.
    pub(crate) fn near_element(&self) -> IpAddr {
        if self.listen.is_unspecified() {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            self.listen
        }
    }

    /// Gives the address by which other machines reach the Element.
    pub(crate) fn far_element(&self) -> IpAddr {
        if self.listen.is_unspecified() {
            outward_address().unwrap_or_else(|| self.near_element())
        } else {
            self.listen
        }
    }

    fn role(&self, name: &str, command: &[&str]) -> RoleSpec {
        let folder = self.folder.join(name);
        let mut words: Vec<OsString> = command.iter().map(Into::into).collect();
        words.extend([
            "--name".into(),
            name.into(),
            "--data-dir".into(),
            folder.clone().into(),
        ]);
        let form = match self.log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        words.extend([
            "--log-format".into(),
            form.into(),
            "--log-level".into(),
            self.log_level.clone().into(),
        ]);
        words.extend(["--parent-pid".into(), std::process::id().to_string().into()]);
        RoleSpec {
            name: name.to_owned(),
            log: self.folder.join("logs").join(format!("{name}.log")),
            folder,
            words,
            doors: Vec::new(),
            join_token: None,
        }
    }
}

/// Gives the port used before if it is free still, else 0.
fn free_again(address: IpAddr, port: Option<u16>) -> u16 {
    port.filter(|port| TcpListener::bind((address, *port)).is_ok())
        .unwrap_or(0)
}

/// Gives the address that this machine shows to others. Nothing is sent:
/// connecting a datagram socket only asks the routing table.
fn outward_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // An address set aside for documentation: every default route leads there.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified()).then_some(address)
}

/// Makes a folder that only its owner can look into.
pub(crate) fn make_folder(path: &Path) -> Result<(), Failure> {
    Ok(DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("the folder {} cannot be made", path.display()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            folder: "/nowhere/market".into(),
            port_base: 7700,
            compute_hosts: 2,
            storage_hosts: 1,
            data_hosts: 2,
            slots: Some(4),
            listen: Ipv4Addr::UNSPECIFIED.into(),
            domain: "local".into(),
            certificate_lifetime: Some("1h30m".parse().unwrap()),
            repair_delay: None,
            repair_rate: None,
            collect_after: None,
            lifecycle_day: None,
            scrub_time: None,
            restart: true,
            allow_unsandboxed: false,
            log_format: LogFormat::Text,
            log_level: "info".into(),
        }
    }

    fn line(spec: &RoleSpec) -> String {
        spec.command_line()
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn ports_follow_the_base() {
        let line = line(&plan().control(&Memory::default()));
        assert!(
            line.starts_with("control --name control --data-dir /nowhere/market/control "),
            "{line}"
        );
        assert!(line.contains(" --certificate-lifetime 1h30m "), "{line}");
        assert!(
            line.ends_with("--people-listen 127.0.0.1:7700 --nodes-listen 127.0.0.1:7709"),
            "{line}"
        );
    }

    #[test]
    fn join_tokens_are_not_on_the_command_line() {
        let pool = plan().pools()[0];
        let spec = plan().host(pool, "host-1", "127.0.0.1:1", Some("gmj1.secret".into()));
        assert!(!line(&spec).contains("secret"), "{}", line(&spec));
        assert!(line(&spec).contains("--slots 4"));
    }

    #[test]
    fn each_pool_has_its_element_and_hosts() {
        let plan = plan();
        let [compute, storage, data] = plan.pools()[..] else {
            panic!("three pools")
        };
        assert_eq!(compute.hosts().collect::<Vec<_>>(), ["host-1", "host-2"]);
        let spec = plan.host(storage, "storage-1", "127.0.0.1:1", None);
        let line = line(&spec);
        assert!(line.starts_with("host storage --name storage-1 "), "{line}");
        assert!(!line.contains("--slots"), "{line}");
        assert_eq!(data.hosts().collect::<Vec<_>>(), ["data-1", "data-2"]);
        let without = Plan {
            storage_hosts: 0,
            data_hosts: 0,
            ..plan
        };
        assert_eq!(without.pools(), [compute]);
    }

    #[test]
    fn hosts_nearby_use_loopback() {
        assert_eq!(plan().near_element(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        let fixed = Plan {
            listen: "10.1.2.3".parse().unwrap(),
            ..plan()
        };
        assert_eq!(
            (fixed.near_element(), fixed.far_element()),
            (fixed.listen, fixed.listen)
        );
    }
}
