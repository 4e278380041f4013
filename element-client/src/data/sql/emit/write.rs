//! INSERT, UPDATE, DELETE.
//!
//! On SQLite the written table is named itself: the condition stands in WHERE, what
//! it lets through is checked as it will be (`gridmart_require`), and a masked
//! column is its mask wherever the statement reads it. On PostgreSQL the guard's
//! view is written to, which does the same. MariaDB's way is SQLite's, with its own
//! words.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::{
        bind::default_of,
        catalog::Table,
        rules::Guard,
        tree::{
            Assignment, Conflict, ConflictAction, Delete, Expression, Insert, RelationId, Update,
        },
    },
    Emitter, Row,
};

impl Emitter {
    pub(super) fn insert(&mut self, insert: &Insert) {
        let Insert {
            table,
            target,
            guard,
            columns,
            source,
            source_id,
            values,
            conflict,
            returning,
            outputs: _,
        } = insert;
        if self.is_maria() {
            self.maria_insert(insert);
        }
        self.row_begin(&table.name);
        self.push("INSERT INTO ");
        self.target(table, guard.as_ref(), *target, false);
        self.push(" (");
        self.list(columns, |emitter, column| {
            emitter.column_name(table, *column);
        });
        self.push(") SELECT ");
        self.list(values, super::Emitter::expression);
        self.push(" FROM (");
        self.query(source, false);
        let alias = self.alias(*source_id);
        self.push(&format!(") AS {alias}"));
        match self.condition(guard.as_ref()) {
            Some(condition) => {
                let defaults = table.columns.iter().map(default_of).enumerate();
                let mut coming: BTreeMap<usize, Expression> = defaults.collect();
                coming.extend(columns.iter().copied().zip(values.iter().cloned()));
                self.push(" WHERE ");
                let row = Row::Coming {
                    values: coming,
                    otherwise: String::new(),
                };
                self.required(row, &condition);
            }
            // Without it SQLite would take ON CONFLICT for a join's.
            None => self.push(if self.is_sqlite() { " WHERE 1" } else { "" }),
        }
        if self.is_maria() {
            self.maria_conflict(insert);
        } else if let Some(conflict) = conflict {
            self.conflict(conflict, table, guard.as_ref(), *target);
        }
        self.returning(returning, *target);
        self.row_end();
    }

    /// A rule's condition, without which the statement fails.
    fn required(&mut self, row: Row, condition: &Expression) {
        let (before, after) = if self.is_maria() {
            ("CASE WHEN ", " THEN TRUE ELSE ")
        } else {
            ("gridmart_require(", ")")
        };
        self.push(before);
        self.with_row(row, |emitter| emitter.expression(condition));
        self.push(after);
        if self.is_maria() {
            self.raise("44000");
            self.push(" END");
        }
    }

    fn conflict(
        &mut self,
        conflict: &Conflict,
        table: &Arc<Table>,
        guard: Option<&Arc<Guard>>,
        target: RelationId,
    ) {
        let Conflict {
            columns,
            action,
            excluded,
        } = conflict;
        self.push(" ON CONFLICT");
        if !columns.is_empty() {
            self.push(" (");
            self.list(columns, |emitter, column| {
                emitter.column_name(table, *column);
            });
            self.push(")");
        }
        let ConflictAction::Update {
            assignments,
            filter,
        } = action
        else {
            return self.push(" DO NOTHING");
        };
        self.aliases.insert(*excluded, "excluded".to_owned());
        if let Some(guard) = guard.filter(|_| self.guards_in_place()) {
            self.masked.insert(*excluded, guard.clone());
        }
        self.push(" DO UPDATE SET ");
        self.assignments(assignments, table, guard, target);
        let alias = self.alias(target);
        match (self.condition(guard), filter) {
            (None, None) => {}
            (None, Some(filter)) => {
                self.push(" WHERE ");
                self.expression(filter);
            }
            (Some(condition), filter) => {
                self.push(" WHERE CASE WHEN ");
                self.required(Row::Named(alias), &condition);
                self.push(" THEN ");
                match filter {
                    None => self.push("1"),
                    Some(filter) => self.expression(filter),
                }
                self.push(" ELSE 0 END");
            }
        }
    }

    pub(super) fn update(&mut self, update: &Update) {
        let Update {
            table,
            target,
            guard,
            assignments,
            filter,
            returning,
            outputs: _,
        } = update;
        if self.is_maria() {
            self.maria_target(table, *target);
            if !returning.is_empty() {
                self.refuse("UPDATE … RETURNING");
            }
        }
        self.row_begin(&table.name);
        self.push("UPDATE ");
        self.target(table, guard.as_ref(), *target, true);
        self.push(" SET ");
        self.assignments(assignments, table, guard.as_ref(), *target);
        self.chosen_rows(filter.as_ref(), guard.as_ref(), *target);
        self.returning(returning, *target);
        self.row_end();
    }

