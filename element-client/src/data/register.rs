//! The databases of the Element: made, listed, changed and removed for the controller.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_fabric::stream::{Incoming, reply};
use gridmart_schemas::{
    data::{Epoch, Position},
    id::{DatabaseId, NodeId},
    problem::{Code, Problem},
    resource::{
        Extensions,
        database::{Database, DatabaseState, Replica},
        de_doc::{DeDocument, RemovedCopy},
        enumeration::{DataEngine, ReplicaRole, SyncState},
    },
    scalar::{DatabaseName, Seconds, UtcTime},
    wire::{
        Done, Request as _,
        database::{
            DATABASES_MAX, DatabaseChange, DatabaseList, DatabaseMake, DatabaseRemove,
            DatabasesTold,
        },
        replica::ReplicaMake,
    },
};
use serde_json::value::RawValue;

use super::{De, hosts::Hosts, rules::require_fitting};

/// How long what is told of a database is a fact, in seconds.
const VALIDITY: u64 = 15;
/// A Host may take so long to make or remove a copy.
const CHANGE_MAX: Duration = Duration::from_secs(30);

impl De {
    /// What the controller asks of databases; `None`: it is about something else.
    pub(super) async fn on_database_request(
        self: &Arc<Self>,
        incoming: &Incoming,
    ) -> Option<Result<Box<RawValue>, Problem>> {
        let answered = match incoming.kind.as_str() {
            DatabaseList::KIND => self.database_list(incoming),
            DatabaseMake::KIND => self.database_make(incoming).await,
            DatabaseChange::KIND => self.database_change(incoming).await,
            DatabaseRemove::KIND => self.database_remove(incoming).await,
            _ => return self.on_shadow_request(incoming).await,
        };
        Some(answered)
    }

    fn database_list(&self, incoming: &Incoming) -> Result<Box<RawValue>, Problem> {
        let DatabaseList { name, after, limit } = incoming.read()?;
        let limit = limit.clamp(1, DATABASES_MAX) as usize;
        let document = self.base.read();
        let mut found: Vec<&Database> = document
            .databases
            .databases
            .iter()
            .filter(|one| name.as_ref().is_none_or(|name| one.name == *name))
            .filter(|one| after.as_ref().is_none_or(|after| one.name > *after))
            .collect();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        let more = found.len() > limit;
        found.truncate(limit);
        reply(&DatabasesTold {
            databases: found.into_iter().map(|one| self.told(one)).collect(),
            more,
        })
    }

    /// The database as it is now.
    pub(super) fn told(&self, database: &Database) -> Database {
        let mut told = database.clone();
        let (Some(id), Some(core)) = (database.database(), database.core()) else {
            return told;
        };
        let (pool, now) = (self.goods.pool.lock(), Instant::now());
        // What a Host that is away told last may be otherwise by now.
        let replica = |host| {
            let there = pool.host(host).filter(|host| host.connected && !host.down);
            there?.replica(id, now)
        };
        for copy in &mut told.replicas.replicas {
            let Some(host) = copy.node() else { continue };
            if copy.filter.is_some() {
                let last = pool.host(host).and_then(|host| host.told(id));
                let is_confirmed = copy.is_confirmed_by(last);
                if let Some(filter) = &mut copy.filter {
                    filter.confirmed = Some(is_confirmed);
                }
            }
            copy.state = replica(host).cloned();
            if let Some(state) = &mut copy.state {
                state.check = self.goods.checks.found(id, host).or(state.check.take());
            }
        }
        let Some(state) = replica(core) else {
            return told;
        };
        let shadows: Vec<_> = database.shadows().collect();
        let fresh = shadows.iter().filter(|host| {
            replica(**host).is_some_and(|shadow| shadow.sync_state == SyncState::Synchronised)
        });
        told.state = Some(DatabaseState {
            creation_time: UtcTime::now(),
            validity: Seconds::from_secs(VALIDITY),
            log_position: state.log_position,
            epoch: state.epoch,
            shadow_count: u32::try_from(shadows.len()).unwrap_or(u32::MAX),
            fresh_shadow_count: u32::try_from(fresh.count()).unwrap_or(u32::MAX),
            used_size: Some(state.used_size),
            extensions: Extensions::default(),
        });
        told
    }

