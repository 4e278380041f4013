//! Calls of functions, in their many spellings.

use std::sync::Arc;

use sqlparser::ast::{
    self, CeilFloorKind, DuplicateTreatment, Expr, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, TrimWhereField,
};

use super::{
    super::{
        function::{
            AGGREGATES, AggregateFunction, BOOL_LETTER, COUNT_ROWS, EXTRACTS, FUNCTIONS, Function,
            best_fit,
        },
        refusal::{Judgement, Refusal},
        tree::{Aggregate, Context, Expression, Kind, Literal, SortKey},
        types::BaseType,
    },
    Binder, Place, parts_of,
};

/// What stands in a call's parentheses.
pub(super) struct Arguments<'e> {
    pub(super) distinct: bool,
    /// `*`, as in `count(*)`.
    pub(super) star: bool,
    pub(super) values: Vec<&'e Expr>,
    pub(super) order: &'e [ast::OrderByExpr],
}

impl Binder<'_> {
    pub(super) fn function(
        &mut self,
        function: &ast::Function,
        place: Place<'_>,
    ) -> Judgement<Expression> {
        let ast::Function {
            name,
            uses_odbc_syntax,
            parameters,
            args,
            within_group,
            filter,
            null_treatment,
            over,
        } = function;
        if *uses_odbc_syntax
            || !matches!(parameters, FunctionArguments::None)
            || !within_group.is_empty()
        {
            return Err(Refusal::unsupported("this form of a call"));
        }
        if null_treatment.is_some() {
            return Err(Refusal::unsupported("IGNORE NULLS"));
        }
        let name = function_name(name)?;
        let arguments = match args {
            FunctionArguments::None => {
                let value = self.special_value(&name);
                return value.ok_or_else(|| Refusal::no_function(&name, ""));
            }
            FunctionArguments::Subquery(_) => {
                return Err(Refusal::unsupported("a query as an argument"));
            }
            FunctionArguments::List(list) => arguments_of(list)?,
        };
        if let Some(over) = over {
            return self.window(&name, &arguments, filter.as_deref(), over, place);
        }
        let is_aggregate = AGGREGATES.iter().any(|known| known.name == name);
        if is_aggregate {
            let aggregate = self.aggregate(&name, &arguments, filter.as_deref(), place)?;
            let sql_type = aggregate_type(&aggregate);
            return Ok(Expression::new(
                Kind::Aggregate(Box::new(aggregate)),
                sql_type,
            ));
        }
        if filter.is_some() || arguments.distinct || arguments.star || !arguments.order.is_empty() {
            let message = format!(
                "{name} is no aggregate function: DISTINCT, *, ORDER BY and FILTER are for those"
            );
            return Err(Refusal::new("42809", message));
        }
        let values = arguments
            .values
            .iter()
            .map(|value| self.expression(value, place))
            .collect::<Judgement<_>>()?;
        self.named_call(&name, values)
    }

    /// A call by name with bound arguments.
    pub(super) fn named_call(
        &mut self,
        name: &str,
        values: Vec<Expression>,
    ) -> Judgement<Expression> {
        match name {
            "coalesce" => {
                let values = self.unified(values, "COALESCE")?;
                let sql_type = values.first().map(|value| value.sql_type);
                let sql_type = sql_type.ok_or_else(|| Refusal::syntax("COALESCE needs a value"))?;
                return Ok(Expression::new(Kind::Coalesce(values), sql_type));
            }
            "nullif" => return self.null_if(values),
            "greatest" | "least" => return self.extreme(name == "greatest", values),
            "gridmart.attribute" => return self.attribute(&values),
            "date_part" => return self.date_part(values),
            _ => {}
        }
        if values.is_empty()
            && let Some(value) = self.special_call(name)
        {
            return Ok(value);
        }
        let given: Vec<BaseType> = values.iter().map(|value| value.sql_type).collect();
        let listed = FUNCTIONS.iter().filter(|function| function.name == name);
        let best: Option<&'static Function> = best_fit(
            listed.map(|function| (function, function.arguments, function.variadic)),
            &given,
        );
        let Some(function) = best else {
            let shown: Vec<&str> = given.iter().map(|given| given.name()).collect();
            return Err(Refusal::no_function(name, &shown.join(", ")));
        };
        if function.sqlite.is_empty() {
            return Err(Refusal::unsupported(format!(
                "{name} of {}",
                given.first().map_or("", |given| given.name())
            )));
        }
        let values = if function.variadic {
            let shown = values.into_iter().map(|value| match value.sql_type {
                BaseType::Bool => self.call(&BOOL_LETTER, vec![value]),
                _ => self.shown(value),
            });
            shown.collect::<Judgement<_>>()?
        } else {
            values
        };
        self.call(function, values)
    }

    fn null_if(&mut self, values: Vec<Expression>) -> Judgement<Expression> {
        let Ok([left, right]) = <[Expression; 2]>::try_from(values) else {
            return Err(Refusal::syntax("NULLIF has two arguments"));
        };
        // The answer has the left side's type, whatever both are compared in.
        let left = if left.is_open() {
            self.settled(left, right.sql_type)?
        } else {
            left
        };
        let left = self.settled_as_text(left)?;
        let kept = left.sql_type;
        let (left, right) = self.compared(left, right, "=")?;
        let sql_type = left.sql_type;
        let (left, right) = (Box::new(left), Box::new(right));
        let answer = Expression::new(Kind::NullIf { left, right }, sql_type);
        if sql_type == kept {
            Ok(answer)
        } else {
            self.cast(answer, kept.into())
        }
    }

    fn extreme(&mut self, greatest: bool, values: Vec<Expression>) -> Judgement<Expression> {
        let list = self.unified(values, if greatest { "GREATEST" } else { "LEAST" })?;
        let sql_type = list
            .first()
            .map(|value| value.sql_type)
            .filter(|known| known.is_comparable());
        let sql_type = sql_type.ok_or_else(|| {
            Refusal::syntax("GREATEST and LEAST need values that can be compared")
        })?;
        Ok(Expression::new(Kind::Extreme { greatest, list }, sql_type))
    }

    /// An attribute of the person, by a name that stands in the text.
    fn attribute(&mut self, values: &[Expression]) -> Judgement<Expression> {
        let named = match values {
            [
                Expression {
                    kind: Kind::Literal(Literal::Text(name)),
                    sql_type: _,
                },
            ] => Some(name),
            _ => None,
        };
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let named =
            named.filter(|name| !name.is_empty() && name.len() <= 40 && name.bytes().all(plain));
        let name = named.ok_or_else(|| {
            Refusal::new(
                "22023",
                "gridmart.attribute takes one name in quotes, of a-z, 0-9 and _",
            )
        })?;
        Ok(self.context(Context::Attribute(Arc::from(name.as_str()))))
    }

    fn date_part(&mut self, values: Vec<Expression>) -> Judgement<Expression> {
        let Ok([field, moment]) = <[Expression; 2]>::try_from(values) else {
            return Err(Refusal::no_function("date_part", ""));
        };
        let Kind::Literal(Literal::Text(field)) = field.kind else {
            return Err(Refusal::unsupported(
                "a field of date_part that is no constant",
            ));
        };
        // date_part of a date is that of a timestamp, as in PostgreSQL.
        let moment = match moment.sql_type {
            BaseType::Date => self.cast(moment, BaseType::Timestamp.into())?,
            _ => moment,
        };
        let part = self.extract(&field, moment)?;
        self.cast(part, BaseType::Float8.into())
    }

    fn extract(&mut self, field: &str, moment: Expression) -> Judgement<Expression> {
        let field = field.to_ascii_lowercase();
        let function = EXTRACTS
            .iter()
            .find(|function| function.arguments.get(1) == Some(&moment.sql_type));
        let Some(function) = function else {
            let message = format!(
                "EXTRACT takes dates and times, not a value of type {}",
                moment.sql_type
            );
            return Err(Refusal::new("42883", message));
        };
        let of_day = ["hour", "minute", "second", "milliseconds", "microseconds"];
        let of_date = [
            "year",
            "month",
            "day",
            "quarter",
            "dow",
            "isodow",
            "doy",
            "week",
            "isoyear",
            "decade",
            "century",
            "millennium",
        ];
        let known = match moment.sql_type {
            BaseType::Time => of_day.contains(&field.as_str()) || field == "epoch",
            BaseType::Date => of_date.contains(&field.as_str()) || field == "epoch",
            _ => {
                of_day.contains(&field.as_str())
                    || of_date.contains(&field.as_str())
                    || field == "epoch"
            }
        };
        if !known {
            let shown: String = field.chars().take(32).collect();
            return Err(Refusal::unsupported(format!(
                "the unit \"{shown}\" of {}",
                moment.sql_type
            )));
        }
        let field = Expression::new(Kind::Literal(Literal::Text(field)), BaseType::Text);
        self.call(function, vec![field, moment])
    }

    /// Values that are named without parentheses.
    pub(super) fn special_value(&mut self, name: &str) -> Option<Expression> {
        match name {
            "current_user" | "session_user" | "user" | "current_role" => {
                Some(self.context(Context::CurrentUser))
            }
            "current_timestamp" => Some(self.context(Context::Now)),
            "current_date" => self.clock_as(BaseType::Date),
            "localtimestamp" => self.clock_as(BaseType::Timestamp),
            _ => None,
        }
    }

    fn special_call(&mut self, name: &str) -> Option<Expression> {
        match name {
            "now" | "transaction_timestamp" => Some(self.context(Context::Now)),
            _ => None,
        }
    }

    fn clock_as(&mut self, wanted: BaseType) -> Option<Expression> {
        let now = self.context(Context::Now);
        self.cast(now, wanted.into()).ok()
    }

    /// Calls that have a syntax of their own.
    pub(super) fn written_call(
        &mut self,
        expression: &Expr,
        place: Place<'_>,
    ) -> Judgement<Expression> {
        match expression {
            Expr::Extract {
                field,
                syntax: ast::ExtractSyntax::From,
                expr,
            } => {
                let moment = self.expression(expr, place)?;
                self.extract(field.to_string().trim_matches('\''), moment)
            }
            Expr::Ceil {
                expr,
                field: CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime),
            } => self.plain_call("ceil", &[expr], place),
            Expr::Floor {
                expr,
                field: CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime),
            } => self.plain_call("floor", &[expr], place),
            Expr::Position { expr, r#in } => self.plain_call("strpos", &[r#in, expr], place),
            Expr::Substring {
                expr,
                substring_from,
                substring_for,
                special: _,
                shorthand: _,
            } => {
                let one = Expr::Value(ast::Value::Number("1".to_owned(), false).into());
                let from = substring_from.as_deref().unwrap_or(&one);
                let mut arguments: Vec<&Expr> = vec![expr, from];
                arguments.extend(substring_for.as_deref());
                self.plain_call("substring", &arguments, place)
            }
            Expr::Trim {
                trim_where,
                trim_what,
                expr,
                trim_characters,
            } => {
                let name = match trim_where {
                    None | Some(TrimWhereField::Both) => "btrim",
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                };
                let mut arguments: Vec<&Expr> = vec![expr];
                arguments.extend(trim_what.as_deref());
                arguments.extend(trim_characters.iter().flatten());
                self.plain_call(name, &arguments, place)
            }
            other => {
                Err(Refusal::unsupported(construct(other).to_string()).at(self.place_of(other)))
            }
        }
    }

    fn plain_call(
        &mut self,
        name: &str,
        arguments: &[&Expr],
        place: Place<'_>,
    ) -> Judgement<Expression> {
        let values = arguments
            .iter()
            .map(|value| self.expression(value, place))
            .collect::<Judgement<_>>()?;
        self.named_call(name, values)
    }

    pub(super) fn aggregate(
        &mut self,
        name: &str,
        arguments: &Arguments<'_>,
        filter: Option<&Expr>,
        place: Place<'_>,
    ) -> Judgement<Aggregate> {
        if let Some(plain) = place.plain {
            let message = format!("aggregate functions are not allowed in {plain}");
            return Err(Refusal::new("42803", message));
        }
        let inside = place.inside("the arguments of an aggregate function");
        let values: Vec<Expression> = arguments
            .values
            .iter()
            .map(|value| self.expression(value, inside))
            .collect::<Judgement<_>>()?;
        let (function, values) = self.aggregate_choose(name, arguments, values)?;
        let order = arguments
            .order
            .iter()
            .map(|key| self.sort_key(key, inside))
            .collect::<Judgement<Vec<SortKey>>>()?;
        if !order.is_empty() && (arguments.distinct || name != "string_agg") {
            return Err(Refusal::unsupported(format!(
                "ORDER BY in {name}, or beside DISTINCT,"
            )));
        }
        let filter = match filter {
            None => None,
            Some(filter) => {
                let filter = self.expression(filter, place.inside("FILTER"))?;
                Some(self.truth(filter, "FILTER")?)
            }
        };
        let aggregate = Aggregate {
            function,
            arguments: values,
            distinct: arguments.distinct,
            order,
            filter,
        };
        Self::aggregate_of_here(&aggregate, place)?;
        Ok(aggregate)
    }

    fn aggregate_choose(
        &mut self,
        name: &str,
        arguments: &Arguments<'_>,
        values: Vec<Expression>,
    ) -> Judgement<(&'static AggregateFunction, Vec<Expression>)> {
        if arguments.star {
            let alone = name == "count" && values.is_empty() && !arguments.distinct;
            return if alone {
                Ok((&COUNT_ROWS, Vec::new()))
            } else {
                Err(Refusal::no_function(name, "*"))
            };
        }
        let given: Vec<BaseType> = values.iter().map(|value| value.sql_type).collect();
        let listed = AGGREGATES.iter().filter(|function| function.name == name);
        let best: Option<&'static AggregateFunction> = best_fit(
            listed.map(|function| (function, function.arguments, false)),
            &given,
        );
        let Some(function) = best else {
            let shown: Vec<&str> = given.iter().map(|given| given.name()).collect();
            return Err(Refusal::no_function(name, &shown.join(", ")));
        };
        let mut fitted = Vec::with_capacity(values.len());
        for (value, wanted) in values.into_iter().zip(function.arguments) {
            fitted.push(match wanted {
                BaseType::Unknown => self.settled_as_text(value)?,
                wanted => self.implicit(value, *wanted)?,
            });
        }
        if arguments.distinct
            && (fitted.len() > 1 || fitted.iter().any(|value| !value.sql_type.is_comparable()))
        {
            return Err(Refusal::unsupported(format!(
                "DISTINCT in {name} of these arguments"
            )));
        }
        Ok((function, fitted))
    }

    /// An aggregate over columns of an outer query only would be that query's, in
    /// PostgreSQL: it is refused.
    fn aggregate_of_here(aggregate: &Aggregate, place: Place<'_>) -> Judgement<()> {
        let names = place.scope.names;
        let of_here = |expression: &Expression| matches!(&expression.kind, Kind::Column(used) if names.has_relation(used.relation));
        let of_outside = |expression: &Expression| matches!(&expression.kind, Kind::Column(used) if !names.has_relation(used.relation));
        let inner: Vec<&Expression> = aggregate
            .arguments
            .iter()
            .chain(&aggregate.filter)
            .collect();
        let has_others = inner.iter().any(|expression| expression.any(&of_outside));
        let has_own = inner.iter().any(|expression| expression.any(&of_here));
        if has_others && !has_own {
            return Err(Refusal::unsupported(
                "an aggregate over columns of an outer query",
            ));
        }
        let nested = |expression: &Expression| {
            matches!(expression.kind, Kind::Aggregate(_) | Kind::Window(_))
        };
        if inner.iter().any(|expression| expression.any(&nested)) {
            return Err(Refusal::new(
                "42803",
                "aggregate function calls cannot be nested",
            ));
        }
        Ok(())
    }
}

