//! What a bucket holds, counted with every change.

use rusqlite::params;

use super::{Outcome, Place};
use crate::storage::metadata::{
    refusal::Refusal,
    store::{Bucket, During as _, Sql},
};

/// By how much a bucket's counts change.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) objects: i64,
    pub(super) versions: i64,
    pub(super) bytes: i64,
    pub(super) upload_bytes: i64,
}

impl Tally {
    pub(super) fn count(self, place: Place<'_>, bucket: &Bucket) -> Outcome {
        place
            .store
            .prepare_cached(
                "UPDATE bucket SET objects = objects + ?2, versions = versions + ?3,
                     bytes = bytes + ?4, upload_bytes = upload_bytes + ?5
                 WHERE number = ?1",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    Sql(bucket.number),
                    self.objects,
                    self.versions,
                    self.bytes,
                    self.upload_bytes
                ])
            })
            .during("tally")?;
        Ok(())
    }

    /// Whether the bucket may hold so much more; what shrinks it is always
    /// welcome.
    pub(super) fn fits(self, bucket: &Bucket) -> Result<(), Refusal> {
        let bytes = bucket.bytes.saturating_add(bucket.upload_bytes);
        let more = self.bytes.saturating_add(self.upload_bytes);
        let limits = [
            ("bytes", bytes, more, bucket.quota.bytes),
            (
                "objects",
                bucket.objects,
                self.objects,
                bucket.quota.objects,
            ),
        ];
        for (what, there, more, limit) in limits {
            let wanted = there.saturating_add_signed(more);
            if let Some(limit) = limit.filter(|limit| more > 0 && wanted > *limit) {
                return Err(Refusal::QuotaReached {
                    name: bucket.name.to_string(),
                    what,
                    wanted,
                    limit,
                });
            }
        }
        Ok(())
    }
}
