//! What can be wrong with a document, and where.

use std::fmt;

use crate::resource::validate::Violations;

/// A document that was refused: which file, which line, which element, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentError {
    source_name: String,
    line: usize,
    path: String,
    kind: DocumentErrorKind,
}

/// What is wrong with a document. The names from [`Self::code`] are stable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentErrorKind {
    /// Larger than its kind may be.
    #[error("the document has {found} bytes; at most {max} are accepted")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// Elements inside of elements, too often.
    #[error("elements are nested more than {max} deep")]
    TooDeep {
        /// The bound.
        max: usize,
    },
    /// One thing too many.
    #[error("more than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// Not UTF-8, or declared as something else.
    #[error("the document has to be UTF-8: {detail}")]
    Encoding {
        /// What it is instead.
        detail: String,
    },
    /// Not well-formed XML with namespaces.
    #[error("not well-formed XML: {detail}")]
    NotWellFormed {
        /// What is wrong.
        detail: String,
    },
    /// Well-formed, and refused for safety.
    #[error("{what} is not accepted; write the text itself")]
    Forbidden {
        /// A DTD, an entity and the like.
        what: String,
    },
    /// An element that does not belong here.
    #[error("unexpected element <{found}>; expected {expected}")]
    UnexpectedElement {
        /// Which.
        found: String,
        /// What may stand here.
        expected: String,
    },
    /// An element that is not there.
    #[error("the element ends too early; expected {expected}")]
    MissingElement {
        /// What has to stand here.
        expected: String,
    },
    /// An attribute that does not belong here.
    #[error("unexpected attribute {found}")]
    UnexpectedAttribute {
        /// Which.
        found: String,
    },
    /// An attribute that is not there.
    #[error("attribute {expected} is missing")]
    MissingAttribute {
        /// Which.
        expected: &'static str,
    },
    /// Text between elements.
    #[error("unexpected text {found:?}; expected {expected}")]
    UnexpectedText {
        /// Its beginning.
        found: String,
        /// What may stand here.
        expected: String,
    },
    /// A value that its type does not have.
    #[error("{found:?} is not valid here; expected {expected}")]
    BadValue {
        /// In which attribute; absent: in the element's text.
        attribute: Option<&'static str>,
        /// Its beginning.
        found: String,
        /// What may stand here.
        expected: &'static str,
    },
    /// Fields that do not go together.
    #[error("{0}")]
    Rules(Violations),
}

impl DocumentErrorKind {
    /// A stable name, for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::TooDeep { .. } => "too-deep",
            Self::TooMany { .. } => "too-many",
            Self::Encoding { .. } => "encoding",
            Self::NotWellFormed { .. } => "not-well-formed",
            Self::Forbidden { .. } => "forbidden",
            Self::UnexpectedElement { .. } => "unexpected-element",
            Self::MissingElement { .. } => "missing-element",
            Self::UnexpectedAttribute { .. } => "unexpected-attribute",
            Self::MissingAttribute { .. } => "missing-attribute",
            Self::UnexpectedText { .. } => "unexpected-text",
            Self::BadValue { .. } => "bad-value",
            Self::Rules(_) => "rules",
        }
    }
}

impl DocumentError {
    pub(super) const fn new(
        source_name: String,
        line: usize,
        path: String,
        kind: DocumentErrorKind,
    ) -> Self {
        Self {
            source_name,
            line,
            path,
            kind,
        }
    }

    /// Gives the document's name, as the caller named it.
    pub fn source_name(&self) -> &str {
        &self.source_name
    }

    /// Gives the line, counted from 1.
    pub const fn line(&self) -> usize {
        self.line
    }

    /// Gives the element: `/CEDoc/HostTable/Host[12]/JoinedAt`, or `/` for the
    /// document as a whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Says what is wrong.
    pub const fn kind(&self) -> &DocumentErrorKind {
        &self.kind
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}: {}",
            self.source_name, self.line, self.path, self.kind
        )?;
        if let DocumentErrorKind::BadValue {
            attribute: Some(attribute),
            ..
        } = self.kind
        {
            write!(f, " (attribute {attribute})")?;
        }
        Ok(())
    }
}

impl std::error::Error for DocumentError {}
