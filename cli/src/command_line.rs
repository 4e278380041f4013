//! The words that people type.

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand, error::ErrorKind};

use crate::{
    access, apps, audit, call, completions, db, env, explain,
    failure::{EXIT_DONE, EXIT_USAGE, Failure},
    init, key, layout, logs, manage, map, nodes,
    output::Output,
    people, resources, role, sessions, shadow, show, sql,
    storage::{self, copy::Then},
    token, transfers, up, upload,
};

/// Told at the end of the help.
const AFTER_HELP: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 4 not found, 5 not reachable, 130 Ctrl-C.\n\
    `call` exits as the program did.\n\n\
    First steps: gridmart up; in another shell: eval \"$(gridmart env)\"; gridmart init DIR; gridmart upload DIR; gridmart call APP";

/// A program with fault points says so: tests ask, and nobody else should have one.
const VERSION: &str = if gridmart_fabric::fault::are_built_in() {
    concat!(env!("CARGO_PKG_VERSION"), " with fault points")
} else {
    env!("CARGO_PKG_VERSION")
};

/// A virtual supermarket for the machines an organisation already has.
#[derive(Debug, Parser)]
#[command(name = "gridmart", version = VERSION, after_help = AFTER_HELP, max_term_width = 120, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct CommandLine {
    /// Print one JSON document on stdout, and problems as JSON on stderr
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Arguments),
    Env(env::Arguments),
    /// Run the controller: catalogue, access, people, packages
    Control(role::Arguments<role::control::Settings>),
    /// Run an Element: the pool of one kind in one domain
    Element {
        #[command(subcommand)]
        kind: role::element::Kind,
    },
    /// Run a Host: one machine's share of a pool
    Host {
        #[command(subcommand)]
        kind: role::host::Kind,
    },
    /// Join tokens for machines, API tokens for programs
    Token {
        #[command(subcommand)]
        command: token::Command,
    },
    /// Access keys, with which programs speak S3 to a Storage Element
    Key {
        #[command(subcommand)]
        command: key::Command,
    },
    Login(access::Login),
    Logout(access::Logout),
    Whoami(access::Whoami),
    /// People and what they may do
    People {
        #[command(subcommand)]
        command: people::Command,
    },
    Resources(resources::Arguments),
    Show(show::Arguments),
    Explain(explain::Arguments),
    /// Let an Element, a Host or an application take work
    Start(manage::Arguments),
    /// Let an Element, a Host or an application take no new work; what runs may end
    Stop(manage::Arguments),
    /// End what runs now, and take no new work; also ends one call, map, transfer or SQL session
    Kill(manage::Arguments),
    /// Nodes and their certificates
    Nodes {
        #[command(subcommand)]
        command: nodes::Command,
    },
    /// Which Hosts of a Storage Element keep blocks: drain, rebalance
    Layout {
        #[command(subcommand)]
        command: layout::Command,
    },
    Audit(audit::Arguments),
    Init(init::Arguments),
    Upload(upload::Arguments),
    Apps(apps::Arguments),
    Versions(apps::Versions),
    Promote(apps::Promote),
    Call(call::Arguments),
    Map(map::Arguments),
    Retry(map::Retry),
    Logs(logs::Arguments),
    /// Buckets: where objects are kept, and who may use them
    Bucket {
        #[command(subcommand)]
        command: storage::bucket::Command,
    },
    Put(storage::put::Arguments),
    Get(storage::get::Arguments),
    Ls(storage::list::Arguments),
    Rm(storage::remove::Arguments),
    Cp(storage::copy::Arguments),
    /// Move an object to another key or bucket: copy it, then delete it
    Mv(storage::copy::Arguments),
    Sync(storage::sync::Arguments),
    Transfers(transfers::Arguments),
    Sessions(sessions::Arguments),
    /// Databases: tables under rules, on a core and its shadows
    Db {
        #[command(subcommand)]
        command: db::Command,
    },
    /// Shadows of databases: add, remove, make one the core, compare them with it
    Shadow {
        #[command(subcommand)]
        command: shadow::Command,
    },
    Sql(sql::Arguments),
    Completions(completions::Arguments),
}

/// Reads the command line, does what it says, and tells how it went.
pub(crate) fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let line = match CommandLine::try_parse_from(&words) {
        Ok(line) => line,
        Err(error) => return misread(&error, &words),
    };
    let output = Output::new(line.json);
    match run(line.command, output) {
        Ok(()) => ExitCode::from(EXIT_DONE),
        Err(failure) => failure.report(line.json),
    }
}

