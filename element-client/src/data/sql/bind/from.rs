//! FROM: here the rules bind. What a rule hides is not among the names; what it
//! masks or filters is read through its guard.

use std::sync::Arc;

use sqlparser::ast::{self, Join, JoinConstraint, JoinOperator, TableFactor, TableWithJoins};

use super::{
    super::{
        catalog::{Entry, Table, View},
        limits::VIEWS_DEEP_MAX,
        parse::Statements,
        refusal::{Judgement, Refusal},
        rules::{Grant, Guard, Mode},
        tree::{
            ColumnUse, Comparison, Expression, From, JoinKind, Kind, Output, Query, Relation,
            RelationId, Source, TableUse,
        },
    },
    Binder, Names, Place, Scope, folded, table_name,
};
use crate::data::sql::emit::output_name;

type Bound = (From, Names);

impl Binder<'_> {
    pub(super) fn from(
        &mut self,
        tables: &[TableWithJoins],
        around: Option<&Scope<'_>>,
    ) -> Judgement<(Option<From>, Names)> {
        let mut all: Option<Bound> = None;
        for table in tables {
            let (right, right_names) = self.joins(table, around)?;
            all = Some(match all {
                None => (right, right_names),
                Some((left, names)) => {
                    let names = Names::joined(names, right_names, Vec::new())?;
                    (joined(JoinKind::Inner, left, right, None), names)
                }
            });
        }
        Ok(all.map_or_else(
            || (None, Names::default()),
            |(from, names)| (Some(from), names),
        ))
    }

    fn joins(&mut self, table: &TableWithJoins, around: Option<&Scope<'_>>) -> Judgement<Bound> {
        let TableWithJoins { relation, joins } = table;
        let mut left = self.factor(relation, around)?;
        for join in joins {
            let Join {
                relation,
                global: false,
                join_operator,
            } = join
            else {
                return Err(Refusal::unsupported("this form of join"));
            };
            let right = self.factor(relation, around)?;
            left = self.join(left, right, join_operator, around)?;
        }
        Ok(left)
    }

    fn join(
        &mut self,
        left: Bound,
        right: Bound,
        operator: &JoinOperator,
        around: Option<&Scope<'_>>,
    ) -> Judgement<Bound> {
        let (kind, constraint) = match operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => {
                (JoinKind::Inner, constraint)
            }
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
                (JoinKind::Left, constraint)
            }
            JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
                (JoinKind::Right, constraint)
            }
            JoinOperator::FullOuter(constraint) => (JoinKind::Full, constraint),
            JoinOperator::CrossJoin(JoinConstraint::None) => {
                let names = Names::joined(left.1, right.1, Vec::new())?;
                return Ok((joined(JoinKind::Inner, left.0, right.0, None), names));
            }
            _ => return Err(Refusal::unsupported("this kind of join")),
        };
        let ((left, left_names), (right, right_names)) = (left, right);
        match constraint {
            JoinConstraint::On(condition) => {
                let names = Names::joined(left_names, right_names, Vec::new())?;
                let scope = Scope {
                    names: &names,
                    around,
                };
                let condition =
                    self.expression(condition, Place::plain(&scope, "JOIN conditions"))?;
                let condition = self.truth(condition, "JOIN/ON")?;
                Ok((joined(kind, left, right, Some(condition)), names))
            }
            JoinConstraint::Using(columns) => {
                let mut names = Vec::with_capacity(columns.len());
                for column in columns {
                    let mut parts = super::parts_of(column)?;
                    let name = parts.pop().filter(|_| parts.is_empty());
                    names
                        .push(name.ok_or_else(|| Refusal::syntax("USING takes names of columns"))?);
                }
                self.join_using(kind, (left, left_names), (right, right_names), &names)
            }
            JoinConstraint::Natural => {
                let mut names: Vec<String> = Vec::new();
                for column in left_names.all(None) {
                    if right_names.find(&column.name)?.is_some() {
                        names.push(column.name.to_string());
                    }
                }
                self.join_using(kind, (left, left_names), (right, right_names), &names)
            }
            JoinConstraint::None => Err(Refusal::syntax("a join needs ON or USING")),
        }
    }

    fn join_using(
        &mut self,
        kind: JoinKind,
        left: Bound,
        right: Bound,
        columns: &[String],
    ) -> Judgement<Bound> {
        let ((left, left_names), (right, right_names)) = (left, right);
        let mut conditions = Vec::with_capacity(columns.len());
        let mut merged: Vec<(Arc<str>, Expression)> = Vec::with_capacity(columns.len());
        for name in columns {
            if merged.iter().any(|(known, _)| **known == **name) {
                return Err(Refusal::new(
                    "42701",
                    format!("column name \"{name}\" appears more than once in USING"),
                ));
            }
            let find = |names: &Names| {
                names
                    .find(name)
                    .and_then(|found| found.cloned().ok_or_else(|| Refusal::no_column(name)))
            };
            let (ours, theirs) = self.compared(find(&left_names)?, find(&right_names)?, "=")?;
            let value = match kind {
                JoinKind::Inner | JoinKind::Left => ours.clone(),
                JoinKind::Right => theirs.clone(),
                JoinKind::Full => Expression::new(
                    Kind::Coalesce(vec![ours.clone(), theirs.clone()]),
                    ours.sql_type,
                ),
            };
            merged.push((Arc::from(name.as_str()), value));
            conditions.push(self.comparison(Comparison::Equal, "=", ours, theirs)?);
        }
        let condition = match conditions.len() {
            0 => None,
            1 => conditions.pop(),
            _ => Some(Expression::boolean(Kind::And(conditions))),
        };
        let names = Names::joined(left_names, right_names, merged)?;
        Ok((joined(kind, left, right, condition), names))
    }

    fn factor(&mut self, factor: &TableFactor, around: Option<&Scope<'_>>) -> Judgement<Bound> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                with_hints,
                version: None,
                with_ordinality: false,
                partitions,
                json_path: None,
                sample: None,
                index_hints,
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => self
                .named(name, alias.as_ref())
                .map_err(|refusal| refusal.at(self.place_of(name))),
            TableFactor::Derived {
                lateral: false,
                subquery,
                alias,
                sample: None,
            } => {
                let query = self.query(subquery, around)?;
                let Some(alias) = alias else {
                    return Err(Refusal::syntax("subquery in FROM must have an alias"));
                };
                self.derived(query, None, alias)
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => self.joins(table_with_joins, around),
            TableFactor::Derived { lateral: true, .. } => Err(Refusal::unsupported("LATERAL")),
            TableFactor::Function { .. }
            | TableFactor::TableFunction { .. }
            | TableFactor::UNNEST { .. } => Err(Refusal::unsupported("a function in FROM")),
            TableFactor::Table { args: Some(_), .. } => {
                Err(Refusal::unsupported("a function in FROM"))
            }
            TableFactor::Table {
                sample: Some(_), ..
            } => Err(Refusal::unsupported("TABLESAMPLE")),
            _ => Err(Refusal::unsupported("this form of a table")),
        }
    }

    /// A table, a view or a query of WITH by its name.
    fn named(
        &mut self,
        name: &ast::ObjectName,
        alias: Option<&ast::TableAlias>,
    ) -> Judgement<Bound> {
        if let [ast::ObjectNamePart::Identifier(ident)] = name.0.as_slice() {
            let folded = folded(ident)?;
            if let Some(common) = self
                .commons
                .iter()
                .rev()
                .find(|common| common.name == folded)
            {
                let (id, outputs) = (common.id, common.outputs.clone());
                return self.common(&folded, id, &outputs, alias);
            }
        }
        let name = table_name(name)?;
        let guard = match self.rules.grant(&name) {
            Grant::Nothing => return Err(Refusal::no_table(&name)),
            Grant::Guarded(guard) if guard.mode == Mode::See => {
                return Err(Refusal::forbidden(format!(
                    "permission denied for table {name}"
                )));
            }
            Grant::Guarded(guard) => Some(guard),
            Grant::Everything => None,
        };
        match self.catalog.entry(&name).cloned() {
            None => Err(Refusal::no_table(&name)),
            Some(Entry::Table(table)) => self.table(&table, guard, alias),
            Some(Entry::View(view)) => self.view(&view, guard, alias),
        }
    }

    fn table(
        &mut self,
        table: &Arc<Table>,
        guard: Option<Arc<Guard>>,
        alias: Option<&ast::TableAlias>,
    ) -> Judgement<Bound> {
        self.tables.insert(table.name.clone());
        self.guard_used(guard.as_deref());
        let id = self.relation_next()?;
        let visible: Vec<usize> = visible(table.columns.len(), guard.as_deref());
        let (alias, renamed) = alias_parts(&table.name, alias)?;
        if renamed.len() > visible.len() {
            return Err(Refusal::new("42P10", "more column names than columns"));
        }
        let mut columns = Vec::with_capacity(visible.len());
        for (place, index) in visible.iter().enumerate() {
            let Some(column) = table.columns.get(*index) else {
                continue;
            };
            let name = renamed
                .get(place)
                .cloned()
                .unwrap_or_else(|| column.name.clone());
            let used = ColumnUse {
                relation: id,
                index: *index,
                name: column.name.clone(),
                telling: is_telling(guard.as_deref(), *index),
            };
            columns.push((
                name,
                Expression::new(Kind::Column(used), column.column_type.into()),
            ));
        }
        // A mask over the key would break what follows from it.
        let masked = |column: &usize| {
            guard
                .as_deref()
                .is_some_and(|guard| guard.mask(*column).is_some())
        };
        let key = Some(table.primary_key.clone()).filter(|key| !key.iter().any(masked));
        let names = Names::of_relation(&alias, id, columns.into_iter(), key)?;
        let guard = guard.filter(|guard| !guard.is_open());
        let shown = |index: usize| {
            table
                .columns
                .get(index)
                .map(|column| (index, column.name.clone()))
        };
        let columns = visible.into_iter().filter_map(shown).collect();
        let source = Source::Table(TableUse {
            name: table.name.clone(),
            guard,
            columns,
        });
        Ok((From::Relation(Relation { id, source }), names))
    }

    /// A view is its query, with the rules of who names it; one that the rules do not
    /// let stand is not there.
    fn view(
        &mut self,
        view: &View,
        guard: Option<Arc<Guard>>,
        alias: Option<&ast::TableAlias>,
    ) -> Judgement<Bound> {
        self.tables.insert(view.name.clone());
        self.guard_used(guard.as_deref());
        let query = self.view_query(view).map_err(|refusal| {
            if self.rules.is_everything() {
                refusal
            } else {
                Refusal::no_table(&view.name)
            }
        })?;
        let plain = ast::TableAlias {
            explicit: true,
            name: ast::Ident::with_quote('"', view.name.as_ref()),
            columns: Vec::new(),
            at: None,
        };
        self.derived(query, guard, alias.unwrap_or(&plain))
    }

    pub(super) fn view_query(&mut self, view: &View) -> Judgement<Query> {
        self.views += 1;
        if self.views > VIEWS_DEEP_MAX {
            return Err(Refusal::too_much("views inside of views", VIEWS_DEEP_MAX));
        }
        let statements = Statements::split(&view.text)?;
        let mut iter = statements.iter();
        let (Some(only), None) = (iter.next(), iter.next()) else {
            return Err(Refusal::new(
                "XX000",
                "a stored view is no single query: make it anew",
            ));
        };
        let depth = only.depth()?;
        // Its text is not the statement's: it has other places and other names.
        let text = self.text.take();
        let commons = std::mem::take(&mut self.commons);
        let parameters = self.parameters.len();
        let bound = super::with_stack(depth, || match only.read()? {
            ast::Statement::Query(query) => self.query(&query, None),
            _ => Err(Refusal::new(
                "XX000",
                "a stored view is no query: make it anew",
            )),
        });
        self.text = text;
        self.commons = commons;
        self.views -= 1;
        let mut query = bound.map_err(|refusal| Refusal {
            position: None,
            ..refusal
        })?;
        if self.parameters.len() != parameters {
            return Err(Refusal::new("42P02", "a view has no parameters"));
        }
        if view.columns.len() > query.outputs.len() {
            return Err(Refusal::new(
                "XX000",
                "a stored view has more names than columns: make it anew",
            ));
        }
        for (output, name) in query.outputs.iter_mut().zip(&view.columns) {
            output.name.clone_from(name);
        }
        Ok(query)
    }

    fn derived(
        &mut self,
        query: Query,
        guard: Option<Arc<Guard>>,
        alias: &ast::TableAlias,
    ) -> Judgement<Bound> {
        let id = self.relation_next()?;
        let outputs = query.outputs.clone();
        let visible = visible(outputs.len(), guard.as_deref());
        let (alias, renamed) = alias_parts("", Some(alias))?;
        let names = output_names(id, &alias, &renamed, &outputs, &visible, guard.as_deref())?;
        let guard = guard.filter(|guard| !guard.is_open());
        let source = Source::Query {
            query: Box::new(query),
            guard,
        };
        Ok((From::Relation(Relation { id, source }), names))
    }

    fn common(
        &mut self,
        name: &str,
        common: RelationId,
        outputs: &[Output],
        alias: Option<&ast::TableAlias>,
    ) -> Judgement<Bound> {
        let id = self.relation_next()?;
        let (alias, renamed) = alias_parts(name, alias)?;
        let visible: Vec<usize> = (0..outputs.len()).collect();
        let names = output_names(id, &alias, &renamed, outputs, &visible, None)?;
        Ok((
            From::Relation(Relation {
                id,
                source: Source::Common(common),
            }),
            names,
        ))
    }

    pub(super) fn guard_used(&mut self, guard: Option<&Guard>) {
        if let Some(guard) = guard {
            self.attributes.extend(guard.contexts.iter().cloned());
        }
    }
}

