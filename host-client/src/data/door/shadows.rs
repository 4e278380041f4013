//! What the Element has copies do (follow, lead, stand still, be compared), and what
//! shadows on other Hosts ask of a core beside its log.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use gridmart_schemas::{
    data::Position,
    id::DatabaseId,
    problem::{Code, Problem},
    resource::host::ReplicaCheck,
    wire::{
        Done,
        data::CursorNumber,
        replica::{
            LogDescribe, LogTold, RangeTold, ReplicaCompare, ReplicaDrain, ReplicaFollow,
            ReplicaLead, ReplicaStand, ReplicaStands, SUMS_MAX, SumsPiece, SumsRead,
        },
    },
};
use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    super::{
        check::Sums,
        comparison::{Asked, RANGE_ROWS, told},
        copy::{Opened, broken},
        engine::EngineError,
        follower::{Way, failed, follow},
    },
    DatabasesStream,
    log::Admitted,
};

/// An answer to who waits for sums: where they are not made yet, it is asked again.
const SUMS_WAIT: Duration = Duration::from_secs(10);
/// A core takes no writes for so long at most while another copy takes over.
const DRAIN_SECONDS_MAX: u64 = 120;

/// Sums that are being made, or fetched.
pub(super) struct Summing {
    position: Position,
    made: Option<JoinHandle<Result<Sums, EngineError>>>,
    rest: VecDeque<RangeTold>,
    /// By which filter they are made.
    holds: Option<String>,
    _place: tokio::sync::OwnedSemaphorePermit,
}

impl Drop for Summing {
    fn drop(&mut self) {
        if let Some(made) = &self.made {
            made.abort();
        }
    }
}

impl DatabasesStream {
    pub(super) async fn follow(&self, told: ReplicaFollow) -> Result<Done, Problem> {
        let ReplicaFollow {
            database,
            core,
            endpoints,
            ticket,
            epoch,
        } = told;
        let copy = self.databases.copies.get(database)?;
        copy.follow(epoch).await?;
        let way = Way {
            core,
            endpoints,
            ticket,
            epoch,
        };
        if copy.follower.follow(way) {
            let member = Arc::clone(&self.databases.member);
            let following = follow(Arc::clone(&member), copy);
            // It ends with its copy, which is closed when the Host goes down.
            member.visits.spawn(following);
        }
        Ok(Done {})
    }

    pub(super) async fn lead(&self, told: ReplicaLead) -> Result<Done, Problem> {
        let ReplicaLead {
            database,
            epoch,
            confirmed,
            is_followed,
        } = told;
        let copy = self.databases.copies.get(database)?;
        let before = copy.role();
        copy.lead(epoch).await?;
        copy.confirm(confirmed);
        if is_followed && let Opened::Core(core) = &*copy.engine() {
            let can_be = core.require_log().await;
            can_be.map_err(|error| failed(&error))?;
        }
        if before != copy.role() {
            self.databases.member.changed.notify_one();
        }
        Ok(Done {})
    }

    pub(super) async fn drain(&self, asked: ReplicaDrain) -> Result<ReplicaStands, Problem> {
        let ReplicaDrain { database, seconds } = asked;
        let copy = self.databases.copies.get(database)?;
        let engine = copy.core()?;
        if seconds == 0 {
            copy.gate.open();
        } else {
            let time = Duration::from_secs(seconds.min(DRAIN_SECONDS_MAX));
            copy.gate.close(time).await?;
            if let Opened::Core(core) = &*engine {
                // One whose log cannot be known is as good as lost.
                let settled = core.settled().await;
                settled.map_err(|error| broken(database, &error.to_string()))?;
            }
        }
        copy.stands().await
    }

    pub(super) async fn stand(&self, asked: ReplicaStand) -> Result<ReplicaStands, Problem> {
        self.databases.copies.get(asked.database)?.stands().await
    }

