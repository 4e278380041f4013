//! A shadow becomes the core, and the core that it replaced a shadow: on one Host, and
//! as after a restart.

use std::sync::Arc;

use gridmart_schemas::{data::Value, resource::enumeration::DataEngine};

use super::*;
use crate::data::{
    copies::Copies,
    engine::{Limits, Statement},
    fixture::{rows, schema},
    log::{Pulled, history::History},
    rebuilding::part,
};

/// Two Hosts with the copies of a database.
struct Two {
    folder: tempfile::TempDir,
    database: DatabaseId,
    old: Arc<Copy>,
    new: Arc<Copy>,
}

fn copies(folder: &Path, name: &str) -> Copies {
    Copies::open(&folder.join(name), LogBounds::default(), Servers::default()).unwrap()
}

impl Two {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = DatabaseId::generate();
        let made = |name, role| {
            let copies = copies(folder.path(), name);
            copies.make(database, role, &DataEngine::Sqlite).unwrap()
        };
        Self {
            old: made("old", ReplicaRole::Core),
            new: made("new", ReplicaRole::Shadow),
            folder,
            database,
        }
    }

    fn opened_again(&self, name: &str) -> Arc<Copy> {
        copies(self.folder.path(), name).get(self.database).unwrap()
    }

    /// Brings the shadow to where the core is.
    async fn ship(&self) {
        let (core, shadow) = (self.old.engine(), self.new.engine());
        let (Opened::Core(core), Opened::Shadow(shadow)) = (&*core, &*shadow) else {
            panic!("they are not what they were made as")
        };
        let told = shadow.history().await.unwrap();
        let Pulled::Entries(entries) = core.pull(told, u64::MAX).await.unwrap() else {
            panic!("no entries")
        };
        shadow.apply(entries).await.unwrap();
    }
}

async fn write(copy: &Copy, statement: Statement) -> Result<(), EngineError> {
    match &*copy.engine() {
        Opened::Core(core) => core.write(statement, Limits::default()).await.map(drop),
        Opened::Shadow(shadow) => shadow.write(statement, Limits::default()).await.map(drop),
        Opened::Broken(why) => panic!("{why}"),
    }
}

fn insert(id: i64) -> Statement {
    rows("INSERT INTO t VALUES (?1)").with(vec![Value::Int8(id)])
}

async fn history(copy: &Copy) -> History {
    match &*copy.engine() {
        Opened::Core(core) => core.history().await.unwrap(),
        Opened::Shadow(_) | Opened::Broken(_) => panic!("it is no core"),
    }
}

#[tokio::test]
async fn a_shadow_takes_over_and_what_the_old_core_alone_had_is_set_aside() {
    let two = Two::new();
    let (first, second) = (Epoch::FIRST, Epoch::new(2));
    let table = schema("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    write(&two.old, table).await.unwrap();
    two.ship().await;
    write(&two.old, insert(1)).await.unwrap();
    two.old.require_core(first).unwrap();
    // What is under way when it is promoted is not applied to the new core.
    let shadow = two.new.engine();
    assert!(two.new.require_core(second).is_err());
    two.new.lead(second).await.unwrap();
    two.new.lead(second).await.unwrap();
    let Opened::Shadow(shadow) = &*shadow else {
        panic!("it was a shadow")
    };
    assert!(shadow.apply(Vec::new()).await.is_err());
    two.new.require_core(second).unwrap();
    assert!(two.new.require_core(first).is_err());
    assert!(two.new.lead(first).await.is_err(), "it knows a newer epoch");
    assert!(two.new.follow(second).await.is_err(), "it leads that one");
    write(&two.new, insert(2)).await.unwrap();
    // The old core comes back; it takes no more writes, after a restart neither.
    two.old.follow(second).await.unwrap();
    assert_eq!(two.old.role(), ReplicaRole::Shadow);
    assert!(two.old.require_core(first).is_err());
    let restarted = two.opened_again("old");
    let refused = write(&restarted, insert(3)).await.unwrap_err();
    assert_eq!(refused, EngineError::Fenced { newest: second });
    drop(restarted);
    let core = history(&two.new).await;
    assert!(!part(&two.old, &core).unwrap(), "it needs a snapshot");
    let told = two.old.state();
    assert_eq!(told.set_aside.len(), 1, "{told:?}");
    let aside = &told.set_aside[0];
    assert_eq!((aside.first_position, aside.last_position), (2, 2));
    let kept = fs::read_to_string(aside.file.as_str()).unwrap();
    assert!(kept.contains("\"new\":{\"id\":1}"), "{kept}");
}

#[tokio::test]
async fn a_core_that_had_nothing_of_its_own_follows_as_it_is_and_may_lead_again() {
    let two = Two::new();
    let table = schema("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    write(&two.old, table).await.unwrap();
    two.ship().await;
    two.new.lead(Epoch::new(2)).await.unwrap();
    two.old.follow(Epoch::new(2)).await.unwrap();
    assert!(part(&two.old, &history(&two.new).await).unwrap());
    assert!(matches!(&*two.old.engine(), Opened::Shadow(_)));
    assert!(two.old.state().set_aside.is_empty());
    two.old.lead(Epoch::new(3)).await.unwrap();
    write(&two.old, insert(1)).await.unwrap();
    // One that was replaced, and chosen again before it had come behind the other.
    two.new.follow(Epoch::new(3)).await.unwrap();
    two.new.lead(Epoch::new(4)).await.unwrap();
    write(&two.new, insert(2)).await.unwrap();
    two.new.require_core(Epoch::new(4)).unwrap();
    assert_eq!(two.opened_again("new").role(), ReplicaRole::Core);
}

#[tokio::test]
async fn a_core_on_a_server_that_is_not_told_of_is_there_and_cannot_be_used() {
    let two = Two::new();
    let folder = two.folder.path().join("old").join(two.database.to_string());
    Home::open(&folder)
        .unwrap()
        .engine_put(&DataEngine::Postgresql)
        .unwrap();
    let old = copies(two.folder.path(), "old");
    let copy = old.get(two.database).unwrap();
    assert_eq!(copy.role(), ReplicaRole::Core);
    let Err(refused) = copy.core() else {
        panic!("there is no server")
    };
    assert!(refused.detail.contains("no postgresql server"), "{refused}");
    assert!(old.complaint().is_some());
    let other = DatabaseId::generate();
    let made = old.make(other, ReplicaRole::Core, &DataEngine::Postgresql);
    assert_eq!(made.err().unwrap().code, Code::HostDown);
    assert!(old.get(other).is_err());
}

#[tokio::test]
async fn a_core_goes_only_with_its_database() {
    let two = Two::new();
    let (old, new) = (
        copies(two.folder.path(), "old"),
        copies(two.folder.path(), "new"),
    );
    new.remove(two.database, false).unwrap();
    assert!(new.get(two.database).is_err());
    assert!(old.remove(two.database, false).is_err());
    assert!(old.get(two.database).is_ok());
    old.remove(two.database, true).unwrap();
    old.remove(two.database, true).unwrap();
    assert!(
        !two.folder
            .path()
            .join("old")
            .join(two.database.to_string())
            .exists()
    );
    // One that nobody can open goes as well, with its database.
    let broken = DatabaseId::generate();
    let folder = two.folder.path().join("old").join(broken.to_string());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("current"), b"no number").unwrap();
    let old = copies(two.folder.path(), "old");
    assert!(old.complaint().is_some());
    assert!(old.remove(broken, false).is_err());
    old.remove(broken, true).unwrap();
    assert!(old.complaint().is_none() && !folder.exists());
}
