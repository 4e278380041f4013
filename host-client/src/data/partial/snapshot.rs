//! The copy that a partial shadow begins with.

use std::{fs, path::Path, sync::Arc};

use gridmart_schemas::data::{Filter, Schema};
use rusqlite::{Connection, types::ToSqlOutput};
use uuid::Uuid;

use super::{Part, judge::Judge, parts_of, text_of};
use crate::data::{
    engine::{
        EngineError,
        sqlite::{
            Failure as _, Guard, OWN, Purpose, create, create_table, open, schema::describe,
            schema::quoted, state_of,
        },
    },
    home::Home,
    log::{Role, epoch_put, epochs, state_put},
    snapshot::Snapshot,
};

/// Makes one; the core keeps writing. Blocks for as long as copying takes.
pub fn take(home: &Home, filter: &Filter) -> Result<Snapshot, EngineError> {
    let database = home.database()?.ok_or_else(|| EngineError::Damaged {
        why: "there is no copy of it here".to_owned(),
    })?;
    let path = home.make_outgoing()?.join(Uuid::new_v4().to_string());
    let taken = copy(&database, &path, filter).and_then(|()| Snapshot::open(&path));
    if taken.is_err() {
        // A best effort: the folder is emptied at the next start.
        let _ = fs::remove_file(&path);
    }
    taken
}

fn copy(database: &Path, path: &Path, filter: &Filter) -> Result<(), EngineError> {
    let guard = Arc::new(Guard::default());
    let mut source = open(database, Purpose::Reader, &guard)?;
    let view = source.transaction().during("beginning a view")?;
    let mut state = state_of(&view)?;
    let schema: Schema = describe(&view, state.last.position)?;
    create(path, state.database, Role::Shadow)?;
    let mut target = open(path, Purpose::Shadow, &guard)?;
    let transaction = target.transaction().during("making a partial copy")?;
    let mut judge = Judge::new()?;
    for part in parts_of(filter, &schema)? {
        let made = transaction.execute_batch(&create_table(&part.projected()));
        made.during("making a table of a partial copy")?;
        judge.require(&part)?;
        fill(&view, &transaction, &mut judge, &part)?;
    }
    for begin in epochs(&view)? {
        epoch_put(&transaction, begin)?;
    }
    state.role = Role::Shadow;
    state.fenced = None;
    state.trimmed = state.last;
    state.log_bytes = 0;
    state.partial = Some(text_of(filter)?);
    state_put(&transaction, &state)?;
    transaction.commit().during("making a partial copy")?;
    // One file is to travel.
    target
        .pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))
        .during("closing a partial copy")?;
    target
        .close()
        .map_err(|(_, error)| error)
        .during("closing a partial copy")
}

fn fill(
    view: &Connection,
    target: &Connection,
    judge: &mut Judge,
    part: &Part<'_>,
) -> Result<(), EngineError> {
    let name = quoted(&part.table.name);
    let columns = part.table.columns.iter().map(|column| quoted(&column.name));
    let select = format!(
        "{OWN}SELECT {} FROM {name}",
        columns.collect::<Vec<_>>().join(", ")
    );
    let places = vec!["?"; part.columns.len()].join(", ");
    let insert = format!("{OWN}INSERT INTO {name} VALUES ({places})");
    let mut select = view.prepare(&select).during("reading for a partial copy")?;
    let mut insert = target.prepare(&insert).during("filling a partial copy")?;
    let mut rows = select.raw_query();
    while let Some(row) = rows.next().during("reading for a partial copy")? {
        let values: rusqlite::Result<Vec<_>> = (0..part.table.columns.len())
            .map(|index| row.get_ref(index))
            .collect();
        let values = values.during("reading for a partial copy")?;
        if !judge.is_among(part, &values)? {
            continue;
        }
        for (place, index) in part.columns.iter().enumerate() {
            let value = ToSqlOutput::Borrowed(values[*index]);
            let bound = insert.raw_bind_parameter(place + 1, value);
            bound.during("filling a partial copy")?;
        }
        insert.raw_execute().during("filling a partial copy")?;
    }
    Ok(())
}
