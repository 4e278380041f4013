//! The data of a running call, under one lock.

use std::{task::Waker, time::Instant};

use gridmart_schemas::wire::frame::{Kind, push};

use super::{
    course::Course,
    flow::{InputFlow, OutputFlow},
};
use crate::grid::{Link, Slot};

/// Which output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

pub(super) struct Core {
    pub(super) input: InputFlow,
    pub(super) stdout: OutputFlow,
    pub(super) stderr: OutputFlow,
    pub(super) course: Course,
    /// Where it runs.
    pub(super) line: Option<(Link, u32)>,
    pub(super) slot: Option<Slot>,
    /// When silence becomes worth a question: the last sign of life, or what
    /// an earlier answer said.
    pub(super) last_sign: Instant,
    pub(super) ask_after: Option<Instant>,
    pub(super) wakers: Wakers,
}

#[derive(Default)]
pub(super) struct Wakers {
    pub(super) input: Option<Waker>,
    pub(super) stdout: Option<Waker>,
    pub(super) stderr: Option<Waker>,
    pub(super) end: Option<Waker>,
}

impl Wakers {
    pub(super) fn wake_all(&mut self) {
        for waker in [
            self.input.take(),
            self.stdout.take(),
            self.stderr.take(),
            self.end.take(),
        ] {
            waker.inspect(Waker::wake_by_ref);
        }
    }
}

pub(super) fn set_waker(place: &mut Option<Waker>, waker: &Waker) {
    match place {
        Some(old) if old.will_wake(waker) => {}
        _ => *place = Some(waker.clone()),
    }
}

impl Core {
    pub(super) fn new(input: InputFlow) -> Self {
        Self {
            input,
            stdout: OutputFlow::default(),
            stderr: OutputFlow::default(),
            course: Course::default(),
            line: None,
            slot: None,
            last_sign: Instant::now(),
            ask_after: None,
            wakers: Wakers::default(),
        }
    }

    pub(super) const fn output(&mut self, stream: Stream) -> &mut OutputFlow {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// Appends the input that may be sent now.
    pub(super) fn input_frames(&mut self, channel: u32, frames: &mut Vec<u8>) {
        if self.course.is_resuming() {
            return;
        }
        while let Some(data) = self.input.next() {
            push(frames, Kind::Stdin, channel, &data);
        }
        if self.input.end_due() {
            push(frames, Kind::StdinEnd, channel, &[]);
        }
    }

    pub(super) fn credit_frame(&mut self, stream: Stream) {
        let kind = match stream {
            Stream::Stdout => Kind::StdoutCredit,
            Stream::Stderr => Kind::StderrCredit,
        };
        let Some((link, channel)) = self.line.clone() else {
            return;
        };
        if let Some(credit) = self.output(stream).credit() {
            let mut frame = Vec::new();
            push(&mut frame, kind, channel, &credit.to_le_bytes());
            link.push(frame);
        }
    }

    pub(super) fn send_input(&mut self) {
        let Some((link, channel)) = self.line.clone() else {
            return;
        };
        let mut frames = Vec::new();
        self.input_frames(channel, &mut frames);
        link.push(frames);
    }
}
