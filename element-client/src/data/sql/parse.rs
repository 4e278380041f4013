//! From text to the parser's tree, within bounds.
//!
//! The parser is bounded by itself in how deep it descends, but chains of operators
//! make trees that are deep without descending. How deep a tree can become at most
//! is counted on the tokens before there is a tree.

use sqlparser::{
    ast,
    dialect::PostgreSqlDialect,
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::{Location, Token, TokenWithSpan, Tokenizer},
};

use super::{
    limits::{DEPTH_MAX, NESTING_MAX, TEXT_MAX},
    refusal::{Judgement, Refusal},
};

/// A text cut into statements that are not read yet.
#[derive(Debug, Clone)]
pub struct Statements {
    text: String,
    /// Tokens of each statement; none is empty.
    statements: Vec<Vec<TokenWithSpan>>,
}

/// One statement, not read yet.
#[derive(Debug, Clone, Copy)]
pub struct StatementText<'a> {
    text: &'a str,
    tokens: &'a [TokenWithSpan],
}

impl Statements {
    /// Cuts a text at its semicolons. Statements without a word are left out.
    pub fn split(text: &str) -> Result<Self, Refusal> {
        if text.len() > TEXT_MAX {
            let message = format!(
                "the text has {} bytes: at most {TEXT_MAX} are taken",
                text.len()
            );
            return Err(Refusal::new("54000", message));
        }
        if text.contains('\0') {
            return Err(Refusal::new(
                "22021",
                "a text may not hold the character NUL",
            ));
        }
        let tokens = Tokenizer::new(&PostgreSqlDialect {}, text)
            .tokenize_with_location()
            .map_err(|error| Refusal::syntax(error.message).at(position(text, error.location)))?;
        let mut statements = vec![Vec::new()];
        for token in tokens {
            match &token.token {
                Token::SemiColon => statements.push(Vec::new()),
                Token::Whitespace(_) | Token::EOF => {}
                _ => {
                    if let Some(last) = statements.last_mut() {
                        last.push(token);
                    }
                }
            }
        }
        statements.retain(|statement| !statement.is_empty());
        Ok(Self {
            text: text.to_owned(),
            statements,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.statements.len()
    }

    /// Whether the text says nothing.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// The statements in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = StatementText<'_>> {
        self.statements.iter().map(|tokens| StatementText {
            text: &self.text,
            tokens,
        })
    }
}

impl<'a> StatementText<'a> {
    /// The statement as it was written, and how many characters of the text are before it.
    pub fn source(self) -> (usize, &'a str) {
        let (Some(first), Some(last)) = (self.tokens.first(), self.tokens.last()) else {
            return (0, "");
        };
        let place = |at: Location| position(self.text, at).map_or(0, |place| place - 1);
        let (begin, end) = (place(first.span.start), place(last.span.end));
        let byte = |characters: usize| {
            let mut indices = self.text.char_indices().map(|(index, _)| index);
            indices.nth(characters).unwrap_or(self.text.len())
        };
        (begin, self.text.get(byte(begin)..byte(end)).unwrap_or(""))
    }

    /// Its first word.
    pub fn first_word(self) -> Option<&'a str> {
        match &self.tokens.first()?.token {
            Token::Word(word) => Some(&word.value),
            _ => None,
        }
    }

    /// Runs work whose depth is that of the statement's tree, with enough stack for it.
    ///
    /// # Errors
    /// The statement is nested too deeply.
    pub fn with_stack<T>(self, work: impl FnOnce() -> T) -> Result<T, Refusal> {
        let depth = self.depth()?;
        Ok(super::bind::with_stack(depth, work))
    }

    /// Its words that are not in quotes as texts are, in their order, each with whether
    /// a parenthesis follows.
    pub fn words(self) -> impl Iterator<Item = (&'a str, bool)> {
        let following = self.tokens.iter().skip(1).map(Some).chain([None]);
        self.tokens
            .iter()
            .zip(following)
            .filter_map(|(token, next)| match &token.token {
                Token::Word(word) => {
                    let is_call = next.is_some_and(|next| next.token == Token::LParen);
                    Some((word.value.as_str(), is_call))
                }
                _ => None,
            })
    }
}

impl StatementText<'_> {
    /// How deep the tree of it can become at most; refuses what is too deep.
    pub(in crate::data::sql) fn depth(self) -> Judgement<usize> {
        depth(self.tokens).map_err(|(refusal, at)| refusal.at(position(self.text, at)))
    }

    /// Reads it. The stack has to be large enough for its depth.
    pub(in crate::data::sql) fn read(self) -> Judgement<ast::Statement> {
        let mut parser = self.parser();
        let read = parser
            .parse_statement()
            .map_err(|error| self.refusal(error, &parser))?;
        self.finish(&mut parser)?;
        Ok(read)
    }

    /// Reads it as an expression alone.
    pub(in crate::data::sql) fn read_expression(self) -> Judgement<ast::Expr> {
        let mut parser = self.parser();
        let read = parser
            .parse_expr()
            .map_err(|error| self.refusal(error, &parser))?;
        self.finish(&mut parser)?;
        Ok(read)
    }

    /// Where a place in the parser's tree is, in characters from 1.
    pub(in crate::data::sql) fn position(self, at: Location) -> Option<usize> {
        position(self.text, at)
    }

    fn parser(self) -> Parser<'static> {
        Parser::new(&PostgreSqlDialect {})
            .with_recursion_limit(NESTING_MAX)
            .with_tokens_with_locations(self.tokens.to_vec())
    }

    fn finish(self, parser: &mut Parser<'_>) -> Judgement<()> {
        let rest = parser.peek_token();
        if rest.token == Token::EOF {
            return Ok(());
        }
        let message = format!("syntax error at or near \"{}\"", shown(&rest.token));
        Err(Refusal::syntax(message).at(position(self.text, rest.span.start)))
    }

    fn refusal(self, error: ParserError, parser: &Parser<'_>) -> Refusal {
        let at = position(self.text, parser.peek_token().span.start);
        match error {
            ParserError::RecursionLimitExceeded => too_deep().at(at),
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
                // The parser appends the place in its own words.
                let message = message.split(" at Line: ").next().unwrap_or("").to_owned();
                Refusal::syntax(format!("syntax error: {message}")).at(at)
            }
        }
    }
}

