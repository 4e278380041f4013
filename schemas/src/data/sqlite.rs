//! How SQLite stores the types: the one table.
//!
//! SQLite's columns have an *affinity*, which it reads out of the declared type,
//! and which changes values on their way in. So each type is declared under a
//! name that tells the type and whose affinity leaves its values alone:
//!
//! | type | declared as | stored as |
//! | --- | --- | --- |
//! | bool | `INT BOOL` | INTEGER 0 or 1 |
//! | int2, int4, int8 | `INT2`, `INT4`, `INT8` | INTEGER, in the type's range; a key of one column may be `INTEGER` (an int8) |
//! | float4, float8 | `BLOB FLOAT4`, `BLOB FLOAT8` | REAL, −0 and infinities included; NaN as the TEXT `NaN`, which sorts after all numbers as in PostgreSQL. (A REAL affinity would make −0 to 0.) A float4 is one that 32 bits hold |
//! | numeric, numeric(p,s) | `TEXT NUMERIC`, `TEXT NUMERIC(p,s)` | TEXT in the one form of `Numeric`; with s, exactly s digits after the point |
//! | text, varchar, varchar(n) | `TEXT`, `VARCHAR`, `VARCHAR(n)` | TEXT, UTF-8 without NUL |
//! | bytea | `BLOB` | BLOB |
//! | date | `TEXT DATE` | TEXT `2026-01-31` |
//! | time | `TEXT TIME` | TEXT `23:59:59.000000` |
//! | timestamp | `TEXT TIMESTAMP` | TEXT `2026-01-31 23:59:59.000000` |
//! | timestamptz | `TEXT TIMESTAMPTZ` | TEXT `2026-01-31 23:59:59.000000Z`, in UTC |
//! | uuid | `TEXT UUID` | TEXT, lower case, with hyphens |
//! | json, jsonb | `TEXT JSON`, `TEXT JSONB` | TEXT that is a JSON document; a jsonb in the form in which PostgreSQL writes it |
//!
//! NULL is NULL everywhere. What does not fit its column is refused where it is
//! written, with SQLSTATE 22003 (numbers), 22001 (length), 22021 (NUL), 22P02
//! (form) or 42804 (another type); nothing is rounded or cut.

use super::SqlType;

/// The declared types without parameters.
const DECLARED: &[(&str, SqlType)] = &[
    ("INT BOOL", SqlType::Bool),
    ("INT2", SqlType::Int2),
    ("INT4", SqlType::Int4),
    ("INT8", SqlType::Int8),
    // A key of this type is SQLite's own row id.
    ("INTEGER", SqlType::Int8),
    ("BLOB FLOAT4", SqlType::Float4),
    ("BLOB FLOAT8", SqlType::Float8),
    ("TEXT NUMERIC", SqlType::Numeric(None)),
    ("TEXT", SqlType::Text),
    ("VARCHAR", SqlType::Varchar(None)),
    ("BLOB", SqlType::Bytea),
    ("TEXT DATE", SqlType::Date),
    ("TEXT TIME", SqlType::Time),
    ("TEXT TIMESTAMP", SqlType::Timestamp),
    ("TEXT TIMESTAMPTZ", SqlType::TimestampTz),
    ("TEXT UUID", SqlType::Uuid),
    ("TEXT JSON", SqlType::Json),
    ("TEXT JSONB", SqlType::Jsonb),
];

/// The type that a column is declared with.
pub fn declaration(sql_type: SqlType) -> String {
    match sql_type {
        SqlType::Numeric(Some((precision, scale))) => format!("TEXT NUMERIC({precision},{scale})"),
        SqlType::Varchar(Some(length)) => format!("VARCHAR({length})"),
        plain => {
            let declared = DECLARED.iter().find(|(_, other)| *other == plain);
            declared.map_or_else(String::new, |(name, _)| (*name).to_owned())
        }
    }
}

/// The type of a column that is declared so; `None` if it is declared in another
/// way than the table says.
pub fn from_declaration(declared: &str) -> Option<SqlType> {
    let declared = declared.to_ascii_uppercase();
    let plain = DECLARED.iter().find(|(name, _)| *name == declared);
    plain.map(|(_, plain)| *plain).or_else(|| {
        let (name, parameters) = declared.split_once('(')?;
        let name = match name.trim_end() {
            "TEXT NUMERIC" => "numeric",
            "VARCHAR" => "varchar",
            _ => return None,
        };
        format!("{name}({}", parameters.replace(' ', ""))
            .parse()
            .ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::sql_type::tests::all;

    #[derive(Debug, PartialEq)]
    enum Affinity {
        Integer,
        Text,
        None,
        Other,
    }

    /// SQLite's own rules, in their order.
    fn affinity(declared: &str) -> Affinity {
        let has = |part: &str| declared.contains(part);
        if has("INT") {
            Affinity::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Affinity::Text
        } else if has("BLOB") || declared.is_empty() {
            Affinity::None
        } else {
            Affinity::Other
        }
    }

    #[test]
    fn each_type_is_declared_with_an_affinity_that_changes_nothing() {
        for sql_type in all() {
            let wanted = match sql_type {
                SqlType::Bool | SqlType::Int2 | SqlType::Int4 | SqlType::Int8 => Affinity::Integer,
                SqlType::Float4 | SqlType::Float8 | SqlType::Bytea => Affinity::None,
                _ => Affinity::Text,
            };
            let declared = declaration(sql_type);
            assert_eq!(affinity(&declared), wanted, "{declared}");
            assert_eq!(from_declaration(&declared), Some(sql_type), "{declared}");
            assert_eq!(
                from_declaration(&declared.to_ascii_lowercase()),
                Some(sql_type)
            );
        }
        for other in [
            "",
            "NUMERIC",
            "REAL",
            "numeric(10,2)",
            "ANY",
            "bytea",
            "DATE",
        ] {
            assert_eq!(from_declaration(other), None, "{other}");
        }
    }
}
