//! Values on their way into SQLite and out of it; the table is
//! [`gridmart_schemas::data::sqlite`].

use gridmart_schemas::data::{
    Column, Float4, Float8, Numeric, SqlDate, SqlTime, SqlType, Timestamp, TimestampTz,
    VALUE_BYTES_MAX, Value,
};
use rusqlite::types::{ToSqlOutput, ValueRef};
use uuid::Uuid;

use crate::data::engine::{EngineError, SqlState};

/// How NaN is stored, since SQLite makes NULL of it.
const NAN: &str = "NaN";
/// Whole numbers up to here are the same as floating point ones.
const FLOAT8_WHOLE_MAX: u64 = 1 << 53;

/// Why a value is not of a type: a code, and words that follow its place.
type Misfit = (SqlState, String);

/// A value as a parameter.
pub(in crate::data) fn bind(value: &Value) -> Result<ToSqlOutput<'_>, EngineError> {
    let borrowed = |reference| Ok(ToSqlOutput::Borrowed(reference));
    let owned = |text: String| Ok(ToSqlOutput::Owned(rusqlite::types::Value::Text(text)));
    match value {
        Value::Null => borrowed(ValueRef::Null),
        Value::Bool(value) => borrowed(ValueRef::Integer(i64::from(*value))),
        Value::Int2(number) => borrowed(ValueRef::Integer(i64::from(*number))),
        Value::Int4(number) => borrowed(ValueRef::Integer(i64::from(*number))),
        Value::Int8(number) => borrowed(ValueRef::Integer(*number)),
        Value::Float4(number) => borrowed(float(f64::from(number.get()))),
        Value::Float8(number) => borrowed(float(number.get())),
        Value::Numeric(number) => borrowed(ValueRef::Text(number.as_str().as_bytes())),
        Value::Text(text) => {
            require_text(text).map_err(refused)?;
            borrowed(ValueRef::Text(text.as_bytes()))
        }
        Value::Bytea(bytes) => {
            require_size(bytes).map_err(refused)?;
            borrowed(ValueRef::Blob(bytes))
        }
        Value::Date(date) => owned(date.to_string()),
        Value::Time(time) => owned(time.to_string()),
        Value::Timestamp(moment) => owned(moment.to_string()),
        Value::TimestampTz(moment) => owned(moment.to_string()),
        Value::Uuid(uuid) => owned(uuid.to_string()),
        Value::Json(text) => {
            require_json(text).map_err(refused)?;
            borrowed(ValueRef::Text(text.as_bytes()))
        }
    }
}

fn refused((state, message): Misfit) -> EngineError {
    EngineError::refused(state, format!("a parameter {message}"))
}

const fn float(number: f64) -> ValueRef<'static> {
    if number.is_nan() {
        return ValueRef::Text(NAN.as_bytes());
    }
    ValueRef::Real(number)
}

/// A value of a result. Without its type, one comes as it is stored.
pub(in crate::data) fn read(
    stored: ValueRef<'_>,
    sql_type: Option<SqlType>,
) -> Result<Value, EngineError> {
    let read = sql_type.map_or_else(
        || read_untyped(stored),
        |sql_type| read_as(stored, sql_type),
    );
    read.map_err(|(state, message)| {
        EngineError::refused(state, format!("a value of the result {message}"))
    })
}

fn read_untyped(stored: ValueRef<'_>) -> Result<Value, Misfit> {
    Ok(match stored {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int8(number),
        ValueRef::Real(number) => Value::Float8(Float8::new(number)),
        ValueRef::Text(bytes) => Value::Text(text(bytes)?.to_owned()),
        ValueRef::Blob(bytes) => Value::Bytea(bytes.to_vec()),
    })
}

