//! What the controller is told of an Element's Hosts: all of them once per
//! stream, then whole summaries of those whose description changed, and small
//! deltas with each heartbeat.

use std::{collections::BTreeMap, time::Instant};

use gridmart_schemas::{
    id::NodeId,
    resource::any::{AnyHost, AnyHostState},
    wire::control_element::{Deployment, HostDelta, HostSummary},
};
use parking_lot::Mutex;

/// A Host, and what of it the controller has not been told.
#[derive(Debug)]
struct View {
    summary: HostSummary,
    heard: Option<Instant>,
    whole_due: bool,
    state_due: bool,
}

/// The inner topology of an Element.
#[derive(Debug, Default)]
pub struct Monitor {
    hosts: Mutex<BTreeMap<NodeId, View>>,
}

impl Monitor {
    /// A Host of the information base.
    pub fn on_known(&self, id: NodeId, host: AnyHost) {
        let summary = HostSummary {
            host,
            id,
            connected: false,
            generation: 0,
            deployments: Vec::new(),
        };
        self.hosts.lock().entry(id).or_insert(View {
            summary,
            heard: None,
            whole_due: true,
            state_due: false,
        });
    }

    /// A Host has come, or has told itself anew.
    pub fn on_told(
        &self,
        id: NodeId,
        mut host: AnyHost,
        deployments: Vec<Deployment>,
        generation: u64,
        now: Instant,
    ) {
        let mut hosts = self.hosts.lock();
        let known = hosts.get(&id);
        // Told without State, as a change may be: the last one still holds.
        let last = || known.and_then(|view| view.summary.host.state());
        if let Some(state) = host.state().or_else(last) {
            // A Host's kind is that of its certificate, always.
            let _ = host.set_state(state);
        }
        let summary = HostSummary {
            host,
            id,
            connected: true,
            generation,
            deployments,
        };
        hosts.insert(
            id,
            View {
                summary,
                heard: Some(now),
                whole_due: true,
                state_due: false,
            },
        );
    }

    /// A Host's heartbeat.
    pub fn on_heard(&self, id: NodeId, state: AnyHostState, now: Instant) {
        if let Some(view) = self.hosts.lock().get_mut(&id) {
            view.heard = Some(now);
            view.summary.connected = true;
            view.state_due |= !view
                .summary
                .host
                .state()
                .is_some_and(|old| says_the_same(old, &state));
            let _ = view.summary.host.set_state(state);
        }
    }

    /// A Host has applied what it should be.
    pub fn on_applied(&self, id: NodeId, generation: u64) {
        if let Some(view) = self.hosts.lock().get_mut(&id)
            && view.summary.generation != generation
        {
            view.summary.generation = generation;
            view.whole_due = true;
        }
    }

    /// A Host's stream is lost.
    pub fn on_lost(&self, id: NodeId) {
        if let Some(view) = self.hosts.lock().get_mut(&id) {
            view.summary.connected = false;
            view.whole_due = true;
        }
    }

    /// All Hosts, whole, for a new stream.
    pub fn all(&self) -> Vec<HostSummary> {
        let told = |view: &mut View| {
            (view.whole_due, view.state_due) = (false, false);
            view.summary.clone()
        };
        self.hosts.lock().values_mut().map(told).collect()
    }

    /// Those that have to be told whole; at most `limit`.
    pub fn changed(&self, limit: usize) -> Vec<HostSummary> {
        let told = |view: &mut View| {
            (view.whole_due, view.state_due) = (false, false);
            view.summary.clone()
        };
        self.hosts
            .lock()
            .values_mut()
            .filter(|view| view.whole_due)
            .take(limit)
            .map(told)
            .collect()
    }

    /// Tells these whole again: they did not get through.
    pub fn untold(&self, hosts: &[HostSummary]) {
        let mut views = self.hosts.lock();
        for host in hosts {
            if let Some(view) = views.get_mut(&host.id) {
                view.whole_due = true;
            }
        }
    }

    /// The deltas for a heartbeat: every Host that was ever heard, with its
    /// State if that says something new.
    pub fn deltas(&self, now: Instant) -> Vec<HostDelta> {
        let delta = |view: &mut View| {
            let heard = view.heard?;
            let state = std::mem::take(&mut view.state_due)
                .then(|| view.summary.host.state())
                .flatten();
            let age = now.saturating_duration_since(heard).as_millis();
            Some(HostDelta {
                id: view.summary.id,
                connected: view.summary.connected,
                state,
                age_ms: u64::try_from(age).unwrap_or(u64::MAX),
            })
        };
        self.hosts.lock().values_mut().filter_map(delta).collect()
    }
}

/// Whether two States differ in nothing but their times.
fn says_the_same(mut old: AnyHostState, new: &AnyHostState) -> bool {
    old.take_times_of(new);
    old == *new
}
