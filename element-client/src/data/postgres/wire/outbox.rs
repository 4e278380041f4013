//! Messages on their way out: gathered, and no more of them than a bound.

use std::{io, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

/// Bytes after which they are sent.
const GATHERED_BYTES: usize = 32 * 1024;
/// Whoever takes nothing for so long is put out.
const STALL_MAX: Duration = Duration::from_mins(10);

/// See the module.
pub(in crate::data::postgres) struct Outbox<W> {
    to: W,
    gathered: BytesMut,
}

impl<W: AsyncWrite + Unpin> Outbox<W> {
    pub(in crate::data::postgres) fn new(to: W) -> Self {
        Self {
            to,
            gathered: BytesMut::new(),
        }
    }

    /// Where messages are put, in order.
    pub(in crate::data::postgres) const fn messages(&mut self) -> &mut BytesMut {
        &mut self.gathered
    }

    /// Sends what is gathered, if that is much.
    pub(in crate::data::postgres) async fn relieve(&mut self) -> io::Result<()> {
        if self.gathered.len() < GATHERED_BYTES {
            return Ok(());
        }
        self.flush().await
    }

    /// Sends what is gathered.
    pub(in crate::data::postgres) async fn flush(&mut self) -> io::Result<()> {
        while !self.gathered.is_empty() {
            let writing = self.to.write_buf(&mut self.gathered);
            if timeout(STALL_MAX, writing).await?? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        timeout(STALL_MAX, self.to.flush()).await??;
        if self.gathered.capacity() > 4 * GATHERED_BYTES {
            self.gathered = BytesMut::new();
        }
        Ok(())
    }

    /// What the messages go to; what is gathered is lost.
    pub(in crate::data::postgres) fn into_inner(self) -> W {
        self.to
    }
}
