//! Makes the rows of a shadow at the server from the file beside them, as they are at one
//! position of the log, while the file goes on.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use gridmart_schemas::{
    data::{LogPoint, Row, Table, Value},
    resource::enumeration::DataEngine,
};
use rusqlite::Connection as File;
use tokio::sync::mpsc;

use super::file::{LogFile, wordless};
use crate::data::{
    engine::{
        EngineError,
        sqlite::{
            Failure as _, Guard, OWN, Purpose, open, schema::describe, schema::quoted, state_of,
            types,
        },
    },
    log::{Whole, whole_of},
};

/// Bytes that travel at a time, about.
const PIECE_BYTES: usize = 256 * 1024;
/// Rows in them.
const PIECE_ROWS: usize = 2000;
/// Pieces that wait.
const PIECES: usize = 4;

/// How a server takes the rows of a shadow, in this order.
#[async_trait]
pub(in super::super) trait Loader: Send {
    /// Makes the tables in an empty database.
    async fn begin(&mut self, whole: &Whole) -> Result<(), EngineError>;

    /// The rows that follow are of this table.
    async fn table(&mut self, table: Table) -> Result<(), EngineError>;

    /// Takes some.
    async fn rows(&mut self, rows: Vec<Row>) -> Result<(), EngineError>;

    /// All have come: makes the rest, and notes the position that they are at.
    async fn finish(&mut self, whole: &Whole, last: LogPoint) -> Result<(), EngineError>;
}

/// A part of the file on its way.
enum Part {
    /// What it is of, and what makes its tables.
    Begin(LogPoint, Whole),
    /// Rows of this table follow.
    Table(Table),
    /// Some.
    Rows(Vec<Row>),
    End,
}

/// Fills an empty database; gives the position that it is at.
pub(in super::super) async fn load(
    loader: &mut impl Loader,
    file: &LogFile,
) -> Result<LogPoint, EngineError> {
    let (sender, receiver) = mpsc::channel(PIECES);
    let (path, engine) = (file.path().to_owned(), file.engine().clone());
    let reading = tokio::task::spawn_blocking(move || read(&path, &engine, &sender));
    let written = write(loader, receiver).await;
    let read = reading.await;
    let read = read.map_err(|error| EngineError::Internal(error.to_string()))?;
    match read {
        // It ends where nobody takes more.
        Ok(()) | Err(EngineError::Stopping) => written,
        Err(error) => Err(error),
    }
}

/// Reads the file in one view of it; blocks for the disk.
fn read(path: &Path, engine: &DataEngine, sender: &mpsc::Sender<Part>) -> Result<(), EngineError> {
    let mut file = open(path, Purpose::Reader, &Arc::new(Guard::default()))?;
    let view = file.transaction().during("reading a shadow's file")?;
    let state = state_of(&view)?;
    let whole = whole_of(&view, engine)?.ok_or_else(|| wordless(engine))?;
    let pass = |part| {
        sender
            .blocking_send(part)
            .map_err(|_| EngineError::Stopping)
    };
    pass(Part::Begin(state.last, whole))?;
    for table in describe(&view, state.last.position)?.tables {
        pass(Part::Table(table.clone()))?;
        read_table(&view, &table, &pass)?;
    }
    pass(Part::End)
}

fn read_table(
    view: &File,
    table: &Table,
    pass: &impl Fn(Part) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let names: Vec<String> = table
        .columns
        .iter()
        .map(|column| quoted(&column.name))
        .collect();
    let sql = format!(
        "{OWN}SELECT {} FROM {}",
        names.join(", "),
        quoted(&table.name)
    );
    let mut statement = view.prepare(&sql).during("reading a shadow's rows")?;
    let mut rows = statement.query([]).during("reading a shadow's rows")?;
    let (mut piece, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next().during("reading a shadow's rows")? {
        let mut values = Vec::with_capacity(table.columns.len());
        for (index, column) in table.columns.iter().enumerate() {
            let stored = row.get_ref(index).during("reading a shadow's rows")?;
            values.push(types::read(stored, Some(column.sql_type))?);
        }
        bytes += values.iter().map(Value::bytes).sum::<usize>();
        piece.push(values);
        if bytes >= PIECE_BYTES || piece.len() >= PIECE_ROWS {
            bytes = 0;
            pass(Part::Rows(std::mem::take(&mut piece)))?;
        }
    }
    if piece.is_empty() {
        return Ok(());
    }
    pass(Part::Rows(piece))
}

/// Hands the parts over.
async fn write(
    loader: &mut impl Loader,
    mut receiver: mpsc::Receiver<Part>,
) -> Result<LogPoint, EngineError> {
    let Some(Part::Begin(last, whole)) = receiver.recv().await else {
        return Err(EngineError::Stopping);
    };
    loader.begin(&whole).await?;
    loop {
        match receiver.recv().await.ok_or(EngineError::Stopping)? {
            Part::Table(table) => loader.table(table).await?,
            Part::Rows(rows) => loader.rows(rows).await?,
            Part::End => break,
            Part::Begin(..) => {}
        }
    }
    loader.finish(&whole, last).await?;
    Ok(last)
}
