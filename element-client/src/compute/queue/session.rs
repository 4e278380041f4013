//! Clients' streams, and the leases tied to them.

use std::time::Instant;

use gridmart_schemas::{
    id::{CallId, Digest, Incarnation, JobId, KeyHash, LeaseId, NodeId},
    problem::{Code, Problem},
};

use super::{
    Queue,
    effect::Effect,
    entry::{Asker, Epochs, SessionId},
};
use crate::compute::lease::{LeaseState, ProvenLease, Stage};

impl Queue {
    /// A client's stream stands.
    pub fn on_session_opened(&mut self, session: SessionId, presenter: KeyHash) {
        self.sessions.insert(session, presenter);
    }

    /// A client brings leases along; answers with those in force.
    pub fn on_session_resumed(
        &mut self,
        session: SessionId,
        leases: Vec<ProvenLease>,
        now: Instant,
    ) -> Vec<LeaseId> {
        let mut in_force = Vec::new();
        for proven in leases {
            let id = proven.id;
            let tied = if self.leases.get(id).is_some() {
                self.tie_again(session, &proven)
            } else {
                self.adopt_proven(session, proven, now)
            };
            if tied {
                in_force.push(id);
            }
        }
        self.dispatch(now);
        in_force
    }

    fn tie_again(&mut self, session: SessionId, proven: &ProvenLease) -> bool {
        let Some(lease) = self.leases.get_mut(proven.id) else {
            return false;
        };
        let same_key = lease
            .presenter
            .as_ref()
            .is_none_or(|key| *key == proven.presenter);
        if !same_key || lease.person != proven.person || lease.stage == Stage::Staging {
            return false;
        }
        lease.presenter = Some(proven.presenter.clone());
        lease.job = proven.job.or(lease.job);
        lease.orphan_until = None;
        if lease.is_recalled() {
            self.effects.push(Effect::Recalled {
                session,
                lease: proven.id,
            });
        }
        self.leases.tie(proven.id, Some(session));
        true
    }

    /// A lease of before this Element's restart that no Host has told of: its
    /// client had not used it yet.
    fn adopt_proven(&mut self, session: SessionId, proven: ProvenLease, now: Instant) -> bool {
        let known = self.hosts.get(&proven.host).is_some_and(|host| {
            !host.revoked && !is_of_another_start(proven.incarnation, host.incarnation)
        });
        let present = self.present_epochs(proven.host, &proven.digest, Epochs::default());
        if !known || self.leases.has_ended(proven.id) || is_cut(proven.cut, present) {
            return false;
        }
        self.adopt(proven.adopt(session, now));
        true
    }

    /// A client's stream is lost: what waits is dropped, leases wait for the
    /// client to come back.
    pub fn on_session_lost(&mut self, session: SessionId, now: Instant) {
        if self.sessions.remove(&session).is_none() {
            return;
        }
        for key in self.entries_where(|entry| entry.wanted.key.session == session) {
            self.remove_entry(key, now);
        }
        let until = now + self.settings.reattach_grace;
        for id in self.leases.of_session(session) {
            self.leases.tie(id, None);
            if let Some(lease) = self.leases.get_mut(id) {
                lease.orphan_until = Some(until);
            }
        }
        self.dispatch(now);
    }

    /// Ends leases whose client has not come back. A client that is attached
    /// to its Host is there, whatever has become of its stream to us.
    pub(super) fn end_orphans(&mut self, now: Instant) {
        let due: Vec<(LeaseId, bool)> = self
            .leases
            .iter()
            .filter(|lease| lease.orphan_until.is_some_and(|until| until <= now))
            .map(|lease| (lease.id, lease.attached))
            .collect();
        let problem = Problem::new(
            Code::LeaseEnded,
            "The client was gone for longer than the reattach grace.",
        );
        for (id, attached) in due {
            if !attached {
                self.end_lease(id, &problem, Some(true), now);
            } else if let Some(lease) = self.leases.get_mut(id) {
                lease.orphan_until = Some(now + self.settings.reattach_grace);
            }
        }
    }

