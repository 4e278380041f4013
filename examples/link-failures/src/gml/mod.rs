//! Reader for GML, the graph modelling language, as real files use it.
//!
//! A document is a list of `key value` pairs; a value is a number, a quoted string or a
//! list in brackets. This module knows nothing of graphs. Nothing in a file makes it
//! panic, recurse without bound or allocate more than a small multiple of the file's size.

mod fault;
mod lexer;

pub use fault::{Fault, GmlError};

use lexer::{Lexer, Token};

/// Largest file taken, in bytes: a hundred times the largest real topology.
pub const MAX_FILE_SIZE: usize = 16 << 20;
/// Deepest nesting of lists taken; real files use four levels.
pub const MAX_DEPTH: usize = 32;

/// One `key value` pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key as written.
    pub key: String,
    /// What follows the key.
    pub value: Value,
    /// Line on which the key stands, from 1.
    pub line: usize,
}

/// What may follow a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number.
    Integer(i64),
    /// A number with a fraction or an exponent; always finite.
    Real(f64),
    /// A quoted string, its character entities resolved.
    Text(String),
    /// A list in brackets.
    List(Vec<Entry>),
}

/// Reads a whole document. Bytes that are not UTF-8 inside a string are taken as Latin-1.
pub fn parse(document: &[u8]) -> Result<Vec<Entry>, GmlError> {
    if document.len() > MAX_FILE_SIZE {
        return Err(Fault::FileTooLarge.at(1));
    }
    list_parse(&mut Lexer::new(document), None, 0)
}

/// Reads entries up to the bracket that closes the list opened on line `opened`, or up to
/// the end of the file where no list is open.
fn list_parse(
    lexer: &mut Lexer<'_>,
    opened: Option<usize>,
    depth: usize,
) -> Result<Vec<Entry>, GmlError> {
    let mut entries = Vec::new();
    loop {
        let token = lexer.token_next()?;
        let line = lexer.token_line();
        match (token, opened) {
            (Token::Key(key), _) => {
                let value = value_parse(lexer, key, depth)?;
                entries.push(Entry {
                    key: key.to_owned(),
                    value,
                    line,
                });
            }
            (Token::Close, Some(_)) | (Token::End, None) => return Ok(entries),
            (Token::Close, None) => return Err(Fault::StrayClose.at(line)),
            (Token::End, Some(opened)) => return Err(Fault::UnclosedList { opened }.at(line)),
            (other, _) => {
                return Err(Fault::ExpectedKey {
                    found: other.describe(),
                }
                .at(line));
            }
        }
    }
}

fn value_parse(lexer: &mut Lexer<'_>, key: &str, depth: usize) -> Result<Value, GmlError> {
    let token = lexer.token_next()?;
    let line = lexer.token_line();
    match token {
        Token::Integer(number) => Ok(Value::Integer(number)),
        Token::Real(number) => Ok(Value::Real(number)),
        Token::Text(text) => Ok(Value::Text(text)),
        Token::Open if depth == MAX_DEPTH => Err(Fault::TooDeep.at(line)),
        Token::Open => Ok(Value::List(list_parse(lexer, Some(line), depth + 1)?)),
        other => Err(Fault::ExpectedValue {
            key: key.to_owned(),
            found: other.describe(),
        }
        .at(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault_of(document: &str) -> (usize, String) {
        let error = parse(document.as_bytes()).expect_err("the document is malformed");
        (error.line, error.fault.to_string())
    }

    fn text_of(document: &[u8]) -> String {
        match parse(document).expect("well formed").remove(0).value {
            Value::Text(text) => text,
            other => panic!("no text: {other:?}"),
        }
    }

    #[test]
    fn reads_every_form_of_value() {
        let document = "\u{feff}# a comment\r\nCreator \"x [ y\" # another\r\nNested [ a 1 b [ ] c -2.5 ]\n d +7 e .5 f 5. g 1e3 h -1.5E-2";
        let entries = parse(document.as_bytes()).expect("well formed");
        let shown: Vec<_> = entries.iter().map(|e| (e.key.as_str(), e.line)).collect();
        assert_eq!(
            shown,
            [
                ("Creator", 2),
                ("Nested", 3),
                ("d", 4),
                ("e", 4),
                ("f", 4),
                ("g", 4),
                ("h", 4)
            ]
        );
        let Value::List(nested) = &entries[1].value else {
            panic!("no list")
        };
        assert_eq!(nested[1].value, Value::List(vec![]));
        assert_eq!(nested[2].value, Value::Real(-2.5));
        let numbers: Vec<_> = entries[2..].iter().map(|e| e.value.clone()).collect();
        assert_eq!(
            numbers,
            [
                Value::Integer(7),
                Value::Real(0.5),
                Value::Real(5.0),
                Value::Real(1000.0),
                Value::Real(-0.015)
            ]
        );
    }

    #[test]
    fn strings_keep_newlines_and_resolve_entities() {
        assert_eq!(text_of(b"k \"two\nlines\""), "two\nlines");
        assert_eq!(
            text_of(b"k \"&quot;A&amp;B&quot; &#233;&#xE9; AT&T &nosuch; &#xD800; &\""),
            "\"A&B\" \u{e9}\u{e9} AT&T &nosuch; &#xD800; &"
        );
    }

    #[test]
    fn strings_are_utf8_or_latin1() {
        assert_eq!(text_of("k \"Zürich\"".as_bytes()), "Zürich");
        assert_eq!(text_of(b"k \"Z\xfcrich\""), "Zürich");
    }

    #[test]
    fn lines_are_counted_through_strings() {
        let entries = parse(b"a \"1\n2\n3\"\nb 1").expect("well formed");
        assert_eq!(entries[1].line, 4);
    }

    #[test]
    fn malformed_documents_name_the_line() {
        let cases = [
            ("a 1\n]", 2, "nothing is open"),
            ("graph [\n node [\n id 0\n]\n", 5, "opened on line 1"),
            ("a\n\n\"b\nc", 3, "never closed"),
            ("a\nb c", 2, "\"a\""),
            ("a 1\n2 b", 2, "expected a key"),
            ("a 1\n[ b 1 ]", 2, "expected a key"),
            ("a", 1, "end of the file"),
            ("a\n 1.2.3", 2, "1.2.3"),
            ("a 1\nb 12x", 2, "12x"),
            ("a 1\nb -", 2, "-"),
            ("a 99999999999999999999", 1, "whole number"),
            ("a 1e999", 1, "1e999"),
            ("a 1\nb @", 2, "'@'"),
            ("a 1\n\u{e9} 2", 2, "0xc3"),
            ("a NaN", 1, "NaN"),
        ];
        for (document, line, words) in cases {
            let (found_line, message) = fault_of(document);
            assert_eq!(found_line, line, "{document:?}: {message}");
            assert!(message.contains(words), "{document:?}: {message}");
        }
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let nested = |depth: usize| "a [ ".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(fault_of(&nested(MAX_DEPTH + 1)).1.contains("32"));
        assert!(fault_of(&"a [ ".repeat(1_000_000)).1.contains("32"));
        assert!(fault_of(&" ".repeat(MAX_FILE_SIZE + 1)).1.contains("MiB"));
    }
}
