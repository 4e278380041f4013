//! The roles of a supermarket: `control`, `ce-1`, `host-1` and so on; killed,
//! frozen, started again.

use std::{
    fs,
    net::SocketAddr,
    process::{Command, Stdio},
};

use gridmart_schemas::resource::{Document as _, ce_doc::CeDocument};
use nix::sys::signal::Signal;
use tokio::net::TcpSocket;

use super::{
    Change, Supermarket,
    end::{MARK, last_lines},
    make_strange,
};
use crate::{
    processes::{self, Identity},
    wait::{LONG, SHORT, wait_for},
};

/// How a role's last words end whose door another has.
const DOOR_TAKEN: &str = "Address already in use (os error 98)";
/// Flag and name of each door that a role listens at.
const DOORS: &[(&str, &str)] = &[
    ("--people-listen", "people"),
    ("--nodes-listen", "nodes"),
    ("--listen", "door"),
    ("--s3-listen", "s3"),
    ("--postgres-listen", "postgres"),
];

impl Supermarket {
    /// Names the roles that `up` started: controller, Element, Hosts.
    pub fn role_names(&self) -> Vec<String> {
        ["control", "ce-1"]
            .map(str::to_owned)
            .into_iter()
            .chain(self.ready.hosts.iter().cloned())
            .collect()
    }

    /// Gives the process number of a role, as its ready file says.
    #[track_caller]
    pub fn role_pid(&self, role: &str) -> u32 {
        self.try_role_pid(role)
            .unwrap_or_else(|| panic!("{role} has no ready file"))
    }

    /// Gives the address of a role's door.
    #[track_caller]
    pub fn role_address(&self, role: &str, door: &str) -> String {
        let ready = self
            .role_ready(role)
            .unwrap_or_else(|| panic!("{role} has no ready file"));
        ready["addresses"][door]
            .as_str()
            .expect("the door has an address")
            .to_owned()
    }

    /// Gives the node id of a role.
    #[track_caller]
    pub fn role_node(&self, role: &str) -> String {
        let ready = self
            .role_ready(role)
            .unwrap_or_else(|| panic!("{role} has no ready file"));
        ready["node"]
            .as_str()
            .expect("the role has a node id")
            .to_owned()
    }

    /// Gives the most memory that a role ever had since its start, in bytes.
    #[track_caller]
    pub fn role_peak(&self, role: &str) -> u64 {
        Identity::of(self.role_pid(role)).map_or(0, Identity::resident_peak)
    }

