//! `gridmart people`: who may do what.

use std::path::PathBuf;

use gridmart_schemas::{
    api::person::{PersonChange, PersonCreate, PersonView},
    id::PersonName,
    role::Role,
};

use crate::{
    access::read_secret,
    failure::Failure,
    output::{Output, Page},
    remote,
    resources::Items,
};

/// What to do with people.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List everybody
    List,
    /// Add a person
    Add(Add),
    /// Change a person's role or password, or whether they may sign in
    Change(Change),
}

/// A new person.
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    /// Their name
    name: PersonName,
    /// What they may do: admin, operator, developer, user, viewer
    #[arg(long)]
    role: Role,
    /// The domain they belong to
    #[arg(long)]
    domain: Option<String>,
    /// File with their first password; asked for if absent (`-` reads it from stdin)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// A changed person.
#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    /// Their name
    name: PersonName,
    /// What they may do: admin, operator, developer, user, viewer
    #[arg(long)]
    role: Option<Role>,
    /// File with their new password (`-` reads it from stdin)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// They may sign in again
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// They may not sign in, and their tokens are refused at once
    #[arg(long)]
    disable: bool,
}

/// Does it.
pub(crate) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    let rows = match command {
        Command::List => {
            let rows = remote::ask(async |client| Ok(client.people().list().await?))?;
            return output.print(&Items { items: &rows }, |page| table(page, &rows));
        }
        Command::Add(add) => {
            let person = PersonCreate {
                name: add.name.clone(),
                role: add.role,
                domain: add.domain.clone(),
                password: read_secret(add.password_file.as_deref(), "First password: ")?,
            };
            remote::ask(async |client| Ok(client.people().create(&person).await?))?
        }
        Command::Change(change) => {
            let password = match &change.password_file {
                Some(path) => Some(read_secret(Some(path), "New password: ")?),
                None => None,
            };
            let enabled = (change.enable || change.disable).then_some(change.enable);
            if change.role.is_none() && password.is_none() && enabled.is_none() {
                return Err(Failure::Usage(
                    "say what to change: --role, --password-file, --enable or --disable".to_owned(),
                ));
            }
            let wanted = PersonChange {
                role: change.role,
                password,
                enabled,
            };
            remote::ask(async |client| Ok(client.people().change(&change.name, &wanted).await?))?
        }
    };
    output.print(&rows, |page| table(page, std::slice::from_ref(&rows)))
}

fn table(page: &mut Page, rows: &[PersonView]) {
    let cells = rows
        .iter()
        .map(|row| {
            let signs_in = if row.enabled { "yes" } else { "no" };
            [
                row.name.to_string(),
                row.role.to_string(),
                row.domain.clone().unwrap_or_default(),
                signs_in.to_owned(),
            ]
        })
        .collect();
    page.table(["NAME", "ROLE", "DOMAIN", "SIGNS IN"], cells, "Nobody.");
}
