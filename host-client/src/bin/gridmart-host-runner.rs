//! The runner alone, for this crate's tests: outside of them it is the hidden
//! command `runner` of the one program `gridmart`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gridmart_host::compute::runner::main()
}
