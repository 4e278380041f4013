//! Aggregates. As window functions they take frames that begin with the partition
//! only: nothing can be taken back out of them, and asking for it is an error.

use rusqlite::{
    Connection, Result,
    functions::{Aggregate, Context, WindowAggregate},
    types::{Value, ValueRef},
};

use super::{
    decimal::Decimal,
    number::exact,
    scalar::{Failure, decimal_of, float_of, float_value, pure},
};

pub(super) fn register(connection: &Connection) -> Result<()> {
    let flags = pure();
    connection.create_window_function(
        "gridmart_sum_numeric",
        1,
        flags,
        Exact { average: false },
    )?;
    connection.create_window_function("gridmart_avg_numeric", 1, flags, Exact { average: true })?;
    connection.create_window_function(
        "gridmart_sum_float",
        1,
        flags,
        Float {
            average: false,
            bits: 64,
        },
    )?;
    connection.create_window_function(
        "gridmart_sum_float4",
        1,
        flags,
        Float {
            average: false,
            bits: 32,
        },
    )?;
    connection.create_window_function(
        "gridmart_avg_float",
        1,
        flags,
        Float {
            average: true,
            bits: 64,
        },
    )?;
    connection.create_aggregate_function("gridmart_single", 1, flags, Single)
}

fn no_way_back() -> rusqlite::Error {
    Failure::new("0A000", "a window's frame has to begin with its partition").to_error()
}

/// Sum and average of exact numbers.
struct Exact {
    average: bool,
}

#[derive(Default)]
struct ExactState {
    sum: Option<Decimal>,
    count: i64,
}

impl Exact {
    fn answer(&self, state: &ExactState) -> Result<Value> {
        let Some(sum) = &state.sum else {
            return Ok(Value::Null);
        };
        if !self.average {
            return Ok(exact(sum.clone()));
        }
        let count = Decimal::from_integer(state.count);
        sum.quotient(&count)
            .map(exact)
            .map_err(|failure| failure.to_error())
    }
}

impl Aggregate<ExactState, Value> for Exact {
    fn init(&self, _: &mut Context<'_>) -> Result<ExactState> {
        Ok(ExactState::default())
    }

    fn step(&self, context: &mut Context<'_>, state: &mut ExactState) -> Result<()> {
        let value = context.get_raw(0);
        if value == ValueRef::Null {
            return Ok(());
        }
        let number = decimal_of(value).map_err(|failure| failure.to_error())?;
        let sum = match state.sum.take() {
            Some(sum) => sum.sum(&number).map_err(|failure| failure.to_error())?,
            None => number,
        };
        state.sum = Some(sum);
        state.count += 1;
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, state: Option<ExactState>) -> Result<Value> {
        self.answer(&state.unwrap_or_default())
    }
}

impl WindowAggregate<ExactState, Value> for Exact {
    fn value(&self, state: Option<&mut ExactState>) -> Result<Value> {
        state.map_or(Ok(Value::Null), |state| self.answer(state))
    }

    fn inverse(&self, _: &mut Context<'_>, _: &mut ExactState) -> Result<()> {
        Err(no_way_back())
    }
}

/// Sum and average of floats, added in the order of the rows.
struct Float {
    average: bool,
    bits: u8,
}

#[derive(Default)]
struct FloatState {
    sum: f64,
    count: u32,
    infinite: bool,
}

impl Float {
    fn answer(&self, state: &FloatState) -> Result<Value> {
        if state.count == 0 {
            return Ok(Value::Null);
        }
        if state.sum.is_infinite() && !state.infinite {
            let failure = Failure::new("22003", "value out of range: overflow");
            return Err(failure.to_error());
        }
        let divisor = if self.average {
            f64::from(state.count)
        } else {
            1.0
        };
        Ok(float_value(state.sum / divisor))
    }
}

impl Aggregate<FloatState, Value> for Float {
    fn init(&self, _: &mut Context<'_>) -> Result<FloatState> {
        Ok(FloatState::default())
    }

    fn step(&self, context: &mut Context<'_>, state: &mut FloatState) -> Result<()> {
        let value = context.get_raw(0);
        if value == ValueRef::Null {
            return Ok(());
        }
        let number = float_of(value).map_err(|failure| failure.to_error())?;
        state.infinite |= number.is_infinite();
        // The first is taken as it is, so that -0 stays -0.
        let sum = if state.count == 0 {
            number
        } else {
            state.sum + number
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "float4 is added in its 32 bits"
        )]
        let sum = if self.bits == 32 {
            f64::from(sum as f32)
        } else {
            sum
        };
        state.sum = sum;
        state.count = state.count.saturating_add(1);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, state: Option<FloatState>) -> Result<Value> {
        self.answer(&state.unwrap_or_default())
    }
}

impl WindowAggregate<FloatState, Value> for Float {
    fn value(&self, state: Option<&mut FloatState>) -> Result<Value> {
        state.map_or(Ok(Value::Null), |state| self.answer(state))
    }

    fn inverse(&self, _: &mut Context<'_>, _: &mut FloatState) -> Result<()> {
        Err(no_way_back())
    }
}

/// The one value of a sub-query that stands for a value.
struct Single;

impl Aggregate<Option<Value>, Value> for Single {
    fn init(&self, _: &mut Context<'_>) -> Result<Option<Value>> {
        Ok(None)
    }

    fn step(&self, context: &mut Context<'_>, state: &mut Option<Value>) -> Result<()> {
        if state.is_some() {
            let message = "more than one row returned by a subquery used as an expression";
            return Err(Failure::new("21000", message).to_error());
        }
        *state = Some(
            context
                .get_raw(0)
                .try_into()
                .map_err(|_| Failure::stored("text").to_error())?,
        );
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, state: Option<Option<Value>>) -> Result<Value> {
        Ok(state.flatten().unwrap_or(Value::Null))
    }
}
