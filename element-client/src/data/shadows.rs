//! Shadows by command: one more, one less, one that holds something else. How one
//! becomes the core is in `promoting`.

use std::sync::Arc;

use gridmart_fabric::stream::{Incoming, reply};
use gridmart_schemas::{
    data::Position,
    id::{DatabaseId, NodeId},
    problem::{Code, Problem},
    resource::{
        database::{Database, Replica, ShadowRule},
        de_doc::{DeDocument, RemovedCopy},
        enumeration::{DataEngine, ReplicaRole},
    },
    wire::{
        Request as _,
        database::{ShadowAdd, ShadowChange, ShadowCheck, ShadowPromote, ShadowRemove},
    },
};
use serde_json::value::RawValue;

use super::{
    De,
    parts::{new_filter, require_rules},
    register::{shadow_engines, unknown},
};

impl De {
    /// What the controller asks of shadows; `None`: it is about something else.
    pub(super) async fn on_shadow_request(
        self: &Arc<Self>,
        incoming: &Incoming,
    ) -> Option<Result<Box<RawValue>, Problem>> {
        let answered = match incoming.kind.as_str() {
            ShadowAdd::KIND => self.shadow_add(incoming).await,
            ShadowChange::KIND => self.shadow_change(incoming).await,
            ShadowRemove::KIND => self.shadow_remove(incoming).await,
            ShadowPromote::KIND => self.shadow_promote(incoming).await,
            ShadowCheck::KIND => self.shadow_check(incoming).await,
            _ => return None,
        };
        Some(answered)
    }

    async fn shadow_add(self: &Arc<Self>, incoming: &Incoming) -> Result<Box<RawValue>, Problem> {
        let ShadowAdd {
            database: id,
            host,
            engine,
            rules,
        } = incoming.read()?;
        let database = self.database(id)?;
        let asked = match &rules {
            Some(_) => Some(part_engine(engine)?),
            None => engine,
        };
        let engines = shadow_engines(&database.info.engine, asked.as_ref())?;
        let (host, engine) = self.place(&database, host, &engines)?;
        let is_other = engine != database.info.engine;
        self.require_fitting_parts(id, &database, rules.as_deref())
            .await?;
        let filter = rules.map(|rules| new_filter(rules, None));
        let is_at_server = database.info.engine != DataEngine::Sqlite;
        if let Some(core) = database.core().filter(|_| is_at_server) {
            // Its engine may have to be told first to serve shadows.
            self.lead(id, core, database.epoch(), Position::ZERO, true)
                .await?;
        }
        self.change_document(move |document| {
            let found = database_of(document, id)?;
            if found.replica(host).is_some() {
                return Err(there_already());
            }
            found.replicas.replicas.push(Replica {
                filter: filter.clone(),
                engine: is_other.then(|| engine.clone()),
                ..Replica::on(host, ReplicaRole::Shadow)
            });
            document
                .removed_copies
                .copies
                .retain(|copy| copy.place() != Some((id, host)));
            Ok(())
        })
        .await?;
        if let Err(problem) = self.shadow_make(id, host).await {
            self.forget_shadow(id, host).await?;
            return Err(problem);
        }
        self.goods.followed.notify_one();
        reply(&self.told(&self.database(id)?))
    }

    /// Refuses rules of a partial shadow that do not fit the tables.
    async fn require_fitting_parts(
        self: &Arc<Self>,
        id: DatabaseId,
        database: &Database,
        rules: Option<&[ShadowRule]>,
    ) -> Result<(), Problem> {
        let Some(rules) = rules else {
            return Ok(());
        };
        let known = self.schema(id, database).await?;
        require_rules(rules, &known.catalog)
    }

    /// Has a shadow hold something else: its copy is made anew. From the answer on the
    /// core's Host tells it nothing by the rules before, unless it could not be reached.
    async fn shadow_change(
        self: &Arc<Self>,
        incoming: &Incoming,
    ) -> Result<Box<RawValue>, Problem> {
        let ShadowChange {
            database: id,
            host,
            rules,
        } = incoming.read()?;
        let database = self.database(id)?;
        require_shadow(&database, host)?;
        if rules.is_some() {
            let replica = database.replica(host);
            let engine = replica.and_then(|replica| replica.engine.clone());
            part_engine(engine.or_else(|| Some(database.info.engine.clone())))?;
        }
        self.require_fitting_parts(id, &database, rules.as_deref())
            .await?;
        self.change_document(move |document| {
            let found = database_of(document, id)?;
            require_shadow(found, host)?;
            let mut replicas = found.replicas.replicas.iter_mut();
            let replica = replicas.find(|replica| replica.node() == Some(host));
            let replica = replica.ok_or_else(not_there)?;
            let before = replica.filter.take();
            let rules = rules.clone();
            replica.filter = rules.map(|rules| new_filter(rules, before.as_ref()));
            Ok(())
        })
        .await?;
        let changed = self.database(id)?;
        if let Some(core) = changed.core()
            && let Err(problem) = self.tell_parts(id, &changed, core).await
        {
            tracing::warn!(database.id = %id, node.id = %host, %problem, "the core's Host has not heard yet what a shadow may hold: it is told until it does");
        }
        self.goods.checks.forget(id, Some(host));
        self.goods.followed.notify_one();
        reply(&self.told(&changed))
    }

