//! Going through a tree, and what can be said of a whole one.

use super::{
    Aggregate, Body, Expression, From, Kind, Query, SortKey, SortTerm, Source, WindowCall, Write,
    statement::ConflictAction,
};
use crate::data::sql::{function::Tells, types::BaseType};
use gridmart_fabric::sqlite::functions::pattern_well_formed;

/// What a walk comes by.
pub(in crate::data::sql) enum Part<'a> {
    Expression(&'a Expression),
    Query(&'a Query),
}

impl Expression {
    /// Calls for each expression and query directly inside.
    #[expect(clippy::too_many_lines, reason = "one match over all kinds")]
    pub(in crate::data::sql) fn parts<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        let mut one = |inner: &'a Expression| visit(Part::Expression(inner));
        match &self.kind {
            Kind::Literal(_) | Kind::Parameter(_) | Kind::Context(_) | Kind::Column(_) => {}
            Kind::And(list)
            | Kind::Or(list)
            | Kind::Coalesce(list)
            | Kind::Extreme { list, greatest: _ } => {
                list.iter().for_each(one);
            }
            Kind::Not(operand)
            | Kind::Negate(operand)
            | Kind::Is {
                operand,
                test: _,
                negated: _,
            }
            | Kind::Cast {
                operand,
                to: _,
                mode: _,
            } => one(operand),
            Kind::Compare {
                left,
                right,
                operator: _,
            }
            | Kind::Distinct {
                left,
                right,
                negated: _,
            }
            | Kind::Arithmetic {
                left,
                right,
                operator: _,
            }
            | Kind::NullIf { left, right } => {
                one(left);
                one(right);
            }
            Kind::Between {
                operand,
                low,
                high,
                negated: _,
            } => {
                one(operand);
                one(low);
                one(high);
            }
            Kind::InList {
                operand,
                list,
                negated: _,
            } => {
                one(operand);
                list.iter().for_each(one);
            }
            Kind::InQuery {
                operand,
                query,
                negated: _,
            } => {
                one(operand);
                visit(Part::Query(query));
            }
            Kind::Exists { query, negated: _ } | Kind::Scalar(query) => visit(Part::Query(query)),
            Kind::Like {
                operand,
                pattern,
                escape,
                insensitive: _,
                negated: _,
            } => {
                one(operand);
                one(pattern);
                if let Some(escape) = escape {
                    one(escape);
                }
            }
            Kind::Case {
                operand,
                branches,
                otherwise,
            } => {
                if let Some(operand) = operand {
                    one(operand);
                }
                for (when, then) in branches {
                    one(when);
                    one(then);
                }
                if let Some(otherwise) = otherwise {
                    one(otherwise);
                }
            }
            Kind::Call {
                function: _,
                arguments,
            } => arguments.iter().for_each(one),
            Kind::Aggregate(aggregate) => aggregate.parts(&mut one),
            Kind::Window(window) => {
                match &window.call {
                    WindowCall::Aggregate(aggregate) => aggregate.parts(&mut one),
                    WindowCall::Function {
                        function: _,
                        arguments,
                    } => arguments.iter().for_each(&mut one),
                }
                window.partition.iter().for_each(&mut one);
                keys(&window.order, &mut one);
            }
        }
    }

    /// Whether anything in it, outside of its sub-queries, is so.
    pub(in crate::data::sql) fn any(&self, is: &dyn Fn(&Expression) -> bool) -> bool {
        if is(self) {
            return true;
        }
        let mut found = false;
        self.parts(&mut |part| {
            if let Part::Expression(inner) = part {
                found = found || inner.any(is);
            }
        });
        found
    }

    /// Whether anything in it is so, sub-queries included.
    pub(in crate::data::sql) fn any_deep(&self, is: &dyn Fn(&Expression) -> bool) -> bool {
        if is(self) {
            return true;
        }
        let mut found = false;
        self.parts(&mut |part| {
            found = found
                || match part {
                    Part::Expression(inner) => inner.any_deep(is),
                    Part::Query(query) => query.any_deep(is),
                };
        });
        found
    }

    pub(in crate::data::sql) fn is_constant(&self) -> bool {
        !self.any_deep(&|inner| {
            matches!(
                inner.kind,
                Kind::Column(_) | Kind::Aggregate(_) | Kind::Window(_)
            )
        }) && !self.any(&|inner| {
            matches!(
                inner.kind,
                Kind::Exists { .. } | Kind::InQuery { .. } | Kind::Scalar(_)
            )
        })
    }

    /// Whether computing it can tell of a row what its answer does not show: by an
    /// error, by taking long or by taking room. A constant can as well: it is
    /// computed where a row was found, and not where none was.
    pub(in crate::data::sql) fn tells(&self) -> bool {
        if self.tells_itself() {
            return true;
        }
        let mut told = false;
        self.parts(&mut |part| {
            told = told
                || match part {
                    Part::Expression(inner) => inner.tells(),
                    Part::Query(query) => query.tells(),
                };
        });
        told
    }

    fn tells_itself(&self) -> bool {
        match &self.kind {
            Kind::Column(used) => used.telling,
            Kind::Arithmetic { .. } => true,
            // Only the least whole number has no counterpart.
            Kind::Negate(_) => self.sql_type.is_integer(),
            Kind::Cast {
                operand,
                to,
                mode: _,
            } => {
                let keeps = to.bounds().is_none() && operand.sql_type.widens_to((*to).into());
                !(keeps || cast_is_silent(operand.sql_type, (*to).into()) && to.bounds().is_none())
            }
            Kind::Scalar(query) => !query.is_single(),
            Kind::Like {
                pattern, escape, ..
            } => {
                let constant = |expression: &Expression| match &expression.kind {
                    Kind::Literal(super::Literal::Text(text)) => Some(text.clone()),
                    _ => None,
                };
                let escape = escape
                    .as_ref()
                    .map_or(Some("\\".to_owned()), |escape| constant(escape));
                let well_formed = constant(pattern)
                    .zip(escape)
                    .is_some_and(|(pattern, escape)| pattern_well_formed(&pattern, &escape));
                !well_formed
            }
            Kind::Call { function, .. } => function.tells == Tells::Yes,
            Kind::Aggregate(aggregate) => aggregate.function.tells == Tells::Yes,
            _ => false,
        }
    }
}

