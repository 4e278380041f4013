//! `gridmart cp` and `gridmart mv`: within and between buckets.

use gridmart_sdk::Storage;
use serde::Serialize;

use super::{Place, Where, name_of};
use crate::{failure::Failure, output::Output, remote};

/// Copy an object to another key or bucket.
#[derive(Debug, clap::Args)]
#[command(after_help = "Files are brought with `gridmart put`, `get` and `sync`.")]
pub(crate) struct Arguments {
    /// Which one
    #[arg(value_name = "BUCKET/KEY")]
    source: Place,
    /// Where to; its name is added where KEY is left out, or ends with `/`
    #[arg(value_name = "BUCKET/KEY")]
    target: Place,
    /// All objects in a folder: those whose keys begin with KEY/
    #[arg(long, short)]
    recursive: bool,
    #[command(flatten)]
    at: Where,
}

/// Whether what was copied is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It stays.
    Keep,
    /// It is deleted.
    Delete,
}

#[derive(Serialize)]
struct Copied {
    copied: Vec<Pair>,
}

#[derive(Serialize)]
struct Pair {
    from: String,
    to: String,
}

/// Copies, or moves.
pub(crate) fn run(arguments: &Arguments, then: Then, output: Output) -> Result<(), Failure> {
    let Arguments {
        source,
        target,
        recursive,
        at,
    } = arguments;
    let (from, to) = (at.bucket(&source.bucket), at.bucket(&target.bucket));
    let prefix = source.prefix();
    let whole = if *recursive { "" } else { source.whole()? };
    let mut copied = Copied { copied: Vec::new() };
    let done = remote::ask(async |client| {
        let storage = client.storage();
        let keys = keys(&storage, arguments, &from, &prefix, whole).await?;
        for (key, new) in keys {
            if (&from, &key) == (&to, &new) {
                return Err(Failure::Usage(format!("{}/{key} is both", source.bucket)));
            }
            storage.copy((&from, &key), (&to, &new)).await?;
            if then == Then::Delete {
                storage.delete(&from, &key).await?;
            }
            copied.copied.push(Pair {
                from: format!("{}/{key}", source.bucket),
                to: format!("{}/{new}", target.bucket),
            });
        }
        Ok(())
    });
    if done.is_ok() || !copied.copied.is_empty() {
        output.print(&copied, |page| {
            let what = match then {
                Then::Keep => "is copied to",
                Then::Delete => "is now",
            };
            for Pair { from, to } in &copied.copied {
                page.line(format!("{from} {what} {to}."));
            }
        })?;
    }
    done
}

/// What is copied, and to which keys. All are known before the first is copied:
/// copies into the folder itself are not copied again.
async fn keys(
    storage: &Storage,
    arguments: &Arguments,
    from: &str,
    prefix: &str,
    whole: &str,
) -> Result<Vec<(String, String)>, Failure> {
    if !arguments.recursive {
        let new = arguments.target.key_of(name_of(whole))?;
        return Ok(vec![(whole.to_owned(), new)]);
    }
    let objects = storage.list(from).prefix(prefix).all().await?;
    let below = arguments.target.prefix();
    let new = |key: &str| format!("{below}{}", key.strip_prefix(prefix).unwrap_or(key));
    Ok(objects
        .into_iter()
        .map(|object| (object.key.clone(), new(&object.key)))
        .collect())
}
