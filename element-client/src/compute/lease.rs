//! Leases in force: slots of one Host for one person, application and client.
//!
//! Invariants: a lease's slots are counted on its Host and its person from the
//! moment it stands in the table until it is taken out; every lease without a
//! session has a time at which it ends; a lease that ended is remembered for a
//! while, so that a Host that still tells of it is not believed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use gridmart_fabric::ticket::{LeaseClaims, LeaseCut, TicketApplication, Times};
use gridmart_schemas::{
    id::{CallId, Digest, Incarnation, JobId, KeyHash, LeaseId, NodeId, PersonName, RequestId},
    problem::{Code, Problem},
};

use super::queue::entry::{EntryKey, Epochs, SessionId};

/// How long an ended lease is remembered.
const ENDED_MEMORY: Duration = Duration::from_mins(10);
/// After so long a Host that still tells of an ended lease is told once more.
const TOLD_AFTER: Duration = Duration::from_secs(10);
/// How many ended leases are remembered.
const ENDED_MAX: usize = 100_000;

/// Where a lease stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its application is on the way to the Host; the client knows nothing.
    Staging,
    /// The client has it.
    Active,
    /// The client was asked to give it back.
    Recalled {
        /// When.
        since: Instant,
        /// The Host was told to take no new calls under it.
        enforced: bool,
    },
}

/// One lease.
#[derive(Clone, Debug)]
pub struct LeaseState {
    /// Which.
    pub id: LeaseId,
    /// On which Host.
    pub host: NodeId,
    /// Whose.
    pub person: PersonName,
    /// The client's key; absent if only the Host has told of the lease yet.
    pub presenter: Option<KeyHash>,
    /// What may be called.
    pub digest: Digest,
    /// `AppName`.
    pub application: String,
    /// `AppVersion`.
    pub version: String,
    /// How many slots.
    pub slots: u32,
    /// For which map.
    pub job: Option<JobId>,
    /// Epochs under which it was granted.
    pub cut: Epochs,
    /// The Host's start under which it was granted.
    pub incarnation: Option<Incarnation>,
    /// The request behind it.
    pub request: Option<RequestId>,
    /// The client's stream; absent while it is lost.
    pub session: Option<SessionId>,
    /// For which entry, while it stages.
    pub entry: Option<EntryKey>,
    /// Where it stands.
    pub stage: Stage,
    /// Since when.
    pub granted: Instant,
    /// Without a session: when it ends.
    pub orphan_until: Option<Instant>,
    /// Whether the Host has a client attached to it, as last heard.
    pub attached: bool,
    /// Calls under it, as last heard.
    pub running: Vec<CallId>,
}

impl LeaseState {
    /// What a ticket for it says.
    pub fn claims(&self, issuer: NodeId, presenter: KeyHash, times: Times) -> LeaseClaims {
        LeaseClaims {
            iss: issuer,
            sub: self.person.clone(),
            aud: self.host,
            presenter,
            lease: self.id,
            slots: self.slots,
            application: TicketApplication {
                digest: self.digest.clone(),
                name: self.application.clone(),
                version: self.version.clone(),
            },
            cut: LeaseCut {
                element: self.cut.element,
                host: self.cut.host,
                application: self.cut.application,
            },
            incarnation: self.incarnation,
            job: self.job,
            nbf: times.nbf,
            iat: times.iat,
            exp: times.exp,
        }
    }

    /// Who would notice if it came back: leases of one group are handed from
    /// call to call by the client itself.
    pub(crate) fn is_of(&self, person: &PersonName, session: SessionId, digest: &Digest) -> bool {
        self.person == *person && self.session == Some(session) && self.digest == *digest
    }

    /// Whether the client was asked to give it back.
    pub fn is_recalled(&self) -> bool {
        matches!(self.stage, Stage::Recalled { .. })
    }
}

/// All leases in force.
#[derive(Debug, Default)]
pub struct LeaseTable {
    leases: BTreeMap<LeaseId, LeaseState>,
    by_host: BTreeMap<NodeId, BTreeSet<LeaseId>>,
    by_person: BTreeMap<PersonName, BTreeSet<LeaseId>>,
    by_session: BTreeMap<SessionId, BTreeSet<LeaseId>>,
    ended: BTreeMap<LeaseId, Instant>,
}

impl LeaseTable {
    /// Puts a lease in force.
    pub fn insert(&mut self, lease: LeaseState) {
        self.by_host.entry(lease.host).or_default().insert(lease.id);
        self.by_person
            .entry(lease.person.clone())
            .or_default()
            .insert(lease.id);
        if let Some(session) = lease.session {
            self.by_session.entry(session).or_default().insert(lease.id);
        }
        self.leases.insert(lease.id, lease);
    }

    /// Takes a lease out, and remembers that it ended.
    pub fn remove(&mut self, id: LeaseId, now: Instant) -> Option<LeaseState> {
        let lease = self.leases.remove(&id)?;
        unindex(&mut self.by_host, &lease.host, id);
        unindex(&mut self.by_person, &lease.person, id);
        if let Some(session) = lease.session {
            unindex(&mut self.by_session, &session, id);
        }
        if self.ended.len() < ENDED_MAX {
            self.ended.insert(id, now);
        }
        Some(lease)
    }

