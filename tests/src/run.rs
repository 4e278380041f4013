//! Commands of the binary, run to their end or in the background.

use std::{
    ffi::OsStr,
    fs,
    io::{Read, Write as _},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;
use wait4::Wait4 as _;

use crate::{processes, wait::wait_for};

/// No command of a test takes longer.
const RUN_MAX: Duration = Duration::from_mins(3);

/// A command that has ended.
#[derive(Debug)]
pub struct Run {
    /// What was typed.
    pub line: String,
    /// Exit code, 128 + n for signal n.
    pub code: i32,
    /// Its stdout.
    pub stdout: Vec<u8>,
    /// Its stderr.
    pub stderr: String,
    /// From its start to its end.
    pub took: Duration,
}

impl Run {
    /// Demands that it went well.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// Demands an exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            code,
            "exit code of: {}\nstdout: {}\nstderr: {}",
            self.line,
            String::from_utf8_lossy(&self.stdout),
            self.stderr
        );
        self
    }

    /// Demands that stderr says something.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "stderr of {} says {:?}, not {text:?}",
            self.line,
            self.stderr
        );
        self
    }

    /// Gives stdout as text without the last line end.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// Reads stdout as JSON.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "stdout of {} is no such JSON ({error}): {}",
                self.line,
                self.text()
            )
        })
    }

    /// Reads the code of the problem on stderr (`--json`).
    #[track_caller]
    pub fn problem_code(&self) -> String {
        let value: serde_json::Value = serde_json::from_str(&self.stderr).unwrap_or_else(|error| {
            panic!(
                "stderr of {} is no JSON ({error}): {}",
                self.line, self.stderr
            )
        });
        value["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// What a command has used, its own children included.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// From its start to its end.
    pub wall: Duration,
    /// CPU time, of all CPUs together.
    pub cpu: Duration,
    /// The most memory that it had, in bytes.
    pub resident_max: u64,
}

/// Runs a command to its end without looking at it meanwhile, and tells what
/// it has used. Its stdin is empty.
#[track_caller]
pub fn measure(mut command: Command) -> (Run, Usage) {
    let line = line_of(&command);
    // Files do not have to be emptied while it runs.
    let [stdout, stderr] =
        [(); 2].map(|()| NamedTempFile::new().expect("a temporary file can be made"));
    let writer = |file: &NamedTempFile| file.reopen().expect("a file can be opened twice");
    command
        .stdin(Stdio::null())
        .stdout(writer(&stdout))
        .stderr(writer(&stderr));
    let began = Instant::now();
    let child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{line} cannot be started: {error}"));
    let ended = child.wait4().expect("a child can be waited for");
    let took = began.elapsed();
    let usage = Usage {
        wall: took,
        cpu: ended.rusage.utime + ended.rusage.stime,
        resident_max: ended.rusage.maxrss,
    };
    let read = |file: &NamedTempFile| fs::read(file.path()).expect("a file can be read");
    let stderr_text = String::from_utf8_lossy(&read(&stderr)).into_owned();
    (
        Run {
            line,
            code: code_of(ended.status),
            stdout: read(&stdout),
            stderr: stderr_text,
            took,
        },
        usage,
    )
}

/// A command in the background; dropping it kills it.
#[derive(Debug)]
pub struct Running {
    line: String,
    began: Instant,
    child: Child,
    /// Kept open.
    stdin: Option<ChildStdin>,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    /// Starts it. Without `stdin`, its stdin is empty.
    pub fn start(mut command: Command, stdin: Option<Vec<u8>>) -> Self {
        command.stdin(if stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        let mut running = Self::spawn(command);
        if let (Some(bytes), Some(mut pipe)) = (stdin, running.stdin.take()) {
            // It may end without having read all of it.
            thread::spawn(move || pipe.write_all(&bytes));
        }
        running
    }

    /// Starts it with a stdin that is open until [`Self::close_stdin`].
    pub fn open(mut command: Command) -> Self {
        command.stdin(Stdio::piped());
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let line = line_of(&command);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let began = Instant::now();
        let mut child = processes::spawn(command)
            .unwrap_or_else(|error| panic!("{line} cannot be started: {error}"));
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map(gather);
        let stderr = child.stderr.take().map(gather);
        Self {
            line,
            began,
            child,
            stdin,
            stdout,
            stderr,
        }
    }

    /// Writes to its stdin, as much as it takes in.
    #[track_caller]
    pub fn feed(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("its stdin is open");
        stdin.write_all(bytes).expect("it reads its stdin");
    }

    /// Ends its stdin.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Gives its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        processes::signal(self.pid(), signal);
    }

    /// Tells whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be asked")
            .is_some()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Run {
        let line = self.line.clone();
        let status = wait_for(RUN_MAX, &line, || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it runs".to_owned()),
            Err(error) => Err(error.to_string()),
        });
        let took = self.began.elapsed();
        let bytes = |handle: Option<JoinHandle<Vec<u8>>>| {
            handle
                .map(|handle| handle.join().expect("reading does not panic"))
                .unwrap_or_default()
        };
        Run {
            line,
            code: code_of(status),
            stdout: bytes(self.stdout.take()),
            stderr: String::from_utf8_lossy(&bytes(self.stderr.take())).into_owned(),
            took,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            // It may end by itself just now.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

fn gather(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read until an error is all there is.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

fn code_of(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
