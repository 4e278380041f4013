//! What a copy on a server knows of itself, in a file of SQLite's in its folder: its role,
//! its epochs. The rows are at the server.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use gridmart_schemas::data::Epoch;
use parking_lot::Mutex;

use crate::data::{
    engine::{
        EngineError,
        sqlite::{Guard, Purpose, history, open, state_at, state_of},
    },
    log::{State, history::History, state_put},
};

/// See the module.
pub(super) struct Notes(Mutex<PathBuf>);

impl Notes {
    pub(super) fn of(path: &Path) -> Self {
        Self(Mutex::new(path.to_owned()))
    }

    /// Where they are.
    pub(super) fn path(&self) -> PathBuf {
        self.0.lock().clone()
    }

    /// They are in another file from here on.
    pub(super) fn moved(&self, path: PathBuf) {
        *self.0.lock() = path;
    }

    pub(super) fn state(&self) -> Result<State, EngineError> {
        state_at(&self.path())
    }

    pub(super) fn history(&self) -> Result<History, EngineError> {
        history(&open(
            &self.path(),
            Purpose::Reader,
            &Arc::new(Guard::default()),
        )?)
    }

    /// Writes down that a newer core has taken over.
    pub(super) fn fence(&self, newest: Epoch) -> Result<(), EngineError> {
        let connection = open(&self.path(), Purpose::Shadow, &Arc::new(Guard::default()))?;
        let mut state = state_of(&connection)?;
        if newest <= state.epoch || state.fenced >= Some(newest) {
            return Ok(());
        }
        state.fenced = Some(newest);
        state_put(&connection, &state)
    }
}
