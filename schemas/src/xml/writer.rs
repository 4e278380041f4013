//! Writes documents in their canonical form: UTF-8, our namespace as the
//! default, two spaces per level, one line per element.

use super::NAMESPACE;

/// What stands in an element so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// The start tag is not closed yet.
    Tag,
    Children,
    Text,
}

/// Writes one document.
pub(crate) struct Writer {
    text: String,
    open: Vec<(&'static str, Inside)>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self {
            text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(),
            open: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    fn indent(&mut self) {
        for _ in 0..self.open.len() {
            self.text.push_str("  ");
        }
    }

    /// Makes room for a child or a text.
    fn enter(&mut self, inside: Inside) {
        let Some((_, state)) = self.open.last_mut() else {
            return;
        };
        if *state == Inside::Tag {
            *state = inside;
            self.text.push('>');
            if inside == Inside::Children {
                self.text.push('\n');
            }
        }
    }

    /// Begins an element; attributes come next.
    pub(super) fn start(&mut self, name: &'static str) {
        self.enter(Inside::Children);
        self.indent();
        self.text.push('<');
        self.text.push_str(name);
        if self.open.is_empty() {
            self.attribute("xmlns", NAMESPACE);
        }
        self.open.push((name, Inside::Tag));
    }

    pub(super) fn attribute(&mut self, name: &'static str, value: &str) {
        self.text.push(' ');
        self.text.push_str(name);
        self.text.push_str("=\"");
        escape_attribute(&mut self.text, value);
        self.text.push('"');
    }

    /// Writes the text of an element that has no children.
    pub(crate) fn content(&mut self, value: &str) {
        if value.is_empty() {
            return;
        }
        self.enter(Inside::Text);
        escape_text(&mut self.text, value);
    }

    /// Writes an element that is XML already.
    pub(super) fn raw(&mut self, element: &str) {
        self.enter(Inside::Children);
        self.indent();
        self.text.push_str(element);
        self.text.push('\n');
    }

    pub(super) fn end(&mut self) {
        let Some((name, inside)) = self.open.pop() else {
            return;
        };
        if inside == Inside::Tag {
            self.text.push_str("/>\n");
            return;
        }
        if inside == Inside::Children {
            self.indent();
        }
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push_str(">\n");
    }
}

/// CR has to be a reference, or it is read as LF; `>` as well because of `]]>`.
fn escape_text(target: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '<' => target.push_str("&lt;"),
            '>' => target.push_str("&gt;"),
            '&' => target.push_str("&amp;"),
            '\r' => target.push_str("&#13;"),
            other => target.push(other),
        }
    }
}

/// White space other than the space has to be a reference, or it is read as a space.
pub(super) fn escape_attribute(target: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '<' => target.push_str("&lt;"),
            '&' => target.push_str("&amp;"),
            '"' => target.push_str("&quot;"),
            '\t' => target.push_str("&#9;"),
            '\n' => target.push_str("&#10;"),
            '\r' => target.push_str("&#13;"),
            other => target.push(other),
        }
    }
}
