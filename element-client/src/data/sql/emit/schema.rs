//! Changes of the schema.

use gridmart_schemas::data::{SqlType, sqlite};

use super::{
    super::{
        bind::SchemaPlan,
        catalog::{Catalog, Column, SchemaChange, Table, View},
        refusal::Judgement,
        tree::Literal,
        types::{BaseType, Engine},
    },
    Emitter, Row,
    maria::INDEX_COMMENT,
};

/// The text of a change; empty where the engine has nothing to do.
#[expect(clippy::too_many_lines, reason = "one match over all changes")]
pub(in crate::data::sql) fn schema_text(
    plan: &SchemaPlan,
    catalog: &Catalog,
    engine: Engine,
) -> Judgement<String> {
    let mut emitter = Emitter::new(engine, false);
    match &plan.change {
        SchemaChange::CreateTable(table) => emitter.create_table(table, plan),
        SchemaChange::CreateIndex {
            name,
            table,
            unique,
        } => {
            emitter.push(if unique.is_some() {
                "CREATE UNIQUE INDEX "
            } else {
                "CREATE INDEX "
            });
            emitter.name(name);
            emitter.push(" ON ");
            emitter.name(table);
            emitter.push(" (");
            let columns = catalog
                .table(table)
                .map(|table| table.columns.clone())
                .unwrap_or_default();
            let terms: Vec<usize> = plan.terms.iter().map(|(index, _)| *index).collect();
            let known = catalog.table(table).filter(|_| emitter.is_maria()).cloned();
            emitter.list(&plan.terms, |emitter, (index, descending)| {
                match &known {
                    Some(table) => {
                        emitter.maria_index_term(table, &terms, *index, unique.is_some());
                    }
                    None => emitter.name(columns.get(*index).map_or("", |column| &column.name)),
                }
                emitter.push(if *descending { " DESC" } else { "" });
            });
            emitter.push(")");
            if emitter.is_maria() {
                emitter.push(INDEX_COMMENT);
            }
        }
        SchemaChange::Drop(name) => {
            let word = match plan.dropped {
                // What stands for a view there is a table.
                Some(sqlparser::ast::ObjectType::View) if emitter.is_maria() => "DROP TABLE ",
                Some(sqlparser::ast::ObjectType::View) => "DROP VIEW ",
                Some(sqlparser::ast::ObjectType::Table) => "DROP TABLE ",
                Some(sqlparser::ast::ObjectType::Index) => "DROP INDEX ",
                _ => return Ok(String::new()),
            };
            emitter.push(word);
            emitter.name(name);
            if emitter.is_maria()
                && let Some(table) = catalog.index_table(name).map(str::to_owned)
            {
                emitter.push(" ON ");
                emitter.name(&table);
            }
        }
        SchemaChange::AddColumn { table, column } => {
            emitter.alter(table, " ADD COLUMN ");
            if emitter.is_maria() {
                emitter.maria_column(column, None);
            } else {
                emitter.column_declaration(column);
            }
        }
        SchemaChange::DropColumn { table, column } => {
            emitter.alter(table, " DROP COLUMN ");
            emitter.name(column);
        }
        SchemaChange::RenameColumn { table, from, to } => {
            emitter.alter(table, " RENAME COLUMN ");
            emitter.name(from);
            emitter.push(" TO ");
            emitter.name(to);
        }
        SchemaChange::RenameTable { from, to } => {
            emitter.alter(from, " RENAME TO ");
            emitter.name(to);
        }
        SchemaChange::CreateView(view) => {
            emitter.create_view(view, catalog.entry(&view.name).is_some())?;
        }
        SchemaChange::Nothing => {}
    }
    Ok(emitter.finish()?.text)
}

impl Emitter {
    fn alter(&mut self, table: &str, what: &str) {
        self.push("ALTER TABLE ");
        self.name(table);
        self.push(what);
    }

