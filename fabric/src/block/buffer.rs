//! Memory for whole stripes, taken from the system and given back to it.
//!
//! The allocator keeps what large pieces leave behind, in each of its arenas:
//! after some stripes on many threads that is many times what is in use. A
//! buffer here is the system's again once it is dropped; a few are kept for
//! the next ones, since fresh pages cost time.

use std::ops::{Deref, DerefMut};

use bytes::Bytes;
use memmap2::MmapMut;
use parking_lot::Mutex;

/// Smaller ones are the allocator's.
const MAPPED_BYTES_MIN: usize = 1024 * 1024;
/// Bytes of buffers that nobody has, and that are kept for the next.
const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;

static KEPT: Mutex<Vec<MmapMut>> = Mutex::new(Vec::new());

/// So many bytes, whatever stands in them.
#[derive(Debug)]
pub struct StripeBuffer {
    memory: Memory,
    length: usize,
}

#[derive(Debug)]
enum Memory {
    Allocated(Vec<u8>),
    /// Taken at the end only.
    Mapped(Option<MmapMut>),
}

impl StripeBuffer {
    /// A buffer of so many bytes. Pages that are never written take no memory.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let mapped = if bytes < MAPPED_BYTES_MIN {
            None
        } else {
            kept(bytes).or_else(|| MmapMut::map_anon(bytes).ok())
        };
        Self {
            memory: mapped.map_or_else(
                || Memory::Allocated(vec![0; bytes]),
                |map| Memory::Mapped(Some(map)),
            ),
            length: bytes,
        }
    }

    /// The first bytes, which have been written, for sharing.
    #[must_use]
    pub fn freeze(mut self, bytes: usize) -> Bytes {
        self.length = self.length.min(bytes);
        match &mut self.memory {
            Memory::Allocated(bytes) => {
                bytes.truncate(self.length);
                std::mem::take(bytes).into()
            }
            Memory::Mapped(_) if self.length < MAPPED_BYTES_MIN => Bytes::copy_from_slice(&self),
            Memory::Mapped(_) => Bytes::from_owner(self),
        }
    }
}

impl Deref for StripeBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let whole: &[u8] = match &self.memory {
            Memory::Allocated(bytes) => bytes,
            Memory::Mapped(map) => map.as_deref().unwrap_or_default(),
        };
        &whole[..self.length]
    }
}

impl DerefMut for StripeBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        let whole: &mut [u8] = match &mut self.memory {
            Memory::Allocated(bytes) => bytes,
            Memory::Mapped(map) => map.as_deref_mut().unwrap_or_default(),
        };
        &mut whole[..self.length]
    }
}

impl AsRef<[u8]> for StripeBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for StripeBuffer {
    fn drop(&mut self) {
        if let Memory::Mapped(map) = &mut self.memory
            && let Some(map) = map.take()
        {
            keep(map);
        }
    }
}

/// One of those that are kept, which has room and is not much too large.
fn kept(bytes: usize) -> Option<MmapMut> {
    let mut kept = KEPT.lock();
    let fits = |map: &MmapMut| (bytes..=2 * bytes).contains(&map.len());
    let place = kept.iter().position(fits)?;
    Some(kept.swap_remove(place))
}

fn keep(map: MmapMut) {
    let mut kept = KEPT.lock();
    let held: usize = kept.iter().map(|map| map.len()).sum();
    if held + map.len() <= KEPT_BYTES_MAX {
        kept.push(map);
    } else {
        // Giving it back takes its time.
        drop(kept);
        drop(map);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn held() -> usize {
        KEPT.lock().iter().map(|map| map.len()).sum()
    }

    #[test]
    fn a_buffer_has_its_bytes_and_shares_what_was_written() {
        for bytes in [0, 1, MAPPED_BYTES_MIN - 1, MAPPED_BYTES_MIN, 5 * MIB + 3] {
            for written in [0, 1, bytes / 2, bytes] {
                let written = written.min(bytes);
                let mut buffer = StripeBuffer::new(bytes);
                assert_eq!(buffer.len(), bytes);
                buffer[..written].fill(7);
                let shared = buffer.freeze(written);
                assert_eq!(shared.len(), written);
                assert!(shared.iter().all(|byte| *byte == 7));
            }
        }
    }

    #[test]
    fn what_is_kept_for_the_next_is_bounded() {
        let many: Vec<Bytes> = (0..8)
            .map(|_| StripeBuffer::new(16 * MIB).freeze(16 * MIB))
            .collect();
        assert!(many.iter().all(|bytes| bytes.len() == 16 * MIB));
        drop(many);
        assert!(held() <= KEPT_BYTES_MAX, "{}", held());
    }
}