    pub(super) fn delete(&mut self, delete: &Delete) {
        let Delete {
            table,
            target,
            guard,
            filter,
            returning,
            outputs: _,
        } = delete;
        if self.is_maria() {
            self.maria_target(table, *target);
            self.maria_delete_alias(table, *target);
        }
        self.row_begin(&table.name);
        self.push("DELETE FROM ");
        self.target(table, guard.as_ref(), *target, false);
        self.chosen_rows(filter.as_ref(), guard.as_ref(), *target);
        self.returning(returning, *target);
        self.row_end();
    }

    fn target(
        &mut self,
        table: &Arc<Table>,
        guard: Option<&Arc<Guard>>,
        target: RelationId,
        is_update: bool,
    ) {
        match guard {
            Some(guard) if !self.guards_in_place() => {
                let columns: Vec<_> = (0..table.columns.len())
                    .filter(|index| !guard.is_hidden(*index))
                    .filter_map(|index| {
                        table
                            .columns
                            .get(index)
                            .map(|column| (index, column.name.clone()))
                    })
                    .collect();
                let name = self.guard_view(&table.name, guard, &columns);
                self.name(&name);
            }
            Some(guard) => {
                self.masked.insert(target, guard.clone());
                self.name(&table.name);
            }
            None => self.name(&table.name),
        }
        // MariaDB gives the table of an INSERT or DELETE no other name.
        if self.is_maria() && !is_update {
            return;
        }
        let alias = self.alias(target);
        self.push(&format!(" AS {alias}"));
    }

    fn column_name(&mut self, table: &Table, column: usize) {
        let name = table.columns.get(column).map(|column| column.name.clone());
        self.name(name.as_deref().unwrap_or(""));
    }

    /// The condition on rows, where this text has to ask it.
    fn condition(&self, guard: Option<&Arc<Guard>>) -> Option<Expression> {
        guard.filter(|_| self.guards_in_place())?.condition.clone()
    }

    fn assignments(
        &mut self,
        assignments: &[Assignment],
        table: &Table,
        guard: Option<&Arc<Guard>>,
        target: RelationId,
    ) {
        let condition = self.condition(guard);
        let alias = self.alias(target);
        self.list(
            assignments.iter().enumerate(),
            |emitter, (index, Assignment { column, value })| {
                emitter.column_name(table, *column);
                emitter.push(" = ");
                match &condition {
                    Some(condition) if index == 0 => {
                        let coming = assignments
                            .iter()
                            .map(|one| (one.column, one.value.clone()))
                            .collect();
                        let row = Row::Coming {
                            values: coming,
                            otherwise: alias.clone(),
                        };
                        emitter.push("CASE WHEN ");
                        emitter.required(row, condition);
                        emitter.push(" THEN ");
                        emitter.expression(value);
                        emitter.push(" END");
                    }
                    _ => emitter.expression(value),
                }
            },
        );
    }

    /// WHERE: the guard's condition, and then the statement's.
    fn chosen_rows(
        &mut self,
        filter: Option<&Expression>,
        guard: Option<&Arc<Guard>>,
        target: RelationId,
    ) {
        let alias = self.alias(target);
        match (self.condition(guard), filter) {
            (None, None) => {}
            (None, Some(filter)) => {
                self.push(" WHERE ");
                self.expression(filter);
            }
            (Some(condition), None) => {
                self.push(" WHERE ");
                self.with_row(Row::Named(alias), |emitter| emitter.expression(&condition));
            }
            (Some(condition), Some(filter)) => {
                // CASE asks one after the other; AND leaves the order to the engine.
                let ordered = self.barrier;
                self.push(if ordered {
                    " WHERE CASE WHEN "
                } else {
                    " WHERE "
                });
                self.with_row(Row::Named(alias), |emitter| emitter.expression(&condition));
                self.push(if ordered { " THEN " } else { " AND " });
                self.expression(filter);
                self.push(if ordered { " ELSE 0 END" } else { "" });
            }
        }
    }

    /// What comes back: the row as it is now, whose columns SQLite knows by their
    /// own names only.
    fn returning(&mut self, returning: &[Expression], target: RelationId) {
        if returning.is_empty() {
            return;
        }
        if self.guards_in_place() {
            self.aliases.insert(target, String::new());
        }
        self.push(" RETURNING ");
        self.list(returning.iter().enumerate(), |emitter, (index, value)| {
            emitter.expression(value);
            emitter.push(&format!(" AS c{index}"));
        });
    }
}
