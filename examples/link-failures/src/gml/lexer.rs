//! Cuts GML into tokens and counts lines.

use super::{Fault, GmlError};

/// Longest piece of a file that an error repeats, in bytes.
const MAX_QUOTED: usize = 40;
/// Longest entity, `&` and `;` left out, that is looked up; the longest real one has seven.
const MAX_ENTITY: usize = 10;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The smallest meaningful piece of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'a> {
    /// A bare word.
    Key(&'a str),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// A quoted string, entities resolved.
    Text(String),
    /// `[`
    Open,
    /// `]`
    Close,
    /// The end of the file.
    End,
}

impl Token<'_> {
    /// Names the token in an error message.
    pub(super) fn describe(&self) -> String {
        match self {
            Token::Key(key) => format!("the word {}", clipped(key.as_bytes())),
            Token::Integer(number) => format!("the number {number}"),
            Token::Real(number) => format!("the number {number}"),
            Token::Text(_) => "a string".to_owned(),
            Token::Open => "'['".to_owned(),
            Token::Close => "']'".to_owned(),
            Token::End => "the end of the file".to_owned(),
        }
    }
}

/// Reads tokens one after another.
pub(super) struct Lexer<'a> {
    rest: &'a [u8],
    line: usize,
    token_line: usize,
}

impl<'a> Lexer<'a> {
    /// Starts at the first byte of a document.
    pub(super) fn new(document: &'a [u8]) -> Self {
        Self {
            rest: document.strip_prefix(BYTE_ORDER_MARK).unwrap_or(document),
            line: 1,
            token_line: 1,
        }
    }

    /// Line on which the token read last begins.
    pub(super) fn token_line(&self) -> usize {
        self.token_line
    }

    /// Reads the next token; [`Token::End`] for ever after the last one.
    pub(super) fn token_next(&mut self) -> Result<Token<'a>, GmlError> {
        self.blank_skip();
        self.token_line = self.line;
        let Some(&first) = self.rest.first() else {
            return Ok(Token::End);
        };
        match first {
            b'[' => {
                self.take(1);
                Ok(Token::Open)
            }
            b']' => {
                self.take(1);
                Ok(Token::Close)
            }
            b'"' => self.text_read(),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Ok(self.key_read()),
            b'0'..=b'9' | b'+' | b'-' | b'.' => self.number_read(),
            other => Err(Fault::UnexpectedCharacter {
                shown: byte_shown(other),
            }
            .at(self.line)),
        }
    }

    /// Skips white space and comments.
    fn blank_skip(&mut self) {
        loop {
            let blank = run_length(self.rest, u8::is_ascii_whitespace);
            self.line += newlines_in(self.take(blank));
            if self.rest.first() != Some(&b'#') {
                return;
            }
            self.take(run_length(self.rest, |&byte| byte != b'\n'));
        }
    }

    fn text_read(&mut self) -> Result<Token<'a>, GmlError> {
        let inside = &self.rest[1..];
        let length = run_length(inside, |&byte| byte != b'"');
        if length == inside.len() {
            return Err(Fault::UnclosedString.at(self.line));
        }
        let raw = &inside[..length];
        self.line += newlines_in(raw);
        self.take(length + 2);
        Ok(Token::Text(entities_resolved(&decoded(raw))))
    }

    fn key_read(&mut self) -> Token<'a> {
        let length = run_length(self.rest, |byte| {
            byte.is_ascii_alphanumeric() || *byte == b'_'
        });
        // Only ASCII was let through, so that nothing is lost here.
        Token::Key(std::str::from_utf8(self.take(length)).unwrap_or_default())
    }

    fn number_read(&mut self) -> Result<Token<'a>, GmlError> {
        let length = run_length(self.rest, |byte| {
            byte.is_ascii_alphanumeric() || b"+-._".contains(byte)
        });
        let raw = self.take(length);
        let text = std::str::from_utf8(raw).unwrap_or_default();
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return text
                .parse()
                .map(Token::Integer)
                .map_err(|_| Fault::NumberTooLarge { text: clipped(raw) }.at(self.line));
        }
        // The standard parser also takes words such as "inf"; a file may not.
        let plain = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        match text.parse::<f64>() {
            Ok(number) if plain && number.is_finite() => Ok(Token::Real(number)),
            _ => Err(Fault::BadNumber { text: clipped(raw) }.at(self.line)),
        }
    }

    /// Moves on by `count` bytes, which are returned.
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        taken
    }
}

/// Number of leading bytes that satisfy `wanted`.
fn run_length(bytes: &[u8], wanted: impl Fn(&u8) -> bool) -> usize {
    bytes
        .iter()
        .position(|byte| !wanted(byte))
        .unwrap_or(bytes.len())
}

fn newlines_in(bytes: &[u8]) -> usize {
    bytes.split(|&byte| byte == b'\n').count() - 1
}

fn decoded(raw: &[u8]) -> String {
    match std::str::from_utf8(raw) {
        Ok(text) => text.to_owned(),
        // Latin-1: each byte is the code point of the same number.
        Err(_) => raw.iter().copied().map(char::from).collect(),
    }
}

/// Replaces `&#233;`, `&#xE9;` and the five named entities; anything else after an `&` is
/// left alone, since real files hold bare ones ("AT&T").
fn entities_resolved(text: &str) -> String {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        let (before, after) = (&rest[..start], &rest[start + 1..]);
        resolved.push_str(before);
        let end = after
            .bytes()
            .take(MAX_ENTITY + 1)
            .position(|byte| byte == b';');
        let found = end.and_then(|end| Some((end, entity_character(&after[..end])?)));
        if let Some((end, character)) = found {
            resolved.push(character);
            rest = &after[end + 1..];
        } else {
            resolved.push('&');
            rest = after;
        }
    }
    resolved.push_str(rest);
    resolved
}

fn entity_character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        return char::from_u32(code.ok()?);
    }
    match name {
        "quot" => Some('"'),
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "apos" => Some('\''),
        _ => None,
    }
}

fn byte_shown(byte: u8) -> String {
    if byte.is_ascii_graphic() {
        format!("'{}'", char::from(byte))
    } else {
        format!("0x{byte:02x}")
    }
}

/// The beginning of a piece of ASCII, fit for an error message.
fn clipped(raw: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&raw[..raw.len().min(MAX_QUOTED)]).into_owned();
    if raw.len() > MAX_QUOTED {
        shown + "..."
    } else {
        shown
    }
}
