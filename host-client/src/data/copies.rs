//! The copies of databases on this Host: each has a folder named after its
//! database's id, and is open as long as the Host runs.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use gridmart_fabric::disk::{Disk as _, RealDisk};
use gridmart_schemas::{
    data::LogPoint,
    id::DatabaseId,
    problem::{Code, Problem},
    resource::{
        enumeration::{ReplicaRole, SyncState},
        host::ReplicaState,
    },
    scalar::Uri,
};
use parking_lot::RwLock;

use super::{
    engine::{
        Engine, EngineError,
        sqlite::{CoreSettings, SqliteCore, role_of},
    },
    follower::Follower,
    home::Home,
    log::{LogBounds, Role},
    shadow::SqliteShadow,
};

/// Threads that read a database at a time; more reads wait.
const READERS: usize = 8;

/// An engine that is open.
pub(super) enum Opened {
    Core(SqliteCore),
    Shadow(SqliteShadow),
    /// It cannot be used; why.
    Broken(String),
}

/// A copy of a database.
pub(super) struct Copy {
    pub(super) database: DatabaseId,
    pub(super) role: ReplicaRole,
    pub(super) home: Home,
    folder: PathBuf,
    opened: RwLock<Arc<Opened>>,
    /// What keeps a shadow following its core.
    pub(super) follower: Follower,
}

impl Copy {
    fn open(database: DatabaseId, folder: &Path) -> Result<Option<Self>, EngineError> {
        let home = Home::open(folder)?;
        let Some(path) = home.database()? else {
            return Ok(None);
        };
        let role = match role_of(&path)? {
            Role::Core => ReplicaRole::Core,
            Role::Shadow => ReplicaRole::Shadow,
        };
        Ok(Some(Self {
            database,
            role,
            opened: RwLock::new(Arc::new(opened(&path, role))),
            home,
            folder: folder.to_owned(),
            follower: Follower::default(),
        }))
    }

    /// Its engine as it is now.
    pub(super) fn engine(&self) -> Arc<Opened> {
        Arc::clone(&self.opened.read())
    }

    /// The core's engine, which takes writes.
    pub(super) fn core(&self) -> Result<Arc<Opened>, Problem> {
        let engine = self.engine();
        match &*engine {
            Opened::Core(_) => Ok(engine),
            Opened::Shadow(_) => Err(Problem::new(
                Code::PreconditionFailed,
                format!(
                    "This Host has a shadow of the database {}, not its core.",
                    self.database
                ),
            )),
            Opened::Broken(why) => Err(broken(self.database, why)),
        }
    }

    /// Closes a shadow, so that its file can be replaced; statements that read it are
    /// ended.
    pub(super) fn close(&self) {
        *self.opened.write() = Arc::new(Opened::Broken("it is being made anew".to_owned()));
    }

    /// Opens a shadow again.
    pub(super) fn open_again(&self) {
        let opened = match self.home.database() {
            Ok(Some(path)) => opened(&path, self.role),
            Ok(None) => Opened::Broken("its file is gone".to_owned()),
            Err(error) => Opened::Broken(error.to_string()),
        };
        *self.opened.write() = Arc::new(opened);
    }

    /// How it is, for the Host's State.
    fn state(&self) -> ReplicaState {
        let engine = self.engine();
        let (last, sync_state) = match &*engine {
            Opened::Core(core) => (core.position(), SyncState::Synchronised),
            Opened::Shadow(shadow) => (shadow.position(), self.follower.sync_state()),
            Opened::Broken(_) => (LogPoint::default(), self.follower.sync_state_broken()),
        };
        ReplicaState {
            database: Uri::from_uuid(self.database.as_uuid()),
            role: self.role,
            sync_state,
            log_position: u64::try_from(last.position.number()).unwrap_or_default(),
            epoch: u64::try_from(last.epoch.number()).unwrap_or_default(),
            used_size: used(&self.folder),
        }
    }
}

fn opened(path: &Path, role: ReplicaRole) -> Opened {
    let opened = match role {
        ReplicaRole::Core => {
            SqliteCore::open(path, CoreSettings::default(), READERS).map(Opened::Core)
        }
        ReplicaRole::Shadow => {
            SqliteShadow::open(path, LogBounds::default(), READERS).map(Opened::Shadow)
        }
    };
    opened.unwrap_or_else(|error| {
        tracing::error!(path = %path.display(), %error, "a copy of a database cannot be opened");
        Opened::Broken(error.to_string())
    })
}

/// Refuses what a copy that cannot be used is asked for.
pub(super) fn broken(database: DatabaseId, why: &str) -> Problem {
    Problem::new(
        Code::StorageFailed,
        format!("The copy of the database {database} cannot be used: {why}."),
    )
}

