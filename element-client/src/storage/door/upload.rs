//! Uploads in parts, which outlive the streams of those who write them.

use std::collections::BTreeMap;

use gridmart_schemas::{
    id::{BucketId, UploadId, VersionId},
    problem::{Code, Problem},
    role::Operation,
    wire::{
        Done,
        storage::{
            ObjectCommitted, PartView, UploadBegin, UploadBegun, UploadEnd, UploadForget,
            UploadView, UploadViewed,
        },
        transfer::TransferMark,
    },
};

use super::{
    StorageStream,
    grant::{Admitted, Part},
    write::{condition_of, etag, head_of, object_key},
};
use crate::storage::metadata::{
    Applied, Change, PartChoice, PartsOf, Upload, UploadComplete, UploadCreate, query,
};

/// Parts that are read at a time.
const PARTS_PAGE: usize = 1000;

impl StorageStream {
    pub(super) async fn on_upload_begin(&self, begin: UploadBegin) -> Result<UploadBegun, Problem> {
        let UploadBegin { bucket, key, head } = begin;
        let admitted = self
            .admit(bucket, Operation::Write, Part::Keys(&key))
            .await?;
        let (upload, version) = (UploadId::generate(), VersionId::generate());
        let mark = self.uploading(&admitted, &key, (upload, version), None)?;
        let create = UploadCreate {
            upload,
            bucket,
            key: object_key(&key)?,
            version,
            owner: admitted.claims.sub.clone(),
            head: head_of(head)?,
            retention: None,
            legal_hold: false,
        };
        admitted
            .service
            .commit(Change::UploadCreate(create))
            .await?;
        Ok(UploadBegun {
            upload,
            version,
            transfer: Some(mark),
        })
    }

    /// Judges who goes on with an upload: whoever began it, or the bucket's
    /// owner, while they may write its key.
    pub(super) async fn admit_upload(
        &self,
        bucket: BucketId,
        upload: UploadId,
        mark: Option<&TransferMark>,
    ) -> Result<(Admitted, Upload), Problem> {
        let admitted = self
            .admit_moving(bucket, Operation::Write, Part::Some, mark)
            .await?;
        let read = admitted.service.read(move |connection| {
            let found = query::upload(connection, upload)?;
            let of = query::bucket(connection, bucket)?;
            // Ids are no secrets: it has to be an upload of this bucket.
            Ok(found.filter(|found| of.is_some_and(|of| found.is_of(&of))))
        });
        let found = read.await?.ok_or_else(|| gone(upload))?;
        let person = &admitted.claims.sub;
        if found.owner != *person && admitted.bucket.rules.owner != *person {
            return Err(gone(upload));
        }
        let part = Part::Keys(found.key.as_str());
        let admitted = self.admit_moving(bucket, Operation::Write, part, mark);
        Ok((admitted.await?, found))
    }

    pub(super) async fn on_upload_view(&self, view: UploadView) -> Result<UploadViewed, Problem> {
        let UploadView { bucket, upload } = view;
        let (admitted, found) = self.admit_upload(bucket, upload, None).await?;
        let named = (upload, found.version);
        let mark = self.uploading(&admitted, found.key.as_str(), named, None)?;
        let number = found.number;
        let read = admitted.service.read(move |connection| {
            let mut parts = Vec::new();
            let mut after = 0;
            loop {
                let of = PartsOf::Upload(number);
                let page = query::part_list(connection, of, after, PARTS_PAGE)?;
                let Some(last) = page.last() else {
                    return Ok(parts);
                };
                after = last.number;
                parts.extend(page);
            }
        });
        let parts = read.await?.into_iter().map(|part| PartView {
            number: part.number,
            size: part.size,
            etag: part.etag,
        });
        Ok(UploadViewed {
            key: found.key.as_str().to_owned(),
            version: found.version,
            parts: parts.collect(),
            transfer: Some(mark),
        })
    }

    pub(super) async fn on_upload_end(&self, end: UploadEnd) -> Result<ObjectCommitted, Problem> {
        let UploadEnd {
            bucket,
            upload,
            parts,
            condition,
            transfer,
        } = end;
        let mark = transfer.as_ref();
        let (admitted, found) = self.admit_upload(bucket, upload, mark).await?;
        let named = (upload, found.version);
        let mark = self.uploading(&admitted, found.key.as_str(), named, transfer)?;
        let mut hasher = blake3::Hasher::new();
        for (_, part) in &parts {
            hasher.update(part.as_bytes());
        }
        let etag = format!("{}-{}", etag("gm", &hasher), parts.len());
        let choice = |(number, etag)| PartChoice { number, etag };
        let complete = UploadComplete {
            upload,
            parts: parts.into_iter().map(choice).collect(),
            etag: etag.clone(),
            checksums: BTreeMap::new(),
            condition: condition_of(condition),
        };
        let change = Change::UploadComplete(complete);
        let bytes = self.se.goods.transfers.bytes(mark);
        let committed = self
            .showing(mark, bytes, admitted.service.commit(change))
            .await?;
        let version: VersionId = match committed.applied {
            Applied::Version(outcome) => outcome.version,
            Applied::Done => found.version,
        };
        Ok(ObjectCommitted { version, etag })
    }

    pub(super) async fn on_upload_forget(&self, forget: UploadForget) -> Result<Done, Problem> {
        let UploadForget { bucket, upload } = forget;
        let (admitted, _) = self.admit_upload(bucket, upload, None).await?;
        admitted
            .service
            .commit(Change::UploadAbort { upload })
            .await?;
        Ok(Done {})
    }
}

fn gone(upload: UploadId) -> Problem {
    Problem::new(
        Code::NotFound,
        format!("There is no upload {upload} of yours: it has been completed or given up."),
    )
}
