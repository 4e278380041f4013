//! What the Host and the runner in its sandbox say to each other, over one
//! Unix socket.
//!
//! A message is a 9-byte header (kind u8, call u32, length u32; little endian)
//! and its payload. Calls are numbered by the Host. Output is credited: the
//! runner sends no more than it has credit for while the call's process runs;
//! what is left in the pipes at its end (bounded by the pipes) comes at once,
//! so that a slow reader holds no slot.

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Bytes of a message's header.
const HEADER_BYTES: usize = 9;
/// The most bytes of one message's payload.
const PAYLOAD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most bytes of stdin, stdout or stderr in one message.
pub(crate) const DATA_BYTES_MAX: usize = 64 * 1024;
/// Calls that the Host may have given to one runner: one runs, the others
/// follow it without a round trip. Only parts of maps are given ahead.
pub(crate) const CALLS_AHEAD_MAX: usize = 8;
/// While so many calls wait in the runner it may keep back the ends of earlier
/// ones, for as long as the next call's output may wait: they leave together.
pub(crate) const CALLS_WAITING_CALM: usize = CALLS_AHEAD_MAX / 2;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $value:literal),+ $(,)?) => {
        /// What a message is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Kind { $($(#[$doc])* $variant = $value),+ }

        impl Kind {
            const fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($value => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

kinds! {
    /// Host → runner, JSON [`Setup`]: first message.
    Setup = 1,
    /// Host → runner, [`Start`]: run a call after those given before.
    Start = 2,
    /// Host → runner, bytes.
    Stdin = 3,
    /// Host → runner, empty.
    StdinEnd = 4,
    /// Host → runner, u32.
    StdoutCredit = 5,
    /// Host → runner, u32.
    StderrCredit = 6,
    /// Host → runner, empty: end the call's processes.
    Kill = 7,
    /// Host → runner, empty: give the call back if it has not started; nothing
    /// happens if it has.
    Recall = 8,
    /// Runner → Host, empty: the setup is done.
    Ready = 32,
    /// Runner → Host, bytes.
    Stdout = 33,
    /// Runner → Host, bytes.
    Stderr = 34,
    /// Runner → Host, u32: bytes of stdin that the call has taken.
    StdinCredit = 35,
    /// Runner → Host, [`ProcessEnd`].
    Exited = 36,
}

/// How the sandbox is laid out and what holds for every call in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// The work folder, in which calls start.
    pub(crate) work: PathBuf,
    /// Folders that are emptied after each call, the work folder included.
    pub(crate) emptied: Vec<PathBuf>,
    /// Limits of every process.
    pub(crate) limits: Vec<(ProcessLimit, u64)>,
}

/// A limit that the kernel keeps per process (per user for `Processes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProcessLimit {
    /// `VirtualMemoryLimit`, bytes.
    AddressSpace,
    /// `DataSegmentLimit`, bytes.
    Data,
    /// `StackSizeLimit`, bytes.
    Stack,
    /// `LockedMemoryLimit`, bytes.
    LockedMemory,
    /// `FileSizeLimit`, bytes.
    FileSize,
    /// `CoreDumpLimit`, bytes.
    CoreDump,
    /// `OpenDescriptorsLimit`.
    OpenFiles,
    /// `ProcessCountLimit` and `ThreadCountLimit`, where no cgroup counts them.
    Processes,
    /// `CPUTimeLimit`, seconds.
    CpuSeconds,
}

/// One call to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// Program (an absolute path) and arguments.
    pub(crate) arguments: Vec<OsString>,
    /// The whole environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Folder to start in, below the work folder; empty: the work folder.
    pub(crate) folder: OsString,
    /// Ended after so many milliseconds; 0: no limit.
    pub(crate) wall_ms: u64,
    /// Bytes of stdout and of stderr that may be sent without more credit.
    pub(crate) window: u32,
    /// Output may wait so many microseconds for more, or for the end.
    pub(crate) linger_us: u32,
    /// No more stdin follows.
    pub(crate) stdin_ended: bool,
    /// What it leaves is wanted: the folders are not cleared, and the sandbox is
    /// spoiled with it.
    pub(crate) keep: bool,
    /// Stdin so far.
    pub(crate) stdin: Vec<u8>,
}

/// Why the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum EndCause {
    /// By itself; the value is the exit code.
    Exited = 0,
    /// By a signal; the value is its number.
    Signalled = 1,
    /// It was never started; the value is the system's error number.
    NotStarted = 2,
}

