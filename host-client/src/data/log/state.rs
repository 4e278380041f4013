//! What a copy of a database knows of itself.

use gridmart_fabric::sqlite::parsed;
use gridmart_schemas::data::{Epoch, EpochBegin, LogPoint, Position};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use crate::data::engine::{
    EngineError,
    sqlite::{Failure as _, OWN},
};

/// What a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one that takes writes.
    Core,
    /// One that follows a core.
    Shadow,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Shadow => "shadow",
        }
    }
}

/// The state row: written in the transaction of what it tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Which database it is a copy of.
    pub database: Uuid,
    /// What it is.
    pub role: Role,
    /// A core's own; a shadow's newest.
    pub epoch: Epoch,
    /// The last entry.
    pub last: LogPoint,
    /// The last entry that was dropped from the log: what is kept begins after.
    pub trimmed: LogPoint,
    /// Bytes of the entries that are kept.
    pub log_bytes: u64,
    /// A newer epoch that this core was told of: it writes no more.
    pub fenced: Option<Epoch>,
    /// Why this shadow is not a copy of its core any more.
    pub diverged: Option<String>,
    /// What this shadow holds, if it is not all.
    pub partial: Option<String>,
}

impl State {
    /// Of a database that is new.
    pub fn new(database: Uuid, role: Role) -> Self {
        Self {
            database,
            role,
            epoch: match role {
                Role::Core => Epoch::FIRST,
                Role::Shadow => Epoch::default(),
            },
            last: LogPoint::default(),
            trimmed: LogPoint::default(),
            log_bytes: 0,
            fenced: None,
            diverged: None,
            partial: None,
        }
    }
}

/// Reads the state; `None` if there was never any.
pub(in crate::data) fn state(connection: &Connection) -> Result<Option<State>, EngineError> {
    let sql = format!(
        "{OWN}SELECT database, role, epoch, position, position_epoch, trimmed, trimmed_epoch,
            log_bytes, fenced, diverged, partial FROM gridmart_state"
    );
    let read = connection
        .prepare_cached(&sql)
        .and_then(|mut statement| statement.query_row([], state_of).optional());
    read.during("reading the state of a database")
}

fn state_of(row: &Row<'_>) -> rusqlite::Result<State> {
    let point = |position: usize, epoch: usize| -> rusqlite::Result<LogPoint> {
        Ok(LogPoint {
            position: Position::new(row.get(position)?),
            epoch: Epoch::new(row.get(epoch)?),
        })
    };
    let role: String = row.get(1)?;
    let fenced: Option<i64> = row.get(8)?;
    let log_bytes: i64 = row.get(7)?;
    Ok(State {
        database: parsed(row, "database")?,
        role: if role == Role::Core.as_str() {
            Role::Core
        } else {
            Role::Shadow
        },
        epoch: Epoch::new(row.get(2)?),
        last: point(3, 4)?,
        trimmed: point(5, 6)?,
        log_bytes: log_bytes.unsigned_abs(),
        fenced: fenced.map(Epoch::new),
        diverged: row.get(9)?,
        partial: row.get(10)?,
    })
}

/// Makes the state of a new database; a core's first epoch begins.
pub(in crate::data) fn state_make(
    connection: &Connection,
    state: &State,
) -> Result<(), EngineError> {
    state_put(connection, state)?;
    if state.role == Role::Core {
        let begin = EpochBegin {
            epoch: state.epoch,
            first: state.last.position.next(),
        };
        epoch_put(connection, begin)?;
    }
    Ok(())
}

/// Writes the state, in the caller's transaction.
pub(in crate::data) fn state_put(
    connection: &Connection,
    state: &State,
) -> Result<(), EngineError> {
    let sql = format!(
        "{OWN}INSERT INTO gridmart_state VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (one) DO UPDATE SET database = ?1, role = ?2, epoch = ?3, position = ?4,
            position_epoch = ?5, trimmed = ?6, trimmed_epoch = ?7, log_bytes = ?8, fenced = ?9,
            diverged = ?10, partial = ?11"
    );
    let put = connection.prepare_cached(&sql).and_then(|mut statement| {
        statement.execute(params![
            state.database.to_string(),
            state.role.as_str(),
            state.epoch.number(),
            state.last.position.number(),
            state.last.epoch.number(),
            state.trimmed.position.number(),
            state.trimmed.epoch.number(),
            i64::try_from(state.log_bytes).unwrap_or(i64::MAX),
            state.fenced.map(Epoch::number),
            state.diverged,
            state.partial,
        ])
    });
    put.map(drop).during("writing the state of a database")
}

/// The begins of all epochs that are known, oldest first.
pub(in crate::data) fn epochs(connection: &Connection) -> Result<Vec<EpochBegin>, EngineError> {
    let sql = format!("{OWN}SELECT epoch, first FROM gridmart_epoch ORDER BY epoch");
    let read = || -> rusqlite::Result<Vec<EpochBegin>> {
        let mut statement = connection.prepare_cached(&sql)?;
        let begins = statement.query_map([], |row| {
            Ok(EpochBegin {
                epoch: Epoch::new(row.get(0)?),
                first: Position::new(row.get(1)?),
            })
        })?;
        begins.collect()
    };
    read().during("reading the epochs of a database")
}

/// Notes the begin of an epoch, in the caller's transaction.
pub(in crate::data) fn epoch_put(
    connection: &Connection,
    begin: EpochBegin,
) -> Result<(), EngineError> {
    let sql = format!("{OWN}INSERT OR IGNORE INTO gridmart_epoch VALUES (?1, ?2)");
    let put = connection.execute(&sql, [begin.epoch.number(), begin.first.number()]);
    put.map(drop).during("writing an epoch of a database")
}
