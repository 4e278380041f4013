//! The leases of a Host, without I/O: which may begin, and which are over.
//!
//! Invariants: a ticket outlives its lease, and never begins it anew; nothing
//! begins under epochs that a kill has passed, or of another start of the Host,
//! whose Element has called its leases over; a lease has one person, one key
//! and one application.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use gridmart_fabric::ticket::{LEEWAY, LIFE_MAX, LeaseClaims, LeaseCut};
use gridmart_schemas::{
    id::{Incarnation, LeaseId},
    problem::{Code, Problem},
};

use crate::member::orders::is_cut;

/// A ticket is of no use after this, whoever made it and whenever.
const TICKET_MEMORY: Duration = LIFE_MAX.saturating_add(LEEWAY).saturating_add(LEEWAY);

/// A lease, as far as the roll has to know it.
pub trait Tenant: Clone {
    /// What its ticket says.
    fn claims(&self) -> &LeaseClaims;
    /// Whether all that it had to do is done.
    fn is_idle(&self) -> bool;
}

/// What is told of a lease that its Element has ended.
pub fn ended(reason: &str) -> Problem {
    Problem::new(Code::LeaseEnded, format!("The lease was ended: {reason}."))
}

/// What the end of a lease means.
#[derive(Clone, Debug)]
pub enum End<T> {
    /// It is over now: what runs under it is ended.
    Over(T, Problem),
    /// It takes no new calls, and is over when it has nothing left to do.
    Closing(T, Problem),
    /// It never began here, and does not any more.
    Unknown,
}

/// All leases in force, and those that were ended lately.
#[derive(Debug)]
pub struct Roll<T> {
    /// This start of the Host.
    incarnation: Incarnation,
    present: BTreeMap<LeaseId, T>,
    over: BTreeMap<LeaseId, (Instant, Problem)>,
}

impl<T: Tenant> Roll<T> {
    /// An empty one, of this start of the Host.
    pub const fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            present: BTreeMap::new(),
            over: BTreeMap::new(),
        }
    }

    /// Judges the claims of a verified ticket under the epochs in force. Gives
    /// the lease if it is present; `None`: it may begin. A ticket that does not
    /// name a start of the Host is taken as one of this start.
    pub fn judge(&self, claims: &LeaseClaims, in_force: LeaseCut) -> Result<Option<T>, Problem> {
        if is_cut(claims.cut, in_force) {
            return Err(Problem::new(
                Code::TicketCut,
                "The Host, its Element or the application was killed since.",
            ));
        }
        if claims.incarnation.is_some_and(|of| of != self.incarnation) {
            return Err(Problem::new(
                Code::HostRestarted,
                "The Host has started anew since the lease was granted.",
            ));
        }
        if let Some((_, problem)) = self.over.get(&claims.lease) {
            return Err(problem.clone());
        }
        let Some(tenant) = self.present.get(&claims.lease) else {
            return Ok(None);
        };
        let known = tenant.claims();
        let is_same = known.sub == claims.sub
            && known.presenter == claims.presenter
            && known.application.digest == claims.application.digest;
        if is_same {
            Ok(Some(tenant.clone()))
        } else {
            Err(Problem::new(
                Code::TicketForeign,
                "The lease belongs to somebody else.",
            ))
        }
    }

    /// A lease begins.
    pub fn on_begun(&mut self, tenant: T) {
        self.present.insert(tenant.claims().lease, tenant);
    }

    /// Finds a lease that is present.
    pub fn get(&self, id: LeaseId) -> Option<&T> {
        self.present.get(&id)
    }

    /// The Element ends a lease; without `kill` its calls may finish.
    pub fn end(&mut self, id: LeaseId, kill: bool, reason: &str, now: Instant) -> End<T> {
        let problem = ended(reason);
        match self.present.get(&id).cloned() {
            // Its ticket may be on its way: it begins nothing any more.
            None => {
                self.over.insert(id, (now, problem));
                End::Unknown
            }
            Some(tenant) if kill || tenant.is_idle() => {
                self.on_over(id, problem.clone(), now);
                End::Over(tenant, problem)
            }
            Some(tenant) => End::Closing(tenant, problem),
        }
    }

    /// A lease is over.
    pub fn on_over(&mut self, id: LeaseId, problem: Problem, now: Instant) {
        self.present.remove(&id);
        self.over.insert(id, (now, problem));
    }

    /// Leases that a kill has passed, by the epochs in force for each.
    pub fn cut(&self, in_force: impl Fn(&LeaseClaims) -> LeaseCut) -> Vec<T> {
        self.present
            .values()
            .filter(|tenant| is_cut(tenant.claims().cut, in_force(tenant.claims())))
            .cloned()
            .collect()
    }

    /// Forgets leases whose tickets have run out as well.
    pub fn forget(&mut self, now: Instant) {
        self.over
            .retain(|_, (since, _)| now.saturating_duration_since(*since) < TICKET_MEMORY);
    }

    /// All leases in force.
    pub fn present(&self) -> impl Iterator<Item = &T> {
        self.present.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.present.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use gridmart_fabric::ticket::TicketApplication;
    use gridmart_schemas::id::{Digest, NodeId};

    use super::*;

    #[derive(Clone, Debug)]
    struct Held(LeaseClaims);

    impl Tenant for Held {
        fn claims(&self) -> &LeaseClaims {
            &self.0
        }

        fn is_idle(&self) -> bool {
            true
        }
    }

    fn claims(incarnation: Option<Incarnation>) -> LeaseClaims {
        LeaseClaims {
            iss: NodeId::generate(),
            sub: "ada".parse().unwrap(),
            aud: NodeId::generate(),
            presenter: "0".repeat(64).parse().unwrap(),
            lease: LeaseId::generate(),
            slots: 1,
            application: TicketApplication {
                digest: Digest::from_blake3([7; 32]),
                name: "spf".to_owned(),
                version: "1".to_owned(),
            },
            cut: LeaseCut::default(),
            incarnation,
            job: None,
            nbf: 0,
            iat: 0,
            exp: 300,
        }
    }

    #[test]
    fn nothing_begins_under_a_ticket_of_another_start() {
        let start = Incarnation::generate();
        let mut roll: Roll<Held> = Roll::new(start);
        let judged = |roll: &Roll<Held>, claims: &LeaseClaims| {
            let judged = roll.judge(claims, LeaseCut::default());
            judged.map(|held| held.is_some()).map_err(|e| e.code)
        };
        let older = claims(Some(Incarnation::generate()));
        assert_eq!(judged(&roll, &older), Err(Code::HostRestarted));
        for taken in [claims(Some(start)), claims(None)] {
            assert_eq!(judged(&roll, &taken), Ok(false), "it may begin");
            roll.on_begun(Held(taken.clone()));
            assert_eq!(judged(&roll, &taken), Ok(true), "it goes on");
        }
    }
}
