//! The answer to `POST /v1/blocks/read`: a frame for each read, in their order.
//!
//! A frame is a kind and the length of what follows (4 bytes each,
//! little-endian), and that: header, table and the chunks asked for, or a
//! problem as JSON.

use bytes::Bytes;
use gridmart_schemas::problem::{Code, Problem};

use super::{BLOCK_BYTES_MAX, PREFIX_BYTES_MAX};

/// Bytes before the content of a frame.
pub const FRAME_HEADER_BYTES: usize = 8;
/// The most bytes of a problem.
const PROBLEM_BYTES_MAX: usize = 64 * 1024;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Header, table and chunks.
    Block,
    /// Why there are none.
    Problem,
}

impl FrameKind {
    const fn bytes_max(self) -> usize {
        match self {
            Self::Block => PREFIX_BYTES_MAX + BLOCK_BYTES_MAX,
            Self::Problem => PROBLEM_BYTES_MAX,
        }
    }
}

/// What stands before so many bytes of content.
pub fn frame_header(kind: FrameKind, length: usize) -> [u8; FRAME_HEADER_BYTES] {
    let kind = match kind {
        FrameKind::Block => 1,
        FrameKind::Problem => 2,
    };
    // Content has a few MiB at most.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    (u64::from(length) << 32 | kind).to_le_bytes()
}

/// The kind of a frame and the length of its content.
pub fn frame_of(header: [u8; FRAME_HEADER_BYTES]) -> Result<(FrameKind, usize), Problem> {
    let refused = |what: String| {
        Problem::new(
            Code::Unavailable,
            format!("The answer is not of its form: {what}."),
        )
    };
    let header = u64::from_le_bytes(header);
    let kind = match header & u64::from(u32::MAX) {
        1 => FrameKind::Block,
        2 => FrameKind::Problem,
        other => return Err(refused(format!("it has a frame of kind {other}"))),
    };
    let length = usize::try_from(header >> 32).unwrap_or(usize::MAX);
    if length > kind.bytes_max() {
        return Err(refused(format!("it has a frame of {length} bytes")));
    }
    Ok((kind, length))
}

/// What a frame's content says: bytes of a block, or why there are none.
pub(super) fn content(kind: FrameKind, bytes: Bytes) -> Result<Bytes, Problem> {
    match kind {
        FrameKind::Block => Ok(bytes),
        FrameKind::Problem => Err(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            Problem::new(
                Code::Unavailable,
                format!("The answer has a problem that cannot be read: {error}."),
            )
        })),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_read_back_within_their_bounds() {
        for kind in [FrameKind::Block, FrameKind::Problem] {
            for length in [0, 1, kind.bytes_max()] {
                assert_eq!(frame_of(frame_header(kind, length)), Ok((kind, length)));
            }
            assert!(frame_of(frame_header(kind, kind.bytes_max() + 1)).is_err());
            assert!(frame_of(frame_header(kind, usize::MAX)).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(header in any::<[u8; FRAME_HEADER_BYTES]>()) {
            if let Ok((kind, length)) = frame_of(header) {
                prop_assert_eq!(frame_header(kind, length), header);
            }
        }
    }
}
