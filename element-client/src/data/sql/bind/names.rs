//! Types as they are written.

use sqlparser::ast::{CharacterLength, DataType, ExactNumberInfo, TimezoneInfo};

use gridmart_schemas::data::SqlType;

use super::super::refusal::{Judgement, Refusal};

/// Digits of a numeric, as in PostgreSQL.
const PRECISION_MAX: u64 = 1_000;
/// Characters of a varchar, as in PostgreSQL.
const LENGTH_MAX: u64 = 10_485_760;

/// The type that a name means.
pub(super) fn data_type(name: &DataType) -> Judgement<SqlType> {
    match name {
        DataType::Boolean | DataType::Bool => Ok(SqlType::Bool),
        DataType::SmallInt(None) | DataType::Int2(None) => Ok(SqlType::Int2),
        DataType::Integer(None) | DataType::Int(None) | DataType::Int4(None) => Ok(SqlType::Int4),
        DataType::BigInt(None) | DataType::Int8(None) => Ok(SqlType::Int8),
        DataType::Real | DataType::Float4 => Ok(SqlType::Float4),
        DataType::Float8 | DataType::DoublePrecision | DataType::Double(ExactNumberInfo::None) => {
            Ok(SqlType::Float8)
        }
        DataType::Float(info) => float(info),
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => numeric(info),
        DataType::Text => Ok(SqlType::Text),
        DataType::Varchar(length)
        | DataType::CharacterVarying(length)
        | DataType::CharVarying(length) => varchar(length.as_ref()),
        DataType::Bytea => Ok(SqlType::Bytea),
        DataType::Date => Ok(SqlType::Date),
        DataType::Time(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            Ok(SqlType::Time)
        }
        DataType::Timestamp(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            Ok(SqlType::Timestamp)
        }
        DataType::Timestamp(None, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => {
            Ok(SqlType::TimestampTz)
        }
        DataType::Uuid => Ok(SqlType::Uuid),
        DataType::JSON => Ok(SqlType::Json),
        DataType::JSONB => Ok(SqlType::Jsonb),
        other => {
            let shown: String = other.to_string().chars().take(64).collect();
            Err(Refusal::unsupported(format!("the type {shown}")))
        }
    }
}

fn float(info: &ExactNumberInfo) -> Judgement<SqlType> {
    match info {
        ExactNumberInfo::Precision(1..=24) => Ok(SqlType::Float4),
        ExactNumberInfo::None | ExactNumberInfo::Precision(25..=53) => Ok(SqlType::Float8),
        _ => Err(Refusal::new(
            "22023",
            "a float has a precision of 1 to 53 bits",
        )),
    }
}

fn numeric(info: &ExactNumberInfo) -> Judgement<SqlType> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(SqlType::Numeric(None)),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    let bounds = u16::try_from(precision).ok().zip(u16::try_from(scale).ok());
    match bounds {
        Some((precision, scale))
            if (1..=PRECISION_MAX).contains(&u64::from(precision)) && scale <= precision =>
        {
            Ok(SqlType::Numeric(Some((precision, scale))))
        }
        _ => {
            let message = format!(
                "a numeric has a precision of 1 to {PRECISION_MAX} and a scale of 0 to that"
            );
            Err(Refusal::new("22023", message))
        }
    }
}

fn varchar(length: Option<&CharacterLength>) -> Judgement<SqlType> {
    match length {
        None => Ok(SqlType::Varchar(None)),
        Some(CharacterLength::IntegerLength { length, unit: None })
            if (1..=LENGTH_MAX).contains(length) =>
        {
            let length = u32::try_from(*length).unwrap_or(u32::MAX);
            Ok(SqlType::Varchar(Some(length)))
        }
        _ => Err(Refusal::new(
            "22023",
            format!("a varchar has a length of 1 to {LENGTH_MAX}"),
        )),
    }
}
