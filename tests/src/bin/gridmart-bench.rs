//! `gridmart-bench`: the first figures, each beside what the machine itself
//! can do.

use std::process::ExitCode;

fn main() -> ExitCode {
    gridmart_tests::bench::main()
}
