//! `gridmart completions SHELL`.

use clap::CommandFactory as _;

use crate::{command_line::CommandLine, failure::Failure, output::Output};

/// Print a completion script for a shell.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// For which shell
    shell: clap_complete::Shell,
}

/// Prints it.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut CommandLine::command(),
        "gridmart",
        &mut script,
    );
    output.write(&script)
}
