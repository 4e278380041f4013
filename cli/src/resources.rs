//! `gridmart resources`: what is on the shelves.

use clap::ValueEnum;
use gridmart_schemas::{api::resource::ResourceRow, role::NodeKind};
use gridmart_sdk::Client;

use crate::{
    apps,
    failure::Failure,
    output::{Output, Page, or_dash},
    remote,
    size::Size,
};

/// Which kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Computing Elements
    Ce,
    /// Compute Hosts
    Chost,
    /// Storage Elements
    Se,
    /// Storage Hosts
    Shost,
    /// Data Elements
    De,
    /// Data Hosts
    Dhost,
    /// Applications
    Ae,
    /// Hosts of every kind
    Host,
}

/// List Elements and Hosts, or one kind of resource.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which kind; absent: Elements and Hosts
    kind: Option<Kind>,
    /// Print each description as an XML document of its own
    #[arg(long, conflicts_with = "json")]
    xml: bool,
}

/// Lists resources.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let kind = match arguments.kind {
        Some(Kind::Ae) if arguments.xml => {
            return Err(Failure::Usage("applications are described by the AEDoc.xml in their packages; --xml shows Elements and Hosts".to_owned()));
        }
        Some(Kind::Ae) => return apps::list(output),
        Some(Kind::Ce) => Some(NodeKind::ComputingElement),
        Some(Kind::Chost) => Some(NodeKind::ComputeHost),
        Some(Kind::Se) => Some(NodeKind::StorageElement),
        Some(Kind::Shost) => Some(NodeKind::StorageHost),
        Some(Kind::De) => Some(NodeKind::DataElement),
        Some(Kind::Dhost) => Some(NodeKind::DataHost),
        Some(Kind::Host) | None => None,
    };
    let mut rows = remote::ask(async |client| Ok(client.resources().list(kind).await?))?;
    if arguments.kind == Some(Kind::Host) {
        rows.retain(|row| row.kind.is_host());
    }
    if arguments.xml {
        let documents = remote::ask(async |client| documents(&client, &rows).await)?;
        return output.write(documents.concat().as_bytes());
    }
    output.print(&Items { items: &rows }, |page| table(page, &rows))
}

/// A whole listing.
#[derive(serde::Serialize)]
pub(crate) struct Items<'a, T> {
    /// The rows.
    pub(crate) items: &'a [T],
}

async fn documents(client: &Client, rows: &[ResourceRow]) -> Result<Vec<String>, Failure> {
    let mut documents = Vec::new();
    for row in rows {
        let view = client.resources().get(&row.id.to_string()).await?;
        documents.push(view.description.to_xml());
    }
    Ok(documents)
}

fn table(page: &mut Page, rows: &[ResourceRow]) {
    let cells = rows
        .iter()
        .map(|row| {
            [
                row.kind.to_string(),
                row.name.clone(),
                row.domain.clone(),
                serving(row),
                if row.connected {
                    row.health_state.clone()
                } else {
                    "away".to_owned()
                },
                free(row),
                or_dash(row.running_jobs),
                or_dash(row.age_seconds.map(|age| format!("{age}s"))),
                row.id.to_string(),
            ]
        })
        .collect();
    let header = [
        "KIND", "NAME", "DOMAIN", "SERVING", "HEALTH", "FREE", "RUNNING", "AGE", "ID",
    ];
    page.table(
        header,
        cells,
        "Nothing has joined yet: make a token with `gridmart token create`.",
    );
}

/// Shows what it is, and what it shall become where that differs.
pub(crate) fn serving(row: &ResourceRow) -> String {
    if row.pending {
        format!("{} → {} (pending)", row.serving_state, row.desired)
    } else {
        row.serving_state.clone()
    }
}

/// Shows what is free of how much: slots, or bytes of storage.
pub(crate) fn free(row: &ResourceRow) -> String {
    if let (Some(free), Some(total)) = (row.free_bytes, row.total_bytes) {
        return format!("{} of {}", Size::from_bytes(free), Size::from_bytes(total));
    }
    match (row.free_slots, row.total_slots) {
        (None, None) => "-".to_owned(),
        (free, total) => format!("{} of {} slots", or_dash(free), or_dash(total)),
    }
}
