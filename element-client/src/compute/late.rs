//! Results that come too late: of Hosts that were found down, whose calls were
//! given up, and that live after all.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use gridmart_schemas::{
    id::LeaseId,
    problem::Code,
    wire::record::{CallRecords, CallState},
};
use time::OffsetDateTime;

/// How many leases are remembered.
const LEASES_MAX: usize = 10_000;

/// Leases that were ended because their Host did not answer, and when.
#[derive(Debug, Default)]
pub(crate) struct Late {
    order: VecDeque<LeaseId>,
    leases: HashMap<LeaseId, Instant>,
}

impl Late {
    /// A Host was found down while these were in force on it.
    pub(crate) fn on_down(&mut self, leases: impl IntoIterator<Item = LeaseId>, now: Instant) {
        for lease in leases {
            if self.leases.insert(lease, now).is_none() {
                self.order.push_back(lease);
            }
            if self.order.len() > LEASES_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.leases.remove(&oldest);
            }
        }
    }

    /// A call whose caller was told that its Host is down has not finished,
    /// whatever its Host made of it: it may have been made again elsewhere. One
    /// that had ended before is as its caller saw it. The same goes for parts of
    /// maps, all of one report as the last of them.
    pub(crate) fn judge(&self, batch: &mut CallRecords, now: Instant) {
        let told = batch.told;
        let is_late = |lease, ended| self.is_late(lease, told.zip(ended), now);
        for progress in &mut batch.jobs {
            if is_late(progress.lease, progress.ended) && progress.finished > 0 {
                tracing::info!(job.id = %progress.job, node.id = %progress.host, parts = progress.finished, "parts of a map came too late and do not count");
                progress.failed += std::mem::take(&mut progress.finished);
            }
        }
        for record in &mut batch.records {
            let late = is_late(record.lease, Some(record.ended));
            if late && record.end.state == CallState::Finished {
                tracing::info!(call.id = %record.call, node.id = %record.host, "a result came too late and does not count");
                record.end.state = CallState::Failed;
                record.end.code = Some(Code::HostDown);
                record.end.reason = Some(
                    "the Host did not answer and the call was given up; its result came too late"
                        .to_owned(),
                );
            }
        }
    }

    /// Whether something under a lease ended after that was given up; `times`:
    /// when it was told and when it ended, by the Host's clock.
    fn is_late(
        &self,
        lease: Option<LeaseId>,
        times: Option<(OffsetDateTime, OffsetDateTime)>,
        now: Instant,
    ) -> bool {
        let age = times.map_or(Duration::ZERO, |(told, ended)| {
            (told - ended).try_into().unwrap_or_default()
        });
        let given_up = lease.and_then(|lease| self.leases.get(&lease));
        given_up.is_some_and(|given_up| *given_up + age <= now)
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::{
        id::{CallId, Digest, JobId, NodeId},
        wire::record::{CallEnd, CallRecord, JobProgress},
    };

    use super::*;

    #[test]
    fn what_ended_before_its_host_was_given_up_counts() {
        let (lease, now) = (LeaseId::generate(), Instant::now());
        let mut late = Late::default();
        late.on_down([lease], now);
        let told = OffsetDateTime::now_utc();
        let record = |age: Duration| CallRecord {
            call: CallId::generate(),
            job: None,
            part: None,
            owner: "ada".parse().unwrap(),
            application: "probe".into(),
            version: "1".into(),
            digest: Digest::from_blake3([1; 32]),
            host: NodeId::generate(),
            lease: Some(lease),
            request: None,
            submitted: told - age,
            ended: told - age,
            end: CallEnd {
                state: CallState::Finished,
                exit_code: Some(0),
                signal: None,
                code: None,
                reason: None,
                wall_us: 1,
                cpu_us: 1,
                max_resident_bytes: 0,
                stdout_bytes: 0,
                stderr_bytes: 0,
                staged_in_bytes: 0,
                staged_out_bytes: 0,
            },
        };
        let progress = |lease: Option<LeaseId>, age: Duration| JobProgress {
            report: None,
            lease,
            ended: Some(told - age),
            job: JobId::generate(),
            owner: "ada".parse().unwrap(),
            application: "probe".into(),
            version: "1".into(),
            host: NodeId::generate(),
            finished: 5,
            failed: 1,
            wall_us: 1,
            cpu_us: 1,
        };
        let mut batch = CallRecords {
            sequence: 1,
            told: Some(told),
            records: vec![
                record(Duration::from_secs(1)),
                record(Duration::from_mins(1)),
            ],
            jobs: vec![
                progress(Some(lease), Duration::from_secs(1)),
                progress(Some(lease), Duration::from_mins(1)),
                progress(Some(LeaseId::generate()), Duration::from_secs(1)),
                progress(None, Duration::from_secs(1)),
            ],
            ..CallRecords::default()
        };
        // Told ten seconds after its Host was given up.
        late.judge(&mut batch, now + Duration::from_secs(10));
        let states: Vec<CallState> = batch
            .records
            .iter()
            .map(|record| record.end.state)
            .collect();
        assert_eq!(states, [CallState::Failed, CallState::Finished]);
        let counts: Vec<_> = batch
            .jobs
            .iter()
            .map(|job| (job.finished, job.failed))
            .collect();
        assert_eq!(counts, [(0, 6), (5, 1), (5, 1), (5, 1)]);
    }
}
