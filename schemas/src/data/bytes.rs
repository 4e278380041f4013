//! Bytes in JSON: base64, a third longer than they are, where a list of numbers is
//! four times as long.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        return serializer.serialize_str(&STANDARD_NO_PAD.encode(bytes));
    }
    bytes.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    if deserializer.is_human_readable() {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        return STANDARD_NO_PAD
            .decode(text.as_bytes())
            .map_err(D::Error::custom);
    }
    Vec::deserialize(deserializer)
}
