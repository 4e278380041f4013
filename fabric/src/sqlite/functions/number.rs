//! Whole numbers that do not overflow silently, and exact numerics.

use rusqlite::{Connection, types::Value};

use super::{
    decimal::Decimal,
    scalar::{Arguments, Failure, strict, text_value},
    value::{integer_fits, integer_name},
};

/// A whole number's function: its arguments, then the bits of its type.
type Whole = fn(i64, i64) -> Option<i64>;
type OfOne = fn(&Decimal) -> Decimal;
type Exact = fn(&Decimal, &Decimal) -> Result<Decimal, Failure>;

pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let of_two: [(&str, Whole); 3] = [
        ("gridmart_int_add", i64::checked_add),
        ("gridmart_int_sub", i64::checked_sub),
        ("gridmart_int_mul", i64::checked_mul),
    ];
    for (name, function) in of_two {
        strict(connection, name, 3, move |arguments| {
            let number = function(arguments.integer(0)?, arguments.integer(1)?);
            whole(number, arguments.integer(2)?)
        })?;
    }
    let divisions: [(&str, Whole); 2] = [
        ("gridmart_int_div", i64::checked_div),
        ("gridmart_int_mod", |left, right| {
            Some(left.wrapping_rem(right))
        }),
    ];
    for (name, function) in divisions {
        strict(connection, name, 3, move |arguments| {
            let (left, right) = (arguments.integer(0)?, arguments.integer(1)?);
            if right == 0 {
                return Err(Failure::division_by_zero());
            }
            whole(function(left, right), arguments.integer(2)?)
        })?;
    }
    strict(connection, "gridmart_int_neg", 2, |arguments| {
        whole(arguments.integer(0)?.checked_neg(), arguments.integer(1)?)
    })?;
    strict(connection, "gridmart_int_abs", 2, |arguments| {
        whole(arguments.integer(0)?.checked_abs(), arguments.integer(1)?)
    })?;
    strict(connection, "gridmart_int_fit", 2, |arguments| {
        whole(Some(arguments.integer(0)?), arguments.integer(1)?)
    })?;
    limit_register(connection)?;
    register_exact(connection)
}

fn register_exact(connection: &Connection) -> rusqlite::Result<()> {
    let of_two: [(&str, Exact); 5] = [
        ("gridmart_numeric_add", Decimal::sum),
        ("gridmart_numeric_sub", Decimal::difference),
        ("gridmart_numeric_mul", Decimal::product),
        ("gridmart_numeric_div", Decimal::quotient),
        ("gridmart_numeric_mod", Decimal::remainder),
    ];
    for (name, function) in of_two {
        strict(connection, name, 2, move |arguments| {
            function(&arguments.decimal(0)?, &arguments.decimal(1)?).map(exact)
        })?;
    }
    let of_one: [(&str, OfOne); 5] = [
        ("gridmart_numeric_neg", Decimal::negated),
        ("gridmart_numeric_abs", |number| {
            if number.sign() < 0 {
                number.negated()
            } else {
                number.clone()
            }
        }),
        ("gridmart_numeric_ceil", |number| number.whole(true)),
        ("gridmart_numeric_floor", |number| number.whole(false)),
        ("gridmart_numeric_sign", |number| {
            Decimal::from_integer(number.sign())
        }),
    ];
    for (name, function) in of_one {
        strict(connection, name, 1, move |arguments| {
            Ok(exact(function(&arguments.decimal(0)?)))
        })?;
    }
    strict(connection, "gridmart_numeric_round", 2, |arguments| {
        Ok(exact(arguments.decimal(0)?.rounded(arguments.integer(1)?)))
    })?;
    strict(connection, "gridmart_numeric_trunc", 2, |arguments| {
        Ok(exact(
            arguments.decimal(0)?.truncated(arguments.integer(1)?),
        ))
    })?;
    strict(connection, "gridmart_numeric_fit", 3, |arguments| {
        let bound = |index| {
            arguments
                .integer(index)
                .map(|number| u32::try_from(number).unwrap_or(0))
        };
        arguments
            .decimal(0)?
            .fitted(bound(1)?, bound(2)?)
            .map(exact)
    })
}

/// What stands after LIMIT: NULL is no limit, and a negative one is refused. What
/// is skipped is counted from zero, so NULL is zero there.
fn limit_register(connection: &Connection) -> rusqlite::Result<()> {
    let places = [
        ("gridmart_limit", "2201W", "LIMIT", -1),
        ("gridmart_offset", "2201X", "OFFSET", 0),
    ];
    for (name, state, word, null) in places {
        connection.create_scalar_function(name, 1, super::scalar::pure(), move |context| {
            match context.get_raw(0) {
                rusqlite::types::ValueRef::Null => Ok(null),
                rusqlite::types::ValueRef::Integer(number) if number >= 0 => Ok(number),
                _ => Err(Failure::new(state, format!("{word} must not be negative")).to_error()),
            }
        })?;
    }
    // Not deterministic, so that it is not asked before there is a row.
    let flags = rusqlite::functions::FunctionFlags::SQLITE_UTF8
        | rusqlite::functions::FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("gridmart_require", 1, flags, |context| {
        if context.get_raw(0) == rusqlite::types::ValueRef::Integer(1) {
            return Ok(1);
        }
        let message = "the new row would lie outside of the rows that your rules give you";
        Err(Failure::new("44000", message).to_error())
    })
}

fn whole(number: Option<i64>, bits: i64) -> Result<Value, Failure> {
    match number {
        Some(number) if integer_fits(number, bits) => Ok(Value::Integer(number)),
        _ => Err(Failure::new(
            "22003",
            format!("{} out of range", integer_name(bits)),
        )),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it ends every chain of calculations"
)]
pub(super) fn exact(number: Decimal) -> Value {
    text_value(number.to_string())
}

/// Fits a whole number into its type.
pub(super) fn whole_of(
    arguments: &Arguments<'_, '_>,
    number: Option<i64>,
) -> Result<Value, Failure> {
    whole(number, arguments.integer(1)?)
}
