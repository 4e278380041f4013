//! Is everything well? One small document from a view of the whole.

use std::{collections::BTreeMap, time::Duration};

use gridmart_schemas::{
    api::{
        event::EventView,
        overview::{
            CallSums, ComputeSums, ConditionCounts, DataSums, DomainCounts, KindCounts, LagView,
            OverviewView, StorageSums,
        },
        resource::Condition,
    },
    id::NodeId,
    problem::Problem,
    resource::{
        any::{AnyElementState, AnyHostState},
        enumeration::{ReplicaRole, SyncState},
        host::{HostState, ReplicaState, StorageHostState},
    },
    role::NodeKind,
    scalar::Uri,
};

use super::{need::needs, resource::Present};
use crate::{
    catalogue::{View, event::topical_node, node::Node},
    feed::pulse::Beat,
};

/// Domains that are told of.
const DOMAINS_MAX: usize = 100;
/// Needs that are told of.
const NEEDS_MAX: usize = 100;

/// What the overview is made of.
pub(crate) struct Seen<'a> {
    pub(crate) view: &'a View,
    pub(crate) beat: Beat,
    /// Why the controller's store takes no changes.
    pub(crate) ailment: Option<Problem>,
    /// How long certificates of nodes live.
    pub(crate) certificate_life: Duration,
    /// Newest first.
    pub(crate) events: Vec<EventView>,
}

/// Makes the whole document.
pub(crate) fn overview(seen: Seen<'_>) -> OverviewView {
    let Seen {
        view,
        beat,
        ailment,
        certificate_life,
        events,
    } = seen;
    let mut kinds: BTreeMap<NodeKind, ConditionCounts> = BTreeMap::new();
    let mut domains: BTreeMap<&str, ConditionCounts> = BTreeMap::new();
    let mut sums = Sums::default();
    for node in view.catalogue.nodes.values() {
        if node.revoked || node.kind == NodeKind::Control {
            continue;
        }
        let condition = Present::of(view, node).condition();
        count(kinds.entry(node.kind).or_default(), condition);
        count(domains.entry(&node.domain).or_default(), condition);
        sums.add(view, node, condition);
    }
    let mut needs = needs(view, ailment.as_ref(), certificate_life);
    let needs_total = needs.len() as u64;
    needs.truncate(NEEDS_MAX);
    let (compute, storage) = (sums.compute.clone(), sums.storage.clone());
    let (data, running, waiting) = sums.data(view);
    let domains = domains.into_iter().take(DOMAINS_MAX);
    OverviewView {
        kinds: kinds
            .into_iter()
            .map(|(kind, counts)| KindCounts { kind, counts })
            .collect(),
        domains: domains
            .map(|(domain, counts)| DomainCounts {
                domain: domain.to_owned(),
                counts,
            })
            .collect(),
        applications: view.catalogue.versions.len() as u64,
        compute,
        storage,
        data,
        calls: calls(&beat, running, waiting),
        needs,
        needs_total,
        events,
    }
}

fn count(counts: &mut ConditionCounts, condition: Condition) {
    counts.total += 1;
    let one = match condition {
        Condition::Ok => &mut counts.ok,
        Condition::Warning => &mut counts.warning,
        Condition::Critical => &mut counts.critical,
        Condition::Draining => &mut counts.draining,
        Condition::Closed => &mut counts.closed,
        Condition::Away => &mut counts.away,
        Condition::Unknown => &mut counts.unknown,
    };
    *one += 1;
}

fn calls(beat: &Beat, running: u64, waiting: u64) -> CallSums {
    // In quarters of a minute, or every look would be another document.
    let span = (beat.span.as_secs() / 15 * 15).max(15);
    let seconds = Duration::from_secs(span).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let per_second = beat.ended as f64 / seconds;
    CallSums {
        running,
        waiting,
        span_seconds: span,
        ended: beat.ended,
        failed: beat.failed,
        per_second: (per_second * 100.0).round() / 100.0,
        p50_us: beat.p50,
        p95_us: beat.p95,
    }
}

/// What connected nodes say, summed up.
#[derive(Default)]
struct Sums<'a> {
    compute: ComputeSums,
    storage: StorageSums,
    data: DataSums,
    running: u64,
    waiting: u64,
    cores: BTreeMap<&'a Uri, u64>,
    shadows: Vec<(NodeId, &'a ReplicaState)>,
}

