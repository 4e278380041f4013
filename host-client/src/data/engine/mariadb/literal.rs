//! Values as they stand in a statement's text: for many rows in one message.

use std::fmt::Write as _;

use gridmart_schemas::data::{SqlType, Table, Value};

use crate::data::engine::sqlite::schema::quoted;

/// A text of more bytes is compared by its sum.
const COMPARED_BYTES: usize = 256;

/// Writes a value of a column of that type.
pub(super) fn put(text: &mut String, value: &Value, sql_type: SqlType) {
    // Writing to a String cannot fail.
    let _ = match value {
        Value::Null => write!(text, "NULL"),
        Value::Bool(truth) => write!(text, "{}", u8::from(*truth)),
        Value::Int2(number) => write!(text, "{number}"),
        Value::Int4(number) => write!(text, "{number}"),
        Value::Int8(number) => write!(text, "{number}"),
        Value::Float4(number) => write!(text, "{:e}", f64::from(number.get())),
        Value::Float8(number) => write!(text, "{:e}", number.get()),
        // Of any scale it is kept as text.
        Value::Numeric(number) if matches!(sql_type, SqlType::Numeric(None)) => {
            write!(text, "'{number}'")
        }
        Value::Numeric(number) => write!(text, "{number}"),
        Value::Text(inner) | Value::Json(inner) => {
            text.push('\'');
            text.push_str(&inner.replace('\'', "''"));
            text.push('\'');
            Ok(())
        }
        Value::Bytea(bytes) => {
            text.push_str("x'");
            for byte in bytes {
                let _ = write!(text, "{byte:02x}");
            }
            text.push('\'');
            Ok(())
        }
        Value::Date(date) => write!(text, "'{date}'"),
        Value::Time(time) => write!(text, "'{time}'"),
        Value::Timestamp(moment) => write!(text, "'{moment}'"),
        Value::TimestampTz(moment) => {
            let moment = moment.to_string();
            write!(text, "'{}'", moment.trim_end_matches('Z'))
        }
        Value::Uuid(uuid) => write!(text, "'{uuid}'"),
    };
}

/// Writes the condition that a column has this value.
pub(super) fn put_is(text: &mut String, table: &Table, index: usize, value: &Value) {
    let Some(column) = table.columns.get(index) else {
        return;
    };
    let name = quoted(&column.name);
    let long = match value {
        Value::Text(inner) | Value::Json(inner) => Some(inner.as_bytes()),
        Value::Bytea(bytes) => Some(bytes.as_slice()),
        _ => None,
    };
    let long = long.filter(|bytes| bytes.len() > COMPARED_BYTES);
    if table.key.contains(&index) {
        let _ = write!(text, "{name} = ");
        put(text, value, column.sql_type);
    } else if let Some(bytes) = long {
        let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
        let _ = write!(text, "SHA2({name}, 256) <=> '");
        for byte in sum.as_ref() {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\'');
    } else {
        let _ = write!(text, "{name} <=> ");
        put(text, value, column.sql_type);
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::data::{Float4, Float8};

    use super::*;

    #[test]
    fn values_are_written_as_the_server_reads_them() {
        let text = |value: &Value, sql_type| {
            let mut text = String::new();
            put(&mut text, value, sql_type);
            text
        };
        let number = Value::Numeric("-1.50".parse().unwrap());
        let at = Value::TimestampTz("2026-01-31 23:59:59.000001Z".parse().unwrap());
        for (value, sql_type, wanted) in [
            (Value::Null, SqlType::Text, "NULL"),
            (Value::Bool(true), SqlType::Bool, "1"),
            (Value::Float4(Float4::new(0.5)), SqlType::Float4, "5e-1"),
            (Value::Float8(Float8::new(1e300)), SqlType::Float8, "1e300"),
            (number.clone(), SqlType::Numeric(Some((5, 2))), "-1.50"),
            (number, SqlType::Numeric(None), "'-1.50'"),
            (Value::Text("a'\\\"".into()), SqlType::Text, "'a''\\\"'"),
            (Value::Bytea(vec![0, 255]), SqlType::Bytea, "x'00ff'"),
            (at, SqlType::TimestampTz, "'2026-01-31 23:59:59.000001'"),
        ] {
            assert_eq!(text(&value, sql_type), wanted);
        }
    }
}
