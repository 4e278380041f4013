//! Changes of the schema.

use gridmart_schemas::data::{SqlType, sqlite};

use super::{
    super::{
        bind::SchemaPlan,
        catalog::{Catalog, Column, SchemaChange, Table},
        refusal::Judgement,
        tree::Literal,
        types::{BaseType, Engine},
    },
    Emitter, Row,
};

/// The text of a change; empty where the engine has nothing to do: views live in
/// the schema alone.
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
            emitter.list(&plan.terms, |emitter, (index, descending)| {
                emitter.name(columns.get(*index).map_or("", |column| &column.name));
                emitter.push(if *descending { " DESC" } else { "" });
            });
            emitter.push(")");
        }
        SchemaChange::Drop(name) => {
            let word = match plan.dropped {
                Some(sqlparser::ast::ObjectType::Table) => "DROP TABLE ",
                Some(sqlparser::ast::ObjectType::Index) => "DROP INDEX ",
                _ => return Ok(String::new()),
            };
            emitter.push(word);
            emitter.name(name);
        }
        SchemaChange::AddColumn { table, column } => {
            emitter.alter(table, " ADD COLUMN ");
            emitter.column_declaration(column);
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
        SchemaChange::CreateView(_) | SchemaChange::Nothing => {}
    }
    Ok(emitter.finish()?.text)
}

impl Emitter {
    fn alter(&mut self, table: &str, what: &str) {
        self.push("ALTER TABLE ");
        self.name(table);
        self.push(what);
    }

    fn create_table(&mut self, table: &Table, plan: &SchemaPlan) {
        self.push("CREATE TABLE ");
        self.name(&table.name);
        self.push(" (");
        self.list(&table.columns, |emitter, column| {
            emitter.column_declaration(column);
        });
        self.push(", PRIMARY KEY (");
        self.names(table, &table.primary_key);
        self.push(")");
        for key in &table.unique_keys {
            self.push(", UNIQUE (");
            self.names(table, key);
            self.push(")");
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
                    self.push(word);
                    self.push(action);
                }
            }
        }
        self.push(")");
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
