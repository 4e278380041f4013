//! WebSockets over channels: made alike on both ends, with bounded messages.

use std::sync::Arc;

use bytes::Bytes;
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::{MESSAGE_BYTES_MAX, frame},
};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{Role, WebSocketConfig},
};

use crate::{intake::Meter, tls::Channel};

/// The bounds of one WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketLimits {
    /// The most bytes of a message that comes in.
    pub message_bytes: usize,
    /// Bytes that are read at a time; allocated as long as the socket lives.
    pub read_buffer_bytes: usize,
    /// Bytes of one message that count against nobody; what a program sends
    /// above them has to find room at the door.
    pub free_bytes: usize,
    /// The most bytes of a program before its first message is whole: whoever
    /// comes may send them, and has shown nothing yet.
    pub opening_bytes: usize,
}

impl SocketLimits {
    /// For envelopes (control and queue streams).
    pub const ENVELOPES: Self = Self {
        message_bytes: MESSAGE_BYTES_MAX,
        read_buffer_bytes: 8 * 1024,
        free_bytes: 64 * 1024,
        opening_bytes: MESSAGE_BYTES_MAX,
    };
    /// For frames (calls streams): one frame of the largest size beside a
    /// message of the goal's.
    pub const FRAMES: Self = Self {
        message_bytes: 2 * (frame::PAYLOAD_BYTES_MAX + frame::MESSAGE_BYTES_GOAL),
        read_buffer_bytes: 32 * 1024,
        free_bytes: 256 * 1024,
        // An attach, what travels in one message with it, and what was read
        // behind them.
        opening_bytes: 2 * frame::MESSAGE_BYTES_GOAL,
    };

    /// For envelopes, of which the largest may have so many bytes.
    pub const fn envelopes(message_bytes: usize) -> Self {
        Self {
            message_bytes,
            ..Self::ENVELOPES
        }
    }

    fn config(self) -> WebSocketConfig {
        WebSocketConfig::default()
            .read_buffer_size(self.read_buffer_bytes)
            // Reached only within one message: each batch is flushed.
            .write_buffer_size(self.read_buffer_bytes)
            .max_message_size(Some(self.message_bytes))
            .max_frame_size(Some(self.message_bytes))
    }
}

/// A WebSocket to another node or program.
pub struct Socket {
    pub(crate) stream: WebSocketStream<Channel>,
    pub(crate) meter: Option<Arc<Meter>>,
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Socket")
    }
}

impl Socket {
    pub(crate) async fn from_upgraded(
        upgraded: Upgraded,
        role: Role,
        limits: SocketLimits,
    ) -> Result<Self, Problem> {
        let (mut channel, read) = parts_of(upgraded)?;
        let meter = channel.measure(limits);
        let config = Some(limits.config());
        let stream =
            WebSocketStream::from_partially_read(channel, read.to_vec(), role, config).await;
        Ok(Self { stream, meter })
    }
}

/// The connection under an upgrade, and what was read of it already.
pub(crate) fn parts_of(upgraded: Upgraded) -> Result<(Channel, Bytes), Problem> {
    let parts = upgraded.downcast::<TokioIo<Channel>>().map_err(|_| {
        Problem::new(
            Code::Internal,
            "A stream was upgraded on a foreign connection.",
        )
    })?;
    Ok((parts.io.into_inner(), parts.read_buf))
}
