//! Says whether the console's page is built (`npm run build` in `console/`) and
//! goes into the binary. Nothing but files is looked at; Node is never called.

use std::path::Path;

/// What Vite leaves.
const DIST: &str = "console/dist";

fn main() {
    println!("cargo::rustc-check-cfg=cfg(console)");
    println!("cargo::rerun-if-changed=build.rs");
    // A path that is not there would count as changed each time. Where the page
    // is built for the first time, its build touches this file.
    if Path::new(DIST).join("index.html").is_file() {
        println!("cargo::rerun-if-changed={DIST}");
        println!("cargo::rustc-cfg=console");
    }
}
