//! Why is it there, why does it wait: the queue's own checks, run again.

use std::collections::{BTreeMap, HashMap, VecDeque};

use gridmart_schemas::{
    api::explain::Explanation,
    id::{CallId, Digest, JobId, NodeId},
    problem::{Code, Problem},
    wire::{
        control_element::{Activities, Activity, Subject},
        record::CallRecords,
    },
};

use super::{
    Ce,
    admit::millis,
    lease::{LeaseState, Stage},
    queue::{Queue, QueueCounts},
};

/// How many Hosts an explanation shows.
const HOSTS_SHOWN_MAX: usize = 50;
/// How many ended calls are remembered.
const ENDED_MAX: usize = 10_000;
/// How many maps of which parts have ended are remembered.
const JOBS_MAX: usize = 1_000;
/// The most rows of an activity list.
const ACTIVITIES_MAX: u32 = 10_000;

/// Where calls ran that have ended lately.
#[derive(Debug, Default)]
pub(crate) struct EndedCalls {
    order: VecDeque<CallId>,
    calls: HashMap<CallId, (NodeId, Digest)>,
    job_order: VecDeque<JobId>,
    jobs: HashMap<JobId, EndedJob>,
}

/// Where parts of a map have run.
#[derive(Clone, Debug, Default)]
struct EndedJob {
    application: String,
    version: String,
    parts: BTreeMap<NodeId, u64>,
}

impl EndedCalls {
    pub(crate) fn on_records(&mut self, batch: &CallRecords) {
        for record in &batch.records {
            if self
                .calls
                .insert(record.call, (record.host, record.digest.clone()))
                .is_none()
            {
                self.order.push_back(record.call);
            }
            if self.order.len() > ENDED_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.calls.remove(&oldest);
            }
        }
        for progress in &batch.jobs {
            let job = self.jobs.entry(progress.job).or_insert_with(|| {
                self.job_order.push_back(progress.job);
                EndedJob {
                    application: progress.application.clone(),
                    version: progress.version.clone(),
                    parts: BTreeMap::new(),
                }
            });
            *job.parts.entry(progress.host).or_default() += progress.finished + progress.failed;
            if self.job_order.len() > JOBS_MAX
                && let Some(oldest) = self.job_order.pop_front()
            {
                self.jobs.remove(&oldest);
            }
        }
    }

    fn get(&self, call: CallId) -> Option<(NodeId, Digest)> {
        self.calls.get(&call).cloned()
    }
}

impl Ce {
    /// Explains a placement or a wait.
    pub(crate) fn explain(&self, subject: &Subject) -> Result<Explanation, Problem> {
        let queue = self.goods.queue.lock();
        match subject {
            Subject::Call(call) => {
                if let Some(lease) = queue.host_of_call(*call) {
                    return Ok(of_lease(
                        &queue,
                        lease,
                        format!("Why does call {call} run there?"),
                    ));
                }
                let ended = self.goods.ended_calls.lock().get(*call);
                let (host, digest) = ended.ok_or_else(|| unknown("call", call))?;
                Ok(Explanation {
                    question: format!("Why did call {call} run there?"),
                    outcome: format!(
                        "It has ended on {}. The Hosts are shown as they are now.",
                        host_name(&queue, host)
                    ),
                    candidates: queue.candidates(&digest, None, &[host], HOSTS_SHOWN_MAX),
                })
            }
            Subject::Lease(lease) => {
                let state = queue
                    .leases()
                    .get(*lease)
                    .ok_or_else(|| unknown("lease", lease))?;
                Ok(of_lease(
                    &queue,
                    state,
                    format!("Why is lease {lease} on that Host?"),
                ))
            }
            Subject::Job(job) => of_job(&queue, *job)
                .or_else(|| {
                    let ended = self.goods.ended_calls.lock().jobs.get(job).cloned()?;
                    Some(of_ended_job(&queue, *job, &ended))
                })
                .ok_or_else(|| unknown("map", job)),
            Subject::Host(host) => {
                let state = queue.host(*host).ok_or_else(|| unknown("Host", host))?;
                let candidate =
                    queue.candidates(&Digest::from_blake3([0; 32]), None, &[], usize::MAX);
                let own = host.to_string();
                Ok(Explanation {
                    question: format!("Does {} take work?", state.name()),
                    outcome: if state.is_usable() { "yes" } else { "no" }.to_owned(),
                    candidates: candidate
                        .into_iter()
                        .filter(|candidate| candidate.id == own)
                        .collect(),
                })
            }
        }
    }

