//! From a need to leases: access, queue, alternatives, patience.
//!
//! An Element that refuses or cannot be reached is passed over for the next
//! one of the decision. When all are away, they are tried again for a while,
//! and so is the controller when it names none because they are; any other
//! refusal is final, and told as the best Element told it.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use gridmart_schemas::{
    api::access::ElementAccess,
    id::{EntryId, JobId, NodeId, RequestId},
    problem::{Code, Problem},
    wire::queue::QueueEnter,
};
use tokio::sync::mpsc;

use super::{
    Grid,
    access::{Access, Need},
    avoided::Avoided,
    entry::EntryEvent,
    rounds::{Refusal, Rounds, is_ticket_refusal},
    session::{LeaseHold, QueueEntry},
};
use crate::error::Error;

/// Wait between two rounds over all Elements, and before a lease that was over
/// when it came is asked for anew.
pub(crate) const ROUND_INTERVAL: Duration = Duration::from_millis(500);
/// A lease ticket is renewed after this share of its life.
const RENEW_SHARE: f64 = 0.6;
/// Wait before a failed renewal is tried again.
const RENEW_RETRY: Duration = Duration::from_secs(5);
/// Positions and leases that wait to be read by a map.
const PLACEMENTS_MAX: usize = 64;

/// What is wanted of a queue.
#[derive(Clone)]
pub(crate) struct Demand {
    pub(crate) need: Need,
    pub(crate) slots: u32,
    pub(crate) job: Option<JobId>,
    pub(crate) hosts_max: Option<u32>,
    /// Hosts that failed for this caller.
    pub(crate) avoid: Avoided,
    /// Higher goes first in the queue.
    pub(crate) priority: i32,
    pub(crate) request: RequestId,
}

/// What came of it so far.
pub(crate) enum Placement {
    Lease(Arc<LeaseHold>),
    Position(u32),
}

/// A demand on its way to leases.
pub(crate) struct Waiting {
    demand: Demand,
    granted: u32,
    entry: Option<QueueEntry>,
    rounds: Rounds,
}

impl Waiting {
    pub(crate) fn new(demand: Demand) -> Self {
        Self {
            demand,
            granted: 0,
            entry: None,
            rounds: Rounds::default(),
        }
    }

    /// Waits for the next lease or place. Dropping the future and asking again
    /// may cost the place in the queue; dropping `self` leaves the queue.
    pub(crate) async fn next(&mut self, grid: &Arc<Grid>) -> Result<Placement, Error> {
        loop {
            let Some(entry) = &mut self.entry else {
                self.enter(grid).await?;
                continue;
            };
            let element = entry.element();
            match entry.next().await {
                EntryEvent::Granted(hold) => return Ok(self.on_granted(grid, hold)),
                EntryEvent::Position(position) => return Ok(Placement::Position(position)),
                EntryEvent::Refused(problem) => self.on_failed(element, problem),
                EntryEvent::Lost => {
                    self.on_failed(
                        element,
                        Problem::new(Code::ElementDown, "the queue stream was lost while waiting"),
                    );
                }
            }
        }
    }

    /// Tells whether all wanted slots are granted.
    pub(crate) const fn satisfied(&self) -> bool {
        self.granted >= self.demand.slots
    }

    fn on_granted(&mut self, grid: &Arc<Grid>, hold: LeaseHold) -> Placement {
        self.granted = self.granted.saturating_add(hold.lease().slots.max(1));
        if self.satisfied() {
            self.entry = None;
        }
        let hold = Arc::new(hold);
        tokio::spawn(keep_renewed(
            Arc::downgrade(grid),
            Arc::downgrade(&hold),
            self.demand.need.clone(),
        ));
        Placement::Lease(hold)
    }

    fn on_failed(&mut self, element: NodeId, problem: Problem) {
        self.entry = None;
        self.rounds.on_failed(element, problem);
    }

    async fn enter(&mut self, grid: &Arc<Grid>) -> Result<(), Error> {
        let access = decision(grid, &self.demand.need, &mut self.rounds).await?;
        let next = access
            .elements
            .iter()
            .find(|element| !self.rounds.has_failed(element.element));
        let Some(element) = next else {
            return self.end_round(grid, &access).await;
        };
        match grid
            .session(element)
            .enter(self.request(element), self.demand.request)
            .await
        {
            Ok(entry) => {
                self.entry = Some(entry);
                self.rounds.on_entered();
            }
            Err(problem) => {
                if self.rounds.on_refused(element.element, problem) == Refusal::AskAnew {
                    grid.access.forget(&self.demand.need, &access);
                }
            }
        }
        Ok(())
    }

