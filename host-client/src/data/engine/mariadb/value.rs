//! Values: as MariaDB takes them, and from what it gives.
//!
//! Numerics and bytes go into the text, as digits and as `x'…'`: beside it they would be
//! text, without the scale that PostgreSQL's answers show.

use std::fmt::Write as _;

use gridmart_schemas::data::{Float4, Float8, Row, SqlType, Value};
use mysql_async::{Params, Value as Told};

use crate::data::engine::{EngineError, SqlState, Statement};

/// The text that is run, and what goes beside it.
pub(super) fn bound(statement: &Statement) -> Result<(String, Params), EngineError> {
    let mut text = String::with_capacity(statement.text.len() + 32);
    let mut values = Vec::with_capacity(statement.parameters.len());
    let mut given = statement.parameters.iter();
    let mut quote = None;
    for letter in statement.text.chars() {
        match (letter, quote) {
            ('?', None) => {
                let value = given.next().ok_or_else(|| count_wrong(statement))?;
                place(value, &mut text, &mut values)?;
                continue;
            }
            ('\'' | '"', None) => quote = Some(letter),
            // A doubled quote ends and begins again.
            (same, Some(open)) if same == open => quote = None,
            _ => {}
        }
        text.push(letter);
    }
    if given.next().is_some() {
        return Err(count_wrong(statement));
    }
    let params = if values.is_empty() {
        Params::Empty
    } else {
        Params::Positional(values)
    };
    Ok((text, params))
}

fn count_wrong(statement: &Statement) -> EngineError {
    EngineError::refused(
        SqlState::PARAMETERS,
        format!(
            "{} values were given, and the statement takes another number of them",
            statement.parameters.len()
        ),
    )
}

fn place(value: &Value, text: &mut String, values: &mut Vec<Told>) -> Result<(), EngineError> {
    let told = match value {
        Value::Numeric(number) => {
            text.push_str(number.as_str());
            return Ok(());
        }
        Value::Bytea(bytes) => {
            text.push_str("x'");
            for byte in bytes {
                let _ = write!(text, "{byte:02x}");
            }
            text.push('\'');
            return Ok(());
        }
        Value::Null => {
            text.push_str("NULL");
            return Ok(());
        }
        Value::Bool(truth) => Told::Int(i64::from(*truth)),
        Value::Int2(number) => Told::Int(i64::from(*number)),
        Value::Int4(number) => Told::Int(i64::from(*number)),
        Value::Int8(number) => Told::Int(*number),
        Value::Float4(number) => finite(f64::from(number.get()))?,
        Value::Float8(number) => finite(number.get())?,
        Value::Text(text) | Value::Json(text) => Told::Bytes(text.clone().into_bytes()),
        Value::Date(date) => moment(Some(date.get()), None),
        Value::Time(time) => {
            let (hour, minute, second, micro) = time.get().as_hms_micro();
            Told::Time(false, 0, hour, minute, second, micro)
        }
        Value::Timestamp(moment_of) => {
            let inner = moment_of.get();
            moment(Some(inner.date()), Some(inner.time()))
        }
        Value::TimestampTz(moment_of) => {
            let inner = moment_of.get();
            moment(Some(inner.date()), Some(inner.time()))
        }
        Value::Uuid(uuid) => Told::Bytes(uuid.to_string().into_bytes()),
    };
    text.push('?');
    values.push(told);
    Ok(())
}

fn finite(number: f64) -> Result<Told, EngineError> {
    let is_negative_zero = number == 0.0 && number.is_sign_negative();
    if number.is_finite() && !is_negative_zero {
        return Ok(Told::Double(number));
    }
    let message = "a float on MariaDB is no NaN, no infinity and no −0: give another one";
    Err(EngineError::refused(SqlState::NUMBER_OUT_OF_RANGE, message))
}

fn moment(date: Option<time::Date>, time: Option<time::Time>) -> Told {
    let (hour, minute, second, micro) = time.map_or((0, 0, 0, 0), time::Time::as_hms_micro);
    let Some(date) = date else { return Told::NULL };
    let year = u16::try_from(date.year()).unwrap_or_default();
    Told::Date(
        year,
        u8::from(date.month()),
        date.day(),
        hour,
        minute,
        second,
        micro,
    )
}

/// A row of a result, in the types that are known; without them as it came.
pub(super) fn row(told: mysql_async::Row, types: &[SqlType]) -> Result<Row, EngineError> {
    let values = told.unwrap();
    let mut row = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        row.push(match types.get(index) {
            Some(sql_type) => typed(&value, *sql_type)?,
            None => plain(value)?,
        });
    }
    Ok(row)
}

/// A row of the binary log.
pub(super) fn row_of(told: &[Told], types: &[SqlType]) -> Result<Row, EngineError> {
    let values = told.iter().zip(types);
    values
        .map(|(value, sql_type)| typed(value, *sql_type))
        .collect()
}

