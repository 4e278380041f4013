//! What was put, and has to be there.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use gridmart_schemas::problem::Code;
use gridmart_sdk::Storage;

use crate::objects::{MIB, noise};

/// The bucket of all.
pub(super) const BUCKET: &str = "data";
/// No put takes longer, whatever a Host suffers.
const PUT_MAX: Duration = Duration::from_secs(45);
/// In blocks that have files of their own.
pub(super) const LARGE: usize = 5 * MIB / 4;
/// In segments.
pub(super) const SMALL: usize = 5000;
const LARGE_COUNT: u64 = 2;
const SMALL_COUNT: u64 = 6;

/// Each key, with what makes its bytes; none: it was deleted.
#[derive(Debug, Default)]
pub(super) struct Kept(BTreeMap<String, Option<(usize, u64)>>);

impl Kept {
    /// Puts large and small objects below a prefix, all at the same time; gives
    /// how long the slowest took.
    pub(super) async fn put_some(&mut self, storage: &Storage, prefix: &str) -> Duration {
        let large = (0..LARGE_COUNT).map(|number| (format!("{prefix}/large/{number}"), LARGE));
        let small = (0..SMALL_COUNT).map(|number| (format!("{prefix}/small/{number}"), SMALL));
        let puts: Vec<_> = large.chain(small).collect();
        let seed = self.0.len() as u64;
        let took = join_all((seed..).zip(&puts).map(async |(seed, (key, size))| {
            let began = Instant::now();
            let putting = storage.put(BUCKET, key).bytes(noise(*size, seed));
            let put = tokio::time::timeout(PUT_MAX, putting).await;
            put.unwrap_or_else(|_| panic!("the put of {key} hangs"))
                .unwrap_or_else(|error| panic!("the put of {key}: {error}"));
            began.elapsed()
        }));
        let took = took.await;
        for (seed, (key, size)) in (seed..).zip(puts) {
            self.0.insert(key, Some((size, seed)));
        }
        took.into_iter().max().unwrap_or_default()
    }

    /// Notes what somebody else has put.
    pub(super) fn note(&mut self, key: String, size: usize, seed: u64) {
        self.0.insert(key, Some((size, seed)));
    }

    pub(super) async fn delete(&mut self, storage: &Storage, key: &str) {
        storage.delete(BUCKET, key).await.unwrap();
        self.0.insert(key.to_owned(), None);
    }

    /// Reads everything.
    pub(super) async fn is_right(&self, storage: &Storage, when: &str) {
        for (key, content) in &self.0 {
            let got = storage.get(BUCKET, key).bytes().await;
            match (content, got) {
                (Some((size, seed)), Ok(bytes)) => {
                    assert!(bytes == noise(*size, *seed), "{key} is another one {when}");
                }
                (None, Err(error)) if error.code() == Some(Code::NotFound) => {}
                (_, Ok(_)) => panic!("{key} was deleted, and is there {when}"),
                (_, Err(error)) => panic!("{key} {when}: {error}"),
            }
        }
        let listed = storage.list(BUCKET).all().await.unwrap();
        let listed: Vec<&str> = listed.iter().map(|object| object.key.as_str()).collect();
        let there = self.0.iter().filter(|(_, content)| content.is_some());
        let there: Vec<&str> = there.map(|(key, _)| key.as_str()).collect();
        assert_eq!(listed, there, "{when}");
    }
}
