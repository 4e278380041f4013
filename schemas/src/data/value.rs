//! Typed values.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Float4, Float8, Numeric, SqlDate, SqlTime, SqlType, Timestamp, TimestampTz};

/// The most bytes of one value.
pub const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One row of a result: a value for each column.
pub type Row = Vec<Value>;

/// A value of one of the types, or NULL. Equal is what is stored equal: NaN is
/// itself, and −0 is not 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Value {
    /// Nothing, of any type.
    Null,
    /// A `bool`.
    Bool(bool),
    /// An `int2`.
    Int2(i16),
    /// An `int4`.
    Int4(i32),
    /// An `int8`.
    Int8(i64),
    /// A `float4`.
    Float4(Float4),
    /// A `float8`.
    Float8(Float8),
    /// A `numeric`.
    Numeric(Numeric),
    /// A `text` or `varchar`.
    Text(#[serde(with = "super::text")] String),
    /// A `bytea`.
    Bytea(#[serde(with = "super::bytes")] Vec<u8>),
    /// A `date`.
    Date(SqlDate),
    /// A `time`.
    Time(SqlTime),
    /// A `timestamp`.
    Timestamp(Timestamp),
    /// A `timestamptz`.
    TimestampTz(TimestampTz),
    /// A `uuid`.
    Uuid(Uuid),
    /// A `json` or `jsonb`: its text, verified where it is stored.
    Json(#[serde(with = "super::text")] String),
}

impl Value {
    /// Its type; NULL has none.
    pub const fn sql_type(&self) -> Option<SqlType> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(_) => SqlType::Bool,
            Self::Int2(_) => SqlType::Int2,
            Self::Int4(_) => SqlType::Int4,
            Self::Int8(_) => SqlType::Int8,
            Self::Float4(_) => SqlType::Float4,
            Self::Float8(_) => SqlType::Float8,
            Self::Numeric(_) => SqlType::Numeric(None),
            Self::Text(_) => SqlType::Text,
            Self::Bytea(_) => SqlType::Bytea,
            Self::Date(_) => SqlType::Date,
            Self::Time(_) => SqlType::Time,
            Self::Timestamp(_) => SqlType::Timestamp,
            Self::TimestampTz(_) => SqlType::TimestampTz,
            Self::Uuid(_) => SqlType::Uuid,
            Self::Json(_) => SqlType::Json,
        })
    }

    /// What it takes in memory, about.
    pub fn bytes(&self) -> usize {
        let held = match self {
            Self::Text(text) | Self::Json(text) => text.len(),
            Self::Bytea(bytes) => bytes.len(),
            Self::Numeric(number) => number.as_str().len(),
            _ => 0,
        };
        held + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_travel_as_json() {
        let row: Row = vec![
            Value::Null,
            Value::Bool(true),
            Value::Int8(i64::MIN),
            Value::Float8(Float8::new(f64::NAN)),
            Value::Float4(Float4::new(-0.0)),
            Value::Numeric("-12345678901234567890123456789012345678".parse().unwrap()),
            Value::Text("עברית 🛒".to_owned()),
            Value::Bytea(vec![0, 255]),
            Value::Date("0001-01-01".parse().unwrap()),
            Value::TimestampTz("9999-12-31 23:59:59.999999Z".parse().unwrap()),
            Value::Uuid(Uuid::nil()),
            Value::Json("{\"a\": 1}".to_owned()),
        ];
        let json = serde_json::to_string(&row).unwrap();
        assert_eq!(serde_json::from_str::<Row>(&json).unwrap(), row, "{json}");
    }
}