/// A value in the type that was asked for.
fn typed(told: &Told, sql_type: SqlType) -> Result<Value, EngineError> {
    let strange = |told: &Told| {
        EngineError::Internal(format!(
            "MariaDB gave {} where {sql_type} was asked for",
            kind_of(told)
        ))
    };
    if *told == Told::NULL {
        return Ok(Value::Null);
    }
    let value = match (sql_type, told) {
        (SqlType::Bool, _) => integer(told).map(|number| Value::Bool(number != 0)),
        (SqlType::Int2, _) => integer(told)
            .and_then(|number| i16::try_from(number).ok())
            .map(Value::Int2),
        (SqlType::Int4, _) => integer(told)
            .and_then(|number| i32::try_from(number).ok())
            .map(Value::Int4),
        (SqlType::Int8, _) => integer(told).map(Value::Int8),
        (SqlType::Float4, _) => float(told).map(|number| {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the value is one of 32 bits, or the nearest of them is meant"
            )]
            let narrow = number as f32;
            Value::Float4(Float4::new(narrow))
        }),
        (SqlType::Float8, _) => float(told).map(|number| Value::Float8(Float8::new(number))),
        (SqlType::Numeric(_), _) => text(told)
            .and_then(|digits| digits.parse().ok())
            .map(Value::Numeric),
        (SqlType::Text | SqlType::Varchar(_), _) => text(told).map(Value::Text),
        (SqlType::Json | SqlType::Jsonb, _) => text(told).map(Value::Json),
        (SqlType::Bytea, Told::Bytes(bytes)) => Some(Value::Bytea(bytes.clone())),
        (SqlType::Date, _) => {
            moment_text(told).and_then(|text| Some(Value::Date(text.get(..10)?.parse().ok()?)))
        }
        (SqlType::Time, _) => time_text(told)
            .and_then(|text| text.parse().ok())
            .map(Value::Time),
        (SqlType::Timestamp, _) => moment_text(told)
            .and_then(|text| text.parse().ok())
            .map(Value::Timestamp),
        (SqlType::TimestampTz, _) => moment_text(told)
            .and_then(|text| format!("{text}Z").parse().ok())
            .map(Value::TimestampTz),
        (SqlType::Uuid, _) => text(told)
            .and_then(|text| text.parse().ok())
            .map(Value::Uuid),
        (SqlType::Bytea, _) => None,
    };
    value.ok_or_else(|| strange(told))
}

fn plain(told: Told) -> Result<Value, EngineError> {
    Ok(match told {
        Told::NULL => Value::Null,
        Told::Int(number) => Value::Int8(number),
        Told::Float(number) => Value::Float4(Float4::new(number)),
        Told::Double(number) => Value::Float8(Float8::new(number)),
        Told::Bytes(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Value::Text(text),
            Err(error) => Value::Bytea(error.into_bytes()),
        },
        other => return typed(&other, SqlType::Timestamp),
    })
}

fn kind_of(told: &Told) -> &'static str {
    match told {
        Told::NULL => "NULL",
        Told::Bytes(_) => "bytes",
        Told::Int(_) | Told::UInt(_) => "a whole number",
        Told::Float(_) | Told::Double(_) => "a float",
        Told::Date(..) => "a date",
        Told::Time(..) => "a time",
    }
}

fn integer(told: &Told) -> Option<i64> {
    match told {
        Told::Int(number) => Some(*number),
        Told::UInt(number) => i64::try_from(*number).ok(),
        Told::Bytes(digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    }
}

fn float(told: &Told) -> Option<f64> {
    match told {
        Told::Float(number) => Some(f64::from(*number)),
        Told::Double(number) => Some(*number),
        other => text(other)?.parse().ok(),
    }
}

fn text(told: &Told) -> Option<String> {
    match told {
        Told::Bytes(bytes) => String::from_utf8(bytes.clone()).ok(),
        Told::Int(number) => Some(number.to_string()),
        Told::UInt(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A moment as `2026-01-31 23:59:59.000000`.
fn moment_text(told: &Told) -> Option<String> {
    match told {
        Told::Date(year, month, day, hour, minute, second, micro) => Some(format!(
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micro:06}"
        )),
        Told::Bytes(_) => {
            let written = text(told)?;
            let (whole, fraction) = written.split_once('.').unwrap_or((&written, ""));
            let time = if whole.len() == 10 { " 00:00:00" } else { "" };
            Some(format!("{whole}{time}.{fraction:0<6}"))
        }
        _ => None,
    }
}

fn time_text(told: &Told) -> Option<String> {
    match told {
        Told::Time(false, 0, hour, minute, second, micro) => {
            Some(format!("{hour:02}:{minute:02}:{second:02}.{micro:06}"))
        }
        Told::Bytes(_) => {
            let written = text(told)?;
            let (whole, fraction) = written.split_once('.').unwrap_or((&written, ""));
            Some(format!("{whole}.{fraction:0<6}"))
        }
        _ => None,
    }
}
