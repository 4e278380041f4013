//! What one person may do with one database.
//!
//! Rules only allow: a table without one does not exist for its reader. They are
//! compiled once against the schema, by the binder that binds statements, and are
//! compiled anew when the schema's version changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    bind,
    catalog::{Catalog, Entry},
    refusal::Refusal,
    tree::{Context, Expression},
    types::BaseType,
};

/// The rules as they are written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum RuleSet {
    /// Owners and administrators: nothing is kept from them.
    Everything,
    /// What is granted, by table or view.
    Granted(BTreeMap<String, TableRule>),
}

/// What is granted of a table or view.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableRule {
    /// How far.
    pub mode: Mode,
    /// The only columns that are shown; absent: all.
    pub only: Option<BTreeSet<String>>,
    /// Columns that do not exist for the reader.
    pub hidden: BTreeSet<String>,
    /// Columns that are shown as the value of an expression over the row.
    pub masked: BTreeMap<String, String>,
    /// A condition: rows for which it does not hold do not exist for the reader.
    pub rows: Option<String>,
}

/// How far a grant goes; each mode includes those before it.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The table and its columns are listed.
    See,
    /// Its rows are read.
    #[default]
    Read,
    /// Its rows are changed, as far as they are shown.
    Write,
}

/// A rule that does not fit the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rule for {table} does not fit: {what} ({refusal}); correct it")]
pub struct RuleError {
    /// The table.
    pub table: String,
    /// Which part of its rule.
    pub what: String,
    /// Why.
    pub refusal: Refusal,
}

/// Rules that were compiled against one version of a schema.
#[derive(Debug, Clone)]
pub struct Rules {
    version: u64,
    guards: Option<BTreeMap<String, Arc<Guard>>>,
}

/// What the rules leave of one table or view.
#[derive(Debug, PartialEq)]
pub(in crate::data::sql) struct Guard {
    pub(in crate::data::sql) mode: Mode,
    /// In the order of the table's columns.
    pub(in crate::data::sql) columns: Vec<ColumnGuard>,
    /// Over `RelationId::ROW`.
    pub(in crate::data::sql) condition: Option<Expression>,
    /// Columns whose mask can tell of a row that is not shown.
    pub(in crate::data::sql) telling: BTreeSet<usize>,
    /// Values of the session that its expressions take.
    pub(in crate::data::sql) contexts: BTreeSet<Arc<str>>,
}

#[derive(Debug, PartialEq)]
pub(in crate::data::sql) enum ColumnGuard {
    Shown,
    Hidden,
    /// Over `RelationId::ROW`, of the column's type.
    Masked(Expression),
}

impl Guard {
    /// Whether reading through it is reading the table.
    pub(in crate::data::sql) fn is_open(&self) -> bool {
        self.condition.is_none()
            && !self
                .columns
                .iter()
                .any(|column| matches!(column, ColumnGuard::Masked(_)))
    }

    pub(in crate::data::sql) fn mask(&self, column: usize) -> Option<&Expression> {
        match self.columns.get(column) {
            Some(ColumnGuard::Masked(mask)) => Some(mask),
            _ => None,
        }
    }

    pub(in crate::data::sql) fn is_hidden(&self, column: usize) -> bool {
        matches!(self.columns.get(column), Some(ColumnGuard::Hidden) | None)
    }
}

/// What the rules say of a name.
pub(in crate::data::sql) enum Grant {
    Everything,
    Guarded(Arc<Guard>),
    /// As if it did not exist.
    Nothing,
}

impl Rules {
    /// The rules of an owner.
    pub fn everything(catalog: &Catalog) -> Self {
        Self {
            version: catalog.version(),
            guards: None,
        }
    }

    /// Compiles rules against a schema. What a rule names and the schema lacks is
    /// an error: a mask for a column that was renamed would otherwise show it.
    pub fn compile(rules: &RuleSet, catalog: &Catalog) -> Result<Self, RuleError> {
        let granted = match rules {
            RuleSet::Everything => return Ok(Self::everything(catalog)),
            RuleSet::Granted(granted) => granted,
        };
        let mut guards = BTreeMap::new();
        for (name, rule) in granted {
            let guard = guard_compile(name, rule, catalog)?;
            guards.insert(name.clone(), Arc::new(guard));
        }
        Ok(Self {
            version: catalog.version(),
            guards: Some(guards),
        })
    }

    /// The schema's version they were compiled against.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether nothing is kept from this person.
    pub fn is_everything(&self) -> bool {
        self.guards.is_none()
    }