    fn role_ready(&self, role: &str) -> Option<serde_json::Value> {
        let text = fs::read_to_string(self.seen(role).join("ready.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The same; none while it starts.
    pub(crate) fn try_role_pid(&self, role: &str) -> Option<u32> {
        u32::try_from(self.role_ready(role)?["pid"].as_u64()?).ok()
    }

    /// Gives what a role has logged.
    pub fn log(&self, role: &str) -> String {
        fs::read_to_string(self.seen("logs").join(format!("{role}.log"))).unwrap_or_default()
    }

    /// Ends a role with SIGKILL and waits until it is gone.
    #[track_caller]
    pub fn kill9(&self, role: &str) {
        let pid = self.role_pid(role);
        let identity = Identity::of(pid).unwrap_or_else(|| panic!("{role} does not run"));
        let mut roles = self.roles.lock();
        roles
            .lines
            .insert(role.to_owned(), processes::command_line(pid));
        roles.orphans.extend(processes::tree(pid));
        processes::signal(pid, Signal::SIGKILL);
        if let Some(mut child) = roles.restarted.remove(role) {
            child.wait().expect("a child can be waited for");
        }
        drop(roles);
        wait_for(SHORT, &format!("{role} is gone"), || {
            if identity.lives() {
                Err("it lives".to_owned())
            } else {
                Ok(())
            }
        });
        let held = self.hold_doors(role);
        self.roles.lock().held.insert(role.to_owned(), held);
    }

    /// Keeps a role's ports while it is down: the system gives none that is
    /// bound to a connection that is dialled, which might stand for long.
    fn hold_doors(&self, role: &str) -> Vec<TcpSocket> {
        let ready = self.role_ready(role).unwrap_or_default();
        let doors = DOORS.iter().filter_map(|(_, door)| {
            let address: SocketAddr = ready["addresses"][door].as_str()?.parse().ok()?;
            let socket = TcpSocket::new_v4().ok()?;
            // The role does the same, and may listen beside it.
            socket.set_reuseaddr(true).ok()?;
            socket.bind(address).ok()?;
            Some(socket)
        });
        doors.collect()
    }

    /// Kills a role and starts it again, changed.
    #[track_caller]
    pub fn replace(&self, role: &str, change: &Change) {
        self.kill9(role);
        self.restart_as(role, change);
    }

    /// Halts a role, so that it neither answers nor closes anything.
    #[track_caller]
    pub fn freeze(&self, role: &str) {
        processes::signal(self.role_pid(role), Signal::SIGSTOP);
    }

    /// Lets a frozen role go on.
    #[track_caller]
    pub fn thaw(&self, role: &str) {
        processes::signal(self.role_pid(role), Signal::SIGCONT);
    }

    /// Starts a role that was killed with the words of its first start, on its
    /// old folder and at its old doors, and waits until it is ready.
    #[track_caller]
    pub fn restart(&self, role: &str) {
        self.restart_as(role, &Change::none());
    }

    /// The same, but for what is changed.
    #[track_caller]
    pub fn restart_as(&self, role: &str, change: &Change) {
        let line = self.roles.lock().lines.get(role).cloned();
        let mut line = line.unwrap_or_else(|| panic!("{role} was not killed by the test"));
        if let Some(at) = line.iter().position(|word| word == "--parent-pid") {
            line[at + 1] = std::process::id().to_string();
        }
        // The doors were given as port 0 at the first start; others know where they are now.
        self.keep_doors(role, &mut line);
        // While it was down, a connection may have been given the port of its door.
        wait_for(LONG, &format!("the doors of {role} are free"), || {
            let pid = self.start_again(role, change.command(&line));
            self.wait_ready(role, pid)
        });
        self.roles.lock().held.remove(role);
    }

    /// Starts a role with these words, and gives its process number.
    #[track_caller]
    fn start_again(&self, role: &str, mut command: Command) -> u32 {
        let log = self.seen("logs").join(format!("{role}.log"));
        let log = fs::OpenOptions::new()
            .append(true)
            .open(log)
            .expect("the role has a log");
        for (name, value) in &self.environment {
            let is_changed = command.get_envs().any(|(changed, _)| changed == name);
            if !is_changed {
                command.env(name, value);
            }
        }
        if self.has_small_disks {
            command = self.inside(&command);
        }
        make_strange(&mut command, self.scratch.path());
        command.env(MARK, &self.mark).stdin(Stdio::null());
        command
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log);
        let child = processes::spawn(command)
            .unwrap_or_else(|error| panic!("{role} cannot be started: {error}"));
        let pid = child.id();
        self.roles.lock().restarted.insert(role.to_owned(), child);
        pid
    }

    /// Waits until a role is ready; an error: it has ended, since one of its
    /// doors was taken.
    #[track_caller]
    fn wait_ready(&self, role: &str, pid: u32) -> Result<(), String> {
        wait_for(LONG, &format!("{role} is ready again"), || {
            match self.try_role_pid(role) {
                Some(ready) if ready == pid => Ok(Ok(())),
                other if Identity::of(pid).is_none() => {
                    let said = last_lines(&self.log(role));
                    // Waiting longer would help nobody.
                    assert!(
                        said.trim_end().ends_with(DOOR_TAKEN),
                        "{role} ended; ready file: {other:?}; log:\n{said}"
                    );
                    Ok(Err(DOOR_TAKEN.to_owned()))
                }
                other => Err(format!("the ready file says {other:?}")),
            }
        })
    }

    fn keep_doors(&self, role: &str, words: &mut [String]) {
        for (flag, door) in DOORS {
            if let Some(at) = words.iter().position(|word| word == flag) {
                let address = self.role_address(role, door);
                let (_, port) = address.rsplit_once(':').expect("an address has a port");
                let (host, _) = words[at + 1]
                    .rsplit_once(':')
                    .expect("an address has a port");
                words[at + 1] = format!("{host}:{port}");
            }
        }
    }

    /// Changes the Element's own document as an operator does: by hand, while
    /// the Element is down.
    #[track_caller]
    pub fn edit_element_document(&self, edit: impl FnOnce(&mut CeDocument)) {
        self.kill9("ce-1");
        let path = self.seen("ce-1/CEDoc.xml");
        let bytes = fs::read(&path).expect("the Element has a document");
        let mut document =
            CeDocument::from_xml(&bytes, "CEDoc.xml").expect("the document is valid");
        edit(&mut document);
        fs::write(&path, document.to_xml()).expect("the document can be written");
        self.restart("ce-1");
        self.wait_resource("ce-1", "connected", |row| row["connected"] == true);
    }
}
