//! Brings a copy behind its core that cannot follow as it is: what it alone has is set
//! aside, then a snapshot takes its place.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use gridmart_fabric::stream::Peer;
use gridmart_schemas::{
    problem::{Code, Problem},
    resource::enumeration::{ReplicaRole, SyncState},
    wire::replica::{LogDescribe, LogTold, SnapshotPiece, SnapshotRead, SnapshotTold},
};
use tokio::runtime::Handle;

use super::{
    copy::Copy,
    engine::{EngineError, sqlite::state_at},
    follower::{PULL_TIME_MAX, failed},
    kept_aside::{keep_whole, note},
    log::{Role, history::History},
    promotion::{Returned, come_back},
    snapshot::{Install, SnapshotHead},
};
use crate::member::blocking;

/// A snapshot may take so long to be made, before its first piece comes.
const SNAPSHOT_TIME_MAX: Duration = Duration::from_mins(10);

/// Brings a copy that cannot follow as it is behind its core: what it has that the core
/// has not is set aside; then it follows, if it was whole, or begins with a snapshot.
pub(super) async fn begin_anew(
    copy: &Arc<Copy>,
    peer: &Peer,
    ticket: String,
) -> Result<(), Problem> {
    let describe = LogDescribe {
        database: copy.database,
        ticket: ticket.clone(),
    };
    let LogTold { epochs, last } = peer.ask(&describe, PULL_TIME_MAX).await?;
    let core = History { epochs, last };
    let parting = Arc::clone(copy);
    let follows = blocking(move || {
        let _one_at_a_time = parting.changing.blocking_lock();
        part(&parting, &core)
    });
    if follows.await? {
        copy.follower.stands(SyncState::CatchingUp);
        return Ok(());
    }
    fetch(copy, peer, ticket).await
}

/// Sets aside what the core has not; whether the copy can follow as it is.
pub(super) fn part(copy: &Copy, core: &History) -> Result<bool, Problem> {
    if copy.role() == ReplicaRole::Core {
        return Err(became_core());
    }
    copy.close();
    let Some(path) = copy.home.database().map_err(|error| failed(&error))? else {
        return Ok(false);
    };
    let state = match state_at(&path) {
        Ok(state) => state,
        Err(error) => {
            // Nobody can read what it had.
            tracing::error!(database.id = %copy.database, %error, "what is left of a copy cannot be read, and is made anew");
            return Ok(false);
        }
    };
    if state.partial.is_some() {
        // It has nothing that only it could have, and may not have it any more.
        return Ok(false);
    }
    let was_core = state.role == Role::Core;
    if was_core {
        finish_core(copy, &path)?;
    }
    let aside = &copy.shelf.aside;
    let unkept = |error: std::io::Error| {
        let detail = format!("What a copy alone had cannot be set aside: {error}.");
        Problem::new(Code::StorageFailed, detail)
    };
    let file = aside.file(copy.database, state.last).map_err(unkept)?;
    match come_back(&path, core, &file) {
        Ok(Returned::Follows(_)) if was_core => {
            let forgotten = copy.home.server_name_forget();
            forgotten.map_err(|error| failed(&error))?;
            copy.open_again();
            Ok(true)
        }
        Ok(Returned::Follows(_)) => Ok(false),
        Ok(Returned::Rebuild(kept)) => {
            if kept.missing > 0 {
                keep_whole(&path, &file).map_err(|error| failed(&error))?;
            }
            note(&kept).map_err(unkept)?;
            tracing::error!(
                database.id = %copy.database, file = %kept.file.display(), entries = kept.entries,
                after = %kept.common, through = %kept.last,
                "this copy had committed what the core has not: it is set aside in the file"
            );
            Ok(false)
        }
        Err(error @ EngineError::Storage { .. }) => Err(failed(&error)),
        Err(error) => {
            tracing::error!(database.id = %copy.database, %error, "what a copy alone may have had cannot be read");
            if was_core {
                keep_whole(&path, &file).map_err(|error| failed(&error))?;
            }
            Ok(false)
        }
    }
}

