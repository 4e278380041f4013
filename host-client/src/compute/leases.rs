//! All leases of a Host: who may begin one, and when they end.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_schemas::{
    id::{CallId, Digest, JobId, KeyHash, LeaseId},
    problem::{Code, Problem},
    wire::element_host::HeldLease,
};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{
    deploy::Deployer,
    lease::Lease,
    roll::{End, Roll, ended},
    services::Services,
    verdict::Cut,
};

/// A lost caller may come back for so long, where the Element says nothing.
const GRACE_DEFAULT: u32 = 30;

/// The leases in force, and those that were ended lately.
pub(crate) struct Leases {
    services: Arc<Services>,
    deployer: Arc<Deployer>,
    roll: Mutex<Roll<Arc<Lease>>>,
    ended: mpsc::UnboundedSender<LeaseId>,
}

impl Leases {
    /// `ended` is told of leases that end by themselves.
    pub(crate) fn new(
        services: Arc<Services>,
        deployer: Arc<Deployer>,
        ended: mpsc::UnboundedSender<LeaseId>,
    ) -> Self {
        let roll = Mutex::new(Roll::new(services.member.incarnation));
        Self {
            services,
            deployer,
            roll,
            ended,
        }
    }

    /// Verifies a lease ticket; gives its lease, begun if it is new, and the
    /// ticket's expiry.
    pub(crate) fn attach(
        &self,
        ticket: &str,
        presenter: &KeyHash,
    ) -> Result<(Arc<Lease>, i64), Problem> {
        if let Err(reason) = &self.services.sandboxes {
            let detail = format!("The Host takes no calls: it cannot make sandboxes ({reason}).");
            return Err(Problem::new(Code::SandboxUnavailable, detail));
        }
        let member = &self.services.member;
        let claims = member
            .trust
            .judge(|keys, now| keys.verify_lease(ticket, member.node, presenter, now))?;
        let digest = claims.application.digest.clone();
        let expires = claims.exp;
        // Held to the end: what ends leases looks at those that are present, so
        // none may begin between these checks and that.
        let mut roll = self.roll.lock();
        let in_force = self.services.member.commands.cut(&digest);
        if let Some(lease) = roll.judge(&claims, in_force)? {
            return Ok((lease, expires));
        }
        self.services.member.commands.require_serving(&digest)?;
        let application = self.deployer.get(&digest).ok_or_else(|| {
            Problem::new(
                Code::StagingFailed,
                format!("The application {digest} is not on this Host."),
            )
        })?;
        let lease = Lease::new(claims, application, Arc::clone(&self.services));
        tracing::info!(
            lease.id = %lease.id(), owner = %lease.claims.sub, application = lease.claims.application.name,
            slots = lease.claims.slots, "a lease begins"
        );
        roll.on_begun(Arc::clone(&lease));
        self.show(&roll);
        Ok((lease, expires))
    }

    /// The Element ends a lease; without `kill` its calls may finish.
    pub(crate) fn end(&self, id: LeaseId, kill: bool, reason: &str) {
        let mut roll = self.roll.lock();
        if !kill && let Some(lease) = roll.get(id) {
            // Before it is asked whether it has anything to do: a call that came
            // in between would be ended with it.
            lease.close(ended(reason));
        }
        let end = roll.end(id, kill, reason, Instant::now());
        self.show(&roll);
        drop(roll);
        match end {
            End::Over(lease, problem) => {
                tracing::info!(lease.id = %lease.id(), reason, "a lease is ended");
                end_now(&lease, problem, &Cut::Terminated(reason.to_owned()));
            }
            End::Closing(..) | End::Unknown => {}
        }
    }

    /// Ends what kills have passed; gives how many leases that were.
    pub(crate) fn end_cut(&self) -> usize {
        let commands = &self.services.member.commands;
        let cut = self
            .roll
            .lock()
            .cut(|claims| commands.cut(&claims.application.digest));
        for lease in &cut {
            let problem = Problem::new(
                Code::LeaseEnded,
                "The Host, its Element or the application was killed.",
            );
            self.finish(lease, problem, &Cut::Terminated("killed".to_owned()));
            let _ = self.ended.send(lease.id());
        }
        cut.len()
    }

    /// Ends one call; tells whether there was one.
    pub(crate) fn end_call(&self, call: CallId, by: &str) -> u64 {
        let cut = Cut::Terminated(format!("ended by {by}"));
        let found = self
            .all()
            .into_iter()
            .find_map(|lease| Some((lease.call(call)?, lease)));
        found.map_or(0, |(call, lease)| u64::from(lease.cut_call(&call, cut)))
    }

    /// Ends all parts of a map.
    pub(crate) fn end_job(&self, job: JobId, by: &str) -> u64 {
        let cut = Cut::Terminated(format!("ended by {by}"));
        let mut ended = 0;
        for lease in self.all() {
            for call in lease.live_calls() {
                if call.open.part_of.is_some_and(|part| part.job == job) {
                    ended += u64::from(lease.cut_call(&call, cut.clone()));
                }
            }
        }
        ended
    }

    /// Ends everything, because the Host goes down.
    pub(crate) fn end_all(&self) {
        for lease in self.all() {
            let problem = Problem::new(Code::HostDown, "The Host goes down.");
            self.finish(&lease, problem, &Cut::HostDown);
        }
    }

    /// Ends leases whose callers are gone, or that have nothing left to do.
    pub(crate) fn sweep(&self) {
        let told = self.services.member.trust.reattach_grace();
        let seconds = told.unwrap_or(GRACE_DEFAULT);
        let grace = Duration::from_secs(u64::from(seconds));
        for lease in self.all() {
            if let Some(reason) = lease.outlived(grace) {
                tracing::info!(lease.id = %lease.id(), reason, "a lease is over");
                let problem =
                    Problem::new(Code::LeaseEnded, format!("The lease is over: {reason}."));
                self.finish(&lease, problem, &Cut::Terminated(reason.to_owned()));
                let _ = self.ended.send(lease.id());
            }
        }
        self.roll.lock().forget(Instant::now());
    }

    /// All leases, as the Element is told of them.
    pub(crate) fn held(&self) -> Vec<HeldLease> {
        let mut held: Vec<_> = self.all().iter().map(|lease| lease.held()).collect();
        held.sort_unstable_by_key(|lease| lease.lease);
        held
    }

    /// Tells whether any call waits or runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.all().iter().all(|lease| lease.is_idle())
    }

    /// Applications that leases are for.
    pub(crate) fn applications(&self) -> HashSet<Digest> {
        self.all()
            .iter()
            .map(|lease| lease.application.digest.clone())
            .collect()
    }

    fn all(&self) -> Vec<Arc<Lease>> {
        self.roll.lock().present().cloned().collect()
    }

    fn finish(&self, lease: &Arc<Lease>, problem: Problem, cut: &Cut) {
        let mut roll = self.roll.lock();
        roll.on_over(lease.id(), problem.clone(), Instant::now());
        self.show(&roll);
        drop(roll);
        end_now(lease, problem, cut);
    }

    fn show(&self, roll: &Roll<Arc<Lease>>) {
        let leases = &self.services.metrics.leases;
        leases.set(i64::try_from(roll.len()).unwrap_or(i64::MAX));
    }
}

/// Ends what runs under a lease that is over.
fn end_now(lease: &Arc<Lease>, problem: Problem, cut: &Cut) {
    lease.close(problem);
    lease.cut_all(cut);
    lease.over.cancel();
}
