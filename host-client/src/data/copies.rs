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
    id::DatabaseId,
    problem::{Code, Problem},
    resource::{
        enumeration::{DataEngine, ReplicaRole},
        host::{EngineInfo, ReplicaState},
    },
};
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;

use super::{
    copy::{Copy, Opened, Shelf},
    engine::EngineError,
    follower::failed,
    home::Home,
    kept_aside::KeptAside,
    log::{LogBounds, Role},
    server::Servers,
};

/// All copies of a Host.
pub(super) struct Copies {
    folder: PathBuf,
    all: RwLock<BTreeMap<DatabaseId, Arc<Copy>>>,
    shelf: Shelf,
    /// Copies that cannot even be looked at, and why.
    unreadable: Mutex<BTreeMap<DatabaseId, String>>,
    /// One is made or removed at a time.
    changing: Mutex<()>,
}

impl Copies {
    /// Opens all that lie in the folder; blocks for the disk. One that cannot be
    /// opened keeps nobody from the others.
    pub(super) fn open(folder: &Path, bounds: LogBounds, servers: Servers) -> io::Result<Self> {
        RealDisk.create_folder(folder)?;
        let shelf = Shelf {
            aside: KeptAside::beside(folder),
            bounds,
            servers,
        };
        let (mut all, mut unreadable) = (BTreeMap::new(), BTreeMap::new());
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(database) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            match Copy::open(database, &entry.path(), &shelf) {
                Ok(Some(copy)) => drop(all.insert(database, Arc::new(copy))),
                // A crash before it was made: nobody was told that it is there.
                Ok(None) => fs::remove_dir_all(entry.path())?,
                Err(error) => {
                    tracing::error!(database.id = %database, %error, "a copy of a database cannot be opened");
                    unreadable.insert(database, error.to_string());
                }
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            all: RwLock::new(all),
            shelf,
            unreadable: Mutex::new(unreadable),
            changing: Mutex::default(),
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

    /// Makes one that is not there; blocks for the disk, and for the server of its engine.
    pub(super) fn make(
        &self,
        database: DatabaseId,
        role: ReplicaRole,
        engine: &DataEngine,
    ) -> Result<Arc<Copy>, Problem> {
        let _one_at_a_time = self.changing.lock();
        if let Ok(there) = self.get(database) {
            if there.role() == role {
                self.make_at_server(database, role, engine)?;
                return Ok(there);
            }
            let detail = format!(
                "This Host has the {} of the database {database}, and may have but one copy.",
                there.role()
            );
            return Err(Problem::new(Code::AlreadyExists, detail));
        }
        self.make_at_server(database, role, engine)?;
        let folder = self.folder.join(database.to_string());
        let made = || -> Result<Option<Copy>, EngineError> {
            let home = Home::open(&folder)?;
            if *engine != DataEngine::Sqlite {
                home.engine_put(engine)?;
            }
            let made = match role {
                ReplicaRole::Core => Role::Core,
                ReplicaRole::Shadow => Role::Shadow,
            };
            if home.database()?.is_none() {
                home.create(*database.as_uuid(), made)?;
            }
            Copy::open(database, &folder, &self.shelf)
        };
        let unmade = |why: String| {
            let detail = format!("The copy of the database {database} cannot be made: {why}.");
            Problem::new(Code::StorageFailed, detail)
        };
        let copy = made().map_err(|error| unmade(error.to_string()))?;
        RealDisk
            .sync_folder(&self.folder)
            .map_err(|error| unmade(error.to_string()))?;
        let copy = Arc::new(copy.ok_or_else(|| unmade("it is not there".to_owned()))?);
        self.all.write().insert(database, Arc::clone(&copy));
        Ok(copy)
    }

    /// Makes the database at the server of its engine, if it has one.
    fn make_at_server(
        &self,
        database: DatabaseId,
        role: ReplicaRole,
        engine: &DataEngine,
    ) -> Result<(), Problem> {
        let server = self.shelf.servers.of(engine);
        let Some(server) = server.map_err(|error| failed(&error))? else {
            return Ok(());
        };
        if role == ReplicaRole::Shadow {
            let Some(shadows) = server.shadows() else {
                let detail = format!("This Host keeps no shadows on {engine}.");
                return Err(Problem::new(Code::PreconditionFailed, detail));
            };
            // What is made there is made once the file has come.
            let can_be = Handle::current().block_on(shadows.require());
            return can_be.map_err(|error| failed(&error));
        }
        if let Ok(there) = self.get(database)
            && there
                .home
                .server_name()
                .map_err(|error| failed(&error))?
                .is_some()
        {
            // One that was a shadow has its own.
            return Ok(());
        }
        let made = Handle::current().block_on(server.make(database));
        made.map_err(|error| failed(&error))
    }

    /// Removes the database at the server of its engine, if it has one.
    fn remove_at_server(&self, database: DatabaseId) -> Result<(), EngineError> {
        let folder = self.folder.join(database.to_string());
        if !folder.exists() {
            return Ok(());
        }
        let home = Home::open(&folder)?;
        let Some(server) = self.shelf.servers.of(&home.engine()?)? else {
            return Ok(());
        };
        let (Some(made), Some(shadows)) = (home.at_server()?, server.shadows()) else {
            return Handle::current().block_on(server.remove(database));
        };
        for one in made {
            Handle::current().block_on(shadows.remove_named(&one.name))?;
            home.at_server_forget(&one.name)?;
        }
        Ok(())
    }

    /// Removes one, if it is there; blocks for the disk and for its server. Only with its whole database a
    /// core goes, one that cannot be opened, and what was set aside.
    pub(super) fn remove(&self, database: DatabaseId, whole: bool) -> Result<(), Problem> {
        let _one_at_a_time = self.changing.lock();
        let copy = self.all.read().get(&database).cloned();
        let role = copy.as_ref().map(|copy| copy.role());
        let is_unreadable = self.unreadable.lock().contains_key(&database);
        if !whole && (role == Some(ReplicaRole::Core) || is_unreadable) {
            let detail = format!(
                "This Host's copy of the database {database} may be the core: it is removed only \
                 with the database."
            );
            return Err(Problem::new(Code::PreconditionFailed, detail));
        }
        self.all.write().remove(&database);
        if let Some(copy) = copy {
            copy.follower.end();
            copy.close();
        }
        // Whoever cannot read what keeps it cannot have it removed there.
        match self.remove_at_server(database) {
            Ok(()) | Err(EngineError::Damaged { .. }) => {}
            Err(error) if is_unreadable => {
                tracing::error!(database.id = %database, %error, "a copy that cannot be read may have left something at a server");
            }
            Err(error) => return Err(failed(&error)),
        }
        let removed = match fs::remove_dir_all(self.folder.join(database.to_string())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        let removed = removed.and_then(|()| {
            if whole {
                self.shelf.aside.remove(database)
            } else {
                Ok(())
            }
        });
        removed.map_err(|error| {
            Problem::new(
                Code::StorageFailed,
                format!("The copy of the database {database} cannot be removed: {error}."),
            )
        })?;
        self.unreadable.lock().remove(&database);
        Ok(())
    }

    /// The servers beside the Host, for its description.
    pub(super) fn engines(&self) -> impl Iterator<Item = EngineInfo> {
        self.shelf.servers.engines()
    }

    /// How all of them are.
    pub(super) fn states(&self) -> Vec<ReplicaState> {
        let copies: Vec<_> = self.all.read().values().cloned().collect();
        copies.iter().map(|copy| copy.state()).collect()
    }

    /// Why some cannot be used, if that is so.
    pub(super) fn complaint(&self) -> Option<String> {
        if let Some((database, why)) = self.unreadable.lock().first_key_value() {
            return Some(format!(
                "the copy of the database {database} cannot be opened: {why}"
            ));
        }
        if let Some(complaint) = self.shelf.servers.complaint() {
            return Some(complaint);
        }
        let all = self.all.read();
        all.values().find_map(|copy| match &*copy.engine() {
            Opened::Broken(why) if copy.role() == ReplicaRole::Core => Some(format!(
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
