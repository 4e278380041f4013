//! SDK ⇄ Host: the frames of a calls stream (`GET /v1/calls` on the Host's
//! door, upgraded to a WebSocket).
//!
//! Each binary WebSocket message carries one or more frames, so that an answer
//! is one write. A frame is a 9-byte header, kind (u8), channel (u32, little
//! endian), length of the payload (u32, little endian), then the payload: JSON
//! for the kinds that say so, bytes for the others.
//!
//! Flow control: on each channel a sender may have [`WINDOW_BYTES`] of stdin,
//! of stdout and of stderr (each by itself) on the way that the receiver has
//! not credited. Credited means consumed; a sender keeps what is not credited,
//! so that an attached channel can go on where it was cut.

use crate::problem::Problem;

/// Uncredited bytes that may be on the way, for each of stdin, stdout, stderr.
pub const WINDOW_BYTES: usize = 256 * 1024;
/// The most payload bytes of one frame.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
/// The most payload bytes of one data frame (Stdin, Stdout, Stderr).
pub const DATA_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 9;
/// A message is sent when it has grown to this size, or nothing more is ready.
pub const MESSAGE_BYTES_GOAL: usize = 64 * 1024;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $value:literal),+ $(,)?) => {
        /// What a frame is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$doc])* $variant = $value),+
        }

        impl Kind {
            /// Reads the byte of a header.
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($value => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

kinds! {
    /// SDK → Host, channel 0, JSON [`Attach`](super::call::Attach): first frame.
    Attach = 1,
    /// Host → SDK, channel 0, JSON [`Attached`](super::call::Attached).
    Attached = 2,
    /// SDK → Host, JSON [`CallOpen`](super::call::CallOpen): begin, or go on
    /// with, a call.
    Open = 3,
    /// SDK → Host, bytes.
    Stdin = 4,
    /// SDK → Host, empty: stdin ends here.
    StdinEnd = 5,
    /// Host → SDK, u32: so many bytes of stdin were consumed.
    StdinCredit = 6,
    /// Host → SDK, bytes.
    Stdout = 7,
    /// Host → SDK, bytes.
    Stderr = 8,
    /// SDK → Host, u32: so many bytes of stdout were consumed.
    StdoutCredit = 9,
    /// SDK → Host, u32: so many bytes of stderr were consumed.
    StderrCredit = 10,
    /// Host → SDK, JSON [`CallStarted`](super::call::CallStarted): accepted,
    /// or the process started. Not sent for parts of a map.
    Started = 11,
    /// Host → SDK, JSON [`CallEnd`](super::record::CallEnd): after the last
    /// byte of output. The SDK answers with `Close`.
    Ended = 12,
    /// Host → SDK, JSON [`Problem`]: the call (or, on channel 0, the stream)
    /// is refused.
    Refused = 13,
    /// SDK → Host, JSON [`CallCancel`](super::call::CallCancel): end the tree.
    Cancel = 14,
    /// SDK → Host, empty: the end has arrived and is kept; the Host forgets
    /// the call and its spooled output.
    Close = 15,
    /// Host → SDK, channel 0, JSON
    /// [`AccessQuestion`](super::staging::AccessQuestion): a bucket of a call's
    /// files is to be used.
    AccessQuestion = 16,
    /// SDK → Host, channel 0, JSON
    /// [`AccessAnswer`](super::staging::AccessAnswer).
    AccessAnswer = 17,
}

/// A frame as it was read; the payload borrows from the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: Kind,
    /// Which call; 0 is the stream itself.
    pub channel: u32,
    /// The payload.
    pub payload: &'a [u8],
}

/// A message that is not made of frames.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The message ends inside a frame.
    #[error("a frame ends after {0} bytes of its message")]
    Short(usize),
    /// Nobody knows that kind.
    #[error("frame kind {0} is unknown")]
    Kind(u8),
    /// Larger than allowed.
    #[error("a frame of {0} bytes is over the limit of {PAYLOAD_BYTES_MAX}")]
    Large(usize),
    /// The payload is not what its kind says.
    #[error("the payload of a frame of kind {0:?} cannot be read: {1}")]
    Payload(Kind, String),
}