    /// Whether a table or view is listed for this person, with which columns and
    /// what may be done: for catalog queries. Positions count the table's columns.
    pub fn listed(&self, name: &str, columns: usize) -> Option<(Mode, Vec<usize>)> {
        match self.grant(name) {
            Grant::Everything => Some((Mode::Write, (0..columns).collect())),
            Grant::Guarded(guard) => Some((
                guard.mode,
                (0..columns)
                    .filter(|column| !guard.is_hidden(*column))
                    .collect(),
            )),
            Grant::Nothing => None,
        }
    }

    pub(in crate::data::sql) fn grant(&self, name: &str) -> Grant {
        match &self.guards {
            None => Grant::Everything,
            Some(guards) => guards
                .get(name)
                .map_or(Grant::Nothing, |guard| Grant::Guarded(guard.clone())),
        }
    }
}

/// A column as a rule sees it.
pub(in crate::data::sql) struct RowColumn {
    pub(in crate::data::sql) name: String,
    pub(in crate::data::sql) sql_type: BaseType,
    /// What the engine calls it where the rule's row is.
    pub(in crate::data::sql) engine_name: Arc<str>,
}

fn guard_compile(name: &str, rule: &TableRule, catalog: &Catalog) -> Result<Guard, RuleError> {
    let error = |what: &str, refusal| RuleError {
        table: name.to_owned(),
        what: what.to_owned(),
        refusal,
    };
    let row = row_of(name, catalog).map_err(|refusal| error("the table", refusal))?;
    let is_view = !matches!(catalog.entry(name), Some(Entry::Table(_)));
    if is_view && rule.mode == Mode::Write {
        let refusal = Refusal::unsupported("writing to a view");
        return Err(error("the mode", refusal));
    }
    let named = rule
        .only
        .iter()
        .flatten()
        .chain(&rule.hidden)
        .chain(rule.masked.keys());
    for column in named {
        if !row.iter().any(|known| known.name == *column) {
            return Err(error(
                &format!("column {column}"),
                Refusal::no_column(column),
            ));
        }
    }
    let mut contexts = BTreeSet::new();
    let mut telling = BTreeSet::new();
    let mut columns = Vec::with_capacity(row.len());
    for column in &row {
        let outside = rule
            .only
            .as_ref()
            .is_some_and(|only| !only.contains(&column.name));
        if outside || rule.hidden.contains(&column.name) {
            columns.push(ColumnGuard::Hidden);
            continue;
        }
        let Some(text) = rule.masked.get(&column.name) else {
            columns.push(ColumnGuard::Shown);
            continue;
        };
        let mask = bind::rule_expression(text, name, &row, column.sql_type, catalog)
            .map_err(|refusal| error(&format!("the mask of {}", column.name), refusal))?;
        if mask.tells() {
            telling.insert(columns.len());
        }
        contexts_of(&mask, &mut contexts);
        columns.push(ColumnGuard::Masked(mask));
    }
    let mut condition = None;
    if let Some(text) = &rule.rows {
        let bound = bind::rule_expression(text, name, &row, BaseType::Bool, catalog)
            .map_err(|refusal| error("the condition on rows", refusal))?;
        if bound.tells() {
            let message = "a condition may not be able to fail for a row: arithmetic and most casts of its columns can";
            return Err(error(
                "the condition on rows",
                Refusal::new("0A000", message),
            ));
        }
        contexts_of(&bound, &mut contexts);
        condition = Some(bound);
    }
    Ok(Guard {
        mode: rule.mode,
        columns,
        condition,
        telling,
        contexts,
    })
}

pub(in crate::data::sql) fn row_of(
    name: &str,
    catalog: &Catalog,
) -> Result<Vec<RowColumn>, Refusal> {
    match catalog.entry(name) {
        None => Err(Refusal::no_table(name)),
        Some(Entry::Table(table)) => Ok(table
            .columns
            .iter()
            .map(|column| RowColumn {
                name: column.name.to_string(),
                sql_type: column.column_type.into(),
                engine_name: column.name.clone(),
            })
            .collect()),
        Some(Entry::View(_)) => bind::view_row(name, catalog),
    }
}

fn contexts_of(expression: &Expression, contexts: &mut BTreeSet<Arc<str>>) {
    use super::tree::Kind;
    let found = std::cell::RefCell::new(contexts);
    expression.any_deep(&|inner| {
        if let Kind::Context(Context::Attribute(name)) = &inner.kind {
            found.borrow_mut().insert(name.clone());
        }
        false
    });
}
