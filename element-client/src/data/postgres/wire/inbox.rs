//! Messages as they come.

use std::{io, sync::Arc, time::Duration};

use bytes::BytesMut;
use gridmart_schemas::wire::data::{ROW_BYTES_MAX, STATEMENT_BYTES_MAX};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    fields::Malformed,
    frontend::{First, Message},
};

/// Bytes of a message of a session: a statement's text, or its values as text.
const MESSAGE_BYTES_MAX: usize = 2 * ROW_BYTES_MAX + STATEMENT_BYTES_MAX;
/// Bytes of a message of somebody who has not signed in.
const STRANGER_BYTES_MAX: usize = 8 * 1024;
/// A message that has begun has to be whole by then.
const MESSAGE_TIME: Duration = Duration::from_mins(1);
/// Messages up to so many bytes weigh nothing.
const LIGHT_BYTES: usize = 32 * 1024;
/// Kibibytes of the messages of all connections, as far as they weigh.
const WEIGHT_MAX: usize = 192 * 1024;

/// Why no message comes any more.
#[derive(Debug, thiserror::Error)]
pub(in crate::data::postgres) enum WireError {
    /// The connection.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It has too many bytes.
    #[error("a message of {bytes} bytes: at most {most} are taken")]
    TooLarge {
        /// As it says.
        bytes: usize,
        /// The bound.
        most: usize,
    },
    /// It is not whole in time.
    #[error("a message did not come to its end in time")]
    TooSlow,
}

/// Bounds what large messages of all connections take together.
#[derive(Clone, Debug)]
pub(in crate::data::postgres) struct Weigh(Arc<Semaphore>);

impl Default for Weigh {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(WEIGHT_MAX)))
    }
}

/// What a message weighs, as long as it is held.
pub(in crate::data::postgres) type Weight = Option<OwnedSemaphorePermit>;

impl Weigh {
    async fn take(&self, bytes: usize) -> Result<Weight, WireError> {
        if bytes <= LIGHT_BYTES {
            return Ok(None);
        }
        // As read, and as its fields.
        let weight = u32::try_from(2 * bytes / 1024).unwrap_or(u32::MAX);
        let taking = Arc::clone(&self.0).acquire_many_owned(weight);
        match timeout(MESSAGE_TIME, taking).await {
            Ok(Ok(weight)) => Ok(Some(weight)),
            _ => Err(WireError::TooSlow),
        }
    }
}

/// See the module.
pub(in crate::data::postgres) struct Inbox<R> {
    from: R,
    weigh: Weigh,
}

impl<R: AsyncRead + Unpin> Inbox<R> {
    pub(in crate::data::postgres) const fn new(from: R, weigh: Weigh) -> Self {
        Self { from, weigh }
    }

    /// What the messages come from; nothing was read ahead of it.
    pub(in crate::data::postgres) fn into_inner(self) -> R {
        self.from
    }

    /// The first message. The caller sets its time.
    pub(in crate::data::postgres) async fn first(&mut self) -> Result<First, WireError> {
        let length = self.from.read_u32().await?;
        let bytes = length_of(length, STRANGER_BYTES_MAX)?;
        let body = self.body(bytes).await?;
        Ok(First::read(&body)?)
    }

    /// A message of somebody who has not signed in. The caller sets its time.
    pub(in crate::data::postgres) async fn early(&mut self) -> Result<Message, WireError> {
        let kind = self.from.read_u8().await?;
        let bytes = length_of(self.from.read_u32().await?, STRANGER_BYTES_MAX)?;
        let body = self.body(bytes).await?;
        Ok(Message::read(kind, &body)?)
    }

    /// The next message; `None` at the end of the connection.
    pub(in crate::data::postgres) async fn next(
        &mut self,
    ) -> Result<Option<(Message, Weight)>, WireError> {
        let kind = match self.from.read_u8().await {
            Ok(kind) => kind,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let whole = async {
            let bytes = length_of(self.from.read_u32().await?, MESSAGE_BYTES_MAX)?;
            let weight = self.weigh.take(bytes).await?;
            let body = self.body(bytes).await?;
            Ok((Message::read(kind, &body)?, weight))
        };
        match timeout(MESSAGE_TIME, whole).await {
            Ok(read) => read.map(Some),
            Err(_) => Err(WireError::TooSlow),
        }
    }

    async fn body(&mut self, bytes: usize) -> Result<Vec<u8>, WireError> {
        let mut body = Vec::with_capacity(bytes.min(LIGHT_BYTES));
        // It grows with what comes, not with what was announced.
        let mut rest = (&mut self.from).take(bytes as u64);
        if rest.read_to_end(&mut body).await? < bytes {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(body)
    }
}

/// Bytes that follow a length, which counts itself.
fn length_of(told: u32, most: usize) -> Result<usize, WireError> {
    let bytes = usize::try_from(told)
        .ok()
        .and_then(|told| told.checked_sub(4))
        .ok_or(Malformed("a message is shorter than its own length"))?;
    if bytes > most {
        return Err(WireError::TooLarge { bytes, most });
    }
    Ok(bytes)
}

impl<C: AsyncRead + AsyncWrite + Unpin> Inbox<C> {
    /// Says something in between, before there is a session.
    pub(in crate::data::postgres) async fn say(&mut self, out: &mut BytesMut) -> io::Result<()> {
        self.from.write_all_buf(out).await?;
        self.from.flush().await
    }
}
