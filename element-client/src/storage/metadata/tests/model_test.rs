//! The store against the model: whatever is done, both hold the same, list the
//! same, and refuse the same.

use proptest::{
    prelude::*,
    sample::{Index, select},
};

use super::{
    fixture::{Store, bucket, delete, key, part, put, upload, upload_create, version},
    model::{Line, Model, ModelUpload},
};
use crate::storage::metadata::{
    ListingRequest, ObjectVersion, Page, PartsOf,
    apply::Applied,
    record::{
        Change, Condition, DeleteTarget, EtagMatch, PartChoice, UploadComplete, VersionChoice,
        Versioning,
    },
    refusal::Refusal,
    store::{Listed, StoreError, query},
};

const KEYS: [&str; 12] = [
    "a",
    "a/",
    "a/b",
    "a/b/c",
    "a/b/d",
    "a0",
    "b",
    "b//c",
    "é/ü/x",
    "é/ü/y",
    "\u{10FFFF}",
    "\u{10FFFF}\u{10FFFF}/z",
];

#[derive(Clone, Debug)]
enum Deed {
    Put(&'static str, u64, Expected),
    Delete(&'static str),
    DeleteVersion(Index),
    DeleteNull(&'static str),
    Version(bool),
    UploadBegin(&'static str),
    UploadPart(Index, u16, u64),
    UploadEnd(Index, bool),
}

/// What a put expects of its key.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Nothing,
    Absent,
    Present,
    Same,
    Other,
}

fn deed() -> impl Strategy<Value = Deed> {
    let at = || select(KEYS.to_vec());
    let expected = select(vec![
        Expected::Nothing,
        Expected::Nothing,
        Expected::Absent,
        Expected::Present,
        Expected::Same,
        Expected::Other,
    ]);
    prop_oneof![
        6 => (at(), 0_u64..50, expected).prop_map(|(at, size, expected)| Deed::Put(at, size, expected)),
        3 => at().prop_map(Deed::Delete),
        2 => any::<Index>().prop_map(Deed::DeleteVersion),
        1 => at().prop_map(Deed::DeleteNull),
        1 => any::<bool>().prop_map(Deed::Version),
        1 => at().prop_map(Deed::UploadBegin),
        3 => (any::<Index>(), 1_u16..5, 0_u64..40).prop_map(|(of, number, size)| Deed::UploadPart(of, number, size)),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(of, complete)| Deed::UploadEnd(of, complete)),
    ]
}

struct Pair {
    store: Store,
    model: Model,
    /// Numbers everything that is made.
    count: u64,
}

impl Pair {
    fn condition(&self, at: &str, expected: Expected) -> (Condition, bool) {
        let current = self.model.current(at);
        let etag = current.map_or("none", |version| version.etag.as_str());
        let mut condition = Condition::default();
        let holds = match expected {
            Expected::Nothing => true,
            Expected::Absent => {
                condition.if_none_match = Some(EtagMatch::Any);
                current.is_none()
            }
            Expected::Present => {
                condition.if_match = Some(EtagMatch::Any);
                current.is_some()
            }
            Expected::Same => {
                condition.if_match = Some(EtagMatch::OneOf(vec![etag.to_owned()]));
                condition.if_version = current.map(|current| version(current.id));
                current.is_some()
            }
            Expected::Other => {
                condition.if_none_match = Some(EtagMatch::OneOf(vec![etag.to_owned()]));
                current.is_none()
            }
        };
        (condition, holds)
    }

    fn play(&mut self, deed: &Deed) {
        self.count += 1;
        let id = self.count;
        match deed {
            Deed::Put(at, size, expected) => {
                let (condition, holds) = self.condition(at, *expected);
                let mut put = put(id, at, *size);
                put.condition = condition;
                let result = self.store.take(Change::ObjectPut(put));
                assert_eq!(result.is_ok(), holds, "{result:?}");
                if holds {
                    self.model.add(at, id, false, *size, format!("etag-{id}"));
                } else {
                    assert!(matches!(
                        result,
                        Err(Refusal::ConditionNotMet(_) | Refusal::KeyUnknown(_))
                    ));
                }
            }
            Deed::Delete(at) => {
                let marker = version(id);
                let result = self.store.take(delete(at, DeleteTarget::Object { marker }));
                assert_eq!(result.is_ok(), self.model.delete(at, id), "{result:?}");
            }
            Deed::DeleteVersion(index) => self.delete_version(*index),
            Deed::DeleteNull(at) => {
                let result = self.store.take(delete(at, DeleteTarget::Null));
                let was_there = self.model.remove(at, |version| version.is_null);
                assert_eq!(result.is_ok(), was_there, "{result:?}");
            }
            Deed::Version(on) => {
                let versioning = if *on {
                    Versioning::Enabled
                } else {
                    Versioning::Suspended
                };
                let change = Change::BucketVersioning {
                    bucket: bucket(),
                    versioning,
                };
                self.store.take(change).unwrap();
                self.model.versioning = versioning;
            }
            Deed::UploadBegin(at) => {
                self.store.take(upload_create(id, at)).unwrap();
                let upload = ModelUpload {
                    key: (*at).to_owned(),
                    parts: std::collections::BTreeMap::new(),
                };
                self.model.uploads.insert(id, upload);
            }
            Deed::UploadPart(of, number, size) => self.upload_part(*of, *number, id, *size),
            Deed::UploadEnd(of, true) => self.upload_complete(*of),
            Deed::UploadEnd(of, false) => self.upload_abort(*of),
        }
    }

    fn delete_version(&mut self, index: Index) {
        let mut all = Vec::new();
        for (key, versions) in &self.model.keys {
            all.extend(
                versions
                    .iter()
                    .map(|version| (key.clone(), version.clone())),
            );
        }
        if all.is_empty() {
            return;
        }
        let (at, gone) = index.get(&all);
        let result = self
            .store
            .take(delete(at, DeleteTarget::Version(version(gone.id))));
        let Ok(Applied::Version(outcome)) = result else {
            panic!("{result:?}");
        };
        assert_eq!(
            (outcome.is_marker, outcome.size),
            (gone.is_marker, gone.size)
        );
        assert!(self.model.remove(at, |version| version.id == gone.id));
    }

    fn chosen(&self, of: Index) -> Option<u64> {
        let ids: Vec<u64> = self.model.uploads.keys().copied().collect();
        (!ids.is_empty()).then(|| *of.get(&ids))
    }

    fn upload_part(&mut self, of: Index, number: u16, id: u64, size: u64) {
        let Some(of) = self.chosen(of) else {
            let gone = self.store.take(part(id, number, id, size));
            assert_eq!(gone, Err(Refusal::UploadUnknown(upload(id))));
            return;
        };
        self.store.take(part(of, number, id, size)).unwrap();
        let parts = &mut self.model.uploads.get_mut(&of).unwrap().parts;
        if let Some((_, replaced)) = parts.insert(number, (id, size)) {
            self.model.garbage_bytes += replaced;
        }
    }

    /// Completes with all parts but the first, if there are several.
    fn upload_complete(&mut self, of: Index) {
        let Some(of) = self.chosen(of) else { return };
        let upload = self.model.uploads[&of].clone();
        let skip = usize::from(upload.parts.len() > 1);
        let chosen = upload.parts.iter().skip(skip);
        let parts = chosen.clone().map(|(number, (id, _))| PartChoice {
            number: *number,
            etag: format!("etag-{id}"),
        });
        let change = UploadComplete {
            upload: super::fixture::upload(of),
            parts: parts.collect(),
            etag: format!("whole-{of}"),
            checksums: std::collections::BTreeMap::new(),
            condition: Condition::default(),
        };
        let mut wrong = change.clone();
        if let Some(first) = wrong.parts.first_mut() {
            first.etag.push('x');
            let number = first.number;
            let refused = self.store.take(Change::UploadComplete(wrong));
            assert_eq!(refused, Err(Refusal::PartUnknown { number }));
        }
        let result = self.store.take(Change::UploadComplete(change));
        if upload.parts.is_empty() {
            assert_eq!(result, Err(Refusal::PartsOutOfOrder));
            return;
        }
        result.unwrap();
        let size = chosen.map(|(_, (_, size))| size).sum();
        let left: u64 = upload.parts.values().take(skip).map(|(_, size)| size).sum();
        self.model.garbage_bytes += left;
        self.model.uploads.remove(&of);
        self.model
            .add(&upload.key, of, false, size, format!("whole-{of}"));
    }

    fn upload_abort(&mut self, of: Index) {
        let Some(of) = self.chosen(of) else { return };
        let abort = Change::UploadAbort { upload: upload(of) };
        self.store.take(abort.clone()).unwrap();
        assert_eq!(
            self.store.take(abort),
            Err(Refusal::UploadUnknown(upload(of)))
        );
        let gone = self.model.uploads.remove(&of).unwrap();
        self.model.garbage_bytes += gone.parts.values().map(|(_, size)| size).sum::<u64>();
    }

    fn compare(&self) {
        let bucket = self.store.bucket();
        let versions = || self.model.keys.values().flatten();
        let seen = self
            .model
            .keys
            .keys()
            .filter(|key| self.model.current(key).is_some());
        let uploads = self.model.uploads.values();
        let parts = uploads.flat_map(|upload| upload.parts.values());
        assert_eq!(
            (
                bucket.objects,
                bucket.versions,
                bucket.bytes,
                bucket.upload_bytes
            ),
            (
                seen.count() as u64,
                versions().count() as u64,
                versions().map(|version| version.size).sum(),
                parts.map(|(_, size)| size).sum()
            )
        );
        let connection = &self.store.connection;
        super::fixture::check_tallies(connection);
        for at in KEYS {
            let found =
                query::object_current(connection, super::fixture::bucket(), &key(at)).unwrap();
            let newest = self.model.keys.get(at).and_then(|versions| versions.last());
            assert_eq!(
                found.as_ref().map(|found| found.id),
                newest.map(|newest| version(newest.id))
            );
        }
        for (at, versions) in &self.model.keys {
            for (index, expected) in versions.iter().enumerate() {
                let choice = VersionChoice::Id(version(expected.id));
                let found =
                    query::object_version(connection, super::fixture::bucket(), &key(at), choice)
                        .unwrap()
                        .unwrap();
                assert_eq!(
                    (
                        found.is_null,
                        found.is_marker,
                        found.is_latest,
                        found.size,
                        &found.etag
                    ),
                    (
                        expected.is_null,
                        expected.is_marker,
                        index + 1 == versions.len(),
                        expected.size,
                        &expected.etag
                    )
                );
                let layout = query::layout(connection, &found, 0..u64::MAX, 1000).unwrap();
                let bytes: u64 = layout.stripes.iter().map(|stripe| stripe.data_length).sum();
                assert_eq!(bytes, found.size);
            }
        }
        let garbage = self.store.garbage();
        let stripes = garbage.iter().map(|garbage| {
            let stripe = query::stripe(connection, garbage.stripe).unwrap().unwrap();
            stripe.data_length
        });
        assert_eq!(stripes.sum::<u64>(), self.model.garbage_bytes);
    }

    fn compare_lists(&self, prefix: &str, delimiter: Option<&str>, limit: usize) {
        let connection = &self.store.connection;
        for (all, list) in [
            (false, query::object_list as ListQuery),
            (true, query::version_list as ListQuery),
        ] {
            let lines = collect(prefix, delimiter, limit, |request| {
                list(connection, request)
            });
            assert_eq!(lines, self.model.list(all, prefix, delimiter));
        }
        let mut uploads: Vec<(String, u64)> = self
            .model
            .uploads
            .iter()
            .filter(|(_, upload)| upload.key.starts_with(prefix))
            .map(|(id, upload)| (upload.key.clone(), *id))
            .collect();
        uploads.sort();
        let mut found = Vec::new();
        let mut page = Some(Page::Start);
        while let Some(begin) = page {
            let request = request(prefix, None, limit, begin);
            let listed = query::upload_list(connection, &request).unwrap();
            for item in &listed.items {
                let parts =
                    query::part_list(connection, PartsOf::Upload(item.number), 0, 9).unwrap();
                found.push((item.key.to_string(), number_of(&item.version)));
                assert_eq!(
                    parts.iter().map(|part| part.number).collect::<Vec<_>>(),
                    self.model.uploads[&number_of(&item.version)]
                        .parts
                        .keys()
                        .copied()
                        .collect::<Vec<_>>()
                );
            }
            page = listed.next;
        }
        assert_eq!(found, uploads);
    }
}

type ListQuery =
    fn(&rusqlite::Connection, &ListingRequest) -> Result<Listed<ObjectVersion>, StoreError>;

fn number_of(version: &gridmart_schemas::id::VersionId) -> u64 {
    version.as_uuid().as_u64_pair().1
}

fn request(prefix: &str, delimiter: Option<&str>, limit: usize, page: Page) -> ListingRequest {
    ListingRequest {
        bucket: bucket(),
        prefix: prefix.to_owned(),
        delimiter: delimiter.map(str::to_owned),
        page,
        limit,
    }
}

/// All pages of a list in one.
fn collect(
    prefix: &str,
    delimiter: Option<&str>,
    limit: usize,
    list: impl Fn(&ListingRequest) -> Result<Listed<ObjectVersion>, StoreError>,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut page = Some(Page::Start);
    while let Some(begin) = page {
        let listed = list(&request(prefix, delimiter, limit, begin)).unwrap();
        let count = listed.items.len() + listed.prefixes.len();
        assert!(count <= limit && (count == limit || listed.next.is_none()));
        let items = listed.items.iter().map(|item| {
            let line = Line::Item(item.key.to_string(), number_of(&item.id));
            (item.key.to_string(), line)
        });
        let prefixes = listed
            .prefixes
            .iter()
            .map(|common| (common.clone(), Line::Prefix(common.clone())));
        let mut merged: Vec<_> = items.chain(prefixes).collect();
        // Versions of one key keep their order.
        merged.sort_by(|(one, _), (other, _)| one.cmp(other));
        lines.extend(merged.into_iter().map(|(_, line)| line));
        page = listed.next;
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_store_is_what_the_model_is(deeds in proptest::collection::vec(deed(), 1..60)) {
        let mut pair = Pair {
            store: Store::with_bucket(false),
            model: Model::new(),
            count: 0,
        };
        for deed in &deeds {
            pair.play(deed);
        }
        pair.compare();
        for prefix in ["", "a", "a/", "a/b", "é/", "\u{10FFFF}", "zzz"] {
            for delimiter in [None, Some("/"), Some("/b"), Some("b")] {
                for limit in [1, 2, 3, 1000] {
                    pair.compare_lists(prefix, delimiter, limit);
                }
            }
        }
    }
}
