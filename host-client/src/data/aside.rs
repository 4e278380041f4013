//! What a core had committed and nobody else has, as a file that people can read:
//! one JSON object a line, one line for each changed row, statement or counter.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use gridmart_fabric::disk::{Disk as _, RealDisk};
use gridmart_schemas::data::{Entry, EntryKind, Position, Schema};
use rusqlite::{Connection, types::ValueRef};
use serde_json::{Map, Value as Json, json};

use super::{
    engine::{EngineError, sqlite::state_of},
    log::{
        SchemaChange, Schemas,
        changeset::{Cell, Change, Item, Operation, Reader},
        entries_after,
    },
};

/// Bytes of entries that are held at once.
const READ_BYTES: u64 = 8 * 1024 * 1024;

/// What was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// The last position that the new core has as well.
    pub common: Position,
    /// The last position that was set aside.
    pub last: Position,
    /// Entries that were set aside.
    pub entries: u64,
    /// Entries that had been dropped from the log before: they are in the old
    /// database's tables alone, which is to be kept then.
    pub missing: u64,
    /// Where it is.
    pub file: PathBuf,
}

/// Writes all entries after a position into a file, durably.
pub(super) fn set_aside(
    connection: &Connection,
    common: Position,
    file: &Path,
) -> Result<Aside, EngineError> {
    let state = state_of(connection)?;
    let schemas = Schemas::of(connection, common)?;
    let failed = |error: io::Error| EngineError::Storage {
        why: format!("writing {}: {error}", file.display()),
        is_full: error.kind() == io::ErrorKind::StorageFull,
    };
    let temporary = file.with_extension("new");
    let mut writer = BufWriter::new(File::create(&temporary).map_err(failed)?);
    let mut entries = 0;
    let mut after = common;
    loop {
        let read = entries_after(connection, after, READ_BYTES)?;
        let Some(last) = read.last() else { break };
        after = last.position;
        for entry in &read {
            write_entry(&mut writer, schemas.at(entry.position), entry).map_err(failed)?;
            entries += 1;
        }
    }
    let finish = |writer: BufWriter<File>| -> io::Result<()> {
        writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()?;
        RealDisk.rename(&temporary, file)?;
        RealDisk.sync_folder(file.parent().unwrap_or_else(|| Path::new(".")))
    };
    finish(writer).map_err(failed)?;
    let all = state.last.position.number() - common.number();
    Ok(Aside {
        common,
        last: state.last.position,
        entries,
        missing: u64::try_from(all)
            .unwrap_or_default()
            .saturating_sub(entries),
        file: file.to_owned(),
    })
}

fn write_entry(writer: &mut impl Write, schema: &Schema, entry: &Entry) -> io::Result<()> {
    match entry.kind {
        EntryKind::Schema => {
            let change = SchemaChange::decode(&entry.body).map(|change| change.statement);
            let statement = change.unwrap_or_else(|_| String::from_utf8_lossy(&entry.body).into());
            write_line(writer, entry, &[("statement", json!(statement))])
        }
        EntryKind::Sequence => {
            let counters: Json = serde_json::from_slice(&entry.body).unwrap_or(Json::Null);
            write_line(writer, entry, &[("counters", counters)])
        }
        EntryKind::Rows => write_rows(writer, schema, entry),
    }
}

fn write_rows(writer: &mut impl Write, schema: &Schema, entry: &Entry) -> io::Result<()> {
    let mut table = String::new();
    for item in Reader::new(&entry.body) {
        match item {
            Ok(Item::Table(head)) => head.name.clone_into(&mut table),
            Ok(Item::Change(change)) => {
                let operation = match change.operation {
                    Operation::Insert => "insert",
                    Operation::Delete => "delete",
                    Operation::Update => "update",
                };
                let (old, new) = rows(schema, &table, &change);
                let parts = [
                    ("table", json!(table)),
                    ("operation", json!(operation)),
                    ("old", old),
                    ("new", new),
                ];
                write_line(writer, entry, &parts)?;
            }
            // It is told as it is: better than nothing.
            Err(error) => {
                let parts = [
                    ("damaged", json!(error.to_string())),
                    ("body", json!(hex(&entry.body))),
                ];
                return write_line(writer, entry, &parts);
            }
        }
    }
    Ok(())
}

fn write_line(writer: &mut impl Write, entry: &Entry, parts: &[(&str, Json)]) -> io::Result<()> {
    let mut line = Map::new();
    line.insert("position".to_owned(), json!(entry.position));
    line.insert("epoch".to_owned(), json!(entry.epoch));
    line.insert("time".to_owned(), json!(entry.time));
    line.insert("ends".to_owned(), json!(entry.ends));
    for (name, value) in parts {
        if !value.is_null() {
            line.insert((*name).to_owned(), value.clone());
        }
    }
    serde_json::to_writer(&mut *writer, &line)?;
    writer.write_all(b"\n")
}

fn rows(schema: &Schema, table: &str, change: &Change<'_>) -> (Json, Json) {
    let columns = schema
        .table(table)
        .map(|table| table.columns.as_slice())
        .unwrap_or_default();
    let row = |cells: &[Cell<'_>]| {
        if cells.is_empty() {
            return Json::Null;
        }
        let is_known = columns.len() == cells.len();
        let mut row = Map::new();
        for (index, cell) in cells.iter().enumerate() {
            let name = if is_known {
                columns[index].name.clone()
            } else {
                format!("column {}", index + 1)
            };
            if let Some(value) = cell {
                row.insert(name, json_of(*value));
            }
        }
        Json::Object(row)
    };
    (row(&change.old), row(&change.new))
}

fn json_of(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null => Json::Null,
        ValueRef::Integer(number) => json!(number),
        // JSON has no infinities.
        ValueRef::Real(number) if !number.is_finite() => json!(number.to_string()),
        ValueRef::Real(number) => json!(number),
        ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => json!({ "hex": hex(bytes) }),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
