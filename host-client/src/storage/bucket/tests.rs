//! A bucket in memory: the same promises as on a disk.

use gridmart_schemas::problem::Code;
use object_store::memory::InMemory;

use super::*;
use crate::storage::volume::tests::{block_of, id};

struct Place {
    store: Arc<InMemory>,
    host: NodeId,
}

impl Place {
    fn new() -> Self {
        Self {
            store: Arc::new(InMemory::new()),
            host: NodeId::generate(),
        }
    }

    fn open_as(&self, host: NodeId) -> Result<BucketVolume, OpenError> {
        let store = Arc::clone(&self.store);
        let place = (Key::from("hosts/one"), "a bucket in memory".to_owned());
        BucketVolume::open_at(store, place, host)
    }

    fn open(&self) -> BucketVolume {
        let volume = self.open_as(self.host).unwrap();
        volume.set_quota(1 << 30);
        volume
    }
}

/// Where calls that block belong.
fn blocking(work: impl FnOnce() + Send + 'static) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { tokio::task::spawn_blocking(work).await.unwrap() });
}

fn put(volume: &BucketVolume, block: &EncodedBlock) -> Result<(), VolumeError> {
    volume.put(std::slice::from_ref(block)).remove(0)
}

#[test]
fn blocks_are_written_once_and_outlive_a_restart() {
    blocking(|| {
        let place = Place::new();
        let volume = place.open();
        let (small, large) = (block_of(1, 100, 1), block_of(2, 300_000, 2));
        let put_all = volume.put(&[small.clone(), large.clone()]);
        assert!(put_all.iter().all(Result::is_ok), "{put_all:?}");
        assert!(put(&volume, &small).is_ok(), "the same again");
        let other = put(&volume, &block_of(1, 100, 9)).unwrap_err();
        assert_eq!(other.code(), Code::BlockConflict);
        let volume = place.open();
        assert_eq!((volume.blocks(), volume.list(None, 10).len()), (2, 2));
        let used = volume.space().used;
        let whole = volume.get(&id(2), 0, usize::MAX).unwrap();
        assert!(whole.payload == *large.payload());
        let piece = volume.get(&id(2), 2, 2).unwrap();
        assert!(piece.payload == large.payload().slice(2 * 65536..4 * 65536));
        assert!(volume.get(&id(2), 3, 0).unwrap().payload.is_empty());
        let beyond = volume.get(&id(2), 99, 1).unwrap_err();
        assert_eq!(beyond.code(), Code::InvalidRequest);
        let unknown = volume.get(&id(3), 0, 1).unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
        for _ in 0..2 {
            assert!(volume.delete(&[id(2)]).remove(0).is_ok());
        }
        assert!(volume.space().used < used);
        assert_eq!(place.open().blocks(), 1);
    });
}

#[test]
fn an_answer_that_was_lost_is_found_out() {
    blocking(|| {
        let place = Place::new();
        let (first, second) = (place.open(), place.open());
        // The second one does not know of it: as after a PUT without an answer.
        put(&first, &block_of(1, 100, 1)).unwrap();
        put(&second, &block_of(1, 100, 1)).unwrap();
        put(&first, &block_of(2, 100, 1)).unwrap();
        let conflict = put(&second, &block_of(2, 100, 9)).unwrap_err();
        assert_eq!(conflict.code(), Code::BlockConflict);
    });
}

#[test]
fn what_is_damaged_or_gone_is_set_apart_and_made_good() {
    blocking(|| {
        let place = Place::new();
        let volume = place.open();
        let block = block_of(1, 100, 1);
        put(&volume, &block).unwrap();
        put(&volume, &block_of(2, 100, 1)).unwrap();
        let key = volume.key(&id(1));
        let spoil = async {
            let bytes = volume.store.get(&key).await.unwrap().bytes().await.unwrap();
            let mut bytes = bytes.to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            volume.store.put(&key, bytes.into()).await.unwrap();
            volume.store.delete(&volume.key(&id(2))).await.unwrap();
        };
        volume.runtime.block_on(spoil);
        let step = volume.scrub(None, u64::MAX);
        assert_eq!((step.damaged.len(), step.next_after), (2, None));
        assert_eq!(volume.damaged().len(), 2);
        let refused = volume.get(&id(1), 0, 1).unwrap_err();
        assert_eq!(refused.code(), Code::BlockDamaged);
        put(&volume, &block).unwrap();
        assert!(volume.get(&id(1), 0, 1).is_ok());
        assert_eq!(volume.damaged(), [id(2)]);
    });
}

#[test]
fn a_place_is_one_hosts_and_its_quota_counts() {
    blocking(|| {
        let place = Place::new();
        let volume = place.open();
        let foreign = place.open_as(NodeId::generate()).unwrap_err();
        assert!(matches!(foreign, OpenError::Foreign { .. }), "{foreign}");
        volume.set_quota(500);
        put(&volume, &block_of(1, 100, 1)).unwrap();
        let full = put(&volume, &block_of(2, 100, 1)).unwrap_err();
        assert!(matches!(full, VolumeError::Full { .. }), "{full}");
        assert_eq!(volume.blocks(), 1);
    });
}
