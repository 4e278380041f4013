//! What programs have sent and nobody has handled yet: bounded for all streams
//! of a door together, or a thousand unfinished messages would be its memory.
//!
//! Each stream has something free, which is enough for what programs send;
//! what is above it counts against the door until the message is handled. What
//! a stream begins with says who comes: until that is whole, nobody's bytes are
//! worth much work.

use std::{io, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::socket::SocketLimits;

/// Bytes are taken from the door by pieces.
const PIECE_BYTES: usize = 64 * 1024;
/// Header and mask of a control frame of a program.
const CONTROL_HEADER_BYTES: usize = 6;

/// What a door has for all of its streams, in pieces.
#[derive(Clone, Debug)]
pub(crate) struct Intake(Arc<Semaphore>);

impl Intake {
    /// Makes one of about so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.div_ceil(PIECE_BYTES))))
    }

    /// Measures one more stream.
    pub(crate) fn meter(&self, limits: SocketLimits) -> Arc<Meter> {
        Arc::new(Meter {
            intake: Arc::clone(&self.0),
            limits,
            pending: Mutex::new(Pending::default()),
        })
    }
}

/// Measures what comes in on one stream.
#[derive(Debug)]
pub(crate) struct Meter {
    intake: Arc<Semaphore>,
    limits: SocketLimits,
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    bytes: usize,
    /// A message was whole: the stream has begun.
    has_begun: bool,
    held: Option<OwnedSemaphorePermit>,
}

impl Meter {
    /// So many bytes came in. Fails when the door has no room for them, or when
    /// a stream begins with more than it may.
    pub(crate) fn on_bytes(&self, bytes: usize) -> io::Result<()> {
        let mut pending = self.pending.lock();
        pending.bytes = pending.bytes.saturating_add(bytes);
        if !pending.has_begun && pending.bytes > self.limits.opening_bytes {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the first message of a stream is not so long",
            ));
        }
        let over = pending.bytes.saturating_sub(self.limits.free_bytes);
        let wanted = over.div_ceil(PIECE_BYTES);
        let held = pending
            .held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let Some(missing) = wanted.checked_sub(held).filter(|missing| *missing > 0) else {
            return Ok(());
        };
        let more = u32::try_from(missing)
            .ok()
            .and_then(|missing| {
                Arc::clone(&self.intake)
                    .try_acquire_many_owned(missing)
                    .ok()
            })
            .ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::OutOfMemory,
                    "the door has no room for a message of this size now",
                )
            })?;
        match pending.held.as_mut() {
            Some(held) => held.merge(more),
            None => pending.held = Some(more),
        }
        Ok(())
    }

    /// A ping or pong of so many bytes was among them: it may come in the middle
    /// of a message, and is no part of it.
    pub(crate) fn on_control(&self, payload_bytes: usize) {
        let mut pending = self.pending.lock();
        pending.bytes = pending
            .bytes
            .saturating_sub(payload_bytes + CONTROL_HEADER_BYTES);
    }

    /// A message is whole. What it holds is given back when that is dropped.
    pub(crate) fn on_message(&self) -> Option<OwnedSemaphorePermit> {
        let mut pending = self.pending.lock();
        pending.bytes = 0;
        pending.has_begun = true;
        pending.held.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(opening_bytes: usize) -> SocketLimits {
        SocketLimits {
            free_bytes: PIECE_BYTES,
            opening_bytes,
            ..SocketLimits::FRAMES
        }
    }

    #[test]
    fn a_stream_begins_with_a_short_message() {
        let intake = Intake::new(4 * PIECE_BYTES);
        let meter = intake.meter(limits(1000));
        meter.on_bytes(600).unwrap();
        let refused = meter.on_bytes(401).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        let meter = intake.meter(limits(1000));
        meter.on_bytes(1000).unwrap();
        meter.on_message();
        meter.on_bytes(PIECE_BYTES).unwrap();
    }

    #[test]
    fn streams_share_what_is_above_their_own() {
        let intake = Intake::new(4 * PIECE_BYTES);
        let [one, other] = [(), ()].map(|()| intake.meter(limits(usize::MAX)));
        for meter in [&one, &other] {
            meter.on_bytes(PIECE_BYTES).unwrap();
        }
        assert_eq!(intake.0.available_permits(), 4, "free so far");
        one.on_bytes(3 * PIECE_BYTES).unwrap();
        other.on_bytes(1).unwrap();
        assert!(other.on_bytes(PIECE_BYTES).is_err());
        let work = one.on_message();
        one.on_bytes(PIECE_BYTES).unwrap();
        assert!(other.on_bytes(1).is_err(), "not handled yet");
        drop(work);
        other.on_bytes(1).unwrap();
        // Pings in the middle of a message neither add to it nor hide it.
        other.on_bytes(CONTROL_HEADER_BYTES + 9).unwrap();
        other.on_control(9);
        assert_eq!(other.pending.lock().bytes, 2 * PIECE_BYTES + 3);
        drop((one, other));
        assert_eq!(intake.0.available_permits(), 4);
    }
}
