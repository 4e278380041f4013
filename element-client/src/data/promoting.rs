//! A shadow becomes the core.
//!
//! A change of core is written to `DEDoc.xml` with a new epoch before anybody is told:
//! whatever fails then, Hosts are told again until they do what stands there (`keep`),
//! and a core of an older epoch takes no writes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use gridmart_fabric::{
    fault::FaultPoint,
    stream::{Incoming, Peer, reply},
};
use gridmart_schemas::{
    data::{Epoch, LogPoint, Position},
    id::{DatabaseId, NodeId},
    problem::{Code, Problem},
    resource::{
        database::{Database, Replica},
        enumeration::ReplicaRole,
    },
    wire::{
        database::ShadowPromote,
        replica::{ReplicaDrain, ReplicaLead, ReplicaStand, ReplicaStands},
    },
};
use serde_json::value::RawValue;
use tokio_util::task::TaskTracker;

use super::{
    De,
    choice::{Candidate, choose, loss, unfit},
    gates::Closed,
    hosts::{Failure, Hosts},
    shadows::database_of,
};

/// A Host may take so long to tell how its copy stands.
const STAND_MAX: Duration = Duration::from_secs(3);
/// A core may take so long to end its writes.
const DRAIN_MAX: Duration = Duration::from_secs(12);
/// It takes none for so long, if nobody tells it otherwise.
const DRAIN_SECONDS: u64 = 60;
/// A shadow may take so long to get the last entries of a core that is handed over.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);
/// Between two looks at how far it is.
const CATCH_UP_PAUSE: Duration = Duration::from_millis(50);
/// A shadow that misses more than this is not waited for.
const LAG_MAX: i64 = 10_000;
/// How many epochs one is drawn from.
const EPOCHS_DRAWN: u32 = 1 << 24;
/// A Host may take so long to become the core.
const LEAD_MAX: Duration = Duration::from_secs(15);

impl De {
    pub(super) async fn shadow_promote(
        self: &Arc<Self>,
        incoming: &Incoming,
    ) -> Result<Box<RawValue>, Problem> {
        let ShadowPromote {
            database: id,
            host,
            allow_loss,
        } = incoming.read()?;
        // No write of this Element's is under way from here on.
        let closed = self.goods.gates.close(id).await?;
        let database = self.database(id)?;
        let (mut candidates, newest) = self.candidates(id, &database).await;
        for one in &mut candidates {
            let engine = database.engine_on(one.host);
            if *engine != database.info.engine {
                one.unfit = Some(format!(
                    "it is on {engine}, and the database on {}",
                    database.info.engine
                ));
            }
        }
        let chosen = choose(&candidates, host)?.clone();
        if let Some(core) = database.core()
            && self.is_there(core)
            && let Some(drained) = self.hand_over(id, core, &chosen).await?
        {
            return self
                .promoted(&database, &chosen, newest, drained, closed)
                .await;
        }
        let lost = self.known_loss(id, &database, &chosen, &candidates);
        if let Some(lost) = lost.filter(|_| !allow_loss) {
            let detail = format!("{lost} would be lost. Say --allow-loss if that is to be.");
            return Err(Problem::new(Code::PreconditionFailed, detail));
        }
        self.promoted(&database, &chosen, newest, Drained::default(), closed)
            .await
    }

    /// What the lost core had that a shadow has not, as far as the core's Host has told it
    /// since this Element's start, or this Element has told somebody.
    fn known_loss(
        &self,
        id: DatabaseId,
        database: &Database,
        chosen: &Candidate,
        candidates: &[Candidate],
    ) -> Option<String> {
        let pool = self.goods.pool.lock();
        let core = database.core().and_then(|core| pool.host(core));
        let told = core.and_then(|host| host.told(id));
        let told = told.filter(|told| told.role == ReplicaRole::Core);
        let name = core.map_or("the lost core", |host| host.name.as_str());
        let Some(told) = told else {
            return Some(format!(
                "How far {name} was is not known: it has not been heard since the Element's \
                 start. What {} has not, from position {} on,",
                chosen.name,
                chosen.last.position.next()
            ));
        };
        let told = Position::new(i64::try_from(told.log_position).unwrap_or(i64::MAX));
        let had = told.max(self.goods.gates.acknowledged(id));
        loss(chosen, candidates, Some((name, had)))
    }

