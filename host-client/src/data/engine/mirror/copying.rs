//! Makes a mirror: its rows, and the place of the server's log at which it has them.

use std::{path::Path, sync::Arc};

use gridmart_schemas::{
    data::{LogPoint, Row, Table},
    resource::enumeration::DataEngine,
};
use rusqlite::Connection;
use tokio::sync::mpsc;

use super::{Source, file::place_put, seat::Seat};
use crate::data::{
    engine::{
        EngineError,
        sqlite::{
            Failure as _, Guard, OWN, Purpose, create, create_table, create_view, open,
            schema::quoted, types::bind,
        },
    },
    home::Home,
    log::{Role, State, Whole, epoch_put, history::History, state_put, whole_put},
};

/// Rows that travel to the file at a time, and batches of them that wait.
const BATCH_ROWS: usize = 500;
const BATCHES: usize = 4;
/// Bytes of such rows, about.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// An index, as the mirror needs it to know what is dropped.
#[derive(Debug)]
pub(in super::super) struct Index {
    pub(in super::super) name: String,
    pub(in super::super) table: String,
    pub(in super::super) columns: Vec<String>,
}

/// What a mirror begins with, beside its rows.
pub(in super::super) struct Begin<S: Source> {
    /// The place of the server's log at which it has them.
    pub(in super::super) place: S::Place,
    /// The schema in the server's own words, from a source that has such.
    pub(in super::super) whole: Option<Whole>,
}

/// What the file knows of itself.
struct Head {
    state: State,
    history: History,
    place: String,
    words: Option<(DataEngine, Whole)>,
}

/// A part of the copy on its way to the file.
enum Part {
    Table(Table, Vec<Index>),
    Rows(Vec<Row>),
    /// Views, with their definitions.
    Views(Vec<(String, String)>),
    End,
}

/// Where parts of a copy go: tables, each before its rows.
pub(in super::super) struct Parts {
    sender: mpsc::Sender<Part>,
    rows: Vec<Row>,
    bytes: usize,
}

impl Parts {
    pub(in super::super) async fn views(
        &self,
        views: Vec<(String, String)>,
    ) -> Result<(), EngineError> {
        self.pass(Part::Views(views)).await
    }

    /// The rows that follow are of this table.
    pub(in super::super) async fn table(
        &mut self,
        table: Table,
        indexes: Vec<Index>,
    ) -> Result<(), EngineError> {
        self.flush().await?;
        self.pass(Part::Table(table, indexes)).await
    }

    pub(in super::super) async fn row(&mut self, row: Row) -> Result<(), EngineError> {
        self.bytes += row
            .iter()
            .map(gridmart_schemas::data::Value::bytes)
            .sum::<usize>();
        self.rows.push(row);
        if self.rows.len() < BATCH_ROWS && self.bytes < BATCH_BYTES {
            return Ok(());
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), EngineError> {
        self.bytes = 0;
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.rows);
        self.pass(Part::Rows(rows)).await
    }

    async fn pass(&self, part: Part) -> Result<(), EngineError> {
        let passed = self.sender.send(part).await;
        passed.map_err(|_| EngineError::Stopping)
    }
}

/// Makes a mirror of what is sent, in the place of what the copy's folder has.
pub(in super::super) async fn fill<S: Source>(
    seat: &Seat<S>,
    home: &Home,
    old: &State,
    begin: Begin<S>,
    send: impl AsyncFnOnce(&mut Parts) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let head = Head {
        state: anew(old),
        history: seat.notes.history()?,
        place: begin.place.to_string(),
        words: begin.whole.map(|whole| (S::ENGINE, whole)),
    };
    let (number, path) = home.prepare()?;
    let (sender, receiver) = mpsc::channel(BATCHES);
    let file = path.clone();
    let writing = tokio::task::spawn_blocking(move || write(&file, &head, receiver));
    let mut parts = Parts {
        sender,
        rows: Vec::new(),
        bytes: 0,
    };
    let all = async {
        send(&mut parts).await?;
        parts.flush().await?;
        parts.pass(Part::End).await
    };
    let all = all.await;
    drop(parts);
    let written = writing.await;
    let written = written.map_err(|error| EngineError::Internal(error.to_string()))?;
    match (written, all) {
        // It ends where nothing more is sent.
        (Err(EngineError::Stopping), Err(failed)) => Err(failed),
        (written, all) => written.and(all),
    }?;
    home.publish(number)?;
    seat.notes.moved(path);
    Ok(())
}

/// What a new mirror knows of itself: shadows of before begin anew.
fn anew(old: &State) -> State {
    let last = LogPoint {
        position: old.last.position.next(),
        epoch: old.epoch,
    };
    State {
        last,
        trimmed: last,
        log_bytes: 0,
        ..old.clone()
    }
}

/// Writes the file; blocks for the disk.
fn write(path: &Path, head: &Head, mut receiver: mpsc::Receiver<Part>) -> Result<(), EngineError> {
    create(path, head.state.database, Role::Core)?;
    let mut connection = open(path, Purpose::Shadow, &Arc::new(Guard::default()))?;
    let transaction = connection.transaction().during("making a mirror")?;
    let mut insert = String::new();
    loop {
        match receiver.blocking_recv() {
            None => return Err(EngineError::Stopping),
            Some(Part::End) => break,
            Some(Part::Views(views)) => {
                for (name, definition) in views {
                    let text = create_view(&name, &definition);
                    let made = transaction.execute_batch(&text);
                    made.during("making a view of a mirror")?;
                }
            }
            Some(Part::Table(table, indexes)) => {
                table_make(&transaction, &table, &indexes)?;
                let places = vec!["?"; table.columns.len()].join(", ");
                insert = format!("{OWN}INSERT INTO {} VALUES ({places})", quoted(&table.name));
            }
            Some(Part::Rows(rows)) => {
                let mut statement = transaction
                    .prepare_cached(&insert)
                    .during("filling a mirror")?;
                for row in rows {
                    let values: Result<Vec<_>, EngineError> = row.iter().map(bind).collect();
                    let filled = statement.execute(rusqlite::params_from_iter(values?));
                    filled.during("filling a mirror")?;
                }
            }
        }
    }
    for begin in &head.history.epochs {
        epoch_put(&transaction, *begin)?;
    }
    state_put(&transaction, &head.state)?;
    place_put(&transaction, &head.place)?;
    let words = head.words.as_ref();
    whole_put(&transaction, words.map(|(engine, whole)| (engine, whole)))?;
    transaction.commit().during("making a mirror")?;
    connection
        .close()
        .map_err(|(_, error)| error)
        .during("closing a mirror")
}

fn table_make(
    transaction: &Connection,
    table: &Table,
    indexes: &[Index],
) -> Result<(), EngineError> {
    let made = transaction.execute_batch(&create_table(table));
    made.during("making a table of a mirror")?;
    for index in indexes {
        let columns: Vec<String> = index.columns.iter().map(|name| quoted(name)).collect();
        let text = format!(
            "CREATE INDEX {} ON {} ({})",
            quoted(&index.name),
            quoted(&table.name),
            columns.join(", ")
        );
        transaction
            .execute_batch(&text)
            .during("making an index of a mirror")?;
    }
    Ok(())
}
