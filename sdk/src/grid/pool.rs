//! Leases kept for the next call, and callers who wait for a slot.
//!
//! A caller takes a free slot of a kept lease, or enters the queue; a slot that
//! comes free meanwhile is handed to the first who waits, who then leaves the
//! queue. An idle lease is given back after [`IDLE_KEPT`], or at once when the
//! Element recalls it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use gridmart_schemas::{
    api::access::ApplicationAccess,
    id::{Digest, JobId, LeaseId, NodeId, RequestId},
    problem::Problem,
};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    Grid,
    access::{Access, Need},
    link::Link,
    placement::{Demand, Placement, ROUND_INTERVAL, Waiting, await_return, decision},
    rounds::Rounds,
    tries::{Next, Tries},
};
use crate::error::Error;

/// An idle lease is kept for the next call so long.
pub(crate) const IDLE_KEPT: Duration = Duration::from_secs(30);
/// How often idle leases are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Hosts that cannot be reached, before a call is given up.
const UNREACHED_MAX: usize = 3;

/// Leases serve whoever asks for the same version with the same needs; those
/// of a map serve that map alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Shelf {
    digest: Digest,
    needs: Vec<String>,
    job: Option<JobId>,
}

#[derive(Default)]
struct Stock {
    kept: Vec<Kept>,
    waiters: VecDeque<oneshot::Sender<Slot>>,
}

struct Kept {
    link: Link,
    used: u32,
    idle_since: Instant,
}

impl Kept {
    fn has_room(&self, avoid: &[NodeId]) -> bool {
        self.used < self.link.slots() && self.link.is_usable() && !avoid.contains(&self.link.host())
    }
}

/// All kept leases of a client.
pub(crate) struct Pool {
    stocks: Mutex<HashMap<Shelf, Stock>>,
}

/// The right to run one call at a time on a link; dropping it passes it on.
pub(crate) struct Slot {
    pool: Weak<Pool>,
    shelf: Arc<Shelf>,
    link: Link,
    application: Arc<ApplicationAccess>,
}

impl Slot {
    pub(crate) const fn link(&self) -> &Link {
        &self.link
    }

    pub(crate) fn application(&self) -> &ApplicationAccess {
        &self.application
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.on_freed(self);
        }
    }
}

/// What a caller of the pool wants.
pub(crate) struct Wanted<'a> {
    pub(crate) need: &'a Need,
    pub(crate) job: Option<JobId>,
    pub(crate) avoid: &'a [NodeId],
    pub(crate) priority: i32,
    pub(crate) request: RequestId,
}

impl Pool {
    /// Makes a pool, and the task that gives idle leases back.
    pub(crate) fn start(stop: &CancellationToken) -> Arc<Self> {
        let pool = Arc::new(Self {
            stocks: Mutex::default(),
        });
        tokio::spawn(sweep(Arc::downgrade(&pool), stop.clone()));
        pool
    }

    /// Gives a slot: of a kept lease, of one that comes free, or of a new one.
    pub(crate) async fn slot(
        self: &Arc<Self>,
        grid: &Arc<Grid>,
        wanted: &Wanted<'_>,
    ) -> Result<Slot, Error> {
        let access = match grid.access.get(wanted.need).await {
            Ok(access) => access,
            Err(error) => {
                if let Some(slot) = self.slot_while_away(grid, wanted) {
                    return Ok(slot);
                }
                let mut rounds = Rounds::default();
                await_return(error, &mut rounds).await?;
                decision(grid, wanted.need, &mut rounds).await?
            }
        };
        let place = self.place(wanted, &access);
        if let Some(slot) = self.take(&place) {
            return Ok(slot);
        }
        let (sender, mut handed) = oneshot::channel();
        self.stocks
            .lock()
            .entry((*place.shelf).clone())
            .or_default()
            .waiters
            .push_back(sender);
        tokio::select! {
            biased;
            Ok(slot) = &mut handed => Ok(slot),
            slot = self.lease(grid, wanted, &place) => slot.or_else(|error| handed.try_recv().map_err(|_| error)),
        }
    }

    /// The controller is away, or names nobody: a kept lease serves what it meant last.
    fn slot_while_away(self: &Arc<Self>, grid: &Grid, wanted: &Wanted<'_>) -> Option<Slot> {
        let access = grid.access.stale(wanted.need)?;
        self.take(&self.place(wanted, &access))
    }

    fn place(self: &Arc<Self>, wanted: &Wanted<'_>, access: &Access) -> Place {
        let key = Arc::new(Shelf {
            digest: access.application.digest.clone(),
            needs: wanted.need.needs.clone(),
            job: wanted.job,
        });
        Place {
            pool: Arc::downgrade(self),
            shelf: key,
            application: Arc::new(access.application.clone()),
            avoid: wanted.avoid.to_vec(),
        }
    }

    fn take(&self, place: &Place) -> Option<Slot> {
        let mut stocks = self.stocks.lock();
        let kept = stocks
            .get_mut(&place.shelf)?
            .kept
            .iter_mut()
            .find(|kept| kept.has_room(&place.avoid))?;
        kept.used += 1;
        Some(place.slot(kept.link.clone()))
    }

