//! SELECT.

use sqlparser::ast::{
    self, Distinct, Expr, GroupByExpr, NamedWindowDefinition, NamedWindowExpr, OrderByExpr,
    SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, WildcardAdditionalOptions,
    WindowSpec,
};

use super::{
    super::{
        limits::COLUMNS_MAX,
        refusal::{Judgement, Refusal},
        tree::{Expression, Kind, Output, Select, SortKey, SortTerm},
        types::BaseType,
    },
    Binder, Place, Scope, folded,
    group::Grouping,
    parts_of,
    query::{key_parts, output_of},
};

impl Binder<'_> {
    #[expect(clippy::too_many_lines, reason = "every field of SELECT is looked at")]
    pub(super) fn select(
        &mut self,
        select: &ast::Select,
        order: &[OrderByExpr],
        around: Option<&Scope<'_>>,
    ) -> Judgement<(Select, Vec<Output>, Vec<SortKey>)> {
        let ast::Select {
            select_token: _,
            // Hints are comments: they are not given on.
            optimizer_hints: _,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        if into.is_some() {
            return Err(Refusal::unsupported("SELECT INTO"));
        }
        let foreign =
            select_modifiers.is_some() || top.is_some() || exclude.is_some() || prewhere.is_some();
        let foreign = foreign
            || qualify.is_some()
            || value_table_mode.is_some()
            || *flavor != SelectFlavor::Standard;
        let lists = lateral_views.is_empty() && connect_by.is_empty() && cluster_by.is_empty();
        if foreign || !lists || !distribute_by.is_empty() || !sort_by.is_empty() {
            return Err(Refusal::unsupported("this clause of SELECT"));
        }
        let distinct = match distinct {
            None | Some(Distinct::All) => false,
            Some(Distinct::Distinct) => true,
            Some(Distinct::On(_)) => return Err(Refusal::unsupported("DISTINCT ON")),
        };
        let (from, names) = self.from(from, around)?;
        let scope = Scope {
            names: &names,
            around,
        };
        let filter = self.filter(selection.as_ref(), &scope, "WHERE")?;
        let windows = named_windows(named_window)?;
        let place = Place {
            scope: &scope,
            plain: None,
            windows: true,
            named: &windows,
        };
        let (mut values, outputs) = self.projection(projection, place)?;
        let group = self.group(group_by, &values, &outputs, &scope)?;
        let having = match having {
            None => None,
            Some(having) => {
                let value = self.expression(
                    having,
                    Place {
                        windows: false,
                        ..place
                    },
                )?;
                Some(self.truth(value, "HAVING")?)
            }
        };
        let order = self.order(order, &mut values, &outputs, distinct, place)?;
        if distinct {
            values = values
                .into_iter()
                .map(|value| self.comparable(value))
                .collect::<Judgement<_>>()?;
        }
        let outputs = retyped(outputs, &values);
        let mut select = Select {
            distinct,
            outputs: values,
            from,
            filter,
            grouped: false,
            group,
            having,
        };
        Grouping::check(&mut select, &order, &names)?;
        Ok((select, outputs, order))
    }

    pub(super) fn filter(
        &mut self,
        filter: Option<&Expr>,
        scope: &Scope<'_>,
        word: &'static str,
    ) -> Judgement<Option<Expression>> {
        let Some(filter) = filter else {
            return Ok(None);
        };
        let value = self.expression(filter, Place::plain(scope, word))?;
        self.truth(value, word).map(Some)
    }

    /// What is selected, with its names.
    pub(super) fn projection(
        &mut self,
        items: &[SelectItem],
        place: Place<'_>,
    ) -> Judgement<(Vec<Expression>, Vec<Output>)> {
        let mut values: Vec<Expression> = Vec::with_capacity(items.len());
        let mut outputs: Vec<Output> = Vec::with_capacity(items.len());
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expression) => {
                    let value = self.expression(expression, place)?;
                    outputs.push(Output {
                        name: self.name_of(expression)?,
                        sql_type: value.sql_type,
                    });
                    values.push(value);
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let value = self.expression(expr, place)?;
                    outputs.push(Output {
                        name: folded(alias)?,
                        sql_type: value.sql_type,
                    });
                    values.push(value);
                }
                SelectItem::Wildcard(options) => {
                    wildcard_check(options)?;
                    self.all(None, place, &mut values, &mut outputs)?;
                }
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    options,
                ) => {
                    wildcard_check(options)?;
                    let mut parts = parts_of(name)?;
                    let table = parts
                        .pop()
                        .filter(|_| parts.is_empty() || parts == ["public"]);
                    let table = table.ok_or_else(|| Refusal::no_table(&name.to_string()))?;
                    self.all(Some(&table), place, &mut values, &mut outputs)?;
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(_), _)
                | SelectItem::ExprWithAliases { .. } => {
                    return Err(Refusal::unsupported("this form of a selected value"));
                }
            }
            if values.len() > COLUMNS_MAX {
                return Err(Refusal::too_much("columns in the result", COLUMNS_MAX));
            }
        }
        if values.is_empty() {
            return Err(Refusal::unsupported("SELECT without a column"));
        }
        Ok((values, outputs))
    }

    fn all(
        &mut self,
        table: Option<&str>,
        place: Place<'_>,
        values: &mut Vec<Expression>,
        outputs: &mut Vec<Output>,
    ) -> Judgement<()> {
        let names = place.scope.names;
        if let Some(table) = table
            && !names.has_table(table)
        {
            return Err(Refusal::new(
                "42P01",
                format!("missing FROM-clause entry for table \"{table}\""),
            ));
        }
        let before = values.len();
        for column in names.all(table) {
            self.counted()?;
            outputs.push(Output {
                name: column.name.to_string(),
                sql_type: column.value.sql_type,
            });
            values.push(column.value.clone());
        }
        if values.len() == before {
            return Err(Refusal::syntax(
                "SELECT * with no tables specified is not valid",
            ));
        }
        Ok(())
    }

    /// What PostgreSQL calls a column that has been given no name.
    fn name_of(&self, expression: &Expr) -> Judgement<String> {
        let name = match expression {
            Expr::Identifier(ident) => folded(ident)?,
            Expr::CompoundIdentifier(idents) => idents.last().map_or(Ok(String::new()), folded)?,
            Expr::Nested(inner) => self.name_of(inner)?,
            Expr::Function(function) => parts_of(&function.name)?.pop().unwrap_or_default(),
            Expr::Cast {
                expr, data_type, ..
            } => {
                let inner = self.name_of(expr)?;
                if inner == UNNAMED {
                    cast_name(data_type)?
                } else {
                    inner
                }
            }
            Expr::TypedString(typed) => cast_name(&typed.data_type)?,
            Expr::Case { else_result, .. } => {
                match else_result.as_deref().map(|value| self.name_of(value)) {
                    Some(Ok(name)) if name != UNNAMED => name,
                    _ => "case".to_owned(),
                }
            }
            Expr::Exists { negated: false, .. } => "exists".to_owned(),
            Expr::Extract { .. } => "extract".to_owned(),
            Expr::Ceil { .. } => "ceil".to_owned(),
            Expr::Floor { .. } => "floor".to_owned(),
            Expr::Position { .. } => "position".to_owned(),
            Expr::Substring {
                shorthand: false, ..
            } => "substring".to_owned(),
            Expr::Substring { .. } => "substr".to_owned(),
            Expr::Trim { trim_where, .. } => match trim_where {
                Some(ast::TrimWhereField::Leading) => "ltrim".to_owned(),
                Some(ast::TrimWhereField::Trailing) => "rtrim".to_owned(),
                _ => "btrim".to_owned(),
            },
            Expr::Value(ast::ValueWithSpan {
                value: ast::Value::Boolean(_),
                span: _,
            }) => "bool".to_owned(),
            Expr::Subquery(query) => self.name_of_query(query)?,
            _ => UNNAMED.to_owned(),
        };
        Ok(name)
    }

    fn name_of_query(&self, query: &ast::Query) -> Judgement<String> {
        let ast::SetExpr::Select(select) = query.body.as_ref() else {
            return Ok(UNNAMED.to_owned());
        };
        match select.projection.first() {
            Some(SelectItem::UnnamedExpr(expression)) => self.name_of(expression),
            Some(SelectItem::ExprWithAlias { alias, .. }) => folded(alias),
            _ => Ok(UNNAMED.to_owned()),
        }
    }

    fn group(
        &mut self,
        group_by: &GroupByExpr,
        values: &[Expression],
        outputs: &[Output],
        scope: &Scope<'_>,
    ) -> Judgement<Vec<Expression>> {
        let GroupByExpr::Expressions(keys, modifiers) = group_by else {
            return Err(Refusal::unsupported("GROUP BY ALL"));
        };
        if !modifiers.is_empty() {
            return Err(Refusal::unsupported("ROLLUP, CUBE and GROUPING SETS"));
        }
        let mut group = Vec::with_capacity(keys.len());
        for key in keys {
            // A column's name means the column, before it means a result.
            let is_column = match key {
                Expr::Identifier(ident) => scope.names.find(&folded(ident)?)?.is_some(),
                _ => false,
            };
            let output = if is_column {
                None
            } else {
                output_of(key, outputs, values)?
            };
            let value = match output.and_then(|index| values.get(index)) {
                Some(value) => value.clone(),
                None => self.expression(key, Place::plain(scope, "GROUP BY"))?,
            };
            if value.any(&|inner| matches!(inner.kind, Kind::Aggregate(_) | Kind::Window(_))) {
                return Err(Refusal::new(
                    "42803",
                    "aggregate functions are not allowed in GROUP BY",
                ));
            }
            let value = self.comparable(value)?;
            group.push(value);
        }
        Ok(group)
    }

    fn order(
        &mut self,
        keys: &[OrderByExpr],
        values: &mut [Expression],
        outputs: &[Output],
        distinct: bool,
        place: Place<'_>,
    ) -> Judgement<Vec<SortKey>> {
        let mut order = Vec::with_capacity(keys.len());
        for key in keys {
            let (expression, descending, nulls_first) = key_parts(key)?;
            let mut index = output_of(expression, outputs, values)?;
            let mut term = None;
            if index.is_none() {
                let value = self.expression(expression, place)?;
                let value = self.comparable(value)?;
                index = values.iter().position(|output| *output == value);
                term = Some(SortTerm::Expression(value));
            }
            let term = match (index, term) {
                (Some(index), _) => {
                    let value = values
                        .get(index)
                        .cloned()
                        .ok_or_else(|| Refusal::syntax("ORDER BY"))?;
                    let value = self.comparable(value)?;
                    let sql_type = value.sql_type;
                    if let Some(place) = values.get_mut(index) {
                        *place = value;
                    }
                    SortTerm::Output(index, sql_type)
                }
                (None, Some(_)) if distinct => {
                    let message =
                        "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
                    return Err(Refusal::new("42P10", message));
                }
                (None, Some(term)) => term,
                (None, None) => return Err(Refusal::syntax("ORDER BY")),
            };
            order.push(SortKey {
                term,
                descending,
                nulls_first,
            });
        }
        Ok(order)
    }
}

