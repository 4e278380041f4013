//! Expressions.

use sqlparser::ast::{self, CastKind, Expr};

use super::{
    super::{
        refusal::{Judgement, Refusal},
        tree::{Comparison, Expression, Kind, Literal, Test},
        types::BaseType,
    },
    Binder, Place, folded, literal, names,
};

impl Binder<'_> {
    /// Binds an expression. Its type may be open still, for its place to tell.
    pub(super) fn expression(
        &mut self,
        expression: &Expr,
        place: Place<'_>,
    ) -> Judgement<Expression> {
        self.counted()?;
        match expression {
            Expr::Identifier(ident) => self.column(None, ident, place),
            Expr::CompoundIdentifier(idents) => self.compound(idents, place),
            Expr::Nested(inner) => self.expression(inner, place),
            Expr::Value(ast::ValueWithSpan { value, span: _ }) => self
                .value(value)
                .map_err(|refusal| refusal.at(self.place_of(expression))),
            Expr::TypedString(ast::TypedString {
                data_type,
                value,
                uses_odbc_syntax: false,
            }) => {
                let ast::ValueWithSpan { value, span: _ } = value;
                let value = self.value(value)?;
                self.cast(value, names::data_type(data_type)?)
            }
            Expr::BinaryOp { .. } => self.chain(expression, place),
            Expr::UnaryOp { op, expr } => self.unary(*op, expr, place),
            Expr::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon,
                expr,
                data_type,
                format: None,
            } => {
                let value = self.expression(expr, place)?;
                self.cast(value, names::data_type(data_type)?)
                    .map_err(|refusal| refusal.at(self.place_of(expression)))
            }
            Expr::Case {
                case_token: _,
                end_token: _,
                operand,
                conditions,
                else_result,
            } => self.case(
                operand.as_deref(),
                conditions,
                else_result.as_deref(),
                place,
            ),
            Expr::Function(function) => self
                .function(function, place)
                .map_err(|refusal| refusal.at(self.place_of(expression))),
            Expr::Exists { subquery, negated } => {
                let query = Box::new(self.query(subquery, Some(place.scope))?);
                Ok(Expression::boolean(Kind::Exists {
                    query,
                    negated: *negated,
                }))
            }
            Expr::Subquery(subquery) => self.scalar(subquery, place),
            Expr::InSubquery {
                expr,
                subquery,
                negated,
            } => self.in_query(expr, subquery, *negated, place),
            _ => self.predicate(expression, place),
        }
    }

    fn predicate(&mut self, expression: &Expr, place: Place<'_>) -> Judgement<Expression> {
        match expression {
            Expr::IsNull(operand) => self.is(operand, Test::Null, false, place),
            Expr::IsNotNull(operand) => self.is(operand, Test::Null, true, place),
            Expr::IsTrue(operand) => self.is(operand, Test::True, false, place),
            Expr::IsNotTrue(operand) => self.is(operand, Test::True, true, place),
            Expr::IsFalse(operand) => self.is(operand, Test::False, false, place),
            Expr::IsNotFalse(operand) => self.is(operand, Test::False, true, place),
            Expr::IsUnknown(operand) => {
                let value = self.is(operand, Test::Null, false, place)?;
                unknown_checked(value)
            }
            Expr::IsNotUnknown(operand) => {
                let value = self.is(operand, Test::Null, true, place)?;
                unknown_checked(value)
            }
            Expr::IsDistinctFrom(left, right) => self.distinct(left, right, false, place),
            Expr::IsNotDistinctFrom(left, right) => self.distinct(left, right, true, place),
            Expr::InList {
                expr,
                list,
                negated,
            } => self.in_list(expr, list, *negated, place),
            Expr::Between {
                expr,
                negated,
                low,
                high,
            } => self.between(expr, low, high, *negated, place),
            Expr::Like {
                negated,
                any: false,
                expr,
                pattern,
                escape_char,
            } => self.like(
                expr,
                pattern,
                escape_char.as_deref(),
                (false, *negated),
                place,
            ),
            Expr::ILike {
                negated,
                any: false,
                expr,
                pattern,
                escape_char,
            } => self.like(
                expr,
                pattern,
                escape_char.as_deref(),
                (true, *negated),
                place,
            ),
            Expr::AnyOp {
                left,
                compare_op,
                right,
                is_some: _,
            } => self.quantified(left, compare_op, right, true, place),
            Expr::AllOp {
                left,
                compare_op,
                right,
            } => self.quantified(left, compare_op, right, false, place),
            _ => self.written_call(expression, place),
        }
    }

    fn column(
        &mut self,
        table: Option<&str>,
        ident: &ast::Ident,
        place: Place<'_>,
    ) -> Judgement<Expression> {
        let name = folded(ident)?;
        if table.is_none()
            && ident.quote_style.is_none()
            && let Some(value) = self.special_value(&name)
        {
            return Ok(value);
        }
        place
            .scope
            .column(table, &name)
            .map_err(|refusal| refusal.at(self.place_at(ident.span)))
    }

    fn compound(&mut self, idents: &[ast::Ident], place: Place<'_>) -> Judgement<Expression> {
        match idents {
            [table, column] => {
                let table = folded(table)?;
                self.column(Some(&table), column, place)
            }
            [schema, table, column] if folded(schema)? == "public" => {
                let table = folded(table)?;
                self.column(Some(&table), column, place)
            }
            _ => {
                let names: Vec<String> = idents.iter().map(folded).collect::<Judgement<_>>()?;
                Err(Refusal::no_column(&names.join(".")))
            }
        }
    }

    fn value(&mut self, value: &ast::Value) -> Judgement<Expression> {
        let ast::Value::Placeholder(name) = value else {
            return literal::literal(value);
        };
        let number = name
            .strip_prefix('$')
            .and_then(|digits| digits.parse::<usize>().ok());
        let index = number.and_then(|number| number.checked_sub(1));
        let index =
            index.ok_or_else(|| Refusal::new("42P02", "parameters are called $1, $2 and so on"))?;
        let known = *self.parameter(index)?;
        Ok(Expression::new(
            Kind::Parameter(index),
            known.unwrap_or(BaseType::Unknown),
        ))
    }

    fn is(
        &mut self,
        operand: &Expr,
        test: Test,
        negated: bool,
        place: Place<'_>,
    ) -> Judgement<Expression> {
        let operand = self.expression(operand, place)?;
        let operand = match test {
            Test::Null => self.settled_as_text(operand)?,
            Test::True | Test::False => self.truth(operand, "IS TRUE")?,
        };
        Ok(Expression::boolean(Kind::Is {
            operand: Box::new(operand),
            test,
            negated,
        }))
    }

    fn distinct(
        &mut self,
        left: &Expr,
        right: &Expr,
        negated: bool,
        place: Place<'_>,
    ) -> Judgement<Expression> {
        let (left, right) = (
            self.expression(left, place)?,
            self.expression(right, place)?,
        );
        let (left, right) = self.compared(left, right, "IS DISTINCT FROM")?;
        Ok(Expression::boolean(Kind::Distinct {
            left: Box::new(left),
            right: Box::new(right),
            negated,
        }))
    }

    fn between(
        &mut self,
        operand: &Expr,
        low: &Expr,
        high: &Expr,
        negated: bool,
        place: Place<'_>,
    ) -> Judgement<Expression> {
        let operand = self.expression(operand, place)?;
        let bounds = vec![self.expression(low, place)?, self.expression(high, place)?];
        let mut all = self.compared_all(operand, bounds, "BETWEEN")?;
        let (Some(high), Some(low), Some(operand)) = (all.pop(), all.pop(), all.pop()) else {
            return Err(Refusal::syntax("BETWEEN has two bounds"));
        };
        let (operand, low, high) = (Box::new(operand), Box::new(low), Box::new(high));
        Ok(Expression::boolean(Kind::Between {
            operand,
            low,
            high,
            negated,
        }))
    }

    fn in_list(
        &mut self,
        operand: &Expr,
        list: &[Expr],
        negated: bool,
        place: Place<'_>,
    ) -> Judgement<Expression> {
        let operand = self.expression(operand, place)?;
        let list = list
            .iter()
            .map(|value| self.expression(value, place))
            .collect::<Judgement<_>>()?;
        let mut list = self.compared_all(operand, list, "=")?;
        let operand = Box::new(list.remove(0));
        if list.is_empty() {
            return Err(Refusal::syntax("IN needs at least one value"));
        }
        Ok(Expression::boolean(Kind::InList {
            operand,
            list,
            negated,
        }))
    }

    /// One value and those it is compared with, all in one type; the value first.
    fn compared_all(
        &mut self,
        operand: Expression,
        others: Vec<Expression>,
        operator: &str,
    ) -> Judgement<Vec<Expression>> {
        let mut common = operand.sql_type;
        for other in &others {
            let missing = || {
                let message = format!(
                    "operator does not exist: {common} {operator} {}: cast one side",
                    other.sql_type
                );
                Refusal::new("42883", message)
            };
            common = super::convert::operand_type(common, other.sql_type).ok_or_else(missing)?;
        }
        if common == BaseType::Unknown {
            common = BaseType::Text;
        }
        if !common.is_comparable() {
            return Err(Refusal::new(
                "42883",
                format!("values of type {common} cannot be compared"),
            ));
        }
        std::iter::once(operand)
            .chain(others)
            .map(|value| self.implicit(value, common))
            .collect()
    }

    fn like(
        &mut self,
        operand: &Expr,
        pattern: &Expr,
        escape: Option<&Expr>,
        (insensitive, negated): (bool, bool),
        place: Place<'_>,
    ) -> Judgement<Expression> {
        let operand = self.text(operand, place)?;
        let pattern = self.text(pattern, place)?;
        let escape = escape.map(|escape| self.text(escape, place)).transpose()?;
        Ok(Expression::boolean(Kind::Like {
            operand: Box::new(operand),
            pattern: Box::new(pattern),
            escape: escape.map(Box::new),
            insensitive,
            negated,
        }))
    }

    /// A text; of other types only what is open.
    pub(super) fn text(&mut self, value: &Expr, place: Place<'_>) -> Judgement<Expression> {
        let value = self.expression(value, place)?;
        let value = self.settled_as_text(value)?;
        if !value.sql_type.is_text() {
            let message = format!(
                "a text is needed where a value of type {} stands: cast it",
                value.sql_type
            );
            return Err(Refusal::new("42883", message));
        }
        Ok(value)
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&Expr>,
        place: Place<'_>,
    ) -> Judgement<Expression> {
        let operand = operand
            .map(|operand| self.expression(operand, place))
            .transpose()?;
        let mut whens = Vec::with_capacity(conditions.len());
        let mut values = Vec::with_capacity(conditions.len() + 1);
        for ast::CaseWhen { condition, result } in conditions {
            let when = self.expression(condition, place)?;
            whens.push(if operand.is_some() {
                when
            } else {
                self.truth(when, "CASE/WHEN")?
            });
            values.push(self.expression(result, place)?);
        }
        let operand = match operand {
            None => None,
            Some(operand) => {
                let mut all = self.compared_all(operand, whens, "=")?;
                let operand = all.remove(0);
                whens = all;
                Some(Box::new(operand))
            }
        };
        let has_otherwise = otherwise.is_some();
        // PostgreSQL looks at ELSE first when it chooses the type.
        values.extend(
            otherwise
                .map(|value| self.expression(value, place))
                .transpose()?,
        );
        let mut values = self.unified(values, "CASE")?;
        let otherwise = if has_otherwise {
            values.pop().map(Box::new)
        } else {
            None
        };
        let Some(sql_type) = values.first().map(|value| value.sql_type) else {
            return Err(Refusal::syntax("CASE needs a WHEN"));
        };
        let branches = whens.into_iter().zip(values).collect();
        Ok(Expression::new(
            Kind::Case {
                operand,
                branches,
                otherwise,
            },
            sql_type,
        ))
    }

    fn scalar(&mut self, subquery: &ast::Query, place: Place<'_>) -> Judgement<Expression> {
        let query = self.query(subquery, Some(place.scope))?;
        let [output] = query.outputs.as_slice() else {
            return Err(Refusal::syntax("subquery must return only one column"));
        };
        let sql_type = output.sql_type;
        Ok(Expression::new(Kind::Scalar(Box::new(query)), sql_type))
    }

    fn in_query(
        &mut self,
        operand: &Expr,
        subquery: &ast::Query,
        negated: bool,
        place: Place<'_>,
    ) -> Judgement<Expression> {
        let operand = self.expression(operand, place)?;
        let query = self.query(subquery, Some(place.scope))?;
        let [output] = query.outputs.as_slice() else {
            return Err(Refusal::syntax("subquery has too many columns"));
        };
        let wanted = output.sql_type;
        let probe = Expression::null(wanted);
        let (operand, probe) = self.compared(operand, probe, "=")?;
        let query = Box::new(self.query_as(query, &[probe.sql_type])?);
        Ok(Expression::boolean(Kind::InQuery {
            operand: Box::new(operand),
            query,
            negated,
        }))
    }

    /// `= ANY` is IN, `<> ALL` is NOT IN; the others are refused.
    fn quantified(
        &mut self,
        left: &Expr,
        operator: &ast::BinaryOperator,
        right: &Expr,
        any: bool,
        place: Place<'_>,
    ) -> Judgement<Expression> {
        let word = if any { "ANY" } else { "ALL" };
        let Expr::Subquery(subquery) = right else {
            return Err(Refusal::unsupported(format!("{word} of an array")));
        };
        match (operator, any) {
            (ast::BinaryOperator::Eq, true) => self.in_query(left, subquery, false, place),
            (ast::BinaryOperator::NotEq, false) => self.in_query(left, subquery, true, place),
            _ => Err(Refusal::unsupported(format!(
                "{word} with another operator than = ANY and <> ALL"
            ))),
        }
    }

    /// A comparison.
    pub(super) fn comparison(
        &mut self,
        operator: Comparison,
        sign: &str,
        left: Expression,
        right: Expression,
    ) -> Judgement<Expression> {
        let (left, right) = self.compared(left, right, sign)?;
        let (left, right) = (Box::new(left), Box::new(right));
        Ok(Expression::boolean(Kind::Compare {
            operator,
            left,
            right,
        }))
    }
}

/// IS UNKNOWN is for booleans.
fn unknown_checked(value: Expression) -> Judgement<Expression> {
    if let Kind::Is { operand, .. } = &value.kind {
        let null = matches!(operand.kind, Kind::Literal(Literal::Null));
        if operand.sql_type != BaseType::Bool && !null {
            return Err(Refusal::mismatch(
                "argument of IS UNKNOWN must be type boolean",
            ));
        }
    }
    Ok(value)
}
