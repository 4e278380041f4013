//! Blocks as objects of a bucket in another object store: one object for each,
//! `PREFIX/blocks/xx/<stripe>-<position>`, as they are encoded.
//!
//! Which blocks there are is known in memory, and learned at each start from a
//! list of the bucket. What a volume on a disk promises holds here as well, with
//! the other store in the place of the disk:
//! - a put that was answered as done is as durable as that store's answer to a
//!   conditional PUT: nothing of a block waits on this machine;
//! - a block is whole or not there, since a PUT is;
//! - it is written once: the store is asked to make it only if it is not there,
//!   and the same one again is answered as done;
//! - nothing is served without having been verified against header and table.
//!
//! The prefix is one Host's alone: an object `PREFIX/gridmart-host` names it.
//! Calls block, and are for blocking threads.

mod settings;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gridmart_fabric::block::{EncodedBlock, Prefix};
use gridmart_schemas::id::{BlockId, NodeId};
use object_store::{
    ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, path::Path as Key,
};
use parking_lot::RwLock;
use tokio::runtime::Handle;

pub use self::settings::{BucketError, BucketSettings, Credentials};
use super::volume::{
    BlockRange, LIST_BLOCKS_MAX, Layout, Listed, PAGE_BLOCKS, RETRY_PAUSE, ScrubStep, SpaceUse,
    VolumeError, VolumeSpace, VolumeStanding,
};

/// Requests of one batch at a time.
const REQUESTS_MAX: usize = 8;
/// The object that names the Host to whom a prefix belongs.
const OWNER: &str = "gridmart-host";
/// What keys of blocks begin with, below the prefix.
const BLOCKS: &str = "blocks";

/// What is known of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    bytes: u32,
    is_damaged: bool,
}

/// See the module.
pub struct BucketVolume {
    store: Arc<dyn ObjectStore>,
    root: Key,
    /// For people.
    place: String,
    runtime: Handle,
    index: RwLock<BTreeMap<BlockId, Held>>,
    damaged: RwLock<BTreeSet<BlockId>>,
    space: VolumeSpace,
    standing: VolumeStanding,
}

impl std::fmt::Debug for BucketVolume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BucketVolume")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

fn remote(
    doing: &'static str,
    key: &Key,
) -> impl FnOnce(object_store::Error) -> VolumeError + use<> {
    let what = key.to_string();
    move |error| VolumeError::Remote {
        doing,
        what,
        why: words(&error),
    }
}

