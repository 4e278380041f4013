//! Reading: nothing leaves without having been verified.

use std::{io, sync::Arc};

use bytes::Bytes;
use gridmart_fabric::{
    block::{
        CHUNK_BYTES, CHUNKS_MAX, FormatError, HEADER_BYTES, PREFIX_BYTES_MAX, Prefix, StripeBuffer,
    },
    disk::DiskFile,
};
use gridmart_schemas::id::BlockId;

use super::{
    Volume, VolumeError,
    index::{Entry, Place, State},
    record::{RECORD_HEADER_BYTES, RecordHeader, RecordKind},
};

/// Bytes of a chunk's hash in the table.
const HASH_BYTES: usize = (PREFIX_BYTES_MAX - HEADER_BYTES) / CHUNKS_MAX;
/// How often a block is looked up anew that was moved while it was read.
const LOOKUPS_MAX: u32 = 8;

/// A piece of a block, verified: header and table, and chunks of the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRange {
    /// Header and table.
    pub prefix: Prefix,
    /// Which chunk comes first.
    pub first_chunk: usize,
    /// The bytes of the chunks.
    pub payload: Bytes,
}

/// Why a read gave nothing.
#[derive(Debug)]
pub(super) enum ReadError {
    Range { there: usize },
    Damaged(String),
    Disk(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged("it is cut off".to_owned()),
            io::ErrorKind::NotFound => Self::Damaged("its file is gone".to_owned()),
            _ => Self::Disk(error),
        }
    }
}

impl From<FormatError> for ReadError {
    fn from(error: FormatError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// Where the parts of an encoded block of a known length are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) bytes: usize,
    pub(crate) chunks: usize,
    pub(crate) prefix: usize,
}

impl Layout {
    /// Every length is that of at most one block; whether it is one, its
    /// header tells.
    pub(crate) fn new(bytes: u32) -> Self {
        let bytes = bytes as usize;
        let after_header = bytes.saturating_sub(HEADER_BYTES);
        let chunks = after_header.div_ceil(CHUNK_BYTES + HASH_BYTES).max(1);
        Self {
            bytes,
            chunks,
            prefix: HEADER_BYTES + chunks * HASH_BYTES,
        }
    }

    /// Where a chunk begins in the encoded block, or the block ends.
    pub(crate) fn chunk_at(&self, chunk: usize) -> usize {
        (self.prefix + chunk.saturating_mul(CHUNK_BYTES)).min(self.bytes)
    }
}

fn read_piece(file: &dyn DiskFile, begin: usize, end: usize) -> io::Result<Bytes> {
    let bytes = end.saturating_sub(begin);
    let mut buffer = StripeBuffer::new(bytes);
    file.read_exact_at(&mut buffer, begin as u64)?;
    Ok(buffer.freeze(bytes))
}

impl Volume {
    /// Reads the chunks from `first` on, at most `chunks` of them, of a block;
    /// none of them with `chunks` 0: header and table alone.
    ///
    /// A block that is not what it was is set apart, and never served again.
    pub fn get(
        &self,
        id: &BlockId,
        first: usize,
        chunks: usize,
    ) -> Result<BlockRange, VolumeError> {
        for _ in 0..LOOKUPS_MAX {
            let entry = self.served(id)?;
            match self.read(id, entry, first, chunks) {
                Ok(range) => return Ok(range),
                Err(ReadError::Range { there }) => {
                    return Err(VolumeError::NoSuchChunk {
                        id: *id,
                        first,
                        there,
                    });
                }
                Err(ReadError::Damaged(reason)) => {
                    if self.quarantine(id, entry, &reason) {
                        return Err(VolumeError::Damaged { id: *id, reason });
                    }
                }
                Err(ReadError::Disk(error)) => {
                    if self.index.read().get(id) == Some(entry) {
                        return Err(self.unreadable(id, error));
                    }
                }
            }
        }
        let moved = io::Error::other("it was moved again and again while it was read; try again");
        Err(self.unreadable(id, moved))
    }

    fn unreadable(&self, id: &BlockId, error: io::Error) -> VolumeError {
        let path = self.folder.join(id.to_string());
        VolumeError::disk("reading block", path, error)
    }