/// Who ended the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum EndedBy {
    /// The process itself, or the kernel.
    Itself = 0,
    /// A `Kill` of the Host.
    Host = 1,
    /// The wall time limit.
    WallTime = 2,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProcessEnd {
    /// Why.
    pub(crate) cause: EndCause,
    /// Who.
    pub(crate) by: EndedBy,
    /// Something was left that cannot be cleared away: use another sandbox.
    pub(crate) spoiled: bool,
    /// Exit code, signal or error number.
    pub(crate) value: i32,
    /// From start to end, microseconds.
    pub(crate) wall_us: u64,
    /// CPU of the whole tree, microseconds.
    pub(crate) cpu_us: u64,
    /// Largest resident set of one process, bytes.
    pub(crate) max_resident_bytes: u64,
    /// Why it was not started.
    pub(crate) message: String,
}

/// A peer that does not keep to the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtocolError {
    /// An unknown kind.
    #[error("message kind {0} is unknown")]
    Kind(u8),
    /// Too large.
    #[error("a message of {0} bytes is over the limit of {PAYLOAD_BYTES_MAX}")]
    Large(usize),
    /// A payload of another form.
    #[error("the payload of a message of kind {0:?} cannot be read")]
    Payload(Kind),
    /// A message that does not fit what was said before.
    #[error("a message of kind {0:?} was not expected")]
    Unexpected(Kind),
}

/// A message as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) kind: Kind,
    pub(crate) call: u32,
    pub(crate) payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Takes the first message off `bytes`; `None` while it is not whole.
    pub(crate) fn take(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else {
            return Ok(None);
        };
        let kind = Kind::from_byte(header[0]).ok_or(ProtocolError::Kind(header[0]))?;
        let call = u32::from_le_bytes([header[1], header[2], header[3], header[4]]);
        let length = u32::from_le_bytes([header[5], header[6], header[7], header[8]]) as usize;
        if length > PAYLOAD_BYTES_MAX {
            return Err(ProtocolError::Large(length));
        }
        Ok(rest.get(..length).map(|payload| {
            (
                Self {
                    kind,
                    call,
                    payload,
                },
                HEADER_BYTES + length,
            )
        }))
    }

    /// Reads a credit.
    pub(crate) fn credit(&self) -> Result<u32, ProtocolError> {
        let bytes = self
            .payload
            .try_into()
            .map_err(|_| ProtocolError::Payload(self.kind))?;
        Ok(u32::from_le_bytes(bytes))
    }
}

/// Appends a message.
pub(crate) fn push(out: &mut Vec<u8>, kind: Kind, call: u32, payload: &[u8]) {
    let place = open(out, kind, call);
    out.extend_from_slice(payload);
    close(out, place);
}

