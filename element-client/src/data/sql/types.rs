//! What the judge asks of types: which go over into which, and their names in
//! PostgreSQL.

use std::fmt;

use gridmart_schemas::data::SqlType;

/// A type of expressions: one of [`SqlType`] without its bounds, which only columns
/// and casts have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaseType {
    /// What a literal or a parameter is until its place tells.
    Unknown,
    /// boolean
    Bool,
    /// smallint
    Int2,
    /// integer
    Int4,
    /// bigint
    Int8,
    /// real
    Float4,
    /// double precision
    Float8,
    /// numeric, exact
    Numeric,
    /// text
    Text,
    /// character varying
    Varchar,
    /// bytea
    Bytea,
    /// date
    Date,
    /// time without time zone
    Time,
    /// timestamp without time zone
    Timestamp,
    /// timestamp with time zone
    TimestampTz,
    /// uuid
    Uuid,
    /// json, kept as it was written
    Json,
    /// jsonb, kept in one form
    Jsonb,
}

/// Families within which values can be compared and turned into each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data::sql) enum Family {
    Unknown,
    Bool,
    Number,
    Text,
    Bytes,
    Moment,
    TimeOfDay,
    Uuid,
    Json,
}

impl BaseType {
    /// Every type that a column may have.
    pub const COLUMNS: [Self; 17] = [
        Self::Bool,
        Self::Int2,
        Self::Int4,
        Self::Int8,
        Self::Float4,
        Self::Float8,
        Self::Numeric,
        Self::Text,
        Self::Varchar,
        Self::Bytea,
        Self::Date,
        Self::Time,
        Self::Timestamp,
        Self::TimestampTz,
        Self::Uuid,
        Self::Json,
        Self::Jsonb,
    ];

    /// PostgreSQL's name of it, as messages show it and casts take it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Bool => "boolean",
            Self::Int2 => "smallint",
            Self::Int4 => "integer",
            Self::Int8 => "bigint",
            Self::Float4 => "real",
            Self::Float8 => "double precision",
            Self::Numeric => "numeric",
            Self::Text => "text",
            Self::Varchar => "character varying",
            Self::Bytea => "bytea",
            Self::Date => "date",
            Self::Time => "time without time zone",
            Self::Timestamp => "timestamp without time zone",
            Self::TimestampTz => "timestamp with time zone",
            Self::Uuid => "uuid",
            Self::Json => "json",
            Self::Jsonb => "jsonb",
        }
    }

    /// PostgreSQL's number of it, which the wire protocol tells.
    pub fn oid(self) -> u32 {
        match self {
            Self::Unknown => 705,
            Self::Bool => 16,
            Self::Int2 => 21,
            Self::Int4 => 23,
            Self::Int8 => 20,
            Self::Float4 => 700,
            Self::Float8 => 701,
            Self::Numeric => 1700,
            Self::Text => 25,
            Self::Varchar => 1043,
            Self::Bytea => 17,
            Self::Date => 1082,
            Self::Time => 1083,
            Self::Timestamp => 1114,
            Self::TimestampTz => 1184,
            Self::Uuid => 2950,
            Self::Json => 114,
            Self::Jsonb => 3802,
        }
    }

    /// The type of a number of the wire protocol.
    pub fn from_oid(oid: u32) -> Option<Self> {
        Self::COLUMNS.into_iter().find(|known| known.oid() == oid)
    }

    pub(in crate::data::sql) fn family(self) -> Family {
        match self {
            Self::Unknown => Family::Unknown,
            Self::Bool => Family::Bool,
            Self::Int2 | Self::Int4 | Self::Int8 | Self::Float4 | Self::Float8 | Self::Numeric => {
                Family::Number
            }
            Self::Text | Self::Varchar => Family::Text,
            Self::Bytea => Family::Bytes,
            Self::Date | Self::Timestamp | Self::TimestampTz => Family::Moment,
            Self::Time => Family::TimeOfDay,
            Self::Uuid => Family::Uuid,
            Self::Json | Self::Jsonb => Family::Json,
        }
    }

    /// The bits of a whole number or a float; 0 for every other type.
    pub(in crate::data::sql) fn bits(self) -> u8 {
        match self {
            Self::Int2 => 16,
            Self::Int4 | Self::Float4 => 32,
            Self::Int8 | Self::Float8 => 64,
            _ => 0,
        }
    }

    pub(in crate::data::sql) fn is_integer(self) -> bool {
        matches!(self, Self::Int2 | Self::Int4 | Self::Int8)
    }

    pub(in crate::data::sql) fn is_float(self) -> bool {
        matches!(self, Self::Float4 | Self::Float8)
    }

    pub(in crate::data::sql) fn is_number(self) -> bool {
        self.family() == Family::Number
    }

    pub(in crate::data::sql) fn is_text(self) -> bool {
        self.family() == Family::Text
    }

    /// Numbers and moments that lose nothing on the way go over by themselves, the
    /// lower rank to the higher.
    pub(in crate::data::sql) fn rank(self) -> u8 {
        match self {
            Self::Int4 | Self::Timestamp => 2,
            Self::Int8 | Self::TimestampTz => 3,
            Self::Numeric => 4,
            Self::Float4 => 5,
            Self::Float8 => 6,
            _ => 1,
        }
    }

    /// Whether a value of this type becomes one of the other without being asked.
    pub(in crate::data::sql) fn widens_to(self, other: Self) -> bool {
        if self == other || self == Self::Unknown {
            return true;
        }
        match self.family() {
            Family::Text => other.is_text(),
            Family::Number | Family::Moment => {
                self.family() == other.family() && self.rank() < other.rank()
            }
            _ => false,
        }
    }

    /// Whether values of this type can be compared, sorted and grouped.
    pub(in crate::data::sql) fn is_comparable(self) -> bool {
        !matches!(self, Self::Json | Self::Jsonb)
    }
}

