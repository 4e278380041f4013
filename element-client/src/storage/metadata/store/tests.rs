//! The database itself: how it is opened, and that large manifests stay usable.

use rusqlite::Connection;

use super::*;
use crate::storage::metadata::{
    record::Change,
    tests::fixture::{Store, bucket, key, put, stripe, stripe_id},
};

#[test]
fn a_commit_survives_a_power_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metadata.sqlite");
    let connection = open_writer(&path).unwrap();
    let pragma = |name: &str| -> String {
        connection
            .pragma_query_value(None, name, |row| {
                row.get::<_, rusqlite::types::Value>(0)
                    .map(|value| format!("{value:?}"))
            })
            .unwrap()
    };
    assert_eq!(pragma("journal_mode"), "Text(\"wal\")");
    assert_eq!(pragma("synchronous"), "Integer(2)");
    assert_eq!(pragma("foreign_keys"), "Integer(1)");
}

#[test]
fn a_newer_or_foreign_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metadata.sqlite");
    open_writer(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    assert!(matches!(
        open_writer(&path),
        Err(StoreError::Newer { found: 99, .. })
    ));
    let other = folder.path().join("other.sqlite");
    std::fs::write(&other, "x".repeat(5000)).unwrap();
    assert!(open_writer(&other).is_err());
}

#[test]
fn twenty_gibibytes_are_read_by_ranges() {
    const STRIPE: u64 = 16 * 1024 * 1024;
    let mut store = Store::with_bucket(false);
    let mut large = put(1, "disk.img", 0);
    large.size = 1280 * STRIPE;
    large.stripes = (0..1280).map(|at| stripe(stripe_id(at), STRIPE)).collect();
    store.take(Change::ObjectPut(large)).unwrap();
    let found = query::object_current(&store.connection, bucket(), &key("disk.img"))
        .unwrap()
        .unwrap();
    let layout = |range, limit| query::layout(&store.connection, &found, range, limit).unwrap();
    let ordinals = |layout: &Layout| -> Vec<u64> {
        layout.stripes.iter().map(|stripe| stripe.ordinal).collect()
    };
    let middle = layout(500 * STRIPE - 1..501 * STRIPE, 10);
    assert_eq!(ordinals(&middle), [499, 500]);
    assert_eq!(middle.stripes[1].start, 500 * STRIPE);
    assert_eq!(middle.stripes[1].blocks.len(), 6);
    assert_eq!(middle.next, None);
    let last = layout(1280 * STRIPE - 1..u64::MAX, 10);
    assert_eq!(ordinals(&last), [1279]);
    let page = layout(0..u64::MAX, 1000);
    assert_eq!((page.stripes.len(), page.next), (1000, Some(1000 * STRIPE)));
    let rest = layout(1000 * STRIPE..u64::MAX, 1000);
    assert_eq!((rest.stripes.len(), rest.next), (280, None));
    assert_eq!(layout(5..6, 0).stripes.len(), 1);
}

/// How SQLite would run a query.
fn plan(connection: &Connection, sql: &str) -> String {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap();
    let count = statement.parameter_count();
    let lines = statement
        .query_map(
            rusqlite::params_from_iter(std::iter::repeat_n(0, count)),
            |row| row.get::<_, String>("detail"),
        )
        .unwrap();
    lines.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
}

#[test]
fn what_is_asked_often_is_found_by_an_index() {
    let store = Store::new();
    for (sql, index) in [
        (
            "SELECT * FROM version WHERE bucket = ?1 AND key = ?2 ORDER BY number DESC LIMIT 1",
            "version_of_key",
        ),
        (
            "SELECT * FROM version WHERE bucket = (SELECT number FROM bucket WHERE id = ?1)
             AND key >= ?2 AND key < ?3 AND is_latest = 1 AND is_marker = 0 ORDER BY key",
            "version_seen",
        ),
        (
            "SELECT * FROM version WHERE bucket = ?1 AND key >= ?2 AND key < ?3
             AND (key > ?2 OR ?4 IS NULL OR number < ?4) ORDER BY key, number DESC",
            "version_of_key",
        ),
        (
            "UPDATE version SET is_latest = 0 WHERE bucket = ?1 AND key = ?2 AND is_latest = 1",
            "version_of_key",
        ),
        (
            "SELECT * FROM version WHERE bucket = ?1 AND key = ?2 AND is_null = 1",
            "version_null",
        ),
        (
            "SELECT stripe.number FROM block JOIN stripe ON stripe.number = block.stripe
             WHERE host = ?1 AND block.stripe > ?2 ORDER BY block.stripe LIMIT ?3",
            "block_of_host",
        ),
        (
            "SELECT since, stripe.number FROM garbage JOIN stripe ON stripe.part = garbage.part
             WHERE since < ?1 ORDER BY since, garbage.part, stripe.start LIMIT ?2",
            "garbage_since",
        ),
        (
            "UPDATE part SET version = NULL WHERE version = ?1",
            "part_of_version",
        ),
        (
            "SELECT * FROM part WHERE upload = ?1 AND part = ?2",
            "part_of_upload",
        ),
        (
            "SELECT * FROM upload WHERE bucket = ?1 AND key >= ?2 AND key < ?3
             ORDER BY key, number",
            "upload_of_key",
        ),
    ] {
        let plan = plan(&store.connection, sql);
        assert!(plan.contains(index), "{sql}: {plan}");
        assert!(
            !plan.contains("SCAN") && !plan.contains("TEMP B-TREE"),
            "{sql}: {plan}"
        );
    }
}
