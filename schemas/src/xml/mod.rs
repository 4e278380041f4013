//! Documents: from XML to types and back.
//!
//! The reader accepts exactly what the XSDs in `xsd/` accept (order,
//! cardinality, unknown elements, white space), and beyond that refuses what
//! is dangerous or needless: DTDs and entities, encodings other than UTF-8,
//! `xsi:type` and `xsi:nil`, and whatever exceeds the bounds. An ordinary
//! serde derive would accept any order and overlook unknown elements, so each
//! type lists its fields once more in an `xml_record!` table.
//!
//! Layers: `scanner` (quick-xml's pieces, checked) → `cursor` (order and
//! place) → `value` and the tables (types).

mod cursor;
mod error;
mod extension;
mod markup;
mod name;
mod scanner;
pub(crate) mod value;
mod writer;

pub(crate) use cursor::{Attributes, Cursor};
pub use error::{DocumentError, DocumentErrorKind};
pub use extension::{Extension, Extensions};
use serde::{Deserialize, Serialize};
pub(crate) use writer::Writer;

use crate::{
    resource::validate::Violations,
    scalar::{ScalarError, collapse},
};

/// The namespace of all documents of this format.
pub const NAMESPACE: &str = "urn:gridmart:rdm:1";
/// The namespace of hints for schema-aware tools.
const XSI_NAMESPACE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// A type that is a whole document.
pub trait Document: Sized {
    /// The name of its root element.
    const ROOT: &'static str;
    /// The largest document that is read, in bytes.
    const BYTES_MAX: usize;

    /// Reads a document and checks its rules; `source_name` is what errors
    /// call it.
    fn from_xml(bytes: &[u8], source_name: &str) -> Result<Self, DocumentError>;

    /// Writes the document in its canonical form. It reads back as the same
    /// value if [`Self::validate`] finds nothing and it is within the bounds;
    /// who stores a document reads it once before it replaces the old one.
    fn to_xml(&self) -> String;

    /// Checks the rules over several fields.
    fn validate(&self) -> Result<(), Violations>;
}

/// An element of a document.
pub(crate) trait Element: Sized {
    fn read_element(
        cursor: &mut Cursor<'_>,
        name: &'static str,
        index: usize,
    ) -> Result<Self, DocumentError>;
    fn write_element(&self, writer: &mut Writer, name: &'static str);
}

/// An element with attributes and children, made by `xml_record!`.
pub(crate) trait Record: Sized {
    fn read<'a>(
        attributes: &mut Attributes<'a>,
        cursor: &mut Cursor<'a>,
    ) -> Result<Self, DocumentError>;
    fn write_attributes(&self, writer: &mut Writer);
    fn write_content(&self, writer: &mut Writer);
}

pub(crate) fn read_record<T: Record>(
    cursor: &mut Cursor<'_>,
    name: &'static str,
    index: usize,
) -> Result<T, DocumentError> {
    let mut attributes = cursor.open(name, index)?;
    let record = T::read(&mut attributes, cursor)?;
    cursor.close(&attributes)?;
    Ok(record)
}

pub(crate) fn write_record<T: Record>(record: &T, writer: &mut Writer, name: &'static str) {
    writer.start(name);
    record.write_attributes(writer);
    record.write_content(writer);
    writer.end();
}

pub(crate) fn write_extensions(extensions: &Extensions, writer: &mut Writer) {
    for extension in extensions.as_slice() {
        writer.raw(extension.as_str());
    }
}

/// Reads a whole document, without its cross-field rules.
pub(crate) fn read_document<T: Element>(
    bytes: &[u8],
    source_name: &str,
    root: &'static str,
    bytes_max: usize,
) -> Result<T, DocumentError> {
    let refusal =
        |line, kind| DocumentError::new(source_name.to_owned(), line, "/".to_owned(), kind);
    if bytes.len() > bytes_max {
        let kind = DocumentErrorKind::TooLarge {
            found: bytes.len(),
            max: bytes_max,
        };
        return Err(refusal(1, kind));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        let detail = format!("byte {} begins no character", error.valid_up_to());
        refusal(line, DocumentErrorKind::Encoding { detail })
    })?;
    let mut cursor = Cursor::new(
        text.strip_prefix('\u{feff}').unwrap_or(text),
        source_name,
        bytes_max,
    )?;
    let document = T::read_element(&mut cursor, root, 0)?;
    cursor.finish()?;
    Ok(document)
}

pub(crate) fn write_document<T: Element>(document: &T, root: &'static str) -> String {
    let mut writer = Writer::new();
    document.write_element(&mut writer, root);
    writer.finish()
}

/// Says where in the document the first broken rule is.
pub(crate) fn rule_error(bytes: &[u8], source_name: &str, violations: Violations) -> DocumentError {
    let path = violations.first_path().to_owned();
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let line = cursor::line_of(text.strip_prefix('\u{feff}').unwrap_or(text), &path);
    DocumentError::new(
        source_name.to_owned(),
        line,
        path,
        DocumentErrorKind::Rules(violations),
    )
}

/// The format of a document; there is one so far, `1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FormatVersion;

impl TryFrom<String> for FormatVersion {
    type Error = ScalarError;

    fn try_from(text: String) -> Result<Self, ScalarError> {
        value::Value::from_text(&text)
    }
}

