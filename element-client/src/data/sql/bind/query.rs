//! Queries: WITH, set operations, VALUES, ORDER BY, LIMIT.

use sqlparser::ast::{
    self, Expr, Fetch, LimitClause, Offset, OrderBy, OrderByExpr, OrderByKind, OrderByOptions,
    OrderBySort, SetExpr, SetOperator, SetQuantifier, With,
};

use super::{
    super::{
        limits::{COLUMNS_MAX, RELATIONS_MAX},
        refusal::{Judgement, Refusal},
        tree::{
            Body, ColumnUse, Common, Expression, From, Kind, Literal, Output, Query, Relation,
            Select, SetOperation, SortKey, SortTerm, Source,
        },
        types::BaseType,
    },
    Binder, CommonName, Names, Place, Scope,
    convert::common_type,
    folded,
};
use crate::data::sql::emit::output_name;

/// What stands behind a query's body.
#[derive(Clone, Copy)]
struct Tail<'e> {
    order: &'e [OrderByExpr],
    limit: Option<&'e Expr>,
    offset: Option<&'e Expr>,
}

impl Binder<'_> {
    /// A query whose columns all have their types.
    pub(super) fn query(
        &mut self,
        query: &ast::Query,
        around: Option<&Scope<'_>>,
    ) -> Judgement<Query> {
        let query = self.query_open(query, around)?;
        self.query_settled(query)
    }

    pub(super) fn query_settled(&mut self, query: Query) -> Judgement<Query> {
        let text_for_open = |output: &Output| match output.sql_type {
            BaseType::Unknown => BaseType::Text,
            known => known,
        };
        let types: Vec<BaseType> = query.outputs.iter().map(text_for_open).collect();
        self.query_as(query, &types)
    }

    /// A query of which constants and parameters may be open still.
    pub(super) fn query_open(
        &mut self,
        query: &ast::Query,
        around: Option<&Scope<'_>>,
    ) -> Judgement<Query> {
        let ast::Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        if !locks.is_empty() {
            return Err(Refusal::unsupported("FOR UPDATE and FOR SHARE"));
        }
        let foreign = for_clause.is_some() || settings.is_some() || format_clause.is_some();
        if foreign || !pipe_operators.is_empty() {
            return Err(Refusal::unsupported("this clause of a query"));
        }
        let tail = tail_of(order_by.as_ref(), limit_clause.as_ref(), fetch.as_ref())?;
        let known_before = self.commons.len();
        let commons = match with {
            None => Vec::new(),
            Some(with) => self.commons(with, around)?,
        };
        let mut bound = self.body(body, tail, around)?;
        self.commons.truncate(known_before);
        if !commons.is_empty() {
            if !bound.commons.is_empty() {
                bound = self.wrapped(bound)?;
            }
            bound.commons = commons;
        }
        Ok(bound)
    }

    fn commons(&mut self, with: &With, around: Option<&Scope<'_>>) -> Judgement<Vec<Common>> {
        let With {
            with_token: _,
            recursive,
            cte_tables,
        } = with;
        if *recursive {
            return Err(Refusal::unsupported("WITH RECURSIVE"));
        }
        let mut commons = Vec::with_capacity(cte_tables.len());
        let mut names: Vec<String> = Vec::new();
        for table in cte_tables {
            // Whether it is materialised says nothing about the answer.
            let ast::Cte {
                alias,
                query,
                from,
                materialized: _,
                closing_paren_token: _,
            } = table;
            let ast::TableAlias {
                explicit: _,
                name,
                columns,
                at,
            } = alias;
            if from.is_some() || at.is_some() {
                return Err(Refusal::unsupported("this form of WITH"));
            }
            let name = folded(name)?;
            if names.contains(&name) {
                let message = format!("WITH query name \"{name}\" specified more than once");
                return Err(Refusal::new("42712", message));
            }
            names.push(name.clone());
            let mut bound = self.query(query, around)?;
            Self::renamed(&mut bound.outputs, columns)?;
            let id = self.relation_next()?;
            self.commons.push(CommonName {
                name,
                id,
                outputs: bound.outputs.clone(),
            });
            commons.push(Common { id, query: bound });
        }
        Ok(commons)
    }

    /// Gives the first columns the names of an alias.
    pub(super) fn renamed(
        outputs: &mut [Output],
        columns: &[ast::TableAliasColumnDef],
    ) -> Judgement<()> {
        if columns.len() > outputs.len() {
            let message = format!(
                "{} column names for {} columns",
                columns.len(),
                outputs.len()
            );
            return Err(Refusal::new("42P10", message));
        }
        for (output, column) in outputs.iter_mut().zip(columns) {
            let ast::TableAliasColumnDef {
                name,
                data_type: None,
            } = column
            else {
                return Err(Refusal::unsupported("types in an alias"));
            };
            output.name = folded(name)?;
        }
        Ok(())
    }

    fn body(
        &mut self,
        body: &SetExpr,
        tail: Tail<'_>,
        around: Option<&Scope<'_>>,
    ) -> Judgement<Query> {
        match body {
            SetExpr::Select(select) => {
                let (select, outputs, order) = self.select(select, tail.order, around)?;
                let body = Body::Select(Box::new(select));
                let (limit, offset) = self.bounds(tail)?;
                Ok(Query {
                    commons: Vec::new(),
                    body,
                    order,
                    limit,
                    offset,
                    outputs,
                })
            }
            SetExpr::Query(inner) if tail.is_empty() => self.query_open(inner, around),
            SetExpr::Query(inner) => {
                let inner = self.query(inner, around)?;
                let inner = if inner.has_tail() {
                    self.wrapped(inner)?
                } else {
                    inner
                };
                self.with_tail(inner, tail)
            }
            SetExpr::Values(values) => {
                let query = self.values(values, around)?;
                self.with_tail(query, tail)
            }
            SetExpr::SetOperation {
                left,
                op,
                set_quantifier,
                right,
            } => {
                let query = self.set_operation(left, *op, *set_quantifier, right, around)?;
                self.with_tail(query, tail)
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                Err(Refusal::unsupported("a change of rows inside of a query"))
            }
            SetExpr::Table(_) => Err(Refusal::unsupported("TABLE as a query")),
        }
    }

    fn with_tail(&mut self, mut query: Query, tail: Tail<'_>) -> Judgement<Query> {
        if tail.is_empty() {
            return Ok(query);
        }
        let mut order = Vec::with_capacity(tail.order.len());
        for key in tail.order {
            let (expression, descending, nulls_first) = key_parts(key)?;
            let index = output_of(expression, &query.outputs, &[])?.ok_or_else(|| {
                Refusal::unsupported("ORDER BY with more than names or numbers of columns behind VALUES or a set operation")
            })?;
            let sql_type = query
                .outputs
                .get(index)
                .map_or(BaseType::Text, |output| output.sql_type);
            order.push(SortKey {
                term: SortTerm::Output(index, sql_type),
                descending,
                nulls_first,
            });
        }
        query.order = order;
        (query.limit, query.offset) = self.bounds(tail)?;
        Ok(query)
    }

    fn bounds(&mut self, tail: Tail<'_>) -> Judgement<(Option<Expression>, Option<Expression>)> {
        let limit = tail
            .limit
            .map(|limit| self.bound(limit, "LIMIT", "2201W"))
            .transpose()?;
        let offset = tail
            .offset
            .map(|offset| self.bound(offset, "OFFSET", "2201X"))
            .transpose()?;
        Ok((limit, offset))
    }

    fn bound(
        &mut self,
        bound: &Expr,
        word: &'static str,
        state: &'static str,
    ) -> Judgement<Expression> {
        let names = Names::default();
        let scope = Scope {
            names: &names,
            around: None,
        };
        let value = self.expression(bound, Place::plain(&scope, word))?;
        let value = self.settled(value, BaseType::Int8)?;
        let value = if value.sql_type.is_number() {
            self.cast(value, BaseType::Int8.into())?
        } else {
            value
        };
        let value = self.implicit(value, BaseType::Int8)?;
        if matches!(&value.kind, Kind::Literal(Literal::Integer(number)) if *number < 0) {
            return Err(Refusal::new(state, format!("{word} must not be negative")));
        }
        if !value.is_constant() {
            return Err(Refusal::unsupported(format!(
                "a {word} that is no constant"
            )));
        }
        Ok(value)
    }

    fn values(&mut self, values: &ast::Values, around: Option<&Scope<'_>>) -> Judgement<Query> {
        let ast::Values {
            explicit_row: false,
            value_keyword: false,
            rows,
        } = values
        else {
            return Err(Refusal::unsupported("this form of VALUES"));
        };
        let names = Names::default();
        let scope = Scope {
            names: &names,
            around,
        };
        let mut bound: Vec<Vec<Expression>> = Vec::with_capacity(rows.len());
        for row in rows {
            let place = Place::plain(&scope, "VALUES");
            bound.push(
                row.content
                    .iter()
                    .map(|value| self.expression(value, place))
                    .collect::<Judgement<_>>()?,
            );
        }
        let width = bound.first().map_or(0, Vec::len);
        if width == 0 || bound.iter().any(|row| row.len() != width) {
            return Err(Refusal::syntax("VALUES lists must all be the same length"));
        }
        if width > COLUMNS_MAX {
            return Err(Refusal::too_much("columns", COLUMNS_MAX));
        }
        let mut outputs = Vec::with_capacity(width);
        for column in 0..width {
            let types = || {
                bound
                    .iter()
                    .filter_map(|row| row.get(column))
                    .map(|value| value.sql_type)
            };
            let open = types().all(|sql_type| sql_type == BaseType::Unknown);
            let sql_type = if open {
                BaseType::Unknown
            } else {
                common_type(types(), "VALUES")?
            };
            outputs.push(Output {
                name: format!("column{}", column + 1),
                sql_type,
            });
        }
        let body = Body::Values(bound);
        let query = Query {
            commons: Vec::new(),
            body,
            order: Vec::new(),
            limit: None,
            offset: None,
            outputs,
        };
        let types: Vec<BaseType> = query.outputs.iter().map(|output| output.sql_type).collect();
        self.query_as(query, &types)
    }

    fn set_operation(
        &mut self,
        left: &SetExpr,
        operator: SetOperator,
        quantifier: SetQuantifier,
        right: &SetExpr,
        around: Option<&Scope<'_>>,
    ) -> Judgement<Query> {
        self.relations += 1;
        if self.relations > RELATIONS_MAX {
            return Err(Refusal::too_much(
                "tables, sub-queries and set operations",
                RELATIONS_MAX,
            ));
        }
        let operation = match (operator, quantifier) {
            (SetOperator::Union, SetQuantifier::None | SetQuantifier::Distinct) => {
                SetOperation::Union
            }
            (SetOperator::Union, SetQuantifier::All) => SetOperation::UnionAll,
            (SetOperator::Intersect, SetQuantifier::None | SetQuantifier::Distinct) => {
                SetOperation::Intersect
            }
            (SetOperator::Except, SetQuantifier::None | SetQuantifier::Distinct) => {
                SetOperation::Except
            }
            _ => {
                return Err(Refusal::unsupported(
                    "INTERSECT ALL, EXCEPT ALL and set operations by name",
                ));
            }
        };
        let empty = Tail {
            order: &[],
            limit: None,
            offset: None,
        };
        let left = self.body(left, empty, around)?;
        let right = self.body(right, empty, around)?;
        if left.outputs.len() != right.outputs.len() {
            return Err(Refusal::syntax(
                "each side of a set operation must have the same number of columns",
            ));
        }
        let word = match operation {
            SetOperation::Union | SetOperation::UnionAll => "UNION",
            SetOperation::Intersect => "INTERSECT",
            SetOperation::Except => "EXCEPT",
        };
        let pairs = left.outputs.iter().zip(&right.outputs);
        let mut types = Vec::with_capacity(left.outputs.len());
        for (left, right) in pairs {
            let common = common_type([left.sql_type, right.sql_type].into_iter(), word)?;
            if operation != SetOperation::UnionAll && !common.is_comparable() {
                return Err(Refusal::new(
                    "42883",
                    format!("values of type {common} cannot be compared in {word}"),
                ));
            }
            types.push(common);
        }
        let left = self.query_as(left, &types)?;
        let right = self.query_as(right, &types)?;
        let outputs = left.outputs.clone();
        let body = Body::Set {
            operation,
            left: Box::new(left),
            right: Box::new(right),
        };
        Ok(Query {
            commons: Vec::new(),
            body,
            order: Vec::new(),
            limit: None,
            offset: None,
            outputs,
        })
    }

    /// The query with columns of these types.
    pub(super) fn query_as(&mut self, mut query: Query, types: &[BaseType]) -> Judgement<Query> {
        let same = |query: &Query| {
            query
                .outputs
                .iter()
                .zip(types)
                .all(|(output, wanted)| output.sql_type == *wanted)
        };
        if same(&query) && !matches!(query.body, Body::Values(_)) {
            return Ok(query);
        }
        if matches!(query.body, Body::Set { .. }) {
            query = self.wrapped(query)?;
        }
        match &mut query.body {
            Body::Select(select) => self.row_as(&mut select.outputs, types)?,
            Body::Values(rows) => {
                for row in rows {
                    self.row_as(row, types)?;
                }
            }
            Body::Set { .. } => {}
        }
        for (output, wanted) in query.outputs.iter_mut().zip(types) {
            output.sql_type = *wanted;
        }
        for key in &mut query.order {
            if let SortTerm::Output(index, sql_type) = &mut key.term {
                *sql_type = types.get(*index).copied().unwrap_or(*sql_type);
            }
        }
        Ok(query)
    }

    fn row_as(&mut self, row: &mut [Expression], types: &[BaseType]) -> Judgement<()> {
        for (value, wanted) in row.iter_mut().zip(types) {
            if value.sql_type != *wanted {
                let given = std::mem::replace(value, Expression::null(*wanted));
                *value = self.implicit(given, *wanted)?;
            }
        }
        Ok(())
    }

    /// A query over all of a query.
    pub(super) fn wrapped(&mut self, query: Query) -> Judgement<Query> {
        let query = self.query_settled_unwrapped(query)?;
        let id = self.relation_next()?;
        let outputs = query.outputs.clone();
        let column = |(index, output): (usize, &Output)| {
            let used = ColumnUse {
                relation: id,
                index,
                name: output_name(index),
                telling: false,
            };
            Expression::new(Kind::Column(used), output.sql_type)
        };
        let values = outputs.iter().enumerate().map(column).collect();
        let source = Source::Query {
            query: Box::new(query),
            guard: None,
        };
        let select = Select {
            distinct: false,
            outputs: values,
            from: Some(From::Relation(Relation { id, source })),
            filter: None,
            grouped: false,
            group: Vec::new(),
            having: None,
        };
        let body = Body::Select(Box::new(select));
        Ok(Query {
            commons: Vec::new(),
            body,
            order: Vec::new(),
            limit: None,
            offset: None,
            outputs,
        })
    }

    /// Set operations have settled types already.
    fn query_settled_unwrapped(&mut self, query: Query) -> Judgement<Query> {
        if matches!(query.body, Body::Set { .. }) {
            Ok(query)
        } else {
            self.query_settled(query)
        }
    }

    pub(super) fn sort_key(&mut self, key: &OrderByExpr, place: Place<'_>) -> Judgement<SortKey> {
        let (expression, descending, nulls_first) = key_parts(key)?;
        let value = self.expression(expression, place)?;
        let value = self.comparable(value)?;
        Ok(SortKey {
            term: SortTerm::Expression(value),
            descending,
            nulls_first,
        })
    }
}

