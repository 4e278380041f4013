//! `gridmart sync`: a folder and the objects below a prefix, one as the other.

mod carry;
mod local;
mod plan;

use std::path::{Path, PathBuf};

use gridmart_sdk::{Client, Storage};
use serde::Serialize;

use self::{
    carry::Carrier,
    plan::{Changed, Compare, Entry, Plan, Side, plan},
};
use super::{Place, Where};
use crate::{failure::Failure, output::Output, progress::Progress, remote, size::Size};

/// Metadata of an object: when its file was changed, in seconds since 1970.
const TIME: &str = "mtime";
/// Metadata of an object: the BLAKE3 of its content, in hex.
const HASH: &str = "blake3";

/// Make the objects below a prefix as the files of a folder, or the other way.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "SRC is made DST: one is a folder, one BUCKET/PREFIX. A folder that is not there yet, or is named like a bucket, is written ./DIR. Files are the same if their size and time are. Links are left out."
)]
pub(crate) struct Arguments {
    /// Folder, or BUCKET/PREFIX
    #[arg(value_name = "SRC")]
    source: String,
    /// BUCKET/PREFIX, or folder
    #[arg(value_name = "DST")]
    target: String,
    /// Compare contents instead of times; objects that were put without --checksum are put anew
    #[arg(long)]
    checksum: bool,
    /// Delete at DST what is not at SRC
    #[arg(long)]
    delete: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    at: Where,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// From the folder to the bucket.
    Up,
    /// From the bucket to the folder.
    Down,
}

/// What was done, or would be.
#[derive(Default, Serialize)]
struct Report {
    dry_run: bool,
    carried: Vec<String>,
    bytes: u64,
    deleted: Vec<String>,
    unchanged: u64,
    /// What is no file, or has no name on the other side.
    left_out: Vec<String>,
    failed: Vec<String>,
}

/// Does it.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let (way, folder, place) = sides(&arguments.source, &arguments.target)?;
    let progress = Progress::transfer(output, "syncing");
    let bar = progress.clone();
    let done = remote::ask(async |client: Client| {
        let carrier = Carrier {
            storage: client.storage(),
            bucket: arguments.at.bucket(&place.bucket),
            prefix: place.prefix(),
            folder: folder.clone(),
            way,
            hashed: arguments.checksum,
        };
        synced(arguments, carrier, &bar).await
    });
    progress.clear();
    let (report, failure) = done?;
    for name in &report.left_out {
        output.note(&format!(
            "{name} is left out: it is no file, or can be none"
        ));
    }
    for line in &report.failed {
        output.note(line);
    }
    output.print(&report, |page| {
        let (carried, deleted) = if report.dry_run {
            ("would be carried", "would be deleted")
        } else {
            ("carried", "deleted")
        };
        if report.dry_run {
            for name in &report.carried {
                page.line(format!("{name} would be carried"));
            }
            for name in &report.deleted {
                page.line(format!("{name} would be deleted"));
            }
        }
        page.line(format!(
            "{} files ({}) {carried}, {} {deleted}, {} as they were.",
            report.carried.len(),
            Size::from_bytes(report.bytes),
            report.deleted.len(),
            report.unchanged
        ));
    })?;
    failure.map_or(Ok(()), Err)
}

async fn synced(
    arguments: &Arguments,
    carrier: Carrier,
    bar: &Progress,
) -> Result<(Report, Option<Failure>), Failure> {
    let mut report = Report {
        dry_run: arguments.dry_run,
        ..Report::default()
    };
    let objects = objects(&carrier.storage, &carrier.bucket, &carrier.prefix).await?;
    let files = files(&carrier, arguments, &objects, &mut report.left_out).await?;
    let (source, target) = match carrier.way {
        Way::Up => (files, objects),
        Way::Down => (
            nameable(&carrier.folder, objects, &mut report.left_out),
            files,
        ),
    };
    let compare = if arguments.checksum {
        Compare::Checksum
    } else {
        Compare::Time
    };
    let Plan {
        carried,
        removed,
        unchanged,
    } = plan(&source, &target, compare, arguments.delete);
    report.unchanged = unchanged;
    if arguments.dry_run {
        report.bytes = carried.iter().map(|(_, bytes)| bytes).sum();
        report.carried = carried.into_iter().map(|(name, _)| name).collect();
        report.deleted = removed;
        return Ok((report, None));
    }
    let failure = carrier
        .carry_out(&source, carried, removed, bar, &mut report)
        .await;
    Ok((report, failure))
}

