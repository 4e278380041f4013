//! Values on their way into PostgreSQL, as text, and out of it, as its binary forms.

use std::{
    error::Error,
    fmt::{self, Write as _},
};

use gridmart_schemas::data::{
    Float4, Float8, SqlDate, SqlTime, SqlType, Timestamp, TimestampTz, VALUE_BYTES_MAX, Value,
};
use time::{Date, Duration, PrimitiveDateTime, Time};
use tokio_postgres::types::{
    Format, FromSql, IsNull, ToSql, Type, private::BytesMut, to_sql_checked,
};
use uuid::Uuid;

use crate::data::engine::{EngineError, SqlState};

/// The first day of PostgreSQL's time, 2000-01-01, as a Julian day.
const EPOCH_JULIAN: i32 = 2_451_545;
/// PostgreSQL writes numerics in digits of so much.
const DIGITS_OF_ONE: usize = 4;
/// What stands before the text of a jsonb.
const JSONB_VERSION: u8 = 1;

/// A value as a parameter; never shown.
pub(super) struct Parameter<'v>(pub(super) &'v Value);

impl fmt::Debug for Parameter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl ToSql for Parameter<'_> {
    fn to_sql(
        &self,
        sql_type: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let text = match self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Bytea(bytes) if *sql_type == Type::BYTEA => {
                out.extend_from_slice(bytes);
                return Ok(IsNull::No);
            }
            Value::Bytea(_) => return Err("bytes stand where none are expected".into()),
            Value::Text(text) | Value::Json(text) => {
                out.extend_from_slice(text.as_bytes());
                return Ok(IsNull::No);
            }
            Value::Bool(truth) => truth.to_string(),
            Value::Int2(number) => number.to_string(),
            Value::Int4(number) => number.to_string(),
            Value::Int8(number) => number.to_string(),
            Value::Float4(number) => number.to_string(),
            Value::Float8(number) => number.to_string(),
            Value::Numeric(number) => number.to_string(),
            Value::Date(date) => date.to_string(),
            Value::Time(time) => time.to_string(),
            Value::Timestamp(moment) => moment.to_string(),
            Value::TimestampTz(moment) => moment.to_string(),
            Value::Uuid(uuid) => uuid.to_string(),
        };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        match self.0 {
            Value::Bytea(_) => Format::Binary,
            _ => Format::Text,
        }
    }

    to_sql_checked!();
}

/// Refuses a parameter that no column has room for.
pub(super) fn require_fitting(parameters: &[Value]) -> Result<(), EngineError> {
    let bytes = parameters.iter().map(|value| match value {
        Value::Text(text) | Value::Json(text) => text.len(),
        Value::Bytea(bytes) => bytes.len(),
        _ => 0,
    });
    match bytes.max() {
        Some(most) if most > VALUE_BYTES_MAX => Err(too_large("a parameter", most)),
        _ => Ok(()),
    }
}

fn too_large(what: &str, bytes: usize) -> EngineError {
    EngineError::refused(
        SqlState::LIMIT_EXCEEDED,
        format!("{what} has {bytes} bytes, and {VALUE_BYTES_MAX} are the most"),
    )
}

/// A value as it came.
pub(super) struct Raw<'a>(pub(super) &'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A value of a result, as the type that is wanted; without one, as it came.
pub(super) fn read(
    raw: Option<&Raw<'_>>,
    sql_type: &Type,
    wanted: Option<SqlType>,
) -> Result<Value, EngineError> {
    let Some(Raw(bytes)) = raw else {
        return Ok(Value::Null);
    };
    if bytes.len() > VALUE_BYTES_MAX + 1 {
        return Err(too_large("a value of the result", bytes.len()));
    }
    let value = read_as(bytes, sql_type)?;
    match wanted {
        None => Ok(value),
        Some(wanted) => fitted(value, wanted),
    }
}

