//! `gridmart get BUCKET/KEY DST`.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    str::FromStr,
};

use gridmart_schemas::{id::VersionId, wire::storage::ObjectView};
use gridmart_sdk::{GetBuilder, Storage, TransferProgress};

use super::{Place, Where, name_of};
use crate::{failure::Failure, output::Output, progress::Progress, remote, size::Size};

/// Get an object from a bucket.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which one
    #[arg(value_name = "BUCKET/KEY")]
    source: Place,
    /// File or folder to put it in (`-`: stdout)
    #[arg(value_name = "DST")]
    target: PathBuf,
    /// Bytes of it: 0-99 are the first hundred, 100- all after these, -100 the last hundred
    #[arg(long, value_name = "FROM-TO", allow_hyphen_values = true)]
    range: Option<ByteRange>,
    /// An older version, by its id
    #[arg(long, value_name = "ID")]
    version: Option<VersionId>,
    #[command(flatten)]
    at: Where,
}

/// Bytes of an object, as HTTP has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteRange {
    /// From one to one, which may be the last there can be.
    Of(u64, u64),
    /// So many at the end.
    Last(u64),
}

impl FromStr for ByteRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a range is expected: 0-99, 100- or -100".to_owned();
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
        match text.split_once('-').ok_or_else(wrong)? {
            ("", last) => Ok(Self::Last(number(last)?)),
            (from, "") => Ok(Self::Of(number(from)?, u64::MAX)),
            (from, to) => {
                let (from, to) = (number(from)?, number(to)?);
                if from > to {
                    return Err(wrong());
                }
                Ok(Self::Of(from, to))
            }
        }
    }
}

impl ByteRange {
    fn of(self, size: impl FnOnce() -> u64) -> Range<u64> {
        match self {
            Self::Of(from, to) => from..to.saturating_add(1),
            Self::Last(bytes) => {
                let size = size();
                size.saturating_sub(bytes)..size
            }
        }
    }
}

/// Gets it.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let key = arguments.source.whole()?;
    let bucket = arguments.at.bucket(&arguments.source.bucket);
    let is_stdout = arguments.target == Path::new("-");
    let path = if arguments.target.is_dir() {
        let name = name_of(key).filter(|name| !matches!(*name, "." | ".."));
        let name = name.ok_or_else(|| {
            Failure::Usage(format!(
                "{key} names no file: say which in {}",
                arguments.target.display()
            ))
        })?;
        arguments.target.join(name)
    } else {
        arguments.target.clone()
    };
    let progress = Progress::transfer(output, "getting");
    let bar = progress.clone();
    let got: Result<Option<ObjectView>, Failure> = remote::ask(async |client| {
        let get = described(&client.storage(), arguments, &bucket, key).await?;
        let get = get.on_progress(move |state: TransferProgress| {
            bar.set(state.done, state.total, String::new());
        });
        if is_stdout {
            get.write_to(&mut tokio::io::stdout()).await??;
            return Ok(None);
        }
        Ok(Some(get.file(&path).await?))
    });
    progress.clear();
    let Some(object) = got? else {
        return Ok(());
    };
    output.print(&object, |page| {
        let size = Size::from_bytes(object.size);
        page.line(format!(
            "{} has come ({} is {size}).",
            path.display(),
            arguments.source.show()
        ));
    })
}

async fn described(
    storage: &Storage,
    arguments: &Arguments,
    bucket: &str,
    key: &str,
) -> Result<GetBuilder, Failure> {
    let mut get = storage.get(bucket, key);
    if let Some(version) = arguments.version {
        get = get.version(version);
    }
    if let Some(range) = arguments.range {
        let size = match (range, arguments.version) {
            (ByteRange::Of(..), _) => 0,
            (ByteRange::Last(_), None) => storage.stat(bucket, key).await?.size,
            (ByteRange::Last(_), Some(version)) => {
                let of = storage.get(bucket, key).version(version).range(0..0);
                of.open().await?.object().size
            }
        };
        get = get.range(range.of(|| size));
    }
    Ok(get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_http() {
        let range = |text: &str| text.parse::<ByteRange>().map(|range| range.of(|| 1000));
        assert_eq!(range("0-99"), Ok(0..100));
        assert_eq!(range("100-"), Ok(100..u64::MAX));
        assert_eq!(range("-100"), Ok(900..1000));
        assert_eq!(range("-5000"), Ok(0..1000));
        for text in ["", "-", "5-4", "a-b", "1", "1-2-3"] {
            assert!(range(text).is_err(), "{text}");
        }
    }
}