/// Casts that answer for every value.
fn cast_is_silent(from: BaseType, to: BaseType) -> bool {
    let shows = to.is_text()
        && (from.is_integer()
            || matches!(from, BaseType::Bool | BaseType::Numeric | BaseType::Uuid));
    let cuts = matches!(
        (from, to),
        (BaseType::Timestamp | BaseType::TimestampTz, BaseType::Date)
    );
    shows || cuts
}

impl Aggregate {
    fn parts<'a>(&'a self, visit: &mut dyn FnMut(&'a Expression)) {
        self.arguments
            .iter()
            .chain(&self.filter)
            .for_each(&mut *visit);
        keys(&self.order, visit);
    }
}

fn keys<'a>(order: &'a [SortKey], visit: &mut dyn FnMut(&'a Expression)) {
    for key in order {
        if let SortTerm::Expression(expression) = &key.term {
            visit(expression);
        }
    }
}

impl Query {
    /// Calls for each expression and query directly inside. `outer` is false for
    /// what is computed after the rows were chosen: results and their order.
    pub(in crate::data::sql) fn parts<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>, bool)) {
        self.commons
            .iter()
            .for_each(|common| visit(Part::Query(&common.query), true));
        match &self.body {
            Body::Select(select) => {
                select
                    .outputs
                    .iter()
                    .for_each(|output| visit(Part::Expression(output), false));
                if let Some(from) = &select.from {
                    from.parts(visit);
                }
                let early = select
                    .filter
                    .iter()
                    .chain(&select.group)
                    .chain(&select.having);
                early.for_each(|expression| visit(Part::Expression(expression), true));
            }
            Body::Values(rows) => {
                rows.iter()
                    .flatten()
                    .for_each(|value| visit(Part::Expression(value), false));
            }
            Body::Set {
                left,
                right,
                operation: _,
            } => {
                visit(Part::Query(left), true);
                visit(Part::Query(right), true);
            }
        }
        keys(&self.order, &mut |expression| {
            visit(Part::Expression(expression), false);
        });
        let bounds = self.limit.iter().chain(&self.offset);
        bounds.for_each(|expression| visit(Part::Expression(expression), true));
    }

    pub(in crate::data::sql) fn any_deep(&self, is: &dyn Fn(&Expression) -> bool) -> bool {
        let mut found = false;
        self.parts(&mut |part, _| {
            found = found
                || match part {
                    Part::Expression(inner) => inner.any_deep(is),
                    Part::Query(query) => query.any_deep(is),
                };
        });
        found
    }

    /// Whether anything in it tells.
    pub(in crate::data::sql) fn tells(&self) -> bool {
        self.any_part(|_, _| true)
    }

    /// Whether anything in it tells before the outermost query has chosen its rows.
    /// What that query answers itself is computed for chosen rows only, outside of
    /// sub-queries.
    pub(in crate::data::sql) fn tells_early(&self) -> bool {
        self.any_part(|part, early| {
            early || !matches!(part, Part::Expression(expression) if !has_query(expression))
        })
    }

    /// Whether something that is computed before all conditions have chosen is so.
    pub(in crate::data::sql) fn any_early(&self, is: &dyn Fn(&Expression) -> bool) -> bool {
        let mut found = false;
        self.parts(&mut |part, early| {
            found = found
                || match part {
                    Part::Expression(expression) => {
                        (early || has_query(expression)) && expression.any_deep(is)
                    }
                    Part::Query(query) => query.any_deep(is),
                };
        });
        found
    }

    fn any_part(&self, counts: impl Fn(&Part<'_>, bool) -> bool) -> bool {
        let mut told = false;
        self.parts(&mut |part, early| {
            told = told
                || counts(&part, early)
                    && match &part {
                        Part::Expression(inner) => inner.tells(),
                        Part::Query(query) => query.tells(),
                    };
        });
        told
    }
}