/// Tells which is the folder, and which the bucket.
fn sides(source: &str, target: &str) -> Result<(Way, PathBuf, Place), Failure> {
    let is_path = |text: &str| text.starts_with(['/', '.']) || text.is_empty();
    let place = |text: &str| text.parse::<Place>().map_err(Failure::Usage);
    match (is_path(source), is_path(target)) {
        (true, true) => Err(Failure::Usage(
            "one of the two is BUCKET/PREFIX; between folders use cp or rsync".to_owned(),
        )),
        (false, true) => Ok((Way::Down, target.into(), place(source)?)),
        (true, false) => up(Path::new(source), place(target)?),
        (false, false) if Path::new(source).is_dir() => up(Path::new(source), place(target)?),
        (false, false) if Path::new(target).is_dir() => {
            Ok((Way::Down, target.into(), place(source)?))
        }
        (false, false) => Err(Failure::Usage(format!(
            "neither {source} nor {target} is a folder; write ./{target} for one that is not there yet"
        ))),
    }
}

fn up(folder: &Path, place: Place) -> Result<(Way, PathBuf, Place), Failure> {
    if !folder.is_dir() {
        return Err(Failure::Usage(format!("{} is no folder", folder.display())));
    }
    Ok((Way::Up, folder.to_owned(), place))
}

/// All objects, by their names below the prefix.
async fn objects(storage: &Storage, bucket: &str, prefix: &str) -> Result<Side, Failure> {
    let mut side = Side::new();
    let mut pages = storage.list(bucket).prefix(prefix);
    while let Some(page) = pages.next().await? {
        for object in page.objects {
            let Some(name) = object.key.strip_prefix(prefix) else {
                continue;
            };
            let metadata = &object.head.metadata;
            let own = metadata.get(TIME).and_then(|time| local::time_of(time));
            let put = object.modified.unix_timestamp_nanos();
            let entry = Entry {
                size: object.size,
                changed: own.map_or(Changed::PutAt(put), Changed::At),
                hash: metadata.get(HASH).cloned(),
            };
            side.insert(name.to_owned(), entry);
        }
    }
    Ok(side)
}

/// All files; with their hashes, where these are compared.
async fn files(
    carrier: &Carrier,
    arguments: &Arguments,
    objects: &Side,
    left_out: &mut Vec<String>,
) -> Result<Side, Failure> {
    let folder = carrier.folder.clone();
    if carrier.way == Way::Down && !folder.exists() {
        return Ok(Side::new());
    }
    let (hashed, up) = (arguments.checksum, carrier.way == Way::Up);
    let objects = if hashed { objects.clone() } else { Side::new() };
    let reading = tokio::task::spawn_blocking(move || {
        let mut odd = Vec::new();
        let mut side = local::files(&folder, &mut odd)?;
        for (name, file) in &mut side {
            let other = objects.get(name);
            // What is carried anyhow is hashed then.
            if hashed
                && other.is_some_and(|other| other.size == file.size)
                && let Some(path) = local::path_of(&folder, name)
            {
                file.hash = Some(local::hash(&path)?);
            }
        }
        Ok::<_, Failure>((side, odd))
    });
    let (side, odd) = reading.await.map_err(anyhow::Error::from)??;
    if up {
        left_out.extend(odd);
    }
    Ok(side)
}

/// Those objects whose names files can have.
fn nameable(folder: &Path, objects: Side, left_out: &mut Vec<String>) -> Side {
    let (good, bad): (Side, Side) = objects
        .into_iter()
        .partition(|(name, _)| local::path_of(folder, name).is_some());
    left_out.extend(bad.into_keys());
    good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_side_is_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let (way, at, place) = sides(path, "photos/2026").unwrap();
        assert_eq!(
            (way, at.to_str(), place.prefix()),
            (Way::Up, Some(path), "2026/".to_owned())
        );
        assert_eq!(sides("photos", "./new").unwrap().0, Way::Down);
        // The folder of this crate's sources is there.
        assert_eq!(sides("src", "photos").unwrap().0, Way::Up);
        assert_eq!(sides("photos", "src").unwrap().0, Way::Down);
        for (source, target) in [
            (path, path),
            ("photos", "other"),
            ("./none", "photos"),
            (path, "Photos"),
        ] {
            assert!(sides(source, target).is_err(), "{source} {target}");
        }
    }
}