impl Query {
    fn has_tail(&self) -> bool {
        !self.order.is_empty() || self.limit.is_some() || self.offset.is_some()
    }
}

impl Tail<'_> {
    fn is_empty(self) -> bool {
        self.order.is_empty() && self.limit.is_none() && self.offset.is_none()
    }
}

fn tail_of<'e>(
    order: Option<&'e OrderBy>,
    limit: Option<&'e LimitClause>,
    fetch: Option<&'e Fetch>,
) -> Judgement<Tail<'e>> {
    let order = match order {
        None => &[],
        Some(OrderBy {
            kind: OrderByKind::Expressions(keys),
            interpolate: None,
        }) => keys.as_slice(),
        Some(_) => return Err(Refusal::unsupported("this form of ORDER BY")),
    };
    let (mut limit, offset) = match limit {
        None => (None, None),
        Some(LimitClause::LimitOffset {
            limit,
            offset,
            limit_by,
        }) if limit_by.is_empty() => {
            let offset = offset.as_ref().map(|Offset { value, rows: _ }| value);
            (limit.as_ref(), offset)
        }
        Some(_) => return Err(Refusal::unsupported("this form of LIMIT")),
    };
    if let Some(fetch) = fetch {
        let Fetch {
            with_ties: false,
            percent: false,
            quantity: Some(quantity),
        } = fetch
        else {
            return Err(Refusal::unsupported("this form of FETCH"));
        };
        if limit.is_some() {
            return Err(Refusal::syntax("multiple LIMIT clauses not allowed"));
        }
        limit = Some(quantity);
    }
    Ok(Tail {
        order,
        limit,
        offset,
    })
}

