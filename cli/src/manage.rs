//! `start`, `stop`, `kill`: recorded as what should be, applied by the nodes.

use gridmart_sdk::Command;

use crate::{failure::Failure, output::Output, remote};

/// What a command is given on.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Element or Host by name or id (its beginning is enough), application NAME[@VERSION]; kill also takes the id of a call, a map, a transfer or an SQL session
    #[arg(value_name = "ID")]
    id: String,
    /// Only on this Host (applications)
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
}

/// Gives the command.
pub(crate) fn run(command: Command, arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let view = remote::ask(async |client| {
        let id = remote::whole_id(&client, &arguments.id).await?;
        let host = match &arguments.host {
            Some(host) => Some(remote::whole_id(&client, host).await?),
            None => None,
        };
        Ok(client
            .commands()
            .give_any(command, &id, host.as_deref())
            .await?)
    })?;
    output.print(&view, |page| {
        page.line(format!("{} {}: {}", view.command, view.target, view.status));
        if let Some(ended) = view.ended {
            page.line(format!("ended: {ended}"));
        }
        if !view.waiting_for.is_empty() {
            page.line(format!(
                "applied when they are back or have done it: {}",
                view.waiting_for.join(", ")
            ));
        }
    })
}