    /// The Host for a new shadow: the one that is named, or the one that fits best; and the
    /// first of the engines that it has.
    fn place(
        &self,
        database: &Database,
        named: Option<NodeId>,
        engines: &[DataEngine],
    ) -> Result<(NodeId, DataEngine), Problem> {
        let pool = self.goods.pool.lock();
        let Some(host) = named else {
            let has_copy = |host| database.replica(host).is_some();
            let mut found = engines
                .iter()
                .filter_map(|engine| Some((pool.place(engine, has_copy)?, engine.clone())));
            return found.next().ok_or_else(|| {
                let detail = format!(
                    "Every data Host that is usable and has the engine {} has a copy of the \
                     database: join another one (`gridmart token create --kind dhost`).",
                    words_of(engines)
                );
                Problem::new(Code::NeedUnmet, detail)
            });
        };
        if database.replica(host).is_some() {
            return Err(there_already());
        }
        let is_usable = pool
            .host(host)
            .is_some_and(super::pool::PoolHost::is_usable);
        if !is_usable {
            return Err(Problem::new(
                Code::HostDown,
                "That Host is away, stopped, or none of this Element's.",
            ));
        }
        let has = |engine: &&DataEngine| pool.host(host).is_some_and(|host| host.has(engine));
        let engine = engines.iter().find(has).ok_or_else(|| {
            let detail = format!(
                "That Host has no engine {}, which is to keep the shadow.",
                words_of(engines)
            );
            Problem::new(Code::NeedUnmet, detail)
        })?;
        Ok((host, engine.clone()))
    }

    async fn shadow_remove(
        self: &Arc<Self>,
        incoming: &Incoming,
    ) -> Result<Box<RawValue>, Problem> {
        let ShadowRemove { database: id, host } = incoming.read()?;
        let database = self.database(id)?;
        require_shadow(&database, host)?;
        self.forget_shadow(id, host).await?;
        self.goods.checks.forget(id, Some(host));
        reply(&self.told(&self.database(id)?))
    }

    /// The Host is to have no shadow any more; it is told now, or when it comes back.
    async fn forget_shadow(self: &Arc<Self>, id: DatabaseId, host: NodeId) -> Result<(), Problem> {
        self.change_document(move |document| {
            let found = database_of(document, id)?;
            let is_that = |replica: &Replica| {
                replica.role == ReplicaRole::Shadow && replica.node() == Some(host)
            };
            found.replicas.replicas.retain(|replica| !is_that(replica));
            document
                .removed_copies
                .copies
                .push(RemovedCopy::of(id, host, false));
            Ok(())
        })
        .await?;
        self.goods.followed.notify_one();
        Ok(())
    }
}

fn words_of(engines: &[DataEngine]) -> String {
    let engines: Vec<&str> = engines.iter().map(DataEngine::as_str).collect();
    engines.join(" or ")
}

/// The engine of a shadow that holds a part of a database, whatever keeps its core.
fn part_engine(asked: Option<DataEngine>) -> Result<DataEngine, Problem> {
    match asked {
        None | Some(DataEngine::Sqlite) => Ok(DataEngine::Sqlite),
        Some(engine) => {
            let detail = format!(
                "A shadow on {engine} holds all of its database: leave the rules out, or have it \
                 on sqlite."
            );
            Err(Problem::new(Code::PreconditionFailed, detail))
        }
    }
}

/// Refuses a Host that has no shadow of the database.
fn require_shadow(database: &Database, host: NodeId) -> Result<(), Problem> {
    match database.replica(host).map(|replica| replica.role) {
        Some(ReplicaRole::Shadow) => Ok(()),
        Some(ReplicaRole::Core) => {
            let detail = "That Host has the core of the database: make a shadow the core first \
                          (`gridmart shadow promote`).";
            Err(Problem::new(Code::PreconditionFailed, detail))
        }
        None => Err(not_there()),
    }
}

fn not_there() -> Problem {
    Problem::new(Code::NotFound, "That Host has no shadow of the database.")
}

/// A database of the document, to be changed.
pub(super) fn database_of(
    document: &mut DeDocument,
    id: DatabaseId,
) -> Result<&mut Database, Problem> {
    let mut databases = document.databases.databases.iter_mut();
    let found = databases.find(|one| one.database() == Some(id));
    found.ok_or_else(|| unknown(id))
}

fn there_already() -> Problem {
    Problem::new(
        Code::AlreadyExists,
        "That Host has a copy of the database already.",
    )
}