fn has_query(expression: &Expression) -> bool {
    expression.any(&|inner| {
        matches!(
            inner.kind,
            Kind::Exists { .. } | Kind::InQuery { .. } | Kind::Scalar(_)
        )
    })
}

impl From {
    fn parts<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>, bool)) {
        match self {
            Self::Relation(relation) => {
                if let Source::Query { query, guard: _ } = &relation.source {
                    visit(Part::Query(query), true);
                }
            }
            Self::Join {
                left,
                right,
                condition,
                kind: _,
            } => {
                left.parts(visit);
                right.parts(visit);
                if let Some(condition) = condition {
                    visit(Part::Expression(condition), true);
                }
            }
        }
    }
}

impl Write {
    /// Whether something that may be computed before its rows are chosen is so.
    pub(in crate::data::sql) fn any_early(&self, is: &dyn Fn(&Expression) -> bool) -> bool {
        match self {
            Self::Insert(insert) => insert.source.any_deep(is),
            Self::Update(update) => update.filter.iter().any(|filter| filter.any_deep(is)),
            Self::Delete(delete) => delete.filter.iter().any(|filter| filter.any_deep(is)),
        }
    }

    /// Whether anything tells before the rows to change were chosen.
    pub(in crate::data::sql) fn tells_early(&self) -> bool {
        let (early, late): (Vec<&Expression>, Vec<&Expression>) = match self {
            Self::Insert(insert) => {
                let mut early: Vec<&Expression> = Vec::new();
                let mut late: Vec<&Expression> =
                    insert.values.iter().chain(&insert.returning).collect();
                if let Some(conflict) = &insert.conflict
                    && let ConflictAction::Update {
                        assignments,
                        filter,
                    } = &conflict.action
                {
                    early.extend(filter);
                    late.extend(assignments.iter().map(|assignment| &assignment.value));
                }
                if insert.source.tells() {
                    return true;
                }
                (early, late)
            }
            Self::Update(update) => (
                update.filter.iter().collect(),
                update
                    .assignments
                    .iter()
                    .map(|assignment| &assignment.value)
                    .chain(&update.returning)
                    .collect(),
            ),
            Self::Delete(delete) => (
                delete.filter.iter().collect(),
                delete.returning.iter().collect(),
            ),
        };
        early.into_iter().any(Expression::tells)
            || late
                .into_iter()
                .any(|expression| has_query(expression) && expression.tells())
    }
}
