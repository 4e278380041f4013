//! The strict lower layer of the reader: quick-xml cuts the text into pieces,
//! this module checks what quick-xml does not (names, characters, attributes,
//! references, the document's frame), resolves namespaces, and refuses DTDs
//! and entities.
//!
//! Invariant: what passes here is well-formed XML 1.0 with namespaces.

use std::{borrow::Cow, rc::Rc};

use quick_xml::{Reader, events::Event};

use super::{
    DocumentErrorKind as Kind,
    markup::{
        check_declaration, check_instruction, ill, inside, parse_attributes, resolve_reference,
        split_at_space, unify_line_ends,
    },
    name::{is_plain_name, split_qualified},
};
use crate::scalar::{is_xml_character, is_xml_space};

/// Deepest nesting of elements; our own need eight.
pub(super) const DEPTH_MAX: usize = 32;
/// The namespace of `xml:…`.
const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";
/// The namespace that `xmlns` itself is bound to.
const XMLNS_NAMESPACE: &str = "http://www.w3.org/2000/xmlns/";

/// A piece of a document. Comments and processing instructions are left out.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// A start tag; an empty element is a start and an end.
    Start(Tag<'a>),
    /// An end tag.
    End,
    /// Text with references resolved; one text may come in several pieces.
    Text(Cow<'a, str>),
    /// A CDATA section: text, and never mere white space between elements.
    Literal(Cow<'a, str>),
    /// The end of the document.
    Finish,
}

/// A start tag with its names resolved.
#[derive(Debug)]
pub(super) struct Tag<'a> {
    /// The name as written.
    pub(super) qualified: &'a str,
    /// The name without its prefix.
    pub(super) local: &'a str,
    /// Empty: none.
    pub(super) namespace: Rc<str>,
    /// Without namespace declarations.
    pub(super) attributes: Vec<Attribute<'a>>,
    /// Where the tag begins in the document.
    pub(super) offset: usize,
}

/// An attribute with its name resolved and its value decoded.
#[derive(Debug)]
pub(super) struct Attribute<'a> {
    pub(super) qualified: &'a str,
    pub(super) local: &'a str,
    /// Empty: none.
    pub(super) namespace: Rc<str>,
    pub(super) value: String,
}

/// A prefix and what it is bound to from one element on.
#[derive(Debug)]
struct Binding<'a> {
    prefix: &'a str,
    namespace: Rc<str>,
    depth: usize,
}

/// What a scan failed with, and where.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) kind: Kind,
}

/// Which part of the document's frame the scanner is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Prolog,
    Root,
    Epilog,
}

/// Cuts a document into checked pieces.
pub(super) struct Scanner<'a> {
    source: &'a str,
    reader: Reader<&'a [u8]>,
    /// Where the last piece began.
    offset: usize,
    place: Place,
    depth: usize,
    /// An empty element's end is still to come.
    end_is_due: bool,
    bindings: Vec<Binding<'a>>,
    empty: Rc<str>,
}

impl<'a> Scanner<'a> {
    /// Takes a text without a byte order mark; checks that it holds nothing
    /// but characters of XML.
    pub(super) fn new(source: &'a str) -> Result<Self, Fault> {
        if let Some((offset, character)) = source
            .char_indices()
            .find(|(_, character)| !is_xml_character(*character))
        {
            let code = u32::from(character);
            let kind = ill(format!("character U+{code:04X} cannot stand in XML"));
            return Err(Fault { offset, kind });
        }
        let mut reader = Reader::from_str(source);
        let config = reader.config_mut();
        config.check_comments = true;
        config.check_end_names = true;
        Ok(Self {
            source,
            reader,
            offset: 0,
            place: Place::Prolog,
            depth: 0,
            end_is_due: false,
            bindings: Vec::new(),
            empty: Rc::from(""),
        })
    }