fn read_as(stored: ValueRef<'_>, sql_type: SqlType) -> Result<Value, Misfit> {
    if stored == ValueRef::Null {
        return Ok(Value::Null);
    }
    Ok(match sql_type {
        SqlType::Bool => Value::Bool(whole(stored, sql_type, 0, 1)? == 1),
        SqlType::Int2 => Value::Int2(narrow(stored, sql_type)?),
        SqlType::Int4 => Value::Int4(narrow(stored, sql_type)?),
        SqlType::Int8 => Value::Int8(whole(stored, sql_type, i64::MIN, i64::MAX)?),
        SqlType::Float4 => Value::Float4(Float4::new(float4_of(stored)?)),
        SqlType::Float8 => Value::Float8(Float8::new(float8_of(stored, sql_type)?)),
        SqlType::Numeric(form) => Value::Numeric(numeric_of(stored, form)?),
        SqlType::Text | SqlType::Varchar(None) => {
            Value::Text(text_of(stored, sql_type)?.to_owned())
        }
        SqlType::Varchar(Some(length)) => Value::Text(varchar_of(stored, length)?.to_owned()),
        SqlType::Bytea => Value::Bytea(bytes_of(stored)?.to_vec()),
        SqlType::Date => Value::Date(written::<SqlDate>(stored, sql_type)?),
        SqlType::Time => Value::Time(written::<SqlTime>(stored, sql_type)?),
        SqlType::Timestamp => Value::Timestamp(written::<Timestamp>(stored, sql_type)?),
        SqlType::TimestampTz => Value::TimestampTz(written::<TimestampTz>(stored, sql_type)?),
        SqlType::Uuid => Value::Uuid(uuid_of(stored)?),
        SqlType::Json | SqlType::Jsonb => Value::Json(json_of(stored, sql_type)?.to_owned()),
    })
}

/// Whether a value may stand in a column; NULL is SQLite's own to judge.
pub(super) fn check(stored: ValueRef<'_>, column: &Column) -> Result<(), EngineError> {
    if stored == ValueRef::Null {
        return Ok(());
    }
    let sql_type = column.sql_type;
    let checked = match sql_type {
        SqlType::Int8 => whole(stored, sql_type, i64::MIN, i64::MAX).map(drop),
        SqlType::Text | SqlType::Varchar(None) => text_of(stored, sql_type).map(drop),
        SqlType::Varchar(Some(length)) => varchar_of(stored, length).map(drop),
        SqlType::Bytea => bytes_of(stored).map(drop),
        SqlType::Json | SqlType::Jsonb => json_of(stored, sql_type).map(drop),
        // The others take no memory to speak of.
        _ => read_as(stored, sql_type).map(drop),
    };
    checked.map_err(|(state, message)| {
        EngineError::refused(
            state,
            format!("the value for column {:?} {message}", column.name),
        )
    })
}

fn mismatch(stored: ValueRef<'_>, sql_type: SqlType) -> Misfit {
    let found = stored.data_type().to_string().to_lowercase();
    (
        SqlState::TYPE_MISMATCH,
        format!("is of the type {found}, and {sql_type} is expected"),
    )
}

fn malformed(sql_type: SqlType, text: &str) -> Misfit {
    let shown: String = text.chars().take(64).collect();
    (
        SqlState::VALUE_MALFORMED,
        format!("is no {sql_type}: {shown:?}"),
    )
}

fn out_of_range(sql_type: SqlType) -> Misfit {
    (
        SqlState::NUMBER_OUT_OF_RANGE,
        format!("is out of the range of {sql_type}"),
    )
}

fn whole(stored: ValueRef<'_>, sql_type: SqlType, low: i64, high: i64) -> Result<i64, Misfit> {
    let ValueRef::Integer(number) = stored else {
        return Err(mismatch(stored, sql_type));
    };
    if number < low || number > high {
        return Err(out_of_range(sql_type));
    }
    Ok(number)
}

fn narrow<T: TryFrom<i64>>(stored: ValueRef<'_>, sql_type: SqlType) -> Result<T, Misfit> {
    let number = whole(stored, sql_type, i64::MIN, i64::MAX)?;
    T::try_from(number).map_err(|_| out_of_range(sql_type))
}

#[expect(clippy::cast_precision_loss, reason = "it is exact up to the limit")]
fn float8_of(stored: ValueRef<'_>, sql_type: SqlType) -> Result<f64, Misfit> {
    match stored {
        ValueRef::Real(number) => Ok(number),
        ValueRef::Integer(number) if number.unsigned_abs() <= FLOAT8_WHOLE_MAX => Ok(number as f64),
        ValueRef::Integer(_) => Err(out_of_range(sql_type)),
        ValueRef::Text(text) if text == NAN.as_bytes() => Ok(f64::NAN),
        _ => Err(mismatch(stored, sql_type)),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "what is not the same is refused"
)]
fn float4_of(stored: ValueRef<'_>) -> Result<f32, Misfit> {
    let number = float8_of(stored, SqlType::Float4)?;
    let narrow = number as f32;
    if number.is_nan() || f64::from(narrow).to_bits() == number.to_bits() {
        return Ok(narrow);
    }
    Err(out_of_range(SqlType::Float4))
}

