//! What every request asks the metadata, kept until a bucket or a key itself has
//! changed: reading it anew took more time than all else of a small request.

use std::collections::HashMap;

use parking_lot::RwLock;
use s3s::S3Result;

use super::{fault, store::Store};

/// What is kept at a time; with more of them in use, some are read again.
const ENTRIES_MAX: usize = 1000;

/// Values by name.
pub(super) struct Known<V>(RwLock<HashMap<String, Entry<V>>>);

struct Entry<V> {
    /// The state of the settings that it was read from, or an older one.
    settings: u64,
    value: V,
}

impl<V> Default for Known<V> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<V: Clone> Known<V> {
    /// The value as all changes that were answered before have left it. What is not
    /// there is not kept: nobody fills this with names of their own.
    pub(super) async fn get(
        &self,
        store: &Store,
        name: &str,
        read: impl Future<Output = S3Result<V>>,
    ) -> S3Result<V> {
        // Before it is read: a change meanwhile makes it an old one.
        let settings = store.settings().map_err(|problem| fault::of(&problem))?;
        if let Some(entry) = self.0.read().get(name)
            && entry.settings == settings
        {
            return Ok(entry.value.clone());
        }
        let value = read.await?;
        let mut entries = self.0.write();
        if entries.len() >= ENTRIES_MAX {
            entries.retain(|_, entry| entry.settings == settings);
        }
        if entries.len() >= ENTRIES_MAX {
            entries.clear();
        }
        let kept = value.clone();
        entries.insert(
            name.to_owned(),
            Entry {
                settings,
                value: kept,
            },
        );
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::storage::{
        metadata::{Change, ObjectKey, VersionChoice},
        s3::fixture::Fixture,
    };
    use gridmart_schemas::id::BucketId;

    use super::*;

    #[tokio::test]
    async fn it_is_read_again_once_a_setting_has_changed() {
        let store = Store::Fixture(Fixture::new().await);
        let (known, reads) = (Known::default(), Cell::new(0));
        let get = async || {
            let read = async {
                reads.set(reads.get() + 1);
                Ok(reads.get())
            };
            known.get(&store, "name", read).await.unwrap()
        };
        assert_eq!([get().await, get().await], [1, 1]);
        let value = Some("a".to_owned());
        let name = "a".to_owned();
        store.commit(Change::Setting { name, value }).await.unwrap();
        assert_eq!([get().await, get().await], [2, 2]);
        let tags = Change::ObjectTags {
            bucket: BucketId::generate(),
            key: "a".parse::<ObjectKey>().unwrap(),
            version: VersionChoice::Current,
            tags: std::collections::BTreeMap::new(),
        };
        store.commit(tags).await.unwrap_err();
        assert_eq!(get().await, 2);
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_kept_and_the_rest_is_bounded() {
        let store = Store::Fixture(Fixture::new().await);
        let known = Known::default();
        let missing = async { Err::<u8, _>(fault::denied()) };
        known.get(&store, "none", missing).await.unwrap_err();
        assert!(known.0.read().is_empty());
        for number in 0..=ENTRIES_MAX {
            let read = async { Ok(0) };
            known.get(&store, &number.to_string(), read).await.unwrap();
        }
        assert!(known.0.read().len() <= ENTRIES_MAX);
    }
}
