//! Uploads whose parts a program sends itself: in any order, several at a time, some now
//! and some after a restart.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures_util::Stream;
use gridmart_fabric::block::stripe_bytes_max;
use gridmart_schemas::{
    id::{UploadId, VersionId},
    problem::Code,
    wire::storage::{
        ObjectCommitted, ObjectCondition, ObjectHeaders, PartView, STRIPES_MAX, UploadBegin,
        UploadForget, UploadView,
    },
};

use super::{
    Storage,
    access::Use,
    progress::Meter,
    put::write,
    source::Source,
    stripes::{StripeWriter, Target},
    upload::{commit_part, end},
};
use crate::error::Error;

/// The highest number of a part.
const NUMBER_MAX: u16 = 10_000;

/// An upload in parts. Clones are the same upload; it stays at its Element until it is
/// completed or forgotten, or its Element's time for uploads is over.
#[derive(Clone)]
pub struct PartUpload {
    target: Target,
    upload: UploadId,
    version: VersionId,
}

impl std::fmt::Debug for PartUpload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartUpload")
            .field("bucket", &self.target.bucket)
            .field("key", &self.target.key)
            .field("upload", &self.upload)
            .finish_non_exhaustive()
    }
}

impl Storage {
    /// Begins an upload in parts.
    ///
    /// # Errors
    /// Who may not write to the bucket, or an Element that is away.
    pub async fn upload_begin(
        &self,
        bucket: impl Into<String>,
        key: impl Into<String>,
        head: ObjectHeaders,
    ) -> Result<PartUpload, Error> {
        let (bucket, key) = (bucket.into(), key.into());
        let target = Target::of(self.plane().await?, bucket, key, Meter::default()).await?;
        let request = |bucket| UploadBegin {
            bucket,
            key: target.key.clone(),
            head: head.clone(),
        };
        let begun = target.plane.ask(&target.bucket, Use::Write, request).await;
        let begun = begun?;
        target.moving.named(begun.transfer);
        Ok(PartUpload {
            target,
            upload: begun.upload,
            version: begun.version,
        })
    }

    /// Finds an upload that was begun, and the parts that are there, by number.
    ///
    /// # Errors
    /// `not-found`: there is none, or it was completed or forgotten.
    pub async fn upload_open(
        &self,
        bucket: impl Into<String>,
        upload: UploadId,
    ) -> Result<(PartUpload, Vec<PartView>), Error> {
        let bucket = bucket.into();
        let plane = self.plane().await?;
        let request = |bucket| UploadView { bucket, upload };
        let viewed = plane.ask(&bucket, Use::Write, request).await?;
        let target = Target::of(plane, bucket, viewed.key, Meter::default()).await?;
        target.moving.named(viewed.transfer);
        let found = PartUpload {
            target,
            upload,
            version: viewed.version,
        };
        Ok((found, viewed.parts))
    }
}

impl PartUpload {
    /// Its id, by which it is found again.
    pub const fn id(&self) -> UploadId {
        self.upload
    }

    /// The key that it is for.
    pub fn key(&self) -> &str {
        &self.target.key
    }

    /// The most bytes of one part.
    pub const fn part_bytes_max(&self) -> u64 {
        stripe_bytes_max(self.target.redundancy) as u64 * STRIPES_MAX as u64
    }

    /// Bytes of a part that fill their stripes: parts of a multiple of it take no more room
    /// than the object needs.
    pub const fn stripe_bytes(&self) -> u64 {
        stripe_bytes_max(self.target.redundancy) as u64
    }

    /// Sends a part of so many bytes, in place of one of that number that was there.
    /// Numbers go from 1 to 10,000.
    ///
    /// # Errors
    /// Pieces that are more or fewer than was said, or a number that is none.
    pub async fn put(
        &self,
        number: u16,
        pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        length: u64,
    ) -> Result<PartView, Error> {
        if number == 0 || number > NUMBER_MAX {
            let detail = format!("A part's number is from 1 to {NUMBER_MAX}, not {number}.");
            return Err(Error::refused(Code::InvalidRequest, detail));
        }
        let most = self.part_bytes_max();
        if length > most {
            let detail = format!("A part has at most {most} bytes here; send {length} as several.");
            return Err(Error::refused(Code::TooLarge, detail));
        }
        let mut source = Source::stream(pieces);
        let mut writer = StripeWriter::new(self.target.clone(), Some(self.version));
        write(&mut writer, &self.target, &mut source, Bytes::new(), length).await?;
        if !source.fill(1).await?.is_empty() {
            return Err(source.changed());
        }
        let (number, etag) = commit_part(self.target.clone(), self.upload, number, writer).await?;
        Ok(PartView {
            number,
            size: length,
            etag,
        })
    }

    /// Makes an object of parts, told by number and `ETag`, numbers growing.
    ///
    /// # Errors
    /// Parts that are not there as they are told, or a condition that does not hold.
    pub async fn complete(
        &self,
        parts: Vec<(u16, String)>,
        condition: ObjectCondition,
    ) -> Result<ObjectCommitted, Error> {
        let moving = Arc::clone(&self.target.moving);
        let ended = end(&self.target, (self.upload, self.version), parts, condition).await;
        moving.told(ended)
    }

    /// Forgets it with its parts; one that is not there is no error.
    ///
    /// # Errors
    /// Who may not write to the bucket, or an Element that is away.
    pub async fn forget(&self) -> Result<(), Error> {
        let upload = self.upload;
        let request = |bucket| UploadForget { bucket, upload };
        let plane = &self.target.plane;
        match plane.ask(&self.target.bucket, Use::Write, request).await {
            Err(error) if error.code() != Some(Code::NotFound) => Err(error),
            _ => Ok(()),
        }
    }
}
