//! What tests of shadows of a core on a server share.

use std::sync::Arc;

use gridmart_schemas::data::{Filter, Position, SqlType, TableFilter, Value};

use crate::data::{
    check::differing,
    engine::{CoreEngine, Engine as _, Limits, Statement},
    fixture::{reading, rows, schema},
    home::Home,
    log::{LogBounds, Pulled},
    shadow::SqliteShadow,
    snapshot::{Install, Snapshot},
};

/// A shadow that begins with a snapshot of the core.
pub(in super::super) async fn shadow(
    core: &dyn CoreEngine,
    home: &Home,
) -> (tempfile::TempDir, SqliteShadow) {
    let folder = tempfile::tempdir().unwrap();
    let own = Home::open(&folder.path().join("shadow")).unwrap();
    let path = install(core, home, &own).await;
    let shadow = SqliteShadow::open(&path, LogBounds::default(), 2).unwrap();
    (folder, shadow)
}

/// Makes a snapshot of the core the file of a copy in another folder.
pub(in super::super) async fn install(
    core: &dyn CoreEngine,
    home: &Home,
    own: &Home,
) -> std::path::PathBuf {
    installed(core.snapshot(home).await.unwrap(), own)
}

fn installed(mut snapshot: Snapshot, own: &Home) -> std::path::PathBuf {
    let mut install = Install::begin(own, snapshot.head().clone()).unwrap();
    loop {
        let chunk = snapshot.next_chunk(u64::MAX).unwrap();
        if chunk.is_empty() {
            break;
        }
        install.write(&chunk).unwrap();
    }
    install.finish().unwrap()
}

/// Brings the shadow to a position of the core at least.
pub(in super::super) async fn follow(
    core: &dyn CoreEngine,
    shadow: &SqliteShadow,
    position: Position,
) {
    while shadow.position().position < position {
        let told = shadow.history().await.unwrap();
        match core.pull(told, 64 * 1024).await.unwrap() {
            Pulled::Entries(entries) => drop(shadow.apply(entries).await.unwrap()),
            other => panic!("{other:?}"),
        }
    }
}

/// Both have the same rows, and the mirror has what the server has.
pub(in super::super) async fn compare(
    core: &dyn CoreEngine,
    shadow: &SqliteShadow,
    table: &str,
    types: Vec<SqlType>,
) {
    let sums = core.sums(3, None, None).await.unwrap();
    follow(core, shadow, sums.position).await;
    let own = shadow.sums_same(sums.clone()).await.unwrap();
    assert_eq!(differing(&sums, &own), Some(Vec::new()));
    let all = reading(&format!("SELECT * FROM {table} ORDER BY id")).giving(types);
    let of_shadow = shadow.read(all.clone(), Limits::default()).await.unwrap();
    let of_shadow = of_shadow.collect().await.unwrap();
    let of_core = core.read(all, Limits::default()).await.unwrap();
    let of_core = of_core.collect().await.unwrap();
    assert!(of_core == of_shadow, "{table} differs");
}

/// A change of the schema in the words of both.
pub(in super::super) fn both(text: &str, shadow: &str) -> Statement {
    let mut statement = schema(text);
    statement.shadow_text = Some(shadow.to_owned());
    statement
}

/// Of a table `part` with `id`, `n` and `word`, a shadow holds some rows without a column:
/// they come and leave as its filter says. The changes of the schema are of another table,
/// and of this one.
pub(in super::super) async fn a_part_follows(
    core: &dyn CoreEngine,
    home: &Home,
    [other, own]: [Statement; 2],
) {
    let write = async |text: &str| core.write(rows(text), Limits::default()).await.unwrap();
    write("INSERT INTO part VALUES (1, 5, 'low'), (2, 50, 'high'), (3, 70, 'top')").await;
    let high = TableFilter {
        columns: Some(["id", "n"].map(str::to_owned).into()),
        rows: Some("n > 10".to_owned()),
    };
    let filter = Arc::new(Filter {
        tables: [("part".to_owned(), high)].into(),
        version: 1,
    });
    let folder = tempfile::tempdir().unwrap();
    let own_home = Home::open(&folder.path().join("shadow")).unwrap();
    let snapshot = core.snapshot_part(home, Arc::clone(&filter)).await.unwrap();
    let path = installed(snapshot, &own_home);
    let shadow = SqliteShadow::open(&path, LogBounds::default(), 2).unwrap();
    for statement in [
        "UPDATE part SET n = 60 WHERE id = 1",
        "UPDATE part SET n = 1 WHERE id = 2",
        "UPDATE part SET word = 'x' WHERE id = 3",
        "INSERT INTO part VALUES (4, 11, 'in'), (5, 10, 'out')",
        "DELETE FROM part WHERE id = 3",
    ] {
        write(statement).await;
    }
    core.write(other, Limits::default()).await.unwrap();
    let last = write("INSERT INTO part VALUES (6, 99, 'in')").await;
    let pull = async || {
        let told = shadow.history().await.unwrap();
        core.pull_part(told, Arc::clone(&filter), 1024)
            .await
            .unwrap()
    };
    while shadow.position().position < last.position {
        match pull().await {
            Pulled::Entries(entries) => drop(shadow.apply(entries).await.unwrap()),
            other => panic!("{other:?}"),
        }
    }
    let sums = core.sums(2, Some(Arc::clone(&filter)), None).await.unwrap();
    let of_shadow = shadow.sums_same(sums.clone()).await.unwrap();
    assert_eq!(differing(&sums, &of_shadow), Some(Vec::new()));
    let all = reading("SELECT * FROM part ORDER BY id");
    let all = shadow.read(all, Limits::default()).await.unwrap();
    let wanted = [(1, 60), (4, 11), (6, 99)].map(|row| [row.0, row.1].map(Value::Int8).to_vec());
    assert_eq!(all.collect().await.unwrap(), wanted);
    core.write(own, Limits::default()).await.unwrap();
    let pulled = pull().await;
    assert!(
        matches!(pulled, Pulled::SnapshotNeeded { .. }),
        "{pulled:?}"
    );
}
