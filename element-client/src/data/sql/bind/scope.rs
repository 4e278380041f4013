//! Names that can be used at a place, and what they mean.

use std::{collections::HashMap, sync::Arc};

use super::super::{
    limits::COLUMNS_MAX,
    refusal::{Judgement, Refusal},
    tree::{Expression, RelationId},
};

/// A column that a name may mean.
#[derive(Debug, Clone)]
pub(super) struct NamedColumn {
    /// The table's name or alias; none for a column that USING has merged.
    pub(super) table: Option<Arc<str>>,
    pub(super) name: Arc<str>,
    pub(super) value: Expression,
    /// Whether USING has put another in its place: then only its table's name
    /// leads to it.
    pub(super) merged_away: bool,
}

/// The columns of FROM.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    columns: Vec<NamedColumn>,
    by_name: HashMap<Arc<str>, Vec<usize>>,
    tables: Vec<(Arc<str>, RelationId)>,
    /// Columns of a primary key, all of which are known: the rest of the row
    /// follows from them.
    keys: Vec<(RelationId, Vec<usize>)>,
}

impl Names {
    /// Of one relation.
    pub(super) fn of_relation(
        table: &Arc<str>,
        id: RelationId,
        columns: impl Iterator<Item = (Arc<str>, Expression)>,
        key: Option<Vec<usize>>,
    ) -> Judgement<Self> {
        let mut names = Self {
            tables: vec![(Arc::clone(table), id)],
            ..Self::default()
        };
        names.keys.extend(key.map(|key| (id, key)));
        for (name, value) in columns {
            names.add(NamedColumn {
                table: Some(Arc::clone(table)),
                name,
                value,
                merged_away: false,
            })?;
        }
        Ok(names)
    }

    fn add(&mut self, column: NamedColumn) -> Judgement<()> {
        if self.columns.len() >= 4 * COLUMNS_MAX {
            return Err(Refusal::too_much("columns in FROM", 4 * COLUMNS_MAX));
        }
        self.by_name
            .entry(column.name.clone())
            .or_default()
            .push(self.columns.len());
        self.columns.push(column);
        Ok(())
    }

    /// Two sides of a join. `merged` come first and stand for the columns of that
    /// name on either side.
    pub(super) fn joined(
        left: Self,
        right: Self,
        merged: Vec<(Arc<str>, Expression)>,
    ) -> Judgement<Self> {
        for (table, _) in &right.tables {
            if left.tables.iter().any(|(other, _)| other == table) {
                let message = format!("table name \"{table}\" specified more than once");
                return Err(Refusal::new("42712", message));
            }
        }
        let mut names = Self::default();
        let is_merged = |name: &Arc<str>| merged.iter().any(|(other, _)| other == name);
        let sides: Vec<NamedColumn> = left
            .columns
            .into_iter()
            .chain(right.columns)
            .map(|column| NamedColumn {
                merged_away: column.merged_away || is_merged(&column.name),
                ..column
            })
            .collect();
        for (name, value) in merged {
            names.add(NamedColumn {
                table: None,
                name,
                value,
                merged_away: false,
            })?;
        }
        for column in sides {
            // One that was merged before and is merged again has no table to lead to it.
            if !(column.merged_away && column.table.is_none()) {
                names.add(column)?;
            }
        }
        names.tables = left.tables.into_iter().chain(right.tables).collect();
        names.keys = left.keys.into_iter().chain(right.keys).collect();
        Ok(names)
    }

    /// What a name alone means here; `None` if nothing.
    pub(super) fn find(&self, name: &str) -> Judgement<Option<&Expression>> {
        let found = self.by_name.get(name).into_iter().flatten();
        let mut visible = found
            .map(|index| &self.columns[*index])
            .filter(|column| !column.merged_away);
        let first = visible.next();
        if visible.next().is_some() {
            return Err(Refusal::new(
                "42702",
                format!("column reference \"{name}\" is ambiguous"),
            ));
        }
        Ok(first.map(|column| &column.value))
    }

    /// What a name of a table means here.
    pub(super) fn find_in(&self, table: &str, name: &str) -> Judgement<Option<&Expression>> {
        let found = self.by_name.get(name).into_iter().flatten();
        let of_table = |column: &&NamedColumn| column.table.as_deref() == Some(table);
        let mut visible = found.map(|index| &self.columns[*index]).filter(of_table);
        let first = visible.next();
        if visible.next().is_some() {
            return Err(Refusal::new(
                "42702",
                format!("column reference \"{name}\" is ambiguous"),
            ));
        }
        Ok(first.map(|column| &column.value))
    }

    pub(super) fn has_table(&self, table: &str) -> bool {
        self.tables.iter().any(|(name, _)| **name == *table)
    }

    pub(super) fn has_relation(&self, id: RelationId) -> bool {
        self.tables.iter().any(|(_, known)| *known == id)
    }

    /// All columns that `*` stands for, or `table.*`.
    pub(super) fn all<'a>(
        &'a self,
        table: Option<&'a str>,
    ) -> impl Iterator<Item = &'a NamedColumn> {
        self.columns.iter().filter(move |column| match table {
            None => !column.merged_away,
            Some(_) => column.table.as_deref() == table,
        })
    }

    pub(super) fn keys(&self) -> &[(RelationId, Vec<usize>)] {
        &self.keys
    }
}

/// The names of a query, and around it those of the queries it stands in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'p> {
    pub(super) names: &'p Names,
    pub(super) around: Option<&'p Scope<'p>>,
}

impl Scope<'_> {
    pub(super) fn column(&self, table: Option<&str>, name: &str) -> Judgement<Expression> {
        let mut scope = Some(self);
        while let Some(here) = scope {
            let found = match table {
                None => here.names.find(name)?,
                Some(table) => here.names.find_in(table, name)?,
            };
            if let Some(found) = found {
                return Ok(found.clone());
            }
            // A table's name hides the same name farther out.
            if table.is_some_and(|table| here.names.has_table(table)) {
                break;
            }
            scope = here.around;
        }
        Err(match table {
            Some(table) if !self.knows_table(table) => {
                let message = format!("missing FROM-clause entry for table \"{table}\"");
                Refusal::new("42P01", message)
            }
            Some(table) => Refusal::no_column(&format!("{table}.{name}")),
            None => Refusal::no_column(name),
        })
    }

    fn knows_table(&self, table: &str) -> bool {
        self.names.has_table(table) || self.around.is_some_and(|around| around.knows_table(table))
    }
}

/// Where an expression stands, and so what may be in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'p> {
    pub(super) scope: &'p Scope<'p>,
    /// Where neither aggregates nor windows may stand: the place's name.
    pub(super) plain: Option<&'static str>,
    /// Whether window functions may stand.
    pub(super) windows: bool,
    /// The windows of WINDOW, by name.
    pub(super) named: &'p [(String, sqlparser::ast::WindowSpec)],
}

impl<'p> Place<'p> {
    /// A place for values of single rows.
    pub(super) fn plain(scope: &'p Scope<'p>, name: &'static str) -> Self {
        Self {
            scope,
            plain: Some(name),
            windows: false,
            named: &[],
        }
    }

    pub(super) fn inside(self, name: &'static str) -> Self {
        Self {
            plain: Some(name),
            windows: false,
            ..self
        }
    }
}
