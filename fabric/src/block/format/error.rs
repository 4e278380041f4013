//! What can be wrong with a block.

use gridmart_schemas::{
    id::BlockId,
    problem::{Code, Problem},
};

/// Why bytes are not the block that they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// There are fewer bytes than the block needs.
    #[error("{found} bytes are too few for a block: it needs {needed}")]
    Short {
        /// Bytes that are there.
        found: usize,
        /// Bytes that it needs.
        needed: usize,
    },
    /// They do not begin as blocks do.
    #[error("this is no block: it does not begin with GMBLOCK1")]
    Magic,
    /// The header is not what its check says.
    #[error("a block's header is damaged; read another copy or rebuild it from other positions")]
    HeaderDamaged,
    /// A newer node wrote it.
    #[error("a block is of format {0}, this node knows format 1; update this node")]
    Newer(u16),
    /// A field has a value that no writer gives it.
    #[error("a block's header has {value} for its {field}, which no block has")]
    Field {
        /// The field.
        field: &'static str,
        /// What stands there.
        value: u64,
    },
    /// The table, or the identity in the header, is not what the root says.
    #[error("the table of block {0} is damaged; read another copy or rebuild it")]
    TableDamaged(BlockId),
    /// It is whole, but not what was asked for.
    #[error("block {0} has another root than its stripe was written with; rebuild it")]
    Foreign(BlockId),
    /// A chunk is not what the table says.
    #[error("chunk {chunk} of block {id} is damaged; read another copy or rebuild it")]
    ChunkDamaged {
        /// The block.
        id: BlockId,
        /// The chunk's number, from 0.
        chunk: usize,
    },
    /// The payload, or a piece of it, is not as long as the header says.
    #[error("{found} bytes of payload of block {id} came, {expected} belong there")]
    PayloadLength {
        /// The block.
        id: BlockId,
        /// Bytes that came.
        found: usize,
        /// Bytes that belong there.
        expected: usize,
    },
}

impl From<FormatError> for Problem {
    fn from(error: FormatError) -> Self {
        let code = match error {
            FormatError::Magic | FormatError::Field { .. } | FormatError::Short { .. } => {
                Code::InvalidRequest
            }
            FormatError::Newer(_) => Code::VersionUnsupported,
            FormatError::HeaderDamaged
            | FormatError::TableDamaged(_)
            | FormatError::Foreign(_)
            | FormatError::ChunkDamaged { .. }
            | FormatError::PayloadLength { .. } => Code::DigestMismatch,
        };
        let text = error.to_string();
        let mut letters = text.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        Self::new(
            code,
            first
                .into_iter()
                .chain(letters)
                .chain(['.'])
                .collect::<String>(),
        )
    }
}
