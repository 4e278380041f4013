//! What heartbeats say: in memory only, each value with the moment of its
//! arrival by this controller's own monotonic clock.
//!
//! Invariants: readers see an immutable copy; a stream that was replaced by a
//! newer one of the same Element changes nothing any more; a value past its
//! validity is not a fact ([`ElementObserved::fresh_state`]).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use gridmart_schemas::{
    id::{Incarnation, NodeId},
    resource::{
        any::{AnyElementState, AnyHostState},
        ce::CeState,
    },
    wire::{
        control_element::{Deployment, HostDelta},
        desired::ElementDesired,
    },
};
use imbl::OrdMap;
use parking_lot::Mutex;
use tokio::sync::watch;

/// Longest validity that an Element may claim for its State.
const VALIDITY_MAX: Duration = Duration::from_mins(2);

/// Names one stream of one Element within this start of the controller.
pub type StreamNumber = u64;

/// Everything that was heard.
#[derive(Clone, Default)]
pub struct Observed {
    /// Of Elements.
    pub elements: OrdMap<NodeId, Arc<ElementObserved>>,
    /// Of Hosts, told by their Elements.
    pub hosts: OrdMap<NodeId, Arc<HostObserved>>,
}

/// What was heard of an Element.
#[derive(Clone, Debug, PartialEq)]
pub struct ElementObserved {
    /// The stream that said it.
    pub stream: StreamNumber,
    /// Whether that stream stands.
    pub connected: bool,
    /// This start of its process.
    pub incarnation: Incarnation,
    /// Its software version, for people.
    pub software: String,
    /// When State last arrived.
    pub heard: Instant,
    /// Its State.
    pub state: Option<AnyElementState>,
    /// Applications that it holds.
    pub deployments: Vec<Deployment>,
    /// Generation of its own wish that it has applied.
    pub applied: u64,
    /// What should be, as it has last recorded it on this stream.
    pub recorded: Option<Arc<ElementDesired>>,
}

/// What was heard of a Host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostObserved {
    /// Its Element.
    pub element: NodeId,
    /// Whether its stream to the Element stands.
    pub connected: bool,
    /// Its age when the Element told of it.
    pub stated_age: Duration,
    /// Its State.
    pub state: Option<AnyHostState>,
    /// Applications on it.
    pub deployments: Vec<Deployment>,
    /// Generation of its wish that it has applied.
    pub applied: u64,
}

impl ElementObserved {
    /// Time since State last arrived.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard)
    }

    /// Its State, if that is a fact still.
    pub fn fresh_state(&self, now: Instant) -> Option<&AnyElementState> {
        let state = self.state.as_ref()?;
        let validity = state.validity().to_duration().min(VALIDITY_MAX);
        (self.connected && self.age(now) <= validity).then_some(state)
    }

    /// The same, of a Computing Element.
    pub fn fresh_computing_state(&self, now: Instant) -> Option<&CeState> {
        match self.fresh_state(now)? {
            AnyElementState::Computing(state) => Some(state),
            AnyElementState::Storage(_) | AnyElementState::Data(_) => None,
        }
    }
}

impl HostObserved {
    /// Its State, if that is a fact still. The Element tells only what changed,
    /// so it holds as long as the Element is heard and says nothing else.
    pub fn fresh_state(
        &self,
        element: Option<&ElementObserved>,
        now: Instant,
    ) -> Option<&AnyHostState> {
        let element = element?;
        element.fresh_state(now)?;
        let state = self.state.as_ref()?;
        let validity = state.validity().to_duration().min(VALIDITY_MAX);
        (self.connected && self.stated_age <= validity).then_some(state)
    }

    /// Time since it was last heard: by the Element, and then from the Element.
    pub fn age(&self, element: Option<&ElementObserved>, now: Instant) -> Option<Duration> {
        element.map(|element| element.age(now).saturating_add(self.stated_age))
    }
}

/// Holds the newest [`Observed`]; changes are brief and take turns.
pub struct ObservedCell {
    current: ArcSwap<Observed>,
    turn: Mutex<()>,
    changed: watch::Sender<u64>,
}

