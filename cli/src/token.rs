//! `gridmart token`: join tokens for machines, API tokens for programs.

use gridmart_schemas::{
    api::{join_token::JoinTokenRequest, person::ApiTokenCreate},
    id::{PersonName, TokenId},
    role::NodeKind,
};
use serde::Serialize;

use crate::{
    failure::Failure,
    output::{Output, moment},
    period::Period,
    remote,
    resources::Items,
};

/// What to do with tokens.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a join token for an Element or a Host
    Create(Create),
    /// List the controller's join tokens
    List,
    /// API tokens, for programs that act for a person
    Api {
        #[command(subcommand)]
        command: Api,
    },
}

/// A new join token.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// What joins with it: ce, se or de (an Element), chost, shost or dhost (a Host)
    #[arg(long, value_parser = joining_kind)]
    kind: NodeKind,
    /// Domain that the Element will belong to
    #[arg(long, required_if_eq_any([("kind", "ce"), ("kind", "se"), ("kind", "de")]), conflicts_with = "element")]
    domain: Option<String>,
    /// Element that the Host joins, by name or id
    #[arg(long, value_name = "ID", required_if_eq_any([("kind", "chost"), ("kind", "shost"), ("kind", "dhost")]))]
    element: Option<String>,
    /// How often it may be used
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,
    /// How long it may be used
    #[arg(long, value_name = "PERIOD", default_value = "1h")]
    expires: Period,
    /// What it is for, for people
    #[arg(long, default_value = "")]
    label: String,
}

fn joining_kind(text: &str) -> Result<NodeKind, String> {
    match text.parse() {
        Ok(kind) if kind != NodeKind::Control => Ok(kind),
        _ => Err("ce, chost, se, shost, de or dhost is expected".to_owned()),
    }
}

/// What to do with API tokens.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Api {
    /// Make an API token
    Create {
        /// For whom (admins only); absent: for yourself
        #[arg(long, value_name = "NAME")]
        person: Option<PersonName>,
        /// How long it lives
        #[arg(long, value_name = "PERIOD", default_value = "30d")]
        expires: Period,
        /// What it is for, for people
        #[arg(long, default_value = "")]
        label: String,
    },
    /// List API tokens
    List,
    /// Make an API token worthless at once
    Revoke {
        /// Its id, as the list shows it
        #[arg(value_name = "ID")]
        id: TokenId,
    },
}

/// Does it.
pub(crate) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create(create) => join_token_create(create, output),
        Command::List => join_token_list(output),
        Command::Api { command } => match command {
            Api::Create {
                person,
                expires,
                label,
            } => {
                let wanted = ApiTokenCreate {
                    person: person.clone(),
                    expires_in: Some(expires.seconds()),
                    label: label.clone(),
                };
                api_token_create(&wanted, output)
            }
            Api::List => api_token_list(output),
            Api::Revoke { id } => api_token_revoke(*id, output),
        },
    }
}

fn join_token_create(create: &Create, output: Output) -> Result<(), Failure> {
    let made = remote::ask(async |client| {
        let element = match &create.element {
            Some(element) => Some(remote::whole_id(&client, element).await?),
            None => None,
        };
        let request = JoinTokenRequest {
            kind: create.kind,
            domain: create.domain.clone(),
            element,
            uses: create.uses,
            expires_in: create.expires.seconds(),
            label: create.label.clone(),
        };
        Ok(client.join_tokens().create(&request).await?)
    })?;
    output.print(&made, |page| page.line(&made.token))?;
    output.note(&format!(
        "It is shown this once. On the new machine: {}",
        made.command
    ));
    Ok(())
}

fn join_token_list(output: Output) -> Result<(), Failure> {
    let rows = remote::ask(async |client| Ok(client.join_tokens().list().await?))?;
    output.print(&Items { items: &rows }, |page| {
        let cells = rows
            .iter()
            .map(|row| {
                [
                    row.kind.to_string(),
                    row.domain.clone(),
                    row.uses_left.to_string(),
                    moment(row.expires),
                    row.label.clone(),
                    row.id.to_string(),
                ]
            })
            .collect();
        page.table(
            ["KIND", "DOMAIN", "USES LEFT", "EXPIRES", "LABEL", "ID"],
            cells,
            "None.",
        );
    })
}

fn api_token_create(wanted: &ApiTokenCreate, output: Output) -> Result<(), Failure> {
    let made = remote::ask(async |client| Ok(client.tokens().create(wanted).await?))?;
    output.print(&made, |page| page.line(&made.token))?;
    output.note(&format!(
        "It is shown this once, and ends {}; its id is {}.",
        moment(made.expires),
        made.id
    ));
    Ok(())
}

fn api_token_list(output: Output) -> Result<(), Failure> {
    let rows = remote::ask(async |client| Ok(client.tokens().list().await?))?;
    output.print(&Items { items: &rows }, |page| {
        let cells = rows
            .iter()
            .map(|row| {
                [
                    row.person.to_string(),
                    moment(row.expires),
                    row.label.clone(),
                    row.id.to_string(),
                ]
            })
            .collect();
        page.table(["PERSON", "EXPIRES", "LABEL", "ID"], cells, "None.");
    })
}

#[derive(Serialize)]
struct Revoked {
    revoked: TokenId,
}

fn api_token_revoke(id: TokenId, output: Output) -> Result<(), Failure> {
    remote::ask(async |client| Ok(client.tokens().delete(id).await?))?;
    output.print(&Revoked { revoked: id }, |page| {
        page.line(format!("{id} is worthless now."));
    })
}
