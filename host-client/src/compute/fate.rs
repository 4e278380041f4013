//! What becomes of one call, without I/O: whether a slot has it, whether
//! somebody wants it ended, and its end.
//!
//! Invariants: the first reason to end it counts, unless bytes of it are lost
//! later; it ends once; what was to be ended before it had a slot never runs.

use gridmart_schemas::{
    problem::Code,
    wire::record::{CallEnd, CallState},
};

use super::verdict::{BYTES_LOST, Cut};

/// The course of one call.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    running: bool,
    cut: Option<Cut>,
    end: Option<CallEnd>,
}

impl Fate {
    /// A slot takes it.
    pub const fn begin(&mut self) {
        self.running = true;
    }

    /// The slot gives it back: it did not start, or did in vain.
    pub const fn give_back(&mut self) {
        self.running = false;
    }

    /// It is to be ended; tells whether this was the first to say so of a call
    /// that has not ended.
    pub fn cut(&mut self, cut: Cut) -> bool {
        let is_first = self.end.is_none() && self.cut.is_none();
        if is_first {
            self.cut = Some(cut);
        }
        is_first
    }

    /// It is to be ended for a reason beside which no other counts; tells
    /// whether it had not ended.
    pub fn cut_above_all(&mut self, cut: Cut) -> bool {
        let is_open = self.end.is_none();
        if is_open {
            self.cut = Some(cut);
        }
        is_open
    }

    /// It has ended.
    pub fn finish(&mut self, end: CallEnd) {
        self.running = false;
        self.end = Some(end);
    }

    /// Whether a slot has it.
    pub const fn is_running(&self) -> bool {
        self.running
    }

    /// Why it is to be ended, if it is.
    pub const fn cut_reason(&self) -> Option<&Cut> {
        self.cut.as_ref()
    }

    /// Its end, if it is reached.
    pub const fn end(&self) -> Option<&CallEnd> {
        self.end.as_ref()
    }
}

/// The end of a call that never ran.
pub fn unstarted(cut: &Cut) -> CallEnd {
    let (state, code, reason) = match cut {
        Cut::Terminated(reason) => (CallState::Terminated, Code::Terminated, reason.clone()),
        Cut::Limit(name) => (
            CallState::Failed,
            Code::LimitExceeded,
            format!("the call went over its {name}"),
        ),
        Cut::BytesLost => (
            CallState::Failed,
            Code::StorageFailed,
            BYTES_LOST.to_owned(),
        ),
        Cut::HostDown => (
            CallState::Failed,
            Code::HostDown,
            "the Host went down".to_owned(),
        ),
    };
    failed(state, code, reason)
}

/// An end without a process.
pub(crate) const fn failed(state: CallState, code: Code, reason: String) -> CallEnd {
    CallEnd {
        state,
        exit_code: None,
        signal: None,
        code: Some(code),
        reason: Some(reason),
        wall_us: 0,
        cpu_us: 0,
        max_resident_bytes: 0,
        stdout_bytes: 0,
        stderr_bytes: 0,
        staged_in_bytes: 0,
        staged_out_bytes: 0,
    }
}