    /// Gives the document's text.
    pub(super) const fn source(&self) -> &'a str {
        self.source
    }

    /// Where the last piece began.
    pub(super) const fn offset(&self) -> usize {
        self.offset
    }

    /// Where the last piece ended.
    pub(super) fn end_offset(&self) -> usize {
        self.position()
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position())
            .unwrap_or(usize::MAX)
            .min(self.source.len())
    }

    fn fault(&self, kind: Kind) -> Fault {
        Fault {
            offset: self.offset,
            kind,
        }
    }

    /// Gives the next piece.
    pub(super) fn next_piece(&mut self) -> Result<Piece<'a>, Fault> {
        if self.end_is_due {
            self.end_is_due = false;
            return Ok(self.close());
        }
        loop {
            self.offset = self.position();
            let event = match self.reader.read_event() {
                Ok(event) => event,
                Err(error) => return Err(self.fault(ill(detail_of(&error)))),
            };
            let raw = self
                .source
                .get(self.offset..self.position())
                .unwrap_or_default();
            if let Some(piece) = self.piece(&event, raw).map_err(|kind| Fault {
                offset: self.offset,
                kind,
            })? {
                return Ok(piece);
            }
        }
    }

    /// Checks one event; `None`: nothing that the caller needs to see.
    fn piece(&mut self, event: &Event<'_>, raw: &'a str) -> Result<Option<Piece<'a>>, Kind> {
        match event {
            Event::Start(_) => self.open(inside(raw, "<", ">")).map(Some),
            Event::Empty(_) => {
                self.end_is_due = true;
                self.open(inside(raw, "<", "/>")).map(Some)
            }
            Event::End(_) => Ok(Some(self.close())),
            Event::Text(_) => self.text(raw),
            Event::GeneralRef(_) => {
                let character = resolve_reference(inside(raw, "&", ";"))?;
                self.check_place()?;
                Ok(Some(Piece::Text(Cow::Owned(character.to_string()))))
            }
            Event::CData(_) => {
                let text = unify_line_ends(inside(raw, "<![CDATA[", "]]>"));
                self.check_place().map(|()| Some(Piece::Literal(text)))
            }
            // quick-xml has checked for `--` inside.
            Event::Comment(_) => Ok(None),
            Event::Decl(_) => {
                if self.offset == 0 {
                    check_declaration(inside(raw, "<?xml", "?>")).map(|()| None)
                } else {
                    Err(ill("an XML declaration stands only at the very beginning"))
                }
            }
            Event::PI(_) => check_instruction(inside(raw, "<?", "?>")).map(|()| None),
            Event::DocType(_) => Err(Kind::Forbidden {
                what: "a DTD".to_owned(),
            }),
            Event::Eof if self.place == Place::Epilog => Ok(Some(Piece::Finish)),
            Event::Eof => Err(ill("the document ends before its root element does")),
        }
    }

    fn text(&self, raw: &'a str) -> Result<Option<Piece<'a>>, Kind> {
        if raw.contains("]]>") {
            return Err(ill("`]]>` cannot stand in text"));
        }
        if self.place != Place::Root && raw.chars().all(is_xml_space) {
            return Ok(None);
        }
        self.check_place()?;
        Ok(Some(Piece::Text(unify_line_ends(raw))))
    }

    /// Text stands inside of the root element only.
    fn check_place(&self) -> Result<(), Kind> {
        if self.place == Place::Root {
            Ok(())
        } else {
            Err(ill("text outside of the root element"))
        }
    }

    fn close(&mut self) -> Piece<'a> {
        let depth = self.depth;
        while self
            .bindings
            .last()
            .is_some_and(|binding| binding.depth == depth)
        {
            self.bindings.pop();
        }
        self.depth = depth.saturating_sub(1);
        if self.depth == 0 {
            self.place = Place::Epilog;
        }
        Piece::End
    }

    fn open(&mut self, raw: &'a str) -> Result<Piece<'a>, Kind> {
        if self.place == Place::Epilog {
            return Err(ill("a second root element"));
        }
        if self.depth == DEPTH_MAX {
            return Err(Kind::TooDeep { max: DEPTH_MAX });
        }
        self.place = Place::Root;
        self.depth += 1;
        let (qualified, rest) = split_at_space(raw);
        let (prefix, local) = split_qualified(qualified)
            .ok_or_else(|| ill(format!("{qualified:?} is not a name")))?;
        let written = parse_attributes(rest)?;
        for attribute in &written {
            self.declare(attribute)?;
        }
        let namespace = self.namespace_of(prefix)?;
        let mut attributes = Vec::with_capacity(written.len());
        for (name, value) in written {
            if name == "xmlns" || name.starts_with("xmlns:") {
                continue;
            }
            attributes.push(self.attribute(name, value)?);
        }
        check_duplicates(&attributes)?;
        Ok(Piece::Start(Tag {
            qualified,
            local,
            namespace,
            attributes,
            offset: self.offset,
        }))
    }

    /// Takes note of an attribute that declares a namespace.
    fn declare(&mut self, (name, value): &(&'a str, String)) -> Result<(), Kind> {
        let prefix = match name.strip_prefix("xmlns") {
            Some("") => "",
            Some(rest) if rest.starts_with(':') => &rest[1..],
            _ => return Ok(()),
        };
        let reserved = matches!(value.as_str(), XML_NAMESPACE | XMLNS_NAMESPACE);
        let harmless = prefix == "xml" && value == XML_NAMESPACE;
        let bad = prefix == "xmlns"
            || (!prefix.is_empty() && (value.is_empty() || !is_plain_name(prefix)))
            || ((reserved || prefix == "xml") && !harmless);
        if bad {
            return Err(ill(format!("{name}={value:?} cannot be declared")));
        }
        let declared_twice = self
            .bindings
            .iter()
            .rev()
            .take_while(|binding| binding.depth == self.depth)
            .any(|binding| binding.prefix == prefix);
        if declared_twice {
            return Err(ill(format!("attribute {name} stands twice")));
        }
        self.bindings.push(Binding {
            prefix,
            namespace: Rc::from(value.as_str()),
            depth: self.depth,
        });
        Ok(())
    }

    fn namespace_of(&self, prefix: &str) -> Result<Rc<str>, Kind> {
        if prefix == "xml" {
            return Ok(Rc::from(XML_NAMESPACE));
        }
        let bound = self
            .bindings
            .iter()
            .rev()
            .find(|binding| binding.prefix == prefix);
        match bound {
            Some(binding) => Ok(Rc::clone(&binding.namespace)),
            None if prefix.is_empty() => Ok(Rc::clone(&self.empty)),
            None => Err(ill(format!("namespace prefix {prefix} is not declared"))),
        }
    }

    fn attribute(&self, qualified: &'a str, value: String) -> Result<Attribute<'a>, Kind> {
        let (prefix, local) = split_qualified(qualified)
            .ok_or_else(|| ill(format!("{qualified:?} is not a name")))?;
        let namespace = if prefix.is_empty() {
            Rc::clone(&self.empty)
        } else {
            self.namespace_of(prefix)?
        };
        Ok(Attribute {
            qualified,
            local,
            namespace,
            value,
        })
    }

    /// The prefixes that mean something just outside of the element last
    /// opened, and whether that element declares them itself. The default
    /// namespace is always among them, with an empty prefix.
    pub(super) fn scope_around(&self) -> Vec<(&'a str, Rc<str>, bool)> {
        let mut scope: Vec<(&'a str, Rc<str>, bool)> = Vec::new();
        for binding in self.bindings.iter().rev() {
            if scope.iter().all(|(prefix, ..)| *prefix != binding.prefix) && binding.prefix != "xml"
            {
                let own = binding.depth == self.depth;
                scope.push((binding.prefix, Rc::clone(&binding.namespace), own));
            }
        }
        if scope.iter().all(|(prefix, ..)| !prefix.is_empty()) {
            scope.push(("", Rc::clone(&self.empty), false));
        }
        scope
    }
}

/// What quick-xml found, without its own introduction.
fn detail_of(error: &quick_xml::Error) -> String {
    match error {
        quick_xml::Error::Syntax(error) => error.to_string(),
        quick_xml::Error::IllFormed(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// No two attributes of one name, prefixes resolved.
fn check_duplicates(attributes: &[Attribute<'_>]) -> Result<(), Kind> {
    for (index, attribute) in attributes.iter().enumerate() {
        let twice = attributes[..index]
            .iter()
            .any(|other| other.local == attribute.local && other.namespace == attribute.namespace);
        if twice {
            return Err(ill(format!(
                "attribute {} stands twice",
                attribute.qualified
            )));
        }
    }
    Ok(())
}
