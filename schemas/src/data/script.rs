//! A text of several SQL statements, cut where one ends: whoever runs them one after the
//! other knows the line of each. Whether they are right is for the Element to judge.

/// A statement of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptStatement<'a> {
    /// Its text, without the `;`.
    pub text: &'a str,
    /// The line of its first word, from 1 on.
    pub line: usize,
    /// Where it ends in the script, in bytes.
    pub end: usize,
}

/// The statements of a script, in order; those without a word are left out.
#[derive(Clone, Debug)]
pub struct Script<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Script<'a> {
    /// All of a text.
    pub const fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Goes on by so many bytes.
    fn pass(&mut self, bytes: usize) {
        let passed = self.rest().iter().take(bytes);
        self.line += passed.filter(|byte| **byte == b'\n').count();
        self.at = (self.at + bytes).min(self.text.len());
    }

    /// Bytes of a comment that begins here.
    fn comment(&self) -> Option<usize> {
        let rest = self.rest();
        if rest.starts_with(b"--") {
            let end = rest.iter().position(|byte| *byte == b'\n');
            return Some(end.unwrap_or(rest.len()));
        }
        if !rest.starts_with(b"/*") {
            return None;
        }
        let (mut depth, mut at) = (0_usize, 0);
        while at < rest.len() {
            match rest.get(at..at + 2) {
                Some(b"/*") => (depth, at) = (depth + 1, at + 2),
                Some(b"*/") => (depth, at) = (depth - 1, at + 2),
                _ => at += 1,
            }
            if depth == 0 {
                return Some(at);
            }
        }
        Some(rest.len())
    }

    /// Bytes of something quoted that begins here; `before`: what stands before it.
    fn quoted(&self, before: &[u8]) -> Option<usize> {
        let rest = self.rest();
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
        match rest.first()? {
            quote @ (b'\'' | b'"') => {
                let escapes = match before {
                    [.., word, b'e' | b'E'] => !is_word(word),
                    [b'e' | b'E'] => true,
                    _ => false,
                };
                Some(quoted_end(rest, *quote, escapes && *quote == b'\''))
            }
            b'$' if !before.last().is_some_and(is_word) => {
                let tag = rest.iter().skip(1).position(|byte| *byte == b'$')? + 2;
                let name = rest.get(1..tag - 1)?;
                if !name.iter().all(is_word) || name.first().is_some_and(u8::is_ascii_digit) {
                    return None;
                }
                let (open, inside) = rest.split_at(tag);
                let end = inside.windows(tag).position(|window| window == open);
                Some(end.map_or(rest.len(), |end| end + 2 * tag))
            }
            _ => None,
        }
    }
}

/// Bytes up to the end of what begins with this quote.
fn quoted_end(rest: &[u8], quote: u8, escapes: bool) -> usize {
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        if escapes && *byte == b'\\' {
            at += 2;
        } else if *byte == quote {
            if rest.get(at + 1) != Some(&quote) {
                return at + 1;
            }
            at += 2;
        } else {
            at += 1;
        }
    }
    rest.len()
}

impl<'a> Iterator for Script<'a> {
    type Item = ScriptStatement<'a>;

    fn next(&mut self) -> Option<ScriptStatement<'a>> {
        let mut begin = None;
        loop {
            let Some(byte) = self.rest().first().copied() else {
                let (start, line) = begin?;
                return Some(self.statement(start, line));
            };
            if byte == b';' {
                let found = begin.map(|(start, line)| self.statement(start, line));
                self.pass(1);
                if found.is_some() {
                    return found;
                }
            } else if let Some(bytes) = self.comment() {
                self.pass(bytes);
            } else {
                if !byte.is_ascii_whitespace() {
                    begin.get_or_insert((self.at, self.line));
                }
                let start = begin.map_or(self.at, |(start, _)| start);
                let before = &self.text.as_bytes()[start..self.at];
                let bytes = self.quoted(before).unwrap_or(1);
                self.pass(bytes);
            }
        }
    }
}

impl<'a> Script<'a> {
    fn statement(&self, start: usize, line: usize) -> ScriptStatement<'a> {
        ScriptStatement {
            text: self.text.get(start..self.at).unwrap_or_default().trim_end(),
            line,
            end: self.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Vec<(usize, &str)> {
        Script::new(text).map(|one| (one.line, one.text)).collect()
    }

    #[test]
    fn statements_end_at_semicolons_that_are_not_quoted() {
        assert_eq!(
            cut("SELECT 1;\n\n-- a; comment\nSELECT ';', \";\"; ;\nSELECT /* ; /* ; */ */ 2"),
            [
                (1, "SELECT 1"),
                (4, "SELECT ';', \";\""),
                (5, "SELECT /* ; /* ; */ */ 2"),
            ]
        );
        assert_eq!(
            cut("SELECT 'it''s;', E'a\\';b';SELECT $$;$$, $t$ ;$$; $t$ ; SELECT $1;x"),
            [
                (1, "SELECT 'it''s;', E'a\\';b'"),
                (1, "SELECT $$;$$, $t$ ;$$; $t$"),
                (1, "SELECT $1"),
                (1, "x"),
            ]
        );
        assert_eq!(cut("SELECT 'open;\n; "), [(1, "SELECT 'open;\n;")]);
        assert_eq!(cut(" ;; -- nothing"), []);
        assert_eq!(cut("SELECT name'\\';x"), [(1, "SELECT name'\\'"), (1, "x")]);
    }

    proptest! {
        /// Nothing is lost, nothing is read twice, and any text comes to its end.
        #[test]
        fn any_text_is_cut(text in "[;'\"$eE/*\\-\na\u{e4}1\\\\ ]{0,40}") {
            let mut last = 0;
            for statement in Script::new(&text) {
                prop_assert!(statement.end >= last && !statement.text.is_empty());
                prop_assert!(text[last..statement.end].contains(statement.text));
                last = statement.end;
            }
        }
    }
}
