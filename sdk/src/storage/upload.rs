//! Long objects, in parts that outlive a stream and this process.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use gridmart_fabric::block::stripe_bytes_max;
use gridmart_schemas::{
    id::{UploadId, VersionId},
    problem::Code,
    storage::Redundancy,
    wire::storage::{
        Committed, ObjectCommit, ObjectCommitted, ObjectCondition, STRIPES_MAX, UploadBegin,
        UploadBegun, UploadEnd, UploadForget, UploadView,
    },
};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::{
    access::Use,
    note::{FileState, Note, Notes},
    plane::Plane,
    put::{PutPlan, committed, write},
    source::Source,
    stripes::{StripeWriter, Target},
};
use crate::error::Error;

/// Bytes of a part, if whole stripes of it fit.
const PART_BYTES: u64 = 256 * 1024 * 1024;
/// The most parts of an upload.
const PARTS_MAX: u64 = 10_000;

/// The bytes of each part but the last: whole stripes, no more than one commit
/// takes, and so many that an object of this length has few enough parts.
pub(super) fn part_bytes(redundancy: Redundancy, length: Option<u64>) -> Result<u64, Error> {
    let stripe = stripe_bytes_max(redundancy) as u64;
    let most = stripe * STRIPES_MAX as u64;
    let needed = length.unwrap_or(0).div_ceil(PARTS_MAX);
    let usual = PART_BYTES / stripe * stripe;
    let bytes = usual.max(needed.div_ceil(stripe).saturating_mul(stripe));
    if bytes > most {
        return Err(too_long(redundancy));
    }
    Ok(bytes)
}

fn too_long(redundancy: Redundancy) -> Error {
    let most = stripe_bytes_max(redundancy) as u64 * STRIPES_MAX as u64 * PARTS_MAX;
    Error::refused(
        Code::TooLarge,
        format!("An object kept as {redundancy} has at most {most} bytes; put it as several."),
    )
}

/// An upload that has begun.
pub(super) struct Upload {
    target: Target,
    condition: ObjectCondition,
    id: UploadId,
    version: VersionId,
    part_bytes: u64,
    /// Number and `ETag` of those that are there.
    parts: BTreeMap<u16, String>,
    /// The part whose last stripes are on their way, while the next one begins.
    ending: Option<AbortOnDropHandle<Result<(u16, String), Error>>>,
    /// Where it is noted, if it can be gone on with.
    notes: Option<Notes>,
    done: bool,
}

impl Upload {
    /// `file`: what is put, if it can be read again, and where that is noted.
    pub(super) async fn begin(
        plan: PutPlan,
        file: Option<(Notes, FileState)>,
    ) -> Result<Self, Error> {
        let PutPlan {
            target,
            head,
            condition,
        } = plan;
        let length = file.as_ref().map(|(_, file)| file.length);
        let part_bytes = part_bytes(target.redundancy, length)?;
        let request = |bucket| UploadBegin {
            bucket,
            key: target.key.clone(),
            head: head.clone(),
        };
        let begun = target
            .plane
            .ask(&target.bucket, Use::Write, request)
            .await?;
        let UploadBegun {
            upload,
            version,
            transfer,
        } = begun;
        target.moving.named(transfer);
        let mut this = Self {
            target,
            condition,
            id: upload,
            version,
            part_bytes,
            parts: BTreeMap::new(),
            ending: None,
            notes: None,
            done: false,
        };
        if let Some((notes, file)) = file {
            let note = Note {
                upload,
                bucket: this.target.bucket.clone(),
                key: this.target.key.clone(),
                file,
                part_bytes,
                condition: this.condition.clone(),
            };
            notes.save(note).await?;
            this.notes = Some(notes);
        }
        Ok(this)
    }

