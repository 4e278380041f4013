//! Putting blocks.

use gridmart_fabric::block::EncodedBlock;
use gridmart_schemas::id::BlockId;

use super::{
    FILE_PAYLOAD_BYTES_MIN, Marks, Volume, VolumeError,
    index::{Entry, Place, State},
    log::{Life, SegmentMark},
    read::ReadError,
    record::{RecordHeader, RecordKind},
};

/// Whether a block that is put is there already.
enum Presence {
    /// It has to be written.
    Absent,
    /// It is, whole, in a segment that may not be durable.
    InDoubt(Entry),
    /// It is; this is left to wait for.
    There(Marks),
}

impl Volume {
    /// Keeps blocks, which were verified when they were parsed; gives an answer
    /// for each. `Ok`: this very block is durable. All syncs are shared with
    /// other callers.
    pub fn put(&self, blocks: &[EncodedBlock]) -> Vec<Result<(), VolumeError>> {
        let written: Vec<_> = blocks.iter().map(|block| self.write(block)).collect();
        let settled = written.into_iter().map(|marks| self.settle(&marks?));
        settled.collect()
    }

    fn write(&self, block: &EncodedBlock) -> Result<Marks, VolumeError> {
        let header = block.prefix().header();
        let id = header.id();
        let bytes = u32::try_from(header.encoded_bytes()).unwrap_or(u32::MAX);
        let is_large = header.payload_bytes() >= FILE_PAYLOAD_BYTES_MIN;
        let _claim = self.claims.take(id);
        let in_doubt = match self.presence(block, bytes, is_large)? {
            Presence::There(marks) => return Ok(marks),
            Presence::InDoubt(entry) => Some(entry),
            Presence::Absent => None,
        };
        self.standing.require()?;
        if is_large {
            self.write_file(block, bytes)
        } else {
            self.write_record(block, bytes, in_doubt)
        }
    }

    /// Whether the block is there; makes way for it, if remains of it are in
    /// its way.
    fn presence(
        &self,
        block: &EncodedBlock,
        bytes: u32,
        is_large: bool,
    ) -> Result<Presence, VolumeError> {
        let id = block.prefix().header().id();
        let Some(entry) = self.index.read().get(&id) else {
            return Ok(Presence::Absent);
        };
        if entry.state == State::Live {
            match self.read(&id, entry, 0, usize::MAX) {
                Ok(there) if there.prefix.root() == block.prefix().root() => {
                    let marks = self.marks_of(&id, entry);
                    return Ok(marks.map_or(Presence::InDoubt(entry), Presence::There));
                }
                Ok(there) => {
                    return Err(VolumeError::Conflict {
                        id,
                        there: *there.prefix.root(),
                        offered: *block.prefix().root(),
                    });
                }
                Err(ReadError::Disk(error)) => {
                    let path = self.folder.join(id.to_string());
                    return Err(VolumeError::disk("reading block", path, error));
                }
                Err(ReadError::Damaged(reason)) => {
                    tracing::warn!(block.id = %id, reason, "a damaged block is replaced");
                }
                Err(ReadError::Range { .. }) => {}
            }
        }
        let is_file = entry.place == Place::File;
        if is_file != is_large || (is_file && entry.bytes != bytes) {
            // Two places of one id, and a restart could not tell them apart.
            let (marks, _) = self.begin_delete(id)?;
            self.settle(&marks)?;
            self.forget_deleted(id);
        }
        Ok(Presence::Absent)
    }

    /// What is not known to be durable of a block that is there; `None` if it
    /// has to be written again.
    fn marks_of(&self, id: &BlockId, entry: Entry) -> Option<Marks> {
        let Place::Segment { number, at } = entry.place else {
            return Some(Marks {
                folder: Some(self.files.mark(id)),
                ..Marks::default()
            });
        };
        match self.log.known(number)?.life {
            Life::Sealed => Some(Marks::default()),
            Life::Open(segment) => {
                let end = RecordHeader::data_at(at).saturating_add(entry.bytes);
                Some(Marks {
                    segment: Some(SegmentMark { segment, end }),
                    ..Marks::default()
                })
            }
            Life::Unsettled | Life::Unreadable => None,
        }
    }

    fn write_file(&self, block: &EncodedBlock, bytes: u32) -> Result<Marks, VolumeError> {
        let id = block.prefix().header().id();
        self.space.reserve(bytes.into())?;
        let mut entry = Entry {
            place: Place::File,
            bytes,
            state: State::Live,
        };
        if let Err(error) = self.files.write(block, bytes) {
            let error = VolumeError::disk("writing block", self.files.path(&id, bytes), error);
            self.standing.on_failure(&error);
            if self.files.remove(&id, bytes).is_ok() {
                self.space.release(bytes.into());
            } else {
                // It may be there: its next put or delete makes that clear.
                entry.state = State::Deleting;
                self.insert(id, entry);
            }
            return Err(error);
        }
        self.insert(id, entry);
        Ok(Marks {
            folder: Some(self.files.mark(&id)),
            is_change: true,
            ..Marks::default()
        })
    }

    fn write_record(
        &self,
        block: &EncodedBlock,
        bytes: u32,
        in_doubt: Option<Entry>,
    ) -> Result<Marks, VolumeError> {
        let header = RecordHeader {
            kind: RecordKind::Block,
            id: block.prefix().header().id(),
            bytes,
        };
        self.space.reserve(header.record_bytes())?;
        let (place, mark) = self
            .log
            .append(&header, [block.prefix().bytes(), block.payload()])
            .inspect_err(|_| self.space.release(header.record_bytes()))?;
        let entry = Entry {
            place,
            bytes,
            state: State::Live,
        };
        if in_doubt.is_none() {
            self.insert(header.id, entry);
        }
        Ok(Marks {
            segment: Some(mark),
            is_change: true,
            // Until the new one is durable the old one counts, which may be.
            moved: in_doubt.map(|before| (header.id, before, entry)),
            ..Marks::default()
        })
    }

    fn insert(&self, id: BlockId, entry: Entry) {
        let before = self.index.write().insert(id, entry);
        if let Some(before) = before
            && before.place == Place::File
        {
            self.space.release(before.bytes.into());
        }
    }
}