fn joined(kind: JoinKind, left: From, right: From, condition: Option<Expression>) -> From {
    From::Join {
        kind,
        left: Box::new(left),
        right: Box::new(right),
        condition,
    }
}

/// The columns that a rule does not hide.
pub(super) fn visible(columns: usize, guard: Option<&Guard>) -> Vec<usize> {
    (0..columns)
        .filter(|index| guard.is_none_or(|guard| !guard.is_hidden(*index)))
        .collect()
}

/// Whether a column is a mask that can tell.
pub(super) fn is_telling(guard: Option<&Guard>, column: usize) -> bool {
    guard.is_some_and(|guard| guard.telling.contains(&column))
}

/// The name that a table goes by, and its columns' new names.
fn alias_parts(
    name: &str,
    alias: Option<&ast::TableAlias>,
) -> Judgement<(Arc<str>, Vec<Arc<str>>)> {
    let Some(ast::TableAlias {
        explicit: _,
        name: alias,
        columns,
        at: None,
    }) = alias
    else {
        return match alias {
            None => Ok((Arc::from(name), Vec::new())),
            Some(_) => Err(Refusal::unsupported("this form of alias")),
        };
    };
    let mut renamed = Vec::with_capacity(columns.len());
    for column in columns {
        let ast::TableAliasColumnDef {
            name,
            data_type: None,
        } = column
        else {
            return Err(Refusal::unsupported("types in an alias"));
        };
        renamed.push(Arc::from(folded(name)?));
    }
    Ok((Arc::from(folded(alias)?), renamed))
}

fn output_names(
    id: RelationId,
    alias: &Arc<str>,
    renamed: &[Arc<str>],
    outputs: &[Output],
    visible: &[usize],
    guard: Option<&Guard>,
) -> Judgement<Names> {
    if renamed.len() > visible.len() {
        return Err(Refusal::new("42P10", "more column names than columns"));
    }
    let columns = visible.iter().enumerate().filter_map(|(place, index)| {
        let output = outputs.get(*index)?;
        let name = renamed
            .get(place)
            .cloned()
            .unwrap_or_else(|| Arc::from(output.name.as_str()));
        let used = ColumnUse {
            relation: id,
            index: *index,
            name: output_name(*index),
            telling: is_telling(guard, *index),
        };
        Some((name, Expression::new(Kind::Column(used), output.sql_type)))
    });
    Names::of_relation(alias, id, columns, None)
}
