//! What the copy knows of itself, in a file of SQLite's in its folder: its role, its
//! epochs. The rows are at the server.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use gridmart_schemas::data::Epoch;

use crate::data::{
    engine::{
        EngineError,
        sqlite::{Guard, Purpose, history, open, state_at, state_of},
    },
    log::{State, history::History, state_put},
};

/// See the module.
pub(super) struct Notes(PathBuf);

impl Notes {
    pub(super) fn of(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(super) fn state(&self) -> Result<State, EngineError> {
        state_at(&self.0)
    }

    pub(super) fn history(&self) -> Result<History, EngineError> {
        history(&open(
            &self.0,
            Purpose::Reader,
            &Arc::new(Guard::default()),
        )?)
    }

    /// Writes down that a newer core has taken over.
    pub(super) fn fence(&self, newest: Epoch) -> Result<(), EngineError> {
        let connection = open(&self.0, Purpose::Shadow, &Arc::new(Guard::default()))?;
        let mut state = state_of(&connection)?;
        if newest <= state.epoch || state.fenced >= Some(newest) {
            return Ok(());
        }
        state.fenced = Some(newest);
        state_put(&connection, &state)
    }
}