    pub(super) async fn compare(&self, asked: ReplicaCompare) -> Result<ReplicaCheck, Problem> {
        let ReplicaCompare { database } = asked;
        let copy = self.databases.copies.get(database)?;
        if !matches!(&*copy.engine(), Opened::Shadow(_)) {
            let detail = format!(
                "This Host has no shadow of the database {database} that could be compared now."
            );
            return Err(Problem::new(Code::Busy, detail));
        }
        let (asked, outcome) = Asked::new();
        copy.follower.compare(asked);
        let outcome = outcome
            .await
            .map_err(|_| Problem::new(Code::Unavailable, "The shadow follows its core no more."))?;
        self.databases.member.changed.notify_one();
        outcome
    }

    pub(super) async fn log_describe(&self, asked: LogDescribe) -> Result<LogTold, Problem> {
        let LogDescribe { database, ticket } = asked;
        let engine = self.permit(database, &ticket)?.copy.core()?;
        let Opened::Core(core) = &*engine else {
            return Err(broken(database, "it is no core"));
        };
        let history = core.history().await.map_err(|error| failed(&error))?;
        Ok(LogTold {
            epochs: history.epochs,
            last: history.last,
        })
    }

    pub(super) async fn sums(&self, asked: SumsRead) -> Result<SumsPiece, Problem> {
        let SumsRead {
            database,
            ticket,
            cursor,
        } = asked;
        let admitted = self.permit(database, &ticket)?;
        let Some(cursor) = cursor else {
            return self.sums_begin(database, &admitted).await;
        };
        let summing = self.sums.lock().remove(&cursor);
        let mut summing = summing
            .ok_or_else(|| Problem::new(Code::NotFound, "There are no such sums any more."))?;
        if admitted.share()?.hash() != summing.holds.as_deref() {
            let detail = "What the shadow may hold was changed while it was compared.";
            return Err(Problem::new(Code::Busy, detail));
        }
        summing.wait().await?;
        let count = summing.rest.len().min(SUMS_MAX);
        let sums = summing.rest.drain(..count).collect();
        let position = summing.position;
        let has_more = summing.made.is_some() || !summing.rest.is_empty();
        if has_more {
            self.sums.lock().insert(cursor, summing);
        }
        Ok(SumsPiece {
            position,
            sums,
            cursor: has_more.then_some(cursor),
        })
    }

    async fn sums_begin(
        &self,
        database: DatabaseId,
        admitted: &Admitted,
    ) -> Result<SumsPiece, Problem> {
        let share = admitted.share()?;
        let holds = share.hash().map(str::to_owned);
        let filter = share.filter();
        let engine = admitted.copy.core()?;
        let places = Arc::clone(&self.databases.snapshots);
        let place = places.try_acquire_owned().map_err(|_| {
            Problem::new(
                Code::Busy,
                "The Host makes as many snapshots and sums as it can.",
            )
        })?;
        let (begun, beginning) = oneshot::channel();
        let made = tokio::spawn(async move {
            match &*engine {
                Opened::Core(core) => core.sums(RANGE_ROWS, filter, Some(begun)).await,
                Opened::Shadow(_) | Opened::Broken(_) => Err(EngineError::Stopping),
            }
        });
        let position = beginning
            .await
            .map_err(|_| broken(database, "its rows cannot be read"))?;
        let cursor: CursorNumber = self.number();
        let summing = Summing {
            position,
            made: Some(made),
            rest: VecDeque::new(),
            holds,
            _place: place,
        };
        self.sums.lock().insert(cursor, summing);
        Ok(SumsPiece {
            position,
            sums: Vec::new(),
            cursor: Some(cursor),
        })
    }
}

impl Summing {
    /// Waits a while for the sums to be made.
    async fn wait(&mut self) -> Result<(), Problem> {
        let Some(made) = &mut self.made else {
            return Ok(());
        };
        let Ok(made) = tokio::time::timeout(SUMS_WAIT, made).await else {
            return Ok(());
        };
        self.made = None;
        let made = made.map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
        let sums = made.map_err(|error| failed(&error))?;
        self.rest = sums.ranges.into_iter().map(told).collect();
        Ok(())
    }
}
