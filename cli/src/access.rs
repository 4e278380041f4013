//! `login`, `logout`, `whoami`.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use gridmart_schemas::id::PersonName;
use gridmart_sdk::{Trust, login_path};
use serde::Serialize;

use crate::{
    failure::Failure,
    output::{Output, Page},
    remote,
};

/// Sign in with name and password; keeps an API token in the login file.
#[derive(Debug, clap::Args)]
pub(crate) struct Login {
    /// The controller's people's door, for example https://grid.example:7700
    url: String,
    /// Who; asked for if absent
    #[arg(long)]
    user: Option<PersonName>,
    /// File with the password; asked for if absent (`-` reads it from stdin)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// File with the CA's root, PEM
    #[arg(long, value_name = "FILE", conflicts_with = "fingerprint")]
    ca: Option<PathBuf>,
    /// SHA-256 of the CA's root, as the controller told it
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
    /// What the token is for, for people
    #[arg(long, default_value = "gridmart login")]
    label: String,
}

#[derive(Serialize)]
struct LoggedIn<'a> {
    url: &'a str,
    user: &'a PersonName,
    login_file: PathBuf,
}

/// Signs in.
pub(crate) fn login(arguments: &Login, output: Output) -> Result<(), Failure> {
    let user = match &arguments.user {
        Some(user) => user.clone(),
        None => ask_line("Name: ")?
            .parse()
            .map_err(|error| Failure::Usage(format!("{error}")))?,
    };
    let password = read_secret(arguments.password_file.as_deref(), "Password: ")?;
    let trust = trust(arguments)?;
    let runtime = remote::runtime()?;
    let login = runtime.block_on(remote::interruptible(async {
        Ok(gridmart_sdk::login(&arguments.url, &user, &password, &arguments.label, trust).await?)
    }))?;
    let done = LoggedIn {
        url: &login.url,
        user: &user,
        login_file: login_path()?,
    };
    output.print(&done, |page| {
        page.line(format!("Signed in at {} as {user}.", login.url));
    })
}

fn trust(arguments: &Login) -> Result<Trust, Failure> {
    if let Some(path) = &arguments.ca {
        let pem = std::fs::read_to_string(path)
            .with_context(|| format!("the CA's root {} cannot be read", path.display()))?;
        return Ok(Trust::Root(pem));
    }
    if let Some(expected) = &arguments.fingerprint {
        let expected: String = expected
            .chars()
            .filter(char::is_ascii_hexdigit)
            .collect::<String>()
            .to_ascii_lowercase();
        return Ok(Trust::Confirm(Box::new(move |found| found == expected)));
    }
    if io::stdin().is_terminal() {
        return Ok(Trust::Confirm(Box::new(|found| {
            let question = format!(
                "The CA's root has the fingerprint (SHA-256)\n  {found}\nIs that what the controller told? [yes/no] "
            );
            ask_line(&question).is_ok_and(|answer| answer == "yes")
        })));
    }
    Ok(Trust::System)
}

/// Sign out: make the token of the login file worthless, and remove the file.
#[derive(Debug, clap::Args)]
pub(crate) struct Logout {}

#[derive(Serialize)]
struct LoggedOut {
    removed: bool,
    revoked: bool,
    /// Why the token lives on.
    problem: Option<String>,
}

/// Signs out.
pub(crate) fn logout(_: &Logout, output: Output) -> Result<(), Failure> {
    let runtime = remote::runtime()?;
    let out = runtime.block_on(remote::interruptible(async {
        Ok(gridmart_sdk::logout().await?)
    }))?;
    let problem = out
        .unrevoked
        .map(|error| format!("{:#}", anyhow::Error::from(error)));
    let done = LoggedOut {
        removed: out.removed,
        revoked: out.removed && problem.is_none(),
        problem,
    };
    output.print(&done, |page| {
        page.line(match (done.removed, done.revoked) {
            (true, true) => "Signed out; the token is worthless now.",
            (true, false) => "Signed out here.",
            (false, _) => "Nobody was signed in.",
        });
    })?;
    if let Some(problem) = &done.problem {
        let id = out
            .token_id
            .map_or_else(|| "ID".to_owned(), |id| id.to_string());
        output.note(&format!(
            "The token could not be revoked and lives on until it expires: {problem}\n  next: gridmart token api revoke {id}"
        ));
    }
    Ok(())
}

/// Tell who you are to the controller.
#[derive(Debug, clap::Args)]
pub(crate) struct Whoami {}

/// Shows who asks.
pub(crate) fn whoami(_: &Whoami, output: Output) -> Result<(), Failure> {
    let person = remote::ask(async |client| Ok(client.whoami().await?))?;
    output.print(&person, |page: &mut Page| {
        page.field("name", person.name.as_str());
        page.field("role", person.role.as_str());
        page.field("domain", person.domain.as_deref().unwrap_or("-"));
    })
}

/// Asks a question on the terminal, or reads a line of stdin.
fn ask_line(question: &str) -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        let mut stderr = io::stderr();
        stderr.write_all(question.as_bytes())?;
        stderr.flush()?;
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Takes a secret from a file, from stdin, or from the terminal without echo.
pub(crate) fn read_secret(file: Option<&Path>, question: &str) -> Result<String, Failure> {
    match file {
        Some(path) if path != Path::new("-") => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("the secret's file {} cannot be read", path.display()))?;
            Ok(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        None if io::stdin().is_terminal() => {
            Ok(rpassword::prompt_password(question).context("the terminal cannot be read")?)
        }
        _ => {
            let mut line = String::new();
            io::stdin().read_line(&mut line)?;
            Ok(line.trim_end_matches(['\r', '\n']).to_owned())
        }
    }
}