/// Bytes of all files below a folder; what cannot be looked at counts nothing.
fn used(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => used(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    sizes.fold(0, u64::saturating_add)
}

/// All copies of a Host.
pub(super) struct Copies {
    folder: PathBuf,
    all: RwLock<BTreeMap<DatabaseId, Arc<Copy>>>,
    /// Copies that cannot even be looked at, and why.
    unreadable: Vec<String>,
    /// One is made or removed at a time.
    changing: parking_lot::Mutex<()>,
}

impl Copies {
    /// Opens all that lie in the folder; blocks for the disk. One that cannot be
    /// opened keeps nobody from the others.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        RealDisk.create_folder(folder)?;
        let (mut all, mut unreadable) = (BTreeMap::new(), Vec::new());
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(database) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            match Copy::open(database, &entry.path()) {
                Ok(Some(copy)) => drop(all.insert(database, Arc::new(copy))),
                // A crash before it was made: nobody was told that it is there.
                Ok(None) => fs::remove_dir_all(entry.path())?,
                Err(error) => {
                    tracing::error!(database.id = %database, %error, "a copy of a database cannot be opened");
                    unreadable.push(format!(
                        "the copy of the database {database} cannot be opened: {error}"
                    ));
                }
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            all: RwLock::new(all),
            unreadable,
            changing: parking_lot::Mutex::default(),
        })
    }

    /// The copy of that database.
    pub(super) fn get(&self, database: DatabaseId) -> Result<Arc<Copy>, Problem> {
        let found = self.all.read().get(&database).cloned();
        found.ok_or_else(|| {
            Problem::new(
                Code::NotFound,
                format!("This Host has no copy of the database {database}."),
            )
        })
    }

    /// Makes one that is not there; blocks for the disk.
    pub(super) fn make(
        &self,
        database: DatabaseId,
        role: ReplicaRole,
    ) -> Result<Arc<Copy>, Problem> {
        let _one_at_a_time = self.changing.lock();
        if let Ok(there) = self.get(database) {
            if there.role == role {
                return Ok(there);
            }
            let detail = format!(
                "This Host has the {} of the database {database}, and may have but one copy.",
                there.role
            );
            return Err(Problem::new(Code::AlreadyExists, detail));
        }
        let folder = self.folder.join(database.to_string());
        let made = || -> Result<Option<Copy>, EngineError> {
            let home = Home::open(&folder)?;
            let made = match role {
                ReplicaRole::Core => Role::Core,
                ReplicaRole::Shadow => Role::Shadow,
            };
            if home.database()?.is_none() {
                home.create(*database.as_uuid(), made)?;
            }
            Copy::open(database, &folder)
        };
        let failed = |why: String| {
            let detail = format!("The copy of the database {database} cannot be made: {why}.");
            Problem::new(Code::StorageFailed, detail)
        };
        let copy = made().map_err(|error| failed(error.to_string()))?;
        RealDisk
            .sync_folder(&self.folder)
            .map_err(|error| failed(error.to_string()))?;
        let copy = Arc::new(copy.ok_or_else(|| failed("it is not there".to_owned()))?);
        self.all.write().insert(database, Arc::clone(&copy));
        Ok(copy)
    }

    /// Removes one, if it is there; blocks for the disk.
    pub(super) fn remove(&self, database: DatabaseId) -> Result<(), Problem> {
        let _one_at_a_time = self.changing.lock();
        let Some(copy) = self.all.write().remove(&database) else {
            return Ok(());
        };
        copy.follower.end();
        copy.close();
        match fs::remove_dir_all(&copy.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Problem::new(
                Code::StorageFailed,
                format!("The copy of the database {database} cannot be removed: {error}."),
            )),
            _ => Ok(()),
        }
    }

    /// How all of them are.
    pub(super) fn states(&self) -> Vec<ReplicaState> {
        let copies: Vec<_> = self.all.read().values().cloned().collect();
        copies.iter().map(|copy| copy.state()).collect()
    }

    /// Why some cannot be used, if that is so.
    pub(super) fn complaint(&self) -> Option<String> {
        if let Some(unreadable) = self.unreadable.first() {
            return Some(unreadable.clone());
        }
        let all = self.all.read();
        all.values().find_map(|copy| match &*copy.engine() {
            Opened::Broken(why) if copy.role == ReplicaRole::Core => Some(format!(
                "the core of the database {} cannot be used: {why}",
                copy.database
            )),
            _ => None,
        })
    }

    /// Ends what follows cores, and closes the engines.
    pub(super) fn close(&self) {
        let all = std::mem::take(&mut *self.all.write());
        for copy in all.values() {
            copy.follower.end();
            copy.close();
        }
    }
}
