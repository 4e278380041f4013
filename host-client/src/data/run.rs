//! Statements of the Element on this Host's copies: their rows in pieces.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use gridmart_schemas::{
    data::{Position, Row, SqlType, Value},
    problem::Problem,
    resource::enumeration::ReplicaRole,
    wire::{
        data::{PIECE_BYTES, ROW_BYTES_MAX},
        replica::{ReplicaAnswer, ReplicaPiece, ReplicaRun, ReplicaStatementKind, StatementRules},
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    copy::Opened,
    door::{Databases, fault, fault_of},
    engine::{Cancel, Engine, EngineError, Limits, RowStream, Statement, StatementKind},
};

/// A result that is not at its end.
pub(super) struct OpenRows {
    source: Source,
    cut: CancellationToken,
    _running: Running,
}

/// Where rows come from.
enum Source {
    /// A statement that runs on.
    Stream(RowStream),
    /// One of a transaction, which is done.
    Held(std::vec::IntoIter<Row>, Position),
}

impl Source {
    fn position(&self) -> Position {
        match self {
            Self::Stream(stream) => stream.position(),
            Self::Held(_, position) => *position,
        }
    }

    async fn next(&mut self) -> Option<Result<Vec<Row>, EngineError>> {
        match self {
            Self::Stream(stream) => stream.next().await,
            Self::Held(rows, _) => rows.next().map(|row| Ok(vec![row])),
        }
    }
}

/// Counts as running as long as it lives.
struct Running(Arc<Databases>);

