//! A call that runs: its streams, its end, its cancel.

use std::{
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use gridmart_schemas::{
    id::{CallId, RequestId},
    problem::Code,
    wire::record::CallEnd,
};
use tokio::io::AsyncReadExt as _;

use super::{
    Output, Stdin,
    core::Stream,
    flow::InputFlow,
    state::{CallPlan, CallShared},
    streams::{OutputStream, StdinSink},
};
use crate::{error::Error, grid::Grid};

/// Bytes that are read from a stdin reader at a time.
const READ_BYTES: usize = 64 * 1024;

/// A call that was started. Dropping it before its end ends the remote process
/// tree.
pub struct RunningCall {
    call: Arc<CallShared>,
    stdin: Option<StdinSink>,
    stdout: Option<OutputStream>,
    stderr: Option<OutputStream>,
    pump: Option<tokio::task::JoinHandle<()>>,
}

impl RunningCall {
    pub(crate) async fn start(
        grid: Arc<Grid>,
        plan: CallPlan,
        input: InputFlow,
        source: Option<Stdin>,
    ) -> Result<Self, Error> {
        let call = CallShared::new(grid, plan, input);
        call.place().await?;
        let mut running = Self {
            stdin: None,
            stdout: Some(OutputStream::new(Arc::clone(&call), Stream::Stdout)),
            stderr: Some(OutputStream::new(Arc::clone(&call), Stream::Stderr)),
            pump: None,
            call: Arc::clone(&call),
        };
        match source {
            Some(Stdin::Reader(reader)) => {
                running.pump = Some(tokio::spawn(pump(reader, StdinSink::new(call))));
            }
            Some(Stdin::Piped) => running.stdin = Some(StdinSink::new(call)),
            _ => {}
        }
        Ok(running)
    }

    /// Which call, as all logs name it.
    pub fn id(&self) -> CallId {
        self.call.id()
    }

    /// Which request, as all logs name it.
    pub fn request(&self) -> RequestId {
        self.call.request()
    }

    /// Gives the pipe into stdin, once, if the call was made with
    /// [`Stdin::Piped`]. Dropping the pipe ends the input.
    pub fn stdin(&mut self) -> Option<StdinSink> {
        self.stdin.take()
    }

    /// Gives stdout as it comes. Asked again, it gives a stream at its end.
    pub fn stdout(&mut self) -> OutputStream {
        self.stdout.take().unwrap_or_else(OutputStream::empty)
    }

    /// Gives stderr as it comes. Asked again, it gives a stream at its end.
    pub fn stderr(&mut self) -> OutputStream {
        self.stderr.take().unwrap_or_else(OutputStream::empty)
    }

    /// Waits for the end. Streams that were not taken are read and dropped.
    pub async fn wait(&mut self) -> Result<CallEnd, Error> {
        // Dropping a stream discards what it would have given.
        (self.stdin, self.stdout, self.stderr) = (None, None, None);
        self.end().await
    }

    async fn end(&self) -> Result<CallEnd, Error> {
        let end = poll_fn(|context| match self.call.poll_end(context.waker()) {
            Some(end) => Poll::Ready(end),
            None => Poll::Pending,
        });
        Ok(end.await?)
    }

    /// Ends the remote process tree, and waits until the Host says so.
    pub async fn cancel(mut self) -> Result<CallEnd, Error> {
        self.call.cancel();
        self.wait().await
    }

    /// Reads both outputs to their ends, `limit` bytes together.
    pub(crate) async fn output(mut self, limit: u64) -> Result<Output, Error> {
        let (mut stdout, mut stderr) =
            (Gathered::new(Stream::Stdout), Gathered::new(Stream::Stderr));
        poll_fn(|context| {
            let done = (
                stdout.poll(&self.call, context)?,
                stderr.poll(&self.call, context)?,
            );
            if (stdout.data.len() + stderr.data.len()) as u64 > limit {
                let detail = format!(
                    "call {} printed more than the {limit} bytes that its caller keeps",
                    self.call.id()
                );
                return Poll::Ready(Err(Error::refused(Code::TooLarge, detail)));
            }
            if done == (true, true) {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            }
        })
        .await?;
        let end = self.wait().await?;
        Ok(Output {
            call: self.id(),
            end,
            stdout: stdout.data.freeze(),
            stderr: stderr.data.freeze(),
        })
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.call.cancel();
        if let Some(pump) = &self.pump {
            pump.abort();
        }
    }
}

impl fmt::Debug for RunningCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningCall")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

struct Gathered {
    stream: Stream,
    data: BytesMut,
    done: bool,
}

impl Gathered {
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            data: BytesMut::new(),
            done: false,
        }
    }

    fn poll(&mut self, call: &CallShared, context: &Context<'_>) -> Result<bool, Error> {
        while !self.done {
            match call.poll_output(self.stream, usize::MAX, context.waker()) {
                Some(Ok(Some(data))) => self.data.extend_from_slice(&data),
                Some(Ok(None)) => self.done = true,
                Some(Err(problem)) => return Err(problem.into()),
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Feeds a reader into stdin. A reader that fails cancels the call: a program
/// must not take half an input for the whole.
async fn pump(mut reader: Box<dyn tokio::io::AsyncRead + Send + Unpin>, mut sink: StdinSink) {
    loop {
        let mut chunk = BytesMut::with_capacity(READ_BYTES);
        match reader.read_buf(&mut chunk).await {
            Ok(0) => return sink.finish(),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "the input of a call cannot be read; the call is cancelled");
                return sink.abort();
            }
        }
        let chunk: Bytes = chunk.freeze();
        // The call has ended: it wants no more.
        if sink.send(chunk).await.is_err() {
            return;
        }
    }
}
