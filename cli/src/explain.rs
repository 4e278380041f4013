//! `gridmart explain`: why here, why not there, why refused, why waiting.

use gridmart_schemas::api::explain::{Explanation, Verdict};

use crate::{
    failure::Failure,
    output::{Output, Page},
    remote,
};

/// Tell why something was chosen, refused or has to wait.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Id of a request, call, map, lease or Host; `last` is the last call, map or refusal on this machine
    #[arg(value_name = "ID|last")]
    id: String,
}

/// Explains it.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let id = if arguments.id == "last" {
        remote::last()?
    } else {
        arguments.id.clone()
    };
    let explanation = remote::ask(async |client| {
        let id = remote::whole_id(&client, &id).await?;
        Ok(client.explanations().get(&id).await?)
    })?;
    output.print(&explanation, |text| page(text, &explanation))
}

/// Fills a page with the reasons.
pub(crate) fn page(page: &mut Page, explanation: &Explanation) {
    page.line(&explanation.question);
    page.line(&explanation.outcome);
    for candidate in &explanation.candidates {
        let verdict = match candidate.verdict {
            Verdict::Chosen => "chosen",
            Verdict::Eligible => "would do as well",
            Verdict::Unfit => "does not fit",
        };
        page.heading(&format!("{} ({}): {verdict}", candidate.name, candidate.id));
        let rows = candidate
            .checks
            .iter()
            .map(|check| {
                let met = if check.met { "yes" } else { "NO" };
                [
                    format!("  {}", check.name),
                    met.to_owned(),
                    check.needed.clone(),
                    check.found.clone(),
                ]
            })
            .collect();
        page.table(
            ["  CHECK", "MET", "NEEDED", "FOUND"],
            rows,
            "  Nothing was checked.",
        );
    }
}
