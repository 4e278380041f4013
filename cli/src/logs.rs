//! `gridmart logs APP`: what an application printed to stderr.

use std::collections::BTreeMap;

use gridmart_schemas::{id::NodeId, wire::element_host::LogLine};
use gridmart_sdk::LogPiece;
use serde::Serialize;

use crate::{
    failure::Failure,
    output::{Output, moment},
    remote,
};

/// Show what an application printed to stderr, on all Hosts.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// NAME or NAME@VERSION
    #[arg(value_name = "APP")]
    application: String,
    /// Go on with what it prints from now on
    #[arg(long, short)]
    follow: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    host: NodeId,
    #[serde(flatten)]
    line: &'a LogLine,
}

/// Shows the logs.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    remote::ask(async move |client| {
        let rows = client.resources().list(None).await?;
        let names = rows.into_iter().map(|row| (row.id, row.name)).collect();
        let mut tail = client.apps().logs(&arguments.application, arguments.follow);
        while let Some(piece) = tail.next().await? {
            print(&piece, &names, output)?;
        }
        Ok(())
    })
}

fn print(
    piece: &LogPiece,
    names: &BTreeMap<NodeId, String>,
    output: Output,
) -> Result<(), Failure> {
    if output.json() {
        for line in &piece.lines {
            output.json_line(&Line {
                host: piece.host,
                line,
            })?;
        }
        return Ok(());
    }
    let host = names
        .get(&piece.host)
        .cloned()
        .unwrap_or_else(|| piece.host.to_string());
    output.page(|page| {
        if piece.gap {
            page.line(format!("{host}: older lines were dropped here"));
        }
        for line in &piece.lines {
            page.line(format!(
                "{} {host} {} {}",
                moment(line.time),
                line.call,
                line.text
            ));
        }
    })
}
