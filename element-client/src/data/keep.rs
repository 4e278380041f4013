//! Has Hosts do what `DEDoc.xml` says of copies: cores lead, shadows follow them with
//! tickets that are in force, copies that are to go are removed. It is told again and
//! again, and at once when something has changed or a Host has come.
//!
//! A copy is removed only because the document says that it is to go. One that the
//! document does not know stays where it is: the document may be the one that is wrong.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use gridmart_fabric::ticket::{LIFE_MAX, LogClaims, Times};
use gridmart_schemas::{
    data::{Epoch, Position},
    id::{DatabaseId, NodeId},
    problem::{Code, Problem},
    resource::{
        database::{Database, Replica},
        de_doc::{DeDocument, RemovedCopy},
        enumeration::ReplicaRole,
    },
    wire::replica::{ReplicaFollow, ReplicaMake, ReplicaRemove},
};
use parking_lot::Mutex;
use time::OffsetDateTime;

use super::{De, pool::Pool};

/// How often shadows are told whom to follow: their tickets end after five minutes.
const FOLLOW_EVERY: Duration = Duration::from_mins(2);
/// After a round in which something failed.
const FOLLOW_AGAIN: Duration = Duration::from_secs(2);
/// Databases whose Hosts are told at a time.
const AT_A_TIME: usize = 8;

/// Databases that are being made: their copies are to go only if that fails.
#[derive(Default)]
pub(super) struct Making(Mutex<HashSet<DatabaseId>>);

/// A database is being made, until this is dropped.
pub(super) struct BeingMade<'a>(&'a Making, DatabaseId);

impl Making {
    pub(super) fn begin(&self, database: DatabaseId) -> BeingMade<'_> {
        self.0.lock().insert(database);
        BeingMade(self, database)
    }
}

impl Drop for BeingMade<'_> {
    fn drop(&mut self) {
        self.0.0.lock().remove(&self.1);
    }
}

/// Keeps them told until the Element ends.
pub(super) async fn keep(de: Arc<De>) {
    loop {
        let is_told = round(&de).await;
        let pause = if is_told { FOLLOW_EVERY } else { FOLLOW_AGAIN };
        tokio::select! {
            () = de.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            () = de.goods.followed.notified() => {}
        }
    }
}

/// Whether all of them have heard it.
async fn round(de: &Arc<De>) -> bool {
    let document = de.base.read();
    let databases = document.databases.databases.clone();
    let removed = document.removed_copies.copies.clone();
    drop(document);
    let told = stream::iter(databases)
        .map(|database| tell(de, database))
        .buffer_unordered(AT_A_TIME)
        .fold(true, |all, told| std::future::ready(all && told));
    let told = Box::pin(told).await;
    let gone = remove(de, removed).await;
    told && gone
}

/// Tells the Hosts of a database.
async fn tell(de: &Arc<De>, database: Database) -> bool {
    let Some(id) = database.database() else {
        return true;
    };
    let newer = newer_core(&de.goods.pool.lock(), id, &database);
    if let Some((host, epoch)) = newer {
        adopt(de, id, host, epoch).await;
        return false;
    }
    let Some(core) = database.core() else {
        return true;
    };
    let mut is_told = true;
    let confirmed = confirmed(&de.goods.pool.lock(), id, &database);
    let lead = de.lead(id, core, database.epoch(), confirmed, false);
    if let Err(problem) = lead.await {
        tracing::debug!(node.id = %core, database.id = %id, %problem, "a core does not know yet that it is");
        is_told = false;
    }
    let parts = de.tell_parts(id, &database, core).await;
    if let Err(problem) = &parts {
        tracing::debug!(node.id = %core, database.id = %id, %problem, "a core does not know yet what shadows may hold");
        is_told = false;
    }
    for shadow in database.shadows() {
        // A core's Host that does not know what a shadow may hold gives it nothing, or, if
        // it is of an older version, all: then the shadow gets no ticket.
        let replica = database.replica(shadow);
        if parts.is_err() && replica.is_some_and(|replica| replica.filter.is_some()) {
            continue;
        }
        if let Err(problem) = de.follow(id, &database, core, shadow).await {
            tracing::debug!(node.id = %shadow, database.id = %id, %problem, "a shadow does not know yet whom to follow");
            is_told = false;
        }
    }
    is_told
}

