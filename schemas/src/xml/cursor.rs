//! The typed upper layer of the reader: walks through a document in the order
//! that the types ask for, and knows where it is.

use std::{fmt::Write as _, rc::Rc};

use super::{
    DocumentError, DocumentErrorKind as Kind, Extension, Extensions, NAMESPACE, XSI_NAMESPACE,
    markup::ATTRIBUTES_MAX,
    scanner::{Attribute, Fault, Piece, Scanner, Tag},
    value::AttributeField,
};
use crate::scalar::{ScalarError, is_xml_space};

/// Most repetitions of one element in one place: five times the largest pool.
pub(super) const REPEATS_MAX: usize = 10_000;
/// Deepest nesting inside of a foreign element: it can stand in any of our
/// groups without its document becoming too deep.
const FOREIGN_DEPTH_MAX: usize = 16;
/// How much of an unexpected text an error repeats, in characters.
const SHOWN_CHARACTERS: usize = 40;

/// An element on the way from the root to where the cursor is.
struct Step {
    name: &'static str,
    /// Which one of several, counted from 1; 0: there can only be one.
    index: usize,
}

/// Walks through one document.
pub(crate) struct Cursor<'a> {
    scanner: Scanner<'a>,
    source_name: &'a str,
    ahead: Option<Piece<'a>>,
    path: Vec<Step>,
    /// What was looked for since the last tag, for messages.
    wanted: Vec<&'static str>,
    /// How many bytes of foreign elements may still be carried: each brings the
    /// namespaces of its surroundings along, so few bytes could become many.
    carried_left: usize,
    bytes_max: usize,
}

/// The attributes of an opened element that were not asked for yet.
pub(crate) struct Attributes<'a> {
    left: Vec<Attribute<'a>>,
    offset: usize,
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    1 + before.matches('\n').count()
}

/// The line of the element at this path (`/A/B[2]/C`), or of the nearest one
/// around it; for documents that have been read already.
pub(super) fn line_of(text: &str, path: &str) -> usize {
    let steps: Vec<(&str, usize)> = path
        .split('/')
        .filter(|step| !step.is_empty())
        .map(
            |step| match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
                Some((name, index)) => (name, index.parse().unwrap_or(1)),
                None => (step, 1),
            },
        )
        .collect();
    let (mut depth, mut matched, mut seen, mut found) = (0_usize, 0_usize, 0_usize, 0_usize);
    let Ok(mut scanner) = Scanner::new(text) else {
        return 1;
    };
    while let Ok(piece) = scanner.next_piece() {
        match piece {
            Piece::Start(tag) => {
                if depth == matched && steps.get(matched).is_some_and(|step| step.0 == tag.local) {
                    seen += 1;
                    if steps.get(matched).is_some_and(|step| step.1 == seen) {
                        (matched, seen, found) = (matched + 1, 0, tag.offset);
                    }
                }
                depth += 1;
            }
            Piece::End => depth -= 1,
            Piece::Text(_) | Piece::Literal(_) => {}
            Piece::Finish => break,
        }
        if depth < matched || matched == steps.len() {
            break;
        }
    }
    line_at(text, found)
}

impl<'a> Cursor<'a> {
    /// `bytes_max` bounds the foreign elements that are carried.
    pub(super) fn new(
        text: &'a str,
        source_name: &'a str,
        bytes_max: usize,
    ) -> Result<Self, DocumentError> {
        match Scanner::new(text) {
            Ok(scanner) => Ok(Self {
                scanner,
                source_name,
                ahead: None,
                path: Vec::new(),
                wanted: Vec::new(),
                carried_left: bytes_max,
                bytes_max,
            }),
            Err(Fault { offset, kind }) => Err(DocumentError::new(
                source_name.to_owned(),
                line_at(text, offset),
                "/".to_owned(),
                kind,
            )),
        }
    }

    /// Makes an error that tells where it happened.
    fn error_at(&self, offset: usize, kind: Kind) -> DocumentError {
        let mut path = String::new();
        for step in &self.path {
            // Writing to a String cannot fail.
            let _ = match step.index {
                0 => write!(path, "/{}", step.name),
                index => write!(path, "/{}[{index}]", step.name),
            };
        }
        if path.is_empty() {
            path.push('/');
        }
        let line = line_at(self.scanner.source(), offset);
        DocumentError::new(self.source_name.to_owned(), line, path, kind)
    }

    fn error(&self, kind: Kind) -> DocumentError {
        self.error_at(self.scanner.offset(), kind)
    }

