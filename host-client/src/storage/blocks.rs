//! Where a Host keeps its blocks: on its disk, or in a bucket of another store.

use std::{io, path::Path};

use gridmart_fabric::block::EncodedBlock;
use gridmart_schemas::{id::BlockId, resource::enumeration::StorageDeviceType};

use super::{
    bucket::BucketVolume,
    room::{FileSystem, device_type},
    volume::{BlockRange, Listed, Maintenance, ScrubStep, SpaceUse, Volume, VolumeError},
};

/// See the module. All calls block.
#[derive(Debug)]
pub(super) enum Blocks {
    /// On the disk.
    Disk(Volume),
    /// In a bucket of another store.
    Bucket(BucketVolume),
}

macro_rules! either {
    ($this:expr, $volume:ident => $call:expr) => {
        match $this {
            Blocks::Disk($volume) => $call,
            Blocks::Bucket($volume) => $call,
        }
    };
}

impl Blocks {
    pub(super) fn put(&self, blocks: &[EncodedBlock]) -> Vec<Result<(), VolumeError>> {
        either!(self, volume => volume.put(blocks))
    }

    pub(super) fn get(
        &self,
        id: &BlockId,
        first: usize,
        chunks: usize,
    ) -> Result<BlockRange, VolumeError> {
        either!(self, volume => volume.get(id, first, chunks))
    }

    pub(super) fn delete(&self, ids: &[BlockId]) -> Vec<Result<(), VolumeError>> {
        either!(self, volume => volume.delete(ids))
    }

    pub(super) fn list(&self, after: Option<BlockId>, limit: usize) -> Vec<Listed> {
        either!(self, volume => volume.list(after, limit))
    }

    pub(super) fn blocks(&self) -> usize {
        either!(self, volume => volume.blocks())
    }

    pub(super) fn damaged(&self) -> Vec<BlockId> {
        either!(self, volume => volume.damaged())
    }

    pub(super) fn space(&self) -> SpaceUse {
        either!(self, volume => volume.space())
    }

    pub(super) fn set_quota(&self, quota: u64) {
        either!(self, volume => volume.set_quota(quota));
    }

    pub(super) fn complaint(&self) -> Option<String> {
        either!(self, volume => volume.complaint())
    }

    pub(super) fn scrub(&self, after: Option<BlockId>, bytes: u64) -> ScrubStep {
        either!(self, volume => volume.scrub(after, bytes))
    }

    /// What a bucket's store does for itself needs no care here.
    pub(super) fn maintain(&self) -> Result<Maintenance, VolumeError> {
        match self {
            Self::Disk(volume) => volume.maintain(),
            Self::Bucket(_) => Ok(Maintenance::Idle),
        }
    }

    /// On what they are, where that is, and how much there is in all.
    pub(super) fn device(
        &self,
        folder: &Path,
        allowed: Option<u64>,
    ) -> io::Result<(StorageDeviceType, String, u64)> {
        match self {
            Self::Disk(_) => {
                let size = FileSystem::of(folder)?.size;
                Ok((device_type(folder), folder.display().to_string(), size))
            }
            Self::Bucket(volume) => {
                let kind = StorageDeviceType::ObjectStore;
                Ok((kind, volume.place().to_owned(), allowed.unwrap_or(0)))
            }
        }
    }

    /// Bytes that all blocks may take together, and whether none may be written:
    /// what the Policy allows and, on the disk of `folder`, there is room for. How
    /// much room another store has, nobody can tell.
    pub(super) fn room(&self, folder: &Path, allowed: Option<u64>) -> io::Result<(u64, bool)> {
        match self {
            Self::Disk(volume) => {
                let found = FileSystem::of(folder)?;
                let quota = found.quota(allowed, volume.space().used);
                Ok((quota, found.is_read_only))
            }
            Self::Bucket(_) => Ok((allowed.unwrap_or(0), false)),
        }
    }
}