    /// What runs and waits now.
    pub(crate) fn activities(&self, limit: u32) -> Activities {
        let limit = usize::try_from(limit.min(ACTIVITIES_MAX)).unwrap_or(usize::MAX);
        let now = std::time::Instant::now();
        let queue = self.goods.queue.lock();
        let running = queue.leases().iter().flat_map(|lease| {
            lease.running.iter().map(move |call| Activity {
                id: call.to_string(),
                job: lease.job,
                owner: lease.person.to_string(),
                application: lease.application.clone(),
                state: "Running:Executing".to_owned(),
                host: Some(lease.host),
                position: None,
                age_ms: millis(now.saturating_duration_since(lease.granted)),
            })
        });
        let mut activities: Vec<Activity> = running.take(limit).collect();
        let waiting = queue.waiting_entries();
        activities.extend(waiting.into_iter().take(limit).map(|entry| {
            Activity {
                id: entry.wanted.key.entry.to_string(),
                job: entry.wanted.job,
                owner: entry.wanted.asker.person.to_string(),
                application: queue
                    .application(&entry.wanted.digest)
                    .map(|application| application.name.clone())
                    .unwrap_or_default(),
                state: "Pending:Queued".to_owned(),
                host: None,
                position: Some(entry.position),
                age_ms: millis(now.saturating_duration_since(entry.since)),
            }
        }));
        Activities { activities }
    }
}

fn unknown(what: &str, id: &impl std::fmt::Display) -> Problem {
    Problem::new(
        Code::NotFound,
        format!("This Element knows no {what} {id}, or not any more."),
    )
}

fn host_name(queue: &Queue, id: NodeId) -> String {
    queue
        .host(id)
        .map_or_else(|| id.to_string(), |host| host.name().to_owned())
}

fn of_lease(queue: &Queue, lease: &LeaseState, question: String) -> Explanation {
    let stage = match lease.stage {
        Stage::Staging => "its application is on the way there",
        Stage::Active => "it is in use",
        Stage::Recalled { .. } => "it was asked back, since others wait",
    };
    Explanation {
        question,
        outcome: format!(
            "{} slots of {} for {}, {stage}: of the Hosts that fit, it had the most free slots when the lease was granted. The Hosts are shown as they are now.",
            lease.slots,
            host_name(queue, lease.host),
            lease.person
        ),
        candidates: queue.candidates(&lease.digest, None, &[lease.host], HOSTS_SHOWN_MAX),
    }
}

fn of_job(queue: &Queue, job: JobId) -> Option<Explanation> {
    let question = format!("Where does map {job} run, and what does it wait for?");
    let leases: Vec<&LeaseState> = queue
        .leases()
        .iter()
        .filter(|lease| lease.job == Some(job))
        .collect();
    let hosts: Vec<NodeId> = leases.iter().map(|lease| lease.host).collect();
    let slots: u32 = leases.iter().map(|lease| lease.slots).sum();
    let waiting = queue
        .waiting_entries()
        .into_iter()
        .find(|entry| entry.wanted.job == Some(job));
    let (digest, asker) = match (&waiting, leases.first()) {
        (Some(entry), _) => (
            entry.wanted.digest.clone(),
            Some(entry.wanted.asker.as_ref()),
        ),
        (None, Some(lease)) => (lease.digest.clone(), None),
        (None, None) => return None,
    };
    let wait = waiting.as_ref().map_or_else(
        || "it waits for nothing".to_owned(),
        |entry| {
            format!(
                "it waits at place {} for {} more; {}",
                entry.position,
                entry.missing,
                lengths(queue.counts())
            )
        },
    );
    Some(Explanation {
        question,
        outcome: format!("It has {slots} slots; {wait}."),
        candidates: queue.candidates(&digest, asker, &hosts, HOSTS_SHOWN_MAX),
    })
}

fn of_ended_job(queue: &Queue, job: JobId, ended: &EndedJob) -> Explanation {
    let shares: Vec<String> = ended
        .parts
        .iter()
        .map(|(host, parts)| format!("{parts} on {}", host_name(queue, *host)))
        .collect();
    let hosts: Vec<NodeId> = ended.parts.keys().copied().collect();
    let digest = queue.application_named(&ended.application, &ended.version);
    Explanation {
        question: format!("Where did the parts of map {job} run?"),
        outcome: format!(
            "Of {}@{}, {}. The Hosts are shown as they are now.",
            ended.application,
            ended.version,
            shares.join(", ")
        ),
        candidates: digest.map_or_else(Vec::new, |digest| {
            queue.candidates(&digest, None, &hosts, HOSTS_SHOWN_MAX)
        }),
    }
}

fn lengths(counts: QueueCounts) -> String {
    format!(
        "{} slots are in use, {} entries wait",
        counts.running_slots + counts.staging_slots,
        counts.waiting_entries
    )
}
