//! One copy of a database on this Host: its engine, and how it becomes the core, or a
//! shadow again.
//!
//! Invariants: its role and its file are changed by one at a time, who holds `changing`;
//! a core's writes pass the gate, so that it knows its last one before another copy
//! takes over; a core that was replaced is fenced durably before anything else is done.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gridmart_schemas::{
    data::{Epoch, LogPoint, Position},
    id::DatabaseId,
    problem::{Code, Problem},
    resource::{
        enumeration::{ReplicaRole, SyncState},
        host::{ReplicaCheck, ReplicaState},
    },
    scalar::Uri,
    wire::replica::ReplicaStands,
};
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;

use super::{
    engine::{
        CoreEngine, Engine as _, EngineError,
        sqlite::{CoreSettings, SqliteCore, state_at},
    },
    follower::{Follower, failed},
    gate::Gate,
    home::Home,
    kept_aside::KeptAside,
    log::{LogBounds, Role},
    partial::Mark,
    parts::Parts,
    promotion::promote,
    server::Servers,
    shadow::Shadow,
};
use crate::member::blocking;

/// Threads that read a database at a time; more reads wait.
const READERS: usize = 8;
/// Writes under way when a core is told to be one of a newer epoch end within that.
const RENEW_MAX: Duration = Duration::from_secs(10);

/// An engine that is open.
pub(super) enum Opened {
    Core(Box<dyn CoreEngine>),
    Shadow(Shadow),
    /// It cannot be used; why.
    Broken(String),
}

/// What a copy is at present.
#[derive(Clone)]
struct Standing {
    role: ReplicaRole,
    /// A core's own; of a shadow, what it knew when it was opened.
    epoch: Epoch,
    /// Of a copy that holds a part: by which filter it was made.
    mark: Option<Mark>,
    opened: Arc<Opened>,
}

/// What all copies of a Host share.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    pub(super) aside: KeptAside,
    pub(super) bounds: LogBounds,
    pub(super) servers: Servers,
}

/// A copy of a database.
pub(super) struct Copy {
    pub(super) database: DatabaseId,
    pub(super) home: Home,
    pub(super) folder: PathBuf,
    pub(super) shelf: Shelf,
    standing: RwLock<Standing>,
    /// Held by who changes its role or its file.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// Where writes pass.
    pub(super) gate: Gate,
    /// What shadows may read of its log.
    pub(super) parts: Parts,
    /// What keeps a shadow following its core.
    pub(super) follower: Follower,
    /// How its last comparison with its core came out.
    pub(super) checked: Mutex<Option<ReplicaCheck>>,
}

impl Copy {
    /// Opens the copy in a folder, if one is there.
    pub(super) fn open(
        database: DatabaseId,
        folder: &Path,
        shelf: &Shelf,
    ) -> Result<Option<Self>, EngineError> {
        let home = Home::open(folder)?;
        let Some(path) = home.database()? else {
            return Ok(None);
        };
        let standing = standing(database, &home, &path, shelf)?;
        let follower = Follower::default();
        if standing.role == ReplicaRole::Shadow {
            // It has entries of that core.
            follower.agrees(standing.epoch);
        }
        Ok(Some(Self {
            database,
            standing: RwLock::new(standing),
            home,
            folder: folder.to_owned(),
            shelf: shelf.clone(),
            changing: tokio::sync::Mutex::default(),
            gate: Gate::default(),
            parts: Parts::default(),
            follower,
            checked: Mutex::default(),
        }))
    }

    /// Its engine as it is now.
    pub(super) fn engine(&self) -> Arc<Opened> {
        Arc::clone(&self.standing.read().opened)
    }

    /// What it is now.
    pub(super) fn role(&self) -> ReplicaRole {
        self.standing.read().role
    }

    /// By which filter it was made, if it holds a part.
    pub(super) fn mark(&self) -> Option<Mark> {
        self.standing.read().mark.clone()
    }

