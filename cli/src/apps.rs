//! `gridmart apps`, `versions` and `promote`: applications on the shelf.

use gridmart_schemas::{api::application::ApplicationView, role::Desired};

use crate::{
    failure::Failure,
    output::{Output, Page, moment},
    remote,
    resources::Items,
    size::Size,
};

/// List the applications on the shelf.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// List the versions of one application.
#[derive(Debug, clap::Args)]
pub(crate) struct Versions {
    /// Its name
    #[arg(value_name = "APP")]
    name: String,
}

/// Make a version the default: the one that is called where none is named.
#[derive(Debug, clap::Args)]
pub(crate) struct Promote {
    /// Its name
    #[arg(value_name = "APP")]
    name: String,
    /// The version, as `gridmart versions APP` lists it; an older one goes back to it
    #[arg(value_name = "VERSION")]
    version: String,
}

/// Lists all applications.
pub(crate) fn run(_: &Arguments, output: Output) -> Result<(), Failure> {
    list(output)
}

/// Lists all applications.
pub(crate) fn list(output: Output) -> Result<(), Failure> {
    let rows = remote::ask(async |client| Ok(client.apps().list().await?))?;
    output.print(&Items { items: &rows }, |page| table(page, &rows))
}

/// Lists the versions of one.
pub(crate) fn versions(arguments: &Versions, output: Output) -> Result<(), Failure> {
    let rows = remote::ask(async |client| Ok(client.apps().versions(&arguments.name).await?))?;
    output.print(&Items { items: &rows }, |page| table(page, &rows))
}

/// Makes a version the default.
pub(crate) fn promote(arguments: &Promote, output: Output) -> Result<(), Failure> {
    let Promote { name, version } = arguments;
    let view = remote::ask(async |client| Ok(client.apps().promote(name, version).await?))?;
    output.print(&view, |page| {
        page.line(format!(
            "{} {} is the default: it is called where no version is named.",
            view.name, view.version
        ));
    })
}

fn table(page: &mut Page, rows: &[ApplicationView]) {
    let cells = rows
        .iter()
        .map(|row| {
            [
                row.name.clone(),
                row.version.clone(),
                if row.default {
                    "default".to_owned()
                } else {
                    String::new()
                },
                row.kind.clone(),
                wished(row),
                row.owner.to_string(),
                Size::from_bytes(row.size).to_string(),
                row.description.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let header = [
        "NAME",
        "VERSION",
        "",
        "KIND",
        "WISH",
        "OWNER",
        "SIZE",
        "DESCRIPTION",
    ];
    page.table(header, cells, "No application yet: `gridmart init DIR` makes an example, `gridmart upload DIR` puts it here.");
}

fn wished(row: &ApplicationView) -> String {
    match row.wish.desired {
        Desired::Production => "production".to_owned(),
        Desired::Closed => "closed".to_owned(),
    }
}

/// Shows one version in full.
pub(crate) fn details(page: &mut Page, view: &ApplicationView) {
    page.heading(&format!("{} {}", view.name, view.version));
    page.field("kind", &view.kind);
    if let Some(description) = &view.description {
        page.field("description", description);
    }
    page.field("wish", wished(view));
    page.field("default", if view.default { "yes" } else { "no" });
    page.field("owner", view.owner.as_str());
    page.field("uploaded", moment(view.uploaded));
    page.field("size", Size::from_bytes(view.size).to_string());
    page.field("digest", view.digest.as_str());
    if !view.capabilities.is_empty() {
        page.field("capabilities", view.capabilities.join(", "));
    }
    let rows = view
        .deployments
        .iter()
        .map(|at| {
            [
                at.name.clone(),
                at.state.clone(),
                at.reason.clone().unwrap_or_default(),
            ]
        })
        .collect();
    page.heading("Where it stands");
    page.table(
        ["NODE", "STATE", "REASON"],
        rows,
        "Nowhere yet: it is brought to a Host with its first call.",
    );
}