fn run(command: Command, output: Output) -> Result<(), Failure> {
    use gridmart_sdk::Command as Order;
    match command {
        Command::Up(arguments) => up::run(&arguments, output),
        Command::Env(arguments) => env::run(arguments, output),
        Command::Control(arguments) => role::control::run(arguments),
        Command::Element { kind } => role::element::run(kind, output),
        Command::Host { kind } => role::host::run(kind),
        Command::Token { command } => token::run(&command, output),
        Command::Key { command } => key::run(&command, output),
        Command::Login(arguments) => access::login(&arguments, output),
        Command::Logout(arguments) => access::logout(&arguments, output),
        Command::Whoami(arguments) => access::whoami(&arguments, output),
        Command::People { command } => people::run(&command, output),
        Command::Resources(arguments) => resources::run(&arguments, output),
        Command::Show(arguments) => show::run(&arguments, output),
        Command::Explain(arguments) => explain::run(&arguments, output),
        Command::Start(arguments) => manage::run(Order::Start, &arguments, output),
        Command::Stop(arguments) => manage::run(Order::Stop, &arguments, output),
        Command::Kill(arguments) => manage::run(Order::Kill, &arguments, output),
        Command::Nodes { command } => nodes::run(&command, output),
        Command::Layout { command } => layout::run(&command, output),
        Command::Audit(arguments) => audit::run(&arguments, output),
        Command::Init(arguments) => init::run(&arguments, output),
        Command::Upload(arguments) => upload::run(&arguments, output),
        Command::Apps(arguments) => apps::run(&arguments, output),
        Command::Versions(arguments) => apps::versions(&arguments, output),
        Command::Promote(arguments) => apps::promote(&arguments, output),
        Command::Call(arguments) => call::run(&arguments, output),
        Command::Map(arguments) => map::run(&arguments, output),
        Command::Retry(arguments) => map::retry(&arguments, output),
        Command::Logs(arguments) => logs::run(&arguments, output),
        Command::Bucket { command } => storage::bucket::run(&command, output),
        Command::Put(arguments) => storage::put::run(&arguments, output),
        Command::Get(arguments) => storage::get::run(&arguments, output),
        Command::Ls(arguments) => storage::list::run(&arguments, output),
        Command::Rm(arguments) => storage::remove::run(&arguments, output),
        Command::Cp(arguments) => storage::copy::run(&arguments, Then::Keep, output),
        Command::Mv(arguments) => storage::copy::run(&arguments, Then::Delete, output),
        Command::Sync(arguments) => storage::sync::run(&arguments, output),
        Command::Transfers(arguments) => transfers::run(&arguments, output),
        Command::Sessions(arguments) => sessions::run(&arguments, output),
        Command::Db { command } => db::run(&command, output),
        Command::Shadow { command } => shadow::run(&command, output),
        Command::Sql(arguments) => sql::run(&arguments, output),
        Command::Completions(arguments) => completions::run(&arguments, output),
    }
}

/// Help and version go to stdout; a wrong command line is told as everything
/// else is, as JSON too if that was asked for.
fn misread(error: &clap::Error, words: &[OsString]) -> ExitCode {
    let wants_json = words
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| word == "--json");
    if error.use_stderr() && wants_json {
        let text = error.render().to_string();
        return Failure::Usage(text.trim().trim_start_matches("error: ").to_owned()).report(true);
    }
    // Nothing can be done when the terminal is gone.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::from(EXIT_DONE),
        _ => ExitCode::from(EXIT_USAGE),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    /// Every page of help stands in `tests/help.txt`; `UPDATE_CONTRACTS=1` writes it anew.
    #[test]
    fn the_help_is_as_checked_in() {
        let mut text = String::new();
        let mut command = CommandLine::command()
            .term_width(100)
            .disable_help_subcommand(true);
        command.build();
        pages(&command, &mut text);
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/help.txt");
        if std::env::var_os("UPDATE_CONTRACTS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let known = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            known == text,
            "the help has changed: run with UPDATE_CONTRACTS=1 and look at the difference of {path}"
        );
    }

    fn pages(command: &clap::Command, text: &mut String) {
        use std::fmt::Write as _;
        let help = command.clone().term_width(100).render_help().to_string();
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        let _ = writeln!(text, "===== {name} =====\n{}\n", lines.join("\n"));
        for child in command
            .get_subcommands()
            .filter(|child| !child.is_hide_set())
        {
            pages(child, text);
        }
    }

    fn read(words: &[&str]) -> Result<CommandLine, clap::Error> {
        CommandLine::try_parse_from(std::iter::once("gridmart").chain(words.iter().copied()))
    }

    #[test]
    fn hyphens_of_a_program_come_after_two() {
        assert!(read(&["call", "spf", "--json"]).unwrap().json);
        let line = read(&["call", "spf", "--", "--json"]).unwrap();
        assert!(!line.json);
        assert!(read(&["call", "spf", "--novel"]).is_err());
    }

    #[test]
    fn contradictions_are_refused() {
        for words in [
            vec!["map", "app"],
            vec!["map", "app", "--input", "a", "--inputs", "b"],
            vec!["call"],
            vec!["token", "create", "--kind", "control"],
            vec!["token", "create", "--kind", "ce"],
            vec!["token", "create", "--kind", "chost"],
            vec!["token", "create", "--kind", "se"],
            vec!["token", "create", "--kind", "shost"],
            vec!["token", "create", "--kind", "se", "--element", "se1"],
            vec![
                "token",
                "create",
                "--kind",
                "ce",
                "--domain",
                "lab",
                "--expires",
                "soon",
            ],
            vec!["resources", "fridge"],
            vec!["up", "--compute-hosts", "1000"],
            vec!["runner"],
        ] {
            assert!(read(&words).is_err(), "{words:?}");
        }
    }
}