/// What PostgreSQL calls a column whose expression suggests no name.
const UNNAMED: &str = "?column?";

fn cast_name(data_type: &ast::DataType) -> Judgement<String> {
    let name = match super::names::data_type(data_type)?.into() {
        BaseType::Bool => "bool",
        BaseType::Int2 => "int2",
        BaseType::Int4 => "int4",
        BaseType::Int8 => "int8",
        BaseType::Float4 => "float4",
        BaseType::Float8 => "float8",
        BaseType::Varchar => "varchar",
        BaseType::Time => "time",
        BaseType::Timestamp => "timestamp",
        BaseType::TimestampTz => "timestamptz",
        other => other.name(),
    };
    Ok(name.to_owned())
}

fn retyped(outputs: Vec<Output>, values: &[Expression]) -> Vec<Output> {
    let typed = |(output, value): (Output, &Expression)| Output {
        sql_type: value.sql_type,
        ..output
    };
    outputs.into_iter().zip(values).map(typed).collect()
}

fn wildcard_check(options: &WildcardAdditionalOptions) -> Judgement<()> {
    let WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias,
    } = options;
    let any = opt_ilike.is_some() || opt_exclude.is_some() || opt_except.is_some();
    if any || opt_replace.is_some() || opt_rename.is_some() || opt_alias.is_some() {
        return Err(Refusal::unsupported("* with options"));
    }
    Ok(())
}

fn named_windows(definitions: &[NamedWindowDefinition]) -> Judgement<Vec<(String, WindowSpec)>> {
    let mut windows = Vec::with_capacity(definitions.len());
    for NamedWindowDefinition(name, definition) in definitions {
        let NamedWindowExpr::WindowSpec(spec) = definition else {
            return Err(Refusal::unsupported("a window that builds on another"));
        };
        windows.push((folded(name)?, spec.clone()));
    }
    Ok(windows)
}
