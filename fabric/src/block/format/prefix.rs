//! Header and table together: what a block's content is judged by.

use bytes::Bytes;
use gridmart_schemas::storage::BlockRoot;

use super::{BlockHeader, FormatError};
use crate::block::{CHUNK_BYTES, HASH_BYTES, HEADER_BYTES};

const ROOT_CONTEXT: &str = "gridmart block root 1";

/// What stands before a block's payload. Clones share the bytes.
///
/// Invariant: header, table and root agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    header: BlockHeader,
    root: BlockRoot,
    bytes: Bytes,
}

fn root_of(header: &BlockHeader, table: &[u8]) -> BlockRoot {
    let mut hasher = blake3::Hasher::new_derive_key(ROOT_CONTEXT);
    hasher.update(&header.fields());
    hasher.update(table);
    BlockRoot::new(*hasher.finalize().as_bytes())
}

impl Prefix {
    /// Reads the prefix that `bytes` begin with; what comes after it is left
    /// alone, and what `bytes` hold on to is shared.
    pub fn parse(bytes: &Bytes) -> Result<Self, FormatError> {
        let (header, root) = BlockHeader::parse(bytes)?;
        let needed = header.prefix_bytes();
        let table = bytes
            .get(HEADER_BYTES..needed)
            .ok_or_else(|| FormatError::Short {
                found: bytes.len(),
                needed,
            })?;
        if root_of(&header, table) != root {
            return Err(FormatError::TableDamaged(header.id()));
        }
        Ok(Self {
            header,
            root,
            bytes: bytes.slice(..needed),
        })
    }

    /// The same, of the very block whose root is known.
    pub fn parse_expected(bytes: &Bytes, root: &BlockRoot) -> Result<Self, FormatError> {
        let prefix = Self::parse(bytes)?;
        if prefix.root != *root {
            return Err(FormatError::Foreign(prefix.header.id()));
        }
        Ok(prefix)
    }

    /// What the block is.
    pub const fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// What binds its identity, position and content.
    pub const fn root(&self) -> &BlockRoot {
        &self.root
    }

    /// The bytes, as they are stored and sent.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Verifies the whole payload.
    pub fn verify(&self, payload: &[u8]) -> Result<(), FormatError> {
        self.verify_range(0, self.header.chunks(), payload)
    }

    /// Verifies the bytes of the chunks from `first` on, `chunks` of them. The
    /// last chunk of the block may be among them, none behind it.
    pub fn verify_range(
        &self,
        first: usize,
        chunks: usize,
        bytes: &[u8],
    ) -> Result<(), FormatError> {
        let id = self.header.id();
        let expected = self.header.range_bytes(first, chunks);
        let inside = first
            .checked_add(chunks)
            .is_some_and(|end| end <= self.header.chunks());
        if bytes.len() != expected || !inside {
            return Err(FormatError::PayloadLength {
                id,
                found: bytes.len(),
                expected,
            });
        }
        let (hashes, _) = self.bytes[HEADER_BYTES..].as_chunks::<HASH_BYTES>();
        let mut rest = bytes;
        for (chunk, hash) in hashes.iter().enumerate().skip(first).take(chunks) {
            let (piece, after) = rest.split_at(rest.len().min(CHUNK_BYTES));
            if blake3::hash(piece) != *hash {
                return Err(FormatError::ChunkDamaged { id, chunk });
            }
            rest = after;
        }
        Ok(())
    }
}

/// A whole block. Clones share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedBlock {
    prefix: Prefix,
    payload: Bytes,
}

impl EncodedBlock {
    /// Makes the block of its payload, which is hashed and not copied.
    pub fn seal(header: BlockHeader, payload: Bytes) -> Result<Self, FormatError> {
        if payload.len() != header.payload_bytes() {
            return Err(FormatError::PayloadLength {
                id: header.id(),
                found: payload.len(),
                expected: header.payload_bytes(),
            });
        }
        let mut bytes = Vec::with_capacity(header.prefix_bytes());
        bytes.extend_from_slice(&[0; HEADER_BYTES]);
        let mut rest: &[u8] = &payload;
        for _ in 0..header.chunks() {
            let (piece, after) = rest.split_at(rest.len().min(CHUNK_BYTES));
            bytes.extend_from_slice(blake3::hash(piece).as_bytes());
            rest = after;
        }
        let root = root_of(&header, &bytes[HEADER_BYTES..]);
        bytes[..HEADER_BYTES].copy_from_slice(&header.encode(&root));
        let prefix = Prefix {
            header,
            root,
            bytes: bytes.into(),
        };
        Ok(Self { prefix, payload })
    }

    /// The same payload as the block of another position, as replicas have it;
    /// nothing is hashed again but the root.
    pub fn copy_at(&self, position: u8) -> Result<Self, FormatError> {
        let header = BlockHeader::new(*self.prefix.header.identity(), position)?;
        let mut bytes = self.prefix.bytes.to_vec();
        let root = root_of(&header, &bytes[HEADER_BYTES..]);
        bytes[..HEADER_BYTES].copy_from_slice(&header.encode(&root));
        Ok(Self {
            prefix: Prefix {
                header,
                root,
                bytes: bytes.into(),
            },
            payload: self.payload.clone(),
        })
    }

    /// Reads the block that `bytes` begin with, and verifies all of it; gives
    /// what comes after it, too. Nothing is copied.
    pub fn parse(bytes: &Bytes) -> Result<(Self, Bytes), FormatError> {
        let prefix = Prefix::parse(bytes)?;
        let (begin, end) = (prefix.bytes.len(), prefix.header.encoded_bytes());
        if bytes.len() < end {
            return Err(FormatError::Short {
                found: bytes.len(),
                needed: end,
            });
        }
        let payload = bytes.slice(begin..end);
        prefix.verify(&payload)?;
        Ok((Self { prefix, payload }, bytes.slice(end..)))
    }

    /// Header and table.
    pub const fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// The payload.
    pub const fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Takes it apart into header with table, and payload: one after the
    /// other they are the block's bytes.
    pub fn into_parts(self) -> (Prefix, Bytes) {
        (self.prefix, self.payload)
    }
}
