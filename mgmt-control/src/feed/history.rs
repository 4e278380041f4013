//! How it was: for each Element and Host, and for the whole, rings of the last
//! hour and the last day, in memory of bounded size.
//!
//! A value takes two bytes (the upper half of an `f32`: three digits). A series
//! of three numbers takes 240 × 3 × 2 bytes for the hour and 288 × 3 × 2 × 2 for
//! the day (mean and largest), 4,896 in all: 49 MB for ten thousand Hosts. What
//! is kept of a day outlives a restart: each step of five minutes is one row in
//! the store, of the first thousand resources, Elements before Hosts.

use std::collections::HashMap;

use gridmart_schemas::{
    api::history::{HistoryView, Span},
    id::NodeId,
    resource::{
        any::{AnyElementState, AnyHostState},
        enumeration::SyncState,
        host::HostState,
    },
    role::NodeKind,
    scalar::Decimal,
};
use parking_lot::Mutex;
use time::OffsetDateTime;

use super::{
    pulse::Beat,
    series::{STEP_LOOKS, STEPS, Series, look_of},
};
use crate::{
    catalogue::{View, node::Node},
    store::history::HistoryStep,
};

/// Series that are kept; whoever comes later has none.
const SERIES_MAX: usize = 12_000;
/// Resources whose steps the store keeps: 28 bytes each, 28 KB for a step and
/// 8 MB for a day.
const STORED_MAX: usize = 1000;
/// Bytes of a resource in a stored step: its id, means, largest.
const STORED_BYTES: usize = 16 + OF_NODE * 4;
/// Numbers of a resource.
const OF_NODE: usize = 3;
/// Names of the numbers of the whole.
const OF_WHOLE: [&str; 8] = [
    "used_slots",
    "running",
    "waiting",
    "calls_per_second",
    "failures_per_second",
    "p95_us",
    "storage_used_bytes",
    "away",
];

/// What of a kind is kept.
const fn names(kind: NodeKind) -> [&'static str; OF_NODE] {
    match kind {
        NodeKind::ComputingElement => ["used_slots", "running_jobs", "waiting_jobs"],
        NodeKind::ComputeHost => ["used_slots", "load", "memory_used_bytes"],
        NodeKind::StorageElement => ["used_bytes", "free_bytes", "objects"],
        NodeKind::StorageHost => ["used_bytes", "io_load_percent", "damaged_blocks"],
        NodeKind::DataElement => ["used_bytes", "running_requests", "sessions"],
        NodeKind::DataHost => ["used_bytes", "running_requests", "copies_behind"],
        NodeKind::Control => ["", "", ""],
    }
}

/// Numbers of the whole at one look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Whole {
    pub(crate) running: u64,
    pub(crate) waiting: u64,
    pub(crate) used_slots: u64,
    pub(crate) storage_used_bytes: u64,
    pub(crate) away: u64,
    pub(crate) calls_per_second: f64,
    pub(crate) failures_per_second: f64,
}

/// All series.
#[derive(Default)]
pub struct History {
    series: Mutex<HashMap<NodeId, Series<OF_NODE>>>,
    whole: Mutex<Series<{ OF_WHOLE.len() }>>,
}

impl History {
    /// Notes how everything is. Gives the step that this has ended, to be kept.
    pub(crate) fn look(
        &self,
        view: &View,
        whole: Whole,
        beat: &Beat,
        now: OffsetDateTime,
    ) -> Option<HistoryStep> {
        let look = look_of(now);
        let mut series = self.series.lock();
        series.retain(|id, _| {
            view.catalogue
                .nodes
                .get(id)
                .is_some_and(|node| !node.revoked)
        });
        for node in view.catalogue.nodes.values() {
            if node.revoked || node.kind == NodeKind::Control {
                continue;
            }
            let values = values(view, node);
            let is_known = values.iter().any(Option::is_some);
            if !series.contains_key(&node.id) && (!is_known || series.len() >= SERIES_MAX) {
                continue;
            }
            series.entry(node.id).or_default().push(look, values);
        }
        let number = |number: u64| small(number);
        let mut of_whole = self.whole.lock();
        let step = of_whole.step();
        of_whole.push(
            look,
            [
                number(whole.used_slots),
                number(whole.running),
                number(whole.waiting),
                rate(whole.calls_per_second),
                rate(whole.failures_per_second),
                beat.p95.and_then(small),
                number(whole.storage_used_bytes),
                number(whole.away),
            ],
        );
        (step > 0 && of_whole.step() > step).then(|| HistoryStep {
            step,
            whole: of_whole.stored(step).unwrap_or_default(),
            nodes: stored_nodes(view, &series, step),
        })
    }

