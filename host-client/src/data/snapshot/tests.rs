//! Copies come whole or not at all; a promotion loses nothing silently; what
//! differs is found.

use gridmart_schemas::data::{Epoch, Position, Value};

use super::*;
use crate::data::{
    check::{differing, rows_of, sum, sum_same},
    engine::{
        SqlState,
        sqlite::{Core, CoreSettings, history},
    },
    fixture::{column, reader, rows, schema, text, whole, write},
    log::{LogBounds, Pulled, pull},
    promotion::{Returned, come_back, promote},
    shadow::Applier,
};

/// A core in a home of its own.
fn core_home(folder: &Path) -> (Home, Core) {
    let home = Home::open(&folder.join("core")).unwrap();
    let path = home.create(Uuid::new_v4(), Role::Core).unwrap();
    let core = Core::open(&path, CoreSettings::default()).unwrap();
    (home, core)
}

fn fill(core: &mut Core) {
    write(
        core,
        &schema("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)"),
    )
    .unwrap();
    for id in 0..50 {
        insert(core, id);
    }
}

fn insert(core: &mut Core, id: i64) {
    let insert = rows("INSERT INTO t VALUES (?1, ?2)");
    write(core, &insert.with(vec![Value::Int8(id), text("body")])).unwrap();
}

fn install(home: &Home, snapshot: &mut Snapshot) -> Result<PathBuf, EngineError> {
    let mut install = Install::begin(home, snapshot.head().clone())?;
    loop {
        let chunk = snapshot.next_chunk(u64::MAX)?;
        if chunk.is_empty() {
            return install.finish();
        }
        install.write(&chunk)?;
    }
}

fn database(home: &Home) -> PathBuf {
    home.database().unwrap().unwrap()
}

/// Brings a shadow to the end of its core's log.
fn follow(core: &Path, shadow: &Path) -> Applier {
    let mut applier = Applier::open(shadow, LogBounds::default()).unwrap();
    let told = history(&reader(shadow)).unwrap();
    let core = reader(core);
    let state = state_of(&core).unwrap();
    let Pulled::Entries(entries) = pull(&core, &state, &told, u64::MAX).unwrap() else {
        panic!("no entries")
    };
    applier.apply(&entries).unwrap();
    applier
}

#[test]
fn a_copy_is_of_one_position_and_catches_up() {
    let folder = tempfile::tempdir().unwrap();
    let (home, mut core) = core_home(folder.path());
    fill(&mut core);
    write(&mut core, &rows("DELETE FROM t WHERE id > 40")).unwrap();
    let mut snapshot = Snapshot::take(&home).unwrap();
    assert_eq!(snapshot.head().last, core.last());
    // The core goes on.
    for id in 100..150 {
        insert(&mut core, id);
    }
    let shadow = Home::open(&folder.path().join("shadow")).unwrap();
    let path = install(&shadow, &mut snapshot).unwrap();
    assert_eq!(column(&path, "SELECT count(*) FROM t"), ["41"]);
    let applier = follow(&database(&home), &path);
    assert_eq!(applier.last(), core.last());
    assert_eq!(whole(&database(&home)), whole(&path));
    drop(snapshot);
    assert_eq!(fs::read_dir(home.outgoing()).unwrap().count(), 0);
}

#[test]
fn a_copy_that_is_damaged_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let (home, mut core) = core_home(folder.path());
    fill(&mut core);
    let shadow = Home::open(&folder.path().join("shadow")).unwrap();
    let before = install(&shadow, &mut Snapshot::take(&home).unwrap()).unwrap();
    insert(&mut core, 1000);
    let mut snapshot = Snapshot::take(&home).unwrap();
    let bytes = snapshot.next_chunk(u64::MAX).unwrap();
    let head = snapshot.head().clone();
    let try_with = |head: &SnapshotHead, bytes: &[u8]| {
        let mut install = Install::begin(&shadow, head.clone()).unwrap();
        install.write(bytes).and_then(|()| install.finish())
    };
    let mut flipped = bytes.clone();
    flipped[5000] ^= 1;
    let elsewhere = SnapshotHead {
        database: Uuid::new_v4(),
        ..head.clone()
    };
    for (head, bytes) in [
        (&head, flipped.as_slice()),
        (&head, &bytes[1..]),
        (&head, &[bytes.as_slice(), &[0]].concat()),
        (&elsewhere, &bytes),
    ] {
        let refused = try_with(head, bytes).unwrap_err();
        assert!(
            matches!(refused, EngineError::Damaged { .. }),
            "{refused:?}"
        );
        assert_eq!(database(&shadow), before);
    }
    assert_eq!(column(&before, "SELECT max(id) FROM t"), ["49"]);
    try_with(&head, &bytes).unwrap();
    assert_eq!(
        column(&database(&shadow), "SELECT max(id) FROM t"),
        ["1000"]
    );
}