/// Up to where all shadows have told to have the log.
fn confirmed(pool: &Pool, id: DatabaseId, database: &Database) -> Position {
    let told = |host| {
        let position = pool.host(host)?.told(id)?.log_position;
        Some(Position::new(i64::try_from(position).unwrap_or(i64::MAX)))
    };
    let shadows = database
        .shadows()
        .map(|host| told(host).unwrap_or_default());
    let core = database.core().and_then(told).unwrap_or_default();
    shadows.min().unwrap_or(core)
}

/// A Host that leads a newer epoch than the document knows: only an Element that had
/// written it down has told it so, so the document is an older one.
fn newer_core(pool: &Pool, id: DatabaseId, database: &Database) -> Option<(NodeId, Epoch)> {
    let hosts = database.replicas.replicas.iter().filter_map(Replica::node);
    let leading = hosts.filter_map(|host| {
        let told = pool.host(host)?.replica(id, Instant::now())?;
        let epoch = Epoch::new(i64::try_from(told.epoch).unwrap_or(i64::MAX));
        (told.role == ReplicaRole::Core && epoch > database.epoch()).then_some((host, epoch))
    });
    leading.max_by_key(|(_, epoch)| *epoch)
}

/// Notes who the core is.
async fn adopt(de: &Arc<De>, id: DatabaseId, host: NodeId, epoch: Epoch) {
    tracing::error!(database.id = %id, node.id = %host, %epoch, "a Host leads a newer epoch than DEDoc.xml knows: the document was an older one, and is corrected");
    let adopted = de.change_document(move |document: &mut DeDocument| {
        let mut databases = document.databases.databases.iter_mut();
        let found = databases.find(|one| one.database() == Some(id));
        let Some(found) = found.filter(|found| found.epoch() < epoch) else {
            return Ok(());
        };
        found.replicas.epoch = u64::try_from(epoch.number()).ok();
        for replica in &mut found.replicas.replicas {
            replica.role = if replica.node() == Some(host) {
                ReplicaRole::Core
            } else {
                ReplicaRole::Shadow
            };
        }
        Ok(())
    });
    if let Err(problem) = adopted.await {
        tracing::error!(database.id = %id, %problem, "the document could not be corrected");
    }
}

/// Whether all copies that are to go are gone.
async fn remove(de: &Arc<De>, copies: Vec<RemovedCopy>) -> bool {
    let mut gone = Vec::new();
    let count = copies.len();
    for copy in copies {
        let Some((database, host)) = copy.place() else {
            gone.push(copy);
            continue;
        };
        if de.goods.making.0.lock().contains(&database) {
            continue;
        }
        // One that was made by now is not to go any more: that was noted before.
        if !de.base.read().removed_copies.copies.contains(&copy) {
            gone.push(copy);
            continue;
        }
        let is_revoked = {
            let pool = de.goods.pool.lock();
            pool.host(host).is_none_or(|host| host.revoked)
        };
        let remove = ReplicaRemove {
            database,
            whole: copy.whole,
        };
        // What a Host that never comes back has is out of reach.
        let removed = if is_revoked {
            Ok(())
        } else {
            de.ask_host(host, &remove).await.map(drop)
        };
        match removed {
            Ok(()) => gone.push(copy),
            Err(problem) => {
                tracing::debug!(node.id = %host, database.id = %database, %problem, "a copy that is to go is still there");
            }
        }
    }
    let all_gone = gone.len() == count;
    if gone.is_empty() {
        return all_gone;
    }
    let noted = de.change_document(move |document| {
        let copies = &mut document.removed_copies.copies;
        copies.retain(|copy| !gone.contains(copy));
        Ok(())
    });
    noted.await.is_ok() && all_gone
}

