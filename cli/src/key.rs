//! `gridmart key`: access keys, with which programs speak S3 or PostgreSQL's protocol.

use gridmart_schemas::api::access_key::{AccessKeyCreate, AccessKeyMade};
use serde::Serialize;

use crate::{
    failure::Failure,
    output::{Output, moment},
    remote,
};

/// What to do with access keys.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make an access key for yourself
    Create {
        /// Storage or Data Element that is to know it [default: the only Storage Element]
        #[arg(long, value_name = "ID")]
        element: Option<String>,
        /// What it is for, for people
        #[arg(long, default_value = "")]
        label: String,
    },
    /// List your access keys
    List {
        /// Of this Element only
        #[arg(long, value_name = "ID")]
        element: Option<String>,
    },
    /// Make an access key worthless at once
    Delete {
        /// Its id, as the list shows it
        #[arg(value_name = "KEY")]
        id: String,
        /// Element that knows it [default: whichever does]
        #[arg(long, value_name = "ID")]
        element: Option<String>,
    },
}

/// Does it.
pub(crate) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create { element, label } => create(element.as_deref(), label, output),
        Command::List { element } => list(element.as_deref(), output),
        Command::Delete { id, element } => delete(id, element.as_deref(), output),
    }
}

fn create(element: Option<&str>, label: &str, output: Output) -> Result<(), Failure> {
    let wanted = AccessKeyCreate {
        label: label.to_owned(),
    };
    let made =
        remote::ask(async |client| Ok(client.access_keys().create(element, &wanted).await?))?;
    output.print(&made, |page| {
        for (name, value) in variables(&made, None) {
            page.line(format!("{name}={value}"));
        }
    })?;
    output.note("The secret is shown this once.");
    Ok(())
}

/// The scheme of the endpoint of a key for PostgreSQL's protocol.
const POSTGRES: &str = "postgresql://";

/// The variables by which clients take a key; `endpoint`: where its door is by now, if
/// that is known better.
pub(crate) fn variables(
    made: &AccessKeyMade,
    endpoint: Option<&str>,
) -> Vec<(&'static str, String)> {
    let endpoint = endpoint.unwrap_or(&made.endpoint);
    let Some(door) = endpoint.strip_prefix(POSTGRES) else {
        return vec![
            ("AWS_ACCESS_KEY_ID", made.id.clone()),
            ("AWS_SECRET_ACCESS_KEY", made.secret.clone()),
            ("AWS_ENDPOINT_URL", endpoint.to_owned()),
            ("AWS_REGION", made.region.clone()),
        ];
    };
    let (host, port) = door.rsplit_once(':').unwrap_or((door, "5432"));
    vec![
        ("PGHOST", host.trim_matches(['[', ']']).to_owned()),
        ("PGPORT", port.to_owned()),
        ("PGUSER", made.id.clone()),
        ("PGPASSWORD", made.secret.clone()),
    ]
}

fn list(element: Option<&str>, output: Output) -> Result<(), Failure> {
    let listed = remote::ask(async |client| Ok(client.access_keys().list(element).await?))?;
    output.print(&listed, |page| {
        let cells = listed.keys.iter().map(|view| {
            [
                view.key.id.clone(),
                view.element_name.clone(),
                moment(view.key.created.to_offset_date_time()),
                view.key.label.clone(),
            ]
        });
        page.table(
            ["KEY", "ELEMENT", "CREATED", "LABEL"],
            cells.collect(),
            "None.",
        );
    })?;
    if !listed.silent.is_empty() {
        output.note(&format!(
            "These did not answer: {}.",
            listed.silent.join(", ")
        ));
    }
    Ok(())
}

#[derive(Serialize)]
struct Deleted<'a> {
    deleted: &'a str,
}

fn delete(id: &str, element: Option<&str>, output: Output) -> Result<(), Failure> {
    remote::ask(async |client| Ok(client.access_keys().delete(id, element).await?))?;
    output.print(&Deleted { deleted: id }, |page| {
        page.line(format!("{id} is worthless now."));
    })
}
