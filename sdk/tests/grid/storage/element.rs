//! A Storage Element: knows objects, and where their blocks are. It believes
//! what Hosts have signed, and panics when the SDK claims what is not so.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    block::stripe_redundancy,
    door::{Request, Response, Service, problem_response, upgrade},
    identity::PeerIdentity,
    socket::SocketLimits,
    stream::{Handler, Incoming, Peer, StreamLimits, reply, run_stream},
};
use gridmart_sdk::schemas::{
    api::{access::ElementAccess, bucket::BucketAccess},
    id::{BlockId, BucketId, NodeId, StripeId, UploadId, VersionId},
    problem::{Code, Problem},
    role::NodeKind,
    storage::Redundancy,
    wire::{Done, Request as _, storage::*},
};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::host::{Receipt, Shelf};
use crate::nodes::Site;

pub(crate) struct Element {
    id: NodeId,
    address: Mutex<Option<SocketAddr>>,
    pub(crate) access: BucketAccess,
    pub(crate) hosts: Vec<Arc<Shelf>>,
    pub(crate) state: Mutex<State>,
    /// Tickets of buckets with a smaller number serve no more.
    pub(crate) tickets_from: AtomicU64,
    /// Numbers block tickets.
    pub(crate) tickets: AtomicU64,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<String, Vec<Version>>,
    pub(crate) uploads: HashMap<UploadId, Upload>,
    pub(crate) faults: Vec<BlockFault>,
    /// How often each was asked.
    pub(crate) asked: BTreeMap<String, u32>,
    /// Streams are cut before these kinds are answered, once each; the bool:
    /// after they were done.
    pub(crate) cut_at: BTreeMap<String, bool>,
    /// Parts with a greater number are refused.
    pub(crate) parts_until: Option<u16>,
    peers: Vec<Peer>,
}

#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) view: ObjectView,
    pub(crate) stripes: Vec<StripeManifest>,
}

pub(crate) struct Upload {
    key: String,
    head: ObjectHeaders,
    version: VersionId,
    pub(crate) parts: BTreeMap<u16, (String, Vec<StripeManifest>)>,
}

/// One stream: the number of the ticket that it was opened with.
struct Stream {
    element: Arc<Element>,
    ticket: Mutex<Option<(u64, bool)>>,
}

impl Element {
    pub(crate) async fn start(
        site: &Site,
        hosts: Vec<Arc<Shelf>>,
        redundancy: Redundancy,
    ) -> Arc<Self> {
        let element = Arc::new(Self {
            id: NodeId::generate(),
            address: Mutex::default(),
            access: BucketAccess {
                id: BucketId::generate(),
                name: "photos".parse().unwrap(),
                redundancy,
            },
            hosts,
            state: Mutex::default(),
            tickets_from: AtomicU64::new(0),
            tickets: AtomicU64::new(0),
        });
        let service = Arc::new(Door(Arc::clone(&element)));
        let stop = CancellationToken::new();
        let kind = NodeKind::StorageElement;
        let address = site
            .door(element.id, kind, "127.0.0.1:0", service, stop)
            .await;
        *element.address.lock() = Some(address);
        element
    }

    pub(crate) fn way(&self) -> ElementAccess {
        ElementAccess {
            element: self.id,
            name: "element".to_owned(),
            endpoints: self
                .address
                .lock()
                .iter()
                .map(ToString::to_string)
                .collect(),
            ticket: String::new(),
        }
    }