#[test]
fn an_old_core_comes_back_and_what_it_alone_had_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let (old_home, mut old) = core_home(folder.path());
    fill(&mut old);
    let homes = ["one", "two"].map(|name| {
        let home = Home::open(&folder.path().join(name)).unwrap();
        install(&home, &mut Snapshot::take(&old_home).unwrap()).unwrap();
        home
    });
    let [one, two] = homes.each_ref().map(database);
    // Commits that no shadow has seen.
    write(
        &mut old,
        &rows("UPDATE t SET body = 'unshipped' WHERE id = 7"),
    )
    .unwrap();
    write(
        &mut old,
        &schema("CREATE TABLE lost (id INTEGER PRIMARY KEY)"),
    )
    .unwrap();
    let shared = Position::new(51);
    drop(old);
    let begin = promote(&one, Epoch::new(2)).unwrap();
    assert_eq!(begin.first, shared.next());
    // Asked again, it is the same; an older epoch is refused.
    assert_eq!(promote(&one, Epoch::new(2)).unwrap(), begin);
    assert!(matches!(
        promote(&two, Epoch::new(1)),
        Err(EngineError::Fenced { .. })
    ));
    let mut core = Core::open(&one, CoreSettings::default()).unwrap();
    write(&mut core, &rows("UPDATE t SET body = 'new' WHERE id = 7")).unwrap();
    // The other shadow follows without a snapshot.
    drop(follow(&one, &two));
    assert_eq!(whole(&one), whole(&two));
    let told = history(&reader(&one)).unwrap();
    let file = folder.path().join("set-aside.jsonl");
    let Returned::Rebuild(aside) = come_back(&database(&old_home), &told, &file).unwrap() else {
        panic!("nothing was set aside")
    };
    assert_eq!(
        (aside.common, aside.last, aside.entries, aside.missing),
        (shared, Position::new(53), 2, 0)
    );
    let lines = fs::read_to_string(&file).unwrap();
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["table"], "t");
    assert_eq!(lines[0]["old"]["body"], "body");
    assert_eq!(lines[0]["new"]["body"], "unshipped");
    assert_eq!(
        lines[1]["statement"],
        "CREATE TABLE lost (id INTEGER PRIMARY KEY)"
    );
    // It would not be served as it is.
    let parted = pull(
        &reader(&one),
        &state_of(&reader(&one)).unwrap(),
        &history(&reader(&database(&old_home))).unwrap(),
        u64::MAX,
    );
    assert_eq!(parted.unwrap(), Pulled::Parted { common: shared });
    install(&old_home, &mut Snapshot::take(&homes[0]).unwrap()).unwrap();
    assert_eq!(whole(&one), whole(&database(&old_home)));
    drop(core);
}

#[test]
fn an_old_core_without_entries_of_its_own_follows_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (old_home, mut old) = core_home(folder.path());
    fill(&mut old);
    drop(old);
    let home = Home::open(&folder.path().join("one")).unwrap();
    let one = install(&home, &mut Snapshot::take(&old_home).unwrap()).unwrap();
    promote(&one, Epoch::new(2)).unwrap();
    let mut core = Core::open(&one, CoreSettings::default()).unwrap();
    insert(&mut core, 500);
    let told = history(&reader(&one)).unwrap();
    let old = database(&old_home);
    let file = folder.path().join("none.jsonl");
    assert!(matches!(
        come_back(&old, &told, &file).unwrap(),
        Returned::Follows(_)
    ));
    assert!(!file.exists());
    drop(follow(&one, &old));
    assert_eq!(whole(&one), whole(&old));
}

#[test]
fn ranges_that_differ_are_found_and_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let (home, mut core) = core_home(folder.path());
    fill(&mut core);
    let keyed =
        "CREATE TABLE pair (a TEXT NOT NULL, b INT8 NOT NULL, c BLOB FLOAT8, PRIMARY KEY (b, a))";
    write(&mut core, &schema(keyed)).unwrap();
    for n in 0..25 {
        let insert = rows("INSERT INTO pair VALUES (?1, ?2, 1.5)");
        let key = vec![text(&format!("k{n}")), Value::Int8(n % 4)];
        write(&mut core, &insert.with(key)).unwrap();
    }
    write(
        &mut core,
        &schema("CREATE TABLE empty (id INTEGER PRIMARY KEY)"),
    )
    .unwrap();
    let shadow = Home::open(&folder.path().join("shadow")).unwrap();
    let path = install(&shadow, &mut Snapshot::take(&home).unwrap()).unwrap();
    let core_view = reader(&database(&home));
    let told = sum(&core_view, 10).unwrap();
    assert_eq!(told.ranges.len(), 6 + 3 + 1, "{told:?}");
    let same = |path: &Path| {
        let view = reader(path);
        differing(&told, &sum_same(&view, &told).unwrap()).unwrap()
    };
    assert!(same(&path).is_empty());
    for damage in [
        "UPDATE t SET body = 'BODY' WHERE id = 15",
        "DELETE FROM t WHERE id = 0",
        "INSERT INTO t VALUES (-5, 'x'), (1000, 'y')",
        "UPDATE pair SET c = 2 WHERE b = 3 AND a = 'k7'",
        "INSERT INTO empty VALUES (1)",
        "DELETE FROM pair",
    ] {
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch(damage).unwrap();
        drop(other);
        let found = same(&path);
        assert!(!found.is_empty(), "{damage}");
        let sent: Vec<_> = found
            .iter()
            .map(|range| rows_of(&core_view, range).unwrap())
            .collect();
        let mut applier = Applier::open(&path, LogBounds::default()).unwrap();
        assert!(applier.repair(&sent).unwrap());
        assert!(same(&path).is_empty(), "{damage}");
    }
    assert_eq!(whole(&database(&home)), whole(&path));
    // Sums of different positions tell nothing.
    insert(&mut core, 2000);
    let later = sum(&reader(&database(&home)), 10).unwrap();
    assert_eq!(
        differing(&later, &sum_same(&reader(&path), &later).unwrap()),
        None
    );
}

