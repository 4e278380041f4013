//! How a role is started again, other than it was before.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{clock::Clock, proxy::Proxy};

/// What is changed: its flags, its environment, its program.
#[derive(Clone, Debug, Default)]
pub struct Change {
    flags: Vec<(String, String)>,
    environment: Vec<(OsString, OsString)>,
    program: Option<PathBuf>,
}

impl Change {
    /// Changes nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Sets a flag, `--slots`; it is kept at later starts.
    pub fn flag(mut self, flag: &str, value: impl Into<String>) -> Self {
        self.flags.push((flag.to_owned(), value.into()));
        self
    }

    /// Lets a Host dial its Element, or an Element its controller, through a
    /// proxy.
    pub fn parent_behind(self, proxy: &Proxy) -> Self {
        // The other one is left out when the line is made.
        self.flag("--element", proxy.address())
            .flag("--controller", proxy.address())
    }

    /// Lets programs reach a Host, or an Element, through a proxy.
    pub fn advertised_at(self, proxy: &Proxy) -> Self {
        self.flag("--advertise", proxy.address())
    }

    /// Sets a variable of its environment, for this start alone.
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Lets it live by this clock, for this start alone.
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.environment.extend(clock.variables());
        self
    }

    /// Runs another program; it is kept at later starts.
    pub fn program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// Gives the command of a start; `line` is that of the last one.
    pub(super) fn command(&self, line: &[String]) -> Command {
        let mut words = line[1..].to_vec();
        for (flag, value) in &self.flags {
            match words.iter().position(|word| word == flag) {
                Some(at) => words[at + 1].clone_from(value),
                None if ["--element", "--controller"].contains(&flag.as_str()) => {}
                None => words.extend([flag.clone(), value.clone()]),
            }
        }
        let program = self.program.as_deref();
        let mut command = Command::new(program.unwrap_or(Path::new(&line[0])));
        command.args(words).envs(self.environment.iter().cloned());
        command
    }
}
