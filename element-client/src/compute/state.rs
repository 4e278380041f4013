//! The Element's State: sums over its usable Hosts, and response times from
//! what has been observed. Never a constant, never a guess.

use std::{collections::VecDeque, time::Duration};

use gridmart_schemas::{
    resource::{
        ce::CeState,
        common::CommonState,
        enumeration::{HealthState, ServingState},
    },
    role::Desired,
    scalar::{Seconds, UtcTime},
    wire::record::CallRecords,
};

use super::queue::{Queue, host::PoolHost};

/// How many service times are remembered.
const SAMPLES_MAX: usize = 1000;

/// How long the last calls took.
#[derive(Debug, Default)]
pub struct ServiceTimes {
    samples: VecDeque<u64>,
    sum: u64,
}

impl ServiceTimes {
    /// Learns from ended calls and parts.
    pub fn on_records(&mut self, records: &CallRecords) {
        for record in &records.records {
            self.add(record.end.wall_us, 1);
        }
        for job in &records.jobs {
            let parts = job.finished.saturating_add(job.failed);
            if let Some(mean) = job.wall_us.checked_div(parts) {
                self.add(mean, parts);
            }
        }
    }

    fn add(&mut self, micros: u64, times: u64) {
        let times = usize::try_from(times)
            .unwrap_or(SAMPLES_MAX)
            .min(SAMPLES_MAX);
        for _ in 0..times {
            if self.samples.len() == SAMPLES_MAX {
                self.sum -= self.samples.pop_front().unwrap_or(0);
            }
            // Below a year each, so that the sum cannot overflow.
            let micros = micros.min(31_536_000_000_000);
            self.samples.push_back(micros);
            self.sum += micros;
        }
    }

    fn mean(&self) -> Option<Duration> {
        let count = u64::try_from(self.samples.len()).ok()?;
        self.sum.checked_div(count).map(Duration::from_micros)
    }

    fn longest(&self) -> Option<Duration> {
        self.samples
            .iter()
            .max()
            .map(|micros| Duration::from_micros(*micros))
    }
}

/// Sums over the Hosts that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    instances: u32,
    full: u32,
    unavailable: u32,
    slots: u32,
    used: u32,
    free: u32,
}

/// A Host that finishes what it has counts for its slots, not for free ones.
fn counts(host: &PoolHost) -> bool {
    host.connected && host.fresh && !host.down && !host.revoked && host.serving.is_usable()
}

fn sums(queue: &Queue) -> Sums {
    let mut sums = Sums::default();
    for host in queue.hosts().filter(|host| !host.revoked) {
        sums.instances += 1;
        if !host.is_usable() {
            sums.unavailable += 1;
        } else if host.free() == 0 {
            sums.full += 1;
        }
        if counts(host) {
            sums.slots += host.slots;
            sums.used += host.held.min(host.slots);
            sums.free += host.free();
        }
    }
    sums
}

/// The State as it is now. `validity`: for how long it is a fact; `limit`: the
/// longest time limit of the calls present, if all have one.
pub fn element_state(
    queue: &Queue,
    times: &ServiceTimes,
    limit: Option<Duration>,
    started: UtcTime,
    validity: Seconds,
) -> CeState {
    let sums = sums(queue);
    let mut state = CeState::new(UtcTime::now(), validity, common_state(queue, sums, started));
    let counts = queue.counts();
    state.total_instances = sums.instances;
    state.used_instances = sums.full;
    state.unavailable_instances = sums.unavailable;
    state.total_slots = sums.slots;
    state.used_slots = sums.used;
    let waits = counts.requested_slots > 0;
    let room = queue.running_room();
    state.free_job_slots = if waits { 0 } else { sums.free.min(room) };
    state.requested_slots = Some(counts.requested_slots.saturating_add(counts.staging_slots));
    state.running_jobs = counts.running_slots;
    state.staging_jobs = counts.staging_slots;
    state.waiting_jobs = counts.waiting_entries;
    state.total_jobs = counts.running_slots + counts.staging_slots + counts.waiting_entries;
    if state.free_job_slots > 0 {
        state.estimated_response_time = Some(Seconds::default());
        state.worst_response_time = Some(Seconds::default());
    } else if sums.slots > 0
        && let Some(mean) = times.mean()
    {
        let turns = counts
            .requested_slots
            .div_ceil(sums.slots)
            .saturating_add(1);
        let estimated = mean.saturating_mul(turns);
        let worst = limit
            .or_else(|| times.longest())
            .unwrap_or(mean)
            .saturating_mul(turns);
        state.estimated_response_time = Some(Seconds::from_duration(estimated));
        state.worst_response_time = Some(Seconds::from_duration(worst.max(estimated)));
    }
    state
}

