//! `gridmart nodes`: the certificates of nodes.

use gridmart_schemas::api::join_token::NodeRow;

use crate::{
    failure::Failure,
    output::{Output, Page, moment},
    remote,
    resources::Items,
};

/// What to do with nodes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List all nodes that ever joined, with their certificates
    List,
    /// Refuse a node's certificate everywhere, at once and for good
    Revoke {
        /// Name or id (its beginning is enough)
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// Does it.
pub(crate) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::List => {
            let rows = remote::ask(async |client| Ok(client.nodes().list().await?))?;
            output.print(&Items { items: &rows }, |page| table(page, &rows))
        }
        Command::Revoke { id } => {
            let row = remote::ask(async |client| {
                let rows = client.nodes().list().await?;
                Ok(client.nodes().revoke(pick(&rows, id)?).await?)
            })?;
            output.print(&row, |page| table(page, std::slice::from_ref(&row)))
        }
    }
}

fn pick(rows: &[NodeRow], text: &str) -> Result<gridmart_schemas::id::NodeId, Failure> {
    use gridmart_schemas::problem::{Code, Problem};
    let named: Vec<_> = rows
        .iter()
        .filter(|row| row.name == text && !row.revoked)
        .collect();
    let found = if named.is_empty() {
        rows.iter()
            .filter(|row| row.id.to_string().starts_with(text))
            .collect()
    } else {
        named
    };
    match found.as_slice() {
        [row] => Ok(row.id),
        [] => Err(Problem::new(
            Code::NotFound,
            format!("no node is called {text:?}; `gridmart nodes list` shows them"),
        )
        .into()),
        several => {
            let ids: Vec<String> = several.iter().map(|row| row.id.to_string()).collect();
            Err(Problem::new(
                Code::InvalidRequest,
                format!("{text:?} means several nodes: {}", ids.join(", ")),
            )
            .into())
        }
    }
}

fn table(page: &mut Page, rows: &[NodeRow]) {
    let cells = rows
        .iter()
        .map(|row| {
            [
                row.kind.to_string(),
                row.name.clone(),
                row.domain.clone(),
                if row.revoked {
                    "revoked".to_owned()
                } else {
                    moment(row.not_after)
                },
                row.id.to_string(),
            ]
        })
        .collect();
    page.table(
        ["KIND", "NAME", "DOMAIN", "VALID UNTIL", "ID"],
        cells,
        "No node has joined yet.",
    );
}
