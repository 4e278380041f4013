//! The supermarket: its roles in the order in which they need each other.

use std::{future::Future, path::PathBuf, time::Instant};

use anyhow::Context as _;
use gridmart_fabric::{
    disk::{RealDisk, Secrecy, durable_write},
    ready::Ready,
};
use gridmart_schemas::{id::NodeId, role::NodeKind};
use serde::Serialize;

use super::{
    child::{Role, say},
    joining::Admin,
    memory::{Memory, port_of},
    plan::{CONTROL, Plan, Pool, make_folder},
};
use crate::{failure::Failure, output::Output};

/// The CA's root, in the data folder, for `gridmart env`.
pub(crate) const CA_FILE: &str = "ca.pem";

/// The first admin's access key for S3, in the data folder, for `gridmart env`.
pub(crate) const S3_KEY_FILE: &str = "s3-key.json";
/// The first admin's key for PostgreSQL's protocol, in the data folder.
pub(crate) const POSTGRES_KEY_FILE: &str = "postgres-key.json";

/// The roles of one supermarket.
#[derive(Debug)]
pub(crate) struct Market {
    plan: Plan,
    memory: Memory,
    output: Output,
    control: Option<Role>,
    elements: Vec<Role>,
    hosts: Vec<Role>,
}

/// What is told when all is ready.
#[derive(Debug, Serialize)]
pub(crate) struct Opened {
    /// The people's door.
    url: String,
    /// The nodes' door, where Elements of other sites join.
    nodes: String,
    /// The Computing Element's door, where Hosts of other machines join.
    element: String,
    /// The compute Hosts' names.
    hosts: Vec<String>,
    /// The storage Hosts' names.
    storage_hosts: Vec<String>,
    /// The data Hosts' names.
    data_hosts: Vec<String>,
    /// The line that joins a Host on another machine.
    join_command: Option<String>,
    /// Where everything is kept.
    data_dir: PathBuf,
    /// Seconds from the start to now.
    seconds: f64,
}

impl Opened {
    /// Prints the one ready line.
    pub(crate) fn print(&self, output: Output) -> Result<(), Failure> {
        if output.json() {
            return output.json_line(self);
        }
        let join = self
            .join_command
            .as_deref()
            .unwrap_or("gridmart token create --kind chost");
        output.page(|page| {
            page.line(format!(
                "gridmart is ready: {} nodes {} element {} hosts {} storage hosts {} data hosts {} ({:.1} s); \
                 join a machine: {join}",
                self.url,
                self.nodes,
                self.element,
                self.hosts.len(),
                self.storage_hosts.len(),
                self.data_hosts.len(),
                self.seconds
            ));
        })?;
        output.note(&format!("The console: {}", self.url));
        output.note(&format!(
            "In another shell: eval \"$(gridmart env --data-dir {})\"",
            self.data_dir.display()
        ));
        Ok(())
    }
}

impl Market {
    /// Prepares the data folder.
    pub(crate) fn new(plan: Plan, output: Output) -> Result<Self, Failure> {
        make_folder(&plan.folder.join("logs"))?;
        let memory = Memory::read(&plan.folder)?;
        Ok(Self {
            plan,
            memory,
            output,
            control: None,
            elements: Vec::new(),
            hosts: Vec::new(),
        })
    }