/// Brings what a core on a server has committed into its log, before anything is said of
/// what it alone had. Where the server does not tell it any more, its database stays there.
fn finish_core(copy: &Copy, path: &Path) -> Result<(), Problem> {
    let home = &copy.home;
    let engine = home.engine().map_err(|error| failed(&error))?;
    let server = copy.shelf.servers.of(&engine);
    let server = server.map_err(|error| failed(&error))?;
    let Some(shadows) = server.and_then(|server| server.shadows()) else {
        return Ok(());
    };
    let name = home.server_name().map_err(|error| failed(&error))?;
    let name = name.unwrap_or_else(|| shadows.name_of(copy.database));
    let finished = Handle::current().block_on(shadows.finish_log(&name, path));
    let is_kept = match finished {
        Ok(()) => false,
        // What was told before stays told: the rest is in the database alone.
        Err(error @ (EngineError::Damaged { .. } | EngineError::Diverged { .. })) => {
            tracing::error!(database.id = %copy.database, name, %error, "what a core that was replaced had committed last is in its database at the server alone, which stays there");
            true
        }
        Err(error) => return Err(failed(&error)),
    };
    // With the copy that follows now, it goes.
    let noted = home.at_server_note(&name, is_kept);
    noted.map_err(|error| failed(&error))
}

pub(super) fn became_core() -> Problem {
    Problem::new(Code::Unavailable, "This copy has become the core.")
}

/// Fetches a snapshot, and puts it in the place of what is there.
async fn fetch(copy: &Arc<Copy>, peer: &Peer, ticket: String) -> Result<(), Problem> {
    copy.follower.stands(SyncState::Initialising);
    let mut read = SnapshotRead {
        database: copy.database,
        ticket,
        cursor: None,
        bytes_max: Some(copy.follower.pace.bytes()),
    };
    let mut piece: SnapshotPiece = peer.ask(&read, SNAPSHOT_TIME_MAX).await?;
    let head = piece
        .head
        .take()
        .ok_or_else(|| Problem::new(Code::Internal, "A snapshot came without its head."))?;
    let (home, head) = (copy.home.clone(), head_of(copy, head));
    let mut install =
        blocking(move || Install::begin(&home, head).map_err(|error| failed(&error))).await?;
    loop {
        let bytes = STANDARD_NO_PAD.decode(&piece.bytes).map_err(|error| {
            Problem::new(
                Code::DigestMismatch,
                format!("A piece of a snapshot is no base64: {error}."),
            )
        })?;
        install = blocking(move || {
            install.write(&bytes).map_err(|error| failed(&error))?;
            Ok(install)
        })
        .await?;
        let Some(cursor) = piece.cursor else {
            break;
        };
        read.cursor = Some(cursor);
        read.bytes_max = Some(copy.follower.pace.bytes());
        let begun = Instant::now();
        let answer = peer.ask(&read, PULL_TIME_MAX).await;
        let took = answer.is_ok().then(|| begun.elapsed());
        copy.follower.pace.answered(took);
        piece = answer?;
    }
    let installed = Arc::clone(copy);
    blocking(move || {
        let _one_at_a_time = installed.changing.blocking_lock();
        if installed.role() == ReplicaRole::Core {
            return Err(became_core());
        }
        installed.close();
        // What is at a server is of the file before.
        let forgotten = installed.home.server_name_forget();
        let finished = forgotten.and_then(|()| install.finish());
        let finished = finished.map_err(|error| failed(&error));
        installed.open_again();
        finished.map(drop)
    })
    .await?;
    tracing::info!(database.id = %copy.database, "a shadow was made from a snapshot");
    copy.follower.stands(SyncState::CatchingUp);
    Ok(())
}

fn head_of(copy: &Copy, told: SnapshotTold) -> SnapshotHead {
    SnapshotHead {
        database: *copy.database.as_uuid(),
        last: told.last,
        bytes: told.bytes,
        hash: told.hash,
    }
}
