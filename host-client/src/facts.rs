//! What the machine says of itself, under GLUE's names.
//!
//! Info is read once at start; State is read cheaply, each heartbeat. Unknown
//! is absent: nothing here is guessed.

use std::{num::NonZeroU32, path::Path};

use gridmart_schemas::{
    resource::{
        enumeration::{OsFamily, Platform},
        host::{
            Architecture, FileSystem, FileSystemState, LoadAverage, MainMemory, MemoryState,
            NetworkAdapter, OperatingSystem, Processor,
        },
    },
    scalar::{Decimal, Text, Token},
};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, Networks, RefreshKind, System};

/// The parts of a Host's Info that its system reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineFacts {
    /// Name of the machine.
    pub host_name: Token,
    /// Architecture, and the CPUs that the system shows.
    pub architecture: Architecture,
    /// The processors.
    pub processor: Processor,
    /// Installed memory.
    pub main_memory: MainMemory,
    /// The operating system.
    pub operating_system: OperatingSystem,
    /// Network adapters with an address.
    pub network_adapters: Vec<NetworkAdapter>,
    /// Whether it is a guest of another machine.
    pub virtual_machine: Option<bool>,
    /// The file system of the data folder.
    pub file_systems: Vec<FileSystem>,
}

/// The parts of a Host's State that its system reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineState {
    /// Memory that is free.
    pub main_memory: Option<MemoryState>,
    /// Space that is free.
    pub file_systems: Vec<FileSystemState>,
    /// Length of the run queue.
    pub load_average: Option<LoadAverage>,
}

/// Reads facts; keeps what makes the next reading cheap.
#[derive(Debug)]
pub struct Machine {
    system: Option<System>,
    data_folder: std::path::PathBuf,
}

impl Machine {
    /// Prepares to measure the machine; `data_folder` tells which disk counts.
    pub fn new(data_folder: &Path) -> Self {
        let memory = MemoryRefreshKind::nothing().with_ram().with_swap();
        let wanted = RefreshKind::nothing().with_memory(memory);
        Self {
            system: System::new_with_specifics(wanted).ok(),
            data_folder: data_folder.to_owned(),
        }
    }

    /// Reads what does not change while the machine runs.
    pub fn facts(&self) -> MachineFacts {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        MachineFacts {
            host_name: System::host_name()
                .ok()
                .as_deref()
                .and_then(token)
                .unwrap_or_else(unknown_name),
            architecture: Architecture {
                platform_type: Platform::from_rust(std::env::consts::ARCH)
                    .unwrap_or(Platform::Other(unknown_name())),
                smp_size: u32::try_from(cpus)
                    .ok()
                    .and_then(NonZeroU32::new)
                    .unwrap_or(NonZeroU32::MIN),
            },
            processor: processor(),
            main_memory: self.main_memory(),
            operating_system: operating_system(),
            network_adapters: network_adapters(),
            virtual_machine: is_guest(),
            file_systems: self.file_system().into_iter().collect(),
        }
    }

    /// Reads what changes.
    pub fn state(&mut self) -> MachineState {
        let main_memory = self.system.as_mut().map(|system| {
            system.refresh_memory();
            let free = system.available_memory();
            MemoryState {
                ram_available: Some(free),
                virtual_available: Some(free.saturating_add(system.free_swap())),
            }
        });
        let space = rustix::fs::statvfs(&self.data_folder).ok();
        let root = self.root();
        let file_systems = space.zip(root).map(|(space, root)| FileSystemState {
            root,
            available_space: space.f_bavail.saturating_mul(space.f_frsize),
        });
        MachineState {
            main_memory,
            file_systems: file_systems.into_iter().collect(),
            load_average: load_average(),
        }
    }

    fn main_memory(&self) -> MainMemory {
        let (ram, swap) = self.system.as_ref().map_or((0, 0), |system| {
            (system.total_memory(), system.total_swap())
        });
        MainMemory {
            ram_size: ram,
            virtual_size: (ram > 0).then(|| ram.saturating_add(swap)),
        }
    }

    fn root(&self) -> Option<Text> {
        Text::new(&self.data_folder.display().to_string()).ok()
    }

