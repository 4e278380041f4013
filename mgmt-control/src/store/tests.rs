use super::*;

#[test]
fn migrations_are_applied_once_and_survive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    let first = open_writer(&path).unwrap();
    meta_put(&first, "generation", "7").unwrap();
    drop(first);
    let again = open_writer(&path).unwrap();
    assert_eq!(
        meta_get(&again, "generation").unwrap().as_deref(),
        Some("7")
    );
    let version: i64 = again
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(usize::try_from(version).unwrap(), MIGRATIONS.len());
    let pragma = |name: &str| {
        again
            .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
            .unwrap()
    };
    assert_eq!(
        pragma("journal_mode"),
        rusqlite::types::Value::Text("wal".to_owned())
    );
    assert_eq!(pragma("synchronous"), rusqlite::types::Value::Integer(2));
    assert_eq!(pragma("foreign_keys"), rusqlite::types::Value::Integer(1));
}

#[test]
fn a_newer_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    let first = open_writer(&path).unwrap();
    first.pragma_update(None, "user_version", 999).unwrap();
    drop(first);
    assert!(matches!(
        open_writer(&path),
        Err(StoreError::Newer { found: 999, .. })
    ));
}

#[test]
fn readers_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    drop(open_writer(&path).unwrap());
    let reader = open_reader(&path).unwrap();
    assert!(meta_put(&reader, "x", "y").is_err());
    assert_eq!(meta_get(&reader, "x").unwrap(), None);
}

#[test]
fn what_is_damaged_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    let connection = open_writer(&path).unwrap();
    connection
        .execute(
            "INSERT INTO person VALUES ('Not A Name', 'admin', NULL, 1, '', 0)",
            [],
        )
        .unwrap();
    let Err(error) = person::person_list(&connection) else {
        panic!("it was read")
    };
    assert!(
        gridmart_fabric::causes::with_causes(&error).contains("Not A Name"),
        "{}",
        gridmart_fabric::causes::with_causes(&error)
    );
    std::fs::write(
        &path,
        "this is no database, and long enough to be looked at",
    )
    .unwrap();
    let other = folder.path().join("other.sqlite");
    std::fs::write(&other, "x".repeat(5000)).unwrap();
    assert!(open_writer(&other).is_err());
}
