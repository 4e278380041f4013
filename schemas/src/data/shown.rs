//! Values as people read them.

use std::fmt::Write as _;

use super::Value;

impl Value {
    /// The text that PostgreSQL shows for it, with moments in UTC; of NULL none.
    pub fn shown(&self) -> Option<String> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(truth) => (if *truth { "t" } else { "f" }).to_owned(),
            Self::Int2(number) => number.to_string(),
            Self::Int4(number) => number.to_string(),
            Self::Int8(number) => number.to_string(),
            Self::Float4(number) => number.to_string(),
            Self::Float8(number) => number.to_string(),
            Self::Numeric(number) => number.as_str().to_owned(),
            Self::Text(text) | Self::Json(text) => text.clone(),
            Self::Bytea(bytes) => hex(bytes),
            Self::Date(date) => date.to_string(),
            Self::Time(time) => short(&time.to_string()),
            Self::Timestamp(moment) => short(&moment.to_string()),
            Self::TimestampTz(moment) => short(moment.to_string().trim_end_matches('Z')) + "+00",
            Self::Uuid(uuid) => uuid.to_string(),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = "\\x".to_owned();
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Without zeros at the end of the fraction of a second.
fn short(moment: &str) -> String {
    if !moment.contains('.') {
        return moment.to_owned();
    }
    let kept = moment.trim_end_matches('0').trim_end_matches('.');
    kept.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_postgresql_shows_them() {
        let moment = "2026-01-02 03:04:05.100000Z".parse().unwrap();
        for (value, text) in [
            (Value::TimestampTz(moment), Some("2026-01-02 03:04:05.1+00")),
            (
                Value::Time("10:00:00.000000".parse().unwrap()),
                Some("10:00:00"),
            ),
            (Value::Bytea(vec![0, 255]), Some("\\x00ff")),
            (Value::Bool(true), Some("t")),
            (Value::Null, None),
        ] {
            assert_eq!(value.shown().as_deref(), text);
        }
    }
}