    /// Goes on with one that was broken off.
    pub(super) async fn resume(note: &Note, target: Target, notes: Notes) -> Result<Self, Error> {
        let request = |bucket| UploadView {
            bucket,
            upload: note.upload,
        };
        let viewed = target
            .plane
            .ask(&target.bucket, Use::Write, request)
            .await?;
        target.moving.named(viewed.transfer);
        let there = viewed.parts.into_iter().filter(|part| {
            let start = u64::from(part.number.saturating_sub(1)).saturating_mul(note.part_bytes);
            part.size == note.part_bytes.min(note.file.length.saturating_sub(start))
        });
        let parts: BTreeMap<u16, String> = there.map(|part| (part.number, part.etag)).collect();
        Ok(Self {
            target,
            condition: note.condition.clone(),
            id: note.upload,
            version: viewed.version,
            part_bytes: note.part_bytes,
            parts,
            ending: None,
            notes: Some(notes),
            done: false,
        })
    }

    /// Uploads what is missing of a file.
    pub(super) async fn of_file(mut self, mut source: Source) -> Result<ObjectCommitted, Error> {
        let length = self.target.meter.expected();
        let mut at = 0;
        let mut number = 1;
        while at < length {
            let bytes = self.part_bytes.min(length - at);
            if self.parts.contains_key(&number) {
                self.target.meter.add(bytes);
            } else {
                source.seek(at).await?;
                self.part(number, &mut source, Bytes::new(), bytes).await?;
            }
            at += bytes;
            number += 1;
        }
        self.end().await
    }

    /// Uploads a stream, of which `first` has come.
    pub(super) async fn of_stream(
        mut self,
        mut source: Source,
        mut first: Bytes,
        length: Option<u64>,
    ) -> Result<ObjectCommitted, Error> {
        let mut left = length;
        for number in 1.. {
            if u64::from(number) > PARTS_MAX {
                return Err(too_long(self.target.redundancy));
            }
            let first = std::mem::take(&mut first);
            let ended = match left {
                Some(known) => {
                    let bytes = known.min(self.part_bytes);
                    self.part(number, &mut source, first, bytes).await?;
                    left = Some(known - bytes);
                    known == bytes
                }
                None => self.part_to_end(number, &mut source, first).await?,
            };
            if ended {
                break;
            }
        }
        self.end().await
    }

    async fn part(
        &mut self,
        number: u16,
        source: &mut Source,
        first: Bytes,
        bytes: u64,
    ) -> Result<(), Error> {
        let mut writer = StripeWriter::new(self.target.clone(), Some(self.version));
        write(&mut writer, &self.target, source, first, bytes).await?;
        self.finish(number, writer).await
    }

    /// A part of a source of unknown length; tells whether it was the last.
    async fn part_to_end(
        &mut self,
        number: u16,
        source: &mut Source,
        mut first: Bytes,
    ) -> Result<bool, Error> {
        let most = stripe_bytes_max(self.target.redundancy);
        let mut writer = StripeWriter::new(self.target.clone(), Some(self.version));
        let mut left = self.part_bytes;
        let mut written = 0;
        let mut ended = false;
        while left > 0 && !ended {
            let data = if first.is_empty() {
                source.fill(most).await?
            } else {
                std::mem::take(&mut first)
            };
            ended = data.len() < most;
            left = left.saturating_sub(data.len() as u64);
            if data.is_empty() {
                break;
            }
            // As much as came until now may well come again.
            let following = if ended { 0 } else { left.min(written) };
            written += data.len() as u64;
            writer.push(data, following).await?;
        }
        if written > 0 {
            self.finish(number, writer).await?;
        }
        Ok(ended)
    }

    /// Waits for the part before, and lets this one end while the next begins.
    async fn finish(&mut self, number: u16, writer: StripeWriter) -> Result<(), Error> {
        self.ended().await?;
        let (target, upload) = (self.target.clone(), self.id);
        let ending = tokio::spawn(commit_part(target, upload, number, writer));
        self.ending = Some(AbortOnDropHandle::new(ending));
        Ok(())
    }

