//! Readers and writers that count: where a limit is passed, reading stops.

use std::io::{self, Read, Write};

/// Fails once more than `left` bytes were read, so that neither an endless
/// upload nor a compression bomb is followed to its end.
pub(super) struct BoundedReader<R> {
    inner: R,
    left: u64,
    exceeded: bool,
}

impl<R> BoundedReader<R> {
    pub(super) const fn new(inner: R, bytes_max: u64) -> Self {
        Self {
            inner,
            left: bytes_max,
            exceeded: false,
        }
    }

    pub(super) const fn exceeded(&self) -> bool {
        self.exceeded
    }

    pub(super) const fn inner(&self) -> &R {
        &self.inner
    }
}

impl<R: Read> Read for BoundedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            // One byte more tells "ends exactly here" from "goes on".
            if self.inner.read(&mut buffer[..1])? == 0 {
                return Ok(0);
            }
            self.exceeded = true;
            return Err(io::Error::other("the limit is passed"));
        }
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = self.inner.read(&mut buffer[..most])?;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

/// Hashes and counts what passes.
pub(super) struct HashingWriter<W> {
    inner: W,
    hasher: blake3::Hasher,
    written: u64,
}

impl<W> HashingWriter<W> {
    pub(super) fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: blake3::Hasher::new(),
            written: 0,
        }
    }

    pub(super) fn finish(self) -> (W, [u8; 32], u64) {
        (self.inner, *self.hasher.finalize().as_bytes(), self.written)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