/// An aggregate's type.
pub(super) fn aggregate_type(aggregate: &Aggregate) -> BaseType {
    aggregate.function.result
}

fn function_name(name: &ast::ObjectName) -> Judgement<String> {
    let mut parts = parts_of(name)?;
    match parts.as_slice() {
        [_] => {}
        [schema, _] if schema == "pg_catalog" => {}
        [schema, function] if schema == "gridmart" && function == "attribute" => {
            return Ok("gridmart.attribute".to_owned());
        }
        _ => return Err(Refusal::no_function(&parts.join("."), "")),
    }
    parts
        .pop()
        .ok_or_else(|| Refusal::syntax("a function has no name"))
}

fn arguments_of(list: &FunctionArgumentList) -> Judgement<Arguments<'_>> {
    let FunctionArgumentList {
        duplicate_treatment,
        args,
        clauses,
    } = list;
    let mut arguments = Arguments {
        distinct: matches!(duplicate_treatment, Some(DuplicateTreatment::Distinct)),
        star: false,
        values: Vec::with_capacity(args.len()),
        order: &[],
    };
    for argument in args {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => arguments.values.push(value),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => arguments.star = true,
            _ => return Err(Refusal::unsupported("this form of argument")),
        }
    }
    for clause in clauses {
        match clause {
            FunctionArgumentClause::OrderBy(order) => arguments.order = order,
            _ => return Err(Refusal::unsupported("this clause in a call")),
        }
    }
    Ok(arguments)
}

/// What a construct outside of the subset is called.
fn construct(expression: &Expr) -> &'static str {
    match expression {
        Expr::SimilarTo { .. } => "SIMILAR TO",
        Expr::RLike { .. } => "RLIKE",
        Expr::AtTimeZone { .. } => "AT TIME ZONE",
        Expr::Collate { .. } => "COLLATE",
        Expr::Array(_) => "ARRAY",
        Expr::Tuple(_) => "a row of values",
        Expr::Interval(_) => "INTERVAL",
        Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) => "GROUPING SETS, CUBE or ROLLUP",
        Expr::Overlay { .. } => "OVERLAY",
        Expr::CompoundFieldAccess { .. } | Expr::JsonAccess { .. } => "access to a part of a value",
        Expr::Like { .. } | Expr::ILike { .. } => "LIKE ANY",
        Expr::Cast { .. } => "this form of cast",
        Expr::Extract { .. } => "this form of EXTRACT",
        Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => "* in this place",
        Expr::IsJson { .. } => "IS JSON",
        Expr::IsNormalized { .. } => "IS NORMALIZED",
        _ => "this form of expression",
    }
}