    async fn ended(&mut self) -> Result<(), Error> {
        if let Some(ending) = self.ending.take() {
            let failed = |error| Error::refused(Code::Internal, format!("a part failed: {error}"));
            let (number, etag) = ending.await.map_err(failed)??;
            self.parts.insert(number, etag);
        }
        Ok(())
    }

    /// Makes an object of the parts.
    async fn end(mut self) -> Result<ObjectCommitted, Error> {
        self.ended().await?;
        let parts = std::mem::take(&mut self.parts).into_iter().collect();
        let upload = (self.id, self.version);
        let done = end(&self.target, upload, parts, self.condition.clone()).await?;
        self.done = true;
        if let Some(notes) = &self.notes {
            notes.forget(self.id).await;
        }
        Ok(done)
    }
}

/// Makes an object of an upload's parts. An answer that was lost is looked for before the
/// parts are shown again.
pub(super) async fn end(
    target: &Target,
    (upload, version): (UploadId, VersionId),
    parts: Vec<(u16, String)>,
    condition: ObjectCondition,
) -> Result<ObjectCommitted, Error> {
    let request = |bucket| UploadEnd {
        bucket,
        upload,
        parts: parts.clone(),
        condition: condition.clone(),
        transfer: target.moving.mark(),
    };
    let (plane, bucket) = (&target.plane, &target.bucket);
    let mut failures = 0;
    loop {
        let error = match plane.ask_once(bucket, Use::Write, request).await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        failures += 1;
        if !plane.pause(bucket, failures, &error).await {
            return Err(error);
        }
        if let Some(done) = committed(target, &target.key, version).await? {
            return Ok(done);
        }
    }
}

impl Drop for Upload {
    /// What nobody can go on with is forgotten.
    fn drop(&mut self) {
        if self.done || self.notes.is_some() {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (plane, bucket) = (Arc::clone(&self.target.plane), self.target.bucket.clone());
        let (upload, tasks) = (self.id, plane.tasks.clone());
        let forgetting = async move { forget(&plane, &bucket, upload).await };
        tasks.spawn_on(forgetting, &runtime);
    }
}

async fn forget(plane: &Plane, bucket: &str, upload: UploadId) {
    let request = |bucket| UploadForget { bucket, upload };
    if let Err(error) = plane.ask_once(bucket, Use::Write, request).await {
        tracing::warn!(%upload, %error, "a broken upload is not forgotten; it takes room until it is");
    }
}

pub(super) async fn commit_part(
    target: Target,
    upload: UploadId,
    number: u16,
    writer: StripeWriter,
) -> Result<(u16, String), Error> {
    let written = writer.finish().await?;
    let request = |bucket| ObjectCommit {
        bucket,
        content: Committed::Part { upload, number },
        version: written.version,
        stripes: written.stripes.clone(),
        receipts: written.receipts.clone(),
        transfer: target.moving.mark(),
    };
    let committed = target
        .plane
        .ask(&target.bucket, Use::Write, request)
        .await?;
    Ok((number, committed.etag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_stripes_and_few_enough() {
        let rs = |k, m| Redundancy::rs(k, m).unwrap();
        let mib = 1024 * 1024;
        assert_eq!(part_bytes(rs(4, 2), None).unwrap(), 256 * mib);
        assert_eq!(part_bytes(rs(3, 2), None).unwrap(), 252 * mib);
        let copies = Redundancy::replica(3).unwrap();
        assert_eq!(
            part_bytes(copies, Some(2_000_000 * mib)).unwrap(),
            256 * mib
        );
        assert!(part_bytes(copies, Some(10_000 * 256 * mib)).is_ok());
        assert!(part_bytes(copies, Some(10_000 * 256 * mib + 1)).is_err());
        let long = 9_000_000 * mib;
        let bytes = part_bytes(rs(4, 2), Some(long)).unwrap();
        assert!(
            bytes.is_multiple_of(16 * mib) && long.div_ceil(bytes) <= PARTS_MAX,
            "{bytes}"
        );
    }
}
