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
    api::history::{HistoryView, MetricHistory, Span},
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

use super::pulse::Beat;
use crate::{
    catalogue::{View, node::Node},
    store::history::HistoryStep,
};

/// Seconds from one look to the next.
pub(crate) const LOOK_SECONDS: u64 = 15;
/// Looks that are kept: an hour.
const LOOKS: u64 = 240;
/// Looks that make one step of the day.
const STEP_LOOKS: u64 = 20;
/// Steps that are kept: a day.
const STEPS: u64 = 288;
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
        let step = of_whole.step.number;
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
        (step > 0 && of_whole.step.number > step).then(|| HistoryStep {
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

fn look_of(now: OffsetDateTime) -> u64 {
    u64::try_from(now.unix_timestamp()).unwrap_or(0) / LOOK_SECONDS
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

// === One series ===

/// The upper half of an `f32`, rounded; all ones: not known.
const UNKNOWN: u16 = u16::MAX;

fn packed(value: Option<f32>) -> u16 {
    let Some(value) = value.filter(|value| value.is_finite()) else {
        return UNKNOWN;
    };
    let bits = value.to_bits().saturating_add(0x8000) >> 16;
    u16::try_from(bits).unwrap_or(UNKNOWN)
}

fn unpacked(kept: u16) -> Option<f32> {
    let value = f32::from_bits(u32::from(kept) << 16);
    (kept != UNKNOWN && value.is_finite()).then_some(value)
}

/// Numbers of `N` kinds over time.
struct Series<const N: usize> {
    hour: Cells<N>,
    day_mean: Cells<N>,
    day_max: Cells<N>,
    step: Step<N>,
}

/// The step of the day that is being made.
#[derive(Clone, Copy)]
struct Step<const N: usize> {
    number: u64,
    sums: [f32; N],
    counts: [u8; N],
    largest: [Option<f32>; N],
}

/// A ring of cells, one for each number of a look or step.
struct Cells<const N: usize> {
    cells: Vec<[u16; N]>,
    /// The newest that is in; 0: none.
    newest: u64,
}

impl<const N: usize> Default for Series<N> {
    fn default() -> Self {
        let cells = || Cells {
            cells: Vec::new(),
            newest: 0,
        };
        Self {
            hour: cells(),
            day_mean: cells(),
            day_max: cells(),
            step: Step::begin(0),
        }
    }
}

impl<const N: usize> Step<N> {
    const fn begin(number: u64) -> Self {
        Self {
            number,
            sums: [0.0; N],
            counts: [0; N],
            largest: [None; N],
        }
    }
}

impl<const N: usize> Cells<N> {
    fn put(&mut self, number: u64, values: [u16; N], size: u64) {
        if number <= self.newest {
            // The clock was set back: what is in stands.
            return;
        }
        if self.cells.is_empty() {
            let size = usize::try_from(size).unwrap_or(0);
            self.cells = vec![[UNKNOWN; N]; size];
        }
        // Nothing was looked at in between.
        let first = (self.newest + 1).max(number.saturating_sub(size));
        for missed in first..number {
            self.set(missed, [UNKNOWN; N]);
        }
        self.set(number, values);
        self.newest = number;
    }

    fn set(&mut self, number: u64, values: [u16; N]) {
        let size = self.cells.len() as u64;
        let place = number
            .checked_rem(size)
            .and_then(|at| usize::try_from(at).ok());
        if let Some(cell) = place.and_then(|place| self.cells.get_mut(place)) {
            *cell = values;
        }
    }

    /// The newest cell, if it is this one.
    fn get(&self, number: u64) -> Option<&[u16; N]> {
        let place = number.checked_rem(self.cells.len() as u64)?;
        let cell = self.cells.get(usize::try_from(place).ok()?);
        cell.filter(|_| number == self.newest)
    }

    /// The values of `size` cells up to `newest`, oldest first.
    fn read(&self, which: usize, newest: u64, size: u64) -> Vec<Option<f32>> {
        let kept = self.newest.saturating_sub(size)..=self.newest;
        ((newest + 1).saturating_sub(size)..=newest)
            .map(|number| {
                let all = self.cells.len() as u64;
                let place = usize::try_from(number.checked_rem(all)?).ok()?;
                let is_kept = kept.contains(&number) && number + size > self.newest;
                unpacked(*self.cells.get(place).filter(|_| is_kept)?.get(which)?)
            })
            .collect()
    }
}

impl<const N: usize> Series<N> {
    fn push(&mut self, look: u64, values: [Option<f32>; N]) {
        self.hour.put(look, values.map(packed), LOOKS);
        let number = look / STEP_LOOKS;
        if number > self.step.number {
            self.close_step();
            self.step = Step::begin(number);
        }
        for (place, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            self.step.sums[place] += value;
            self.step.counts[place] = self.step.counts[place].saturating_add(1);
            let largest = self.step.largest[place].map_or(*value, |largest| largest.max(*value));
            self.step.largest[place] = Some(largest);
        }
    }

    fn close_step(&mut self) {
        let Step {
            number,
            sums,
            counts,
            largest,
        } = self.step;
        if number == 0 {
            return;
        }
        let mut means = [UNKNOWN; N];
        for (place, mean) in means.iter_mut().enumerate() {
            let count = counts[place];
            *mean = packed((count > 0).then(|| sums[place] / f32::from(count)));
        }
        self.day_mean.put(number, means, STEPS);
        self.day_max.put(number, largest.map(packed), STEPS);
    }

    /// Means and largest of a step, packed; nothing if it is not in.
    fn stored(&self, step: u64) -> Option<Vec<u8>> {
        let (mean, max) = (self.day_mean.get(step)?, self.day_max.get(step)?);
        let values = mean.iter().chain(max);
        Some(values.flat_map(|value| value.to_le_bytes()).collect())
    }

    fn restore(&mut self, step: u64, stored: &[u8]) {
        let mut values = stored
            .chunks_exact(2)
            .filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)));
        let mut next = || [(); N].map(|()| values.next().unwrap_or(UNKNOWN));
        let (mean, max) = (next(), next());
        self.day_mean.put(step, mean, STEPS);
        self.day_max.put(step, max, STEPS);
    }

    fn view(&self, names: &[&str; N], span: Span, now: OffsetDateTime) -> HistoryView {
        let (newest, size, seconds) = match span {
            Span::Hour => (look_of(now), LOOKS, LOOK_SECONDS),
            // The step that is being made is not told yet.
            Span::Day => (
                (look_of(now) / STEP_LOOKS).saturating_sub(1),
                STEPS,
                LOOK_SECONDS * STEP_LOOKS,
            ),
        };
        let metric = |(which, name): (usize, &&str)| MetricHistory {
            name: (*name).to_owned(),
            mean: match span {
                Span::Hour => self.hour.read(which, newest, size),
                Span::Day => self.day_mean.read(which, newest, size),
            },
            max: match span {
                Span::Hour => Vec::new(),
                Span::Day => self.day_max.read(which, newest, size),
            },
        };
        let end = i64::try_from(newest * seconds).unwrap_or(0);
        HistoryView {
            span,
            step_seconds: seconds,
            end: OffsetDateTime::from_unix_timestamp(end).unwrap_or(now),
            metrics: names.iter().enumerate().map(metric).collect(),
        }
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        let cells = [&self.hour, &self.day_mean, &self.day_max];
        let kept: usize = cells.iter().map(|cells| cells.cells.capacity()).sum();
        kept * size_of::<[u16; N]>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::sample::{HostFacts, Sample};

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn three_digits_are_kept() {
        for value in [0.0_f32, 1.0, 0.37, 99.6, 12_345.0, 8.0e12] {
            let kept = unpacked(packed(Some(value))).unwrap();
            assert!((kept - value).abs() <= value * 0.005, "{value}: {kept}");
        }
        assert_eq!(unpacked(packed(None)), None);
        assert_eq!(unpacked(packed(Some(f32::INFINITY))), None);
        assert_eq!(
            unpacked(packed(Some(f32::MAX))),
            None,
            "it would round up to no number"
        );
    }

    #[test]
    fn an_hour_and_a_day_are_kept_and_gaps_are_gaps() {
        let mut series = Series::<1>::default();
        let (step, looks) = (300, 4000_i64);
        for look in 0..looks {
            // A gap of ten minutes in the last hour.
            let in_gap = (looks - 100..looks - 60).contains(&look);
            if !in_gap {
                let value = if look % 20 == 0 { 40.0 } else { 0.0 };
                series.push(look_of(at(look * 15)), [Some(value)]);
            }
        }
        let now = at((looks - 1) * 15);
        let hour = series.view(&["x"], Span::Hour, now);
        let values = &hour.metrics[0].mean;
        assert_eq!((values.len(), hour.step_seconds, hour.end), (240, 15, now));
        assert_eq!(values.iter().filter(|value| value.is_none()).count(), 40);
        let day = series.view(&["x"], Span::Day, now);
        let (mean, max) = (&day.metrics[0].mean, &day.metrics[0].max);
        assert_eq!((mean.len(), max.len(), day.step_seconds), (288, 288, step));
        // 4000 looks are 200 steps; of them the gap has two.
        let known = mean.iter().flatten().count();
        assert!((195..=200).contains(&known), "{known}");
        assert_eq!((mean[200], max[200]), (Some(2.0), Some(40.0)));
        // Much later nothing of it is told; and a clock that is set back is borne.
        let later = series.view(&["x"], Span::Hour, at(1_000_000));
        assert!(later.metrics[0].mean.iter().all(Option::is_none));
        series.push(5, [Some(1.0)]);
        assert_eq!(series.view(&["x"], Span::Hour, now), hour);
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
