//! The `gridmart` binary: every server role and every user command.
//!
//! It prints and starts, it decides nothing: the roles live in their own
//! crates, and what a person asks goes through the SDK.

#![expect(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help text, which is no Markdown"
)]

#[cfg(all(feature = "fault-points", not(debug_assertions)))]
compile_error!("a release has no fault points: build it without the feature fault-points");

mod command_line;
mod completions;
mod copies;
mod failure;
mod output;
mod period;
mod progress;
mod remote;
mod role;
mod size;
mod up;

mod access;
mod apps;
mod audit;
mod call;
mod db;
mod env;
mod explain;
mod init;
mod key;
mod layout;
mod logs;
mod manage;
mod map;
mod nodes;
mod people;
mod resources;
mod sessions;
mod shadow;
mod show;
mod sql;
mod storage;
mod token;
mod transfers;
mod upload;

use std::process::ExitCode;

fn main() -> ExitCode {
    // The runner starts once per sandbox on the path of a first call, so it
    // must not pay for the command line's tables.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == "runner")
    {
        return gridmart_host::compute::runner::main();
    }
    gridmart_fabric::fault::arm();
    command_line::main()
}