    fn served(&self, id: &BlockId) -> Result<Entry, VolumeError> {
        let entry = self.index.read().get(id);
        match entry {
            Some(entry) if entry.state == State::Live => Ok(entry),
            Some(entry) if entry.state == State::Damaged => Err(VolumeError::Damaged {
                id: *id,
                reason: "it was found damaged before".to_owned(),
            }),
            _ => Err(VolumeError::NotFound(*id)),
        }
    }

    /// Reads and verifies a piece of a block from where the entry says.
    pub(super) fn read(
        &self,
        id: &BlockId,
        entry: Entry,
        first: usize,
        chunks: usize,
    ) -> Result<BlockRange, ReadError> {
        let layout = Layout::new(entry.bytes);
        if first >= layout.chunks && chunks > 0 {
            return Err(ReadError::Range {
                there: layout.chunks,
            });
        }
        let count = chunks.min(layout.chunks.saturating_sub(first));
        let (file, base) = self.open_place(id, entry)?;
        let (begin, end) = (layout.chunk_at(first), layout.chunk_at(first + count));
        let (head, payload) = if first == 0 {
            // One read, and no copy.
            let bytes = read_piece(&*file, base, base + end)?;
            let payload = bytes.slice(begin.min(bytes.len())..);
            (bytes, payload)
        } else {
            let head = read_piece(&*file, base, base + layout.prefix)?;
            (head, read_piece(&*file, base + begin, base + end)?)
        };
        let prefix = Prefix::parse(&head)?;
        let header = prefix.header();
        if header.id() != *id || header.encoded_bytes() != layout.bytes {
            return Err(ReadError::Damaged(format!(
                "block {} lies in its place",
                header.id()
            )));
        }
        prefix.verify_range(first, count, &payload)?;
        Ok(BlockRange {
            prefix,
            first_chunk: first,
            payload,
        })
    }

    fn open_place(&self, id: &BlockId, entry: Entry) -> io::Result<(Arc<dyn DiskFile>, usize)> {
        match entry.place {
            Place::File => Ok((self.files.reader(id, entry.bytes)?, 0)),
            Place::Segment { number, at } => {
                Ok((self.log.reader(number)?, at as usize + RECORD_HEADER_BYTES))
            }
        }
    }

    /// Sets a damaged block apart, if it still is what was read: it is never
    /// served from now on, also after a restart if the disk can note it.
    pub(super) fn quarantine(&self, id: &BlockId, entry: Entry, reason: &str) -> bool {
        let _claim = self.claims.take(*id);
        if self.index.read().get(id) != Some(entry) {
            return false;
        }
        tracing::error!(block.id = %id, reason, "a block is damaged and set apart");
        let mut damaged = Entry {
            state: State::Damaged,
            ..entry
        };
        let noted = match entry.place {
            Place::File => self
                .files
                .set_apart(id, entry.bytes)
                .map_err(|error| error.to_string()),
            Place::Segment { .. } => self
                .append_mark(*id, RecordKind::Damage)
                .map(|(place, _)| {
                    damaged.place = place;
                    damaged.bytes = 0;
                })
                .map_err(|error| error.to_string()),
        };
        if let Err(error) = noted {
            tracing::warn!(block.id = %id, error, "that a block is damaged is known until the next start only");
        }
        self.index.write().insert(*id, damaged);
        true
    }

    /// Appends a record without data. The block's claim is held.
    pub(super) fn append_mark(
        &self,
        id: BlockId,
        kind: RecordKind,
    ) -> Result<(Place, super::SegmentMark), VolumeError> {
        let header = RecordHeader { kind, id, bytes: 0 };
        let appended = self.log.append(&header, [&[], &[]])?;
        self.space.take(header.record_bytes());
        Ok(appended)
    }
}

#[cfg(test)]
mod tests {
    use gridmart_fabric::block::BLOCK_BYTES_MAX;

    use super::*;

    #[test]
    fn a_length_tells_where_the_parts_are() {
        for payload in [0, 1, 4096, CHUNK_BYTES, CHUNK_BYTES + 1, BLOCK_BYTES_MAX] {
            let chunks = payload.div_ceil(CHUNK_BYTES).max(1);
            let prefix = HEADER_BYTES + chunks * HASH_BYTES;
            let layout = Layout::new(u32::try_from(prefix + payload).unwrap());
            assert_eq!((layout.chunks, layout.prefix), (chunks, prefix));
            assert_eq!(layout.chunk_at(chunks), prefix + payload);
        }
    }
}
