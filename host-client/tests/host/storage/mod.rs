//! A storage Host on a real disk, between a simulated Element and programs.

mod blocks;
mod care;
mod ledger;
mod tickets;

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use gridmart_fabric::{
    block::{BlockClient, ClientLimits, EncodedBlock, StripeIdentity, build_stripe},
    identity::{EphemeralKey, NodeIdentity},
    ticket::{BlockClaims, BlockCut, BlockOperation, Times},
    tls::ClientTls,
};
use gridmart_host::storage::Config;
use gridmart_schemas::{
    id::{BlockId, BucketId, KeyHash, NodeId, StripeId, VersionId},
    problem::{Code, Problem},
    resource::{
        any::{AnyHost, AnyHostState},
        host::{StorageHost, StorageHostPolicy, StorageHostState},
    },
    role::NodeKind,
    storage::Redundancy,
    wire::block::{BlockRead, BlockStored, BlocksStored},
};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::simulation::{Host, element::Element, wait_for, within};

/// An Element, and its storage Host, which has joined.
struct Pool {
    element: Arc<Element>,
    host: Host,
    place: TempDir,
    policy: StorageHostPolicy,
}

/// A program, with a key that it made for itself.
struct Program {
    key: EphemeralKey,
    client: BlockClient,
}

async fn pool() -> Pool {
    pool_with(StorageHostPolicy::default()).await
}

async fn pool_with(policy: StorageHostPolicy) -> Pool {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("element");
    let element = Element::open_as(NodeKind::StorageElement, &folder).await;
    let host = start(&place, &element, &policy).await;
    Pool {
        element,
        host,
        place,
        policy,
    }
}

async fn start(place: &TempDir, element: &Element, policy: &StorageHostPolicy) -> Host {
    let config = Config {
        bucket: None,
        scrub_time: None,
        member: Host::member_config(&place.path().join("host"), &element.address()),
        policy: policy.clone(),
        failure_labels: vec!["rack=r1".parse().unwrap()],
    };
    let told = element.told.lock().changes.len();
    let host = Host::start_storage(config, element).await;
    // What it tells after its hello shows that it has read the welcome.
    wait_for("that it is welcomed", || {
        let changes = element.told.lock().changes.len();
        (changes > told).then_some(()).ok_or(changes)
    })
    .await;
    host
}

impl Pool {
    fn folder(&self) -> PathBuf {
        self.place.path().join("host")
    }

    /// Ends the Host and starts it again, on the same folder.
    async fn restarted(self) -> Self {
        self.host.stop().await;
        let host = start(&self.place, &self.element, &self.policy).await;
        Self { host, ..self }
    }

    fn client(&self, tls: ClientTls) -> BlockClient {
        let expected = (self.host.id, NodeKind::StorageHost);
        let limits = ClientLimits::default();
        BlockClient::new(vec![self.host.door.clone()], expected, tls, limits)
    }

    /// What the Element reaches blocks by.
    fn own(&self) -> BlockClient {
        self.client(self.element.tls())
    }

    fn program(&self) -> Program {
        let key = EphemeralKey::generate().unwrap();
        let tls = ClientTls::ephemeral(&self.element.root_pem(), &key).unwrap();
        let client = self.client(tls);
        Program { key, client }
    }

    /// What a ticket would say, to be changed before it is signed.
    fn claims(
        &self,
        presenter: &KeyHash,
        version: VersionId,
        operation: BlockOperation,
    ) -> BlockClaims {
        let times = Times::starting(OffsetDateTime::now_utc(), Duration::from_mins(5));
        let desired = self.element.desired.lock();
        BlockClaims {
            iss: self.element.identity.current().node(),
            sub: "ada".parse().unwrap(),
            aud: self.host.id,
            presenter: presenter.clone(),
            version,
            transfer: None,
            operation,
            bytes: 1 << 30,
            cut: BlockCut {
                element: desired.element_cut_epoch,
                host: desired.wish.cut_epoch,
            },
            nbf: times.nbf,
            iat: times.iat,
            exp: times.exp,
            jti: NodeId::generate().to_string().parse().unwrap(),
        }
    }

    fn sign(&self, claims: &BlockClaims) -> String {
        let key = self.element.identity.current().signing_key();
        key.sign_block(claims).unwrap()
    }

    fn ticket(&self, program: &Program, version: VersionId, operation: BlockOperation) -> String {
        self.sign(&self.claims(program.key.key_hash(), version, operation))
    }

    /// The last heartbeat that meets a condition.
    async fn state(
        &self,
        what: &str,
        meets: impl Fn(&StorageHostState) -> bool,
    ) -> StorageHostState {
        wait_for(what, || {
            let told = self.element.told.lock();
            let last = told.heartbeats.last().map(|beat| beat.state.clone());
            match last {
                Some(AnyHostState::Storage(state)) if meets(&state) => Ok(state),
                seen => Err(Box::new(seen)),
            }
        })
        .await
    }

    fn described(&self) -> StorageHost {
        let told = self.element.told.lock();
        match told.hellos.last().unwrap().host.clone() {
            AnyHost::Storage(host) => host,
            other => panic!("a storage Host says that it is a {}", other.kind()),
        }
    }

    fn host_identity(&self) -> NodeIdentity {
        NodeIdentity::load(&self.folder()).unwrap().unwrap()
    }
}

/// Copies of some bytes, as blocks of one stripe of an object version.
fn blocks_of(version: VersionId, copies: u8, bytes: usize) -> Vec<EncodedBlock> {
    let data: Bytes = (0..=250).cycle().take(bytes).collect::<Vec<u8>>().into();
    let identity = StripeIdentity {
        redundancy: Redundancy::replica(copies).unwrap(),
        bucket: BucketId::generate(),
        version,
        stripe: StripeId::generate(),
        ordinal: 0,
        stripe_bytes: bytes as u64,
        epoch: 1,
    };
    build_stripe(identity, &data).unwrap()
}

fn id(block: &EncodedBlock) -> BlockId {
    block.prefix().header().id()
}

fn whole(block: &EncodedBlock) -> BlockRead {
    let chunks = block.prefix().header().chunks();
    BlockRead {
        id: id(block),
        first_chunk: 0,
        chunks: u32::try_from(chunks).unwrap(),
    }
}

/// Header, table and payload, as they travel.
fn encoded(block: &EncodedBlock) -> Vec<u8> {
    [&block.prefix().bytes()[..], block.payload()].concat()
}

fn codes(stored: &BlocksStored) -> Vec<Option<Code>> {
    let code = |stored: &BlockStored| match stored {
        BlockStored::Stored { .. } => None,
        BlockStored::Refused { problem, .. } => Some(problem.code),
    };
    stored.blocks.iter().map(code).collect()
}

/// What comes for each read.
async fn answers(
    client: &BlockClient,
    ticket: Option<&str>,
    reads: Vec<BlockRead>,
) -> Result<Vec<Result<Bytes, Code>>, Problem> {
    let mut coming = within("an answer", client.read(ticket, reads)).await?;
    let mut all = Vec::new();
    while let Some((_, answer)) = within("a block", coming.next()).await {
        all.push(answer.map_err(|problem| problem.code));
    }
    Ok(all)
}
