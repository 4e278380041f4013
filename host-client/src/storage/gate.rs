//! Who may do what at the door: the Host's own Element by its certificate,
//! programs by a block ticket of that Element; and how many at a time.

use std::{sync::Arc, time::Duration};

use gridmart_fabric::{
    door::{Request, ticket_shown},
    identity::PeerIdentity,
    ticket::{BlockClaims, BlockOperation},
};
use gridmart_schemas::{
    id::{BlockId, VersionId},
    problem::{Code, Problem},
};
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    allowance::Allowance,
    transfers::{Transfer, Transfers},
};
use crate::member::Member;

/// Requests of programs that are served at a time. What one holds in memory is
/// stated where it is served: 16 MiB for a put, 8 MiB for a read.
const PROGRAM_PUTS_MAX: usize = 12;
const PROGRAM_READS_MAX: usize = 24;
/// The same of the own Element, which programs cannot keep out.
const ELEMENT_PUTS_MAX: usize = 4;
const ELEMENT_READS_MAX: usize = 8;
/// Who comes beyond that waits for so long.
const PLACE_TIME_MAX: Duration = Duration::from_secs(10);

/// Who asks for blocks, and the place that is kept while it is served.
pub(super) struct Visit {
    visitor: Visitor,
    _place: OwnedSemaphorePermit,
}

enum Visitor {
    Element,
    Program(Box<Pass>),
}

/// What lets a program in.
struct Pass {
    claims: BlockClaims,
    transfer: Transfer,
    allowance: Arc<Mutex<Allowance>>,
}

/// Places for requests of one sort.
struct Places {
    programs: Arc<Semaphore>,
    element: Arc<Semaphore>,
}

impl Places {
    fn new(programs: usize, element: usize) -> Self {
        Self {
            programs: Arc::new(Semaphore::new(programs)),
            element: Arc::new(Semaphore::new(element)),
        }
    }

    async fn take(&self, visitor: &Visitor) -> Result<OwnedSemaphorePermit, Problem> {
        let places = match visitor {
            Visitor::Element => &self.element,
            Visitor::Program(_) => &self.programs,
        };
        let place = timeout(PLACE_TIME_MAX, Arc::clone(places).acquire_owned()).await;
        // Nobody closes the semaphores.
        place.ok().and_then(Result::ok).ok_or_else(|| {
            Problem::new(
                Code::Busy,
                "The Host serves as many requests for blocks as it can at a time.",
            )
        })
    }
}

/// See the module.
pub(super) struct Gate {
    member: Arc<Member>,
    pub(super) transfers: Arc<Transfers>,
    allowance: Arc<Mutex<Allowance>>,
    puts: Places,
    reads: Places,
}

impl Gate {
    /// `streams_max`: requests of one program at a time.
    pub(super) fn new(member: Arc<Member>, streams_max: Option<u32>) -> Self {
        Self {
            member,
            transfers: Transfers::new(streams_max),
            allowance: Arc::default(),
            puts: Places::new(PROGRAM_PUTS_MAX, ELEMENT_PUTS_MAX),
            reads: Places::new(PROGRAM_READS_MAX, ELEMENT_READS_MAX),
        }
    }

    fn is_own_element(&self, peer: &PeerIdentity) -> bool {
        let (element, kind) = self.member.element.1;
        let node = peer.node.as_ref();
        node.is_some_and(|node| node.id == element && node.kind == kind)
    }

    /// Lets the own Element in, and nobody else.
    pub(super) fn require_element(&self, peer: &PeerIdentity) -> Result<(), Problem> {
        if self.is_own_element(peer) {
            return Ok(());
        }
        peer.require_any_node()?;
        Err(Problem::new(
            Code::NotAuthorized,
            "This is for the Host's own Element only.",
        ))
    }

    /// Lets in who may do this with some blocks; waits for a place.
    pub(super) async fn enter(
        &self,
        peer: &PeerIdentity,
        request: &Request,
        operation: BlockOperation,
    ) -> Result<Visit, Problem> {
        let visitor = if self.is_own_element(peer) {
            Visitor::Element
        } else {
            Visitor::Program(Box::new(self.pass(peer, request, operation)?))
        };
        let places = match operation {
            BlockOperation::Put => &self.puts,
            BlockOperation::Get => &self.reads,
        };
        Ok(Visit {
            _place: places.take(&visitor).await?,
            visitor,
        })
    }

    fn pass(
        &self,
        peer: &PeerIdentity,
        request: &Request,
        operation: BlockOperation,
    ) -> Result<Pass, Problem> {
        let (ticket, key) = (ticket_shown(request)?, peer.require_key()?);
        let member = &self.member;
        let claims = member
            .trust
            .judge(|keys, now| keys.verify_block(ticket, member.node, key, now))?;
        claims.permit_operation(operation)?;
        let desired = || member.commands.desired();
        let ticket = (claims.cut, claims.transfer);
        let transfer = self.transfers.begin(ticket, key, desired)?;
        Ok(Pass {
            claims,
            transfer,
            allowance: Arc::clone(&self.allowance),
        })
    }
}

impl Visit {
    /// Whether this may be done with a block whose header names `version`, of
    /// which `bytes` of payload are written or read.
    pub(super) fn permit(
        &self,
        operation: BlockOperation,
        block: BlockId,
        version: VersionId,
        bytes: usize,
    ) -> Result<(), Problem> {
        let Visitor::Program(pass) = &self.visitor else {
            return Ok(());
        };
        pass.claims.permit(operation, block, version)?;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let mut allowance = pass.allowance.lock();
        allowance.spend(&pass.claims, bytes as u64, now)
    }

    /// Does the work of the visit, unless a kill ends it.
    pub(super) async fn run<T>(
        &self,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        match &self.visitor {
            Visitor::Element => work.await,
            Visitor::Program(pass) => pass.transfer.run(work).await,
        }
    }

    /// What a receipt is given for; the own Element needs none.
    pub(super) fn receipt_for(&self) -> Option<&BlockClaims> {
        match &self.visitor {
            Visitor::Element => None,
            Visitor::Program(pass) => Some(&pass.claims),
        }
    }
}
