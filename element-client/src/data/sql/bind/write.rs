//! INSERT, UPDATE, DELETE. A writer names only what the rules show, writes nothing
//! that is masked, and leaves no row behind that the rules would not show.

use std::sync::Arc;

use sqlparser::ast::{
    self, AssignmentTarget, ConflictTarget, Expr, FromTable, ObjectName, OnConflict,
    OnConflictAction, OnInsert, SelectItem, SetExpr, TableFactor, TableObject, TableWithJoins,
};

use super::{
    super::{
        catalog::{Column, Entry, Table},
        refusal::{Judgement, Refusal},
        rules::{Grant, Guard, Mode},
        tree::{
            Assignment, Body, ColumnUse, Conflict, ConflictAction, Delete, Expression, Insert,
            Kind, Literal, Output, Query, RelationId, Update,
        },
        types::BaseType,
    },
    Binder, Names, Place, Scope,
    convert::cast_node,
    folded,
    from::{is_telling, visible},
    parts_of, table_name,
};
use crate::data::sql::emit::output_name;
use crate::data::sql::tree::CastMode;

/// A table that is written to.
struct Target {
    table: Arc<Table>,
    guard: Option<Arc<Guard>>,
    id: RelationId,
    names: Names,
}

impl Binder<'_> {
    #[expect(clippy::too_many_lines, reason = "every field of INSERT is looked at")]
    pub(in crate::data::sql) fn insert(&mut self, insert: &ast::Insert) -> Judgement<Insert> {
        let ast::Insert {
            insert_token: _,
            optimizer_hints: _,
            or,
            ignore,
            into: _,
            table,
            table_alias,
            columns,
            overwrite,
            source,
            assignments,
            partitioned,
            after_columns,
            has_table_keyword,
            on,
            returning,
            output,
            replace_into,
            priority,
            insert_alias,
            settings,
            format_clause,
            multi_table_insert_type,
            multi_table_into_clauses,
            multi_table_when_clauses,
            multi_table_else_clause,
        } = insert;
        let words = *ignore
            || *overwrite
            || *has_table_keyword
            || *replace_into
            || or.is_some()
            || output.is_some();
        let lists = assignments.is_empty()
            && after_columns.is_empty()
            && multi_table_into_clauses.is_empty();
        let others = partitioned.is_some()
            || priority.is_some()
            || insert_alias.is_some()
            || settings.is_some();
        let tables = multi_table_insert_type.is_some()
            || multi_table_else_clause.is_some()
            || format_clause.is_some();
        if words || !lists || others || tables || !multi_table_when_clauses.is_empty() {
            return Err(Refusal::unsupported("this form of INSERT"));
        }
        let TableObject::TableName(name) = table else {
            return Err(Refusal::unsupported(
                "INSERT into something else than a table",
            ));
        };
        let alias = match table_alias {
            None => None,
            Some(ast::TableAliasWithoutColumns { explicit: _, alias }) => Some(folded(alias)?),
        };
        let target = self.target(name, alias)?;
        let Some(source) = source else {
            return Err(Refusal::unsupported("DEFAULT VALUES"));
        };
        let columns = Self::insert_columns(&target, columns)?;
        let source_id = self.relation_next()?;
        let (source, values) = self.source(source, source_id, &target, &columns)?;
        let columns: Vec<usize> = columns.into_iter().take(values.len()).collect();
        let conflict = match on {
            None => None,
            Some(OnInsert::OnConflict(conflict)) => Some(self.conflict(conflict, &target)?),
            Some(_) => return Err(Refusal::unsupported("ON DUPLICATE KEY")),
        };
        let (returning, outputs) = self.returning(returning.as_deref(), &target)?;
        let Target {
            table,
            guard,
            id,
            names: _,
        } = target;
        Ok(Insert {
            table,
            target: id,
            guard,
            columns,
            source,
            source_id,
            values,
            conflict,
            returning,
            outputs,
        })
    }

    fn target(&mut self, name: &ObjectName, alias: Option<String>) -> Judgement<Target> {
        let place = self.place_of(name);
        let name = table_name(name).map_err(|refusal| refusal.at(place))?;
        let guard = match self.rules.grant(&name) {
            Grant::Nothing => return Err(Refusal::no_table(&name).at(place)),
            Grant::Guarded(guard) if guard.mode < Mode::Write => {
                return Err(Refusal::forbidden(format!(
                    "permission denied for table {name}"
                )));
            }
            Grant::Guarded(guard) => Some(guard),
            Grant::Everything => None,
        };
        let table = match self.catalog.entry(&name) {
            None => return Err(Refusal::no_table(&name).at(place)),
            Some(Entry::View(_)) => return Err(Refusal::unsupported("writing to a view")),
            Some(Entry::Table(table)) => table.clone(),
        };
        self.tables.insert(table.name.clone());
        self.guard_used(guard.as_deref());
        let id = self.relation_next()?;
        let alias: Arc<str> = alias.map_or_else(|| table.name.clone(), Arc::from);
        let names = Self::row_names(&table, guard.as_deref(), &alias, id)?;
        let guard = guard.filter(|guard| !guard.is_open());
        Ok(Target {
            table,
            guard,
            id,
            names,
        })
    }

    fn row_names(
        table: &Table,
        guard: Option<&Guard>,
        alias: &Arc<str>,
        id: RelationId,
    ) -> Judgement<Names> {
        let visible = visible(table.columns.len(), guard);
        let columns = visible.into_iter().filter_map(|index| {
            let column = table.columns.get(index)?;
            let used = ColumnUse {
                relation: id,
                index,
                name: column.name.clone(),
                telling: is_telling(guard, index),
            };
            Some((
                column.name.clone(),
                Expression::new(Kind::Column(used), column.column_type.into()),
            ))
        });
        Names::of_relation(alias, id, columns, None)
    }

    /// The position of a column that may be written.
    fn writable(target: &Target, name: &str) -> Judgement<usize> {
        // What the rules hide is not among the names.
        let found = target.names.find(name)?;
        let Some(Expression {
            kind: Kind::Column(used),
            sql_type: _,
        }) = found
        else {
            let message = format!(
                "column \"{name}\" of relation \"{}\" does not exist",
                target.table.name
            );
            return Err(Refusal::new("42703", message));
        };
        if target
            .guard
            .as_deref()
            .is_some_and(|guard| guard.mask(used.index).is_some())
        {
            return Err(Refusal::forbidden(format!(
                "permission denied for column {name}: it is masked"
            )));
        }
        Ok(used.index)
    }

    fn insert_columns(target: &Target, named: &[ObjectName]) -> Judgement<Vec<usize>> {
        if named.is_empty() {
            let columns = target.names.all(None);
            return columns
                .map(|column| Self::writable(target, &column.name))
                .collect();
        }
        let mut columns = Vec::with_capacity(named.len());
        for name in named {
            let mut parts = parts_of(name)?;
            let name = parts
                .pop()
                .filter(|_| parts.is_empty())
                .ok_or_else(|| Refusal::no_column(&name.to_string()))?;
            let index = Self::writable(target, &name)?;
            if columns.contains(&index) {
                return Err(Refusal::new(
                    "42701",
                    format!("column \"{name}\" specified more than once"),
                ));
            }
            columns.push(index);
        }
        Ok(columns)
    }

    /// Where the values come from, and each as its column takes it.
    fn source(
        &mut self,
        source: &ast::Query,
        id: RelationId,
        target: &Target,
        columns: &[usize],
    ) -> Judgement<(Query, Vec<Expression>)> {
        let column_of = |place: usize| {
            columns
                .get(place)
                .and_then(|index| target.table.columns.get(*index))
        };
        let (query, fitted) = match plain_values(source) {
            Some(rows) => (self.value_rows(rows, target, columns)?, true),
            None => (self.query_open(source, None)?, false),
        };
        let width = query.outputs.len();
        if width > columns.len() {
            return Err(Refusal::syntax(
                "INSERT has more expressions than target columns",
            ));
        }
        let types: Vec<BaseType> = query
            .outputs
            .iter()
            .enumerate()
            .map(|(place, output)| match output.sql_type {
                BaseType::Unknown => {
                    column_of(place).map_or(BaseType::Text, |column| column.column_type.into())
                }
                known => known,
            })
            .collect();
        let query = self.query_as(query, &types)?;
        let mut values = Vec::with_capacity(width);
        for (place, sql_type) in types.iter().enumerate() {
            let used = ColumnUse {
                relation: id,
                index: place,
                name: output_name(place),
                telling: false,
            };
            let value = Expression::new(Kind::Column(used), *sql_type);
            let Some(column) = column_of(place) else {
                continue;
            };
            values.push(if fitted {
                value
            } else {
                self.assigned(value, column.column_type, &column.name)?
            });
        }
        Ok((query, values))
    }

    fn value_rows(
        &mut self,
        rows: &[ast::Parens<Vec<Expr>>],
        target: &Target,
        columns: &[usize],
    ) -> Judgement<Query> {
        let names = Names::default();
        let scope = Scope {
            names: &names,
            around: None,
        };
        let width = rows.first().map_or(0, |row| row.content.len());
        if width > columns.len() {
            return Err(Refusal::syntax(
                "INSERT has more expressions than target columns",
            ));
        }
        let mut bound = Vec::with_capacity(rows.len());
        for row in rows {
            if row.content.len() != width {
                return Err(Refusal::syntax("VALUES lists must all be the same length"));
            }
            let mut values = Vec::with_capacity(width);
            for (value, index) in row.content.iter().zip(columns) {
                let Some(column) = target.table.columns.get(*index) else {
                    continue;
                };
                values.push(self.column_value(value, column, Place::plain(&scope, "VALUES"))?);
            }
            bound.push(values);
        }
        let outputs = columns
            .iter()
            .take(width)
            .filter_map(|index| target.table.columns.get(*index));
        let outputs = outputs
            .map(|column| Output {
                name: column.name.to_string(),
                sql_type: column.column_type.into(),
            })
            .collect();
        let body = Body::Values(bound);
        Ok(Query {
            commons: Vec::new(),
            body,
            order: Vec::new(),
            limit: None,
            offset: None,
            outputs,
        })
    }

    /// A value for a column, or its default.
    fn column_value(
        &mut self,
        value: &Expr,
        column: &Column,
        place: Place<'_>,
    ) -> Judgement<Expression> {
        if is_default(value) {
            return Ok(default_of(column));
        }
        let value = self.expression(value, place)?;
        self.assigned(value, column.column_type, &column.name)
    }

    fn conflict(&mut self, conflict: &OnConflict, target: &Target) -> Judgement<Conflict> {
        let OnConflict {
            conflict_target,
            action,
        } = conflict;
        let mut columns = Vec::new();
        match conflict_target {
            None => {}
            Some(ConflictTarget::Columns(named)) => {
                for name in named {
                    let name = folded(name)?;
                    match target.names.find(&name)? {
                        Some(Expression {
                            kind: Kind::Column(used),
                            sql_type: _,
                        }) => columns.push(used.index),
                        _ => return Err(Refusal::no_column(&name)),
                    }
                }
                let mut wanted = columns.clone();
                wanted.sort_unstable();
                let same = |key: &Vec<usize>| {
                    let mut key = key.clone();
                    key.sort_unstable();
                    key == wanted
                };
                if !target
                    .table
                    .unique_keys
                    .iter()
                    .chain([&target.table.primary_key])
                    .any(same)
                {
                    let message = "there is no unique key of the columns in ON CONFLICT";
                    return Err(Refusal::new("42P10", message));
                }
            }
            Some(ConflictTarget::OnConstraint(_)) => {
                return Err(Refusal::unsupported("ON CONSTRAINT"));
            }
        }
        let excluded = self.relation_next()?;
        let action = match action {
            OnConflictAction::DoNothing => ConflictAction::Nothing,
            OnConflictAction::DoUpdate(_) if columns.is_empty() => {
                return Err(Refusal::syntax(
                    "ON CONFLICT DO UPDATE needs the columns of a unique key",
                ));
            }
            OnConflictAction::DoUpdate(ast::DoUpdate {
                assignments,
                selection,
            }) => {
                let guard = target.guard.as_deref();
                let row = Self::row_names(&target.table, guard, &"excluded".into(), excluded)?;
                let names = Names::joined(target.names.clone(), row, Vec::new())?;
                let scope = Scope {
                    names: &names,
                    around: None,
                };
                let assignments = self.assignments(assignments, target, &scope)?;
                let filter = self.filter(selection.as_ref(), &scope, "WHERE")?;
                no_queries(
                    assignments
                        .iter()
                        .map(|assignment| &assignment.value)
                        .chain(&filter),
                    "ON CONFLICT",
                )?;
                ConflictAction::Update {
                    assignments,
                    filter,
                }
            }
        };
        Ok(Conflict {
            columns,
            action,
            excluded,
        })
    }

    fn assignments(
        &mut self,
        assignments: &[ast::Assignment],
        target: &Target,
        scope: &Scope<'_>,
    ) -> Judgement<Vec<Assignment>> {
        let mut bound: Vec<Assignment> = Vec::with_capacity(assignments.len());
        for ast::Assignment {
            target: place,
            value,
        } in assignments
        {
            let AssignmentTarget::ColumnName(name) = place else {
                return Err(Refusal::unsupported("SET of several columns at once"));
            };
            let mut parts = parts_of(name)?;
            let name = parts
                .pop()
                .filter(|_| parts.is_empty())
                .ok_or_else(|| Refusal::no_column(&name.to_string()))?;
            let index = Self::writable(target, &name)?;
            if bound.iter().any(|known| known.column == index) {
                return Err(Refusal::syntax(format!(
                    "multiple assignments to same column \"{name}\""
                )));
            }
            let Some(column) = target.table.columns.get(index) else {
                return Err(Refusal::no_column(&name));
            };
            let value = self.column_value(value, column, Place::plain(scope, "UPDATE"))?;
            bound.push(Assignment {
                column: index,
                value,
            });
        }
        Ok(bound)
    }

    fn returning(
        &mut self,
        items: Option<&[SelectItem]>,
        target: &Target,
    ) -> Judgement<(Vec<Expression>, Vec<Output>)> {
        let Some(items) = items else {
            return Ok((Vec::new(), Vec::new()));
        };
        let scope = Scope {
            names: &target.names,
            around: None,
        };
        let (values, mut outputs) = self.projection(items, Place::plain(&scope, "RETURNING"))?;
        no_queries(values.iter(), "RETURNING")?;
        let values: Vec<Expression> = values
            .into_iter()
            .map(|value| self.settled_as_text(value))
            .collect::<Judgement<_>>()?;
        for (output, value) in outputs.iter_mut().zip(&values) {
            output.sql_type = value.sql_type;
        }
        Ok((values, outputs))
    }

    pub(in crate::data::sql) fn update(&mut self, update: &ast::Update) -> Judgement<Update> {
        let ast::Update {
            update_token: _,
            optimizer_hints: _,
            table,
            assignments,
            from,
            selection,
            returning,
            output,
            or,
            order_by,
            limit,
        } = update;
        if from.is_some() {
            return Err(Refusal::unsupported("UPDATE … FROM"));
        }
        if output.is_some() || or.is_some() || !order_by.is_empty() || limit.is_some() {
            return Err(Refusal::unsupported("this form of UPDATE"));
        }
        let target = self.target_in(table)?;
        let scope = Scope {
            names: &target.names,
            around: None,
        };
        let assignments = self.assignments(assignments, &target, &scope)?;
        let filter = self.filter(selection.as_ref(), &scope, "WHERE")?;
        let (returning, outputs) = self.returning(returning.as_deref(), &target)?;
        let Target {
            table,
            guard,
            id,
            names: _,
        } = target;
        Ok(Update {
            table,
            target: id,
            guard,
            assignments,
            filter,
            returning,
            outputs,
        })
    }

    pub(in crate::data::sql) fn delete(&mut self, delete: &ast::Delete) -> Judgement<Delete> {
        let ast::Delete {
            delete_token: _,
            optimizer_hints: _,
            tables,
            from,
            using,
            selection,
            returning,
            output,
            order_by,
            limit,
        } = delete;
        if using.is_some() {
            return Err(Refusal::unsupported("DELETE … USING"));
        }
        if !tables.is_empty() || output.is_some() || !order_by.is_empty() || limit.is_some() {
            return Err(Refusal::unsupported("this form of DELETE"));
        }
        let FromTable::WithFromKeyword(from) = from else {
            return Err(Refusal::syntax("DELETE needs FROM"));
        };
        let [table] = from.as_slice() else {
            return Err(Refusal::unsupported("DELETE from several tables"));
        };
        let target = self.target_in(table)?;
        let scope = Scope {
            names: &target.names,
            around: None,
        };
        let filter = self.filter(selection.as_ref(), &scope, "WHERE")?;
        let (returning, outputs) = self.returning(returning.as_deref(), &target)?;
        let Target {
            table,
            guard,
            id,
            names: _,
        } = target;
        Ok(Delete {
            table,
            target: id,
            guard,
            filter,
            returning,
            outputs,
        })
    }

    fn target_in(&mut self, table: &TableWithJoins) -> Judgement<Target> {
        let TableWithJoins { relation, joins } = table;
        let TableFactor::Table {
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
        } = relation
        else {
            return Err(Refusal::unsupported(
                "a change of something else than a table",
            ));
        };
        let plain = joins.is_empty()
            && with_hints.is_empty()
            && partitions.is_empty()
            && index_hints.is_empty();
        let alias = match alias {
            None => None,
            Some(ast::TableAlias {
                explicit: _,
                name,
                columns,
                at: None,
            }) if columns.is_empty() => Some(folded(name)?),
            Some(_) => return Err(Refusal::unsupported("this form of alias")),
        };
        if !plain {
            return Err(Refusal::unsupported("a change of a join"));
        }
        self.target(name, alias)
    }
}

