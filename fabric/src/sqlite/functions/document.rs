//! The one form in which PostgreSQL writes a jsonb.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{decimal::Decimal, scalar::Failure};

/// How deep a document may be nested.
const DEPTH_MAX: usize = 128;

/// A document as a jsonb: of members with one name the last counts, members stand by
/// the length of their names and then by their bytes, numbers are exact numerics.
///
/// # Errors
/// 22P02 for what is no document, 22P05 for a NUL, which no text can hold, 54001 for
/// one that is nested too deep.
pub fn jsonb(text: &str) -> Result<String, Failure> {
    let mut written = String::with_capacity(text.len());
    let document: &RawValue = serde_json::from_str(text).map_err(|_| wrong(text))?;
    document_write(document.get(), 0, &mut written)?;
    Ok(written)
}

fn wrong(text: &str) -> Failure {
    let shown: String = text.chars().take(64).collect();
    let message = format!("invalid input syntax for type jsonb: \"{shown}\"");
    Failure::new("22P02", message)
}

/// The members of an object in jsonb's order.
struct Members<'a>(BTreeMap<(usize, String), &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = BTreeMap<(usize, String), &'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    members.insert((name.len(), name), value);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Reader).map(Self)
    }
}

fn document_write(text: &str, depth: usize, written: &mut String) -> Result<(), Failure> {
    if depth > DEPTH_MAX {
        let message = format!("a jsonb may be nested {DEPTH_MAX} deep: flatten it");
        return Err(Failure::new("54001", message));
    }
    match text.as_bytes().first() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(text).map_err(|_| wrong(text))?;
            written.push('{');
            for (index, ((_, name), value)) in members.into_iter().enumerate() {
                written.push_str(if index > 0 { ", " } else { "" });
                text_write(&name, written)?;
                written.push_str(": ");
                document_write(value.get(), depth + 1, written)?;
            }
            written.push('}');
        }
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| wrong(text))?;
            written.push('[');
            for (index, value) in values.into_iter().enumerate() {
                written.push_str(if index > 0 { ", " } else { "" });
                document_write(value.get(), depth + 1, written)?;
            }
            written.push(']');
        }
        Some(b'"') => {
            let inner: String = serde_json::from_str(text).map_err(|_| wrong(text))?;
            text_write(&inner, written)?;
        }
        Some(b'-' | b'0'..=b'9') => {
            let number = Decimal::parse(text)
                .ok_or_else(|| Failure::new("22003", "a number of a jsonb has too many digits"))?;
            written.push_str(&number.to_string());
        }
        _ => written.push_str(text),
    }
    Ok(())
}

/// A text in quotes, with those escapes that PostgreSQL writes.
fn text_write(text: &str, written: &mut String) -> Result<(), Failure> {
    if text.contains('\0') {
        return Err(Failure::new("22P05", "\\u0000 cannot be converted to text"));
    }
    written.push('"');
    for character in text.chars() {
        match character {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\u{8}' => written.push_str("\\b"),
            '\u{c}' => written.push_str("\\f"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            control if control < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(written, "\\u{:04x}", u32::from(control));
            }
            plain => written.push(plain),
        }
    }
    written.push('"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_one_form() {
        for (given, kept) in [
            (
                "{\"bb\":1,\"a\":[1,2 , {}],\"a\":2.50}",
                "{\"a\": 2.50, \"bb\": 1}",
            ),
            (
                " [1e2, -0, 1.0E-3,null , true]",
                "[100, 0, 0.0010, null, true]",
            ),
            ("\"\\u00e4\\n\\u0001\\/\"", "\"ä\\n\\u0001/\""),
            (
                "{\"z\":1,\"é\":2,\"aa\":3}",
                "{\"z\": 1, \"aa\": 3, \"é\": 2}",
            ),
        ] {
            let found = jsonb(given).unwrap();
            assert_eq!(found, kept, "{given}");
            assert_eq!(jsonb(&found).unwrap(), kept);
        }
        let deep = "[".repeat(5_000) + &"]".repeat(5_000);
        for (given, state) in [
            ("{", "22P02"),
            ("[1,]", "22P02"),
            ("", "22P02"),
            ("\"\\u0000\"", "22P05"),
            (deep.as_str(), "54001"),
        ] {
            assert_eq!(jsonb(given).unwrap_err().state, state, "{given:.20}");
        }
    }
}
