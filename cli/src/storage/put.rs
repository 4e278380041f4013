//! `gridmart put SRC BUCKET/KEY`.

use std::path::{Path, PathBuf};

use gridmart_schemas::wire::storage::ObjectCommitted;
use gridmart_sdk::{PutBuilder, Storage, TransferProgress};
use serde::Serialize;

use super::{Place, Where};
use crate::{failure::Failure, output::Output, progress::Progress, remote, size::Size};

/// Put a file, or what comes on stdin, into a bucket.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A long file whose put was broken off is gone on with by the same command and --resume."
)]
pub(crate) struct Arguments {
    /// File (`-`: stdin)
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// Where to; the file's name is added where KEY is left out, or ends with `/`
    #[arg(value_name = "BUCKET/KEY")]
    target: Place,
    /// What readers are told of its form, as image/jpeg
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// A value of your own
    #[arg(long, value_name = "NAME=VALUE", value_parser = crate::call::variable)]
    metadata: Vec<(String, String)>,
    /// Only if there is no object of the key
    #[arg(long)]
    if_absent: bool,
    /// Go on with a put of the same file that was broken off
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    at: Where,
}

/// What was put.
#[derive(Serialize)]
struct Put {
    bucket: String,
    key: String,
    bytes: u64,
    #[serde(flatten)]
    committed: ObjectCommitted,
}

/// Puts it.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let is_stdin = arguments.source == Path::new("-");
    let name = arguments.source.file_name().and_then(|name| name.to_str());
    let key = arguments.target.key_of(name.filter(|_| !is_stdin))?;
    let bucket = arguments.at.bucket(&arguments.target.bucket);
    let progress = Progress::transfer(output, "putting");
    let bar = progress.clone();
    let sum = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = std::sync::Arc::clone(&sum);
    let put = remote::ask(async |client| {
        let put = described(&client.storage(), arguments, &bucket, &key);
        let put = put.on_progress(move |state: TransferProgress| {
            counted.fetch_max(state.done, std::sync::atomic::Ordering::Relaxed);
            bar.set(state.done, state.total, String::new());
        });
        Ok(if is_stdin {
            put.reader(tokio::io::stdin(), None).await?
        } else {
            put.file(&arguments.source).await?
        })
    });
    progress.clear();
    let committed = put.inspect_err(|_| hint(arguments, &bucket, &key, output))?;
    let put = Put {
        bucket,
        key,
        bytes: sum.load(std::sync::atomic::Ordering::Relaxed),
        committed,
    };
    output.print(&put, |page| {
        let size = Size::from_bytes(put.bytes);
        page.line(format!("{}/{} is there ({size}).", put.bucket, put.key));
    })
}

fn described(storage: &Storage, arguments: &Arguments, bucket: &str, key: &str) -> PutBuilder {
    let mut put = storage.put(bucket, key);
    if let Some(kind) = &arguments.content_type {
        put = put.header("content-type", kind);
    }
    for (name, value) in &arguments.metadata {
        put = put.metadata(name, value);
    }
    if arguments.if_absent {
        put = put.if_absent();
    }
    if arguments.resume {
        put = put.resume();
    }
    put
}

/// Says that parts of it are there already, if they are.
fn hint(arguments: &Arguments, bucket: &str, key: &str, output: Output) {
    let left = remote::here(async |client| Ok(client.storage().uploads().await?));
    let is_this =
        |upload: &gridmart_sdk::BrokenUpload| upload.bucket == bucket && upload.key == key;
    if left.is_ok_and(|uploads| uploads.iter().any(is_this)) {
        output.note(&format!(
            "next: gridmart put --resume {} {}/{key} goes on with what is there",
            arguments.source.display(),
            arguments.target.bucket
        ));
    }
}
