//! A controller as a process of its own, an admin, and an application.

use std::{path::Path, process::Command, thread};

use anyhow::{Context as _, bail};
use gridmart_schemas::{
    api::{
        command::CommandView,
        join_token::{JoinTokenRequest, JoinTokenView},
        resource::ResourceView,
    },
    id::NodeId,
    role::NodeKind,
};

use super::super::machine;
use crate::{
    Application, gridmart,
    swarm::{Person, Role},
    wait::{LONG, wait_for},
};

/// Name of the application.
pub(super) const APPLICATION: &str = "no-op";
/// Commands that are given at a time.
const COMMANDS_AT_A_TIME: usize = 100;

/// A controller and its first admin.
pub(super) struct Market {
    pub(super) control: Role,
    pub(super) person: Person,
}

impl Market {
    /// Starts a controller in a folder.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let control = Role::control(&folder.join("control"));
        let person = Person::connect(&control.address("people"), &control.admin_token())?;
        Ok(Self { control, person })
    }

    /// Puts an application on the shelf.
    pub(super) fn upload(&self, folder: &Path) -> anyhow::Result<()> {
        let package = Application::program(APPLICATION, machine::TRUE).write(folder);
        let uploaded = Command::new(gridmart())
            .arg("upload")
            .arg(package)
            .env(
                "GRIDMART_URL",
                format!("http://{}", self.control.address("people")),
            )
            .env("GRIDMART_TOKEN", self.control.admin_token())
            .output()?;
        if !uploaded.status.success() {
            bail!(
                "the upload failed: {}",
                String::from_utf8_lossy(&uploaded.stderr)
            );
        }
        Ok(())
    }

    /// Makes a join token: for Elements, or for Hosts of an Element.
    pub(super) fn token(&mut self, element: Option<NodeId>, uses: usize) -> anyhow::Result<String> {
        let (kind, domain) = match element {
            Some(_) => (NodeKind::ComputeHost, None),
            None => (NodeKind::ComputingElement, Some("lab".to_owned())),
        };
        let request = JoinTokenRequest {
            kind,
            domain,
            element: element.map(|id| id.to_string()),
            uses: u32::try_from(uses)?,
            expires_in: 3600,
            label: "swarm".to_owned(),
        };
        let made: JoinTokenView = self.person.post("/api/v1/join-tokens", &request)?;
        Ok(made.token)
    }

    /// Connects anew, after a restart.
    pub(super) fn reconnect(&mut self) -> anyhow::Result<()> {
        self.person =
            Person::connect(&self.control.address("people"), &self.control.admin_token())?;
        Ok(())
    }

    /// Waits until the controller shows each of these nodes as heard.
    pub(super) fn wait_heard(&mut self, nodes: &[NodeId]) {
        for id in nodes {
            wait_for(LONG, "the controller hears of a node", || {
                self.view(*id)
                    .map_err(|error| error.to_string())
                    .and_then(|view| {
                        let heard = view.row.connected.then_some(());
                        heard.ok_or_else(|| "not heard".to_owned())
                    })
            });
        }
    }

    fn view(&mut self, id: NodeId) -> anyhow::Result<ResourceView> {
        self.person.get(&format!("/api/v1/resources/{id}"))
    }

    /// Gives a command to each of these nodes, some at a time; returns when
    /// all have applied it.
    pub(super) fn command(&mut self, word: &str, nodes: &[NodeId]) -> anyhow::Result<()> {
        let share = nodes.len().div_ceil(COMMANDS_AT_A_TIME).max(1);
        let pending: Vec<NodeId> = thread::scope(|scope| {
            let threads: Vec<_> = nodes
                .chunks(share)
                .map(|nodes| {
                    let person = self.person.again();
                    scope.spawn(move || give(person?, word, nodes))
                })
                .collect();
            let pending: anyhow::Result<Vec<_>> = threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .map_err(|_| anyhow::anyhow!("a thread failed"))?
                })
                .collect();
            pending
        })?
        .concat();
        for id in pending {
            wait_for(LONG, "a command is applied", || {
                let view = self.view(id).map_err(|error| error.to_string())?;
                if view.row.pending {
                    Err("pending".to_owned())
                } else {
                    Ok(())
                }
            });
        }
        Ok(())
    }
}

/// Gives the command to one after the other; gives those that were pending.
fn give(mut person: Person, word: &str, nodes: &[NodeId]) -> anyhow::Result<Vec<NodeId>> {
    let mut pending = Vec::new();
    for id in nodes {
        let told: CommandView = person
            .command(&format!("/api/v1/resources/{id}/{word}"))
            .with_context(|| format!("{word} {id}"))?;
        if told.status != "applied" {
            pending.push(*id);
        }
    }
    Ok(pending)
}
