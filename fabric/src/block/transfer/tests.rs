use std::collections::{BTreeMap, BTreeSet};

use gridmart_schemas::{
    id::{BucketId, StripeId, VersionId},
    problem::Code,
    storage::Redundancy,
    wire::storage::{BlockPlace, StripeManifest},
};
use parking_lot::Mutex;

use super::*;
use crate::block::{CHUNK_BYTES, StripeIdentity, build_stripe};

/// Hosts in memory.
#[derive(Default)]
struct Hosts {
    blocks: Mutex<BTreeMap<(NodeId, u8), EncodedBlock>>,
    /// They refuse everything.
    refusing: BTreeSet<NodeId>,
    /// They take everything and answer nothing.
    halted: BTreeSet<NodeId>,
}

impl Hosts {
    async fn meet(&self, host: NodeId) -> Result<(), Problem> {
        if self.halted.contains(&host) {
            std::future::pending::<()>().await;
        }
        if self.refusing.contains(&host) {
            return Err(Problem::new(Code::StorageFailed, "The disk is full."));
        }
        Ok(())
    }

    fn block(&self, host: NodeId, read: &BlockRead) -> Result<Bytes, Problem> {
        let blocks = self.blocks.lock();
        let block = blocks
            .get(&(host, read.id.position))
            .ok_or_else(|| Problem::new(Code::NotFound, "It is not there."))?;
        let begin = read.first_chunk as usize * CHUNK_BYTES;
        let header = block.prefix().header();
        let length = header.range_bytes(read.first_chunk as usize, read.chunks as usize);
        let payload = &block.payload()[begin..begin + length];
        Ok([&block.prefix().bytes()[..], payload].concat().into())
    }
}

impl BlockHosts for Hosts {
    async fn put(&self, host: NodeId, block: EncodedBlock) -> Result<(), Problem> {
        self.meet(host).await?;
        let position = block.prefix().header().id().position;
        self.blocks.lock().insert((host, position), block);
        Ok(())
    }

    async fn read(
        &self,
        host: NodeId,
        reads: Vec<BlockRead>,
    ) -> Vec<(BlockRead, Result<Bytes, Problem>)> {
        let met = self.meet(host).await;
        let answer = |read| match &met {
            Ok(()) => (read, self.block(host, &read)),
            Err(problem) => (read, Err(problem.clone())),
        };
        reads.into_iter().map(answer).collect()
    }
}

struct Scene {
    hosts: Hosts,
    ids: Vec<NodeId>,
    data: Bytes,
    stripe: StripeId,
    blocks: Vec<EncodedBlock>,
}

fn rs() -> Redundancy {
    Redundancy::rs(4, 2).unwrap()
}

fn scene() -> Scene {
    let data = Bytes::from(
        (0..1_000_000_u32)
            .map(|at| at.to_le_bytes()[1])
            .collect::<Vec<_>>(),
    );
    let stripe = StripeId::generate();
    let identity = StripeIdentity {
        redundancy: rs(),
        bucket: BucketId::generate(),
        version: VersionId::generate(),
        stripe,
        ordinal: 0,
        stripe_bytes: data.len() as u64,
        epoch: 1,
    };
    Scene {
        hosts: Hosts::default(),
        ids: (0..8).map(|_| NodeId::generate()).collect(),
        blocks: build_stripe(identity, &data).unwrap(),
        data,
        stripe,
    }
}

impl Scene {
    async fn store(&self) -> Result<Vec<BlockPlace>, (Vec<BlockPlace>, Problem)> {
        self.store_least(6, 6).await
    }

    /// On so many Hosts at first, and with so many blocks at least.
    async fn store_least(
        &self,
        hosts: usize,
        least: usize,
    ) -> Result<Vec<BlockPlace>, (Vec<BlockPlace>, Problem)> {
        let chosen = (self.ids[..hosts].to_vec(), least);
        store_stripe(&self.hosts, self.blocks.clone(), chosen, |_, used| {
            let free = self.ids.iter().find(|host| !used.contains(host));
            let none = || Problem::new(Code::StorageDegraded, "There is no other Host.");
            std::future::ready(free.copied().ok_or_else(none))
        })
        .await
    }

    async fn fetch(&self, stored: &[BlockPlace]) -> Result<(Vec<u8>, usize), Problem> {
        self.fetch_around(stored, &[]).await
    }

    /// Some Hosts are thought to be away.
    async fn fetch_around(
        &self,
        stored: &[BlockPlace],
        away: &[NodeId],
    ) -> Result<(Vec<u8>, usize), Problem> {
        let manifest = StripeManifest {
            stripe: self.stripe,
            data_length: self.data.len() as u64,
            redundancy: rs(),
            blocks: stored.to_vec(),
        };
        let range = 0..manifest.data_length;
        let reader = reader_around(&manifest, range, |host| away.contains(&host))?;
        let placed = hosts_of(&manifest);
        let read = fetch_stripe(&self.hosts, &placed, reader).await?.finish()?;
        Ok((read.pieces.concat(), read.faults.len()))
    }
}

