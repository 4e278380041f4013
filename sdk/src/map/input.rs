//! Where a map's parts come from: ready-made, or an input to be split.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use tokio::io::AsyncRead;

use super::{
    job::{JobFolder, Source},
    parts::PartsWriter,
};
use crate::error::Error;

/// A folder of inputs has at most so many files.
const FILES_MAX: usize = 1024 * 1024;
/// Bytes of a JSON line that are looked at at a time.
const LINE_BYTES: u64 = 64 * 1024;

/// An input that the application's split command makes parts of.
#[non_exhaustive]
pub enum MapInput {
    /// This file; it must stay as it is until the map has ended.
    Path(PathBuf),
    /// These bytes.
    Bytes(Bytes),
    /// All that this gives; kept on disk first.
    Reader(Box<dyn AsyncRead + Send + Unpin>),
}

impl MapInput {
    /// Reads from anything that can be read.
    pub fn reader(reader: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self::Reader(Box::new(reader))
    }
}

impl fmt::Debug for MapInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Reader(_) => f.write_str("Reader"),
        }
    }
}

impl From<PathBuf> for MapInput {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl From<&Path> for MapInput {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}

impl From<Bytes> for MapInput {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for MapInput {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<&str> for MapInput {
    fn from(text: &str) -> Self {
        Self::Bytes(Bytes::copy_from_slice(text.as_bytes()))
    }
}

/// What the builder was given.
pub(super) enum Given {
    Nothing,
    Input(MapInput),
    Parts(Box<dyn Iterator<Item = Bytes> + Send>),
    Lines(PathBuf),
    Folder(PathBuf),
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Input(_) => "Input",
            Self::Parts(_) => "Parts",
            Self::Lines(_) => "Lines",
            Self::Folder(_) => "Folder",
        })
    }
}

/// Puts the input, or the parts, where a resumed map finds them. Gives the
/// number of parts if they are complete.
pub(super) async fn collect(
    given: Given,
    folder: &JobFolder,
) -> Result<(Source, Option<u64>), Error> {
    let (parts, ends) = (folder.file("parts"), folder.file("ends"));
    let count = match given {
        Given::Nothing => return Err(Error::Invalid("a map needs an input or parts".to_owned())),
        Given::Input(input) => return Ok((Source::Split(keep_input(input, folder).await?), None)),
        Given::Parts(mut iterator) => {
            written(parts, ends, None, move |writer| {
                iterator.try_for_each(|part| writer.part(&part))
            })
            .await?
        }
        Given::Lines(path) => {
            written(parts, ends, Some(path.clone()), move |writer| {
                json_lines(writer, &path)
            })
            .await?
        }
        Given::Folder(path) => {
            written(parts, ends, Some(path.clone()), move |writer| {
                files(writer, &path)
            })
            .await?
        }
    };
    Ok((Source::Parts, Some(count)))
}

async fn written(
    parts: PathBuf,
    ends: PathBuf,
    from: Option<PathBuf>,
    fill: impl FnOnce(&mut PartsWriter) -> io::Result<()> + Send + 'static,
) -> Result<u64, Error> {
    let work = tokio::task::spawn_blocking(move || {
        let mut writer = PartsWriter::create(&parts, &ends)
            .map_err(|e| Error::local("write the parts to", &parts, e))?;
        fill(&mut writer)
            .map_err(|e| Error::local("take parts from", from.as_deref().unwrap_or(&parts), e))?;
        writer
            .seal()
            .map_err(|e| Error::local("write the parts to", &parts, e))
    });
    let count = work
        .await
        .map_err(|e| Error::Invalid(format!("collecting parts was interrupted: {e}")))??;
    Ok(count as u64)
}

