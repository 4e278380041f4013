//! What the binary says to wrong usage, without any server: the exact texts
//! stand in `usage.txt` (`UPDATE_CONTRACTS=1` writes it anew).

#![expect(
    clippy::unwrap_used,
    reason = "a test tells a broken premise by a panic"
)]

use std::{
    fmt::Write as _,
    io::Read as _,
    process::{Command, Output, Stdio},
};

/// Command lines that are wrong, or ask something of nobody.
const WRONG: &[&[&str]] = &[
    &["fridge"],
    &["call"],
    &["call", "app", "--colour", "blue"],
    &["map", "app"],
    &["map", "app", "--input", "a", "--inputs", "b"],
    &["retry", "yesterday"],
    &["token", "create", "--kind", "fridge"],
    &["token", "create", "--kind", "ce"],
    &[
        "token",
        "create",
        "--kind",
        "chost",
        "--element",
        "ce-1",
        "--expires",
        "soon",
    ],
    &["resources", "fridge"],
    &["resources", "ae", "--xml"],
    &["up", "--compute-hosts", "1000"],
    &["up", "--listen", "somewhere"],
    &["host", "compute"],
    &["host", "storage"],
    &["host", "storage", "--failure-label", "rack"],
    &[
        "host",
        "storage",
        "--element",
        "a:1",
        "--failure-label",
        "rack=1",
        "--failure-label",
        "rack=2",
    ],
    &["host", "storage", "--max-used-space", "much"],
    &["element", "compute"],
    &[
        "element",
        "compute",
        "--controller",
        "a:1",
        "--join-token",
        "x",
        "--join-token-file",
        "/dev/null",
    ],
    &["host", "compute", "--config", "tests/wrong.toml"],
    &["control", "--heartbeat-interval", "2h"],
    &["people", "add", "Ada", "--role", "admin"],
    &["people", "change", "ada"],
    &["whoami"],
    &["env", "--data-dir", "/nonexistent/market"],
    &["init", "src"],
    &["bucket", "create", "Photos"],
    &["bucket", "policy", "photos"],
    &["bucket", "policy", "photos", "--allow", "user:ada=fly"],
    &["put", "file", "Photos/x"],
    &["put", "-", "photos"],
    &["get", "photos", "x"],
    &["get", "photos/x", "y", "--range", "5-4"],
    &["rm", "photos"],
    &["cp", "photos/x"],
    &["sync", "photos", "pictures"],
    &["sync", "./none", "photos"],
    &["map", "--json"],
    &["whoami", "--json"],
];

fn gridmart(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gridmart"));
    command
        .args(words)
        .stdin(Stdio::null())
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    for name in [
        "GRIDMART_URL",
        "GRIDMART_TOKEN",
        "GRIDMART_CA",
        "GRIDMART_JOIN_TOKEN",
        "RUST_BACKTRACE",
    ] {
        command.env_remove(name);
    }
    for name in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"] {
        command.env(name, "/nonexistent");
    }
    command
}

fn run(words: &[&str]) -> Output {
    gridmart(words).output().unwrap()
}

#[test]
fn wrong_usage_is_told_as_checked_in() {
    let mut text = String::new();
    for words in WRONG {
        let output = run(words);
        assert!(output.stdout.is_empty(), "{words:?} prints on stdout");
        let stderr = String::from_utf8(output.stderr).unwrap();
        let _ = writeln!(
            text,
            "$ gridmart {}\n{}[exit {}]\n",
            words.join(" "),
            stderr,
            output.status.code().unwrap()
        );
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/usage.txt");
    if std::env::var_os("UPDATE_CONTRACTS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let known = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        known == text,
        "usage errors have changed: run with UPDATE_CONTRACTS=1 and look at the difference of {path}\n{text}"
    );
}

#[test]
fn nobody_listens_there() {
    let output = gridmart(&["apps", "--json"])
        .env("GRIDMART_URL", "http://127.0.0.1:1")
        .env("GRIDMART_TOKEN", "t")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5));
    let problem: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(
        problem["detail"].as_str().unwrap().contains("127.0.0.1:1"),
        "{problem}"
    );
}

#[test]
fn a_broken_pipe_is_quiet() {
    let mut child = gridmart(&["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(
        (child.wait().unwrap().code(), stderr.as_str()),
        (Some(141), "")
    );
}

#[test]
fn help_and_version_are_data() {
    for words in [["--help"], ["--version"]] {
        let output = run(&words);
        assert!(
            output.status.success() && !output.stdout.is_empty() && output.stderr.is_empty(),
            "{words:?}"
        );
    }
}

#[test]
fn the_runner_starts_before_everything_else() {
    // Its own usage error, not the command line's: `runner` is no command that people type.
    let output = run(&["runner"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("unrecognized subcommand"));
}