    fn pull(&mut self) -> Result<Piece<'a>, DocumentError> {
        match self.ahead.take() {
            Some(piece) => Ok(piece),
            None => self
                .scanner
                .next_piece()
                .map_err(|Fault { offset, kind }| self.error_at(offset, kind)),
        }
    }

    /// Looks at the next tag; white space in between is skipped.
    fn peek_tag(&mut self) -> Result<&Piece<'a>, DocumentError> {
        loop {
            let piece = self.pull()?;
            let (text, is_space) = match &piece {
                Piece::Text(text) => (text, text.chars().all(is_xml_space)),
                Piece::Literal(text) => (text, false),
                _ => return Ok(self.ahead.insert(piece)),
            };
            if !is_space {
                let found = text.trim().chars().take(SHOWN_CHARACTERS).collect();
                let expected = self.wanted_text();
                return Err(self.error(Kind::UnexpectedText { found, expected }));
            }
        }
    }

    /// What could stand here, in words.
    fn wanted_text(&self) -> String {
        let mut text = String::new();
        for (index, name) in self.wanted.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            let _ = write!(text, "{separator}<{name}>");
        }
        match (self.path.last(), text.is_empty()) {
            (None, true) => "a root element".to_owned(),
            (None, false) => text,
            (Some(step), true) => format!("</{}>", step.name),
            (Some(step), false) => format!("{text} or </{}>", step.name),
        }
    }

    /// What has to stand here: the last that was looked for.
    fn needed_text(&self) -> String {
        let mut text = self.wanted_text();
        if let Some(at) = text.rfind(" or </") {
            text.truncate(at);
        }
        text
    }

    /// Whether the next tag opens this element of ours.
    pub(super) fn is_next(&mut self, name: &'static str) -> Result<bool, DocumentError> {
        if !self.wanted.contains(&name) {
            self.wanted.push(name);
        }
        let piece = self.peek_tag()?;
        Ok(matches!(piece, Piece::Start(tag) if tag.local == name && &*tag.namespace == NAMESPACE))
    }

    /// Opens this element, which has to be the next; `index` counts
    /// repetitions from 1 and is 0 where there are none.
    pub(super) fn open(
        &mut self,
        name: &'static str,
        index: usize,
    ) -> Result<Attributes<'a>, DocumentError> {
        if !self.is_next(name)? {
            return Err(self.unexpected());
        }
        let Piece::Start(tag) = self.pull()? else {
            return Err(self.unexpected());
        };
        if index > REPEATS_MAX {
            let kind = Kind::TooMany {
                what: name,
                max: REPEATS_MAX,
            };
            return Err(self.error_at(tag.offset, kind));
        }
        self.wanted.clear();
        self.path.push(Step { name, index });
        Ok(Attributes {
            left: tag.attributes,
            offset: tag.offset,
        })
    }

    /// Why the next piece is wrong, where what was looked for is required.
    fn unexpected(&self) -> DocumentError {
        self.unexpected_instead_of(self.needed_text())
    }

    fn unexpected_instead_of(&self, expected: String) -> DocumentError {
        match &self.ahead {
            Some(Piece::Start(tag)) => self.error_at(
                tag.offset,
                Kind::UnexpectedElement {
                    found: self.shown(tag),
                    expected,
                },
            ),
            _ => self.error(Kind::MissingElement { expected }),
        }
    }

    /// An element's name; with its namespace where that is the reason.
    fn shown(&self, tag: &Tag<'_>) -> String {
        let same_name = self.wanted.contains(&tag.local);
        match (&*tag.namespace, same_name) {
            (NAMESPACE, _) => tag.local.to_owned(),
            ("", true) => format!("{} without a namespace", tag.qualified),
            (other, true) => format!("{} of namespace {other}", tag.qualified),
            (_, false) => tag.qualified.to_owned(),
        }
    }

    /// Closes the element that was opened last: its attributes and children
    /// all have to be asked for by now.
    pub(super) fn close(&mut self, attributes: &Attributes<'a>) -> Result<(), DocumentError> {
        self.refuse_rest(attributes)?;
        if !matches!(self.peek_tag()?, Piece::End) {
            return Err(self.unexpected_instead_of(self.wanted_text()));
        }
        self.ahead = None;
        self.path.pop();
        self.wanted.clear();
        Ok(())
    }

    /// Refuses attributes that nobody asked for. Hints for schema-aware tools
    /// are let through.
    fn refuse_rest(&self, attributes: &Attributes<'a>) -> Result<(), DocumentError> {
        let unknown = attributes.left.iter().find(|attribute| {
            &*attribute.namespace != XSI_NAMESPACE
                || !matches!(
                    attribute.local,
                    "schemaLocation" | "noNamespaceSchemaLocation"
                )
        });
        match unknown {
            None => Ok(()),
            Some(attribute) => {
                let kind = Kind::UnexpectedAttribute {
                    found: attribute.qualified.to_owned(),
                };
                Err(self.error_at(attributes.offset, kind))
            }
        }
    }

    /// Reads an attribute of the element that was opened last.
    pub(crate) fn attribute<T: AttributeField>(
        &self,
        attributes: &mut Attributes<'a>,
        name: &'static str,
    ) -> Result<T, DocumentError> {
        let place = attributes
            .left
            .iter()
            .position(|attribute| attribute.local == name && attribute.namespace.is_empty());
        let value = place.map(|place| attributes.left.swap_remove(place).value);
        match T::from_attribute(value.as_deref()) {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(self.bad_value(&error, Some(name), attributes.offset)),
            None => {
                Err(self.error_at(attributes.offset, Kind::MissingAttribute { expected: name }))
            }
        }
    }

    fn bad_value(
        &self,
        error: &ScalarError,
        attribute: Option<&'static str>,
        offset: usize,
    ) -> DocumentError {
        let kind = Kind::BadValue {
            attribute,
            found: error.found().to_owned(),
            expected: error.expected(),
        };
        self.error_at(offset, kind)
    }

    /// Reads the text of the element that was opened last, up to its end.
    pub(crate) fn value<T: super::value::Value>(
        &mut self,
        attributes: &Attributes<'a>,
    ) -> Result<T, DocumentError> {
        let mut text = String::new();
        loop {
            match self.pull()? {
                Piece::Text(piece) | Piece::Literal(piece) => text.push_str(&piece),
                piece @ Piece::Start(_) => {
                    self.ahead = Some(piece);
                    return Err(self.unexpected());
                }
                piece => {
                    self.ahead = Some(piece);
                    break;
                }
            }
        }
        T::from_text(&text).map_err(|error| self.bad_value(&error, None, attributes.offset))
    }

    /// Reads the foreign elements at the end of a group.
    pub(crate) fn extensions(&mut self) -> Result<Extensions, DocumentError> {
        let mut extensions = Vec::new();
        loop {
            let is_foreign = matches!(self.peek_tag()?, Piece::Start(tag)
                if !tag.namespace.is_empty() && &*tag.namespace != NAMESPACE);
            if !is_foreign {
                return Ok(Extensions::from(extensions));
            }
            if extensions.len() == REPEATS_MAX {
                let kind = Kind::TooMany {
                    what: "foreign elements",
                    max: REPEATS_MAX,
                };
                return Err(self.error(kind));
            }
            extensions.push(self.foreign()?);
            self.wanted.clear();
        }
    }

    /// Takes the foreign element that is next, as it stands.
    fn foreign(&mut self) -> Result<Extension, DocumentError> {
        let Piece::Start(tag) = self.pull()? else {
            return Err(self.unexpected());
        };
        let scope = self.scanner.scope_around();
        if tag.attributes.len() + scope.len() >= ATTRIBUTES_MAX {
            let kind = Kind::TooMany {
                what: "attributes, the namespaces from around the element included",
                max: ATTRIBUTES_MAX,
            };
            return Err(self.error_at(tag.offset, kind));
        }
        let scope: Vec<(&str, Rc<str>)> = scope
            .into_iter()
            .filter(|(_, _, own)| !own)
            .map(|(prefix, namespace, _)| (prefix, namespace))
            .collect();
        let mut depth = 1_usize;
        while depth > 0 {
            if depth > FOREIGN_DEPTH_MAX {
                let max = FOREIGN_DEPTH_MAX;
                return Err(self.error_at(tag.offset, Kind::TooDeep { max }));
            }
            match self.pull()? {
                Piece::Start(_) => depth += 1,
                Piece::End => depth -= 1,
                Piece::Text(_) | Piece::Literal(_) => {}
                Piece::Finish => return Err(self.unexpected()),
            }
        }
        let raw = self
            .scanner
            .source()
            .get(tag.offset..self.scanner.end_offset())
            .unwrap_or_default();
        let extension = Extension::from_checked(raw, tag.qualified, &scope);
        let Some(left) = self.carried_left.checked_sub(extension.as_str().len()) else {
            let kind = Kind::TooMany {
                what: "bytes of foreign elements with their namespaces",
                max: self.bytes_max,
            };
            return Err(self.error_at(tag.offset, kind));
        };
        self.carried_left = left;
        Ok(extension)
    }

    /// Reads a document that is nothing but one foreign element.
    pub(super) fn lone_foreign(&mut self) -> Result<Extension, DocumentError> {
        let is_foreign = matches!(self.peek_tag()?, Piece::Start(tag)
            if tag.offset == 0 && !tag.namespace.is_empty() && &*tag.namespace != NAMESPACE);
        if !is_foreign {
            self.wanted.push("an element of a foreign namespace");
            return Err(self.unexpected());
        }
        let extension = self.foreign()?;
        if self.scanner.end_offset() != self.scanner.source().len() {
            let kind = Kind::NotWellFormed {
                detail: "something stands after the element".to_owned(),
            };
            return Err(self.error(kind));
        }
        Ok(extension)
    }

    /// Checks that nothing comes after the root element.
    pub(super) fn finish(&mut self) -> Result<(), DocumentError> {
        match self.pull()? {
            Piece::Finish => Ok(()),
            _ => Err(self.unexpected()),
        }
    }
}
