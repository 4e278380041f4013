//! Window functions.

use sqlparser::ast::{self, Expr, WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType};

use super::{
    super::{
        function::{AGGREGATES, WINDOW_FUNCTIONS, WindowFunction, WindowShape},
        refusal::{Judgement, Refusal},
        tree::{Expression, Kind, Literal, SortKey, Window, WindowCall, WindowFrame},
        types::BaseType,
    },
    Binder, Place,
    call::{Arguments, aggregate_type},
    folded,
};

impl Binder<'_> {
    pub(super) fn window(
        &mut self,
        name: &str,
        arguments: &Arguments<'_>,
        filter: Option<&Expr>,
        over: &WindowType,
        place: Place<'_>,
    ) -> Judgement<Expression> {
        if !place.windows {
            let message = format!(
                "window functions are not allowed in {}",
                place.plain.unwrap_or("this place")
            );
            return Err(Refusal::new("42P20", message));
        }
        let inside = Place {
            windows: false,
            ..place
        };
        let function = WINDOW_FUNCTIONS.iter().find(|known| known.name == name);
        let (call, sql_type) = match function {
            Some(function) => {
                if filter.is_some()
                    || arguments.distinct
                    || arguments.star
                    || !arguments.order.is_empty()
                {
                    return Err(Refusal::unsupported(format!(
                        "DISTINCT, *, ORDER BY or FILTER in {name}"
                    )));
                }
                self.window_function(function, arguments, inside)?
            }
            None if AGGREGATES.iter().any(|known| known.name == name) => {
                if arguments.distinct || !arguments.order.is_empty() || name == "string_agg" {
                    return Err(Refusal::unsupported(format!(
                        "DISTINCT, ORDER BY or string_agg in the window function {name}"
                    )));
                }
                let aggregate = self.aggregate(name, arguments, filter, inside)?;
                let sql_type = aggregate_type(&aggregate);
                (WindowCall::Aggregate(aggregate), sql_type)
            }
            None => {
                return Err(Refusal::new(
                    "42809",
                    format!("{name} is no window function and no aggregate function"),
                ));
            }
        };
        let (partition, order, frame) = self.window_over(over, inside)?;
        let window = Window {
            call,
            partition,
            order,
            frame,
        };
        Ok(Expression::new(Kind::Window(Box::new(window)), sql_type))
    }

    fn window_function(
        &mut self,
        function: &'static WindowFunction,
        arguments: &Arguments<'_>,
        place: Place<'_>,
    ) -> Judgement<(WindowCall, BaseType)> {
        let values: Vec<Expression> = arguments
            .values
            .iter()
            .map(|value| self.expression(value, place))
            .collect::<Judgement<_>>()?;
        let count = values.len();
        let mut values = values.into_iter();
        let mut bound = Vec::with_capacity(count);
        let wrong = || Refusal::no_function(function.name, "with these arguments");
        let sql_type = match function.shape {
            WindowShape::Rank(sql_type) if count == 0 => sql_type,
            WindowShape::Edge if count == 1 => {
                let value = self.settled_as_text(values.next().ok_or_else(wrong)?)?;
                let sql_type = value.sql_type;
                bound.push(value);
                sql_type
            }
            WindowShape::Neighbour if (1..=3).contains(&count) => {
                let value = self.settled_as_text(values.next().ok_or_else(wrong)?)?;
                let mut sql_type = value.sql_type;
                bound.push(value);
                if let Some(distance) = values.next() {
                    bound.push(distance_checked(distance, function.name)?);
                }
                if let Some(instead) = values.next() {
                    let pair = self.unified(vec![bound.remove(0), instead], function.name)?;
                    let mut pair = pair.into_iter();
                    bound.insert(0, pair.next().ok_or_else(wrong)?);
                    bound.push(pair.next().ok_or_else(wrong)?);
                    sql_type = bound.first().map_or(sql_type, |value| value.sql_type);
                }
                sql_type
            }
            _ => return Err(wrong()),
        };
        Ok((
            WindowCall::Function {
                function,
                arguments: bound,
            },
            sql_type,
        ))
    }

    fn window_over(
        &mut self,
        over: &WindowType,
        place: Place<'_>,
    ) -> Judgement<(Vec<Expression>, Vec<SortKey>, WindowFrame)> {
        let spec = match over {
            WindowType::WindowSpec(spec) => spec,
            WindowType::NamedWindow(name) => {
                let name = folded(name)?;
                let found = place.named.iter().find(|(known, _)| *known == name);
                let missing = || Refusal::new("42704", format!("window \"{name}\" does not exist"));
                &found.ok_or_else(missing)?.1
            }
        };
        let WindowSpec {
            window_name,
            partition_by,
            order_by,
            window_frame,
        } = spec;
        if window_name.is_some() {
            return Err(Refusal::unsupported("a window that builds on another"));
        }
        let mut partition = Vec::with_capacity(partition_by.len());
        for value in partition_by {
            let value = self.expression(value, place)?;
            partition.push(self.comparable(value)?);
        }
        let order = order_by
            .iter()
            .map(|key| self.sort_key(key, place))
            .collect::<Judgement<_>>()?;
        Ok((partition, order, frame(window_frame.as_ref())?))
    }

    /// A value that can be sorted and grouped by.
    pub(super) fn comparable(&mut self, value: Expression) -> Judgement<Expression> {
        let value = self.settled_as_text(value)?;
        if !value.sql_type.is_comparable() {
            let message = format!(
                "values of type {} cannot be compared or sorted",
                value.sql_type
            );
            return Err(Refusal::new("42883", message));
        }
        Ok(value)
    }
}

/// How many rows away: a constant, since engines differ on others.
fn distance_checked(distance: Expression, name: &str) -> Judgement<Expression> {
    match distance.kind {
        Kind::Literal(Literal::Integer(number)) if (0..=1_000_000).contains(&number) => {
            Ok(distance)
        }
        _ => Err(Refusal::unsupported(format!(
            "a distance in {name} that is no constant from 0 to 1000000"
        ))),
    }
}

fn frame(frame: Option<&ast::WindowFrame>) -> Judgement<WindowFrame> {
    let Some(ast::WindowFrame {
        units,
        start_bound,
        end_bound,
    }) = frame
    else {
        return Ok(WindowFrame::Standard);
    };
    let from_start = matches!(start_bound, WindowFrameBound::Preceding(None));
    let end = end_bound.as_ref().unwrap_or(&WindowFrameBound::CurrentRow);
    match (units, from_start, end) {
        (WindowFrameUnits::Range, true, WindowFrameBound::CurrentRow) => Ok(WindowFrame::Standard),
        (WindowFrameUnits::Rows, true, WindowFrameBound::CurrentRow) => {
            Ok(WindowFrame::RowsToCurrent)
        }
        (
            WindowFrameUnits::Rows | WindowFrameUnits::Range,
            true,
            WindowFrameBound::Following(None),
        ) => Ok(WindowFrame::Whole),
        _ => Err(Refusal::unsupported(
            "a window frame that does not begin with its partition",
        )),
    }
}