    pub(crate) fn asked(&self, kind: &str) -> u32 {
        self.state
            .lock()
            .asked
            .get(kind)
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn cut_at(&self, kind: &str, done: bool) {
        self.state.lock().cut_at.insert(kind.to_owned(), done);
    }

    pub(crate) fn cut(&self) {
        for peer in self.state.lock().peers.drain(..) {
            peer.close();
        }
    }

    /// All block tickets until now serve no more.
    pub(crate) fn end_block_tickets(&self) {
        let from = self.tickets.load(Ordering::SeqCst) + 1;
        for host in &self.hosts {
            host.tickets_from.store(from, Ordering::SeqCst);
        }
    }

    fn doors(
        &self,
        operation: &str,
        version: VersionId,
        hosts: impl IntoIterator<Item = NodeId>,
    ) -> BTreeMap<NodeId, HostDoor> {
        let number = self.tickets.fetch_add(1, Ordering::SeqCst) + 1;
        let known = |id| self.hosts.iter().find(|host| host.id == id).unwrap();
        hosts
            .into_iter()
            .map(|id| (id, known(id).way(operation, version, number)))
            .collect()
    }

    fn allocate(&self, wanted: &StripesAllocate) -> Result<StripesAllocated, Problem> {
        assert!(!wanted.stripes.is_empty() && wanted.stripes.len() <= STRIPES_MAX);
        let version = wanted.version.unwrap_or_else(VersionId::generate);
        let mut stripes = Vec::new();
        for (turn, bytes) in wanted.stripes.iter().enumerate() {
            let redundancy = stripe_redundancy(self.access.redundancy, *bytes);
            let mut ids: Vec<NodeId> = self.hosts.iter().map(|host| host.id).collect();
            let length = ids.len();
            ids.rotate_left(turn % length);
            ids.truncate(redundancy.blocks().into());
            if ids.len() < usize::from(redundancy.blocks()) {
                return Err(Problem::new(Code::StorageDegraded, "Too few Hosts."));
            }
            stripes.push(StripePlan {
                stripe: StripeId::generate(),
                redundancy,
                hosts: ids,
                least: None,
            });
        }
        let named: HashSet<NodeId> = stripes.iter().flat_map(|plan| plan.hosts.clone()).collect();
        Ok(StripesAllocated {
            version,
            epoch: 1,
            hosts: self.doors("put", version, named),
            stripes,
            transfer: None,
        })
    }

    fn replace(&self, wanted: &BlockReplace) -> Result<BlockReplaced, Problem> {
        let free = self.hosts.iter().find(|host| {
            !wanted.used.contains(&host.id) && host.is_up() && !host.full.load(Ordering::SeqCst)
        });
        let host = free
            .ok_or_else(|| Problem::new(Code::StorageDegraded, "No other Host."))?
            .id;
        let mut doors = self.doors("put", wanted.version, [host]);
        let door = doors.remove(&host).unwrap();
        Ok(BlockReplaced { host, door })
    }

    /// Believes a manifest that the receipts, and the Hosts, confirm.
    fn check(&self, commit: &ObjectCommit) {
        assert!(commit.stripes.len() <= STRIPES_MAX);
        let read = |text: &String| serde_json::from_str::<Receipt>(text).unwrap();
        let receipts: Vec<Receipt> = commit.receipts.iter().map(read).collect();
        for stripe in &commit.stripes {
            let hosts: HashSet<NodeId> = stripe.blocks.iter().map(|block| block.host).collect();
            assert_eq!(hosts.len(), usize::from(stripe.redundancy.blocks()));
            let policy = self.access.redundancy;
            assert_eq!(
                stripe.redundancy,
                stripe_redundancy(policy, stripe.data_length)
            );
            for block in &stripe.blocks {
                let (stripe, position) = (stripe.stripe, block.position);
                let id = BlockId { stripe, position };
                let signed = receipts.iter().any(|receipt| {
                    (receipt.host, receipt.id) == (block.host, id)
                        && receipt.root == block.root
                        && receipt.version == commit.version
                });
                assert!(signed, "nobody has signed {id}");
                let host = self
                    .hosts
                    .iter()
                    .find(|host| host.id == block.host)
                    .unwrap();
                assert!(host.has(id, &block.root), "{id} is not there");
            }
        }
    }

    fn commit(&self, commit: ObjectCommit) -> Result<ObjectCommitted, Problem> {
        self.check(&commit);
        let ObjectCommit {
            content,
            version,
            stripes,
            ..
        } = commit;
        match content {
            Committed::Object {
                key,
                head,
                condition,
            } => self.show(key, head, &condition, version, stripes),
            Committed::Part { upload, number } => {
                let mut state = self.state.lock();
                let parts_until = state.parts_until;
                let gone = || Problem::new(Code::NotFound, "No such upload.");
                let upload = state.uploads.get_mut(&upload).ok_or_else(gone)?;
                assert_eq!(upload.version, version);
                if parts_until.is_some_and(|until| number > until) {
                    return Err(Problem::new(Code::NotAuthorized, "Not beyond this part."));
                }
                let etag = format!("part-{number}-{}", stripes.len());
                upload.parts.insert(number, (etag.clone(), stripes));
                Ok(ObjectCommitted { version, etag })
            }
        }
    }

    fn show(
        &self,
        key: String,
        head: ObjectHeaders,
        condition: &ObjectCondition,
        version: VersionId,
        stripes: Vec<StripeManifest>,
    ) -> Result<ObjectCommitted, Problem> {
        let mut state = self.state.lock();
        let versions = state.objects.entry(key.clone()).or_default();
        let unmet = Problem::new(Code::PreconditionFailed, "It is not so.");
        let newest = versions.last().map(|last| last.view.etag.clone());
        if condition.if_absent && newest.is_some()
            || condition.if_match.is_some() && condition.if_match != newest
        {
            return Err(unmet);
        }
        assert!(
            versions.iter().all(|known| known.view.version != version),
            "it was shown twice"
        );
        let etag = format!("etag-{version}");
        let view = ObjectView {
            key,
            version,
            size: stripes.iter().map(|stripe| stripe.data_length).sum(),
            etag: etag.clone(),
            modified: OffsetDateTime::now_utc(),
            head,
            blocks_missing: None,
        };
        versions.push(Version { view, stripes });
        Ok(ObjectCommitted { version, etag })
    }

    fn open(&self, open: &ObjectOpen) -> Result<ObjectOpened, Problem> {
        let found = {
            let state = self.state.lock();
            let versions = state.objects.get(&open.key);
            let found = versions.and_then(|versions| match open.version {
                None => versions.last().cloned(),
                Some(id) => versions
                    .iter()
                    .find(|known| known.view.version == id)
                    .cloned(),
            });
            found.ok_or_else(|| Problem::new(Code::NotFound, "There is no such object."))?
        };
        let mut start = 0;
        let mut stripes = Vec::new();
        for manifest in found.stripes {
            let (begin, end) = (start, start + manifest.data_length);
            start = end;
            if end > open.from && stripes.len() < open.stripes.min(2) as usize {
                stripes.push(StripeView {
                    start: begin,
                    manifest,
                });
            }
        }
        let named = stripes.iter().flat_map(|stripe| &stripe.manifest.blocks);
        let named: HashSet<NodeId> = named.map(|block| block.host).collect();
        Ok(ObjectOpened {
            hosts: self.doors("get", found.view.version, named),
            object: found.view,
            stripes,
            transfer: None,
        })
    }

    fn list(&self, wanted: &ObjectList) -> ObjectsListed {
        let state = self.state.lock();
        let mut listed = ObjectsListed::default();
        for (key, versions) in &state.objects {
            let after = wanted.after.as_ref();
            let passed = after.is_some_and(|after| {
                key <= after
                    || wanted.delimiter.is_some()
                        && after.ends_with('/')
                        && key.starts_with(after.as_str())
            });
            let Some(rest) = key.strip_prefix(wanted.prefix.as_str()).filter(|_| !passed) else {
                continue;
            };
            let cut = wanted
                .delimiter
                .as_ref()
                .and_then(|delimiter| rest.find(delimiter.as_str()));
            let line = match cut {
                Some(at) => key[..=wanted.prefix.len() + at].to_owned(),
                None => key.clone(),
            };
            if listed.prefixes.last() == Some(&line) {
                continue;
            }
            // Pages of two lines, so that there are several.
            if listed.objects.len() + listed.prefixes.len() == 2 {
                let last = listed.objects.last().map(|object| object.key.clone());
                listed.next = last.max(listed.prefixes.last().cloned());
                break;
            }
            match (cut, versions.last()) {
                (Some(_), _) => listed.prefixes.push(line),
                (None, Some(last)) => listed.objects.push(last.view.clone()),
                (None, None) => {}
            }
        }
        listed
    }

    fn upload_end(&self, end: &UploadEnd) -> Result<ObjectCommitted, Problem> {
        let gone = || Problem::new(Code::NotFound, "No such upload.");
        let upload = self
            .state
            .lock()
            .uploads
            .remove(&end.upload)
            .ok_or_else(gone)?;
        let Upload {
            key,
            head,
            version,
            parts,
        } = upload;
        let named: Vec<(u16, String)> = parts
            .iter()
            .map(|(number, (etag, _))| (*number, etag.clone()))
            .collect();
        assert_eq!(named, end.parts);
        let stripes = parts
            .into_values()
            .flat_map(|(_, stripes)| stripes)
            .collect();
        self.show(key, head, &end.condition, version, stripes)
    }

    fn answer(&self, incoming: &Incoming) -> Result<Box<RawValue>, Problem> {
        let gone = || Problem::new(Code::NotFound, "No such upload.");
        match incoming.kind.as_str() {
            StripesAllocate::KIND => reply(&self.allocate(&incoming.read()?)?),
            BlockReplace::KIND => reply(&self.replace(&incoming.read()?)?),
            ObjectCommit::KIND => reply(&self.commit(incoming.read()?)?),
            ObjectOpen::KIND => reply(&self.open(&incoming.read()?)?),
            ObjectList::KIND => reply(&self.list(&incoming.read()?)),
            ObjectDelete::KIND => {
                let delete: ObjectDelete = incoming.read()?;
                self.state.lock().objects.remove(&delete.key);
                reply(&Done {})
            }
            ObjectCopy::KIND => {
                let ObjectCopy { key, from_key, .. } = incoming.read()?;
                let from = self.state.lock().objects[&from_key].last().unwrap().clone();
                let none = ObjectCondition::default();
                let version = VersionId::generate();
                reply(&self.show(key, from.view.head, &none, version, from.stripes)?)
            }
            UploadBegin::KIND => {
                let UploadBegin { key, head, .. } = incoming.read()?;
                let (upload, version) = (UploadId::generate(), VersionId::generate());
                let begun = Upload {
                    key,
                    head,
                    version,
                    parts: BTreeMap::new(),
                };
                self.state.lock().uploads.insert(upload, begun);
                reply(&UploadBegun {
                    upload,
                    version,
                    transfer: None,
                })
            }
            UploadView::KIND => {
                let view: UploadView = incoming.read()?;
                let state = self.state.lock();
                let upload = state.uploads.get(&view.upload).ok_or_else(gone)?;
                let part =
                    |(number, (etag, stripes)): (&u16, &(String, Vec<StripeManifest>))| PartView {
                        number: *number,
                        size: stripes.iter().map(|stripe| stripe.data_length).sum(),
                        etag: etag.clone(),
                    };
                reply(&UploadViewed {
                    key: upload.key.clone(),
                    version: upload.version,
                    parts: upload.parts.iter().map(part).collect(),
                    transfer: None,
                })
            }
            UploadEnd::KIND => reply(&self.upload_end(&incoming.read()?)?),
            UploadForget::KIND => {
                let forget: UploadForget = incoming.read()?;
                let forgotten = self.state.lock().uploads.remove(&forget.upload);
                forgotten.ok_or_else(gone)?;
                reply(&Done {})
            }
            _ => Err(incoming.unknown()),
        }
    }
}

impl Stream {
    fn open(&self, open: &StorageOpen) -> StorageOpened {
        let words: Vec<&str> = open.ticket.split(':').collect();
        let [number, operations] = words[..] else {
            panic!("{} is no ticket", open.ticket);
        };
        let writes = operations.contains("write");
        *self.ticket.lock() = Some((number.parse().unwrap(), writes));
        let BucketAccess {
            id,
            name,
            redundancy,
        } = self.element.access.clone();
        StorageOpened {
            bucket: id,
            name,
            redundancy,
        }
    }

