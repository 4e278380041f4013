//! One stream out of a call: what is kept, what was sent, what is credited.

use std::{io, sync::Arc};

use gridmart_schemas::wire::frame::{self, DATA_BYTES_MAX, MESSAGE_BYTES_GOAL, WINDOW_BYTES};

use super::super::spool::{Spool, SpoolRoom};

/// Invariant: base of the spool ≤ credited ≤ sent ≤ length of the spool.
pub(super) struct Outlet {
    pub(super) spool: Spool,
    sent: u64,
    credited: u64,
    /// Credit that the runner is to get.
    pub(super) runner_credit: u32,
}

impl Outlet {
    pub(super) fn new(room: &Arc<SpoolRoom>) -> Self {
        Self {
            spool: Spool::new(Arc::clone(room)),
            sent: 0,
            credited: 0,
            runner_credit: 0,
        }
    }

    pub(super) fn is_sent(&self) -> bool {
        self.sent == self.spool.length()
    }

    fn window_left(&self) -> u64 {
        (self.credited + WINDOW_BYTES as u64).saturating_sub(self.sent)
    }

    pub(super) fn can_send(&self) -> bool {
        !self.is_sent() && self.window_left() > 0
    }

    /// Appends frames, as far as window and message go.
    pub(super) fn push(
        &mut self,
        message: &mut Vec<u8>,
        kind: frame::Kind,
        channel: u32,
    ) -> io::Result<()> {
        while self.can_send() && message.len() < MESSAGE_BYTES_GOAL {
            let most = usize::try_from(self.window_left())
                .unwrap_or(usize::MAX)
                .min(DATA_BYTES_MAX);
            let mut piece = Vec::new();
            self.spool.read(self.sent, most, &mut piece)?;
            frame::push(message, kind, channel, &piece);
            self.sent += piece.len() as u64;
        }
        Ok(())
    }

    /// What is credited is not needed any more. Credit for what was never sent
    /// does not count.
    pub(super) fn on_credit(&mut self, bytes: u32, is_part: bool) {
        let credited = (self.credited + u64::from(bytes)).min(self.sent);
        let gained = credited - self.credited;
        self.credited = credited;
        self.spool.release(credited);
        if !is_part {
            self.runner_credit = self
                .runner_credit
                .saturating_add(u32::try_from(gained).unwrap_or(u32::MAX));
        }
    }

    /// Goes on where a caller stands that has come back: what it has counts as
    /// credited, since credits may have been lost on the way.
    pub(super) fn take_up(&mut self, position: u64, is_part: bool) {
        let gained = position.saturating_sub(self.credited);
        self.credited = self.credited.max(position);
        self.sent = self.credited;
        self.spool.release(self.credited);
        if !is_part {
            self.runner_credit = self
                .runner_credit
                .saturating_add(u32::try_from(gained).unwrap_or(u32::MAX));
        }
    }
}