    /// A view is kept as one that gives its definition: that is bound anew, with the
    /// rules of whoever reads it, wherever it is named.
    fn create_view(&mut self, view: &View, is_there: bool) -> Judgement<()> {
        let definition = view.definition()?;
        if self.is_maria() {
            self.maria_view(&view.name, &definition, is_there);
            return Ok(());
        }
        if is_there && self.is_sqlite() {
            self.push("DROP VIEW ");
            self.name(&view.name);
            self.push("; ");
        }
        self.push(if is_there && !self.is_sqlite() {
            "CREATE OR REPLACE VIEW "
        } else {
            "CREATE VIEW "
        });
        self.name(&view.name);
        self.push(" (definition) AS SELECT ");
        if self.is_sqlite() {
            self.quoted(&definition);
        } else {
            self.push("CAST(");
            self.quoted(&definition);
            self.push(" AS text)");
        }
        Ok(())
    }

    fn create_table(&mut self, table: &Table, plan: &SchemaPlan) {
        self.push("CREATE TABLE ");
        self.name(&table.name);
        self.push(" (");
        self.list(
            table.columns.iter().enumerate(),
            |emitter, (index, column)| {
                if emitter.is_maria() {
                    emitter.maria_column(column, Self::key_letters(table, plan, index));
                } else {
                    emitter.column_declaration(column);
                }
            },
        );
        self.push(", PRIMARY KEY (");
        self.names(table, &table.primary_key);
        self.push(")");
        for key in &table.unique_keys {
            self.push(", UNIQUE (");
            self.names(table, key);
            self.push(")");
        }
        if self.is_maria() {
            self.row_of_table_begin(table);
        }
        for check in &plan.checks {
            self.push(", CHECK (");
            self.with_row(Row::Named(String::new()), |emitter| {
                emitter.expression(check);
            });
            self.push(")");
        }
        for reference in &plan.references {
            self.push(", FOREIGN KEY (");
            self.names(table, &reference.columns);
            self.push(") REFERENCES ");
            self.name(&reference.table);
            self.push(" (");
            self.list(&reference.referred, |emitter, name| emitter.name(name));
            self.push(")");
            for (word, action) in [
                (" ON DELETE ", reference.on_delete),
                (" ON UPDATE ", reference.on_update),
            ] {
                if let Some(action) = action {
                    if self.is_maria() {
                        self.maria_action(action);
                    }
                    self.push(word);
                    self.push(action);
                }
            }
        }
        self.push(")");
        if self.is_maria() {
            self.row_end();
            self.maria_table_options();
        }
    }

    fn names(&mut self, table: &Table, columns: &[usize]) {
        self.list(columns, |emitter, column| {
            let name = table.columns.get(*column).map(|column| column.name.clone());
            emitter.name(name.as_deref().unwrap_or(""));
        });
    }

    fn column_declaration(&mut self, column: &Column) {
        self.name(&column.name);
        self.push(" ");
        let declared = declaration(column.column_type, self.is_sqlite());
        self.push(&declared);
        // So that keys and indexes compare numerics as numbers.
        self.collation(column.column_type.into());
        if !column.nullable {
            self.push(" NOT NULL");
        }
        if let Some(default) = &column.default {
            // SQLite takes no parameter here: a float is written as shortest text.
            self.push(" DEFAULT (");
            match default {
                Literal::Float(number) if self.is_sqlite() && number.is_finite() => {
                    self.push(&format!("{number:?}"));
                }
                Literal::Float(number) if self.is_sqlite() && number.is_infinite() => {
                    self.push(if *number > 0.0 { "9e999" } else { "-9e999" });
                }
                default => self.literal(default, column.column_type.into()),
            }
            self.push(")");
        }
    }
}

fn declaration(column_type: SqlType, sqlite: bool) -> String {
    if sqlite {
        return sqlite::declaration(column_type);
    }
    let base = BaseType::from(column_type);
    match (base, column_type.bounds()) {
        (BaseType::Numeric, Some((precision, scale))) => format!("{base}({precision}, {scale})"),
        (_, Some((length, _))) => format!("{base}({length})"),
        (_, None) => base.name().to_owned(),
    }
}
