//! `gridmart audit`: who did what.

use crate::{
    failure::Failure,
    output::{Output, moment},
    remote,
};

/// Show the audit log: who did what to what, with which result.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Read on from here: `next` of an earlier page
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// How many rows
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
}

/// Shows it.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let rows = remote::ask(async |client| {
        Ok(client
            .audit()
            .page(arguments.after.clone(), Some(arguments.limit))
            .await?)
    })?;
    output.print(&rows, |page| {
        let cells = rows
            .items
            .iter()
            .map(|row| {
                [
                    row.sequence.to_string(),
                    moment(row.time),
                    row.actor.clone(),
                    row.action.clone(),
                    row.target.clone(),
                    row.result.clone(),
                    row.detail.clone(),
                ]
            })
            .collect();
        page.table(
            ["#", "TIME", "WHO", "WHAT", "ON", "RESULT", "DETAIL"],
            cells,
            "Nothing yet.",
        );
        if let Some(next) = &rows.next {
            page.line(format!("more: gridmart audit --after {next}"));
        }
    })
}
