//! Flow control of one call, without I/O: what may be sent, what is credited,
//! what is kept so that a cut channel can go on.
//!
//! Invariants: never more than [`WINDOW_BYTES`] of stdin is on the way
//! uncredited; never more than that of an output is held here; a byte of output
//! is handed out once, in order.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};
use gridmart_schemas::wire::frame::{DATA_BYTES_MAX, WINDOW_BYTES};

/// Consumed output is credited in steps of this size: a frame per step.
const CREDIT_STEP_BYTES: usize = WINDOW_BYTES / 4;

/// The other side broke the window, or sent what cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FlowError {
    #[error("the Host sent more output than its window allows")]
    Overrun,
    #[error("the Host credits input that was not sent")]
    Credit,
    #[error("the Host has lost input that cannot be sent again")]
    InputGone,
}

/// One output of a call: stdout or stderr.
#[derive(Debug, Default)]
pub(crate) struct OutputFlow {
    queue: VecDeque<Bytes>,
    queued: usize,
    received: u64,
    /// Consumed and not yet credited.
    owed: usize,
    /// Of what is queued: so much is from before a resume, which opens the
    /// whole window again; it is not credited a second time.
    prepaid: usize,
    handed_out: bool,
    /// Nobody will read it: consumed as it comes.
    discarded: bool,
}

impl OutputFlow {
    /// Takes what has arrived.
    pub(crate) fn on_data(&mut self, data: Bytes) -> Result<(), FlowError> {
        if self.queued - self.prepaid + self.owed + data.len() > WINDOW_BYTES {
            return Err(FlowError::Overrun);
        }
        self.received += data.len() as u64;
        if self.discarded {
            self.owed += data.len();
        } else if !data.is_empty() {
            self.queued += data.len();
            self.queue.push_back(data);
        }
        Ok(())
    }

    /// Hands out the next bytes, `max` at most.
    pub(crate) fn take(&mut self, max: usize) -> Option<Bytes> {
        let first = self.queue.front_mut()?;
        let data = if first.len() <= max {
            self.queue.pop_front()?
        } else {
            first.split_to(max)
        };
        self.queued -= data.len();
        self.consume(data.len());
        self.handed_out = true;
        Some(data)
    }

    fn consume(&mut self, count: usize) {
        let prepaid = self.prepaid.min(count);
        self.prepaid -= prepaid;
        self.owed += count - prepaid;
    }

    /// Drops what is and what will be there.
    pub(crate) fn discard(&mut self) {
        self.discarded = true;
        let queued = std::mem::take(&mut self.queued);
        self.consume(queued);
        self.queue.clear();
    }

    /// Gives the credit that is due to the Host, if it is worth a frame.
    pub(crate) fn credit(&mut self) -> Option<u32> {
        if self.owed < CREDIT_STEP_BYTES {
            return None;
        }
        let credit = std::mem::take(&mut self.owed);
        u32::try_from(credit).ok()
    }

    /// Bytes received so far: where a resumed channel goes on.
    pub(crate) const fn received(&self) -> u64 {
        self.received
    }

    /// The channel goes on from [`Self::received`], with its whole window.
    pub(crate) fn on_resumed(&mut self) {
        self.owed = 0;
        self.prepaid = self.queued;
    }

    pub(crate) const fn handed_out(&self) -> bool {
        self.handed_out
    }

    /// Forgets an attempt's output, none of which was handed out.
    pub(crate) fn restart(&mut self) {
        *self = Self {
            discarded: self.discarded,
            ..Self::default()
        };
    }
}

/// The input of a call.
#[derive(Debug, Default)]
pub(crate) struct InputFlow {
    /// Not yet sent.
    unsent: VecDeque<Bytes>,
    unsent_bytes: usize,
    /// Sent, not yet credited.
    sent: VecDeque<Bytes>,
    sent_bytes: usize,
    credited: u64,
    /// The user's end of input was seen.
    ended: bool,
    end_sent: bool,
    /// All of the input, if it was given whole: it can be sent from the start.
    whole: Option<Bytes>,
}

impl InputFlow {
    /// An input that is known whole; empty: ends at once.
    pub(crate) fn whole(data: Bytes) -> Self {
        let mut flow = Self {
            whole: Some(data.clone()),
            ended: true,
            ..Self::default()
        };
        flow.queue(data);
        flow
    }

    /// An input that comes piece by piece.
    pub(crate) fn piped() -> Self {
        Self::default()
    }