    async fn lease(
        self: &Arc<Self>,
        grid: &Arc<Grid>,
        wanted: &Wanted<'_>,
        place: &Place,
    ) -> Result<Slot, Error> {
        let mut demand = Demand {
            need: wanted.need.clone(),
            slots: 1,
            job: wanted.job,
            hosts_max: None,
            avoid: wanted.avoid.into(),
            priority: wanted.priority,
            request: wanted.request,
        };
        let mut last: Option<Problem> = None;
        let mut tries = Tries::new(UNREACHED_MAX);
        loop {
            let mut waiting = Waiting::new(demand.clone());
            let hold = loop {
                match waiting.next(grid).await {
                    Ok(Placement::Lease(hold)) => break hold,
                    Ok(Placement::Position(_)) => {}
                    // No other Host would do: the one that failed is the news.
                    Err(error) => return Err(last.map_or(error, Into::into)),
                }
            };
            let host = hold.host();
            match Link::open(grid.tls(), hold, Arc::downgrade(self), grid.tasks()).await {
                Ok(link) => return Ok(self.keep(place, link)),
                Err(problem) => {
                    match tries.on_unusable(&problem, Instant::now()) {
                        Next::Elsewhere => demand.avoid.add(host),
                        Next::Anew => tokio::time::sleep(ROUND_INTERVAL).await,
                        Next::Over => return Err(problem.into()),
                    }
                    last = Some(problem);
                }
            }
        }
    }

    /// Puts a new lease on its shelf; the first slot is the caller's.
    fn keep(&self, place: &Place, link: Link) -> Slot {
        let mut stocks = self.stocks.lock();
        let stock = stocks.entry((*place.shelf).clone()).or_default();
        let mut kept = Kept {
            link: link.clone(),
            used: 1,
            idle_since: Instant::now(),
        };
        let slot = place.slot(link);
        hand_out(&mut kept, &mut stock.waiters, &slot);
        stock.kept.push(kept);
        slot
    }

    fn on_freed(&self, slot: &Slot) {
        let mut stocks = self.stocks.lock();
        let Some(stock) = stocks.get_mut(&slot.shelf) else {
            return;
        };
        stock.waiters.retain(|waiter| !waiter.is_closed());
        let Some(index) = stock
            .kept
            .iter()
            .position(|kept| kept.link.id() == slot.link.id())
        else {
            return;
        };
        let kept = &mut stock.kept[index];
        kept.used -= 1;
        kept.idle_since = Instant::now();
        hand_out(kept, &mut stock.waiters, slot);
        // A map's split and merge are one call each: nobody comes for the slot.
        let finished = !kept.link.is_usable() || slot.shelf.job.is_some();
        if kept.used == 0 && finished {
            stock.kept.swap_remove(index).link.close();
        }
        if stock.kept.is_empty() && stock.waiters.is_empty() {
            stocks.remove(&slot.shelf);
        }
    }

    /// The lease takes no new calls: given back now if it is idle, else when
    /// its last call ends.
    pub(crate) fn on_spent(&self, lease: LeaseId) {
        self.drop_where(|kept| kept.link.id() == lease && kept.used == 0);
    }

    /// The link is gone with all its calls.
    pub(crate) fn on_dead(&self, lease: LeaseId) {
        self.drop_where(|kept| kept.link.id() == lease);
    }

    pub(crate) fn close(&self) {
        self.drop_where(|_| true);
    }

    fn drop_where(&self, gone: impl Fn(&Kept) -> bool) {
        let mut dropped = Vec::new();
        self.stocks.lock().retain(|_, stock| {
            dropped.extend(stock.kept.extract_if(.., |kept| gone(kept)));
            stock.waiters.retain(|waiter| !waiter.is_closed());
            !stock.kept.is_empty() || !stock.waiters.is_empty()
        });
        for kept in dropped {
            kept.link.close();
        }
    }
}

/// Passes free slots of a lease to those who wait. A waiter who has gone is
/// skipped without making a slot: dropping one here would lock the pool twice.
fn hand_out(kept: &mut Kept, waiters: &mut VecDeque<oneshot::Sender<Slot>>, like: &Slot) {
    while kept.used < kept.link.slots() && kept.link.is_usable() {
        let Some(waiter) = waiters.pop_front() else {
            return;
        };
        if waiter.is_closed() {
            continue;
        }
        kept.used += 1;
        let slot = Slot {
            pool: like.pool.clone(),
            shelf: Arc::clone(&like.shelf),
            link: like.link.clone(),
            application: Arc::clone(&like.application),
        };
        if let Err(mut refused) = waiter.send(slot) {
            // Gone between the two looks.
            refused.pool = Weak::new();
            kept.used -= 1;
        }
    }
}

/// Where slots of one wish come from.
struct Place {
    pool: Weak<Pool>,
    shelf: Arc<Shelf>,
    application: Arc<ApplicationAccess>,
    avoid: Vec<NodeId>,
}

impl Place {
    fn slot(&self, link: Link) -> Slot {
        Slot {
            pool: self.pool.clone(),
            shelf: Arc::clone(&self.shelf),
            link,
            application: Arc::clone(&self.application),
        }
    }
}

async fn sweep(pool: Weak<Pool>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP_INTERVAL) => {}
        }
        let Some(pool) = pool.upgrade() else { return };
        pool.drop_where(|kept| kept.used == 0 && kept.idle_since.elapsed() >= IDLE_KEPT);
    }
}
