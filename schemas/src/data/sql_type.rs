//! The types of SQL that gridmart speaks.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A type, by PostgreSQL's names. What has no place here is refused where a
/// table is made; each engine stores these and no others.
///
/// As text it is PostgreSQL's short name: `int4`, `numeric(38,10)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SqlType {
    /// True or false.
    Bool,
    /// Whole numbers of 16 bits.
    Int2,
    /// Whole numbers of 32 bits.
    Int4,
    /// Whole numbers of 64 bits.
    Int8,
    /// Floating point of 32 bits, with NaN, infinities and −0.
    Float4,
    /// Floating point of 64 bits, with NaN, infinities and −0.
    Float8,
    /// Exact decimal numbers, of any precision and scale or of these.
    Numeric(Option<(u16, u16)>),
    /// Text without NUL characters.
    Text,
    /// Text of at most so many characters, or of any length.
    Varchar(Option<u32>),
    /// Bytes.
    Bytea,
    /// A date.
    Date,
    /// A time of the day.
    Time,
    /// Date and time of no zone.
    Timestamp,
    /// A moment.
    TimestampTz,
    /// A UUID.
    Uuid,
    /// A JSON document, as it was written.
    Json,
    /// A JSON document, in the one form in which PostgreSQL writes it.
    Jsonb,
}

/// What is not a type here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a type that gridmart knows; docs/data-types.md lists them")]
pub struct SqlTypeError(String);

/// Types without parameters; the first name is the one that is written.
const PLAIN: &[(&str, SqlType)] = &[
    ("bool", SqlType::Bool),
    ("int2", SqlType::Int2),
    ("int4", SqlType::Int4),
    ("int8", SqlType::Int8),
    ("float4", SqlType::Float4),
    ("float8", SqlType::Float8),
    ("numeric", SqlType::Numeric(None)),
    ("text", SqlType::Text),
    ("varchar", SqlType::Varchar(None)),
    ("bytea", SqlType::Bytea),
    ("date", SqlType::Date),
    ("time", SqlType::Time),
    ("timestamp", SqlType::Timestamp),
    ("timestamptz", SqlType::TimestampTz),
    ("uuid", SqlType::Uuid),
    ("json", SqlType::Json),
    ("jsonb", SqlType::Jsonb),
];

impl SqlType {
    /// The length of a varchar and 0, or precision and scale of a numeric.
    pub fn bounds(self) -> Option<(u32, u32)> {
        match self {
            Self::Numeric(bounds) => {
                bounds.map(|(precision, scale)| (precision.into(), scale.into()))
            }
            Self::Varchar(length) => length.map(|length| (length, 0)),
            _ => None,
        }
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numeric(Some((precision, scale))) => write!(f, "numeric({precision},{scale})"),
            Self::Varchar(Some(length)) => write!(f, "varchar({length})"),
            plain => {
                let named = PLAIN.iter().find(|(_, other)| other == plain);
                f.write_str(named.map_or("unknown", |(name, _)| name))
            }
        }
    }
}

impl FromStr for SqlType {
    type Err = SqlTypeError;

    fn from_str(text: &str) -> Result<Self, SqlTypeError> {
        let plain = PLAIN.iter().find(|(name, _)| *name == text);
        plain
            .map(|(_, plain)| *plain)
            .or_else(|| with_parameters(text))
            .filter(|read| read.to_string() == text)
            .ok_or_else(|| SqlTypeError(text.chars().take(64).collect()))
    }
}

fn with_parameters(text: &str) -> Option<SqlType> {
    let (name, rest) = text.split_once('(')?;
    let parameters = rest.strip_suffix(')')?;
    match name {
        "varchar" => {
            let length = parameters.parse().ok()?;
            Some(SqlType::Varchar(Some(length)))
        }
        "numeric" => {
            let (precision, scale) = parameters.split_once(',')?;
            let (precision, scale): (u16, u16) = (precision.parse().ok()?, scale.parse().ok()?);
            let is_legal = (1..=1000).contains(&precision) && scale <= precision;
            is_legal.then_some(SqlType::Numeric(Some((precision, scale))))
        }
        _ => None,
    }
}

impl TryFrom<String> for SqlType {
    type Error = SqlTypeError;

    fn try_from(text: String) -> Result<Self, SqlTypeError> {
        text.parse()
    }
}

impl From<SqlType> for String {
    fn from(sql_type: SqlType) -> Self {
        sql_type.to_string()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One of each.
    pub(in super::super) fn all() -> Vec<SqlType> {
        let parameterised = [SqlType::Numeric(Some((38, 10))), SqlType::Varchar(Some(20))];
        PLAIN
            .iter()
            .map(|(_, plain)| *plain)
            .chain(parameterised)
            .collect()
    }

    #[test]
    fn each_type_has_one_name() {
        for sql_type in all() {
            assert_eq!(sql_type.to_string().parse(), Ok(sql_type));
        }
        for text in [
            "",
            "INT4",
            "int",
            "numeric()",
            "numeric(0,0)",
            "numeric(5,6)",
            "numeric(05,1)",
            "varchar()",
            "varchar(-1)",
            "varchar(1",
            "float",
            "unknown",
        ] {
            assert!(text.parse::<SqlType>().is_err(), "{text}");
        }
    }
}
