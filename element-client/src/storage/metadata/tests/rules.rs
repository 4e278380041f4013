//! What is refused, what is counted, what is to be collected and made anew.

use gridmart_schemas::{id::BlockId, problem::Code, problem::Problem};

use super::fixture::{
    Store, bucket, bucket_create, delete, dump, key, node, part, put, root, stripe, stripe_id,
    upload_create, version,
};
use crate::storage::metadata::{
    moment::Moment,
    record::{
        BucketUpdate, Change, DeleteTarget, DocumentKind, Quota, Retention, RetentionMode,
        VersionChoice, Versioning,
    },
    refusal::Refusal,
    store::{RepairMark, query},
};

fn version_target(number: u64) -> DeleteTarget {
    DeleteTarget::Version(version(number))
}

#[test]
fn a_bucket_goes_only_when_it_is_empty_and_takes_its_uploads_along() {
    let mut store = Store::with_bucket(false);
    assert!(matches!(
        store.take(bucket_create(false)),
        Err(Refusal::BucketExists(_))
    ));
    store.take(Change::ObjectPut(put(1, "a", 20))).unwrap();
    let go = Change::BucketDelete { bucket: bucket() };
    let before = dump(&store.connection);
    let refused = store.take(go.clone()).unwrap_err();
    assert!(matches!(
        refused,
        Refusal::BucketNotEmpty { versions: 1, .. }
    ));
    assert_eq!(Problem::from(&refused).code, Code::NotEmpty);
    assert_eq!(dump(&store.connection), before, "a refusal changes nothing");
    store.take(delete("a", DeleteTarget::Null)).unwrap();
    store.take(upload_create(2, "b")).unwrap();
    store.take(part(2, 1, 3, 20)).unwrap();
    store.take(go).unwrap();
    assert!(query::buckets(&store.connection).unwrap().is_empty());
    // Two stripes of the object, two of the part.
    let garbage = store.garbage();
    assert_eq!(garbage.len(), 4);
    assert!(garbage.iter().all(|garbage| garbage.blocks.len() == 6));
    let stripes: Vec<_> = garbage.iter().map(|garbage| garbage.stripe).collect();
    store
        .take(Change::StripesCollected {
            stripes: stripes.clone(),
        })
        .unwrap();
    assert!(store.garbage().is_empty());
    assert_eq!(
        query::stripes_known(&store.connection, &stripes).unwrap(),
        [false; 4]
    );
    assert!(!dump(&store.connection).contains("part"), "nothing is left");
}

#[test]
fn a_stripe_in_use_is_not_collected() {
    let mut store = Store::with_bucket(false);
    store.take(Change::ObjectPut(put(1, "a", 20))).unwrap();
    let stripes = vec![stripe_id(1000)];
    let refused = store.take(Change::StripesCollected { stripes });
    assert_eq!(refused, Err(Refusal::StripeInUse(stripe_id(1000))));
}

#[test]
fn what_was_collected_is_not_named_again() {
    let mut store = Store::with_bucket(false);
    store.take(Change::ObjectPut(put(1, "a", 20))).unwrap();
    store.take(delete("a", DeleteTarget::Null)).unwrap();
    let garbage = store.garbage();
    let stripes = garbage.iter().map(|garbage| garbage.stripe).collect();
    store.take(Change::StripesCollected { stripes }).unwrap();
    // The answer to the put was lost, and it is sent once more.
    let refused = store.take(Change::ObjectPut(put(1, "a", 20)));
    assert!(matches!(refused, Err(Refusal::Malformed(_))), "{refused:?}");
}

#[test]
fn what_was_on_its_way_to_a_removed_host_is_taken() {
    let mut store = Store::with_bucket(false);
    let late = put(1, "a", 20);
    let host = late.stripes[0].blocks[0].host;
    store.take(Change::HostRemoved { host }).unwrap();
    store.take(Change::ObjectPut(late)).unwrap();
    assert!(query::blocks_count(&store.connection, host).unwrap() > 0);
}

#[test]
fn blocks_of_a_host_are_listed_by_id_without_garbage() {
    let mut store = Store::with_bucket(false);
    for (number, name) in (1..).zip(["a", "b", "c"]) {
        store
            .take(Change::ObjectPut(put(number, name, 20)))
            .unwrap();
    }
    store.take(delete("b", DeleteTarget::Null)).unwrap();
    let between =
        |after, until| query::blocks_between(&store.connection, node(2), after, until, 1).unwrap();
    // Page by page, as small as they can be.
    let (mut found, mut after) = (Vec::new(), None);
    while let Some(last) = between(after, None).last().copied() {
        found.extend(between(after, None));
        after = Some(last);
    }
    let ids = [1000, 1001, 3000, 3001].map(|number| BlockId {
        stripe: stripe_id(number),
        position: 2,
    });
    assert_eq!(found, ids);
    assert_eq!(between(Some(ids[0]), Some(ids[1])), [ids[1]]);
    assert!(between(Some(ids[3]), None).is_empty());
}

