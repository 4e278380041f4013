//! Columns that hold our types as text or JSON.

use std::str::FromStr;

use rusqlite::{Row, types::Type};

/// Reads a text column as one of our types.
pub fn parsed<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.get(column)?;
    text.parse()
        .map_err(|source| unreadable(row, column, Box::new(source)))
}

/// Reads a JSON column.
pub fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|source| unreadable(row, column, Box::new(source)))
}

/// Says which column holds what cannot be read.
pub fn unreadable(
    row: &Row<'_>,
    column: &str,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> rusqlite::Error {
    let index = row.as_ref().column_index(column).unwrap_or_default();
    rusqlite::Error::FromSqlConversionFailure(index, Type::Text, source)
}

/// Writes a value as JSON; our types always can be.
pub fn to_json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|source| rusqlite::Error::ToSqlConversionFailure(Box::new(source)))
}
