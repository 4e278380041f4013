//! `gridmart rm`.

use serde::Serialize;

use super::{Place, Where};
use crate::{failure::Failure, output::Output, remote};

/// Delete objects.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which ones
    #[arg(value_name = "BUCKET/KEY", required = true)]
    places: Vec<Place>,
    /// Delete all objects in a folder: those whose keys begin with KEY/
    #[arg(long, short)]
    recursive: bool,
    #[command(flatten)]
    at: Where,
}

#[derive(Default, Serialize)]
struct Removed {
    deleted: Vec<String>,
}

/// Deletes them.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    if !arguments.recursive {
        for place in &arguments.places {
            place.whole()?;
        }
    }
    let mut removed = Removed::default();
    let done = remote::ask(async |client| {
        let storage = client.storage();
        for place in &arguments.places {
            let bucket = arguments.at.bucket(&place.bucket);
            if !arguments.recursive {
                // One that is not there is told, where S3 says nothing.
                storage.stat(&bucket, &place.key).await?;
                storage.delete(&bucket, &place.key).await?;
                removed.deleted.push(place.show());
                continue;
            }
            let mut pages = storage.list(&bucket).prefix(place.prefix());
            while let Some(page) = pages.next().await? {
                for object in page.objects {
                    storage.delete(&bucket, &object.key).await?;
                    removed
                        .deleted
                        .push(format!("{}/{}", place.bucket, object.key));
                }
            }
        }
        Ok(())
    });
    if done.is_ok() || !removed.deleted.is_empty() {
        output.print(&removed, |page| {
            for name in &removed.deleted {
                page.line(format!("{name} is deleted."));
            }
        })?;
    }
    done
}