fn read_as(bytes: &[u8], sql_type: &Type) -> Result<Value, EngineError> {
    Ok(match *sql_type {
        Type::BOOL => Value::Bool(fixed::<1>(bytes)? != [0]),
        Type::INT2 => Value::Int2(i16::from_be_bytes(fixed(bytes)?)),
        Type::INT4 => Value::Int4(i32::from_be_bytes(fixed(bytes)?)),
        Type::INT8 => Value::Int8(i64::from_be_bytes(fixed(bytes)?)),
        Type::FLOAT4 => Value::Float4(Float4::new(f32::from_be_bytes(fixed(bytes)?))),
        Type::FLOAT8 => Value::Float8(Float8::new(f64::from_be_bytes(fixed(bytes)?))),
        Type::NUMERIC => numeric(bytes)?,
        Type::TEXT | Type::VARCHAR | Type::NAME | Type::UNKNOWN => Value::Text(text(bytes)?),
        Type::JSON => Value::Json(text(bytes)?),
        Type::JSONB => match bytes.split_first() {
            Some((&JSONB_VERSION, rest)) => Value::Json(text(rest)?),
            _ => return Err(malformed()),
        },
        Type::BYTEA => Value::Bytea(bytes.to_vec()),
        Type::DATE => Value::Date(date(i32::from_be_bytes(fixed(bytes)?))?),
        Type::TIME => Value::Time(time_of_day(i64::from_be_bytes(fixed(bytes)?))?),
        Type::TIMESTAMP => {
            let moment = moment(i64::from_be_bytes(fixed(bytes)?))?;
            Value::Timestamp(Timestamp::new(moment).map_err(|_| out_of_time())?)
        }
        Type::TIMESTAMPTZ => {
            let moment = moment(i64::from_be_bytes(fixed(bytes)?))?;
            Value::TimestampTz(TimestampTz::new(moment).map_err(|_| out_of_time())?)
        }
        Type::UUID => Value::Uuid(Uuid::from_bytes(fixed(bytes)?)),
        _ => {
            let why = format!("the server gave a value of the type {sql_type}");
            return Err(EngineError::Internal(why));
        }
    })
}

/// The same value as the type that was found for its column.
fn fitted(value: Value, wanted: SqlType) -> Result<Value, EngineError> {
    let whole = match value {
        Value::Int2(number) => Some(i64::from(number)),
        Value::Int4(number) => Some(i64::from(number)),
        Value::Int8(number) => Some(number),
        _ => None,
    };
    if let Some(number) = whole {
        let fits = match wanted {
            SqlType::Int2 => i16::try_from(number).map(Value::Int2).ok(),
            SqlType::Int4 => i32::try_from(number).map(Value::Int4).ok(),
            SqlType::Int8 => Some(Value::Int8(number)),
            _ => None,
        };
        return fits.ok_or_else(|| unexpected(&value, wanted));
    }
    let is_same = match (&value, wanted) {
        (Value::Float4(number), SqlType::Float8) => {
            return Ok(Value::Float8(Float8::new(number.get().into())));
        }
        (Value::Numeric(_), SqlType::Numeric(_))
        | (Value::Text(_), SqlType::Text | SqlType::Varchar(_))
        | (Value::Json(_), SqlType::Json | SqlType::Jsonb) => true,
        (value, wanted) => value.sql_type() == Some(wanted),
    };
    if is_same {
        return Ok(value);
    }
    Err(unexpected(&value, wanted))
}

fn unexpected(value: &Value, wanted: SqlType) -> EngineError {
    let found = value
        .sql_type()
        .map_or_else(String::new, |found| found.to_string());
    EngineError::Internal(format!(
        "the server gave a value of the type {found}, and {wanted} was expected"
    ))
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], EngineError> {
    bytes.try_into().map_err(|_| malformed())
}

fn malformed() -> EngineError {
    EngineError::Internal("the server gave a value that cannot be read".to_owned())
}

fn text(bytes: &[u8]) -> Result<String, EngineError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| {
        EngineError::refused(
            SqlState::TEXT_MALFORMED,
            "a value of the result is no UTF-8",
        )
    })
}

fn out_of_time() -> EngineError {
    EngineError::refused(
        SqlState("22008"),
        "a value of the result is no moment of the years 0001 to 9999",
    )
}

fn date(days: i32) -> Result<SqlDate, EngineError> {
    let julian = EPOCH_JULIAN.checked_add(days);
    let date = julian.and_then(|julian| Date::from_julian_day(julian).ok());
    let date = date.and_then(|date| SqlDate::new(date).ok());
    date.ok_or_else(out_of_time)
}

fn time_of_day(micros: i64) -> Result<SqlTime, EngineError> {
    let since = Duration::microseconds(micros);
    let (time, days) = (Time::MIDNIGHT + since, since.whole_days());
    let time = SqlTime::new(time).ok().filter(|_| days == 0 && micros >= 0);
    time.ok_or_else(out_of_time)
}