    /// Refuses what it is asked for and cannot do: a shadow is made anew by itself, and
    /// others can be asked meanwhile.
    pub(super) fn unusable(&self, why: &str) -> Problem {
        match self.role() {
            ReplicaRole::Core => broken(self.database, why),
            ReplicaRole::Shadow => Problem::new(
                Code::Busy,
                format!(
                    "The shadow of the database {} on this Host answers nobody now: {why}.",
                    self.database
                ),
            ),
        }
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

    /// Lets writes pass that are meant for the core of that epoch; others were not begun.
    pub(super) fn require_core(&self, epoch: Epoch) -> Result<(), Problem> {
        let standing = self.standing.read();
        if standing.role == ReplicaRole::Core && standing.epoch == epoch {
            return Ok(());
        }
        let detail = format!(
            "This Host has the {} of epoch {} of the database {}, and the core of epoch {epoch} is \
             meant.",
            standing.role, standing.epoch, self.database
        );
        Err(Problem::new(Code::Busy, detail))
    }

    /// Closes a shadow, so that its file can be replaced; statements that read it are
    /// ended.
    pub(super) fn close(&self) {
        self.shut("it is being made anew");
    }

    fn shut(&self, why: &str) {
        match &*self.engine() {
            Opened::Core(core) => core.retire(),
            Opened::Shadow(shadow) => shadow.end(),
            Opened::Broken(_) => {}
        }
        self.standing.write().opened = Arc::new(Opened::Broken(why.to_owned()));
    }

    /// Opens it again, as what its file says that it is.
    pub(super) fn open_again(&self) {
        let found = match self.home.database() {
            Ok(Some(path)) => standing(self.database, &self.home, &path, &self.shelf)
                .map_err(|error| error.to_string()),
            Ok(None) => Err("its file is gone".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        match found {
            Ok(found) => *self.standing.write() = found,
            Err(why) => self.shut(&why),
        }
    }

    /// From here on it is the core of that epoch, if it does not know a newer one.
    pub(super) async fn lead(self: &Arc<Self>, epoch: Epoch) -> Result<(), Problem> {
        let _one_at_a_time = self.changing.lock().await;
        let Standing {
            role,
            epoch: known,
            opened,
            ..
        } = self.standing.read().clone();
        if role == ReplicaRole::Core {
            if known == epoch && matches!(*opened, Opened::Core(_)) {
                return Ok(());
            }
            if known > epoch {
                return Err(self.newer(known, epoch));
            }
            self.gate.close(RENEW_MAX).await?;
        }
        self.follower.halt();
        let copy = Arc::clone(self);
        let led = blocking(move || copy.become_core(&opened, epoch)).await;
        self.gate.open();
        led
    }

    fn become_core(&self, opened: &Opened, epoch: Epoch) -> Result<(), Problem> {
        let path = self.home.database().map_err(|error| failed(&error))?;
        let path = path.ok_or_else(|| broken(self.database, "its file is gone"))?;
        match opened {
            // Nothing is applied to it any more.
            Opened::Shadow(shadow) => {
                shadow.retire();
                if let Err(error) = Handle::current().block_on(shadow.promote()) {
                    self.shut("it did not become the core");
                    self.open_again();
                    return Err(failed(&error));
                }
            }
            Opened::Core(_) => {}
            // A core that was replaced and chosen again is whole; a shadow is not.
            Opened::Broken(why) => {
                let state = state_at(&path).map_err(|error| failed(&error))?;
                if state.role == Role::Shadow {
                    return Err(broken(self.database, why));
                }
            }
        }
        self.shut("it is becoming the core");
        let promoted = promote(&path, epoch);
        self.open_again();
        match promoted {
            Ok(begin) => {
                tracing::info!(database.id = %self.database, %epoch, from = %begin.first, "this copy is the core from here on");
                Ok(())
            }
            Err(EngineError::Fenced { newest }) => Err(self.newer(newest, epoch)),
            Err(error) => Err(Problem::new(
                Code::PreconditionFailed,
                super::sentence(&error.to_string()),
            )),
        }
    }

    /// If it was the core of an older epoch, it takes no more writes, now and after a
    /// restart, and is to be brought behind the new one.
    pub(super) async fn follow(&self, epoch: Epoch) -> Result<(), Problem> {
        let _one_at_a_time = self.changing.lock().await;
        let standing = self.standing.read().clone();
        if standing.role == ReplicaRole::Shadow {
            return Ok(());
        }
        if standing.epoch >= epoch {
            return Err(self.newer(standing.epoch, epoch));
        }
        if let Opened::Core(core) = &*standing.opened {
            core.fence(epoch).await.map_err(|error| failed(&error))?;
        }
        tracing::warn!(database.id = %self.database, own = %standing.epoch, %epoch, "another Host has the core of a newer epoch: this copy takes no more writes");
        *self.standing.write() = Standing {
            role: ReplicaRole::Shadow,
            epoch: standing.epoch,
            mark: None,
            opened: Arc::new(Opened::Broken(
                "another copy has become the core, and this one is being brought behind it"
                    .to_owned(),
            )),
        };
        Ok(())
    }

    fn newer(&self, known: Epoch, asked: Epoch) -> Problem {
        let detail = format!(
            "This Host's copy of the database {} knows a core of epoch {known}, and was told of \
             epoch {asked}: the Element's DEDoc.xml is older than its Hosts, restore its newest \
             generation.",
            self.database
        );
        Problem::new(Code::PreconditionFailed, detail)
    }

    /// All shadows have its log up to there.
    pub(super) fn confirm(&self, position: Position) {
        if let Opened::Core(core) = &*self.engine() {
            core.confirm(position);
        }
    }

    fn sync_state(&self, standing: &Standing) -> SyncState {
        match &*standing.opened {
            Opened::Core(core) if core.complaint().is_some() => SyncState::Detached,
            Opened::Core(_) => SyncState::Synchronised,
            Opened::Shadow(shadow) => shadow.sync_state(self.follower.sync_state()),
            Opened::Broken(_) => self.follower.sync_state_broken(),
        }
    }

    /// How it stands, told to who decides on a core.
    pub(super) async fn stands(&self) -> Result<ReplicaStands, Problem> {
        let standing = self.standing.read().clone();
        let state = match &*standing.opened {
            Opened::Core(core) => Some(core.state().await),
            Opened::Shadow(shadow) => Some(shadow.state().await),
            Opened::Broken(_) => None,
        };
        let state = state.transpose().map_err(|error| failed(&error))?;
        Ok(ReplicaStands {
            role: standing.role,
            sync_state: self.sync_state(&standing),
            epoch: state
                .as_ref()
                .map_or(standing.epoch, |state| state.epoch.max(state.last.epoch)),
            last: state.as_ref().map(|state| state.last).unwrap_or_default(),
            is_partial: standing.mark.is_some(),
        })
    }

    /// How it is, for the Host's State.
    pub(super) fn state(&self) -> ReplicaState {
        let standing = self.standing.read().clone();
        let (last, epoch) = match &*standing.opened {
            Opened::Core(core) => (core.position(), standing.epoch),
            Opened::Shadow(shadow) => (shadow.position(), shadow.position().epoch),
            Opened::Broken(_) => (LogPoint::default(), Epoch::default()),
        };
        let elsewhere = match &*standing.opened {
            Opened::Core(core) => core.used(),
            Opened::Shadow(shadow) => shadow.used(),
            Opened::Broken(_) => 0,
        };
        ReplicaState {
            database: Uri::from_uuid(self.database.as_uuid()),
            role: standing.role,
            sync_state: self.sync_state(&standing),
            log_position: u64::try_from(last.position.number()).unwrap_or_default(),
            epoch: u64::try_from(epoch.number()).unwrap_or_default(),
            used_size: used(&self.folder).saturating_add(elsewhere),
            filter_version: standing.mark.as_ref().map(|mark| mark.version),
            log_room: match &*standing.opened {
                Opened::Core(core) => core.log_room(),
                Opened::Shadow(_) | Opened::Broken(_) => None,
            },
            // Keys are for the database's owner, and a Host's State is for everybody.
            check: self.checked.lock().as_ref().map(|check| ReplicaCheck {
                differences: Vec::new(),
                ..check.clone()
            }),
            set_aside: self.shelf.aside.of(self.database),
        }
    }
}

/// Opens the engine of a copy, as what its file says that it is.
fn standing(
    database: DatabaseId,
    home: &Home,
    path: &Path,
    shelf: &Shelf,
) -> Result<Standing, EngineError> {
    let state = state_at(path)?;
    let (role, opened) = match state.role {
        Role::Core => (ReplicaRole::Core, core(database, home, path, shelf)),
        Role::Shadow => {
            let shared = (shelf.bounds, &shelf.servers);
            let shadow = Shadow::open(database, home, path, shared, READERS);
            (ReplicaRole::Shadow, shadow.map(Opened::Shadow))
        }
    };
    let opened = opened.unwrap_or_else(|error| {
        tracing::error!(path = %path.display(), %error, "a copy of a database cannot be opened");
        Opened::Broken(error.to_string())
    });
    Ok(Standing {
        role,
        epoch: state.epoch,
        mark: state.partial.as_deref().map(Mark::of),
        opened: Arc::new(opened),
    })
}

fn core(
    database: DatabaseId,
    home: &Home,
    path: &Path,
    shelf: &Shelf,
) -> Result<Opened, EngineError> {
    if let Some(server) = shelf.servers.of(&home.engine()?)? {
        // One that was a shadow has a database of a name of its own.
        let core = match (home.server_name()?, server.shadows()) {
            (Some(name), Some(shadows)) => shadows.open_named(&name, path, shelf.bounds),
            _ => server.open(database, path, shelf.bounds),
        };
        return core.map(Opened::Core);
    }
    let settings = CoreSettings {
        log: shelf.bounds,
        ..CoreSettings::default()
    };
    let core = SqliteCore::open(path, settings, READERS)?;
    Ok(Opened::Core(Box::new(core)))
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

#[cfg(test)]
mod tests;