    async fn database_make(
        self: &Arc<Self>,
        incoming: &Incoming,
    ) -> Result<Box<RawValue>, Problem> {
        let DatabaseMake {
            name,
            owner,
            shadows,
            engine,
            shadow_engine,
        } = incoming.read()?;
        self.require_unused(&name)?;
        let (chosen, of_shadows) = self.places(shadows, &engine, shadow_engine.as_ref())?;
        let id = DatabaseId::generate();
        let roles =
            std::iter::once(ReplicaRole::Core).chain(std::iter::repeat(ReplicaRole::Shadow));
        let replicas: Vec<(NodeId, ReplicaRole)> = chosen.into_iter().zip(roles).collect();
        // Copies first: a database without its core would be of no use to anybody. Whatever
        // ends this before it is noted, they are to go.
        let _making = self.goods.making.begin(id);
        let hosts: Vec<NodeId> = replicas.iter().map(|(host, _)| *host).collect();
        self.change_document(move |document| {
            let copies = hosts.iter().map(|host| RemovedCopy::of(id, *host, true));
            document.removed_copies.copies.extend(copies);
            Ok(())
        })
        .await?;
        if let Err(problem) = self
            .copies_make(id, &replicas, (&engine, &of_shadows))
            .await
        {
            self.goods.followed.notify_one();
            return Err(problem);
        }
        let copies = replicas.iter().map(|(host, role)| {
            let mut copy = Replica::on(*host, *role);
            let is_other = *role == ReplicaRole::Shadow && of_shadows != engine;
            copy.engine = is_other.then(|| of_shadows.clone());
            copy
        });
        let made = Database::new(id, name, owner, copies.collect())
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))?
            .kept_by(engine);
        let kept = made.clone();
        self.change_document(move |document| {
            let databases = &mut document.databases.databases;
            if databases.iter().any(|one| one.name == kept.name) {
                return Err(taken(&kept.name));
            }
            databases.push(kept.clone());
            let is_of_it = |copy: &RemovedCopy| copy.place().is_some_and(|(of, _)| of == id);
            let copies = &mut document.removed_copies.copies;
            copies.retain(|copy| !is_of_it(copy));
            Ok(())
        })
        .await?;
        self.goods.followed.notify_one();
        reply(&self.told(&made))
    }

    /// Hosts for a core and so many shadows, that for the core first, and on which engine
    /// the shadows are.
    fn places(
        &self,
        shadows: u32,
        engine: &DataEngine,
        of_shadows: Option<&DataEngine>,
    ) -> Result<(Vec<NodeId>, DataEngine), Problem> {
        let wanted = shadows as usize + 1;
        let pool = self.goods.pool.lock();
        let engines = if shadows > 0 {
            shadow_engines(engine, of_shadows)?
        } else {
            vec![engine.clone()]
        };
        let mut found = engines.iter().filter_map(|of_shadows| {
            let chosen = pool.places(wanted, engine, of_shadows)?;
            Some((chosen, of_shadows.clone()))
        });
        found.next().ok_or_else(|| {
            let of_shadows = engines.iter().map(DataEngine::as_str);
            let of_shadows = of_shadows.collect::<Vec<_>>().join(" or ");
            let usable = pool.hosts().filter(|(_, host)| host.is_usable());
            let there = usable.filter(|(_, host)| host.has(engine)).count();
            let detail = if there == 0 && *engine != DataEngine::Sqlite {
                format!(
                    "No data Host that is usable has the engine {engine}: start one beside a \
                     server of it (`gridmart host data --server`)."
                )
            } else {
                format!(
                    "A core on {engine} and {shadows} shadows on {of_shadows} need {wanted} data \
                     Hosts, and {there} with the engine {engine} are there: add Hosts, or ask for \
                     fewer shadows."
                )
            };
            Problem::new(Code::NeedUnmet, detail)
        })
    }

    async fn copies_make(
        &self,
        database: DatabaseId,
        replicas: &[(NodeId, ReplicaRole)],
        (engine, of_shadows): (&DataEngine, &DataEngine),
    ) -> Result<(), Problem> {
        for (host, role) in replicas {
            let engine = match role {
                ReplicaRole::Core => engine,
                ReplicaRole::Shadow => of_shadows,
            };
            let make = ReplicaMake {
                database,
                role: *role,
                engine: engine.clone(),
            };
            self.ask_host(*host, &make).await?;
        }
        if *engine != DataEngine::Sqlite
            && let [(core, _), _, ..] = replicas
        {
            // Its engine may have to be told first to serve shadows.
            self.lead(database, *core, Epoch::FIRST, Position::ZERO, true)
                .await?;
        }
        Ok(())
    }

    fn require_unused(&self, name: &DatabaseName) -> Result<(), Problem> {
        let document = self.base.read();
        let mut databases = document.databases.databases.iter();
        if databases.any(|one| one.name == *name) {
            return Err(taken(name));
        }
        Ok(())
    }

    async fn database_change(
        self: &Arc<Self>,
        incoming: &Incoming,
    ) -> Result<Box<RawValue>, Problem> {
        let DatabaseChange { database, access } = incoming.read()?;
        if let Some(access) = access {
            let found = self.database(database)?;
            // While the core is away they are kept unseen; what does not fit lets nobody
            // in.
            if let Ok(known) = self.schema(database, &found).await {
                require_fitting(&access, &known.catalog)
                    .map_err(|error| Problem::new(Code::InvalidRequest, error.to_string()))?;
            }
            self.change_document(move |document| {
                let mut databases = document.databases.databases.iter_mut();
                let found = databases.find(|one| one.database() == Some(database));
                found.ok_or_else(|| unknown(database))?.access = access.clone();
                Ok(())
            })
            .await?;
        }
        reply(&self.told(&self.database(database)?))
    }

    async fn database_remove(
        self: &Arc<Self>,
        incoming: &Incoming,
    ) -> Result<Box<RawValue>, Problem> {
        let DatabaseRemove { database } = incoming.read()?;
        let removed = self.database(database)?;
        let hosts: Vec<NodeId> = removed.shadows().chain(removed.core()).collect();
        // A Host that is away removes its copy when it comes back.
        self.change_document(move |document| {
            let databases = &mut document.databases.databases;
            databases.retain(|one| one.database() != Some(database));
            let copies = &mut document.removed_copies.copies;
            copies.retain(|copy| copy.place().is_none_or(|(of, _)| of != database));
            let gone = hosts
                .iter()
                .map(|host| RemovedCopy::of(database, *host, true));
            copies.extend(gone);
            Ok(())
        })
        .await?;
        self.goods.schemas.forget(database);
        self.goods.gates.forget(database);
        self.goods.checks.forget(database, None);
        self.goods.followed.notify_one();
        reply(&Done {})
    }

    /// The database of this id.
    pub(super) fn database(&self, id: DatabaseId) -> Result<Database, Problem> {
        let document = self.base.read();
        let mut databases = document.databases.databases.iter();
        databases
            .find(|one| one.database() == Some(id))
            .cloned()
            .ok_or_else(|| unknown(id))
    }

    /// Changes what has to outlive a crash.
    pub(super) async fn change_document(
        self: &Arc<Self>,
        change: impl Fn(&mut DeDocument) -> Result<(), Problem> + Send + Sync + 'static,
    ) -> Result<(), Problem> {
        let changed = self.blocking(move |de| de.base.update_together(change));
        changed.await?.map_err(|error| error.to_problem())
    }

    /// Asks a Host for something that is quick.
    pub(super) async fn ask_host<R: gridmart_schemas::wire::Request>(
        &self,
        host: NodeId,
        request: &R,
    ) -> Result<R::Answer, Problem> {
        let goods = &self.goods;
        let peer = goods.hosts.stream(&goods.pool, &self.tls, host).await?;
        Ok(Hosts::ask(&peer, request, CHANGE_MAX).await?)
    }
}