fn moment(micros: i64) -> Result<PrimitiveDateTime, EngineError> {
    let epoch = Date::from_julian_day(EPOCH_JULIAN).map_err(|_| out_of_time())?;
    let moment = PrimitiveDateTime::new(epoch, Time::MIDNIGHT);
    moment
        .checked_add(Duration::microseconds(micros))
        .ok_or_else(out_of_time)
}

/// A numeric: how many digits of 10000 there are, the place of the first, sign, scale,
/// digits.
fn numeric(bytes: &[u8]) -> Result<Value, EngineError> {
    const NEGATIVE: u16 = 0x4000;
    const POSITIVE: u16 = 0;
    let mut words = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let mut head = || words.next().ok_or_else(malformed);
    let (count, first, sign, scale) = (head()?, head()?, head()?, head()?);
    let first = i32::from(first.cast_signed());
    let digits: Vec<u16> = words.collect();
    if usize::from(count) != digits.len() {
        return Err(malformed());
    }
    if sign != NEGATIVE && sign != POSITIVE {
        return Err(EngineError::refused(
            SqlState::NUMBER_OUT_OF_RANGE,
            "a numeric of the result is NaN or an infinity, for which there is no place",
        ));
    }
    let digit = |place: i32| {
        let index = usize::try_from(first - place).ok();
        index.and_then(|index| digits.get(index)).copied()
    };
    let mut written = String::new();
    if sign == NEGATIVE {
        written.push('-');
    }
    for place in (0..=first.max(0)).rev() {
        let _ = write!(written, "{:04}", digit(place).unwrap_or_default());
    }
    let scale = usize::from(scale);
    if scale > 0 {
        written.push('.');
        let end = written.len() + scale;
        for group in 1..=scale.div_ceil(DIGITS_OF_ONE) {
            let place = -i32::try_from(group).unwrap_or(i32::MAX);
            let _ = write!(written, "{:04}", digit(place).unwrap_or_default());
        }
        written.truncate(end);
    }
    let number = written.parse().map_err(|_| {
        EngineError::refused(
            SqlState::NUMBER_OUT_OF_RANGE,
            "a numeric of the result has more digits than there is place for",
        )
    })?;
    Ok(Value::Numeric(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric_of(
        first: i16,
        sign: u16,
        scale: u16,
        digits: &[u16],
    ) -> Result<String, EngineError> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&u16::try_from(digits.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&first.to_be_bytes());
        for word in [sign, scale].iter().chain(digits) {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        match numeric(&bytes)? {
            Value::Numeric(number) => Ok(number.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numerics_are_read_digit_by_digit() {
        let plain = |first, scale, digits: &[u16]| numeric_of(first, 0, scale, digits).unwrap();
        assert_eq!(plain(0, 0, &[]), "0");
        assert_eq!(plain(0, 2, &[]), "0.00");
        assert_eq!(plain(1, 2, &[1, 2345, 6700]), "12345.67");
        assert_eq!(plain(-1, 4, &[12]), "0.0012");
        assert_eq!(plain(-2, 9, &[1234, 5000]), "0.000012345");
        assert_eq!(plain(2, 0, &[7]), "700000000");
        assert_eq!(numeric_of(0, 0x4000, 1, &[1, 5000]).unwrap(), "-1.5");
        for sign in [0xC000, 0xD000, 0xF000] {
            let refused = numeric_of(0, sign, 0, &[]).unwrap_err();
            assert_eq!(refused.sql_state(), "22003");
        }
        assert!(numeric(&[0, 9, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(numeric(&[0]).is_err());
    }

    #[test]
    fn moments_beyond_the_years_are_refused() {
        assert_eq!(date(0).unwrap().to_string(), "2000-01-01");
        assert_eq!(date(-730_119).unwrap().to_string(), "0001-01-01");
        assert_eq!(date(2_921_939).unwrap().to_string(), "9999-12-31");
        for days in [-730_120, 2_921_940, i32::MAX, i32::MIN] {
            assert_eq!(date(days).unwrap_err().sql_state(), "22008", "{days}");
        }
        assert!(moment(i64::MAX).is_err() && moment(i64::MIN).is_err());
        assert_eq!(
            moment(-1).unwrap().to_string(),
            "1999-12-31 23:59:59.999999"
        );
        assert!(time_of_day(86_399_999_999).is_ok());
        assert!(time_of_day(86_400_000_000).is_err() && time_of_day(-1).is_err());
    }
}