    /// Starts all roles and waits until calls can be made.
    pub(crate) async fn open(&mut self) -> Result<Opened, Failure> {
        let began = Instant::now();
        let control = self.open_control().await?;
        let admin = Admin::new(&self.plan.folder.join(CONTROL))?;
        let root = admin.client.authority().await?;
        let ca = self.plan.folder.join(CA_FILE);
        durable_write(&RealDisk, &ca, root.as_bytes(), Secrecy::Open)
            .with_context(|| format!("{} cannot be written", ca.display()))?;
        let nodes = address(&control, "nodes")?;
        let (element, port) = self.open_pools(&admin, &nodes).await?;
        let pools = self.plan.pools();
        let names: Vec<String> = pools
            .iter()
            .flat_map(|pool| std::iter::once(pool.element.to_owned()).chain(pool.hosts()))
            .collect();
        self.tell_idle(&names);
        for name in admin.connected(&names).await? {
            self.output.note(&format!(
                "{name} is not connected yet; `gridmart resources` shows when it is"
            ));
        }
        self.make_keys(&admin, &pools).await?;
        let door = format!("{}:{port}", bracketed(&self.plan.far_element()));
        let join_command = match admin.printed_token(element).await {
            Ok(token) => Some(format!(
                "gridmart host compute --element {door} --join-token {token}"
            )),
            Err(failure) => {
                say(&format!(
                    "no join token could be made for the printed line: {failure:?}"
                ));
                None
            }
        };
        admin.client.close().await;
        Ok(Opened {
            url: admin.url,
            nodes,
            element: door,
            hosts: hosts_of(&pools, NodeKind::ComputingElement),
            storage_hosts: hosts_of(&pools, NodeKind::StorageElement),
            data_hosts: hosts_of(&pools, NodeKind::DataElement),
            join_command,
            data_dir: self.plan.folder.clone(),
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    /// Has access keys made for the first admin, as far as there are none yet.
    async fn make_keys(&self, admin: &Admin, pools: &[Pool]) -> Result<(), Failure> {
        let keys = [
            (NodeKind::StorageElement, S3_KEY_FILE),
            (NodeKind::DataElement, POSTGRES_KEY_FILE),
        ];
        for (kind, file) in keys {
            let path = self.plan.folder.join(file);
            let pool = pools.iter().find(|pool| pool.kind == kind);
            let (Some(pool), false) = (pool, path.exists()) else {
                continue;
            };
            match admin.access_key(pool.element).await {
                Ok(made) => {
                    let text = serde_json::to_vec_pretty(&made).map_err(anyhow::Error::from)?;
                    durable_write(&RealDisk, &path, &text, Secrecy::Secret)
                        .with_context(|| format!("{} cannot be written", path.display()))?;
                }
                Err(failure) => {
                    let element = pool.element;
                    say(&format!(
                        "no access key of {element} could be made: {failure:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    async fn open_control(&mut self) -> Result<Ready, Failure> {
        let role = Role::start(self.plan.control(&self.memory), self.plan.restart);
        let ready = self.control.insert(role).ready().await?;
        self.memory.note(CONTROL, &ready)?;
        Ok(ready)
    }

    /// Starts the Elements, and then all Hosts at the same time. Gives the
    /// Computing Element, and the port of its door.
    async fn open_pools(
        &mut self,
        admin: &Admin,
        controller: &str,
    ) -> Result<(NodeId, u16), Failure> {
        let pools = self.plan.pools();
        for pool in &pools {
            self.start_element(admin, *pool, controller).await?;
        }
        let mut doors = Vec::new();
        for (pool, element) in pools.iter().zip(&mut self.elements) {
            let ready = element.ready().await?;
            self.memory.note(pool.element, &ready)?;
            doors.push(door_of(&ready)?);
        }
        for (pool, (element, port)) in pools.iter().zip(&doors) {
            self.start_hosts(admin, *pool, *element, *port).await?;
        }
        for host in &mut self.hosts {
            let ready = host.ready().await?;
            self.memory.note(&host.name, &ready)?;
        }
        let first = doors.first().copied();
        first.ok_or_else(|| Failure::local("there is no Element"))
    }

    async fn start_element(
        &mut self,
        admin: &Admin,
        pool: Pool,
        controller: &str,
    ) -> Result<(), Failure> {
        let token = match self.memory.node(pool.element) {
            Some(_) => None,
            None => Some(admin.element_token(pool.kind, &self.plan.domain).await?),
        };
        self.elements.push(Role::start(
            self.plan.element(pool, &self.memory, controller, token),
            self.plan.restart,
        ));
        Ok(())
    }

    async fn start_hosts(
        &mut self,
        admin: &Admin,
        pool: Pool,
        element: NodeId,
        port: u16,
    ) -> Result<(), Failure> {
        let new = pool
            .hosts()
            .filter(|name| self.memory.node(name).is_none())
            .count();
        let token = match (u32::try_from(new), pool.kind.host_kind()) {
            (Ok(uses @ 1..), Some(kind)) => Some(admin.own_hosts_token(kind, element, uses).await?),
            _ => None,
        };
        let door = format!("{}:{port}", bracketed(&self.plan.near_element()));
        for name in pool.hosts() {
            let token = if self.memory.node(&name).is_none() {
                token.clone()
            } else {
                None
            };
            self.hosts.push(Role::start(
                self.plan.host(pool, &name, &door, token),
                self.plan.restart,
            ));
        }
        Ok(())
    }

    /// Names the roles that have joined once and are not asked for now.
    fn tell_idle(&self, planned: &[String]) {
        let idle: Vec<&str> = self
            .memory
            .joined()
            .filter(|name| *name != CONTROL && !planned.iter().any(|planned| planned == name))
            .collect();
        if !idle.is_empty() {
            self.output.note(&format!(
                "not started, though they have joined: {}",
                idle.join(", ")
            ));
        }
    }

    /// Ends all roles: Hosts, Elements, controller. Once `hurry` comes true,
    /// nothing is waited for any more.
    pub(crate) async fn close(mut self, hurry: impl Future<Output = ()>) {
        let hurries: Vec<_> = self
            .hosts
            .iter()
            .chain(&self.elements)
            .chain(&self.control)
            .map(Role::hurry_handle)
            .collect();
        let ending = async {
            for host in &self.hosts {
                host.stop();
            }
            for host in &mut self.hosts {
                host.ended().await;
            }
            for role in self.elements.iter_mut().chain(&mut self.control) {
                role.stop();
                role.ended().await;
            }
        };
        tokio::pin!(ending);
        tokio::select! {
            () = &mut ending => return,
            () = hurry => {}
        }
        for hurry in hurries {
            hurry.cancel();
        }
        ending.await;
    }
}

fn hosts_of(pools: &[Pool], kind: NodeKind) -> Vec<String> {
    let pools = pools.iter().filter(|pool| pool.kind == kind);
    pools.flat_map(Pool::hosts).collect()
}

/// Who an Element is, and the port of its door.
fn door_of(ready: &Ready) -> Result<(NodeId, u16), Failure> {
    let node = ready
        .node
        .ok_or_else(|| Failure::local("an Element is ready but has not said who it is"))?;
    let port = port_of(&address(ready, "door")?)
        .ok_or_else(|| Failure::local("an Element has not said where its door is"))?;
    Ok((node, port))
}

fn address(ready: &Ready, door: &str) -> Result<String, Failure> {
    ready.addresses.get(door).cloned().ok_or_else(|| {
        Failure::local(format!(
            "{} has not said where its door {door:?} is",
            ready.name
        ))
    })
}

/// IPv6 addresses stand in brackets before a port.
fn bracketed(address: &std::net::IpAddr) -> String {
    match address {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    }
}