impl From<FormatVersion> for String {
    fn from(version: FormatVersion) -> Self {
        value::Value::to_text(&version)
    }
}

impl value::Value for FormatVersion {
    fn from_text(text: &str) -> Result<Self, ScalarError> {
        if collapse(text) == "1" {
            Ok(Self)
        } else {
            Err(ScalarError::new("document format 1", text))
        }
    }

    fn to_text(&self) -> String {
        "1".to_owned()
    }
}

/// Lists how a type stands in a document: its attributes, the shared part of
/// its group (`base`), its children in their order, its text, and the place of
/// foreign elements (`open`). `[default]` marks a child that is left out where
/// it has its default value. All fields have to be named, each once. A name
/// that depends on a type parameter stands in braces.
macro_rules! xml_record {
    ($type:ident $(<$parameter:ident: $bound:path>)? {
        $(attributes { $($attribute:ident = $attribute_name:literal),+ $(,)? })?
        $(base { $base:ident })?
        $(children { $($field:ident = $name:tt $([$mode:ident])?),+ $(,)? })?
        $(text { $text:ident })?
        $(open { $open:ident })?
    }) => {
        impl $(<$parameter: $bound>)? $crate::xml::Record for $type $(<$parameter>)? {
            #[allow(unused_variables, reason = "not every type has attributes")]
            fn read<'a>(
                attributes: &mut $crate::xml::Attributes<'a>,
                cursor: &mut $crate::xml::Cursor<'a>,
            ) -> Result<Self, $crate::xml::DocumentError> {
                $($(let $attribute = cursor.attribute(attributes, $attribute_name)?;)+)?
                $(let $base = $crate::xml::Record::read(attributes, cursor)?;)?
                $($(let $field = $crate::xml::xml_record!(@read cursor, $name $(, $mode)?)?;)+)?
                $(let $text = cursor.value(attributes)?;)?
                $(let $open = cursor.extensions()?;)?
                Ok(Self {
                    $($($attribute,)+)?
                    $($base,)?
                    $($($field,)+)?
                    $($text,)?
                    $($open,)?
                })
            }

            #[allow(unused_variables, reason = "not every type has attributes")]
            fn write_attributes(&self, writer: &mut $crate::xml::Writer) {
                $($($crate::xml::value::AttributeField::write_attribute(&self.$attribute, writer, $attribute_name);)+)?
            }

            fn write_content(&self, writer: &mut $crate::xml::Writer) {
                $($crate::xml::Record::write_content(&self.$base, writer);)?
                $($($crate::xml::xml_record!(@write &self.$field, writer, $name $(, $mode)?);)+)?
                $(writer.content(&$crate::xml::value::Value::to_text(&self.$text));)?
                $($crate::xml::write_extensions(&self.$open, writer);)?
            }
        }

        impl $(<$parameter: $bound>)? $crate::xml::Element for $type $(<$parameter>)? {
            fn read_element(
                cursor: &mut $crate::xml::Cursor<'_>,
                name: &'static str,
                index: usize,
            ) -> Result<Self, $crate::xml::DocumentError> {
                $crate::xml::read_record(cursor, name, index)
            }

            fn write_element(&self, writer: &mut $crate::xml::Writer, name: &'static str) {
                $crate::xml::write_record(self, writer, name);
            }
        }
    };
    (@read $cursor:ident, $name:tt) => {
        $crate::xml::value::Field::read_field($cursor, $name)
    };
    (@read $cursor:ident, $name:tt, default) => {
        $crate::xml::value::read_or_default($cursor, $name)
    };
    (@read $cursor:ident, $name:tt, at_least_one) => {
        $crate::xml::value::read_at_least_one($cursor, $name)
    };
    (@write $value:expr, $writer:ident, $name:tt) => {
        $crate::xml::value::Field::write_field($value, $writer, $name)
    };
    (@write $value:expr, $writer:ident, $name:tt, default) => {
        $crate::xml::value::write_unless_default($value, $writer, $name)
    };
    (@write $value:expr, $writer:ident, $name:tt, at_least_one) => {
        $crate::xml::value::Field::write_field($value, $writer, $name)
    };
}
pub(crate) use xml_record;

/// Makes a type a document with this root element and bound.
macro_rules! document {
    ($type:ident, $root:literal, $bytes_max:expr) => {
        impl $crate::xml::Document for $type {
            const ROOT: &'static str = $root;
            const BYTES_MAX: usize = $bytes_max;

            fn from_xml(
                bytes: &[u8],
                source_name: &str,
            ) -> Result<Self, $crate::xml::DocumentError> {
                let document: Self =
                    $crate::xml::read_document(bytes, source_name, Self::ROOT, Self::BYTES_MAX)?;
                match $crate::xml::Document::validate(&document) {
                    Ok(()) => Ok(document),
                    Err(violations) => Err($crate::xml::rule_error(bytes, source_name, violations)),
                }
            }

            fn to_xml(&self) -> String {
                $crate::xml::write_document(self, Self::ROOT)
            }

            fn validate(&self) -> Result<(), $crate::resource::validate::Violations> {
                $crate::resource::validate::check(self, Self::ROOT)
            }
        }
    };
}
pub(crate) use document;