    fn queue(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.unsent_bytes += data.len();
            self.unsent.push_back(data);
        }
    }

    /// Bytes that may be pushed now.
    pub(crate) fn room(&self) -> usize {
        if self.ended {
            0
        } else {
            WINDOW_BYTES.saturating_sub(self.unsent_bytes + self.sent_bytes)
        }
    }

    pub(crate) fn push(&mut self, data: Bytes) {
        self.queue(data);
    }

    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// Gives the next frame's bytes, while the window is open.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        let open = WINDOW_BYTES
            .saturating_sub(self.sent_bytes)
            .min(DATA_BYTES_MAX);
        if open == 0 {
            return None;
        }
        let first = self.unsent.front_mut()?;
        let data = if first.len() <= open {
            self.unsent.pop_front()?
        } else {
            first.split_to(open)
        };
        self.unsent_bytes -= data.len();
        self.sent_bytes += data.len();
        self.sent.push_back(data.clone());
        Some(data)
    }

    /// Tells, once, that the end of the input is to be sent now.
    pub(crate) fn end_due(&mut self) -> bool {
        let due = self.ended && !self.end_sent && self.unsent.is_empty();
        self.end_sent |= due;
        due
    }

    /// The Host has consumed `count` bytes.
    pub(crate) fn on_credit(&mut self, count: u32) -> Result<(), FlowError> {
        let count = count as usize;
        if count > self.sent_bytes {
            return Err(FlowError::Credit);
        }
        self.credited += count as u64;
        self.sent_bytes -= count;
        drop_front(&mut self.sent, count);
        Ok(())
    }

    /// The channel was cut; the Host has the first `has` bytes, and the call has taken
    /// the first `taken`: credit that was lost on the way. What the Host lacks will be
    /// sent again; what waits there is on the way still, and fills the window.
    pub(crate) fn on_resumed(&mut self, has: u64, taken: u64) -> Result<(), FlowError> {
        // A Host of before this was told says that nothing was taken.
        let taken = taken.max(self.credited);
        let kept = has.checked_sub(taken).ok_or(FlowError::InputGone)?;
        let credit = usize::try_from(taken - self.credited).unwrap_or(usize::MAX);
        let kept = usize::try_from(kept).unwrap_or(usize::MAX);
        if credit.saturating_add(kept) > self.sent_bytes {
            return Err(FlowError::Credit);
        }
        drop_front(&mut self.sent, credit);
        self.credited = taken;
        let again = cut_back(&mut self.sent, kept);
        self.unsent_bytes += self.sent_bytes - credit - kept;
        self.sent_bytes = kept;
        for data in again.into_iter().rev() {
            self.unsent.push_front(data);
        }
        self.end_sent = false;
        Ok(())
    }

    /// Tells whether the input can be sent from its start again.
    pub(crate) fn replayable(&self) -> bool {
        self.whole.is_some() || self.credited == 0
    }

    /// Starts over, for another attempt; only if [`Self::replayable`].
    pub(crate) fn restart(&mut self) {
        if let Some(whole) = self.whole.take() {
            *self = Self::whole(whole);
        } else if self.on_resumed(0, 0).is_err() {
            // Unreachable after `replayable`: nothing was credited.
            self.unsent.clear();
        }
    }
}

/// Leaves the first `kept` bytes in the queue, and gives the others.
fn cut_back(queue: &mut VecDeque<Bytes>, mut kept: usize) -> VecDeque<Bytes> {
    let mut at = 0;
    while let Some(data) = queue.get_mut(at) {
        if data.len() > kept {
            break;
        }
        kept -= data.len();
        at += 1;
    }
    let mut rest = queue.split_off(at);
    if kept > 0
        && let Some(first) = rest.front_mut()
    {
        queue.push_back(first.split_to(kept));
    }
    rest
}