/// On which engines shadows of a database may be, the best first: on what keeps the
/// database one can become its core. Only the one that is asked for, if one is.
pub(super) fn shadow_engines(
    engine: &DataEngine,
    asked: Option<&DataEngine>,
) -> Result<Vec<DataEngine>, Problem> {
    let mut engines = known_shadow_engines(engine)?;
    if let Some(asked) = asked {
        if !engines.contains(asked) {
            let engines = engines.iter().map(DataEngine::as_str).collect::<Vec<_>>();
            let detail = format!(
                "Shadows of a database on {engine} are on {}, not on {asked}.",
                engines.join(" or ")
            );
            return Err(Problem::new(Code::PreconditionFailed, detail));
        }
        engines.retain(|engine| engine == asked);
    }
    Ok(engines)
}

fn known_shadow_engines(engine: &DataEngine) -> Result<Vec<DataEngine>, Problem> {
    match engine {
        DataEngine::Sqlite => Ok(vec![DataEngine::Sqlite]),
        DataEngine::Postgresql | DataEngine::Mariadb => {
            Ok(vec![engine.clone(), DataEngine::Sqlite])
        }
        other => {
            let detail = format!("This Element knows no shadows of a database on {other}.");
            Err(Problem::new(Code::PreconditionFailed, detail))
        }
    }
}

fn taken(name: &DatabaseName) -> Problem {
    Problem::new(
        Code::AlreadyExists,
        format!("The Element has a database {name} already."),
    )
}

pub(super) fn unknown(database: DatabaseId) -> Problem {
    Problem::new(Code::NotFound, format!("There is no database {database}."))
}
