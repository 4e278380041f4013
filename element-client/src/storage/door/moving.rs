//! Transfers of programs, as their requests tell of them.

use gridmart_schemas::{
    id::{UploadId, VersionId},
    problem::Problem,
    wire::transfer::{TransferDirection, TransferMark},
};

use super::{StorageStream, grant::Admitted};
use crate::storage::transfers::Cargo;

impl StorageStream {
    fn cargo(admitted: &Admitted, key: Option<String>, direction: TransferDirection) -> Cargo {
        let bucket = &admitted.bucket.bucket;
        Cargo {
            owner: Some(admitted.claims.sub.clone()),
            bucket: bucket.id,
            bucket_name: bucket.name.to_string(),
            key,
            direction,
        }
    }

    /// A put begins, or goes on.
    pub(super) fn putting(
        &self,
        admitted: &Admitted,
        key: Option<String>,
        mark: Option<TransferMark>,
        version: VersionId,
    ) -> Result<TransferMark, Problem> {
        let is_named = mark.is_some() || key.is_some();
        let cargo = Self::cargo(admitted, key, TransferDirection::Put);
        let transfers = &self.se.goods.transfers;
        transfers.on_word(cargo, mark, |word| {
            word.version = Some(version);
            word.stream = self.number;
            word.is_named = is_named;
        })
    }

    /// An upload in parts begins, or is gone on with: that is one put.
    pub(super) fn uploading(
        &self,
        admitted: &Admitted,
        key: &str,
        (upload, version): (UploadId, VersionId),
        mark: Option<TransferMark>,
    ) -> Result<TransferMark, Problem> {
        let cargo = Self::cargo(admitted, Some(key.to_owned()), TransferDirection::Put);
        let transfers = &self.se.goods.transfers;
        transfers.on_word(cargo, mark, |word| {
            word.version = Some(version);
            word.upload = Some(upload);
            word.stream = self.number;
        })
    }

    /// A get begins, or goes on; `is_named`: older programs know of no transfers.
    pub(super) fn getting(
        &self,
        admitted: &Admitted,
        key: &str,
        mark: Option<TransferMark>,
        is_named: bool,
    ) -> Result<TransferMark, Problem> {
        let cargo = Self::cargo(admitted, Some(key.to_owned()), TransferDirection::Get);
        let transfers = &self.se.goods.transfers;
        transfers.on_word(cargo, mark, |word| {
            word.stream = self.number;
            word.is_named |= is_named;
        })
    }

    /// Shows what was put, unless it is killed before; `bytes`: how many it has.
    pub(super) async fn showing<T>(
        &self,
        mark: TransferMark,
        bytes: u64,
        commit: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let transfers = &self.se.goods.transfers;
        transfers.on_committing(mark.transfer)?;
        let done = commit.await;
        transfers.on_commit(mark, &done, bytes);
        done
    }
}