    fn answer(&self, peer: &Peer, incoming: &Incoming) -> Result<Box<RawValue>, Problem> {
        let element = &self.element;
        let kind = incoming.kind.clone();
        *element.state.lock().asked.entry(kind.clone()).or_default() += 1;
        if kind == StorageOpen::KIND {
            return reply(&self.open(&incoming.read()?));
        }
        let (number, writes) = self.ticket.lock().expect("the bucket is open");
        if number < element.tickets_from.load(Ordering::SeqCst) {
            return Err(Problem::new(Code::TicketExpired, "It has ended."));
        }
        let reads = [ObjectOpen::KIND, ObjectList::KIND].contains(&kind.as_str());
        assert!(writes || reads, "{kind} with a ticket to read");
        let cut = element.state.lock().cut_at.remove(&kind);
        if cut != Some(false) {
            let answer = element.answer(incoming);
            if cut.is_none() {
                return answer;
            }
        }
        peer.close();
        Err(Problem::new(Code::Internal, "Nobody hears this."))
    }
}

struct Door(Arc<Element>);

impl Service for Door {
    fn handle(
        &self,
        peer: PeerIdentity,
        _: SocketAddr,
        mut request: Request,
    ) -> BoxFuture<'_, Response> {
        let element = Arc::clone(&self.0);
        async move {
            assert_eq!(request.uri().path(), "/v1/storage");
            let stream = Arc::new(Stream {
                element: Arc::clone(&element),
                ticket: Mutex::default(),
            });
            match upgrade(&mut request, SocketLimits::ENVELOPES) {
                Ok((response, pending)) => {
                    tokio::spawn(async move {
                        let socket = pending.socket().await.unwrap();
                        let limits = StreamLimits::programs();
                        let (peer, _) = run_stream(socket, peer, stream, limits);
                        element.state.lock().peers.push(peer);
                    });
                    response
                }
                Err(problem) => problem_response(&problem),
            }
        }
        .boxed()
    }
}

impl Handler for Stream {
    fn on_request<'a>(
        &'a self,
        peer: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        async move { self.answer(peer, &incoming) }.boxed()
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, notice: Incoming) -> BoxFuture<'a, ()> {
        async move {
            let fault: BlockFault = notice.read().unwrap();
            self.element.state.lock().faults.push(fault);
        }
        .boxed()
    }
}