    fn file_system(&self) -> Option<FileSystem> {
        let space = rustix::fs::statvfs(&self.data_folder).ok()?;
        Some(FileSystem {
            root: self.root()?,
            kind: None,
            size: Some(space.f_blocks.saturating_mul(space.f_frsize)),
            read_only: Some(space.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY)),
        })
    }
}

fn unknown_name() -> Token {
    // GLUE's own word for a name that is not known.
    #[expect(clippy::expect_used, reason = "the constant is a token")]
    Token::new("unknown.invalid").expect("a constant token is valid")
}

fn token(text: &str) -> Option<Token> {
    Token::new(text).ok()
}

fn processor() -> Processor {
    let system = System::new_with_specifics(
        RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing().with_frequency()),
    );
    let system = system.ok();
    let cpu = system.as_ref().and_then(|system| system.cpus().first());
    let sockets = sockets();
    let cores = System::physical_core_count()
        .ok()
        .and_then(|cores| u32::try_from(cores).ok());
    Processor {
        vendor: cpu.and_then(|cpu| token(cpu.vendor_id())),
        model: cpu.and_then(|cpu| token(cpu.brand())),
        version: None,
        instruction_set: token(std::env::consts::ARCH),
        clock_speed: cpu
            .and_then(|cpu| u32::try_from(cpu.frequency()).ok())
            .filter(|mhz| *mhz > 0),
        physical_cpus: sockets,
        cores_per_cpu: cores
            .zip(sockets)
            .map(|(cores, sockets)| cores / sockets)
            .filter(|cores| *cores > 0),
    }
}

/// Sockets, from the topology that Linux shows; absent elsewhere.
fn sockets() -> Option<u32> {
    let mut packages = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir("/sys/devices/system/cpu").ok()?.flatten() {
        if let Ok(package) =
            std::fs::read_to_string(entry.path().join("topology/physical_package_id"))
        {
            packages.insert(package);
        }
    }
    u32::try_from(packages.len())
        .ok()
        .filter(|count| *count > 0)
}

fn operating_system() -> OperatingSystem {
    let distribution = System::distribution_id();
    OperatingSystem {
        family: OsFamily::from_rust(std::env::consts::OS)
            .unwrap_or(OsFamily::Other(unknown_name())),
        name: token(&distribution).unwrap_or_else(unknown_name),
        release: System::os_version().ok().as_deref().and_then(token),
        version: System::kernel_version().ok().as_deref().and_then(token),
    }
}

fn network_adapters() -> Vec<NetworkAdapter> {
    let Ok(networks) = Networks::new_with_refreshed_list() else {
        return Vec::new();
    };
    let mut adapters: Vec<_> = networks
        .iter()
        .filter_map(|(name, data)| {
            let address = data
                .ip_networks()
                .iter()
                .map(|network| network.addr)
                .find(|address| !address.is_loopback())?;
            Some(NetworkAdapter {
                name: token(&name.to_string_lossy())?,
                ip_address: token(&address.to_string()),
                mtu: u32::try_from(data.mtu()).ok().filter(|mtu| *mtu > 0),
                inbound_ip: None,
                outbound_ip: None,
            })
        })
        .collect();
    adapters.sort_by(|one, other| one.name.cmp(&other.name));
    adapters
}

/// A hypervisor says so in the CPU's flags; absent where there are no flags.
fn is_guest() -> Option<bool> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let flags = text.lines().find(|line| line.starts_with("flags"))?;
    Some(flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

fn load_average() -> Option<LoadAverage> {
    let load = System::load_average().ok()?;
    Some(LoadAverage {
        last_1_min: Decimal::from_f64(load.one),
        last_5_min: Decimal::from_f64(load.five),
        last_15_min: Decimal::from_f64(load.fifteen),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let place = tempfile::tempdir().unwrap();
        let mut machine = Machine::new(place.path());
        let facts = machine.facts();
        assert_eq!(facts.operating_system.family, OsFamily::Linux);
        assert!(facts.main_memory.ram_size > 16 * 1024 * 1024);
        assert_eq!(facts.file_systems.len(), 1);
        let state = machine.state();
        let memory = state.main_memory.unwrap();
        assert!(memory.ram_available.unwrap() <= facts.main_memory.ram_size);
        assert!(memory.virtual_available >= memory.ram_available);
        assert!(state.file_systems[0].available_space <= facts.file_systems[0].size.unwrap());
        assert!(state.load_average.unwrap().last_1_min.is_some());
    }
}