fn common_state(queue: &Queue, sums: Sums, started: UtcTime) -> CommonState {
    let usable = sums.instances > sums.unavailable;
    let serving = match queue.wish().desired {
        Desired::Closed if queue.is_idle() => ServingState::Closed,
        Desired::Closed => ServingState::Draining,
        Desired::Production if usable => ServingState::Production,
        Desired::Production => ServingState::Queueing,
    };
    let (health, info) = if !usable {
        (
            HealthState::Critical,
            Some(format!("None of {} Hosts is usable.", sums.instances)),
        )
    } else if sums.unavailable > 0 {
        (
            HealthState::Warning,
            Some(format!(
                "{} of {} Hosts are not usable.",
                sums.unavailable, sums.instances
            )),
        )
    } else {
        (HealthState::Ok, None)
    };
    let mut common = CommonState::new(serving, health);
    common.health_state_info = info.and_then(|info| info.parse().ok());
    common.start_time = Some(started);
    common
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::{
        id::JobId,
        resource::{Document as _, ce_doc::CeDocument},
        wire::record::JobProgress,
    };

    use super::*;
    use crate::compute::queue::{limit::Limits, scene::Scene};

    fn served(parts: u64, wall_us: u64) -> CallRecords {
        let job = JobProgress {
            report: None,
            lease: None,
            ended: None,
            job: JobId::generate(),
            owner: "ada".parse().unwrap(),
            application: "spf".into(),
            version: "1".into(),
            host: gridmart_schemas::id::NodeId::generate(),
            finished: parts,
            failed: 0,
            wall_us,
            cpu_us: 0,
        };
        CallRecords {
            sequence: 1,
            jobs: vec![job],
            ..CallRecords::default()
        }
    }

    fn state(scene: &Scene, times: &ServiceTimes) -> CeState {
        let state = element_state(
            &scene.queue,
            times,
            None,
            UtcTime::now(),
            Seconds::from_secs(15),
        );
        // What is told keeps the rules across fields.
        let mut document = crate::info_base::tests::document();
        document.element.state = Some(state.clone());
        assert!(CeDocument::validate(&document).is_ok(), "{state:?}");
        state
    }

    #[test]
    fn silent_hosts_add_nothing() {
        let mut scene = Scene::new(&[2, 3], Limits::default());
        scene.queue.on_host_lost(scene.hosts[0], scene.now);
        let state = state(&scene, &ServiceTimes::default());
        assert_eq!((state.total_instances, state.unavailable_instances), (2, 1));
        assert_eq!((state.total_slots, state.free_job_slots), (3, 3));
        assert_eq!(state.common.health_state, HealthState::Warning);
    }

    #[test]
    fn without_a_usable_host_an_open_queue_is_queueing() {
        let mut scene = Scene::new(&[2], Limits::default());
        scene.queue.on_host_lost(scene.hosts[0], scene.now);
        let state = state(&scene, &ServiceTimes::default());
        assert_eq!(
            (state.common.serving_state, state.common.health_state),
            (ServingState::Queueing, HealthState::Critical)
        );
        assert_eq!(state.estimated_response_time, None);
    }

    #[test]
    fn response_times_come_from_what_was_observed() {
        let mut scene = Scene::new(&[2], Limits::default());
        let mut times = ServiceTimes::default();
        assert_eq!(
            state(&scene, &times).worst_response_time,
            Some(Seconds::default())
        );
        scene.enter(1, 0, 2).unwrap();
        assert_eq!(
            state(&scene, &times).worst_response_time,
            None,
            "no sample, no number"
        );
        times.on_records(&served(10, 20_000_000));
        times.on_records(&served(1, 6_000_000));
        scene.enter(2, 0, 3).unwrap();
        let state = state(&scene, &times);
        // Three wanted, two slots: two turns and one's own; mean 26/11 s.
        assert_eq!(
            state.estimated_response_time,
            Some(Seconds::from_millis(7090))
        );
        assert_eq!(state.worst_response_time, Some(Seconds::from_secs(18)));
        assert_eq!((state.free_job_slots, state.waiting_jobs), (0, 1));
    }

    #[test]
    fn only_the_last_thousand_count() {
        let mut times = ServiceTimes::default();
        times.on_records(&served(5000, 5_000_000_000));
        times.on_records(&served(1000, 1_000_000));
        assert_eq!(times.mean(), Some(Duration::from_millis(1)));
        assert_eq!(times.longest(), Some(Duration::from_millis(1)));
    }
}
