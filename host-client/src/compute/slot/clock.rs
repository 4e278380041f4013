//! What a slot does when time passes: looks after the room that a call takes,
//! takes back calls that wait too long, ends what does not end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{AHEAD_TIME_MAX, Broken, Slot, WALL_GRACE};
use crate::compute::{
    room,
    runner::protocol::{self, Kind},
    sandbox::Sandbox,
    verdict::Cut,
};

impl Slot {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let head = self.in_flight.front()?;
        let wall = (head.wall_ms > 0)
            .then(|| self.head_since + Duration::from_millis(head.wall_ms) + WALL_GRACE);
        let ahead = self.in_flight.iter().skip(1).any(|flying| !flying.recalled);
        let recall = ahead.then(|| self.head_since + AHEAD_TIME_MAX);
        [wall, recall, self.kill_deadline, Some(self.look_at)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Another call is the first one now.
    pub(super) fn begin_head(&mut self) {
        self.head_since = Instant::now();
        self.look_at = self.head_since + room::LOOK_INTERVAL;
    }

    /// Ends the first call if it takes room that the Host needs.
    pub(super) fn look_after_room(&mut self, sandbox: &Sandbox) {
        let now = Instant::now();
        if now < self.look_at {
            return;
        }
        self.look_at = now + room::LOOK_INTERVAL;
        let services = &self.lease.services;
        let low = room::low(&sandbox.work_folder, services.slots_total).unwrap_or_else(|error| {
            tracing::debug!(%error, "the room on the disk cannot be looked at");
            None
        });
        let (Some(share), Some(head)) = (low, self.in_flight.front()) else {
            return;
        };
        // Counting may take its time: one call after the other, on a thread for it.
        let Ok(counting) = Arc::clone(&services.counting).try_acquire_owned() else {
            return;
        };
        let (lease, call) = (Arc::clone(&self.lease), Arc::clone(&head.call));
        let folder = sandbox.work_folder.clone();
        tokio::task::spawn_blocking(move || {
            if room::is_over(&folder, share) {
                tracing::warn!(call.id = %call.id, "a call fills the Host's disk and is ended");
                lease.cut_call(&call, Cut::Limit(room::LIMIT));
            }
            drop(counting);
        });
    }

    pub(super) fn on_deadline(&mut self) -> Result<(), Broken> {
        let now = Instant::now();
        if self.kill_deadline.is_some_and(|at| at <= now) {
            return Err(Broken::Late);
        }
        if let Some(head) = self.in_flight.front()
            && head.wall_ms > 0
            && now >= self.head_since + Duration::from_millis(head.wall_ms) + WALL_GRACE
        {
            return Err(Broken::Late);
        }
        if now < self.head_since + AHEAD_TIME_MAX {
            return Ok(());
        }
        for flying in self
            .in_flight
            .iter_mut()
            .skip(1)
            .filter(|flying| !flying.recalled)
        {
            flying.recalled = true;
            protocol::push(&mut self.outbox, Kind::Recall, flying.number, &[]);
        }
        Ok(())
    }
}
