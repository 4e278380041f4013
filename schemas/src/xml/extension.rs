//! Elements of foreign namespaces: carried along, not understood.

use std::{fmt, rc::Rc, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    DocumentError, DocumentErrorKind, cursor::Cursor, markup::unify_line_ends,
    writer::escape_attribute,
};

/// Largest foreign element that comes from elsewhere than a document, in bytes.
const EXTENSION_BYTES_MAX: usize = 64 * 1024;

/// One foreign element as text. It declares every namespace that it uses, so
/// that it can stand in any document.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Extension(String);

impl Extension {
    /// Gives the element as XML.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes an element that a scanner has checked, with the namespaces that
    /// are in force around it and that it does not declare itself.
    pub(super) fn from_checked(raw: &str, qualified: &str, scope: &[(&str, Rc<str>)]) -> Self {
        let raw = unify_line_ends(raw);
        let name_end = 1 + qualified.len();
        let mut text = String::with_capacity(raw.len() + 32);
        text.push_str(&raw[..name_end]);
        for (prefix, namespace) in scope {
            text.push_str(" xmlns");
            if !prefix.is_empty() {
                text.push(':');
                text.push_str(prefix);
            }
            text.push_str("=\"");
            escape_attribute(&mut text, namespace);
            text.push('"');
        }
        text.push_str(&raw[name_end..]);
        Self(text)
    }
}

impl FromStr for Extension {
    type Err = DocumentError;

    fn from_str(text: &str) -> Result<Self, DocumentError> {
        if text.len() > EXTENSION_BYTES_MAX {
            let kind = DocumentErrorKind::TooLarge {
                found: text.len(),
                max: EXTENSION_BYTES_MAX,
            };
            return Err(DocumentError::new(
                "extension".to_owned(),
                1,
                "/".to_owned(),
                kind,
            ));
        }
        Cursor::new(text, "extension", 2 * EXTENSION_BYTES_MAX)?.lone_foreign()
    }
}

impl TryFrom<String> for Extension {
    type Error = DocumentError;

    fn try_from(text: String) -> Result<Self, DocumentError> {
        text.parse()
    }
}

impl From<Extension> for String {
    fn from(extension: Extension) -> Self {
        extension.0
    }
}

impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The foreign elements at the end of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Extensions(Vec<Extension>);

impl Extensions {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives them in their order.
    pub fn as_slice(&self) -> &[Extension] {
        &self.0
    }
}

impl From<Vec<Extension>> for Extensions {
    fn from(extensions: Vec<Extension>) -> Self {
        Self(extensions)
    }
}