    /// Ties a lease to a client's stream, or to none.
    pub fn tie(&mut self, id: LeaseId, session: Option<SessionId>) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        if let Some(old) = lease.session {
            unindex(&mut self.by_session, &old, id);
        }
        lease.session = session;
        if let Some(session) = session {
            self.by_session.entry(session).or_default().insert(id);
        }
    }

    /// Gives a lease.
    pub fn get(&self, id: LeaseId) -> Option<&LeaseState> {
        self.leases.get(&id)
    }

    /// Gives a lease, to change what is not indexed.
    pub(crate) fn get_mut(&mut self, id: LeaseId) -> Option<&mut LeaseState> {
        self.leases.get_mut(&id)
    }

    /// All leases.
    pub fn iter(&self) -> impl Iterator<Item = &LeaseState> {
        self.leases.values()
    }

    /// Leases on a Host.
    pub fn of_host(&self, host: NodeId) -> Vec<LeaseId> {
        listed(&self.by_host, &host)
    }

    /// Leases of a person.
    pub fn of_person(&self, person: &PersonName) -> impl Iterator<Item = &LeaseState> {
        self.by_person
            .get(person)
            .into_iter()
            .flatten()
            .filter_map(|id| self.leases.get(id))
    }

    /// Leases of a client.
    pub fn of_session(&self, session: SessionId) -> Vec<LeaseId> {
        listed(&self.by_session, &session)
    }

    /// Whether the lease was in force and is over.
    pub fn has_ended(&self, id: LeaseId) -> bool {
        self.ended.contains_key(&id)
    }

    /// Whether the lease was over so long ago that its Host has been told.
    pub(crate) fn has_ended_before(&self, id: LeaseId, now: Instant) -> bool {
        let at = self.ended.get(&id);
        at.is_some_and(|at| now.saturating_duration_since(*at) >= TOLD_AFTER)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// Forgets what ended long ago.
    pub fn on_tick(&mut self, now: Instant) {
        self.ended
            .retain(|_, at| now.saturating_duration_since(*at) < ENDED_MEMORY);
    }
}

fn unindex<K: Ord>(index: &mut BTreeMap<K, BTreeSet<LeaseId>>, key: &K, id: LeaseId) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

fn listed<K: Ord>(index: &BTreeMap<K, BTreeSet<LeaseId>>, key: &K) -> Vec<LeaseId> {
    index
        .get(key)
        .map(|ids| ids.iter().copied().collect())
        .unwrap_or_default()
}

/// What a client brings along to prove a lease it held.
#[derive(Clone, Debug)]
pub struct ProvenLease {
    /// Which lease.
    pub id: LeaseId,
    /// On which Host.
    pub host: NodeId,
    /// Whose.
    pub person: PersonName,
    /// The key that opened the stream, and that the ticket names.
    pub presenter: KeyHash,
    /// What may be called.
    pub digest: Digest,
    /// `AppName`.
    pub application: String,
    /// `AppVersion`.
    pub version: String,
    /// How many slots.
    pub slots: u32,
    /// For which map.
    pub job: Option<JobId>,
    /// Epochs under which it was granted.
    pub cut: Epochs,
    /// The Host's start under which it was granted, where the ticket says it.
    pub incarnation: Option<Incarnation>,
}

impl ProvenLease {
    /// The lease as it is in force again.
    pub(crate) fn adopt(self, session: SessionId, now: Instant) -> LeaseState {
        LeaseState {
            id: self.id,
            host: self.host,
            person: self.person,
            presenter: Some(self.presenter),
            digest: self.digest,
            application: self.application,
            version: self.version,
            slots: self.slots,
            job: self.job,
            cut: self.cut,
            incarnation: self.incarnation,
            request: None,
            session: Some(session),
            entry: None,
            stage: Stage::Active,
            granted: now,
            orphan_until: None,
            attached: false,
            running: Vec::new(),
        }
    }
}

/// Judges a lease that a client brings along with its ticket, as verified. One
/// whose ticket has run out while the Element was away is believed if the
/// Element remembers that very lease and key.
pub fn prove(
    id: LeaseId,
    verified: Result<LeaseClaims, Problem>,
    known: Option<&LeaseState>,
    presenter: &KeyHash,
) -> Option<ProvenLease> {
    match verified {
        Ok(claims) => (claims.lease == id).then(|| proven(claims)),
        Err(problem) if problem.code == Code::TicketExpired => known
            .filter(|known| known.presenter.as_ref() == Some(presenter))
            .map(|known| remembered(known, presenter)),
        Err(_) => None,
    }
}

fn proven(claims: LeaseClaims) -> ProvenLease {
    ProvenLease {
        id: claims.lease,
        host: claims.aud,
        person: claims.sub,
        presenter: claims.presenter,
        digest: claims.application.digest,
        application: claims.application.name,
        version: claims.application.version,
        slots: claims.slots,
        job: claims.job,
        cut: Epochs {
            element: claims.cut.element,
            host: claims.cut.host,
            application: claims.cut.application,
        },
        incarnation: claims.incarnation,
    }
}

fn remembered(lease: &LeaseState, presenter: &KeyHash) -> ProvenLease {
    ProvenLease {
        id: lease.id,
        host: lease.host,
        person: lease.person.clone(),
        presenter: presenter.clone(),
        digest: lease.digest.clone(),
        application: lease.application.clone(),
        version: lease.version.clone(),
        slots: lease.slots,
        job: lease.job,
        cut: lease.cut,
        incarnation: lease.incarnation,
    }
}
