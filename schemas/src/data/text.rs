//! Texts in JSON: as strings, or as base64 where that is shorter. JSON writes a control
//! character with six characters; a text of them would be six times as long.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{
    Deserializer, Serializer,
    de::{self, MapAccess, Visitor},
    ser::SerializeMap as _,
};

/// The only key of an object that stands for a text.
const BASE64: &str = "base64";

pub(super) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    if !serializer.is_human_readable() || escaped(text) <= text.len() / 3 {
        return serializer.serialize_str(text);
    }
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(BASE64, &STANDARD_NO_PAD.encode(text))?;
    map.end()
}

/// Characters that JSON adds.
fn escaped(text: &str) -> usize {
    let added = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | 8 | 9 | 10 | 12 | 13 => 1,
        0..32 => 5,
        _ => 0,
    });
    added.sum()
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    if deserializer.is_human_readable() {
        return deserializer.deserialize_any(Text);
    }
    deserializer.deserialize_string(Text)
}

struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or its base64 in an object")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<String, E> {
        Ok(text)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let Some((key, encoded)) = map.next_entry::<String, String>()? else {
            return Err(de::Error::missing_field(BASE64));
        };
        if key != BASE64 {
            return Err(de::Error::unknown_field(&key, &[BASE64]));
        }
        let bytes = STANDARD_NO_PAD.decode(encoded.as_bytes());
        let bytes = bytes.map_err(de::Error::custom)?;
        String::from_utf8(bytes).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::data::Value;

    #[test]
    fn a_text_is_a_third_longer_at_most() {
        for text in [
            "\u{1}".repeat(3000),
            "\n".repeat(3000),
            "käse\t".repeat(500),
        ] {
            let value = Value::Text(text.clone());
            let written = serde_json::to_string(&value).unwrap();
            assert!(
                written.len() <= text.len() / 3 * 4 + 40,
                "{}",
                written.len()
            );
            assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
        }
        let plain = serde_json::to_string(&Value::Text("a\"b, and more of it".to_owned()));
        assert_eq!(plain.unwrap(), r#"{"text":"a\"b, and more of it"}"#);
        for bad in [
            r#"{"text":{"base64":"!"}}"#,
            r#"{"text":{"hex":"00"}}"#,
            r#"{"text":{}}"#,
        ] {
            assert!(serde_json::from_str::<Value>(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in any::<String>(), control in "[\\x00-\\x1f]{0,40}") {
            let value = Value::Json(format!("{control}{text}"));
            let written = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
        }
    }
}