    /// How the shadows stand, and the newest epoch that any of them knows.
    async fn candidates(&self, id: DatabaseId, database: &Database) -> (Vec<Candidate>, Epoch) {
        let asked = database.shadows().map(async |host| {
            let stands = self.ask_stand(host, id).await;
            (host, stands)
        });
        // One that is to hold a part may have all of it still.
        let is_part = |host| {
            let replica = database.replica(host);
            replica.is_some_and(|replica| replica.filter.is_some())
        };
        let mut newest = database.epoch();
        let mut candidates = Vec::new();
        for (host, stands) in join_all(asked).await {
            let pool = self.goods.pool.lock();
            let known = pool.host(host);
            let name = known.map_or_else(|| host.to_string(), |host| host.name.clone());
            candidates.push(match stands {
                Ok(stands) => {
                    newest = newest.max(stands.epoch);
                    Candidate {
                        host,
                        name,
                        last: stands.last,
                        unfit: unfit(stands.sync_state, stands.is_partial || is_part(host)),
                    }
                }
                Err(problem) => {
                    let told = known.and_then(|host| host.told(id));
                    let number = |told: u64| i64::try_from(told).unwrap_or(i64::MAX);
                    let last = told.map(|told| LogPoint {
                        position: Position::new(number(told.log_position)),
                        epoch: Epoch::new(number(told.epoch)),
                    });
                    Candidate {
                        host,
                        name,
                        last: last.unwrap_or_default(),
                        unfit: Some(format!("its Host does not answer ({})", problem.detail)),
                    }
                }
            });
        }
        (candidates, newest)
    }

    async fn ask_stand(
        &self,
        host: NodeId,
        database: DatabaseId,
    ) -> Result<ReplicaStands, Problem> {
        let goods = &self.goods;
        let peer = goods.hosts.stream(&goods.pool, &self.tls, host).await?;
        Ok(Hosts::ask(&peer, &ReplicaStand { database }, STAND_MAX).await?)
    }

    /// Whether a Host can be asked, be it stopped or not.
    fn is_there(&self, host: NodeId) -> bool {
        let pool = self.goods.pool.lock();
        let known = pool.host(host);
        known.is_some_and(|host| host.connected && !host.down && !host.revoked)
    }

    /// Has a core that is there end its writes, and the shadow get them all. `None`: the
    /// core's copy cannot be used, and is as good as lost.
    async fn hand_over(
        &self,
        database: DatabaseId,
        core: NodeId,
        chosen: &Candidate,
    ) -> Result<Option<Drained>, Problem> {
        let goods = &self.goods;
        let peer = goods.hosts.stream(&goods.pool, &self.tls, core).await?;
        let before = Hosts::ask(&peer, &ReplicaStand { database }, STAND_MAX).await?;
        let lag = before.last.position.number() - chosen.last.position.number();
        if lag > LAG_MAX {
            let detail = format!(
                "The shadow on {} misses {lag} entries of the log yet: try again when it has come \
                 closer (`gridmart db show`).",
                chosen.name
            );
            return Err(Problem::new(Code::Busy, detail));
        }
        let drain = ReplicaDrain {
            database,
            seconds: DRAIN_SECONDS,
        };
        let last = match Hosts::ask(&peer, &drain, DRAIN_MAX).await {
            Ok(stands) => stands.last,
            Err(Failure::Refused(problem))
                if matches!(problem.code, Code::StorageFailed | Code::NotFound) =>
            {
                tracing::warn!(database.id = %database, node.id = %core, %problem, "the core's copy cannot be used: a shadow takes over what it has");
                return Ok(None);
            }
            Err(failure) => return Err(failure.into()),
        };
        let drained = Drained(Some((peer.clone(), database, self.tasks.clone())));
        let deadline = Instant::now() + CATCH_UP_MAX;
        loop {
            let stands = self.ask_stand(chosen.host, database).await?;
            if stands.last == last {
                return Ok(Some(drained));
            }
            if Instant::now() >= deadline {
                let detail = format!(
                    "The shadow on {} has not got the core's last entries in time: it is at \
                     position {} of {}. Nothing was changed; see why with `gridmart db show`.",
                    chosen.name, stands.last.position, last.position
                );
                return Err(Problem::new(Code::Busy, detail));
            }
            tokio::time::sleep(CATCH_UP_PAUSE).await;
        }
    }