impl fmt::Display for BaseType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl From<SqlType> for BaseType {
    fn from(sql_type: SqlType) -> Self {
        match sql_type {
            SqlType::Bool => Self::Bool,
            SqlType::Int2 => Self::Int2,
            SqlType::Int4 => Self::Int4,
            SqlType::Int8 => Self::Int8,
            SqlType::Float4 => Self::Float4,
            SqlType::Float8 => Self::Float8,
            SqlType::Numeric(_) => Self::Numeric,
            SqlType::Text => Self::Text,
            SqlType::Varchar(_) => Self::Varchar,
            SqlType::Bytea => Self::Bytea,
            SqlType::Date => Self::Date,
            SqlType::Time => Self::Time,
            SqlType::Timestamp => Self::Timestamp,
            SqlType::TimestampTz => Self::TimestampTz,
            SqlType::Uuid => Self::Uuid,
            SqlType::Json => Self::Json,
            SqlType::Jsonb => Self::Jsonb,
        }
    }
}

/// The type without bounds; what nothing has told is text, as in PostgreSQL.
impl From<BaseType> for SqlType {
    fn from(base: BaseType) -> Self {
        match base {
            BaseType::Bool => Self::Bool,
            BaseType::Int2 => Self::Int2,
            BaseType::Int4 => Self::Int4,
            BaseType::Int8 => Self::Int8,
            BaseType::Float4 => Self::Float4,
            BaseType::Float8 => Self::Float8,
            BaseType::Numeric => Self::Numeric(None),
            BaseType::Unknown | BaseType::Text => Self::Text,
            BaseType::Varchar => Self::Varchar(None),
            BaseType::Bytea => Self::Bytea,
            BaseType::Date => Self::Date,
            BaseType::Time => Self::Time,
            BaseType::Timestamp => Self::Timestamp,
            BaseType::TimestampTz => Self::TimestampTz,
            BaseType::Uuid => Self::Uuid,
            BaseType::Json => Self::Json,
            BaseType::Jsonb => Self::Jsonb,
        }
    }
}

/// A database engine, in whose words a statement is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// SQLite with the functions of `gridmart_fabric::sqlite::functions`.
    Sqlite,
    /// PostgreSQL: its session is set to UTC, its databases to the collation C.
    Postgres,
    /// MariaDB 10.11 or newer, with the session that `emit::maria` tells of. What it
    /// cannot answer as PostgreSQL does is refused.
    MariaDb,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_survive_their_names_in_engines() {
        for known in BaseType::COLUMNS {
            assert_eq!(BaseType::from_oid(known.oid()), Some(known));
            assert_eq!(BaseType::from(SqlType::from(known)), known);
        }
    }
}
