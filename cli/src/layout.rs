//! `gridmart layout`: which Hosts of a Storage Element keep blocks.

use gridmart_schemas::{
    api::layout::LayoutRequest,
    role::NodeKind,
    wire::layout::{Layout, LayoutPlace, LayoutPlan, LayoutProgress, LayoutTold},
};
use gridmart_sdk::Client;

use crate::{
    failure::Failure,
    output::{Output, Page},
    remote,
    size::Size,
};

/// What to do with a layout.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show which Hosts keep blocks, what is staged, and how far what is applied has come
    Show(Element),
    /// Stage a change, in place of what was staged, and show what it would do
    Stage {
        /// A Host that is to go: its blocks are copied to others first; may be repeated
        #[arg(long, value_name = "HOST", required_unless_present = "rebalance")]
        drain: Vec<String>,
        /// Move blocks from fuller Hosts to emptier ones
        #[arg(long)]
        rebalance: bool,
        #[command(flatten)]
        element: Element,
    },
    /// Begin with what is staged
    Apply(Element),
    /// Take back what is staged; if nothing is, what is being done
    Revert(Element),
}

/// Whose layout.
#[derive(Debug, clap::Args)]
pub(crate) struct Element {
    /// Name or id of the Storage Element [default: the only one]
    #[arg(long, value_name = "ID")]
    element: Option<String>,
}

/// Does it.
pub(crate) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    let told = remote::ask(async |client| order(&client, command).await)?;
    output.print(&told, |page| show(page, &told))?;
    if matches!(command, Command::Stage { .. }) {
        output.note("next: `gridmart layout apply`, or `gridmart layout revert`");
    }
    Ok(())
}

async fn order(client: &Client, command: &Command) -> Result<LayoutTold, Failure> {
    let (Command::Show(element)
    | Command::Apply(element)
    | Command::Revert(element)
    | Command::Stage { element, .. }) = command;
    let id = element_of(client, element).await?;
    let resources = client.resources();
    Ok(match command {
        Command::Show(_) => resources.layout(&id).await?,
        Command::Apply(_) => resources.layout_apply(&id).await?,
        Command::Revert(_) => resources.layout_revert(&id).await?,
        Command::Stage {
            drain, rebalance, ..
        } => {
            let wanted = LayoutRequest {
                drain: drain.clone(),
                rebalance: *rebalance,
            };
            resources.layout_stage(&id, &wanted).await?
        }
    })
}

async fn element_of(client: &Client, element: &Element) -> Result<String, Failure> {
    if let Some(element) = &element.element {
        return remote::whole_id(client, element).await;
    }
    let kind = Some(NodeKind::StorageElement);
    let rows = client.resources().list(kind).await?;
    match rows.as_slice() {
        [one] => Ok(one.id.to_string()),
        [] => Err(Failure::Usage("there is no Storage Element".to_owned())),
        _ => Err(Failure::Usage(
            "there are several Storage Elements: name one with --element".to_owned(),
        )),
    }
}

fn show(page: &mut Page, told: &LayoutTold) {
    let rows = told.hosts.iter().map(|host| {
        let place = match host.place {
            LayoutPlace::Kept => "keeps blocks",
            LayoutPlace::Draining => "draining",
            LayoutPlace::Removed => "removed",
        };
        [
            host.name.clone(),
            place.to_owned(),
            host.blocks.to_string(),
            Size::from_bytes(host.used).to_string(),
            Size::from_bytes(host.free).to_string(),
            host.host.to_string(),
        ]
    });
    let columns = ["HOST", "PLACE", "BLOCKS", "USED", "FREE", "ID"];
    page.table(columns, rows.collect(), "No Host keeps blocks yet.");
    if let Some(plan) = &told.staged {
        staged(page, plan, told);
    }
    if let Some(progress) = &told.applied {
        applied(page, progress, told);
    }
}

fn staged(page: &mut Page, plan: &LayoutPlan, told: &LayoutTold) {
    page.heading("Staged");
    page.field("change", words(&plan.layout, told));
    page.field("blocks", plan.blocks.to_string());
    page.field("to move", Size::from_bytes(plan.bytes).to_string());
    page.field("takes", format!("{} s at the repair rate", plan.seconds));
    page.field("on the way", &plan.redundancy);
    if let Some(stuck) = &plan.stuck {
        page.field("stuck", stuck);
    }
}

/// What is being done, for people.
pub(crate) fn applied(page: &mut Page, progress: &LayoutProgress, told: &LayoutTold) {
    page.heading("Being applied");
    page.field("change", words(&progress.layout, told));
    page.field("left", format!("{} blocks", progress.blocks_left));
    page.field("to move", Size::from_bytes(progress.bytes_left).to_string());
    if let Some(waits) = &progress.waits {
        page.field("waits", waits);
    }
}

fn words(layout: &Layout, told: &LayoutTold) -> String {
    let name = |id: &gridmart_schemas::id::NodeId| {
        let host = told.hosts.iter().find(|host| host.host == *id);
        host.map_or_else(|| id.to_string(), |host| host.name.clone())
    };
    let mut words: Vec<String> = layout
        .drain
        .iter()
        .map(|host| format!("drain {}", name(host)))
        .collect();
    if layout.rebalance {
        words.push("rebalance".to_owned());
    }
    words.join(", ")
}
