//! Makes the rows of a shadow at the server from the file beside them, as they are at one
//! position of the log, while the file goes on.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use futures_util::SinkExt as _;
use gridmart_schemas::{
    data::{LogPoint, Table, Value},
    resource::enumeration::DataEngine,
};
use rusqlite::Connection as File;
use tokio::sync::mpsc;
use tokio_postgres::{Client, CopyInSink, Error};

use super::{
    failure::{When, failure},
    file::wordless,
    quoted_name, references,
};
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
/// Pieces that wait.
const PIECES: usize = 4;

/// A part of the file on its way.
enum Part {
    /// What it is of, and what makes its tables.
    Begin(LogPoint, Whole),
    /// Rows of this table follow.
    Table(Table),
    /// Some, as COPY takes them.
    Rows(Bytes),
    End,
}

/// Fills an empty database; gives the position that it is at.
pub(super) async fn load(client: &Client, file: &Path) -> Result<LogPoint, EngineError> {
    let (sender, receiver) = mpsc::channel(PIECES);
    let file = file.to_owned();
    let reading = tokio::task::spawn_blocking(move || read(&file, &sender));
    let written = write(client, receiver).await;
    let read = reading.await;
    let read = read.map_err(|error| EngineError::Internal(error.to_string()))?;
    match read {
        // It ends where nobody takes more.
        Ok(()) | Err(EngineError::Stopping) => written,
        Err(error) => Err(error),
    }
}

/// Reads the file in one view of it; blocks for the disk.
fn read(path: &Path, sender: &mpsc::Sender<Part>) -> Result<(), EngineError> {
    let mut file = open(path, Purpose::Reader, &Arc::new(Guard::default()))?;
    let view = file.transaction().during("reading a shadow's file")?;
    let state = state_of(&view)?;
    let whole = whole_of(&view, &DataEngine::Postgresql)?;
    let whole = whole.ok_or_else(wordless)?;
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
    let mut piece = Vec::new();
    while let Some(row) = rows.next().during("reading a shadow's rows")? {
        for (index, column) in table.columns.iter().enumerate() {
            if index > 0 {
                piece.push(b'\t');
            }
            let stored = row.get_ref(index).during("reading a shadow's rows")?;
            let value = types::read(stored, Some(column.sql_type))?;
            put(&mut piece, &value);
        }
        piece.push(b'\n');
        if piece.len() >= PIECE_BYTES {
            pass(Part::Rows(std::mem::take(&mut piece).into()))?;
        }
    }
    if piece.is_empty() {
        return Ok(());
    }
    pass(Part::Rows(piece.into()))
}

/// A value as COPY's text form has it.
fn put(piece: &mut Vec<u8>, value: &Value) {
    use std::io::Write as _;
    // Writing to a Vec cannot fail.
    let _ = match value {
        Value::Null => piece.write_all(b"\\N"),
        Value::Bytea(bytes) => {
            piece.extend_from_slice(b"\\\\x");
            for byte in bytes {
                let _ = write!(piece, "{byte:02x}");
            }
            Ok(())
        }
        Value::Text(text) | Value::Json(text) => {
            for byte in text.bytes() {
                match byte {
                    b'\\' => piece.extend_from_slice(b"\\\\"),
                    b'\t' => piece.extend_from_slice(b"\\t"),
                    b'\n' => piece.extend_from_slice(b"\\n"),
                    b'\r' => piece.extend_from_slice(b"\\r"),
                    byte => piece.push(byte),
                }
            }
            Ok(())
        }
        Value::Bool(truth) => write!(piece, "{truth}"),
        Value::Int2(number) => write!(piece, "{number}"),
        Value::Int4(number) => write!(piece, "{number}"),
        Value::Int8(number) => write!(piece, "{number}"),
        Value::Float4(number) => write!(piece, "{number}"),
        Value::Float8(number) => write!(piece, "{number}"),
        Value::Numeric(number) => write!(piece, "{number}"),
        Value::Date(date) => write!(piece, "{date}"),
        Value::Time(time) => write!(piece, "{time}"),
        Value::Timestamp(moment) => write!(piece, "{moment}"),
        Value::TimestampTz(moment) => write!(piece, "{moment}"),
        Value::Uuid(uuid) => write!(piece, "{uuid}"),
    };
}

/// Takes the parts, as one transaction.
async fn write(
    client: &Client,
    mut receiver: mpsc::Receiver<Part>,
) -> Result<LogPoint, EngineError> {
    let failed = |error: Error| failure(&error, When::Undone, false);
    let Some(Part::Begin(last, whole)) = receiver.recv().await else {
        return Err(EngineError::Stopping);
    };
    let begin = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; BEGIN";
    client.batch_execute(begin).await.map_err(failed)?;
    client
        .batch_execute(references::MAKE)
        .await
        .map_err(failed)?;
    for statement in &whole.tables {
        client.batch_execute(statement).await.map_err(failed)?;
    }
    let mut copying: Option<std::pin::Pin<Box<CopyInSink<Bytes>>>> = None;
    loop {
        let part = receiver.recv().await.ok_or(EngineError::Stopping)?;
        if let (Part::Rows(rows), Some(copying)) = (&part, &mut copying) {
            copying.send(rows.clone()).await.map_err(failed)?;
            continue;
        }
        if let Some(mut done) = copying.take() {
            done.as_mut().finish().await.map_err(failed)?;
        }
        match part {
            Part::Table(table) => {
                let into = client.copy_in(&copy_text(&table)).await;
                copying = Some(Box::pin(into.map_err(failed)?));
            }
            Part::End => break,
            Part::Begin(..) | Part::Rows(_) => {}
        }
    }
    finish(client, &whole, last).await.map_err(failed)?;
    Ok(last)
}

fn copy_text(table: &Table) -> String {
    let names: Vec<String> = table
        .columns
        .iter()
        .map(|column| quoted_name(&column.name))
        .collect();
    format!(
        "COPY {} ({}) FROM STDIN",
        quoted_name(&table.name),
        names.join(", ")
    )
}

async fn finish(client: &Client, whole: &Whole, last: LogPoint) -> Result<(), Error> {
    for statement in &whole.indexes {
        client.batch_execute(statement).await?;
    }
    references::keep(client, &whole.references).await?;
    let text = "INSERT INTO gridmart.position VALUES (true, $1, $2)";
    let (position, epoch) = (last.position.number(), last.epoch.number());
    client.execute(text, &[&position, &epoch]).await?;
    client.batch_execute("COMMIT").await?;
    client.batch_execute("ANALYZE").await
}
