//! The schema of one database, as statements are bound against it.

use std::{collections::BTreeMap, sync::Arc};

use gridmart_schemas::data::SqlType;

use super::{
    limits::NAME_MAX,
    refusal::{Judgement, Refusal},
    tree::Literal,
};

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name, as stored.
    pub name: Arc<str>,
    /// What it holds.
    pub column_type: SqlType,
    /// Whether it may hold NULL.
    pub nullable: bool,
    /// What it gets when an insert does not name it.
    pub default: Option<Literal>,
}

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its name, as stored.
    pub name: Arc<str>,
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// The positions of the primary key's columns, in the key's order.
    pub primary_key: Vec<usize>,
    /// The columns of its other unique keys.
    pub unique_keys: Vec<Vec<usize>>,
}

impl Table {
    /// The position of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| *column.name == *name)
    }
}

/// A view: a statement that is bound anew wherever the view is named, with the
/// rules of whoever names it.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Its name.
    pub name: Arc<str>,
    /// Names of its columns, where the view gives them names of its own.
    pub columns: Vec<String>,
    /// The stored SELECT.
    pub text: String,
}

/// A view as it is kept.
#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    #[serde(default)]
    columns: Vec<String>,
    text: String,
}

impl View {
    /// As it is kept.
    pub(in crate::data::sql) fn definition(&self) -> Judgement<String> {
        let kept = Kept {
            columns: self.columns.clone(),
            text: self.text.clone(),
        };
        serde_json::to_string(&kept).map_err(|error| Refusal::new("XX000", error.to_string()))
    }

    /// One that was kept; `None` if it cannot be read.
    pub fn read(name: &str, definition: &str) -> Option<Self> {
        let Kept { columns, text } = serde_json::from_str(definition).ok()?;
        Some(Self {
            name: name.into(),
            columns,
            text,
        })
    }
}

/// A table or a view.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A table.
    Table(Arc<Table>),
    /// A view.
    View(Arc<View>),
}

/// The schema of one database. `version` changes with every change of it, so that
/// what was judged before is judged again.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    version: u64,
    entries: BTreeMap<String, Entry>,
    /// Names of indexes, and the tables they belong to.
    indexes: BTreeMap<String, String>,
}

/// What a statement does to a schema.
#[derive(Debug, Clone, PartialEq)]
pub enum SchemaChange {
    /// A new table.
    CreateTable(Table),
    /// A new view, or a changed one.
    CreateView(View),
    /// A new index.
    CreateIndex {
        /// Its name.
        name: String,
        /// Its table.
        table: String,
        /// The columns, where it is a unique key of whole columns.
        unique: Option<Vec<usize>>,
    },
    /// A table, view or index goes.
    Drop(String),
    /// A table gets a column.
    AddColumn {
        /// The table.
        table: String,
        /// The column.
        column: Column,
    },
    /// A column goes.
    DropColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A column gets another name.
    RenameColumn {
        /// The table.
        table: String,
        /// Its name until now.
        from: String,
        /// Its new name.
        to: String,
    },
    /// A table gets another name.
    RenameTable {
        /// Its name until now.
        from: String,
        /// Its new name.
        to: String,
    },
    /// IF EXISTS or IF NOT EXISTS found nothing to do.
    Nothing,
}

impl Catalog {
    /// An empty schema.
    pub fn new() -> Self {
        Self::default()
    }

    /// The version, for caches.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Sets the version that the core has given this schema.
    #[must_use]
    pub fn with_version(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    /// Adds a table; one of that name is replaced.
    pub fn table_add(&mut self, table: Table) {
        self.version += 1;
        self.entries
            .insert(table.name.to_string(), Entry::Table(Arc::new(table)));
    }

    /// Adds a view; one of that name is replaced.
    pub fn view_add(&mut self, view: View) {
        self.version += 1;
        self.entries
            .insert(view.name.to_string(), Entry::View(Arc::new(view)));
    }

    /// A table or view by its name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// A table by its name.
    pub fn table(&self, name: &str) -> Option<&Arc<Table>> {
        match self.entries.get(name) {
            Some(Entry::Table(table)) => Some(table),
            _ => None,
        }
    }

    /// Whether an index has this name.
    pub fn has_index(&self, name: &str) -> bool {
        self.indexes.contains_key(name)
    }

    /// The table of an index.
    pub(in crate::data::sql) fn index_table(&self, name: &str) -> Option<&str> {
        self.indexes.get(name).map(String::as_str)
    }

    /// All tables and views by name.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(name, entry)| (name.as_str(), entry))
    }

    /// Does to the schema what a statement did. A change that does not fit changes
    /// nothing; the judge makes none.
    pub fn apply(&mut self, change: SchemaChange) {
        self.version += 1;
        match change {
            SchemaChange::CreateTable(table) => self.table_add(table),
            SchemaChange::CreateView(view) => self.view_add(view),
            SchemaChange::CreateIndex {
                name,
                table,
                unique,
            } => {
                if let Some(columns) = unique {
                    self.table_change(&table, |table| table.unique_keys.push(columns));
                }
                self.indexes.insert(name, table);
            }
            SchemaChange::Drop(name) => {
                self.entries.remove(&name);
                self.indexes
                    .retain(|index, table| *index != name && *table != name);
            }
            SchemaChange::AddColumn { table, column } => {
                self.table_change(&table, |table| table.columns.push(column));
            }
            SchemaChange::DropColumn { table, column } => self.table_change(&table, |table| {
                table.column_remove(&column);
            }),
            SchemaChange::RenameColumn { table, from, to } => self.table_change(&table, |table| {
                if let Some(index) = table.column(&from) {
                    table.columns[index].name = to.into();
                }
            }),
            SchemaChange::RenameTable { from, to } => {
                if let Some(Entry::Table(table)) = self.entries.remove(&from) {
                    let mut table = Table::clone(&table);
                    table.name = to.as_str().into();
                    self.table_add(table);
                }
            }
            SchemaChange::Nothing => {}
        }
    }

    fn table_change(&mut self, name: &str, change: impl FnOnce(&mut Table)) {
        if let Some(Entry::Table(table)) = self.entries.get_mut(name) {
            change(Arc::make_mut(table));
        }
    }
}

impl Table {
    fn column_remove(&mut self, name: &str) {
        let Some(gone) = self.column(name) else {
            return;
        };
        self.columns.remove(gone);
        self.unique_keys.retain(|key| !key.contains(&gone));
        let keys = self
            .unique_keys
            .iter_mut()
            .chain(std::iter::once(&mut self.primary_key));
        for position in keys.flatten() {
            *position -= usize::from(*position > gone);
        }
    }
}

/// Whether a name belongs to gridmart or to an engine: nobody may use it.
pub fn reserved(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    ["gridmart_", "sqlite_", "pg_"]
        .iter()
        .any(|prefix| lower.starts_with(prefix))
        || lower == "information_schema"
        || lower == "gridmart"
}

/// Refuses names that may not be given to anything.
pub(in crate::data::sql) fn name_check(name: &str) -> Judgement<()> {
    if name.is_empty() || name.len() > NAME_MAX || name.contains('\0') {
        let message = format!("names have 1 to {NAME_MAX} bytes: choose another");
        return Err(Refusal::new("42622", message));
    }
    if reserved(name) {
        let message = format!("the name \"{name}\" is reserved: choose another");
        return Err(Refusal::new("42939", message));
    }
    Ok(())
}