/// An ORDER BY term: what, whether downwards, whether NULLs come first.
pub(super) fn key_parts(key: &OrderByExpr) -> Judgement<(&Expr, bool, bool)> {
    let OrderByExpr {
        expr,
        options,
        with_fill: None,
    } = key
    else {
        return Err(Refusal::unsupported("this form of ORDER BY"));
    };
    let OrderByOptions { sort, nulls_first } = options;
    let descending = match sort {
        None | Some(OrderBySort::Asc) => false,
        Some(OrderBySort::Desc) => true,
        Some(OrderBySort::Using(_)) => return Err(Refusal::unsupported("ORDER BY USING")),
    };
    Ok((expr, descending, nulls_first.unwrap_or(descending)))
}

/// The column of the result that a term of ORDER BY means by its number or name.
/// Several of one name are one where their values are the same.
pub(super) fn output_of(
    expression: &Expr,
    outputs: &[Output],
    values: &[Expression],
) -> Judgement<Option<usize>> {
    if let Expr::Value(ast::ValueWithSpan {
        value: ast::Value::Number(digits, _),
        span: _,
    }) = expression
        && digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        let index = digits
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_sub(1));
        let index = index.filter(|index| *index < outputs.len());
        let message = || Refusal::new("42P10", "ORDER BY position is not in select list");
        return index.map(Some).ok_or_else(message);
    }
    let Expr::Identifier(ident) = expression else {
        return Ok(None);
    };
    let name = folded(ident)?;
    let mut found = outputs
        .iter()
        .enumerate()
        .filter(|(_, output)| output.name == name);
    let first = found.next().map(|(index, _)| index);
    let value = |index: usize| values.get(index);
    let same = |other: usize| {
        first
            .and_then(value)
            .is_some_and(|first| Some(first) == value(other))
    };
    if !found.all(|(other, _)| same(other)) {
        return Err(Refusal::new(
            "42702",
            format!("ORDER BY \"{name}\" is ambiguous"),
        ));
    }
    Ok(first)
}