impl De {
    /// Has a shadow's Host follow the core.
    async fn follow(
        &self,
        id: DatabaseId,
        database: &Database,
        core: NodeId,
        shadow: NodeId,
    ) -> Result<(), Problem> {
        let follow = self.following(id, database, core, shadow)?;
        match self.ask_host(shadow, &follow).await {
            Err(problem) if problem.code == Code::NotFound => {
                self.shadow_make(id, shadow).await?;
                self.ask_host(shadow, &follow).await.map(drop)
            }
            followed => followed.map(drop),
        }
    }

    /// Has a Host make an empty shadow, if it has none.
    pub(super) async fn shadow_make(
        &self,
        database: DatabaseId,
        host: NodeId,
    ) -> Result<(), Problem> {
        let engine = self.database(database)?.engine_on(host).clone();
        let make = ReplicaMake {
            database,
            role: ReplicaRole::Shadow,
            engine,
        };
        self.ask_host(host, &make).await.map(drop)
    }

    fn following(
        &self,
        id: DatabaseId,
        database: &Database,
        core: NodeId,
        shadow: NodeId,
    ) -> Result<ReplicaFollow, Problem> {
        let endpoints = {
            let pool = self.goods.pool.lock();
            let host = pool.host(core);
            host.map(|host| host.endpoints.clone()).unwrap_or_default()
        };
        let away = |what| {
            Problem::new(
                Code::HostDown,
                format!("The {what}'s Host has not come yet."),
            )
        };
        if endpoints.is_empty() {
            return Err(away("core"));
        }
        let presenter = self.goods.host_keys.lock().get(&shadow).cloned();
        let presenter = presenter.ok_or_else(|| away("shadow"))?;
        let Times { nbf, iat, exp } = Times::starting(OffsetDateTime::now_utc(), LIFE_MAX);
        let ticket = self.identity.current().signing_key().sign_log(&LogClaims {
            iss: self.id,
            sub: shadow,
            aud: core,
            presenter,
            database: id,
            filter_version: database
                .replica(shadow)
                .and_then(|replica| replica.filter.as_ref())
                .map(|filter| filter.version),
            nbf,
            iat,
            exp,
        })?;
        Ok(ReplicaFollow {
            database: id,
            core,
            endpoints,
            ticket,
            epoch: database.epoch(),
        })
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::resource::enumeration::SyncState;

    use super::*;
    use crate::data::pool::tests::{arrive, state};

    #[test]
    fn what_all_shadows_have_is_confirmed_and_a_newer_core_is_noticed() {
        use SyncState::Synchronised;
        let (mut pool, now, id) = (Pool::default(), Instant::now(), DatabaseId::generate());
        let mut arrived = |role, position, epoch| {
            let mut state = state(&[(id, role, Synchronised, position)]);
            state.replicas[0].epoch = epoch;
            arrive(&mut pool, state, now)
        };
        let core = arrived(ReplicaRole::Core, 9, 1);
        let (one, other) = (
            arrived(ReplicaRole::Shadow, 7, 1),
            arrived(ReplicaRole::Shadow, 5, 1),
        );
        let leading = arrived(ReplicaRole::Core, 6, 3);
        let of = |shadows: &[NodeId]| {
            let shadows = shadows
                .iter()
                .map(|host| Replica::on(*host, ReplicaRole::Shadow));
            let mut replicas = vec![Replica::on(core, ReplicaRole::Core)];
            replicas.extend(shadows);
            let (name, owner) = ("shop".parse().unwrap(), "ada".parse().unwrap());
            Database::new(id, name, owner, replicas).unwrap()
        };
        assert_eq!(confirmed(&pool, id, &of(&[])), Position::new(9));
        assert_eq!(confirmed(&pool, id, &of(&[one, other])), Position::new(5));
        let silent = NodeId::generate();
        assert_eq!(confirmed(&pool, id, &of(&[one, silent])), Position::ZERO);
        assert_eq!(newer_core(&pool, id, &of(&[one])), None);
        let told = newer_core(&pool, id, &of(&[one, leading]));
        assert_eq!(told, Some((leading, Epoch::new(3))));
    }
}
