//! A bound for the chunks of S3's own coding (`aws-chunked`): the S3 library
//! holds each chunk until its signature is verified, however large it says it is.

/// A chunk says to be larger than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkTooLarge;

/// The most bytes of the line before a chunk; longer ones are the library's to
/// refuse.
const LINE_BYTES_MAX: u32 = 1024;

/// Looks at the lines before chunks as they pass. What is no such coding at all is
/// left to the library.
#[derive(Debug)]
pub(super) struct ChunkBound {
    limit: u64,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// In the digits of a length.
    Length(u64),
    /// Behind them, up to the line's end.
    Line { length: u64, seen: u32 },
    /// In the chunk and the line end after it; so many bytes are left.
    Chunk(u64),
    /// After the last chunk, or in what is none.
    Over,
}

impl ChunkBound {
    pub(super) const fn new(limit: u64) -> Self {
        Self {
            limit,
            state: State::Length(0),
        }
    }

    /// Lets bytes pass.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Result<(), ChunkTooLarge> {
        while let Some((&byte, rest)) = bytes.split_first() {
            self.state = match self.state {
                State::Over => return Ok(()),
                State::Chunk(left) => {
                    let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = bytes.get(skipped..).unwrap_or_default();
                    let left = left - skipped as u64;
                    self.state = if left == 0 {
                        State::Length(0)
                    } else {
                        State::Chunk(left)
                    };
                    continue;
                }
                State::Length(length) => match char::from(byte).to_digit(16) {
                    Some(digit) => {
                        let length = length.saturating_mul(16).saturating_add(digit.into());
                        if length > self.limit {
                            return Err(ChunkTooLarge);
                        }
                        State::Length(length)
                    }
                    None => State::Line { length, seen: 0 }.after(byte),
                },
                line @ State::Line { .. } => line.after(byte),
            };
            bytes = rest;
        }
        Ok(())
    }
}

impl State {
    /// After a byte of a line.
    const fn after(self, byte: u8) -> Self {
        match self {
            Self::Line { length: 0, .. } if byte == b'\n' => Self::Over,
            // The chunk and `\r\n` after it.
            Self::Line { length, .. } if byte == b'\n' => Self::Chunk(length + 2),
            Self::Line { length, seen } if seen < LINE_BYTES_MAX => Self::Line {
                length,
                seen: seen + 1,
            },
            _ => Self::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn coded(chunks: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for length in chunks {
            bytes.extend(format!("{length:x};chunk-signature=00\r\n").into_bytes());
            bytes.extend(vec![b'f'; *length]);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0;chunk-signature=00\r\nx-amz-checksum-crc32:AAAA\r\n\r\n");
        bytes
    }

    proptest! {
        #[test]
        fn chunks_within_the_bound_pass_however_they_are_cut(
            chunks in proptest::collection::vec(1_usize..300, 0..6),
            cut in 1_usize..40,
            limit in 1_u64..300,
        ) {
            let mut bound = ChunkBound::new(limit);
            let outcome: Result<(), _> = coded(&chunks).chunks(cut).try_for_each(|bytes| bound.take(bytes));
            let fits = chunks.iter().all(|length| *length as u64 <= limit);
            prop_assert_eq!(outcome.is_ok(), fits);
        }

        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ChunkBound::new(100).take(&bytes);
        }
    }
}