/// Begins a message whose payload the caller appends; [`close`] ends it.
pub(crate) fn open(out: &mut Vec<u8>, kind: Kind, call: u32) -> usize {
    let place = out.len();
    out.push(kind as u8);
    out.extend_from_slice(&call.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    place
}

/// Ends the message that began at `place`.
pub(crate) fn close(out: &mut [u8], place: usize) {
    let length = u32::try_from(out.len() - place - HEADER_BYTES).unwrap_or(u32::MAX);
    out[place + 5..place + HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// Bytes of a message with a payload of `length` bytes.
pub(crate) const fn message_bytes(length: usize) -> usize {
    HEADER_BYTES + length
}

// === impl Start ===

impl Start {
    /// Appends the message.
    pub(crate) fn push(&self, out: &mut Vec<u8>, call: u32) {
        let place = open(out, Kind::Start, call);
        out.extend_from_slice(&self.wall_ms.to_le_bytes());
        out.extend_from_slice(&self.window.to_le_bytes());
        out.extend_from_slice(&self.linger_us.to_le_bytes());
        out.push(u8::from(self.stdin_ended));
        out.push(u8::from(self.keep));
        push_count(out, self.arguments.len());
        for argument in &self.arguments {
            push_bytes(out, argument.as_encoded_bytes());
        }
        push_count(out, self.environment.len());
        for (name, value) in &self.environment {
            push_bytes(out, name.as_encoded_bytes());
            push_bytes(out, value.as_encoded_bytes());
        }
        push_bytes(out, self.folder.as_encoded_bytes());
        push_bytes(out, &self.stdin);
        close(out, place);
    }

    /// Reads the payload.
    pub(crate) fn read(payload: &[u8]) -> Result<Self, ProtocolError> {
        Self::parse(&mut Cursor(payload)).ok_or(ProtocolError::Payload(Kind::Start))
    }

    fn parse(cursor: &mut Cursor<'_>) -> Option<Self> {
        let wall_ms = cursor.u64()?;
        let window = cursor.u32()?;
        let linger_us = cursor.u32()?;
        let stdin_ended = cursor.u8()? != 0;
        let keep = cursor.u8()? != 0;
        let arguments = (0..cursor.u32()?)
            .map(|_| cursor.text())
            .collect::<Option<Vec<_>>>()?;
        let environment = (0..cursor.u32()?)
            .map(|_| Some((cursor.text()?, cursor.text()?)))
            .collect::<Option<Vec<_>>>()?;
        let folder = cursor.text()?;
        let stdin = cursor.bytes()?.to_vec();
        (cursor.0.is_empty() && !arguments.is_empty()).then_some(Self {
            arguments,
            environment,
            folder,
            wall_ms,
            window,
            linger_us,
            stdin_ended,
            keep,
            stdin,
        })
    }
}

// === impl ProcessEnd ===

impl ProcessEnd {
    /// Appends the message.
    pub(crate) fn push(&self, out: &mut Vec<u8>, call: u32) {
        let place = open(out, Kind::Exited, call);
        out.extend_from_slice(&[self.cause as u8, self.by as u8, u8::from(self.spoiled)]);
        out.extend_from_slice(&self.value.to_le_bytes());
        out.extend_from_slice(&self.wall_us.to_le_bytes());
        out.extend_from_slice(&self.cpu_us.to_le_bytes());
        out.extend_from_slice(&self.max_resident_bytes.to_le_bytes());
        push_bytes(out, self.message.as_bytes());
        close(out, place);
    }

    /// Reads the payload.
    pub(crate) fn read(payload: &[u8]) -> Result<Self, ProtocolError> {
        Self::parse(&mut Cursor(payload)).ok_or(ProtocolError::Payload(Kind::Exited))
    }

    fn parse(cursor: &mut Cursor<'_>) -> Option<Self> {
        let cause = match cursor.u8()? {
            0 => EndCause::Exited,
            1 => EndCause::Signalled,
            2 => EndCause::NotStarted,
            _ => return None,
        };
        let by = match cursor.u8()? {
            0 => EndedBy::Itself,
            1 => EndedBy::Host,
            2 => EndedBy::WallTime,
            _ => return None,
        };
        Some(Self {
            cause,
            by,
            spoiled: cursor.u8()? != 0,
            value: i32::from_le_bytes(cursor.take(4)?.try_into().ok()?),
            wall_us: cursor.u64()?,
            cpu_us: cursor.u64()?,
            max_resident_bytes: cursor.u64()?,
            message: String::from_utf8_lossy(cursor.bytes()?).into_owned(),
        })
    }
}

fn push_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    fn text(&mut self) -> Option<OsString> {
        Some(OsString::from_vec(self.bytes()?.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start() -> Start {
        Start {
            arguments: vec![
                "/bin/true".into(),
                OsString::from_vec(vec![0xff, b'x']),
                OsString::new(),
            ],
            environment: vec![("A".into(), "b c".into())],
            folder: "sub".into(),
            wall_ms: 5,
            window: 77,
            linger_us: 3,
            stdin_ended: true,
            keep: true,
            stdin: vec![0, 1, 2],
        }
    }

    #[test]
    fn messages_come_back_as_they_were_said() {
        let end = ProcessEnd {
            cause: EndCause::Signalled,
            by: EndedBy::WallTime,
            spoiled: true,
            value: 9,
            wall_us: 1 << 40,
            cpu_us: 2,
            max_resident_bytes: 3,
            message: "why".into(),
        };
        let mut bytes = Vec::new();
        start().push(&mut bytes, 7);
        end.push(&mut bytes, 8);
        push(&mut bytes, Kind::StdoutCredit, 9, &5u32.to_le_bytes());
        let (first, length) = Message::take(&bytes).unwrap().unwrap();
        assert_eq!((first.kind, first.call), (Kind::Start, 7));
        assert_eq!(Start::read(first.payload).unwrap(), start());
        let (second, more) = Message::take(&bytes[length..]).unwrap().unwrap();
        assert_eq!(ProcessEnd::read(second.payload).unwrap(), end);
        let (third, last) = Message::take(&bytes[length + more..]).unwrap().unwrap();
        assert_eq!((third.credit(), length + more + last), (Ok(5), bytes.len()));
    }

    #[test]
    fn a_part_of_a_message_is_waited_for() {
        let mut bytes = Vec::new();
        start().push(&mut bytes, 7);
        for length in 0..bytes.len() {
            assert_eq!(Message::take(&bytes[..length]), Ok(None));
        }
        bytes[5..9].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(
            Message::take(&bytes),
            Err(ProtocolError::Large(_))
        ));
        assert_eq!(Message::take(&[99; 9]), Err(ProtocolError::Kind(99)));
    }

    proptest! {
        #[test]
        fn any_payload_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Start::read(&bytes);
            let _ = ProcessEnd::read(&bytes);
            let _ = Message::take(&bytes);
        }
    }
}