fn shown(token: &Token) -> String {
    token.to_string().chars().take(64).collect()
}

fn too_deep() -> Refusal {
    let message = format!(
        "the statement is nested too deeply: {NESTING_MAX} parentheses and {DEPTH_MAX} operators inside of each other are taken"
    );
    Refusal::new("54001", message)
}

/// Counts, between commas, every token that may put one node above another. What is
/// in parentheses adds to what is around it.
fn depth(tokens: &[TokenWithSpan]) -> Result<usize, (Refusal, Location)> {
    // Of each open parenthesis: the count since the last comma, and the highest.
    let mut open: Vec<(usize, usize)> = vec![(0, 0)];
    for token in tokens {
        let too_deep = || (too_deep(), token.span.start);
        let Some(level) = open.last_mut() else {
            return Ok(0);
        };
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                level.0 += 1;
                if open.len() > 4 * NESTING_MAX {
                    return Err(too_deep());
                }
                open.push((0, 0));
                continue;
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                let inner = level.0.max(level.1);
                if open.len() > 1 {
                    open.pop();
                }
                if let Some(around) = open.last_mut() {
                    around.0 += inner;
                }
            }
            Token::Comma => {
                level.1 = level.1.max(level.0);
                level.0 = 0;
            }
            token if is_flat(token) => {}
            _ => level.0 += 1,
        }
        if open
            .iter()
            .map(|(count, highest)| count.max(highest))
            .sum::<usize>()
            > DEPTH_MAX
        {
            return Err(too_deep());
        }
    }
    Ok(open
        .iter()
        .map(|(count, highest)| *count.max(highest))
        .sum())
}

/// Names, values and points put nothing above anything.
fn is_flat(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.keyword == Keyword::NoKeyword,
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::Placeholder(_)
        | Token::Period => true,
        _ => false,
    }
}

/// Lines and columns as one number.
fn position(text: &str, at: Location) -> Option<usize> {
    if at.line == 0 {
        return None;
    }
    let before: usize = text
        .split('\n')
        .take(usize::try_from(at.line - 1).ok()?)
        .map(|line| line.chars().count() + 1)
        .sum();
    Some(before + usize::try_from(at.column).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth_of(text: &str) -> usize {
        let statements = Statements::split(text).unwrap();
        statements.iter().next().unwrap().depth().unwrap()
    }

    #[test]
    fn a_text_is_cut_at_its_semicolons_only() {
        let statements =
            Statements::split("SELECT ';' AS \"a;b\"; -- x;y\n ;; SELECT $$;$$ ;").unwrap();
        assert_eq!(statements.len(), 2);
        assert!(Statements::split(" ; /* nothing */ ").unwrap().is_empty());
    }

    #[test]
    fn a_statement_is_found_again_in_its_text() {
        let statements = Statements::split("SELECT 'ä';\n  SELECT\n 2 ; SELECT f(3)").unwrap();
        let sources: Vec<_> = statements.iter().map(StatementText::source).collect();
        assert_eq!(
            sources,
            [(0, "SELECT 'ä'"), (14, "SELECT\n 2"), (26, "SELECT f(3)")]
        );
        let last = statements.iter().next_back().unwrap();
        let words: Vec<_> = last.words().collect();
        assert_eq!(words, [("SELECT", false), ("f", true)]);
    }

    #[test]
    fn lists_are_flat_and_chains_are_deep() {
        let list = vec!["(1, -2, 'x')"; 1_000].join(", ");
        assert!(depth_of(&format!("INSERT INTO t VALUES {list}")) < 20);
        let chain = vec!["a"; 1_000].join(" + ");
        assert!(depth_of(&format!("SELECT {chain}")) >= 1_000);
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let deep = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
        let chain = format!("SELECT 1{}", " + 1".repeat(10_000));
        for text in [deep, chain] {
            let statements = Statements::split(&text).unwrap();
            let refusal = statements.iter().next().unwrap().depth().unwrap_err();
            assert_eq!(refusal.state, "54001");
        }
        let long = format!("SELECT '{}'", "x".repeat(TEXT_MAX));
        assert_eq!(Statements::split(&long).unwrap_err().state, "54000");
        assert_eq!(
            Statements::split("SELECT 'a\0b'").unwrap_err().state,
            "22021"
        );
        assert_eq!(
            Statements::split("SELECT 'open").unwrap_err().state,
            "42601"
        );
    }

    #[test]
    fn places_are_counted_in_characters() {
        let statements = Statements::split("SELECT 'ä',\n FROM )").unwrap();
        let refusal = statements.iter().next().unwrap().read().unwrap_err();
        assert_eq!((refusal.state, refusal.position.is_some()), ("42601", true));
    }
}
