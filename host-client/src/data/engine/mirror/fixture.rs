//! What tests of shadows of a core on a server share.

use gridmart_schemas::data::{Position, SqlType};

use crate::data::{
    check::differing,
    engine::{CoreEngine, Engine as _, Limits, Statement},
    fixture::{reading, schema},
    home::Home,
    log::{LogBounds, Pulled},
    shadow::SqliteShadow,
    snapshot::Install,
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
    let mut snapshot = core.snapshot(home).await.unwrap();
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
