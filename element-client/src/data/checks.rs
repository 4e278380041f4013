//! Whether shadows are what their cores are: each is compared once in the document's
//! `CheckInterval`, and when somebody asks. The Hosts do it; here is when, and what came
//! of it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_fabric::{
    stream::{Incoming, reply},
    telemetry::Metrics,
};
use gridmart_schemas::{
    id::{DatabaseId, NodeId},
    problem::{Code, Problem},
    resource::{enumeration::SyncState, host::ReplicaCheck},
    wire::{
        database::{ShadowCheck, ShadowCheckTold, ShadowChecks},
        replica::ReplicaCompare,
    },
};
use parking_lot::Mutex;
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use serde_json::value::RawValue;
use tokio::sync::{Notify, Semaphore};

use super::{De, hosts::Hosts, pool::Pool};

/// Every shadow is compared once in that time, unless the document says otherwise.
const INTERVAL: Duration = Duration::from_hours(24);
/// Between two looks at what is due.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A comparison may take so long.
const COMPARE_MAX: Duration = Duration::from_hours(2);
/// Comparisons at a time: each reads two databases whole.
const AT_A_TIME: usize = 2;
/// Who asks waits so long at a time for what runs.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// A shadow.
type Shadow = (DatabaseId, NodeId);

/// What is known of a shadow's comparisons.
#[derive(Clone, Default)]
struct Known {
    running: bool,
    check: Option<ReplicaCheck>,
    failure: Option<String>,
    due: Option<Instant>,
}

/// See the module.
pub(super) struct Checks {
    known: Mutex<HashMap<Shadow, Known>>,
    places: Arc<Semaphore>,
    ended: Notify,
    same: Counter,
    differing: Counter,
    failed: Counter,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            places: Arc::new(Semaphore::new(AT_A_TIME)),
            ended: Notify::new(),
            same: Counter::default(),
            differing: Counter::default(),
            failed: Counter::default(),
        }
    }
}

impl Checks {
    pub(super) fn register(metrics: &Metrics) -> Self {
        let checks = Self::default();
        metrics.register(|registry: &mut Registry| {
            let counters = [
                (
                    "same",
                    "Shadows that were found to be what their core is.",
                    &checks.same,
                ),
                (
                    "differing",
                    "Shadows that were found to differ from their core, and were made anew.",
                    &checks.differing,
                ),
                (
                    "failed",
                    "Comparisons that came to nothing.",
                    &checks.failed,
                ),
            ];
            for (name, help, counter) in counters {
                let name = format!("gridmart_de_checks_{name}");
                registry.register(name, help, counter.clone());
            }
        });
        checks
    }

    /// What the last comparison found.
    pub(super) fn found(&self, database: DatabaseId, host: NodeId) -> Option<ReplicaCheck> {
        let known = self.known.lock();
        known.get(&(database, host))?.check.clone()
    }

    /// A shadow is gone, or all of a database.
    pub(super) fn forget(&self, database: DatabaseId, host: Option<NodeId>) {
        let is_that =
            |shadow: &Shadow| shadow.0 == database && host.is_none_or(|host| host == shadow.1);
        self.known.lock().retain(|shadow, _| !is_that(shadow));
    }

    /// Marks one as running; `false` if it runs already.
    fn begin(&self, shadow: Shadow) -> bool {
        let mut known = self.known.lock();
        let known = known.entry(shadow).or_default();
        !std::mem::replace(&mut known.running, true)
    }

    fn end(&self, shadow: Shadow, outcome: Result<ReplicaCheck, Problem>, due: Instant) {
        match &outcome {
            Ok(check) if check.difference_count == 0 => self.same.inc(),
            Ok(_) => self.differing.inc(),
            Err(_) => self.failed.inc(),
        };
        let mut all = self.known.lock();
        let known = all.entry(shadow).or_default();
        known.running = false;
        known.due = Some(due);
        match outcome {
            Ok(check) => (known.check, known.failure) = (Some(check), None),
            Err(problem) => known.failure = Some(problem.detail),
        }
        drop(all);
        self.ended.notify_waiters();
    }

    /// Those that are due now; one that is new is due at a time of its own within the
    /// interval, so that they do not come all at once.
    fn due(&self, shadows: &[Shadow], interval: Duration, now: Instant) -> Vec<Shadow> {
        let mut known = self.known.lock();
        let wanted: HashSet<&Shadow> = shadows.iter().collect();
        known.retain(|shadow, known| known.running || wanted.contains(shadow));
        let due = shadows.iter().filter(|shadow| {
            let known = known.entry(**shadow).or_default();
            let due = known
                .due
                .get_or_insert_with(|| now + interval.mul_f64(rand::random::<f64>()));
            // A shorter interval counts at once.
            *due = (*due).min(now + interval.mul_f64(1.1));
            !known.running && *due <= now
        });
        due.copied().collect()
    }
}