fn drop_front(queue: &mut VecDeque<Bytes>, mut count: usize) {
    while count > 0 {
        let Some(first) = queue.front_mut() else {
            return;
        };
        if first.len() > count {
            first.advance(count);
            return;
        }
        count -= first.len();
        queue.pop_front();
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "sizes of tests are small")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sender_stops_at_the_window() {
        let mut flow = InputFlow::whole(Bytes::from(vec![7; 3 * WINDOW_BYTES]));
        let mut sent = 0;
        while let Some(data) = flow.next() {
            assert!(data.len() <= DATA_BYTES_MAX);
            sent += data.len();
        }
        assert_eq!(sent, WINDOW_BYTES);
        assert!(!flow.end_due());
        flow.on_credit(5).unwrap();
        assert_eq!(flow.next().unwrap().len(), 5);
        assert_eq!(flow.on_credit(u32::MAX), Err(FlowError::Credit));
    }

    #[test]
    fn an_output_over_the_window_is_refused() {
        let mut flow = OutputFlow::default();
        flow.on_data(Bytes::from(vec![0; WINDOW_BYTES])).unwrap();
        assert_eq!(
            flow.on_data(Bytes::from_static(b"x")),
            Err(FlowError::Overrun)
        );
        while flow.take(1000).is_some() {}
        assert_eq!(flow.credit().unwrap() as usize, WINDOW_BYTES);
        assert!(flow.on_data(Bytes::from_static(b"x")).is_ok());
    }

    #[test]
    fn a_resume_opens_the_window_and_credits_nothing_twice() {
        let mut flow = OutputFlow::default();
        flow.on_data(Bytes::from(vec![0; WINDOW_BYTES])).unwrap();
        flow.on_resumed();
        flow.on_data(Bytes::from(vec![1; WINDOW_BYTES])).unwrap();
        let mut taken = 0;
        while let Some(data) = flow.take(10_000) {
            taken += data.len();
        }
        assert_eq!(
            (taken, flow.credit().unwrap() as usize),
            (2 * WINDOW_BYTES, WINDOW_BYTES)
        );
    }

    #[test]
    fn what_waits_at_the_host_when_it_is_cut_is_credited_once() {
        let mut flow = InputFlow::whole(Bytes::from(vec![7; 2 * WINDOW_BYTES]));
        while flow.next().is_some() {}
        // The Host has all that was sent, and credit for half of it was lost.
        let half = WINDOW_BYTES / 2;
        flow.on_resumed(WINDOW_BYTES as u64, half as u64).unwrap();
        let mut sent = 0;
        while let Some(data) = flow.next() {
            sent += data.len();
        }
        assert_eq!(sent, half, "the window is half full of what waits there");
        flow.on_credit(WINDOW_BYTES as u32).unwrap();
        assert_eq!(flow.on_credit(1), Err(FlowError::Credit));
    }

    #[test]
    fn an_empty_input_ends_at_once_and_once() {
        let mut flow = InputFlow::whole(Bytes::new());
        assert!(flow.next().is_none());
        assert!(flow.end_due());
        assert!(!flow.end_due());
    }

    #[test]
    fn a_consumed_pipe_cannot_start_over() {
        let mut flow = InputFlow::piped();
        flow.push(Bytes::from_static(b"abc"));
        while flow.next().is_some() {}
        assert!(flow.replayable());
        flow.on_credit(1).unwrap();
        assert!(!flow.replayable());
        assert_eq!(flow.on_resumed(0, 0), Err(FlowError::InputGone));
    }

    proptest! {
        /// Whatever is credited and wherever it is cut, the Host sees the
        /// input whole, in order, once.
        #[test]
        fn input_arrives_whole_over_cuts(
            pieces in prop::collection::vec(0usize..200_000, 1..12),
            moves in prop::collection::vec((0u8..4, 0usize..100_000), 1..200),
        ) {
            let input: Vec<u8> = (0..pieces.iter().sum::<usize>()).map(|i| (i % 251) as u8).collect();
            let mut rest = Bytes::from(input.clone());
            let mut flow = InputFlow::piped();
            let mut host: Vec<u8> = Vec::new();
            let mut consumed = 0usize;
            let mut wire: VecDeque<Bytes> = VecDeque::new();
            for (kind, amount) in moves.into_iter().chain(std::iter::repeat_n((9, 60_000), 5000)) {
                match kind {
                    0 => { // cut: what is on the wire is lost
                        wire.clear();
                        flow.on_resumed(host.len() as u64, consumed as u64).unwrap();
                    }
                    1 => if let Some(data) = wire.pop_front() { host.extend_from_slice(&data); }
                    2 => {
                        let credit = amount.min(host.len() - consumed);
                        consumed += credit;
                        flow.on_credit(credit as u32).unwrap();
                    }
                    3 => {
                        let room = flow.room().min(amount).min(rest.len());
                        flow.push(rest.split_to(room));
                        if rest.is_empty() { flow.end(); }
                    }
                    _ => {
                        let room = flow.room().min(amount).min(rest.len());
                        flow.push(rest.split_to(room));
                        if rest.is_empty() { flow.end(); }
                        wire.extend(flow.next());
                        if let Some(data) = wire.pop_front() { host.extend_from_slice(&data); }
                        let credit = host.len() - consumed;
                        consumed += credit;
                        flow.on_credit(credit as u32).unwrap();
                    }
                }
                wire.extend(flow.next());
                prop_assert!(flow.sent_bytes <= WINDOW_BYTES);
                let waiting = host.len() - consumed;
                prop_assert!(waiting <= WINDOW_BYTES, "the Host holds no more than a window");
                if host.len() == input.len() && rest.is_empty() { break; }
            }
            prop_assert_eq!(host, input);
            prop_assert!(flow.end_due());
        }
    }
}
