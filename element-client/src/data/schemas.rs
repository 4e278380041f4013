//! The schemas of databases as statements are judged against them, with compiled rules and
//! judgements: read from the core's Host, kept until the next change of the schema.

use std::{collections::HashMap, sync::Arc};

use gridmart_schemas::{
    data::{Position, Schema, Table as ToldTable},
    id::DatabaseId,
    problem::{Code, Problem},
};
use parking_lot::Mutex;

use super::{
    judgements::Judgements,
    parameter,
    sql::{Catalog, Column, Entry, RuleSet, Rules, SchemaChange, Table, View},
};

/// Compiled rules that are kept for one version of a schema.
const RULES_KEPT: usize = 64;

/// A schema, and the rules that were compiled against it.
pub(super) struct Known {
    pub(super) catalog: Catalog,
    /// A copy that has come as far has this schema.
    pub(super) position: Position,
    compiled: Mutex<Vec<(RuleSet, Arc<Rules>)>>,
    /// Statements that were judged against it.
    pub(super) judgements: Judgements,
}

impl Known {
    fn new(schema: &Schema, version: u64) -> Self {
        Self {
            catalog: catalog_of(schema).with_version(version),
            position: schema.position,
            compiled: Mutex::default(),
            judgements: Judgements::default(),
        }
    }

    /// The same after a change that only one transaction sees.
    pub(super) fn changed(&self, change: SchemaChange) -> Self {
        let mut catalog = self.catalog.clone();
        catalog.apply(change);
        Self {
            catalog,
            position: self.position,
            compiled: Mutex::default(),
            judgements: Judgements::default(),
        }
    }

    /// Its tables and views, as rules are for them.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.catalog.entries()
    }

    /// Rules as the judge takes them. Rules that do not fit the schema let nobody in.
    pub(super) fn rules(&self, rules: RuleSet) -> Result<Arc<Rules>, Problem> {
        let mut compiled = self.compiled.lock();
        if let Some((_, known)) = compiled.iter().find(|(known, _)| *known == rules) {
            return Ok(Arc::clone(known));
        }
        let made = Rules::compile(&rules, &self.catalog).map_err(|error| {
            // Whoever is kept out learns nothing of them.
            tracing::error!(%error, "rules of a database do not fit its schema: nobody whom they name is let in");
            Problem::new(
                Code::PreconditionFailed,
                "The database's rules do not fit its tables any more: its owner has to correct \
                 them (`gridmart db rules`).",
            )
        })?;
        let made = Arc::new(made);
        if compiled.len() >= RULES_KEPT {
            compiled.remove(0);
        }
        compiled.push((rules, Arc::clone(&made)));
        Ok(made)
    }
}

/// All schemas that are known.
#[derive(Default)]
pub(super) struct Schemas {
    known: Mutex<HashMap<DatabaseId, Arc<Known>>>,
    /// Grows with each schema that is read; also with each that is forgotten, so that
    /// nothing is kept that was read before.
    version: Mutex<u64>,
}

impl Schemas {
    /// The schema, if it is known.
    pub(super) fn get(&self, database: DatabaseId) -> Option<Arc<Known>> {
        self.known.lock().get(&database).cloned()
    }

    /// What has to be told with a schema that is going to be read.
    pub(super) fn version(&self) -> u64 {
        *self.version.lock()
    }

    /// Takes a schema that was read since `version`; it is kept unless one was
    /// forgotten meanwhile.
    pub(super) fn put(&self, database: DatabaseId, schema: &Schema, version: u64) -> Arc<Known> {
        let mut present = self.version.lock();
        let is_new = *present == version;
        *present += 1;
        let known = Arc::new(Known::new(schema, *present));
        if is_new {
            self.known.lock().insert(database, Arc::clone(&known));
        }
        known
    }

    /// The schema changes, or may have.
    pub(super) fn forget(&self, database: DatabaseId) {
        *self.version.lock() += 1;
        self.known.lock().remove(&database);
    }
}

/// A schema as the judge has it.
pub(super) fn catalog_of(schema: &Schema) -> Catalog {
    let mut catalog = Catalog::new();
    for table in &schema.tables {
        catalog.table_add(table_of(table));
        for index in &table.indexes {
            catalog.apply(SchemaChange::CreateIndex {
                name: index.clone(),
                table: table.name.clone(),
                // Its columns are among the table's keys already.
                unique: None,
            });
        }
    }
    for (name, definition) in &schema.views {
        if let Some(view) = View::read(name, definition) {
            catalog.view_add(view);
        } else {
            tracing::error!(view = name, "a view cannot be read, and is not there");
        }
    }
    catalog
}

fn table_of(table: &ToldTable) -> Table {
    let columns = table.columns.iter().map(|column| Column {
        name: column.name.as_str().into(),
        column_type: column.sql_type,
        nullable: column.is_nullable,
        default: column
            .default
            .as_ref()
            .map(|value| parameter::default(value, column.sql_type)),
    });
    Table {
        name: table.name.as_str().into(),
        columns: columns.collect(),
        primary_key: table.key.clone(),
        unique_keys: table.unique_keys.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_that_was_read_before_a_change_is_not_kept() {
        let (schemas, database) = (Schemas::default(), DatabaseId::generate());
        let version = schemas.version();
        let first = schemas.put(database, &Schema::default(), version);
        assert!(Arc::ptr_eq(&schemas.get(database).unwrap(), &first));
        let version = schemas.version();
        schemas.forget(database);
        let late = schemas.put(database, &Schema::default(), version);
        assert!(schemas.get(database).is_none());
        assert!(late.catalog.version() > first.catalog.version());
    }
}