/// An error with its causes; the store's library names no secrets.
fn words(error: &object_store::Error) -> String {
    use std::error::Error as _;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

impl BucketVolume {
    /// Opens the place of a Host, and learns what is there.
    pub fn open(settings: &BucketSettings, host: NodeId) -> Result<Self, OpenError> {
        let store = settings.store()?;
        Self::open_at(store, (settings.root(), settings.shown()), host)
    }

    fn open_at(
        store: Arc<dyn ObjectStore>,
        (root, place): (Key, String),
        host: NodeId,
    ) -> Result<Self, OpenError> {
        let this = Self {
            place,
            store,
            root,
            runtime: Handle::current(),
            index: RwLock::default(),
            damaged: RwLock::default(),
            space: VolumeSpace::new(0, 0),
            standing: VolumeStanding::new(RETRY_PAUSE),
        };
        this.runtime.block_on(this.claim(host))?;
        let found = this.runtime.block_on(this.learn())?;
        *this.index.write() = found;
        Ok(this)
    }

    /// Makes the place this Host's, or finds that it is.
    async fn claim(&self, host: NodeId) -> Result<(), OpenError> {
        let key = self.root.clone().join(OWNER);
        let name = host.to_string();
        let options = PutOptions::from(PutMode::Create);
        let made = self.store.put_opts(&key, name.clone().into(), options);
        match made.await {
            Ok(_) => return Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(remote("writing", &key)(error).into()),
        }
        let read = async { self.store.get(&key).await?.bytes().await };
        let there = read.await.map_err(remote("reading", &key))?;
        if there[..] == *name.as_bytes() {
            return Ok(());
        }
        let there = String::from_utf8_lossy(&there);
        Err(OpenError::Foreign {
            key: key.to_string(),
            there: there.chars().take(64).collect(),
        })
    }

    /// Which blocks there are.
    async fn learn(&self) -> Result<BTreeMap<BlockId, Held>, VolumeError> {
        let folder = self.root.clone().join(BLOCKS);
        let mut listed = self.store.list(Some(&folder));
        let mut found = BTreeMap::new();
        while let Some(object) = listed
            .try_next()
            .await
            .map_err(remote("listing", &folder))?
        {
            let name = object.location.filename().unwrap_or_default();
            let (Ok(id), Ok(bytes)) = (name.parse(), u32::try_from(object.size)) else {
                tracing::warn!(key = %object.location, "an object among the blocks is none of them");
                continue;
            };
            self.space.take(object.size);
            let is_damaged = false;
            found.insert(id, Held { bytes, is_damaged });
        }
        Ok(found)
    }

    fn key(&self, id: &BlockId) -> Key {
        let folder = id.stripe.as_uuid().as_bytes()[15];
        let folders = self.root.clone().join(BLOCKS).join(format!("{folder:02x}"));
        folders.join(id.to_string())
    }

    // === Putting ===

    /// Keeps blocks; gives an answer for each. `Ok`: the store has said that it
    /// has this very block.
    pub fn put(&self, blocks: &[EncodedBlock]) -> Vec<Result<(), VolumeError>> {
        let puts = blocks.iter().map(|block| self.put_one(block));
        let puts = stream::iter(puts.collect::<Vec<_>>());
        self.runtime.block_on(puts.buffered(REQUESTS_MAX).collect())
    }

    async fn put_one(&self, block: &EncodedBlock) -> Result<(), VolumeError> {
        let header = block.prefix().header();
        let id = header.id();
        let known = self.index.read().get(&id).copied();
        if known.is_some_and(|held| !held.is_damaged) {
            match self.same(block).await {
                // It is damaged or gone: it is made good.
                Err(VolumeError::Damaged { .. }) => {}
                answer => return answer,
            }
        }
        self.standing.require()?;
        let bytes = u32::try_from(header.encoded_bytes()).unwrap_or(u32::MAX);
        self.space.reserve(bytes.into())?;
        let mode = match known {
            None => PutMode::Create,
            Some(_) => PutMode::Overwrite,
        };
        let key = self.key(&id);
        let pieces = [block.prefix().bytes().clone(), block.payload().clone()];
        let payload: PutPayload = pieces.into_iter().collect();
        let put = self.store.put_opts(&key, payload, PutOptions::from(mode));
        match put.await {
            Ok(_) => {
                self.standing.on_success();
                self.insert(id, bytes);
                Ok(())
            }
            Err(object_store::Error::AlreadyExists { .. }) => {
                // An earlier put, whose answer was lost.
                self.insert(id, bytes);
                self.same(block).await
            }
            Err(error) => {
                self.space.release(bytes.into());
                let error = remote("writing", &key)(error);
                self.standing.on_failure(&error);
                Err(error)
            }
        }
    }

    /// Room for it is reserved.
    fn insert(&self, id: BlockId, bytes: u32) {
        let is_damaged = false;
        let before = self.index.write().insert(id, Held { bytes, is_damaged });
        if let Some(before) = before {
            self.space.release(before.bytes.into());
        }
        self.damaged.write().remove(&id);
    }

    /// Whether what is there is this block.
    async fn same(&self, block: &EncodedBlock) -> Result<(), VolumeError> {
        let id = block.prefix().header().id();
        let there = self.read(&id, 0, usize::MAX).await?;
        let (there, offered) = (*there.prefix.root(), *block.prefix().root());
        if there == offered {
            return Ok(());
        }
        Err(VolumeError::Conflict { id, there, offered })
    }

    // === Reading ===

    /// Reads the chunks from `first` on, at most `chunks` of them, of a block;
    /// none of them with `chunks` 0: header and table alone.
    pub fn get(
        &self,
        id: &BlockId,
        first: usize,
        chunks: usize,
    ) -> Result<BlockRange, VolumeError> {
        self.runtime.block_on(self.read(id, first, chunks))
    }

    async fn read(
        &self,
        id: &BlockId,
        first: usize,
        chunks: usize,
    ) -> Result<BlockRange, VolumeError> {
        let known = self.index.read().get(id).copied();
        let known = known.ok_or(VolumeError::NotFound(*id))?;
        if known.is_damaged {
            let reason = "it was found damaged before".to_owned();
            return Err(VolumeError::Damaged { id: *id, reason });
        }
        let layout = Layout::new(known.bytes);
        if first >= layout.chunks && chunks > 0 {
            return Err(VolumeError::NoSuchChunk {
                id: *id,
                first,
                there: layout.chunks,
            });
        }
        let count = chunks.min(layout.chunks.saturating_sub(first));
        let (head, payload) = match self.pieces(id, layout, (first, count)).await {
            Ok(pieces) => pieces,
            Err(object_store::Error::NotFound { .. }) => {
                return Err(self.set_apart(id, known, "its object is gone".to_owned()));
            }
            Err(error) => return Err(remote("reading", &self.key(id))(error)),
        };
        let verified = verify(id, layout, &head, (first, count, &payload));
        let prefix = verified.map_err(|reason| self.set_apart(id, known, reason))?;
        Ok(BlockRange {
            prefix,
            first_chunk: first,
            payload,
        })
    }

    /// Header and table, and chunks.
    async fn pieces(
        &self,
        id: &BlockId,
        layout: Layout,
        (first, count): (usize, usize),
    ) -> Result<(Bytes, Bytes), object_store::Error> {
        let key = self.key(id);
        let (begin, end) = (layout.chunk_at(first), layout.chunk_at(first + count));
        if first == 0 {
            let bytes = self.store.get_range(&key, 0..end as u64).await?;
            let payload = bytes.slice(begin.min(bytes.len())..);
            return Ok((bytes, payload));
        }
        let head = self.store.get_range(&key, 0..layout.prefix as u64).await?;
        if begin == end {
            return Ok((head, Bytes::new()));
        }
        let payload = self.store.get_range(&key, begin as u64..end as u64);
        Ok((head, payload.await?))
    }

    /// It is not served from now on; its Element makes it good.
    fn set_apart(&self, id: &BlockId, held: Held, reason: String) -> VolumeError {
        let mut index = self.index.write();
        if let Some(known) = index.get_mut(id)
            && *known == held
        {
            tracing::error!(block.id = %id, reason, "a block is damaged and set apart");
            known.is_damaged = true;
            self.damaged.write().insert(*id);
        }
        VolumeError::Damaged { id: *id, reason }
    }

    // === Deleting ===

    /// Deletes blocks; gives an answer for each. `Ok`: the store has said that it
    /// is not there.
    pub fn delete(&self, ids: &[BlockId]) -> Vec<Result<(), VolumeError>> {
        let deletions: Vec<_> = ids.iter().map(|id| self.delete_one(id)).collect();
        let deletions = stream::iter(deletions).buffered(REQUESTS_MAX);
        self.runtime.block_on(deletions.collect())
    }

    async fn delete_one(&self, id: &BlockId) -> Result<(), VolumeError> {
        let key = self.key(id);
        match self.store.delete(&key).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => {
                let error = remote("deleting", &key)(error);
                self.standing.on_failure(&error);
                return Err(error);
            }
        }
        self.standing.on_success();
        if let Some(held) = self.index.write().remove(id) {
            self.space.release(held.bytes.into());
        }
        self.damaged.write().remove(id);
        Ok(())
    }

    // === Looking at it ===

    /// Blocks in the order of their ids, those after `after`, at most `limit`.
    pub fn list(&self, after: Option<BlockId>, limit: usize) -> Vec<Listed> {
        let index = self.index.read();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = index.range((from, Bound::Unbounded));
        let listed = range.take(limit.min(LIST_BLOCKS_MAX));
        let listed = listed.map(|(id, held)| Listed {
            id: *id,
            bytes: held.bytes,
            is_damaged: held.is_damaged,
        });
        listed.collect()
    }

    /// Where it is, for people.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// How many blocks there are, damaged ones included.
    pub fn blocks(&self) -> usize {
        self.index.read().len()
    }

    /// The blocks that were found damaged, and are not served.
    pub fn damaged(&self) -> Vec<BlockId> {
        self.damaged.read().iter().copied().collect()
    }

    /// Bytes in use and the quota.
    pub fn space(&self) -> SpaceUse {
        self.space.now()
    }

    /// Follows the Policy.
    pub fn set_quota(&self, quota: u64) {
        self.space.set_quota(quota);
    }

    /// Why it takes no changes, if it takes none.
    pub fn complaint(&self) -> Option<String> {
        self.standing.complaint()
    }

    /// Verifies the blocks after `after`, in the order of their ids, until
    /// `bytes` were read or all are.
    pub fn scrub(&self, after: Option<BlockId>, bytes: u64) -> ScrubStep {
        let mut step = ScrubStep {
            next_after: after,
            ..ScrubStep::default()
        };
        loop {
            let page = self.list(step.next_after, PAGE_BLOCKS);
            if page.is_empty() {
                step.next_after = None;
                return step;
            }
            for listed in page {
                step.next_after = Some(listed.id);
                if listed.is_damaged {
                    continue;
                }
                match self.get(&listed.id, 0, usize::MAX) {
                    Ok(_) | Err(VolumeError::NotFound(_)) => {}
                    Err(VolumeError::Damaged { .. }) => step.damaged.push(listed.id),
                    Err(other) => step.unreadable.push(other),
                }
                step.bytes += u64::from(listed.bytes);
                if step.bytes >= bytes {
                    return step;
                }
            }
        }
    }
}

/// Whether these are the header, the table and the chunks of the block.
fn verify(
    id: &BlockId,
    layout: Layout,
    head: &Bytes,
    (first, count, payload): (usize, usize, &Bytes),
) -> Result<Prefix, String> {
    let prefix = Prefix::parse(head).map_err(|error| error.to_string())?;
    let header = prefix.header();
    if header.id() != *id || header.encoded_bytes() != layout.bytes {
        return Err(format!("block {} lies in its place", header.id()));
    }
    let verified = prefix.verify_range(first, count, payload);
    verified.map_err(|error| error.to_string())?;
    Ok(prefix)
}

/// Why a bucket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] BucketError),
    /// The store refuses, or is not reached.
    #[error(transparent)]
    Store(#[from] VolumeError),
    /// The place is another Host's.
    #[error(
        "{key} says that the place belongs to the Host {there}: give each Host a prefix of its own"
    )]
    Foreign {
        /// Which object says so.
        key: String,
        /// Whose it is.
        there: String,
    },
}

#[cfg(test)]
mod tests;