impl<'a> Sums<'a> {
    fn add(&mut self, view: &'a View, node: &Node, condition: Condition) {
        if node.kind.is_host() {
            let Some(observed) = view.host_observed(node.id) else {
                return;
            };
            let element = view.element_observed(observed.element).map(AsRef::as_ref);
            match observed.fresh_state(element, view.now) {
                Some(AnyHostState::Compute(state)) => self.add_compute_host(view, node.id, state),
                Some(AnyHostState::Storage(state)) => self.add_storage_host(state),
                Some(AnyHostState::Data(state)) => {
                    for replica in &state.replicas {
                        self.add_replica(node.id, replica);
                    }
                }
                None => {}
            }
            return;
        }
        if node.kind == NodeKind::StorageElement {
            self.count_redundancy(condition);
        }
        let Some(observed) = view.element_observed(node.id) else {
            return;
        };
        match observed.fresh_state(view.now) {
            Some(AnyElementState::Computing(state)) => {
                self.running += u64::from(state.running_jobs);
                self.waiting += u64::from(state.waiting_jobs);
            }
            Some(AnyElementState::Storage(state)) => {
                let sums = &mut self.storage;
                sums.total_bytes += state.total_online_size;
                sums.used_bytes += state.used_online_size;
                sums.free_bytes += state.free_online_size;
                sums.objects += state.number_of_files.unwrap_or(0);
                sums.raw_total_bytes += state.raw_total_size.unwrap_or(0);
                sums.raw_free_bytes += state.raw_free_size.unwrap_or(0);
            }
            Some(AnyElementState::Data(state)) => {
                let sums = &mut self.data;
                sums.sessions += u64::from(state.active_sessions);
                sums.running += u64::from(state.running_requests);
                sums.waiting += u64::from(state.waiting_requests);
                sums.total_bytes += state.total_size.unwrap_or(0);
                sums.used_bytes += state.used_size.unwrap_or(0);
            }
            None => {}
        }
    }

    fn count_redundancy(&mut self, condition: Condition) {
        let sums = &mut self.storage;
        match condition {
            Condition::Critical | Condition::Away => sums.elements_critical += 1,
            Condition::Warning | Condition::Unknown => sums.elements_degraded += 1,
            Condition::Ok | Condition::Draining | Condition::Closed => sums.elements_whole += 1,
        }
    }

    fn add_compute_host(&mut self, view: &View, id: NodeId, state: &HostState) {
        let sums = &mut self.compute;
        sums.total_slots += u64::from(state.total_slots);
        sums.used_slots += u64::from(state.used_slots);
        let load = state.load_average.as_ref();
        let load = load.and_then(|load| load.last_1_min);
        sums.load += load.map_or(0.0, gridmart_schemas::scalar::Decimal::to_f64);
        sums.load = (sums.load * 100.0).round() / 100.0;
        let host = view.catalogue.hosts.get(&id);
        let Some(info) = host.and_then(|host| host.compute()).map(|host| &host.info) else {
            return;
        };
        sums.cpus += u64::from(info.architecture.smp_size.get());
        let memory = state.main_memory.as_ref();
        if let Some(free) = memory.and_then(|memory| memory.ram_available) {
            sums.memory_bytes += info.main_memory.ram_size;
            sums.memory_free_bytes += free;
        }
    }

    fn add_storage_host(&mut self, state: &StorageHostState) {
        self.storage.damaged_blocks += state.damaged_block_count.unwrap_or(0);
    }

    fn add_replica(&mut self, host: NodeId, replica: &'a ReplicaState) {
        match replica.role {
            ReplicaRole::Core => {
                let position = self.cores.entry(&replica.database).or_default();
                *position = replica.log_position.max(*position);
            }
            ReplicaRole::Shadow => self.shadows.push((host, replica)),
        }
    }

    /// Sums of data, and the calls that run and wait.
    fn data(mut self, view: &View) -> (DataSums, u64, u64) {
        self.data.databases = self.cores.len() as u64;
        self.data.shadows = self.shadows.len() as u64;
        let mut worst: Option<(u64, NodeId, &ReplicaState)> = None;
        for (host, replica) in self.shadows {
            let core = self.cores.get(&replica.database);
            let lag = core.map_or(0, |core| core.saturating_sub(replica.log_position));
            let level = lag == 0 && replica.sync_state == SyncState::Synchronised;
            self.data.shadows_behind += u64::from(!level);
            if lag > worst.map_or(0, |(lag, ..)| lag) {
                worst = Some((lag, host, replica));
            }
        }
        self.data.worst_lag = worst.map(|(entries, host, replica)| LagView {
            database: replica
                .database
                .to_uuid()
                .map_or_else(|| replica.database.to_string(), |id| id.to_string()),
            host: topical_node(&view.catalogue, host),
            entries,
        });
        (self.data, self.running, self.waiting)
    }
}
