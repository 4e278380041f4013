//! `gridmart upload DIR`.

use std::path::PathBuf;

use gridmart_sdk::UploadProgress;

use crate::{failure::Failure, output::Output, progress::Progress, remote, size::Size};

/// Put the application in a folder on the shelf.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Folder with AEDoc.xml at its top
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Uploads it.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let progress = Progress::bytes(output, "uploading");
    let bar = progress.clone();
    let done = remote::ask(async move |client| {
        let show =
            move |state: UploadProgress| bar.set(state.sent, Some(state.total), String::new());
        Ok(client.apps().upload(&arguments.folder, show).await?)
    });
    progress.clear();
    let done = done?;
    let view = &done.application;
    output.print(&done, |page| {
        let what = if done.created {
            "is on the shelf"
        } else {
            "was on the shelf already"
        };
        page.line(format!(
            "{} {} {what} ({}, {})",
            view.name,
            view.version,
            Size::from_bytes(view.size),
            view.digest
        ));
    })?;
    output.note(&format!(
        "next: gridmart call {}@{}",
        view.name, view.version
    ));
    Ok(())
}
