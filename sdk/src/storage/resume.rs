//! Going on with uploads that were broken off.

use std::sync::Arc;

use gridmart_schemas::{
    id::UploadId,
    problem::Code,
    wire::storage::{ObjectCommitted, UploadForget},
};

use super::{
    BrokenUpload, Storage, TransferProgress,
    access::Use,
    note::{FileState, Note},
    progress::Meter,
    source::Source,
    stripes::Target,
    upload::Upload,
};
use crate::error::Error;

impl Storage {
    /// Goes on with an upload of a file that was broken off.
    pub async fn put_resume(
        &self,
        upload: UploadId,
        progress: impl Fn(TransferProgress) + Send + Sync + 'static,
    ) -> Result<ObjectCommitted, Error> {
        let note = self.notes()?.read(upload).await?;
        let mut meter = Meter::default();
        meter.tell(progress);
        self.go_on(note, meter).await
    }

    /// Uploads of files from this machine that were broken off, newest first.
    pub async fn uploads(&self) -> Result<Vec<BrokenUpload>, Error> {
        let notes = self.notes()?.all().await?;
        Ok(notes.into_iter().map(Into::into).collect())
    }

    /// Forgets an upload that was broken off, here and at its Element.
    pub async fn upload_forget(&self, upload: UploadId) -> Result<(), Error> {
        let notes = self.notes()?;
        let note = notes.read(upload).await?;
        let plane = self.plane().await?;
        let request = |bucket| UploadForget { bucket, upload };
        match plane.ask(&note.bucket, Use::Write, request).await {
            Err(error) if error.code() != Some(Code::NotFound) => Err(error),
            _ => {
                notes.forget(upload).await;
                Ok(())
            }
        }
    }

    pub(super) async fn go_on(
        &self,
        note: Note,
        mut meter: Meter,
    ) -> Result<ObjectCommitted, Error> {
        let path = note.file.path.clone();
        let opened = tokio::fs::File::open(&path).await;
        let file = opened.map_err(|error| Error::local("open", &path, error))?;
        if FileState::of(&path, &file).await? != note.file {
            return Err(Error::Invalid(format!(
                "{} was changed since upload {} began; put it anew",
                path.display(),
                note.upload
            )));
        }
        meter.expect(Some(note.file.length));
        let (bucket, key) = (note.bucket.clone(), note.key.clone());
        let target = Target::of(self.plane().await?, bucket, key, meter).await?;
        let moving = Arc::clone(&target.moving);
        let notes = self.notes()?;
        match Upload::resume(&note, target, notes.clone()).await {
            Ok(upload) => moving.told(upload.of_file(Source::File(path, file)).await),
            Err(error) => {
                if error.code() == Some(Code::NotFound) {
                    // The Element has forgotten it: so does this machine.
                    notes.forget(note.upload).await;
                }
                Err(error)
            }
        }
    }
}
