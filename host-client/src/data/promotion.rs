//! A shadow becomes the core; a core that was replaced comes back as a shadow.
//!
//! Whoever decides on a promotion gives it an epoch that was never given before.
//! What the old core had committed and no shadow has is its own affair: it is set
//! aside in a file, named, before the copy is rebuilt.

use std::{path::Path, sync::Arc};

use gridmart_schemas::data::{Epoch, EpochBegin, LogPoint, Position};

use super::{
    aside::{Aside, set_aside},
    engine::{
        EngineError,
        sqlite::{Failure as _, Guard, Purpose, history, open, state_of},
    },
    log::{
        Role, epoch_put, epochs,
        history::{History, common},
        state_put,
    },
};

/// Makes a shadow the core, from the entry on that it has last. It must not be
/// open. Gives where the new epoch begins.
pub fn promote(database: &Path, epoch: Epoch) -> Result<EpochBegin, EngineError> {
    let mut connection = open(database, Purpose::Shadow, &Arc::new(Guard::default()))?;
    let transaction = connection.transaction().during("promoting a shadow")?;
    let mut state = state_of(&transaction)?;
    let newest = epochs(&transaction)?
        .last()
        .map_or(state.epoch, |begin| begin.epoch);
    if state.role == Role::Core && state.epoch == epoch && state.fenced.is_none() {
        // Asked again.
        let first = epochs(&transaction)?
            .into_iter()
            .find(|begin| begin.epoch == epoch);
        return Ok(first.unwrap_or(EpochBegin {
            epoch,
            first: state.last.position.next(),
        }));
    }
    if epoch <= newest.max(state.epoch) || state.fenced >= Some(epoch) {
        return Err(EngineError::Fenced { newest });
    }
    if let Some(why) = state.diverged {
        return Err(EngineError::Diverged {
            position: state.last.position,
            why,
        });
    }
    if state.partial.is_some() {
        return Err(EngineError::ReadOnly {
            why: "it holds a part of the database only".to_owned(),
        });
    }
    let begin = EpochBegin {
        epoch,
        first: state.last.position.next(),
    };
    state.role = Role::Core;
    state.epoch = epoch;
    state.fenced = None;
    epoch_put(&transaction, begin)?;
    state_put(&transaction, &state)?;
    transaction.commit().during("promoting a shadow")?;
    Ok(begin)
}

/// How an old core goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Returned {
    /// It had nothing that the new core has not: it is a shadow now, and pulls.
    Follows(LogPoint),
    /// It had entries of its own. They are set aside; the copy has to be rebuilt
    /// from a snapshot.
    Rebuild(Aside),
}

/// Brings a copy that was a core, or has parted, behind the new core, of which it
/// is told the history. The copy must not be open. What it alone has is written
/// into `file` first.
pub fn come_back(database: &Path, core: &History, file: &Path) -> Result<Returned, EngineError> {
    let connection = open(database, Purpose::Shadow, &Arc::new(Guard::default()))?;
    let own = history(&connection)?;
    let shared: Position = common(&own, core);
    if shared < own.last.position {
        return set_aside(&connection, shared, file).map(Returned::Rebuild);
    }
    let mut state = state_of(&connection)?;
    state.role = Role::Shadow;
    state.fenced = None;
    state_put(&connection, &state)?;
    Ok(Returned::Follows(own.last))
}