    /// Ends what an earlier process of a map has left. A map is run by one
    /// process at a time, so when the same person's map asks again, with a new
    /// key, who held these leases does not come back: their slots, and the
    /// parts that run in them for nobody, need not wait for the grace.
    pub(super) fn end_predecessors(&mut self, asker: &Asker, job: JobId, now: Instant) {
        let left: Vec<LeaseId> = self
            .leases
            .of_person(&asker.person)
            .filter(|lease| lease.job == Some(job) && lease.orphan_until.is_some())
            .filter(|lease| {
                lease
                    .presenter
                    .as_ref()
                    .is_some_and(|key| *key != asker.presenter)
            })
            .map(|lease| lease.id)
            .collect();
        let problem = Problem::new(
            Code::LeaseEnded,
            "The map was begun again by another process.",
        );
        for id in left {
            self.end_lease(id, &problem, Some(true), now);
        }
    }

    /// A client gives a lease back.
    pub fn on_released(&mut self, session: SessionId, id: LeaseId, now: Instant) {
        if self
            .leases
            .get(id)
            .is_none_or(|lease| lease.session != Some(session))
        {
            return;
        }
        let given_back = Problem::new(Code::LeaseEnded, "The client gave the lease back.");
        if let Some(lease) = self.leases.get_mut(id) {
            lease.session = None;
        }
        self.leases.tie(id, None);
        self.end_lease(id, &given_back, Some(false), now);
        self.dispatch(now);
    }

    /// The lease a client holds on this stream, for renewal and reports.
    pub fn lease_of(&self, session: SessionId, id: LeaseId) -> Result<&LeaseState, Problem> {
        self.leases
            .get(id)
            .filter(|lease| lease.session == Some(session) && lease.stage != Stage::Staging)
            .ok_or_else(|| {
                Problem::new(
                    Code::LeaseUnknown,
                    format!("The lease {id} is not in force for this client."),
                )
            })
    }

    /// Why a lease that a valid ticket names is not in force any more, if it is
    /// not: it has ended, or what it permits was killed since. One that is not
    /// known here may be known to its Host.
    pub fn is_over(
        &self,
        id: LeaseId,
        host: NodeId,
        digest: &Digest,
        cut: Epochs,
    ) -> Option<Problem> {
        let present = self.present_epochs(host, digest, Epochs::default());
        if is_cut(cut, present) {
            return Some(Problem::new(
                Code::TicketCut,
                "The Host, its Element or the application was killed since.",
            ));
        }
        self.leases
            .has_ended(id)
            .then(|| Problem::new(Code::LeaseEnded, format!("The lease {id} has ended.")))
    }

    /// On which Host a call runs, as last heard.
    pub fn host_of_call(&self, call: CallId) -> Option<&LeaseState> {
        self.leases
            .iter()
            .find(|lease| lease.running.contains(&call))
    }

    /// Takes a lease out of force and tells whom it concerns: the client, and
    /// (`on_host`: whether to end what runs) the Host.
    pub(super) fn end_lease(
        &mut self,
        id: LeaseId,
        problem: &Problem,
        on_host: Option<bool>,
        now: Instant,
    ) {
        let Some(lease) = self.drop_lease(id, now) else {
            return;
        };
        if lease.stage == Stage::Staging {
            return;
        }
        if let Some(session) = lease.session {
            self.effects.push(Effect::Over {
                session,
                lease: id,
                problem: problem.clone(),
            });
        }
        if let Some(kill) = on_host {
            self.effects.push(Effect::EndOnHost {
                host: lease.host,
                lease: id,
                kill,
                reason: problem.detail.clone(),
            });
        }
    }

    /// Leases that a Host says have ended by themselves.
    pub fn on_leases_ended(&mut self, host: NodeId, leases: &[LeaseId], now: Instant) {
        let problem = Problem::new(Code::LeaseEnded, "The Host has ended the lease.");
        for id in leases {
            if self.leases.get(*id).is_some_and(|lease| lease.host == host) {
                self.end_lease(*id, &problem, None, now);
            }
        }
        self.dispatch(now);
    }
}

/// Whether a Host has started anew since it gave slots; unknown: taken as not.
pub(super) fn is_of_another_start(
    given: Option<Incarnation>,
    present: Option<Incarnation>,
) -> bool {
    given.zip(present).is_some_and(|(given, is)| given != is)
}

/// Whether something was begun before a cut.
pub(super) fn is_cut(begun: Epochs, present: Epochs) -> bool {
    begun.element < present.element
        || begun.host < present.host
        || begun.application < present.application
}