impl Default for ObservedCell {
    fn default() -> Self {
        Self {
            current: ArcSwap::default(),
            turn: Mutex::new(()),
            changed: watch::Sender::new(0),
        }
    }
}

impl ObservedCell {
    /// The newest.
    pub fn load(&self) -> Arc<Observed> {
        self.current.load_full()
    }

    /// Wakes whenever something was heard.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Takes what a new stream says in its hello; forgets what older streams
    /// said of Hosts that it does not name.
    pub fn on_hello(
        &self,
        element: NodeId,
        heard: ElementObserved,
        hosts: impl IntoIterator<Item = (NodeId, HostObserved)>,
    ) {
        self.change(|observed| {
            let gone: Vec<NodeId> = observed
                .hosts
                .iter()
                .filter(|(_, host)| host.element == element)
                .map(|(id, _)| *id)
                .collect();
            for id in gone {
                observed.hosts.remove(&id);
            }
            for (id, host) in hosts {
                observed.hosts.insert(id, Arc::new(host));
            }
            observed.elements.insert(element, Arc::new(heard));
        });
    }

    /// Takes a heartbeat.
    pub fn on_heartbeat(
        &self,
        element: NodeId,
        stream: StreamNumber,
        state: AnyElementState,
        deltas: Vec<HostDelta>,
        now: Instant,
    ) {
        self.change_element(element, stream, |observed, heard| {
            heard.heard = now;
            heard.state = Some(state);
            for delta in deltas {
                let HostDelta {
                    id,
                    connected,
                    state,
                    age_ms,
                } = delta;
                // A Host that was not told whole yet follows with HostsChanged.
                let Some(host) = observed
                    .hosts
                    .get(&id)
                    .filter(|host| host.element == element)
                else {
                    continue;
                };
                let mut host = HostObserved::clone(host);
                host.connected = connected;
                host.stated_age = Duration::from_millis(age_ms);
                host.state = state.or(host.state);
                observed.hosts.insert(id, Arc::new(host));
            }
        });
    }

    /// Takes Hosts told whole, and the Element's deployments if told.
    pub fn on_hosts_changed(
        &self,
        element: NodeId,
        stream: StreamNumber,
        hosts: Vec<(NodeId, HostObserved)>,
        deployments: Option<Vec<Deployment>>,
    ) {
        self.change_element(element, stream, |observed, heard| {
            for (id, host) in hosts {
                observed.hosts.insert(id, Arc::new(host));
            }
            if let Some(deployments) = deployments {
                heard.deployments = deployments;
            }
        });
    }

    /// Takes the Element's word that it has recorded what should be.
    pub fn on_recorded(
        &self,
        element: NodeId,
        stream: StreamNumber,
        applied: u64,
        recorded: Arc<ElementDesired>,
    ) {
        self.change_element(element, stream, |_, heard| {
            heard.applied = applied;
            heard.recorded = Some(recorded);
        });
    }

    /// Notes that a stream has ended.
    pub fn on_closed(&self, element: NodeId, stream: StreamNumber) {
        self.change_element(element, stream, |_, heard| heard.connected = false);
    }

    /// Changes what one Element's present stream says.
    fn change_element(
        &self,
        element: NodeId,
        stream: StreamNumber,
        change: impl FnOnce(&mut Observed, &mut ElementObserved),
    ) {
        self.change(|observed| {
            let Some(heard) = observed
                .elements
                .get(&element)
                .filter(|heard| heard.stream == stream)
            else {
                return;
            };
            let mut heard = ElementObserved::clone(heard);
            change(observed, &mut heard);
            observed.elements.insert(element, Arc::new(heard));
        });
    }

    fn change(&self, change: impl FnOnce(&mut Observed)) {
        let turn = self.turn.lock();
        let mut observed = Observed::clone(&self.current.load());
        change(&mut observed);
        self.current.store(Arc::new(observed));
        drop(turn);
        self.changed.send_modify(|version| *version += 1);
    }
}
