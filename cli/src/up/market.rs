//! The supermarket: its roles in the order in which they need each other.

use std::{future::Future, path::PathBuf, time::Instant};

use anyhow::Context as _;
use gridmart_fabric::{
    disk::{RealDisk, Secrecy, durable_write},
    ready::Ready,
};
use gridmart_schemas::id::NodeId;
use serde::Serialize;

use super::{
    child::{Role, say},
    joining::Admin,
    memory::{Memory, port_of},
    plan::{CONTROL, ELEMENT, Plan, make_folder},
};
use crate::{failure::Failure, output::Output};

/// The CA's root, in the data folder, for `gridmart env`.
pub(crate) const CA_FILE: &str = "ca.pem";

/// The roles of one supermarket.
#[derive(Debug)]
pub(crate) struct Market {
    plan: Plan,
    memory: Memory,
    output: Output,
    control: Option<Role>,
    element: Option<Role>,
    hosts: Vec<Role>,
}

/// What is told when all is ready.
#[derive(Debug, Serialize)]
pub(crate) struct Opened {
    /// The people's door.
    url: String,
    /// The nodes' door, where Elements of other sites join.
    nodes: String,
    /// The Element's door, where Hosts of other machines join.
    element: String,
    /// The Hosts' names.
    hosts: Vec<String>,
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
                "gridmart is ready: {} nodes {} element {} hosts {} ({:.1} s); join a machine: {join}",
                self.url,
                self.nodes,
                self.element,
                self.hosts.len(),
                self.seconds
            ));
        })?;
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
            element: None,
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
        let (element, port) = self.open_element(&admin, &nodes).await?;
        self.open_hosts(&admin, element, port).await?;
        let names: Vec<String> = std::iter::once(ELEMENT.to_owned())
            .chain(self.plan.hosts())
            .collect();
        for name in admin.connected(&names).await? {
            self.output.note(&format!(
                "{name} is not connected yet; `gridmart resources` shows when it is"
            ));
        }
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
            hosts: names.into_iter().skip(1).collect(),
            join_command,
            data_dir: self.plan.folder.clone(),
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    async fn open_control(&mut self) -> Result<Ready, Failure> {
        let role = Role::start(self.plan.control(&self.memory), self.plan.restart);
        let ready = self.control.insert(role).ready().await?;
        self.memory.note(CONTROL, &ready)?;
        Ok(ready)
    }

    async fn open_element(
        &mut self,
        admin: &Admin,
        controller: &str,
    ) -> Result<(NodeId, u16), Failure> {
        let token = match self.memory.node(ELEMENT) {
            Some(_) => None,
            None => Some(admin.element_token(&self.plan.domain).await?),
        };
        let role = Role::start(
            self.plan.element(&self.memory, controller, token),
            self.plan.restart,
        );
        let ready = self.element.insert(role).ready().await?;
        self.memory.note(ELEMENT, &ready)?;
        let node = ready
            .node
            .ok_or_else(|| Failure::local("the Element is ready but has not said who it is"))?;
        let port = port_of(&address(&ready, "door")?)
            .ok_or_else(|| Failure::local("the Element has not said where its door is"))?;
        Ok((node, port))
    }

    async fn open_hosts(
        &mut self,
        admin: &Admin,
        element: NodeId,
        port: u16,
    ) -> Result<(), Failure> {
        let new = self
            .plan
            .hosts()
            .filter(|name| self.memory.node(name).is_none())
            .count();
        let token = match u32::try_from(new) {
            Ok(0) | Err(_) => None,
            Ok(uses) => Some(admin.own_hosts_token(element, uses).await?),
        };
        let door = format!("{}:{port}", bracketed(&self.plan.near_element()));
        for name in self.plan.hosts() {
            let token = if self.memory.node(&name).is_none() {
                token.clone()
            } else {
                None
            };
            self.hosts.push(Role::start(
                self.plan.host(&name, &door, token),
                self.plan.restart,
            ));
        }
        for host in &mut self.hosts {
            let ready = host.ready().await?;
            self.memory.note(&host.name, &ready)?;
        }
        let planned: Vec<String> = self.plan.hosts().collect();
        let idle: Vec<&str> = self
            .memory
            .joined()
            .filter(|name| {
                name.starts_with("host-") && !planned.iter().any(|planned| planned == name)
            })
            .collect();
        if !idle.is_empty() {
            self.output.note(&format!(
                "not started, though they have joined: {}",
                idle.join(", ")
            ));
        }
        Ok(())
    }

    /// Ends all roles: Hosts, Element, controller. Once `hurry` comes true,
    /// nothing is waited for any more.
    pub(crate) async fn close(mut self, hurry: impl Future<Output = ()>) {
        let hurries: Vec<_> = self
            .hosts
            .iter()
            .chain(&self.element)
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
            for role in self.element.iter_mut().chain(&mut self.control) {
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
