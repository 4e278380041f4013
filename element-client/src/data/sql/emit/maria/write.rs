//! INSERT, UPDATE, DELETE, where MariaDB's differ.

use super::super::{
    super::{
        catalog::Table,
        tree::{Assignment, Body, Conflict, ConflictAction, Insert, Kind, RelationId},
    },
    Emitter,
};

/// Tells who counts rows that those with a key that is there were passed over.
const SKIPPED: &str = " /* skipped */";
/// The row that was to be inserted.
pub(in crate::data::sql::emit) const EXCLUDED: &str = "excluded";

impl Emitter {
    /// What has to be known before an INSERT is written.
    pub(in crate::data::sql::emit) fn maria_insert(&mut self, insert: &Insert) {
        let shapes = self.shapes_of(&insert.source);
        self.source_known(insert.source_id, shapes);
        self.target_known(&insert.table, insert.target);
    }

    /// ON CONFLICT, where it asks no other question than ON DUPLICATE KEY does: that one
    /// means every key of the table, and takes rows one after the other.
    pub(in crate::data::sql::emit) fn maria_conflict(&mut self, insert: &Insert) {
        let Some(Conflict {
            columns,
            action,
            excluded,
        }) = &insert.conflict
        else {
            return;
        };
        let table = &insert.table;
        if !columns.is_empty() && !table.unique_keys.is_empty() {
            return self.refuse("ON CONFLICT (…) for a table with several keys");
        }
        if insert.guard.is_some() || !insert.returning.is_empty() {
            return self.refuse("ON CONFLICT under rules, or with RETURNING,");
        }
        let named = quoted(table);
        self.push(" ON DUPLICATE KEY UPDATE ");
        match action {
            ConflictAction::Nothing => {
                let key = table.primary_key.first();
                let name = key.and_then(|key| table.columns.get(*key));
                let name = name.map(|column| column.name.clone()).unwrap_or_default();
                self.column_of(&named, &name);
                self.push(" = ");
                self.column_of(&named, &name);
                self.push(SKIPPED);
            }
            ConflictAction::Update {
                assignments,
                filter,
            } => {
                let single = matches!(&insert.source.body, Body::Values(rows) if rows.len() == 1);
                if filter.is_some() || !single {
                    return self
                        .refuse("ON CONFLICT DO UPDATE with WHERE, or of more rows than one,");
                }
                if reads_what_it_sets(assignments, insert.target) {
                    return self.refuse("ON CONFLICT DO UPDATE that reads what it sets");
                }
                self.aliases.insert(insert.target, named);
                self.aliases.insert(*excluded, EXCLUDED.to_owned());
                self.target_known(table, *excluded);
                self.list(assignments, |emitter, Assignment { column, value }| {
                    let column = table.columns.get(*column);
                    emitter.name(column.map_or("", |column| &column.name));
                    emitter.push(" = ");
                    emitter.expression(value);
                });
            }
        }
    }

    /// What has to be known before an UPDATE or DELETE is written.
    pub(in crate::data::sql::emit) fn maria_target(&mut self, table: &Table, target: RelationId) {
        self.target_known(table, target);
    }

    /// How a DELETE names its table: MariaDB gives it no other name.
    pub(in crate::data::sql::emit) fn maria_delete_alias(
        &mut self,
        table: &Table,
        target: RelationId,
    ) {
        let digits =
            |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
        let ours = matches!(&*table.name, "g" | "o" | "q" | "s")
            || table.name.strip_prefix(['t', 'w']).is_some_and(digits);
        if ours {
            // A sub-query could take it for one of its own.
            self.refuse("DELETE from a table of this name");
        }
        self.aliases.insert(target, quoted(table));
    }
}

fn quoted(table: &Table) -> String {
    format!("\"{}\"", table.name.replace('"', "\"\""))
}

/// MariaDB sets one column after the other here: whether one is read after it was set.
fn reads_what_it_sets(assignments: &[Assignment], target: RelationId) -> bool {
    assignments.iter().enumerate().any(|(place, assignment)| {
        let earlier = assignments.iter().take(place);
        let set: Vec<usize> = earlier.map(|one| one.column).collect();
        assignment.value.any_deep(&|inner| {
            matches!(&inner.kind, Kind::Column(used) if used.relation == target && set.contains(&used.index))
        })
    })
}
