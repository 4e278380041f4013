//! Tunnels: plain bytes both ways over a connection between nodes, upgraded
//! from a request to a door.
//!
//! Through them a program reaches a Host that cannot be dialled: the Host dials
//! its Element, the program dials its Element, and the Element joins both. What
//! runs inside is a TLS connection of its own, so the Element carries bytes
//! that it can neither read nor change.
//!
//! Invariants: memory is bounded by two buffers per joint; an end of one side
//! is passed on to the other; a joint over which nothing moves comes to an end.

mod joint;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use gridmart_schemas::problem::Problem;
use hyper::upgrade::Upgraded;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use self::joint::{Carried, JointLimits, join};
use crate::{
    request::dial_tunnel,
    socket::parts_of,
    tls::{Channel, ClientTls, Expected},
};

/// The protocol's name in the upgrade.
pub(crate) const PROTOCOL: &str = "gridmart-tunnel";
/// What stands before a ticket in its header.
pub(crate) const TICKET_PREFIX: &str = "Bearer ";

/// Bytes that nobody can guess, to name a tunnel for one time.
pub fn secret() -> [u8; 16] {
    rand::random()
}

/// One end of a tunnel.
#[derive(Debug)]
pub struct Tunnel {
    channel: Channel,
    /// Read with the head of the request or answer.
    early: Bytes,
}

impl Tunnel {
    pub(crate) fn from_upgraded(upgraded: Upgraded) -> Result<Self, Problem> {
        let (channel, early) = parts_of(upgraded)?;
        Ok(Self { channel, early })
    }

    /// Dials the expected node, and asks for a tunnel at `path` of its door,
    /// with the ticket that it asks for, if it asks for one.
    pub async fn dial(
        endpoints: &[String],
        expected: Expected,
        tls: &ClientTls,
        path: &str,
        ticket: Option<&str>,
    ) -> Result<Self, Problem> {
        Box::pin(dial_tunnel(endpoints, expected, tls, path, ticket)).await
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.has_remaining() {
            let count = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early.split_to(count));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.channel).poll_read(context, buffer)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.channel).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.channel).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.channel.is_write_vectored()
    }
}