#[test]
fn a_core_is_not_opened_as_a_shadow_nor_the_other_way_round() {
    let folder = tempfile::tempdir().unwrap();
    let (home, core) = core_home(folder.path());
    drop(core);
    let path = database(&home);
    let refused = Applier::open(&path, LogBounds::default()).err().unwrap();
    assert_eq!(refused.sql_state(), "25006");
    let shadow = Home::open(&folder.path().join("shadow")).unwrap();
    let path = shadow.create(Uuid::new_v4(), Role::Shadow).unwrap();
    let refused = Core::open(&path, CoreSettings::default()).err().unwrap();
    assert_eq!(refused.sql_state(), "25006");
    assert_ne!(refused.sql_state(), SqlState::STATEMENT_FAILED.0);
}

#[tokio::test]
async fn an_open_core_answers_whole_and_partial_shadows() {
    use crate::data::{
        engine::{Engine as _, Limits, sqlite::SqliteCore},
        partial,
        shadow::SqliteShadow,
    };
    use gridmart_schemas::data::{Filter, TableFilter};

    let folder = tempfile::tempdir().unwrap();
    let (home, mut core) = core_home(folder.path());
    fill(&mut core);
    drop(core);
    let core = SqliteCore::open(&database(&home), CoreSettings::default(), 2).unwrap();
    let even = TableFilter {
        columns: None,
        rows: Some("id % 2 = 0".to_owned()),
    };
    let filter = Filter {
        tables: [("t".to_owned(), even)].into(),
        version: 1,
    };
    let [whole, part] =
        ["whole", "part"].map(|name| Home::open(&folder.path().join(name)).unwrap());
    let whole = install(&whole, &mut Snapshot::take(&home).unwrap()).unwrap();
    let part = install(&part, &mut partial::take(&home, &filter).unwrap()).unwrap();
    let [whole, part] =
        [whole, part].map(|path| SqliteShadow::open(&path, LogBounds::default(), 1).unwrap());
    for id in 100..110 {
        let insert = rows("INSERT INTO t VALUES (?1, 'new')").with(vec![Value::Int8(id)]);
        core.write(insert, Limits::default()).await.unwrap();
    }
    let entries = |pulled| match pulled {
        Pulled::Entries(entries) => entries,
        other => panic!("{other:?}"),
    };
    let pulled = core
        .pull(whole.history().await.unwrap(), u64::MAX)
        .await
        .unwrap();
    assert_eq!(whole.apply(entries(pulled)).await.unwrap(), core.position());
    let told = part.history().await.unwrap();
    let pulled = core
        .pull_part(told, std::sync::Arc::new(filter), u64::MAX)
        .await
        .unwrap();
    assert_eq!(part.apply(entries(pulled)).await.unwrap(), core.position());
    let told = core.sums(20, None, None).await.unwrap();
    let found = differing(&told, &whole.sums_same(told.clone()).await.unwrap());
    assert_eq!(found, Some(Vec::new()));
    for (shadow, count) in [(&whole, 60), (&part, 30)] {
        let read = crate::data::fixture::reading("SELECT count(*) FROM t");
        let read = shadow.read(read, Limits::default()).await.unwrap();
        assert_eq!(read.collect().await.unwrap(), [[Value::Int8(count)]]);
    }
    // A repair for another position is not made.
    let sent = core.rows_of(told.ranges[0].range.clone()).await.unwrap();
    assert!(whole.repair(vec![sent.clone()]).await.unwrap());
    let later = crate::data::check::RangeRows {
        position: sent.position.next(),
        ..sent
    };
    assert!(!whole.repair(vec![later]).await.unwrap());
}
