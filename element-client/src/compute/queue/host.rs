//! A Host as the queue sees it.
//!
//! Invariant: `offered` is what the indexes of all applications hold for this
//! Host; only `Queue::reindex` changes it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_schemas::{
    id::{Digest, Incarnation, LeaseId, NodeId},
    problem::Problem,
    resource::{
        enumeration::{HealthState, ServingState},
        host::{ComputeHost, HostState},
    },
    scalar::Seconds,
    wire::desired::Wish,
};

/// How far an application is on a Host.
#[derive(Clone, Debug, PartialEq)]
pub enum Placement {
    /// On its way.
    Ensuring,
    /// Ready to be called.
    Ready,
    /// Could not be brought there; tried again after a while.
    Broken {
        /// When to try again.
        until: Instant,
        /// Why.
        problem: Problem,
    },
}

/// A Host of the pool.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each of them shown by its name"
)]
pub struct PoolHost {
    /// Which.
    pub id: NodeId,
    /// Its description as last told.
    pub description: Arc<ComputeHost>,
    /// `HOST:PORT` of its calls door.
    pub endpoints: Vec<String>,
    /// It cannot be dialled: programs are joined to it here.
    pub relayed: bool,
    /// Its present start; absent until it was heard.
    pub incarnation: Option<Incarnation>,
    /// What it should be.
    pub wish: Wish,
    /// Its certificate is refused.
    pub revoked: bool,
    /// Its stream stands.
    pub connected: bool,
    /// A probe found it dead; until its next hello.
    pub down: bool,
    /// Its State is not older than its validity.
    pub fresh: bool,
    /// When it was last heard.
    pub heard: Option<Instant>,
    /// How long its State is a fact.
    pub validity: Duration,
    /// As it says of itself.
    pub serving: ServingState,
    /// As it says of itself.
    pub health: HealthState,
    /// Slots that may be given out.
    pub slots: u32,
    /// Slots in leases.
    pub held: u32,
    /// Slots of leases that have ended here and that the Host still holds.
    pub ending: BTreeMap<LeaseId, u32>,
    /// A call older than this is overdue.
    pub overdue_after: Duration,
    /// Applications that are or were being brought to it.
    pub placements: BTreeMap<Digest, Placement>,
    /// Applications whose wish here differs from the Element's.
    pub application_wishes: BTreeMap<Digest, Wish>,
    pub(super) offered: u32,
}

impl PoolHost {
    /// A Host that is known and was not heard yet.
    pub fn new(id: NodeId, description: Arc<ComputeHost>, wish: Wish) -> Self {
        Self {
            id,
            // Until its hello: as it said before this Element's restart.
            relayed: description.info.relayed == Some(true),
            description,
            endpoints: Vec::new(),
            incarnation: None,
            wish,
            revoked: false,
            connected: false,
            down: false,
            fresh: false,
            heard: None,
            validity: Duration::ZERO,
            serving: ServingState::Closed,
            health: HealthState::Unknown,
            slots: 0,
            held: 0,
            ending: BTreeMap::new(),
            overdue_after: Duration::ZERO,
            placements: BTreeMap::new(),
            application_wishes: BTreeMap::new(),
            offered: 0,
        }
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        self.description.info.common.name.as_str()
    }

    /// Takes what the Host says of its state; `floor` is the least time after
    /// which a call may be called overdue.
    pub(super) fn hear(&mut self, state: &HostState, floor: Duration, now: Instant) {
        self.heard = Some(now);
        self.fresh = true;
        self.validity = state.validity.to_duration();
        self.serving = state.common.serving_state;
        self.health = state.common.health_state;
        let allowed = self.description.policy.max_running_jobs.unwrap_or(u32::MAX);
        self.slots = state.total_slots.min(allowed);
        let worst = state
            .worst_response_time
            .map_or(Duration::ZERO, Seconds::to_duration);
        self.overdue_after = worst.max(floor);
    }

    /// Whether its slots count: it can be reached, is well and may work.
    pub fn is_usable(&self) -> bool {
        super::choice::host_is_usable(self)
    }

    /// Slots that could be given out now.
    pub fn free(&self) -> u32 {
        if self.is_usable() {
            let ending = self.ending.values().sum();
            self.slots.saturating_sub(self.held).saturating_sub(ending)
        } else {
            0
        }
    }

    /// What an application should be here: the newer of the Element's wish
    /// and the Host's own.
    pub fn application_wish(&self, digest: &Digest, element: Wish) -> Wish {
        let Some(own) = self.application_wishes.get(digest) else {
            return element;
        };
        let newer = if own.generation > element.generation {
            *own
        } else {
            element
        };
        // A kill of either ends what was begun before it.
        Wish {
            cut_epoch: own.cut_epoch.max(element.cut_epoch),
            ..newer
        }
    }
}
