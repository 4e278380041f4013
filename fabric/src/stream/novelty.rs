//! Speaking as a newer version would, so that a test can put a newer node
//! beside an older one without having two versions of the program.
//!
//! Where the variable `GRIDMART_SPEAK_NEWER` is set, a process announces the
//! next minor version; each of its messages carries a field that nobody knows,
//! in the envelope and in the body; and each message of its own is preceded, once
//! the stream's hello was answered, by a notice and a request of a kind that
//! nobody knows. All of that a node of this major version has to bear.

use std::sync::LazyLock;

use gridmart_schemas::wire::MINOR;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Name of the variable.
const VARIABLE: &str = "GRIDMART_SPEAK_NEWER";
/// What is added to messages.
const FIELD: &str = r#""novelty":{"of":[1,2]}"#;
/// A message of so many fields is a structure, to which a newer version may add
/// some; one with a single field may be an alternative, named by that field.
const FIELDS_MIN: usize = 2;

/// Whether this process speaks as a newer version would.
pub(super) static SPOKEN: LazyLock<bool> = LazyLock::new(|| {
    let spoken = std::env::var_os(VARIABLE).is_some();
    if spoken {
        tracing::warn!("{VARIABLE} is set: this process speaks as a newer version would");
    }
    spoken
});

/// The minor version that is announced.
pub(super) fn minor() -> u16 {
    MINOR + u16::from(*SPOKEN)
}

/// The text of an object with one field more.
pub(super) fn enlarge(object: &str) -> String {
    match object.strip_prefix('{') {
        Some("}") => format!("{{{FIELD}}}"),
        Some(rest) => format!("{{{FIELD},{rest}"),
        None => object.to_owned(),
    }
}

/// The same for a body, if that is a structure.
pub(super) fn enlarge_body(body: Box<RawValue>) -> Box<RawValue> {
    let fields: Option<serde_json::Map<_, _>> = serde_json::from_str(body.get()).ok();
    if fields.is_none_or(|fields| fields.len() < FIELDS_MIN) {
        return body;
    }
    RawValue::from_string(enlarge(body.get())).unwrap_or(body)
}

/// A message that nobody knows.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Novelty {}

impl Novelty {
    pub(super) const KIND: &str = "novelty";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_get_one_more_field_and_alternatives_do_not() {
        let enlarged = |text: &str| {
            let body = RawValue::from_string(text.to_owned()).unwrap();
            enlarge_body(body).get().to_owned()
        };
        assert_eq!(
            enlarged(r#"{"a":1,"b":2}"#),
            r#"{"novelty":{"of":[1,2]},"a":1,"b":2}"#
        );
        for kept in [r#"{"down":{}}"#, "{}", "[1,2]", "null"] {
            assert_eq!(enlarged(kept), kept);
        }
        assert_eq!(enlarge("{}"), r#"{"novelty":{"of":[1,2]}}"#);
    }
}