    /// Takes what the store has kept, oldest first.
    pub(crate) fn restore(&self, steps: &[HistoryStep]) {
        let (mut series, mut of_whole) = (self.series.lock(), self.whole.lock());
        for HistoryStep { step, whole, nodes } in steps {
            of_whole.restore(*step, whole);
            for one in nodes.chunks_exact(STORED_BYTES) {
                let (id, values) = one.split_at(16);
                let Ok(id) = uuid::Uuid::from_slice(id) else {
                    continue;
                };
                let id = NodeId::from_uuid(id);
                if series.len() < SERIES_MAX || series.contains_key(&id) {
                    series.entry(id).or_default().restore(*step, values);
                }
            }
        }
    }

    /// Steps before this one are of no use any more.
    pub(crate) fn oldest_step(now: OffsetDateTime) -> u64 {
        (look_of(now) / STEP_LOOKS).saturating_sub(STEPS)
    }

    /// How one resource was; empty if nothing is known of it.
    pub(crate) fn of_node(&self, node: &Node, span: Span, now: OffsetDateTime) -> HistoryView {
        let series = self.series.lock();
        match series.get(&node.id) {
            Some(series) => series.view(&names(node.kind), span, now),
            None => Series::<OF_NODE>::default().view(&names(node.kind), span, now),
        }
    }

    /// How the whole was.
    pub(crate) fn of_whole(&self, span: Span, now: OffsetDateTime) -> HistoryView {
        self.whole.lock().view(&OF_WHOLE, span, now)
    }

    /// Bytes that the values take.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        let series = self.series.lock();
        series.values().map(Series::bytes).sum()
    }
}

fn stored_nodes(view: &View, series: &HashMap<NodeId, Series<OF_NODE>>, step: u64) -> Vec<u8> {
    let nodes = || view.catalogue.nodes.values();
    let elements = nodes().filter(|node| node.kind.is_element());
    let hosts = nodes().filter(|node| node.kind.is_host());
    let values = elements.chain(hosts).filter_map(|node| {
        let values = series.get(&node.id)?.stored(step)?;
        Some((node.id, values))
    });
    let mut stored = Vec::new();
    for (id, values) in values.take(STORED_MAX) {
        stored.extend_from_slice(id.as_uuid().as_bytes());
        stored.extend_from_slice(&values);
    }
    stored
}

fn values(view: &View, node: &Node) -> [Option<f32>; OF_NODE] {
    if node.kind.is_host() {
        let Some(observed) = view.host_observed(node.id) else {
            return [None; OF_NODE];
        };
        let element = view.element_observed(observed.element).map(AsRef::as_ref);
        return match observed.fresh_state(element, view.now) {
            None => [None; OF_NODE],
            Some(AnyHostState::Compute(state)) => of_compute_host(view, node.id, state),
            Some(AnyHostState::Storage(state)) => [
                small(state.used_space()),
                state
                    .current_io_load
                    .and_then(|load| small(u64::from(load.get()))),
                state.damaged_block_count.and_then(small),
            ],
            Some(AnyHostState::Data(state)) => {
                let behind = |state: &SyncState| *state != SyncState::Synchronised;
                let copies = state.replicas.iter().map(|replica| &replica.sync_state);
                [
                    small(state.used_space),
                    small(u64::from(state.running_requests)),
                    small(copies.filter(|state| behind(state)).count() as u64),
                ]
            }
        };
    }
    let observed = view.element_observed(node.id);
    match observed.and_then(|observed| observed.fresh_state(view.now)) {
        None => [None; OF_NODE],
        Some(AnyElementState::Computing(state)) => {
            [state.used_slots, state.running_jobs, state.waiting_jobs]
                .map(|number| small(u64::from(number)))
        }
        Some(AnyElementState::Storage(state)) => [
            small(state.used_online_size),
            small(state.free_online_size),
            state.number_of_files.and_then(small),
        ],
        Some(AnyElementState::Data(state)) => [
            state.used_size.and_then(small),
            small(u64::from(state.running_requests)),
            small(u64::from(state.active_sessions)),
        ],
    }
}