/// Has shadows compared when they are due, until the Element ends.
pub(super) async fn keep_checking(de: Arc<De>) {
    loop {
        let interval = interval(&de);
        let pause = LOOK_EVERY.min(interval / 4).max(Duration::from_secs(1));
        tokio::select! {
            () = de.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let shadows: Vec<Shadow> = {
            let document = de.base.read();
            let databases = &document.databases.databases;
            let shadows = databases.iter().flat_map(|database| {
                let id = database.database();
                database.shadows().filter_map(move |host| Some((id?, host)))
            });
            shadows.collect()
        };
        let now = Instant::now();
        for shadow in de.goods.checks.due(&shadows, interval, now) {
            let is_ready = is_synchronised(&de.goods.pool.lock(), shadow, now);
            if is_ready && de.goods.checks.begin(shadow) {
                let checking = Arc::clone(&de);
                de.tasks
                    .spawn(async move { check(&checking, shadow).await });
            }
        }
    }
}

fn interval(de: &De) -> Duration {
    let told = de.base.read().configuration.check_interval;
    let told = told.map(gridmart_schemas::scalar::Seconds::to_duration);
    told.filter(|told| !told.is_zero()).unwrap_or(INTERVAL)
}

fn is_synchronised(pool: &Pool, (database, host): Shadow, now: Instant) -> bool {
    let known = pool.host(host).filter(|host| host.is_usable());
    let told = known.and_then(|host| host.replica(database, now));
    told.is_some_and(|told| told.sync_state == SyncState::Synchronised)
}

/// Has one compared that is marked as running.
async fn check(de: &Arc<De>, shadow: Shadow) {
    let (database, host) = shadow;
    let compared = async {
        let places = Arc::clone(&de.goods.checks.places);
        let _place = places.acquire_owned().await.map_err(|_| ending())?;
        let goods = &de.goods;
        let peer = goods.hosts.stream(&goods.pool, &de.tls, host).await?;
        Ok(Hosts::ask(&peer, &ReplicaCompare { database }, COMPARE_MAX).await?)
    };
    let outcome = de.stop.run_until_cancelled(compared).await;
    let outcome: Result<ReplicaCheck, Problem> = outcome.unwrap_or_else(|| Err(ending()));
    match &outcome {
        Ok(check) if check.difference_count == 0 => {
            tracing::debug!(database.id = %database, node.id = %host, position = check.log_position, "a shadow is what its core is");
        }
        Ok(check) => {
            tracing::error!(database.id = %database, node.id = %host, position = check.log_position, ranges = check.difference_count, "a shadow differs from its core, and is made anew");
        }
        Err(problem) => {
            tracing::warn!(database.id = %database, node.id = %host, %problem, "a shadow could not be compared with its core");
        }
    }
    let jitter = 0.9 + 0.2 * rand::random::<f64>();
    let due = Instant::now() + interval(de).mul_f64(jitter);
    de.goods.checks.end(shadow, outcome, due);
}

fn ending() -> Problem {
    Problem::new(Code::Unavailable, "The Element goes down.")
}

impl De {
    /// What the controller asks of comparisons.
    pub(super) async fn shadow_check(
        self: &Arc<Self>,
        incoming: &Incoming,
    ) -> Result<Box<RawValue>, Problem> {
        let ShadowCheck {
            database: id,
            host,
            begin,
        } = incoming.read()?;
        let database = self.database(id)?;
        let shadows: Vec<NodeId> = database
            .shadows()
            .filter(|shadow| host.is_none_or(|host| host == *shadow))
            .collect();
        if shadows.is_empty() {
            return Err(Problem::new(
                Code::NotFound,
                "The database has no such shadow: `gridmart db show` tells which it has.",
            ));
        }
        for host in &shadows {
            let shadow = (id, *host);
            if begin && self.goods.checks.begin(shadow) {
                let de = Arc::clone(self);
                self.tasks.spawn(async move { check(&de, shadow).await });
            }
        }
        let is_over = async {
            loop {
                let ended = self.goods.checks.ended.notified();
                tokio::pin!(ended);
                ended.as_mut().enable();
                if !self.checks_told(id, &shadows).iter().any(|one| one.running) {
                    return;
                }
                ended.await;
            }
        };
        // Who wants to know more asks again.
        let _ = tokio::time::timeout(WAIT_MAX, is_over).await;
        reply(&ShadowChecks {
            checks: self.checks_told(id, &shadows),
        })
    }

    fn checks_told(&self, database: DatabaseId, hosts: &[NodeId]) -> Vec<ShadowCheckTold> {
        let known = self.goods.checks.known.lock();
        let pool = self.goods.pool.lock();
        let told = hosts.iter().map(|host| {
            let known = known.get(&(database, *host)).cloned().unwrap_or_default();
            let name = pool.host(*host).map(|host| host.name.clone());
            ShadowCheckTold {
                host: *host,
                name: name.unwrap_or_else(|| host.to_string()),
                running: known.running,
                check: known.check,
                failure: known.failure,
            }
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::scalar::UtcTime;

    use super::*;

    #[test]
    fn each_shadow_is_due_once_in_the_interval_and_one_that_runs_is_not_begun_again() {
        let (checks, now) = (Checks::default(), Instant::now());
        let day = Duration::from_hours(24);
        let database = DatabaseId::generate();
        let all: Vec<Shadow> = (0..50).map(|_| (database, NodeId::generate())).collect();
        let early = checks.due(&all, day, now + day / 2).len();
        assert_eq!(early, 0, "they were not known before");
        let half = checks.due(&all, day, now + day).len();
        assert!((5..45).contains(&half), "{half} of 50 in half an interval");
        let later = now + 2 * day;
        assert_eq!(checks.due(&all, day, later).len(), all.len());
        let one = all[0];
        assert!(checks.begin(one) && !checks.begin(one));
        assert_eq!(checks.due(&all, day, later).len(), all.len() - 1);
        let check = ReplicaCheck {
            creation_time: UtcTime::now(),
            log_position: 7,
            row_count: 1,
            difference_count: 1,
            differences: Vec::new(),
        };
        checks.end(one, Ok(check.clone()), later + day);
        assert_eq!(checks.found(one.0, one.1), Some(check));
        assert_eq!((checks.same.get(), checks.differing.get()), (0, 1));
        assert!(!checks.due(&all, day, later).contains(&one));
        checks.forget(database, Some(one.1));
        assert_eq!(checks.found(one.0, one.1), None);
    }
}
