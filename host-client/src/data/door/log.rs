//! A core's log and snapshots for shadows on other Hosts: each gets what its ticket and
//! the Element's rules for it leave, and nothing that the rules of a moment ago left.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use gridmart_schemas::{
    id::{DatabaseId, NodeId},
    problem::{Code, Problem},
    wire::replica::{LogPull, LogPulled, SnapshotPiece, SnapshotRead, SnapshotTold},
};

use super::{
    super::{
        copy::{Copy, Opened, broken},
        engine::{CoreEngine, EngineError},
        follower::failed,
        log::{Pulled, history::History},
        pace::granted,
        parts::Share,
        pulling::answer,
        snapshot::Snapshot,
    },
    DatabasesStream,
};
use crate::member::blocking;

/// A pull waits so long for something to come.
const PULL_WAIT: Duration = Duration::from_secs(10);

/// A snapshot on its way out.
pub(super) struct Outgoing {
    snapshot: Snapshot,
    /// By which filter it was made.
    holds: Option<String>,
    /// Its place among all.
    _place: tokio::sync::OwnedSemaphorePermit,
}

/// A shadow that may read the log of a copy.
pub(super) struct Admitted {
    pub(super) copy: Arc<Copy>,
    shadow: NodeId,
    filter_version: Option<u64>,
}

impl Admitted {
    /// What it may read now.
    pub(super) fn share(&self) -> Result<Share, Problem> {
        self.copy.parts.share(self.shadow, self.filter_version)
    }
}

impl DatabasesStream {
    /// Lets in who shows a ticket for the log of that database.
    pub(super) fn permit(&self, database: DatabaseId, ticket: &str) -> Result<Admitted, Problem> {
        let member = &self.databases.member;
        let claims = member
            .trust
            .judge(|keys, now| keys.verify_log(ticket, member.node, &self.presenter, now))?;
        if claims.database != database {
            return Err(Problem::new(
                Code::TicketForeign,
                "The ticket is for the log of another database.",
            ));
        }
        Ok(Admitted {
            copy: self.databases.copies.get(database)?,
            shadow: claims.sub,
            filter_version: claims.filter_version,
        })
    }

    pub(super) async fn pull(&self, asked: LogPull) -> Result<LogPulled, Problem> {
        let LogPull {
            database,
            ticket,
            epochs,
            last,
            body_from,
            holds,
            bytes_max,
        } = asked;
        let bytes_max = granted(bytes_max);
        let admitted = self.permit(database, &ticket)?;
        let engine = admitted.copy.core()?;
        let Opened::Core(core) = &*engine else {
            return Err(broken(database, "it is no core"));
        };
        let (mut commits, mut parts) = (core.watch(), admitted.copy.parts.watch());
        let history = History { epochs, last };
        let deadline = tokio::time::Instant::now() + PULL_WAIT;
        loop {
            parts.mark_unchanged();
            let share = admitted.share()?;
            if share.hash() != holds.as_deref() {
                return Ok(LogPulled::SnapshotNeeded);
            }
            let committed = commits.borrow_and_update().position;
            let pulled = pulled(&**core, history.clone(), &share, bytes_max).await;
            match pulled.map_err(|error| failed(&error))? {
                Pulled::SnapshotNeeded { .. } | Pulled::Parted { .. } => {
                    return Ok(LogPulled::SnapshotNeeded);
                }
                // Read by rules that do not count any more.
                Pulled::Entries(_) if parts.has_changed().unwrap_or(true) => continue,
                Pulled::Entries(entries) if !entries.is_empty() => {
                    return answer(entries, body_from, committed, bytes_max);
                }
                Pulled::Entries(_) => {}
            }
            tokio::select! {
                _ = commits.changed() => {}
                _ = parts.changed() => {}
                () = tokio::time::sleep_until(deadline) => {
                    return answer(Vec::new(), 0, committed, bytes_max);
                }
            }
        }
    }

    /// Makes a snapshot of a core, or of a part of it, if there is a place for it.
    async fn snapshot_taken(&self, copy: &Copy, share: Share) -> Result<Outgoing, Problem> {
        let engine = copy.core()?;
        let Opened::Core(core) = &*engine else {
            return Err(broken(copy.database, "it is no core"));
        };
        let places = Arc::clone(&self.databases.snapshots);
        let place = places
            .try_acquire_owned()
            .map_err(|_| Problem::new(Code::Busy, "The Host makes as many snapshots as it can."))?;
        let holds = share.hash().map(str::to_owned);
        let taken = match share {
            Share::Whole => core.snapshot(&copy.home).await,
            Share::Part(filter, _) => core.snapshot_part(&copy.home, filter).await,
        };
        Ok(Outgoing {
            snapshot: taken.map_err(|error| failed(&error))?,
            holds,
            _place: place,
        })
    }

    pub(super) async fn snapshot(&self, asked: SnapshotRead) -> Result<SnapshotPiece, Problem> {
        let SnapshotRead {
            database,
            ticket,
            cursor,
            bytes_max,
        } = asked;
        let admitted = self.permit(database, &ticket)?;
        let (head, mut outgoing) = if let Some(cursor) = cursor {
            let open = self.snapshots.lock().remove(&cursor);
            let open = open.ok_or_else(|| {
                Problem::new(Code::NotFound, "There is no such snapshot any more.")
            })?;
            (None, open)
        } else {
            let taken = self.snapshot_taken(&admitted.copy, admitted.share()?);
            let taken = taken.await?;
            let head = SnapshotTold {
                last: taken.snapshot.head().last,
                bytes: taken.snapshot.head().bytes,
                hash: taken.snapshot.head().hash.clone(),
            };
            (Some(head), taken)
        };
        if admitted.share()?.hash() != outgoing.holds.as_deref() {
            let detail = "What the shadow may hold was changed while it was loaded: it begins \
                          with another snapshot.";
            return Err(Problem::new(Code::Busy, detail));
        }
        let (outgoing, chunk) = blocking(move || {
            let chunk = outgoing.snapshot.next_chunk(granted(bytes_max));
            Ok((outgoing, chunk.map_err(|error| failed(&error))?))
        })
        .await?;
        let cursor = if chunk.is_empty() {
            None
        } else {
            let number = cursor.unwrap_or_else(|| self.number());
            self.snapshots.lock().insert(number, outgoing);
            Some(number)
        };
        Ok(SnapshotPiece {
            head,
            bytes: STANDARD_NO_PAD.encode(chunk),
            cursor,
        })
    }
}

async fn pulled(
    core: &dyn CoreEngine,
    history: History,
    share: &Share,
    bytes_max: u64,
) -> Result<Pulled, EngineError> {
    match share {
        Share::Whole => core.pull(history, bytes_max).await,
        Share::Part(filter, _) => core.pull_part(history, Arc::clone(filter), bytes_max).await,
    }
}