    /// Writes down who is the core from here on, then tells it.
    async fn promoted(
        self: &Arc<Self>,
        before: &Database,
        chosen: &Candidate,
        newest: Epoch,
        mut drained: Drained,
        closed: Closed,
    ) -> Result<Box<RawValue>, Problem> {
        let id = before.database().ok_or_else(gone)?;
        let (known, host) = (before.epoch(), chosen.host);
        let epoch = drawn(newest.max(known));
        self.change_document(move |document| {
            let found = database_of(document, id)?;
            let is_whole = |replica: &Replica| replica.filter.is_none();
            if found.epoch() != known || !found.replica(host).is_some_and(is_whole) {
                return Err(gone());
            }
            found.replicas.epoch = u64::try_from(epoch.number()).ok();
            for replica in &mut found.replicas.replicas {
                replica.role = if replica.node() == Some(host) {
                    ReplicaRole::Core
                } else {
                    ReplicaRole::Shadow
                };
            }
            Ok(())
        })
        .await?;
        FaultPoint::CoreDecided.pass_or_die();
        // The old core takes no writes of this epoch, whether it hears of it or not.
        drained.0 = None;
        tracing::warn!(database.id = %id, node.id = %host, %epoch, position = %chosen.last.position, "another copy is the core from here on");
        self.goods.schemas.forget(id);
        self.goods.gates.forget_acknowledged(id);
        let led = self.lead(id, host, epoch, Position::ZERO, false).await;
        self.goods.followed.notify_one();
        drop(closed);
        if let Err(problem) = led {
            let detail = format!(
                "{} is to be the core of epoch {epoch}, which is written down, and has not taken it \
                 yet ({}): it is told until it does. If it is lost as well, promote another.",
                chosen.name, problem.detail
            );
            return Err(Problem::new(Code::HostDown, detail));
        }
        reply(&self.told(&self.database(id)?))
    }

    /// Tells a Host that its copy is the core of that epoch.
    pub(super) async fn lead(
        &self,
        database: DatabaseId,
        host: NodeId,
        epoch: Epoch,
        confirmed: Position,
        is_followed: bool,
    ) -> Result<(), Problem> {
        let goods = &self.goods;
        let peer = goods.hosts.stream(&goods.pool, &self.tls, host).await?;
        let lead = ReplicaLead {
            database,
            epoch,
            confirmed,
            is_followed,
        };
        Hosts::ask(&peer, &lead, LEAD_MAX).await?;
        Ok(())
    }
}

/// A newer epoch that was never given before, also by an Element whose document was
/// another one: an older document that is put back while the newer core's Host is away
/// does not know of that one's epoch. Numbers up to 2^53 keep their value as JSON.
fn drawn(newest: Epoch) -> Epoch {
    newest.later(rand::random::<u32>() % EPOCHS_DRAWN)
}

/// A core that takes no writes for a while; unless it was replaced, it takes them again
/// as soon as this is dropped.
#[derive(Default)]
struct Drained(Option<(Peer, DatabaseId, TaskTracker)>);

impl Drop for Drained {
    fn drop(&mut self) {
        let Some((core, database, tasks)) = self.0.take() else {
            return;
        };
        tasks.spawn(async move {
            let open = ReplicaDrain {
                database,
                seconds: 0,
            };
            // If it does not hear it, its time ends.
            let _ = core.ask(&open, STAND_MAX).await;
        });
    }
}

fn gone() -> Problem {
    Problem::new(
        Code::GenerationConflict,
        "The database's copies were changed meanwhile.",
    )
}