impl From<FrameError> for Problem {
    fn from(error: FrameError) -> Self {
        let code = match error {
            FrameError::Kind(_) => crate::problem::Code::UnknownMessage,
            FrameError::Large(_) => crate::problem::Code::TooLarge,
            FrameError::Short(_) | FrameError::Payload(..) => crate::problem::Code::InvalidRequest,
        };
        Self::new(code, error.to_string())
    }
}

impl Frame<'_> {
    /// Reads a JSON payload.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, FrameError> {
        serde_json::from_slice(self.payload)
            .map_err(|e| FrameError::Payload(self.kind, e.to_string()))
    }

    /// Reads a credit's payload.
    pub fn credit(&self) -> Result<u32, FrameError> {
        let bytes = self
            .payload
            .try_into()
            .map_err(|_| FrameError::Payload(self.kind, "4 bytes are expected".to_owned()))?;
        Ok(u32::from_le_bytes(bytes))
    }
}

/// Appends one frame to a message. The payload is cut by nobody: callers keep
/// data frames within [`DATA_BYTES_MAX`].
pub fn push(message: &mut Vec<u8>, kind: Kind, channel: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    message.reserve(HEADER_BYTES + payload.len());
    message.push(kind as u8);
    message.extend_from_slice(&channel.to_le_bytes());
    message.extend_from_slice(&length.to_le_bytes());
    message.extend_from_slice(payload);
}

/// Appends one frame with a JSON payload.
pub fn push_json<T: serde::Serialize>(
    message: &mut Vec<u8>,
    kind: Kind,
    channel: u32,
    payload: &T,
) -> Result<(), serde_json::Error> {
    let start = message.len();
    push(message, kind, channel, &[]);
    serde_json::to_writer(&mut *message, payload)?;
    let length = u32::try_from(message.len() - start - HEADER_BYTES).unwrap_or(u32::MAX);
    message[start + 5..start + HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Reads the frames of one message, front to back.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
    read: usize,
}

impl<'a> Frames<'a> {
    /// Reads the frames of `message`.
    pub const fn of(message: &'a [u8]) -> Self {
        Self {
            rest: message,
            read: 0,
        }
    }

    fn take(&mut self) -> Result<Frame<'a>, FrameError> {
        let (header, rest) = self
            .rest
            .split_at_checked(HEADER_BYTES)
            .ok_or(FrameError::Short(self.read + self.rest.len()))?;
        let channel = u32::from_le_bytes([header[1], header[2], header[3], header[4]]);
        let length = u32::from_le_bytes([header[5], header[6], header[7], header[8]]) as usize;
        if length > PAYLOAD_BYTES_MAX {
            return Err(FrameError::Large(length));
        }
        let kind = Kind::from_byte(header[0]).ok_or(FrameError::Kind(header[0]))?;
        let (payload, rest) = rest
            .split_at_checked(length)
            .ok_or(FrameError::Short(self.read + self.rest.len()))?;
        self.rest = rest;
        self.read += HEADER_BYTES + length;
        Ok(Frame {
            kind,
            channel,
            payload,
        })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let frame = self.take();
        if frame.is_err() {
            self.rest = &[];
        }
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_may_carry_many_frames() {
        let mut message = Vec::new();
        push(&mut message, Kind::Stdout, 7, b"abc");
        push_json(
            &mut message,
            Kind::Cancel,
            8,
            &serde_json::json!({"by": "x"}),
        )
        .unwrap();
        push(&mut message, Kind::StdoutCredit, 9, &5u32.to_le_bytes());
        let frames: Vec<_> = Frames::of(&message).collect::<Result<_, _>>().unwrap();
        assert_eq!(
            frames[0],
            Frame {
                kind: Kind::Stdout,
                channel: 7,
                payload: b"abc"
            }
        );
        assert_eq!(frames[1].json::<serde_json::Value>().unwrap()["by"], "x");
        assert_eq!(frames[2].credit(), Ok(5));
    }

    #[test]
    fn a_cut_message_is_refused_once() {
        let mut message = Vec::new();
        push(&mut message, Kind::Stdout, 1, b"abcdef");
        message.truncate(message.len() - 1);
        let read: Vec<_> = Frames::of(&message).collect();
        assert_eq!(read, [Err(FrameError::Short(message.len()))]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut total = 0;
            for frame in Frames::of(&bytes) {
                match frame {
                    Ok(frame) => total += HEADER_BYTES + frame.payload.len(),
                    Err(_) => break,
                }
            }
            prop_assert!(total <= bytes.len());
        }
    }
}
