//! What this machine remembers of uploads of files, so that one that was broken
//! off can be gone on with: one small file for each, in a folder of the user's.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use gridmart_fabric::disk::{RealDisk, Secrecy, durable_write, read_bounded};
use gridmart_schemas::{id::UploadId, problem::Code, wire::storage::ObjectCondition};
use serde::{Deserialize, Serialize};
use tokio::fs::File;

use super::Storage;
use crate::error::Error;

/// A note over this size is not one.
const NOTE_BYTES_MAX: u64 = 64 * 1024;
/// Notes that are looked at.
const NOTES_MAX: usize = 10_000;

/// A file as it was when its upload began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileState {
    /// Absolute.
    pub(super) path: PathBuf,
    /// Bytes.
    pub(super) length: u64,
    /// When it was changed last, in nanoseconds since 1970.
    modified: u128,
}

impl FileState {
    pub(super) async fn of(path: &Path, file: &File) -> Result<Self, Error> {
        let read = async {
            let metadata = file.metadata().await?;
            let modified = metadata.modified()?;
            let path = tokio::fs::canonicalize(path).await?;
            Ok((path, metadata, modified))
        };
        let read: io::Result<_> = read.await;
        let (whole_path, metadata, modified) =
            read.map_err(|error| Error::local("look at", path, error))?;
        if !metadata.is_file() {
            return Err(Error::Invalid(format!("{} is not a file", path.display())));
        }
        Ok(Self {
            path: whole_path,
            length: metadata.len(),
            modified: nanoseconds(modified),
        })
    }
}

fn nanoseconds(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos()
}

/// An upload that has begun and is not an object yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) upload: UploadId,
    /// As the user named it.
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) file: FileState,
    /// Bytes of each part but the last.
    pub(super) part_bytes: u64,
    pub(super) condition: ObjectCondition,
}

/// An upload of a file that was broken off, or that is under way elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrokenUpload {
    /// Its id.
    pub upload: UploadId,
    /// The bucket, as it was named.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The file.
    pub path: PathBuf,
    /// Bytes of the file.
    pub bytes: u64,
}

impl From<Note> for BrokenUpload {
    fn from(note: Note) -> Self {
        let Note {
            upload,
            bucket,
            key,
            file,
            part_bytes: _,
            condition: _,
        } = note;
        Self {
            upload,
            bucket,
            key,
            path: file.path,
            bytes: file.length,
        }
    }
}

/// The folder of the notes.
#[derive(Clone, Debug)]
pub(super) struct Notes {
    folder: PathBuf,
}

impl Storage {
    pub(super) fn notes(&self) -> Result<Notes, Error> {
        let absolute = |name: &str| {
            env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let folder = self
            .client
            .uploads_folder()
            .or_else(|| absolute("XDG_DATA_HOME").map(|home| home.join("gridmart/uploads")))
            .or_else(|| absolute("HOME").map(|home| home.join(".local/share/gridmart/uploads")));
        let folder = folder.ok_or_else(|| {
            Error::Invalid(
                "neither XDG_DATA_HOME nor HOME is set: say where notes of uploads are to be kept"
                    .to_owned(),
            )
        })?;
        Ok(Notes { folder })
    }
}

impl Notes {
    /// Remembers an upload, durably.
    pub(super) async fn save(&self, note: Note) -> Result<(), Error> {
        self.apart(move |notes| {
            let folder = &notes.folder;
            fs::create_dir_all(folder).map_err(|e| Error::local("make the folder", folder, e))?;
            let path = notes.path(note.upload);
            let text =
                serde_json::to_vec(&note).map_err(|e| Error::local("write", &path, e.into()))?;
            durable_write(&RealDisk, &path, &text, Secrecy::Open)
                .map_err(|e| Error::local("write", &path, e))
        })
        .await
    }

    pub(super) async fn read(&self, upload: UploadId) -> Result<Note, Error> {
        self.apart(move |notes| {
            let path = notes.path(upload);
            read(&path)?.ok_or_else(|| {
                let detail = format!(
                    "there is no upload {upload} in {}; uploads are gone on with on the machine that began them",
                    notes.folder.display()
                );
                Error::refused(Code::NotFound, detail)
            })
        })
        .await
    }

    /// It is over.
    pub(super) async fn forget(&self, upload: UploadId) {
        let forgotten = self.apart(move |notes| {
            let path = notes.path(upload);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(Error::local("remove", &path, error))
                }
                _ => Ok(()),
            }
        });
        if let Err(error) = forgotten.await {
            tracing::warn!(%upload, %error, "the note of an upload that is over stays");
        }
    }

    /// The newest of this file, as it is, to this key.
    pub(super) async fn find(
        &self,
        file: &FileState,
        bucket: &str,
        key: &str,
    ) -> Result<Option<Note>, Error> {
        let found = self.all().await?.into_iter();
        Ok(found
            .filter(|note| note.file == *file && note.bucket == bucket && note.key == key)
            .max_by_key(|note| note.upload))
    }

    /// All, the newest first. What cannot be read is left out.
    pub(super) async fn all(&self) -> Result<Vec<Note>, Error> {
        self.apart(|notes| {
            let entries = match fs::read_dir(&notes.folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(Error::local("list", &notes.folder, error)),
            };
            let paths = entries.flatten().map(|entry| entry.path()).take(NOTES_MAX);
            let mut found: Vec<Note> = paths
                .filter(|path| path.extension().is_some_and(|end| end == "json"))
                .filter_map(|path| match read(&path) {
                    Ok(note) => note,
                    Err(error) => {
                        tracing::warn!(%error, "a note of an upload is left out");
                        None
                    }
                })
                .collect();
            // Ids sort by age.
            found.sort_by_key(|note| std::cmp::Reverse(note.upload));
            Ok(found)
        })
        .await
    }

    fn path(&self, upload: UploadId) -> PathBuf {
        self.folder.join(format!("{upload}.json"))
    }

    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let notes = self.clone();
        tokio::task::spawn_blocking(move || work(&notes))
            .await
            .map_err(|e| Error::Invalid(format!("the notes of uploads were left: {e}")))?
    }
}

fn read(path: &Path) -> Result<Option<Note>, Error> {
    let failed = |error: io::Error| Error::local("read", path, error);
    let text = read_bounded(path, NOTE_BYTES_MAX).map_err(failed)?;
    text.map(|text| serde_json::from_slice(&text).map_err(|error| failed(error.into())))
        .transpose()
}