async fn keep_input(input: MapInput, folder: &JobFolder) -> Result<PathBuf, Error> {
    let kept = folder.file("input");
    let failed = |e| Error::local("keep the input in", &kept, e);
    match input {
        MapInput::Path(path) => {
            let path = tokio::fs::canonicalize(&path)
                .await
                .map_err(|e| Error::local("read the input", &path, e))?;
            // Better to know now than when the split has a slot.
            let opened = tokio::fs::File::open(&path)
                .await
                .map_err(|e| Error::local("read the input", &path, e))?;
            let meta = opened
                .metadata()
                .await
                .map_err(|e| Error::local("read the input", &path, e))?;
            if meta.is_file() {
                return Ok(path);
            }
            if meta.is_dir() {
                return Err(Error::Invalid(format!(
                    "{} is a folder: its files can be parts, not an input",
                    path.display()
                )));
            }
            copy(opened, &kept).await.map_err(failed)?;
        }
        MapInput::Bytes(bytes) => tokio::fs::write(&kept, bytes).await.map_err(failed)?,
        MapInput::Reader(reader) => copy(reader, &kept).await.map_err(failed)?,
    }
    Ok(kept)
}

async fn copy(mut reader: impl AsyncRead + Unpin, to: &Path) -> io::Result<()> {
    let mut file = tokio::fs::File::create(to).await?;
    tokio::io::copy(&mut reader, &mut file).await?;
    file.sync_all().await
}

/// Each line that is not blank is a part; it has to be JSON.
fn json_lines(writer: &mut PartsWriter, path: &Path) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(256 * 1024, File::open(path)?);
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        serde_json::from_slice::<serde::de::IgnoredAny>(&line).map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {number} is not JSON: {error}"),
            )
        })?;
        writer.part(&line)?;
        // One huge line does not keep its memory.
        line.shrink_to(usize::try_from(LINE_BYTES).unwrap_or(usize::MAX));
    }
    Ok(())
}

/// Each file is a part, in the order of their names; folders are passed over.
fn files(writer: &mut PartsWriter, folder: &Path) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if path.is_file() {
            names.push(path);
        }
        if names.len() > FILES_MAX {
            return Err(io::Error::other(format!(
                "the folder has more than {FILES_MAX} files"
            )));
        }
    }
    names.sort_unstable();
    for path in names {
        writer.copy(&mut File::open(path)?)?;
        writer.end()?;
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "sizes of tests are small")]
mod tests {
    use gridmart_schemas::id::JobId;

    use super::*;
    use crate::map::parts::Parts;

    async fn parts_of(given: Given) -> Result<Vec<String>, Error> {
        let jobs = tempfile::tempdir().unwrap();
        let folder = JobFolder::create(jobs.path(), JobId::generate()).unwrap();
        let (_, count) = collect(given, &folder).await?;
        let parts =
            Parts::open(&folder.file("parts"), &folder.file("ends"), count.unwrap()).unwrap();
        let read = |part| {
            let (at, len) = parts.range(part);
            String::from_utf8(parts.read(at, len as usize).unwrap()).unwrap()
        };
        Ok((0..count.unwrap()).map(read).collect())
    }

    #[tokio::test]
    async fn files_of_a_folder_and_lines_of_a_file_are_parts() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("b"), "two\n").unwrap();
        std::fs::write(folder.path().join("a"), "one").unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        assert_eq!(
            parts_of(Given::Folder(folder.path().to_owned()))
                .await
                .unwrap(),
            ["one", "two\n"]
        );

        let lines = folder.path().join("l.jsonl");
        std::fs::write(&lines, "{\"a\":1}\n\n  \n[2]").unwrap();
        assert_eq!(
            parts_of(Given::Lines(lines.clone())).await.unwrap(),
            ["{\"a\":1}", "[2]"]
        );
        std::fs::write(&lines, "{}\nnot json\n").unwrap();
        let refusal = parts_of(Given::Lines(lines)).await.unwrap_err();
        let Error::Local { source, .. } = &refusal else {
            panic!("{refusal}")
        };
        assert!(source.to_string().contains("line 2"), "{source}");
    }

    #[tokio::test]
    async fn an_input_that_is_not_there_is_refused_before_anything_runs() {
        let jobs = tempfile::tempdir().unwrap();
        let folder = JobFolder::create(jobs.path(), JobId::generate()).unwrap();
        let missing = Given::Input(jobs.path().join("nowhere").into());
        assert!(collect(missing, &folder).await.is_err());
        let (source, _) = collect(Given::Input("text".into()), &folder).await.unwrap();
        assert_eq!(source, Source::Split(folder.file("input")));
    }
}
