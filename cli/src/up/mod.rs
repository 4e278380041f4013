//! `gridmart up`: a whole supermarket on this machine, in the foreground.
//!
//! Invariants: each role is a process of its own, in a process group of its
//! own, so that Ctrl-C reaches only this supervisor, which then ends the roles
//! in order (Hosts, Elements, controller); a role follows the supervisor into
//! death however that one dies; one supervisor per data folder.

mod child;
mod crash;
mod joining;
mod market;
mod memory;
mod plan;

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use anyhow::Context as _;
use gridmart_fabric::node_lock::NodeLock;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub(crate) use self::{
    joining::FirstAdmin,
    market::{CA_FILE, POSTGRES_KEY_FILE, S3_KEY_FILE},
    plan::{CONTROL, DATA_ELEMENT, STORAGE_ELEMENT, make_folder},
};
use self::{market::Market, plan::Plan};
use crate::{
    failure::Failure,
    output::Output,
    period::Period,
    role::{LogFormat, data_home, follow_parent},
    size::Size,
};

/// More Hosts than this on one machine are a mistake.
const HOSTS_MAX: i64 = 64;

/// Run a whole supermarket on this machine: controller, Elements and Hosts.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Folder for everything it keeps [default: $XDG_DATA_HOME/gridmart]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// First port: +0 people's door, +1 S3, +9 nodes' door; 0 takes free ports
    #[arg(long, value_name = "PORT", default_value_t = 7700, value_parser = clap::value_parser!(u16).range(0..=65_000))]
    port_base: u16,
    /// How many compute Hosts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=HOSTS_MAX))]
    compute_hosts: u32,
    /// How many storage Hosts; 0: no storage
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(0..=HOSTS_MAX))]
    storage_hosts: u32,
    /// How many data Hosts; 0: no databases
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=HOSTS_MAX))]
    data_hosts: u32,
    /// Calls that may run at a time on each Host [default: one per CPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    slots: Option<u32>,
    /// Address of the Elements' doors, where Hosts of other machines join (mutual TLS)
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    listen: IpAddr,
    /// The domain that the Elements belong to
    #[arg(long, default_value = "local")]
    domain: String,
    /// How long the roles' certificates live; they are renewed at half of it [default: 7d]
    #[arg(long, value_name = "PERIOD")]
    certificate_lifetime: Option<Period>,
    /// How long a storage Host may be silent before what is on it is made anew on others [default: 10m]
    #[arg(long, value_name = "PERIOD")]
    repair_delay: Option<Period>,
    /// Bytes that repair, drain and rebalance read and write in a second [default: 32MiB]
    #[arg(long, value_name = "SIZE", value_parser = Size::above_zero)]
    repair_rate: Option<Size>,
    /// How long blocks that nothing names stay; for tests
    #[arg(long, hide = true, value_name = "PERIOD")]
    collect_after: Option<Period>,
    /// How long a day is in rules on how long objects live; for tests
    #[arg(long, hide = true, value_name = "PERIOD")]
    lifecycle_day: Option<Period>,
    /// In which time storage Hosts read every block again; for tests
    #[arg(long, hide = true, value_name = "PERIOD")]
    scrub_time: Option<Period>,
    /// A role that dies stays dead
    #[arg(long)]
    no_restart: bool,
    /// Take calls even where no sandbox can be had: programs then see this machine's files
    #[arg(long)]
    allow_unsandboxed: bool,
    /// Form of the roles' logs
    #[arg(long, value_name = "FORM", default_value = "text")]
    log_format: LogFormat,
    /// What goes into the roles' logs
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log_level: String,
    #[arg(long, hide = true)]
    parent_pid: Option<i32>,
}

/// Gives the data folder that `up` and `env` share.
pub(crate) fn data_dir(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let path = given.unwrap_or_else(data_home);
    Ok(std::path::absolute(&path)
        .with_context(|| format!("the path {} cannot be made absolute", path.display()))?)
}

/// Runs the supermarket until Ctrl-C or TERM.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    follow_parent(arguments.parent_pid)?;
    // One thread, the main one: the kernel ties a child's life to the thread
    // that started it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    runtime.block_on(supervise(arguments, output))
}

async fn supervise(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let mut told = Told::new()?;
    let folder = data_dir(arguments.data_dir.clone())?;
    plan::make_folder(&folder)?;
    let _lock = NodeLock::acquire(&folder).map_err(anyhow::Error::from)?;
    let plan = Plan {
        folder,
        port_base: arguments.port_base,
        compute_hosts: arguments.compute_hosts,
        storage_hosts: arguments.storage_hosts,
        data_hosts: arguments.data_hosts,
        slots: arguments.slots,
        listen: arguments.listen,
        domain: arguments.domain.clone(),
        certificate_lifetime: arguments.certificate_lifetime,
        repair_delay: arguments.repair_delay,
        repair_rate: arguments.repair_rate,
        collect_after: arguments.collect_after,
        lifecycle_day: arguments.lifecycle_day,
        scrub_time: arguments.scrub_time,
        restart: !arguments.no_restart,
        allow_unsandboxed: arguments.allow_unsandboxed,
        log_format: arguments.log_format,
        log_level: arguments.log_level.clone(),
    };
    let mut market = Market::new(plan, output)?;
    let opened = tokio::select! {
        opened = market.open() => opened,
        () = told.wait() => Err(Failure::Interrupted),
    };
    let result = match opened.and_then(|ready| ready.print(output)) {
        Ok(()) => {
            told.wait().await;
            Ok(())
        }
        Err(failure) => Err(failure),
    };
    market.close(async { told.wait().await }).await;
    result
}

/// Ctrl-C or TERM.
struct Told {
    interrupt: Signal,
    terminate: Signal,
}

impl Told {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