fn of_compute_host(view: &View, id: NodeId, state: &HostState) -> [Option<f32>; OF_NODE] {
    let load = state.load_average.as_ref();
    let load = load.and_then(|load| load.last_1_min).map(Decimal::to_f64);
    let free = state.main_memory.as_ref();
    let free = free.and_then(|memory| memory.ram_available);
    let host = view.catalogue.hosts.get(&id);
    let memory = host
        .and_then(|host| host.compute())
        .map(|host| host.info.main_memory.ram_size);
    let used = memory.zip(free).map(|(all, free)| all.saturating_sub(free));
    [
        small(u64::from(state.used_slots)),
        load.and_then(rate),
        used.and_then(small),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "three digits are kept")]
#[expect(clippy::unnecessary_wraps, reason = "as the other one")]
const fn small(number: u64) -> Option<f32> {
    Some(number as f32)
}

#[expect(clippy::cast_possible_truncation, reason = "three digits are kept")]
fn rate(number: f64) -> Option<f32> {
    Some(number as f32).filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::sample::{HostFacts, Sample};

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn ten_thousand_hosts_take_what_is_said() {
        let mut sample = Sample::default();
        let element = sample.element("ce-1", "lab", 4);
        for n in 0..10_000 {
            sample.host(element, &format!("host-{n}"), HostFacts::default());
        }
        let (history, view) = (History::default(), sample.raw_view());
        for look in [0, 20, 40] {
            let now = at(look * 15);
            let _ = history.look(&view, Whole::default(), &Beat::default(), now);
        }
        assert_eq!(history.bytes(), 10_001 * 4_896);
        let node = view
            .catalogue
            .nodes
            .values()
            .find(|node| node.name == "host-7")
            .unwrap();
        let told = history.of_node(node, Span::Hour, at(40 * 15));
        assert_eq!(told.metrics[0].name, "used_slots");
        assert_eq!(told.metrics[0].mean[239], Some(0.0));
        // What was kept of the day is there after a restart.
        let kept = history.look(&view, Whole::default(), &Beat::default(), at(60 * 15));
        let kept = kept.unwrap();
        assert_eq!(kept.nodes.len(), 1000 * STORED_BYTES);
        let (again, now) = (History::default(), at(60 * 15));
        again.restore(std::slice::from_ref(&kept));
        let ids: Vec<_> = kept
            .nodes
            .chunks(STORED_BYTES)
            .map(|one| one[..16].to_vec())
            .collect();
        let stored =
            |node: &&&std::sync::Arc<Node>| ids.contains(&node.id.as_uuid().as_bytes().to_vec());
        let node = view.catalogue.nodes.values().collect::<Vec<_>>();
        let node = node.iter().find(stored).unwrap();
        let day = |history: &History| history.of_node(node, Span::Day, now);
        assert_eq!(day(&again).metrics[0].mean[287], Some(0.0));
        assert_eq!(
            day(&again).metrics[0].mean[287],
            day(&history).metrics[0].mean[287]
        );
        again.restore(&[HistoryStep {
            step: 7,
            whole: vec![1],
            nodes: vec![2; 40],
        }]);
        let gone = Sample::default().raw_view();
        let _ = history.look(&gone, Whole::default(), &Beat::default(), at(1200));
        assert_eq!(history.bytes(), 0);
    }
}
