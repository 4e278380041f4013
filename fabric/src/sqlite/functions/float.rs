//! Floats that overflow, underflow and divide by zero as PostgreSQL's do.

use rusqlite::{Connection, types::Value};

use super::scalar::{Arguments, Failure, float_value, strict};

type OfOne = fn(f64) -> f64;
type Operation = fn(f64, f64) -> f64;

pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    // Whether a zero answer of arguments that are none has lost the number.
    let operations: [(&str, Operation, bool); 4] = [
        ("gridmart_float_add", |left, right| left + right, false),
        ("gridmart_float_sub", |left, right| left - right, false),
        ("gridmart_float_mul", |left, right| left * right, true),
        ("gridmart_float_div", |left, right| left / right, true),
    ];
    for (name, operation, vanishes) in operations {
        let divides = name == "gridmart_float_div";
        strict(connection, name, 3, move |arguments| {
            let (left, right) = (arguments.float(0)?, arguments.float(1)?);
            if divides && right == 0.0 && !left.is_nan() {
                return Err(Failure::division_by_zero());
            }
            let number = narrowed(operation(left, right), arguments.integer(2)?);
            let vanished = vanishes && number == 0.0 && left != 0.0 && !right.is_infinite();
            let lost = vanished && (divides || right != 0.0);
            checked(number, left.is_infinite() || right.is_infinite(), lost)
        })?;
    }
    let functions: [(&str, OfOne); 7] = [
        ("gridmart_float_neg", |number| -number),
        ("gridmart_float_abs", f64::abs),
        ("gridmart_float_ceil", f64::ceil),
        ("gridmart_float_floor", f64::floor),
        ("gridmart_float_trunc", f64::trunc),
        ("gridmart_float_round", f64::round_ties_even),
        ("gridmart_float_sign", |number| {
            if number == 0.0 { 0.0 } else { number.signum() }
        }),
    ];
    for (name, function) in functions {
        strict(connection, name, 1, move |arguments| {
            Ok(float_value(function(arguments.float(0)?)))
        })?;
    }
    strict(connection, "gridmart_float_sqrt", 1, |arguments| {
        let number = arguments.float(0)?;
        if number < 0.0 {
            let message = "cannot take square root of a negative number";
            return Err(Failure::new("2201F", message));
        }
        Ok(float_value(number.sqrt()))
    })?;
    strict(
        connection,
        "gridmart_float_narrow",
        1,
        |arguments: &Arguments<'_, '_>| {
            let wide = arguments.float(0)?;
            let number = narrowed(wide, 32);
            checked(number, wide.is_infinite(), number == 0.0 && wide != 0.0)
        },
    )
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "float4 is rounded to its 32 bits"
)]
fn narrowed(number: f64, bits: i64) -> f64 {
    if bits == 32 {
        f64::from(number as f32)
    } else {
        number
    }
}

fn checked(number: f64, infinite_before: bool, lost: bool) -> Result<Value, Failure> {
    if number.is_infinite() && !infinite_before {
        return Err(Failure::new("22003", "value out of range: overflow"));
    }
    if lost {
        return Err(Failure::new("22003", "value out of range: underflow"));
    }
    Ok(float_value(number))
}
