//! What the rules leave of a table, as an engine reads it.
//!
//! SQLite merges a sub-query into the query around it and then tests conditions in
//! any order. Where something of the statement could tell of a row by being
//! computed, the sub-query ends in `LIMIT -1`: such a one is neither merged into a
//! query with conditions nor given conditions from outside, so that it chooses its
//! rows first. MariaDB does the same of one that ends in a LIMIT. PostgreSQL has views
//! for the purpose.

use super::{
    super::{
        rules::{ColumnGuard, Guard, Mode},
        tree::{Expression, Query, TableUse},
        types::{BaseType, Engine},
    },
    Emitter, Row, output_name,
};

/// A view that has to exist in a PostgreSQL database before the statement is run.
/// Its name is made of its definition: one that exists is the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardView {
    /// Its name, which no user can name.
    pub name: String,
    /// The statement that makes it.
    pub definition: String,
    /// The table that it guards.
    pub table: String,
}

impl Emitter {
    /// A table in FROM, without its alias.
    pub(super) fn table(&mut self, table: &TableUse) {
        let columns = table.columns.as_slice();
        let Some(guard) = &table.guard else {
            return self.name(&table.name);
        };
        if !self.guards_in_place() {
            let name = self.guard_view(&table.name, guard, columns);
            return self.name(&name);
        }
        self.push("(");
        self.row_begin(&table.name);
        self.guarded_columns(guard, columns);
        self.push(" FROM ");
        self.name(&table.name);
        self.push(" AS g");
        self.chosen(guard);
        self.row_end();
        self.push(")");
    }

    fn guarded_columns(&mut self, guard: &Guard, columns: &[(usize, std::sync::Arc<str>)]) {
        self.push("SELECT ");
        self.with_row(Row::Named("g".to_owned()), |emitter| {
            emitter.list(columns, |emitter, (index, name)| {
                match guard.mask(*index) {
                    Some(mask) => emitter.mask(mask),
                    None => emitter.column_of("g", name),
                }
                emitter.push(" AS ");
                emitter.name(name);
            });
        });
    }

    fn mask(&mut self, mask: &Expression) {
        if self.guards_in_place() || mask.sql_type == BaseType::Unknown {
            return self.expression(mask);
        }
        self.push("CAST(");
        self.expression(mask);
        self.push(&format!(" AS {})", mask.sql_type.name()));
    }

    fn chosen(&mut self, guard: &Guard) {
        let Some(condition) = &guard.condition else {
            return;
        };
        self.push(" WHERE ");
        self.with_row(Row::Named("g".to_owned()), |emitter| {
            emitter.expression(condition);
        });
        match self.engine {
            Engine::Sqlite if self.barrier => self.push(" LIMIT -1"),
            Engine::MariaDb if self.barrier => self.push(super::maria::NO_LIMIT),
            Engine::Sqlite | Engine::MariaDb => {}
            Engine::Postgres => self.push(" OFFSET 0"),
        }
    }

    /// A view's query and what a rule says of it.
    pub(super) fn guarded_query(&mut self, query: &Query, guard: &Guard) {
        let columns: Vec<_> = (0..query.outputs.len())
            .filter(|index| !matches!(guard.columns.get(*index), Some(ColumnGuard::Hidden) | None))
            .map(|index| (index, output_name(index)))
            .collect();
        self.row_of_query_begin(query);
        self.guarded_columns(guard, &columns);
        self.push(" FROM (");
        self.query(query, false);
        self.push(") AS g");
        self.chosen(guard);
        self.row_end();
    }

    /// The name of the view that guards a table on PostgreSQL.
    pub(super) fn guard_view(
        &mut self,
        table: &str,
        guard: &Guard,
        columns: &[(usize, std::sync::Arc<str>)],
    ) -> String {
        let mut body = Self::new(Engine::Postgres, false);
        body.guarded_columns(guard, columns);
        body.push(" FROM ");
        body.name(table);
        body.push(" AS g");
        if let Some(condition) = &guard.condition {
            body.push(" WHERE ");
            body.with_row(Row::Named("g".to_owned()), |emitter| {
                emitter.expression(condition);
            });
        }
        self.too_deep |= body.too_deep;
        // Rows that are written have to be rows that are shown.
        let options = match guard.mode {
            Mode::Write => "security_barrier = true, check_option = cascaded",
            Mode::See | Mode::Read => "security_barrier = true",
        };
        let digest = blake3::hash(format!("{options} {}", body.text).as_bytes()).to_hex();
        let name = format!("gridmart_guard_{}", &digest[..32]);
        let definition = format!("CREATE VIEW \"{name}\" WITH ({options}) AS {}", body.text);
        let view = GuardView {
            name: name.clone(),
            definition,
            table: table.to_owned(),
        };
        self.guards.insert(name.clone(), view);
        name
    }
}