/// The rows of a bare VALUES.
fn plain_values(query: &ast::Query) -> Option<&[ast::Parens<Vec<Expr>>]> {
    let SetExpr::Values(ast::Values {
        explicit_row: false,
        value_keyword: false,
        rows,
    }) = query.body.as_ref()
    else {
        return None;
    };
    let bare = query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none();
    let bare =
        bare && query.fetch.is_none() && query.locks.is_empty() && query.for_clause.is_none();
    let bare = bare
        && query.settings.is_none()
        && query.format_clause.is_none()
        && query.pipe_operators.is_empty();
    bare.then_some(rows.as_slice())
}

fn is_default(value: &Expr) -> bool {
    matches!(value, Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

/// What a column gets when nothing is said.
pub(in crate::data::sql) fn default_of(column: &Column) -> Expression {
    let base = BaseType::from(column.column_type);
    let constant = column.default.clone().unwrap_or(Literal::Null);
    let value = Expression::new(Kind::Literal(constant), base);
    cast_node(value, column.column_type, CastMode::Assignment)
}

/// Where engines differ in what a sub-query sees, there is none.
fn no_queries<'e>(values: impl Iterator<Item = &'e Expression>, place: &str) -> Judgement<()> {
    let is_query = |inner: &Expression| {
        matches!(
            inner.kind,
            Kind::Scalar(_) | Kind::Exists { .. } | Kind::InQuery { .. }
        )
    };
    for value in values {
        if value.any(&is_query) {
            return Err(Refusal::unsupported(format!("a sub-query in {place}")));
        }
    }
    Ok(())
}
