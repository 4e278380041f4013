//! One type made of another.

use rusqlite::{Connection, types::Value};

use super::{
    decimal::Decimal,
    number::{exact, whole_of},
    scalar::{Failure, bool_value, float_value, strict, text_value},
    value,
};

/// The significant digits that a numeric keeps of a float.
const FLOAT_DIGITS: usize = 15;
const FLOAT4_DIGITS: usize = 6;

pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    from_text(connection)?;
    strict(connection, "gridmart_bool_text", 1, |arguments| {
        Ok(text_value(if arguments.integer(0)? == 0 {
            "false"
        } else {
            "true"
        }))
    })?;
    strict(connection, "gridmart_float_text", 2, |arguments| {
        Ok(text_value(value::float_text(
            arguments.float(0)?,
            arguments.integer(1)?,
        )))
    })?;
    strict(connection, "gridmart_bytes_text", 1, |arguments| {
        let digits = hex::encode(arguments.bytes(0)?);
        Ok(text_value(format!("\\x{digits}")))
    })?;
    strict(connection, "gridmart_moment_text", 1, |arguments| {
        Ok(text_value(value::moment_shown(arguments.text(0)?)))
    })?;
    strict(connection, "gridmart_numeric_int", 2, |arguments| {
        let number = arguments.decimal(0)?.to_integer();
        whole_of(arguments, number)
    })?;
    strict(connection, "gridmart_numeric_float", 2, |arguments| {
        let digits = arguments.decimal(0)?.to_string();
        value::float(&digits, arguments.integer(1)?).map(float_value)
    })?;
    strict(connection, "gridmart_float_int", 2, |arguments| {
        let number = arguments.float(0)?.round_ties_even();
        // Both bounds are powers of two and so exact as floats.
        let whole = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
        #[expect(clippy::cast_possible_truncation, reason = "it was found to fit")]
        whole_of(arguments, whole.then_some(number as i64))
    })?;
    strict(connection, "gridmart_float_numeric", 2, |arguments| {
        float_numeric(arguments.float(0)?, arguments.integer(1)?)
    })?;
    strict(connection, "gridmart_varchar", 2, |arguments| {
        let most = usize::try_from(arguments.integer(1)?).unwrap_or(0);
        Ok(text_value(
            arguments.text(0)?.chars().take(most).collect::<String>(),
        ))
    })?;
    // Kept in a column: only spaces may be cut off.
    strict(connection, "gridmart_varchar_fit", 2, |arguments| {
        let (text, most) = (
            arguments.text(0)?,
            usize::try_from(arguments.integer(1)?).unwrap_or(0),
        );
        if text.chars().skip(most).any(|character| character != ' ') {
            let message = format!("value too long for type character varying({most})");
            return Err(Failure::new("22001", message));
        }
        Ok(text_value(text.chars().take(most).collect::<String>()))
    })
}

/// Reads a text as a stored form.
type Reading = fn(&str) -> Result<String, Failure>;

fn from_text(connection: &Connection) -> rusqlite::Result<()> {
    strict(connection, "gridmart_text_bool", 1, |arguments| {
        value::boolean(arguments.text(0)?).map(bool_value)
    })?;
    strict(connection, "gridmart_text_int", 2, |arguments| {
        value::integer(arguments.text(0)?, arguments.integer(1)?).map(Value::Integer)
    })?;
    strict(connection, "gridmart_text_float", 2, |arguments| {
        value::float(arguments.text(0)?, arguments.integer(1)?).map(float_value)
    })?;
    strict(connection, "gridmart_text_numeric", 1, |arguments| {
        let text = arguments.text(0)?;
        let shown: String = text.chars().take(64).collect();
        let message = format!("invalid input syntax for type numeric: \"{shown}\"");
        Decimal::parse(text)
            .map(exact)
            .ok_or_else(|| Failure::new("22P02", message))
    })?;
    let texts: [(&str, Reading); 5] = [
        ("gridmart_text_date", value::date),
        ("gridmart_text_time", value::time),
        ("gridmart_text_timestamp", value::timestamp),
        ("gridmart_text_timestamptz", value::timestamp_with_zone),
        ("gridmart_text_uuid", value::uuid),
    ];
    for (name, function) in texts {
        strict(connection, name, 1, move |arguments| {
            function(arguments.text(0)?).map(text_value)
        })?;
    }
    Ok(())
}

fn float_numeric(number: f64, bits: i64) -> Result<Value, Failure> {
    if !number.is_finite() {
        return Err(Failure::new(
            "0A000",
            "numeric keeps no NaN and no infinity here",
        ));
    }
    let digits = if bits == 32 {
        FLOAT4_DIGITS
    } else {
        FLOAT_DIGITS
    };
    let text = format!("{number:.precision$e}", precision = digits - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    Decimal::parse(&format!("{mantissa}e{exponent}"))
        .map(exact)
        .ok_or_else(|| Failure::new("22003", "value overflows numeric format"))
}