#[tokio::test]
async fn a_stripe_goes_to_its_hosts_and_comes_back() {
    let scene = scene();
    let stored = scene.store().await.unwrap();
    let at: Vec<_> = stored
        .iter()
        .map(|block| (block.position, block.host))
        .collect();
    assert_eq!(at, (0..6).zip(scene.ids.clone()).collect::<Vec<_>>());
    assert_eq!(
        scene.fetch(&stored).await.unwrap(),
        (scene.data.to_vec(), 0)
    );
}

#[tokio::test]
async fn others_take_the_place_of_hosts_that_refuse() {
    let mut scene = scene();
    scene.hosts.refusing = [scene.ids[1], scene.ids[4]].into();
    let stored = scene.store().await.unwrap();
    let hosts: BTreeSet<NodeId> = stored.iter().map(|block| block.host).collect();
    assert_eq!(hosts.len(), 6);
    assert!(hosts.is_disjoint(&scene.hosts.refusing));
    // No third one is left: what is stored is told.
    scene.hosts.refusing.insert(scene.ids[0]);
    let (stored, problem) = scene.store().await.unwrap_err();
    assert_eq!((stored.len(), problem.code), (5, Code::StorageDegraded));
}

#[tokio::test]
async fn hosts_that_seem_away_are_asked_where_nobody_else_is_left() {
    let scene = scene();
    let mut stored = scene.store().await.unwrap();
    let away = [scene.ids[2]];
    let around = scene.fetch_around(&stored, &away).await.unwrap();
    assert_eq!(around, (scene.data.to_vec(), 1), "read without it");
    // Two positions that are nowhere are all that the stripe bears.
    stored.retain(|block| block.position != 0 && block.position != 5);
    let around = scene.fetch_around(&stored, &away).await.unwrap();
    assert_eq!(around, (scene.data.to_vec(), 2), "it answers after all");
}

#[tokio::test]
async fn hosts_that_stand_still_or_are_gone_do_not_stop_a_read() {
    let mut scene = scene();
    let mut stored = scene.store().await.unwrap();
    scene.hosts.halted.insert(scene.ids[2]);
    assert_eq!(
        scene.fetch(&stored).await.unwrap(),
        (scene.data.to_vec(), 1)
    );
    // A position that is nowhere beside it.
    stored.retain(|block| block.position != 0);
    assert_eq!(
        scene.fetch(&stored).await.unwrap(),
        (scene.data.to_vec(), 2)
    );
    // One more is more than it bears.
    scene.hosts.refusing.insert(scene.ids[3]);
    scene.hosts.halted.clear();
    scene.hosts.refusing.insert(scene.ids[2]);
    assert_eq!(
        scene.fetch(&stored).await.unwrap_err().code,
        Code::Unavailable
    );
}

#[tokio::test]
async fn others_go_on_while_another_host_is_asked_for() {
    let mut scene = scene();
    scene.hosts.refusing = [scene.ids[1], scene.ids[4]].into();
    let (asking, most) = (Mutex::new(0), Mutex::new(0));
    let named = store_stripe(
        &scene.hosts,
        scene.blocks.clone(),
        (scene.ids[..6].to_vec(), 6),
        |_, used| {
            let (asking, most, scene) = (&asking, &most, &scene);
            async move {
                *asking.lock() += 1;
                let now = *asking.lock();
                let before = *most.lock();
                *most.lock() = now.max(before);
                // Only when all others are there.
                while scene.hosts.blocks.lock().len() < 4 {
                    tokio::task::yield_now().await;
                }
                *asking.lock() -= 1;
                let free = scene.ids.iter().find(|host| !used.contains(host));
                Ok(*free.unwrap())
            }
        },
    );
    let hosts: BTreeSet<NodeId> = named
        .await
        .unwrap()
        .iter()
        .map(|block| block.host)
        .collect();
    // One after the other: two that are asked for at once could be the same.
    assert_eq!((hosts.len(), *most.lock()), (6, 1));
}

#[tokio::test]
async fn fewer_blocks_are_enough_where_that_is_said_and_no_host_is_left() {
    let mut scene = scene();
    scene.ids.truncate(7);
    // Five Hosts are chosen, of which one refuses: two others may take it.
    scene.hosts.refusing = [scene.ids[1]].into();
    let stored = scene.store_least(5, 4).await.unwrap();
    assert_eq!(stored.len(), 5);
    let positions: Vec<u8> = stored.iter().map(|block| block.position).collect();
    assert_eq!(positions, [0, 1, 2, 3, 4]);
    let (data, _) = scene.fetch(&stored).await.unwrap();
    assert_eq!(data, scene.data.to_vec());
    // All that are left refuse as well: one block fewer.
    scene.hosts.refusing.extend([scene.ids[5], scene.ids[6]]);
    let stored = scene.store_least(5, 4).await.unwrap();
    let positions: Vec<u8> = stored.iter().map(|block| block.position).collect();
    assert_eq!(positions, [0, 2, 3, 4]);
    let (data, _) = scene.fetch(&stored).await.unwrap();
    assert_eq!(data, scene.data.to_vec());
    // Two fewer are too few.
    let (stored, problem) = scene.store_least(5, 5).await.unwrap_err();
    assert_eq!((stored.len(), problem.code), (4, Code::StorageDegraded));
}
