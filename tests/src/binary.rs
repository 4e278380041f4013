//! Where the programs under test are.

use std::path::{Path, PathBuf};

/// Variable with the path of the `gridmart` binary.
const BINARY_VARIABLE: &str = "GRIDMART_BIN";

/// Gives the `gridmart` binary: that of `GRIDMART_BIN`, else the one that was
/// built beside this program.
pub fn gridmart() -> PathBuf {
    let Some(path) = std::env::var_os(BINARY_VARIABLE) else {
        return sibling("gridmart", "gridmart");
    };
    let path = PathBuf::from(path);
    assert!(
        path.is_file(),
        "{BINARY_VARIABLE} names {}, and there is no such file",
        path.display()
    );
    path
}

/// Gives the binary `name` of the workspace's crate `package`, as it was built
/// beside this program.
pub fn sibling(name: &str, package: &str) -> PathBuf {
    let this = std::env::current_exe().expect("the path of this program is known");
    // Test programs lie in a folder below the binaries.
    let mut paths = this
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name));
    paths.find(|path| path.is_file()).unwrap_or_else(|| {
        let release = if this.components().any(|part| part.as_os_str() == "release") {
            " --release"
        } else {
            ""
        };
        let folder = this.parent().unwrap_or_else(|| Path::new("."));
        panic!(
            "there is no {name} near {}: run `cargo build{release} -p {package}`",
            folder.display()
        )
    })
}
