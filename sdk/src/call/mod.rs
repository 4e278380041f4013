//! One call of an application: described by [`CallBuilder`], followed by
//! [`RunningCall`].

mod core;
pub mod course;
mod flow;
mod running;
mod state;
mod streams;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use gridmart_schemas::{
    id::{CallId, RequestId},
    wire::{
        call::{CallOpen, PartOf, Step},
        record::CallEnd,
        staging::{Staged, StagedFile},
    },
};
use tokio::io::AsyncRead;

pub use running::RunningCall;
pub(crate) use state::CallShared;
pub use streams::{OutputStream, StdinSink};

use crate::{client::Client, error::Error, grid::Need};
use flow::InputFlow;
use state::CallPlan;

/// `output` keeps at most so many bytes of stdout and stderr together, if
/// nothing else is said.
const OUTPUT_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;

/// Where a call's stdin comes from.
#[derive(Default)]
#[non_exhaustive]
pub enum Stdin {
    /// There is none: it ends at once.
    #[default]
    Empty,
    /// These bytes; they can be sent again if the call is tried again.
    Bytes(Bytes),
    /// Read as the call consumes it.
    Reader(Box<dyn AsyncRead + Send + Unpin>),
    /// Written by the caller, through [`RunningCall::stdin`].
    Piped,
}

impl Stdin {
    /// Reads from anything that can be read.
    pub fn reader(reader: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self::Reader(Box::new(reader))
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Reader(_) => f.write_str("Reader"),
            Self::Piped => f.write_str("Piped"),
        }
    }
}

impl From<Bytes> for Stdin {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Stdin {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<String> for Stdin {
    fn from(text: String) -> Self {
        Self::Bytes(text.into())
    }
}

impl From<&str> for Stdin {
    fn from(text: &str) -> Self {
        Self::Bytes(Bytes::copy_from_slice(text.as_bytes()))
    }
}

/// What a call printed, and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Which call.
    pub call: CallId,
    /// How it ended.
    pub end: CallEnd,
    /// Everything on stdout.
    pub stdout: Bytes,
    /// Everything on stderr.
    pub stderr: Bytes,
}

impl Output {
    /// Fails unless the process ended by itself with exit code 0.
    pub fn success(self) -> Result<Self, Error> {
        if self.end.succeeded() {
            Ok(self)
        } else {
            Err(Error::Ended {
                call: self.call,
                end: Box::new(self.end),
            })
        }
    }
}

/// Describes a call.
#[derive(Debug)]
#[must_use = "nothing happens before `start` or `output`"]
pub struct CallBuilder {
    client: Client,
    need: Need,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    stdin: Stdin,
    retry: bool,
    priority: i32,
    wall_limit: Option<Duration>,
    output_limit: u64,
    step: Step,
    part_of: Option<PartOf>,
    staged: Staged,
}

impl CallBuilder {
    pub(crate) fn new(client: Client, application: String) -> Self {
        Self {
            client,
            need: Need {
                application,
                needs: Vec::new(),
            },
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            stdin: Stdin::Empty,
            retry: false,
            priority: 0,
            wall_limit: None,
            output_limit: OUTPUT_BYTES_DEFAULT,
            step: Step::Run,
            part_of: None,
            staged: Staged::default(),
        }
    }

    /// Adds an argument after those of the application.
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Adds a need over and above the application's (`memory>=4GiB`, …).
    pub fn need(mut self, need: impl Into<String>) -> Self {
        self.need.needs.push(need.into());
        self
    }

    /// Adds needs.
    pub fn needs(mut self, needs: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.need.needs.extend(needs.into_iter().map(Into::into));
        self
    }

    /// Gives the call its stdin.
    pub fn stdin(mut self, stdin: impl Into<Stdin>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Has the Host bring an object into the work folder before the program
    /// starts, straight from the storage Hosts and with the caller's rights.
    pub fn stage_in(mut self, input: StagedFile) -> Self {
        self.staged.inputs.push(input);
        self
    }

    /// Has the Host store a file that the program leaves in its work folder, if
    /// it ends with exit code 0: the call has ended when the object is there.
    /// Only regular files are stored; links are not followed.
    pub fn stage_out(mut self, output: StagedFile) -> Self {
        self.staged.outputs.push(output);
        self
    }

    /// Allows the call to be run again elsewhere when its Host is lost, even
    /// if the application does not say that it is retryable. Only what has
    /// handed out no output yet is run again.
    pub fn retry(mut self, allowed: bool) -> Self {
        self.retry = allowed;
        self
    }

    /// Goes before those of lower priority where callers wait for a slot; 0 if
    /// nothing is said. From -100 (after everybody) to 100; who is neither
    /// operator nor admin may only step back, and anything beyond is taken as
    /// the nearest that is allowed.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Ends the call after this time (in whole seconds, rounded up).
    pub fn wall_limit(mut self, limit: Duration) -> Self {
        self.wall_limit = Some(limit);
        self
    }

    /// Bounds what [`Self::output`] keeps, stdout and stderr together.
    pub fn output_limit(mut self, bytes: u64) -> Self {
        self.output_limit = bytes;
        self
    }

    pub(crate) fn step(mut self, step: Step, part_of: PartOf) -> Self {
        (self.step, self.part_of) = (step, Some(part_of));
        self
    }

    /// Waits for a slot, and starts the call.
    pub async fn start(self) -> Result<RunningCall, Error> {
        self.staged.check()?;
        let grid = Arc::clone(self.client.grid().await?);
        let request = RequestId::generate();
        let (input, source) = match self.stdin {
            Stdin::Empty => (InputFlow::whole(Bytes::new()), None),
            Stdin::Bytes(bytes) => (InputFlow::whole(bytes), None),
            piped => (InputFlow::piped(), Some(piped)),
        };
        let open = CallOpen {
            call: CallId::generate(),
            arguments: self.arguments,
            environment: self.environment,
            step: self.step,
            part_of: self.part_of,
            request: Some(request),
            wall_seconds_max: self.wall_limit.map(whole_seconds),
            staged: self.staged,
            resume: None,
        };
        let plan = CallPlan {
            need: self.need,
            open,
            retry: self.retry,
            priority: self.priority,
            request,
        };
        RunningCall::start(grid, plan, input, source).await
    }

    /// Runs the call to its end, and gives all that it printed.
    pub async fn output(self) -> Result<Output, Error> {
        let limit = self.output_limit;
        self.start().await?.output(limit).await
    }
}

fn whole_seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}