fn numeric_of(stored: ValueRef<'_>, form: Option<(u16, u16)>) -> Result<Numeric, Misfit> {
    let sql_type = SqlType::Numeric(form);
    let text = text_of(stored, sql_type)?;
    let number: Numeric = text.parse().map_err(|_| malformed(sql_type, text))?;
    let fitting = match form {
        None => Ok(number),
        Some((precision, scale)) => number.for_column(precision, scale),
    };
    match fitting {
        Err(error) => Err((
            SqlState::NUMBER_OUT_OF_RANGE,
            format!("does not fit: {error}"),
        )),
        // One number has one form, or keys and sums would differ.
        Ok(number) if number.as_str() != text => Err(malformed(sql_type, text)),
        Ok(number) => Ok(number),
    }
}

fn text_of(stored: ValueRef<'_>, sql_type: SqlType) -> Result<&str, Misfit> {
    let ValueRef::Text(bytes) = stored else {
        return Err(mismatch(stored, sql_type));
    };
    text(bytes)
}

fn text(bytes: &[u8]) -> Result<&str, Misfit> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| (SqlState::TEXT_MALFORMED, "is no UTF-8".to_owned()))?;
    require_text(text)?;
    Ok(text)
}

fn varchar_of(stored: ValueRef<'_>, length: u32) -> Result<&str, Misfit> {
    let text = text_of(stored, SqlType::Varchar(Some(length)))?;
    let most = usize::try_from(length).unwrap_or(usize::MAX);
    if text.len() > most && text.chars().count() > most {
        let why = format!("is too long for varchar({length})");
        return Err((SqlState::TEXT_TOO_LONG, why));
    }
    Ok(text)
}

fn bytes_of(stored: ValueRef<'_>) -> Result<&[u8], Misfit> {
    let ValueRef::Blob(bytes) = stored else {
        return Err(mismatch(stored, SqlType::Bytea));
    };
    require_size(bytes)?;
    Ok(bytes)
}

fn json_of(stored: ValueRef<'_>, sql_type: SqlType) -> Result<&str, Misfit> {
    let text = text_of(stored, sql_type)?;
    require_json(text)?;
    Ok(text)
}

fn uuid_of(stored: ValueRef<'_>) -> Result<Uuid, Misfit> {
    let text = text_of(stored, SqlType::Uuid)?;
    let uuid: Uuid = text.parse().map_err(|_| malformed(SqlType::Uuid, text))?;
    if uuid.to_string() != text {
        return Err(malformed(SqlType::Uuid, text));
    }
    Ok(uuid)
}

fn written<T: std::str::FromStr>(stored: ValueRef<'_>, sql_type: SqlType) -> Result<T, Misfit> {
    let text = text_of(stored, sql_type)?;
    text.parse().map_err(|_| malformed(sql_type, text))
}

fn require_size(bytes: &[u8]) -> Result<(), Misfit> {
    if bytes.len() <= VALUE_BYTES_MAX {
        return Ok(());
    }
    let why = format!(
        "has {} bytes, and {VALUE_BYTES_MAX} are the most",
        bytes.len()
    );
    Err((SqlState::LIMIT_EXCEEDED, why))
}

fn require_text(text: &str) -> Result<(), Misfit> {
    require_size(text.as_bytes())?;
    if text.as_bytes().contains(&0) {
        return Err((SqlState::TEXT_MALFORMED, "holds a NUL character".to_owned()));
    }
    Ok(())
}

fn require_json(text: &str) -> Result<(), Misfit> {
    require_text(text)?;
    let parsed: Result<serde::de::IgnoredAny, _> = serde_json::from_str(text);
    parsed.map(drop).map_err(|_| malformed(SqlType::Json, text))
}
