//! Deleting blocks.

use gridmart_schemas::id::BlockId;

use super::{
    Marks, Volume, VolumeError,
    index::{Entry, Place, State},
    record::RecordKind,
};

impl Volume {
    /// Deletes blocks; gives an answer for each. `Ok`: it is not there, and
    /// does not come back. Its room in a segment is free after compaction.
    pub fn delete(&self, ids: &[BlockId]) -> Vec<Result<(), VolumeError>> {
        let begun: Vec<_> = ids
            .iter()
            .map(|id| {
                let _claim = self.claims.take(*id);
                self.begin_delete(*id)
            })
            .collect();
        let ended = ids.iter().zip(begun).map(|(id, begun)| {
            let (marks, deleting) = begun?;
            self.settle(&marks)?;
            if let Some(deleting) = deleting {
                self.forget(*id, deleting);
            }
            Ok(())
        });
        ended.collect()
    }

    /// Writes what deletes a block, and serves it no more. The claim is held.
    pub(super) fn begin_delete(&self, id: BlockId) -> Result<(Marks, Option<Entry>), VolumeError> {
        let mut marks = Marks::default();
        let entry = self.index.read().get(&id);
        let Some(entry) = entry else {
            // An earlier deletion, or a put that failed, may not be durable.
            marks.folder = Some(self.files.mark(&id));
            if !self.log.in_doubt().is_empty() {
                self.standing.require()?;
                marks.segment = Some(self.append_mark(id, RecordKind::Tombstone)?.1);
                marks.is_change = true;
            }
            return Ok((marks, None));
        };
        self.standing.require()?;
        let deleting = Entry {
            state: State::Deleting,
            ..entry
        };
        self.index.write().insert(id, deleting);
        marks.is_change = true;
        match entry.place {
            Place::File => {
                self.files.remove(&id, entry.bytes).map_err(|error| {
                    let path = self.files.path(&id, entry.bytes);
                    let error = VolumeError::disk("removing block", path, error);
                    self.standing.on_failure(&error);
                    error
                })?;
                marks.folder = Some(self.files.mark(&id));
            }
            Place::Segment { .. } => {
                marks.segment = Some(self.append_mark(id, RecordKind::Tombstone)?.1);
            }
        }
        Ok((marks, Some(deleting)))
    }

    /// Its deletion is durable.
    fn forget(&self, id: BlockId, deleting: Entry) {
        let forgotten = self.index.write().replace(id, deleting, None);
        if forgotten && deleting.place == Place::File {
            self.space.release(deleting.bytes.into());
        }
    }

    /// The same where the claim is held.
    pub(super) fn forget_deleted(&self, id: BlockId) {
        let entry = self.index.read().get(&id);
        if let Some(entry) = entry.filter(|entry| entry.state == State::Deleting) {
            self.forget(id, entry);
        }
    }
}