    fn request(&self, element: &ElementAccess) -> QueueEnter {
        QueueEnter {
            ticket: element.ticket.clone(),
            entry: EntryId::generate(),
            slots: self.demand.slots.saturating_sub(self.granted).max(1),
            job: self.demand.job,
            hosts_max: self.demand.hosts_max,
            avoid: self.demand.avoid.hosts().to_vec(),
            priority: self.demand.priority,
        }
    }

    async fn end_round(&mut self, grid: &Arc<Grid>, access: &Arc<Access>) -> Result<(), Error> {
        grid.access.forget(&self.demand.need, access);
        let nobody = || {
            Problem::new(Code::NotAccepting, "the controller named no Element for it")
                .with_request(Some(access.request))
        };
        self.rounds.on_round_over(nobody, Instant::now())?;
        tokio::time::sleep(ROUND_INTERVAL).await;
        Ok(())
    }
}

/// Asks the controller who serves it, again as long as `rounds` allow.
pub(crate) async fn decision(
    grid: &Grid,
    need: &Need,
    rounds: &mut Rounds,
) -> Result<Arc<Access>, Error> {
    loop {
        match grid.access.get(need).await {
            Err(error) => await_return(error, rounds).await?,
            decided => return decided,
        }
    }
}

/// The controller names nobody: waits before it is asked again, if `rounds`
/// allow that.
pub(crate) async fn await_return(error: Error, rounds: &mut Rounds) -> Result<(), Error> {
    let again = error
        .problem()
        .is_some_and(|problem| rounds.on_undecided(problem, Instant::now()));
    if !again {
        return Err(error);
    }
    tracing::debug!(%error, "who could serve it is away; the controller is asked again");
    tokio::time::sleep(ROUND_INTERVAL).await;
    Ok(())
}

/// Renews a lease's ticket until the lease is given back.
async fn keep_renewed(grid: Weak<Grid>, hold: Weak<LeaseHold>, need: Need) {
    let Some((mut state, mut life)) = hold
        .upgrade()
        .map(|hold| (hold.watch(), hold.lease().expires_in))
    else {
        return;
    };
    let mut wait = Duration::from_secs(life.into()).mul_f64(RENEW_SHARE);
    loop {
        let over = state.wait_for(|state| state.over.is_some());
        if tokio::time::timeout(wait, over).await.is_ok() {
            return;
        }
        let (Some(grid), Some(hold)) = (grid.upgrade(), hold.upgrade()) else {
            return;
        };
        wait = match renew(&grid, &hold, &need).await {
            Ok(()) => {
                life = hold.lease().expires_in;
                Duration::from_secs(life.into()).mul_f64(RENEW_SHARE)
            }
            Err(error) => {
                tracing::debug!(lease.id = %hold.id(), %error, "a lease ticket could not be renewed; it is tried again");
                RENEW_RETRY
            }
        };
    }
}

async fn renew(grid: &Arc<Grid>, hold: &LeaseHold, need: &Need) -> Result<(), Error> {
    let access = grid.access.get(need).await?;
    let element = access
        .elements
        .iter()
        .find(|element| element.element == hold.element())
        .ok_or_else(|| {
            Error::refused(
                Code::NotAccepting,
                "the controller names the lease's Element no more",
            )
        })?;
    hold.renew(element.ticket.clone()).await.map_err(|problem| {
        if is_ticket_refusal(problem.code) {
            grid.access.forget(need, &access);
        }
        problem.into()
    })
}

/// A demand followed by a task, for those who wait for more than leases.
pub(crate) struct Waited {
    events: mpsc::Receiver<Result<Placement, Error>>,
    task: tokio::task::AbortHandle,
}

impl Waited {
    pub(crate) fn spawn(grid: Arc<Grid>, demand: Demand) -> Self {
        let (sender, events) = mpsc::channel(PLACEMENTS_MAX);
        let task = tokio::spawn(async move {
            let mut waiting = Waiting::new(demand);
            while !waiting.satisfied() {
                let next = waiting.next(&grid).await;
                let failed = next.is_err();
                if sender.send(next).await.is_err() || failed {
                    return;
                }
            }
        });
        Self {
            events,
            task: task.abort_handle(),
        }
    }

    /// Gives the next event; none: all is granted, or an error was the last.
    pub(crate) async fn next(&mut self) -> Option<Result<Placement, Error>> {
        self.events.recv().await
    }
}

impl Drop for Waited {
    fn drop(&mut self) {
        self.task.abort();
    }
}
