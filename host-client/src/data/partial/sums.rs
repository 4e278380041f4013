//! What a partial shadow must hold, as sums over ranges of keys: made on the core of the
//! rows and columns that its filter shows.

use gridmart_schemas::data::Filter;
use rusqlite::{Connection, types::ValueRef};

use super::{Part, judge::Judge, parts_of};
use crate::data::{
    check::{Key, Range, RangeSum, Sums},
    engine::{
        EngineError,
        sqlite::{Failure as _, OWN, schema::describe, schema::quoted, state_of},
    },
    log::changeset::put_cell,
};

/// Sums what the filter shows, in ranges of so many rows, in one view of the core.
pub(in crate::data) fn sum(
    view: &Connection,
    filter: &Filter,
    range_rows: u64,
) -> Result<Sums, EngineError> {
    let position = state_of(view)?.last.position;
    let schema = describe(view, position)?;
    let mut judge = Judge::new()?;
    let mut ranges = Vec::new();
    for part in parts_of(filter, &schema)? {
        judge.require(&part)?;
        sum_part(view, &mut judge, &part, range_rows.max(1), &mut ranges)?;
    }
    Ok(Sums { position, ranges })
}

/// A range that is being summed.
#[derive(Default)]
struct Open {
    after: Option<Key>,
    rows: u64,
    hasher: blake3::Hasher,
}

impl Open {
    fn closed(&mut self, table: &str, through: Option<Key>) -> RangeSum {
        let Self {
            after,
            rows,
            hasher,
        } = std::mem::replace(
            self,
            Self {
                after: through.clone(),
                ..Self::default()
            },
        );
        let range = Range {
            table: table.to_owned(),
            after,
            through,
        };
        RangeSum {
            range,
            rows,
            hash: hasher.finalize().to_hex().to_string(),
        }
    }
}

fn sum_part(
    view: &Connection,
    judge: &mut Judge,
    part: &Part<'_>,
    range_rows: u64,
    ranges: &mut Vec<RangeSum>,
) -> Result<(), EngineError> {
    let table = part.table;
    let name = |index: &usize| quoted(&table.columns[*index].name);
    let columns: Vec<usize> = (0..table.columns.len()).collect();
    let listed = |indexes: &[usize]| indexes.iter().map(name).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "{OWN}SELECT {} FROM {} ORDER BY {}",
        listed(&columns),
        quoted(&table.name),
        listed(&table.key)
    );
    let mut statement = view.prepare(&sql).during("summing a part")?;
    let mut rows = statement.raw_query();
    let (mut open, mut cells) = (Open::default(), Vec::new());
    while let Some(row) = rows.next().during("summing a part")? {
        let values: rusqlite::Result<Vec<ValueRef<'_>>> =
            columns.iter().map(|index| row.get_ref(*index)).collect();
        let values = values.during("summing a part")?;
        if !judge.is_among(part, &values)? {
            continue;
        }
        cells.clear();
        for index in &part.columns {
            put_cell(&mut cells, Some(values[*index]));
        }
        open.hasher.update(&cells);
        open.rows += 1;
        if open.rows == range_rows {
            let mut key = Key::new();
            for index in &table.key {
                put_cell(&mut key, Some(values[*index]));
            }
            ranges.push(open.closed(&table.name, Some(key)));
        }
    }
    ranges.push(open.closed(&table.name, None));
    Ok(())
}
