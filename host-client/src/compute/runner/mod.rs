//! The resident runner: the one process of gridmart inside of a sandbox.
//!
//! It is pid 1 there, runs one call at a time, and leaves nothing of a call to
//! the next one: when the call's main process has ended, everything else in
//! the PID namespace is killed and reaped, the pipes are drained, the work
//! folder and `/tmp` are emptied. One thread, one `poll`, no runtime: a call
//! without output costs little more than its `posix_spawn`.
//!
//! Invariants: it ends when the Host's end of the socket is closed; it never
//! waits for a pipe that a stray process holds; its memory is bounded by the
//! windows that the Host grants. It holds no secrets.
//!
//! Outside of a sandbox (a Host with `--allow-unsandboxed`) the same code is
//! a child subreaper instead of pid 1.

mod folders;
mod process;
pub(crate) mod protocol;
mod server;
mod tree;

use std::process::ExitCode;

/// Runs the runner on the socket that is its standard input.
pub fn main() -> ExitCode {
    match server::serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The Host reads this when a sandbox could not be made.
            eprintln!("runner: {error}");
            ExitCode::FAILURE
        }
    }
}