#[test]
fn young_garbage_is_left_alone() {
    let mut store = Store::with_bucket(false);
    store.take(Change::ObjectPut(put(1, "a", 20))).unwrap();
    store.take(delete("a", DeleteTarget::Null)).unwrap();
    let now = Moment::from_microseconds(store.time);
    assert!(
        query::garbage_page(&store.connection, now, 9)
            .unwrap()
            .is_empty()
    );
    let later = Moment::from_microseconds(store.time + 1);
    assert_eq!(
        query::garbage_page(&store.connection, later, 1)
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_quota_holds_for_bytes_and_for_objects() {
    let mut store = Store::with_bucket(false);
    let quota = |bytes, objects| {
        Change::BucketUpdate(BucketUpdate {
            bucket: bucket(),
            redundancy: gridmart_schemas::storage::Redundancy::rs(4, 2).unwrap(),
            quota: Quota { bytes, objects },
        })
    };
    store.take(quota(Some(50), Some(2))).unwrap();
    store.take(Change::ObjectPut(put(1, "a", 30))).unwrap();
    store.take(upload_create(2, "u")).unwrap();
    store.take(part(2, 1, 2, 15)).unwrap();
    let refused = store.take(Change::ObjectPut(put(3, "b", 6))).unwrap_err();
    assert!(matches!(
        refused,
        Refusal::QuotaReached {
            what: "bytes",
            wanted: 51,
            limit: 50,
            ..
        }
    ));
    assert!(matches!(
        store.take(part(2, 2, 4, 6)),
        Err(Refusal::QuotaReached { .. })
    ));
    store.take(Change::ObjectPut(put(5, "a", 35))).unwrap();
    store.take(Change::ObjectPut(put(6, "b", 0))).unwrap();
    let refused = store.take(Change::ObjectPut(put(7, "c", 0))).unwrap_err();
    assert!(matches!(
        refused,
        Refusal::QuotaReached {
            what: "objects",
            ..
        }
    ));
    store.take(quota(Some(1), None)).unwrap();
    store.take(Change::ObjectPut(put(8, "a", 34))).unwrap();
}

#[test]
fn what_is_kept_does_not_go() {
    let mut store = Store::with_bucket(true);
    let mut kept = put(1, "a", 5);
    kept.retention = Some(Retention {
        mode: RetentionMode::Governance,
        until: Moment::from_microseconds(1000),
    });
    store.take(Change::ObjectPut(kept)).unwrap();
    let refused = store.take(delete("a", version_target(1))).unwrap_err();
    assert_eq!(Problem::from(&refused).code, Code::Retained);
    // A marker takes nothing away.
    store
        .take(delete("a", DeleteTarget::Object { marker: version(2) }))
        .unwrap();
    let lock = |mode, until, legal_hold, bypass| Change::ObjectLock {
        bucket: bucket(),
        key: key("a"),
        version: VersionChoice::Id(version(1)),
        retention: Some(Retention {
            mode,
            until: Moment::from_microseconds(until),
        }),
        legal_hold,
        bypass,
    };
    let shorter = |bypass| lock(RetentionMode::Governance, 900, false, bypass);
    assert!(store.take(shorter(false)).is_err());
    store.take(shorter(true)).unwrap();
    store
        .take(lock(RetentionMode::Compliance, 2000, true, false))
        .unwrap();
    assert!(
        store
            .take(lock(RetentionMode::Governance, 3000, true, true))
            .is_err()
    );
    store.time = 2000;
    assert_eq!(
        store.take(delete("a", version_target(1))),
        Err(Refusal::Retained {
            key: key("a"),
            until: None
        })
    );
    store
        .take(lock(RetentionMode::Compliance, 2000, false, false))
        .unwrap();
    store.take(delete("a", version_target(1))).unwrap();
    let suspend = Change::BucketVersioning {
        bucket: bucket(),
        versioning: Versioning::Suspended,
    };
    assert!(matches!(
        store.take(suspend),
        Err(Refusal::VersioningFixed(_))
    ));
}

#[test]
fn manifests_that_contradict_themselves_are_refused() {
    let mut store = Store::with_bucket(false);
    let good = put(1, "a", 40);
    let spoil = |change: &dyn Fn(&mut crate::storage::metadata::ObjectPut)| {
        let mut put = good.clone();
        change(&mut put);
        Change::ObjectPut(put)
    };
    for bad in [
        spoil(&|put| put.size = 41),
        spoil(&|put| put.stripes[0].blocks.truncate(3)),
        spoil(&|put| put.stripes[0].blocks[0].position = 1),
        spoil(&|put| put.stripes[0].blocks[0].position = 6),
        spoil(&|put| put.stripes[0].blocks[0].host = node(1)),
        spoil(&|put| put.stripes[0].payload_length = 2),
        spoil(&|put| put.stripes[1] = stripe(stripe_id(1000), 16)),
        spoil(&|put| put.stripes.push(stripe(stripe_id(9), 0))),
    ] {
        let refused = store.take(bad).unwrap_err();
        assert!(matches!(refused, Refusal::Malformed(_)), "{refused}");
    }
    let strange = spoil(&|put| put.stripes[0].blocks[0].host = node(99));
    assert_eq!(store.take(strange), Err(Refusal::HostUnknown(node(99))));
    store.take(Change::ObjectPut(good.clone())).unwrap();
    // The same change again, as after an answer that was lost.
    assert_eq!(
        store.take(Change::ObjectPut(good)),
        Err(Refusal::VersionExists(key("a")))
    );
}

#[test]
fn missing_and_lost_blocks_are_made_anew_elsewhere() {
    let mut store = Store::with_bucket(false);
    store.take(Change::HostKnown { host: node(6) }).unwrap();
    let mut degraded = put(1, "a", 16);
    degraded.stripes[0].blocks.remove(5);
    store.take(Change::ObjectPut(degraded)).unwrap();
    let block = |position| BlockId {
        stripe: stripe_id(1000),
        position,
    };
    let moved = |position, from, to| Change::BlockMoved {
        block: block(position),
        from,
        to: node(to),
        root: root(9),
    };
    let lost = |host| Change::BlockLost {
        block: block(2),
        host: node(host),
    };
    assert_eq!(store.take(lost(3)), Err(Refusal::BlockElsewhere(block(2))));
    store.take(lost(2)).unwrap();
    store.take(lost(2)).unwrap();
    let wanted = query::repair_page(&store.connection, RepairMark::default(), 9).unwrap();
    let positions: Vec<u8> = wanted.iter().map(|wanted| wanted.position).collect();
    assert_eq!(positions, [5, 2]);
    assert_eq!(wanted[0].stripe.blocks.len(), 5);
    assert!(matches!(
        store.take(moved(5, None, 1)),
        Err(Refusal::HostTwice { .. })
    ));
    assert!(store.take(moved(5, Some(node(5)), 6)).is_err());
    assert!(
        store.take(moved(6, None, 6)).is_err(),
        "there is no such position"
    );
    store.take(moved(5, None, 5)).unwrap();
    store.take(moved(2, Some(node(2)), 6)).unwrap();
    assert!(
        query::repair_page(&store.connection, RepairMark::default(), 9)
            .unwrap()
            .is_empty()
    );
    let on = |host| query::blocks_on(&store.connection, node(host), 0, 9).unwrap();
    assert!(on(2).is_empty());
    assert_eq!(on(6)[0].block, block(2));
    assert_eq!(on(6)[0].root, root(9));
    assert!(
        query::blocks_on(&store.connection, node(6), on(6)[0].cursor, 9)
            .unwrap()
            .is_empty()
    );
    store.take(Change::HostRemoved { host: node(2) }).unwrap();
    assert_eq!(
        store.take(moved(0, Some(node(0)), 2)),
        Err(Refusal::HostUnknown(node(2)))
    );
    store.take(Change::HostKnown { host: node(2) }).unwrap();
    store.take(moved(0, Some(node(0)), 2)).unwrap();
}

#[test]
fn settings_documents_keys_and_tags_are_kept() {
    let mut store = Store::with_bucket(false);
    let document = |kind, text: Option<&str>| Change::BucketDocument {
        bucket: bucket(),
        kind,
        document: text.map(str::to_owned),
    };
    store
        .take(document(DocumentKind::Cors, Some("<a/>")))
        .unwrap();
    store
        .take(document(DocumentKind::Cors, Some("<b/>")))
        .unwrap();
    let read = |store: &Store| {
        query::bucket_document(&store.connection, bucket(), DocumentKind::Cors).unwrap()
    };
    assert_eq!(read(&store).as_deref(), Some("<b/>"));
    store.take(document(DocumentKind::Cors, None)).unwrap();
    assert_eq!(read(&store), None);
    assert!(matches!(
        store.take(document(DocumentKind::ObjectLock, Some("<a/>"))),
        Err(Refusal::NotLockable(_))
    ));
    let access_key = Change::AccessKeyCreate {
        id: "AK1".into(),
        person: "ada".parse().unwrap(),
        sealed_secret: vec![7; 40],
        label: "laptop".into(),
    };
    store.take(access_key.clone()).unwrap();
    assert!(matches!(
        store.take(access_key),
        Err(Refusal::AccessKeyExists(_))
    ));
    let keys = query::access_keys_of(&store.connection, &"ada".parse().unwrap()).unwrap();
    assert_eq!(keys[0].sealed_secret, [7; 40]);
    assert!(!format!("{keys:?}").contains('7'));
    let gone = Change::AccessKeyDelete { id: "AK1".into() };
    store.take(gone.clone()).unwrap();
    assert!(matches!(
        store.take(gone),
        Err(Refusal::AccessKeyUnknown(_))
    ));
    store
        .take(Change::Setting {
            name: "a".into(),
            value: Some("1".into()),
        })
        .unwrap();
    assert_eq!(
        query::setting(&store.connection, "a").unwrap().as_deref(),
        Some("1")
    );
    let mut object = put(1, "a", 5);
    object.head.metadata.insert("x".into(), "y".into());
    store.take(Change::ObjectPut(object)).unwrap();
    let tags = Change::ObjectTags {
        bucket: bucket(),
        key: key("a"),
        version: VersionChoice::Current,
        tags: [("k\"ey".to_owned(), "välue".to_owned())].into(),
    };
    store.take(tags).unwrap();
    let found = query::object_current(&store.connection, bucket(), &key("a"))
        .unwrap()
        .unwrap();
    assert_eq!(found.head.tags["k\"ey"], "välue");
    assert_eq!(found.head.metadata["x"], "y");
}

#[test]
fn how_a_bucket_kept_its_stripes_is_known_as_long_as_a_put_may_take() {
    const DAY: i64 = 24 * 3600 * 1_000_000;
    let mut store = Store::with_bucket(false);
    let began = store.bucket().redundancy;
    let former = |store: &Store| query::former_redundancies(&store.connection, bucket()).unwrap();
    let to = |store: &mut Store, redundancy: &str| {
        let update = BucketUpdate {
            bucket: bucket(),
            redundancy: redundancy.parse().unwrap(),
            quota: Quota::default(),
        };
        store.take(Change::BucketUpdate(update)).unwrap();
    };
    to(&mut store, &began.to_string());
    assert!(former(&store).is_empty(), "nothing was changed");
    to(&mut store, "rs(2,1)");
    assert_eq!(former(&store), [began]);
    to(&mut store, "replica(2)");
    assert_eq!(former(&store), ["rs(2,1)".parse().unwrap(), began]);
    // What it is now, it was not before.
    to(&mut store, "rs(2,1)");
    assert_eq!(former(&store), ["replica(2)".parse().unwrap(), began]);
    store.time += 8 * DAY;
    to(&mut store, "rs(3,2)");
    assert_eq!(former(&store), ["rs(2,1)".parse().unwrap()]);
    store
        .take(Change::BucketDelete { bucket: bucket() })
        .unwrap();
    assert!(!dump(&store.connection).contains("former"));
}

#[test]
fn what_is_put_short_is_known_as_short_until_it_is_whole() {
    let mut store = Store::with_bucket(false);
    let losses = Change::BucketLosses {
        bucket: bucket(),
        losses: 1,
    };
    assert_eq!(store.bucket().losses_allowed, 0);
    store.take(losses).unwrap();
    assert_eq!(store.bucket().losses_allowed, 1);
    store.take(Change::ObjectPut(put(1, "whole", 20))).unwrap();
    let mut short = put(2, "short", 20);
    let mut lost = Vec::new();
    for stripe in &mut short.stripes {
        lost.push((stripe.id, stripe.blocks.pop().unwrap()));
    }
    store.take(Change::ObjectPut(short)).unwrap();
    let short = |store: &Store| {
        let found = query::short_versions(&store.connection).unwrap();
        found.get(&bucket()).copied().unwrap_or_default()
    };
    let missing = |store: &Store, name: &str| {
        let choice = VersionChoice::Current;
        let found = query::object_version(&store.connection, bucket(), &key(name), choice);
        query::blocks_missing(&store.connection, &found.unwrap().unwrap()).unwrap()
    };
    assert_eq!(short(&store), 1);
    assert_eq!((missing(&store, "whole"), missing(&store, "short")), (0, 2));
    assert_eq!(query::repair_count(&store.connection).unwrap(), 2);
    let next = |after| {
        let page = query::repair_page(&store.connection, after, 1).unwrap();
        page.first().map(|wanted| (wanted.mark, wanted.stripe.id))
    };
    let (first, second) = (next(RepairMark::default()).unwrap(), lost[1].0);
    assert_eq!((first.1, next(first.0).unwrap().1), (lost[0].0, second));
    assert_eq!(next(next(first.0).unwrap().0), None);
    for (stripe, block) in lost {
        assert_eq!(short(&store), 1);
        let moved = Change::BlockMoved {
            block: BlockId {
                stripe,
                position: block.position,
            },
            from: None,
            to: block.host,
            root: block.root,
        };
        store.take(moved).unwrap();
    }
    assert_eq!((short(&store), missing(&store, "short")), (0, 0));
}