impl Running {
    fn begin(databases: &Arc<Databases>) -> Self {
        databases.running.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(databases))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs a statement; gives its first piece, and what comes after it.
pub(super) async fn run(
    databases: &Arc<Databases>,
    asked: ReplicaRun,
    cancel: Cancel,
) -> Result<(ReplicaAnswer, Option<OpenRows>), Problem> {
    let limits = limits(&asked);
    let ReplicaRun {
        database,
        person,
        kind,
        text,
        parameters,
        columns,
        rules,
        shadow_text,
        after,
        cut_epoch: _,
        epoch,
        filter_version,
        transaction: _,
        mark: _,
        time: _,
        rows_max: _,
        bytes_max: _,
    } = asked;
    let running = Running::begin(databases);
    let cut = databases.cut.token();
    let copy = databases.copies.get(database)?;
    let writing = if kind == ReplicaStatementKind::Read {
        None
    } else {
        // Whoever closes the gate knows the last write of the core that it was.
        let passed = copy.gate.enter()?;
        copy.require_core(epoch)?;
        Some(passed)
    };
    let engine = copy.engine();
    tracing::debug!(database.id = %database, person = %person, ?kind, "a statement");
    let statement = Statement {
        cancel,
        rules,
        shadow_text,
        ..statement(kind, text, parameters, columns)
    };
    let engine: &dyn Engine = match &*engine {
        Opened::Core(core) => &**core,
        Opened::Shadow(shadow) => shadow,
        Opened::Broken(why) => return Err(copy.unusable(why)),
    };
    if kind == ReplicaStatementKind::Read {
        let position = engine.position().position;
        // A core has all there is, whatever was promised before it became one.
        let holds = copy.mark().map(|mark| mark.version);
        let is_behind =
            position < after || copy.follower.followed() < epoch || holds != filter_version;
        if is_behind && copy.role() == ReplicaRole::Shadow {
            return Ok((ReplicaAnswer::Behind(position), None));
        }
        let begun = cut.run_until_cancelled(engine.read(statement, limits));
        return match begun.await {
            None => Ok((killed(), None)),
            Some(Err(error)) => Ok((ReplicaAnswer::Refused(fault_of(&error)?), None)),
            Some(Ok(stream)) => Ok(piece_of(OpenRows {
                source: Source::Stream(stream),
                cut,
                _running: running,
            })
            .await),
        };
    }
    let answer = written(engine, statement, limits).await;
    drop(writing);
    Ok((answer?, None))
}

async fn written(
    engine: &dyn Engine,
    statement: Statement,
    limits: Limits,
) -> Result<ReplicaAnswer, Problem> {
    // What it returns has to go with its acknowledgement.
    let limits = Limits {
        bytes: limits.bytes.min(ROW_BYTES_MAX as u64),
        ..limits
    };
    match engine.write(statement, limits).await {
        Ok(written) => Ok(ReplicaAnswer::Rows(ReplicaPiece {
            rows: written.rows,
            cursor: None,
            rows_changed: Some(written.rows_changed),
            position: written.position,
        })),
        Err(error) => Ok(ReplicaAnswer::Refused(fault_of(&error)?)),
    }
}

/// A statement as the engine takes it.
pub(super) fn statement(
    kind: ReplicaStatementKind,
    text: String,
    parameters: Vec<Value>,
    columns: Vec<SqlType>,
) -> Statement {
    Statement {
        kind: match kind {
            ReplicaStatementKind::Read => StatementKind::Read,
            ReplicaStatementKind::Rows => StatementKind::Rows,
            ReplicaStatementKind::Schema => StatementKind::Schema,
        },
        text,
        parameters,
        columns: (kind != ReplicaStatementKind::Schema).then_some(columns),
        cancel: Cancel::default(),
        rules: StatementRules::default(),
        shadow_text: None,
    }
}

/// The engine's limits, and the Element's where they are less.
pub(super) fn limits(asked: &ReplicaRun) -> Limits {
    let Limits { rows, bytes, time } = Limits::default();
    let asked_time = asked.time.map(|time| Duration::from_millis(time.into()));
    Limits {
        rows: asked.rows_max.map_or(rows, |most| most.min(rows)),
        bytes: asked.bytes_max.map_or(bytes, |most| most.min(bytes)),
        time: asked_time.map_or(time, |most| most.min(time)),
    }
}

/// What a statement of a transaction gave, as rows that are fetched in pieces.
pub(super) async fn held(
    databases: &Arc<Databases>,
    rows: Vec<Row>,
    position: Position,
) -> (ReplicaAnswer, Option<OpenRows>) {
    let open = OpenRows {
        source: Source::Held(rows.into_iter(), position),
        cut: databases.cut.token(),
        _running: Running::begin(databases),
    };
    piece_of(open).await
}

pub(super) fn killed() -> ReplicaAnswer {
    ReplicaAnswer::Refused(gridmart_schemas::wire::data::SqlFault {
        state: "57P01".to_owned(),
        message: "the statement was ended by a kill".to_owned(),
        position: None,
    })
}

/// The next piece of a result, and what comes after it.
pub(super) async fn piece_of(mut open: OpenRows) -> (ReplicaAnswer, Option<OpenRows>) {
    let mut piece = ReplicaPiece {
        position: open.source.position(),
        ..ReplicaPiece::default()
    };
    let mut bytes = 0;
    while bytes < PIECE_BYTES {
        let cut = open.cut.clone();
        let batch = match cut.run_until_cancelled(open.source.next()).await {
            None => return (killed(), None),
            Some(None) => return (ReplicaAnswer::Rows(piece), None),
            Some(Some(Err(error))) => return (ReplicaAnswer::Refused(fault(&error)), None),
            Some(Some(Ok(batch))) => batch,
        };
        for row in &batch {
            let row_bytes = bytes_of(row);
            if row_bytes > ROW_BYTES_MAX {
                let error = EngineError::LimitExceeded {
                    of: "bytes in one row",
                    limit: ROW_BYTES_MAX as u64,
                };
                return (ReplicaAnswer::Refused(fault(&error)), None);
            }
            bytes += row_bytes;
        }
        piece.rows.extend(batch);
    }
    (ReplicaAnswer::Rows(piece), Some(open))
}

fn bytes_of(row: &Row) -> usize {
    row.iter().map(Value::bytes).sum()
}
