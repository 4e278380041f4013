//! What the binary log tells: events, read from bytes, without I/O.
//!
//! Invariant: reading never panics, and takes no more memory than a few times the bytes that
//! are read.

use super::image::{Operation, TableMap};

/// What a change of the schema has between its first words: the same in SQLite's words, as a
/// text of JSON's. The server keeps a comment there, whatever it makes of the rest.
const WORDS_BEGIN: &str = "/* gridmart ";
const WORDS_END: &str = " */";
/// A statement whose text is compressed: what it is is not known.
const COMPRESSED: u8 = 165;
/// Its transaction is one statement, which nothing ends.
const ALONE: u8 = 1;
/// First words of what changes neither rows nor tables.
const HARMLESS: &[&str] = &[
    "SET", "ANALYZE", "OPTIMIZE", "REPAIR", "CHECK", "FLUSH", "GRANT", "REVOKE",
];

/// One event.
#[derive(Debug, PartialEq)]
pub(super) enum Event<'a> {
    /// A transaction begins.
    Begin {
        domain: u32,
        number: u64,
        /// It ends with its one statement.
        is_alone: bool,
    },
    /// It is committed.
    Commit,
    /// A statement: in which database it ran, whether it failed on its way, its text.
    Statement(&'a [u8], bool, &'a [u8]),
    /// What rows after it are of: its number there, its database, and what is left to read.
    Table(u64, &'a [u8], Rest<'a>),
    /// Rows of a table of that number.
    Rows(u64, Operation, Rest<'a>),
    /// Rows of such a table that are written in a way that is not known here.
    Strange(u64),
    /// The transaction is left open, for its second phase.
    Prepared,
    /// The server has lost a part of its log.
    Incident,
    /// What tells nothing here.
    Other,
}

/// What a statement is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The transaction is committed.
    Commit,
    /// It is taken back.
    Rollback,
    /// It has no part in what is stored.
    Harmless,
    /// A change of the schema, in SQLite's words and in the server's own.
    Schema(String, String),
    /// It changes something, nobody knows what.
    Unknown,
}

/// Reads an event of that kind; `None`: it cannot be read.
pub(super) fn read(kind: u8, bytes: &[u8]) -> Option<Event<'_>> {
    let mut rest = Rest(bytes);
    Some(match kind {
        2 | COMPRESSED => {
            rest.bytes(8)?;
            let database_length = usize::from(rest.byte()?);
            let has_failed = rest.number(2)? != 0;
            let status_length = usize::try_from(rest.number(2)?).ok()?;
            rest.bytes(status_length)?;
            let database = rest.bytes(database_length)?;
            rest.byte()?;
            let text = if kind == COMPRESSED { &[] } else { rest.0 };
            Event::Statement(database, has_failed, text)
        }
        16 => Event::Commit,
        19 => {
            let number = rest.number(6)?;
            rest.number(2)?;
            let length = usize::from(rest.byte()?);
            let database = rest.bytes(length)?;
            rest.byte()?;
            Event::Table(number, database, rest)
        }
        23..=25 => {
            let number = rest.number(6)?;
            rest.number(2)?;
            let operation = match kind {
                23 => Operation::Insert,
                24 => Operation::Update,
                _ => Operation::Delete,
            };
            Event::Rows(number, operation, rest)
        }
        26 => Event::Incident,
        // Of MySQL, or compressed.
        20..=22 | 30..=32 | 39 | 166..=171 => Event::Strange(rest.number(6)?),
        38 => Event::Prepared,
        162 => {
            let number = rest.number(8)?;
            let domain = u32::try_from(rest.number(4)?).ok()?;
            let is_alone = rest.byte()? & ALONE != 0;
            Event::Begin {
                domain,
                number,
                is_alone,
            }
        }
        _ => Event::Other,
    })
}

/// What a statement of the log is.
pub(super) fn told(text: &[u8]) -> Told {
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    let mut words = text.split_ascii_whitespace();
    let (first, second) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let is = |word: &str, wanted: &str| word.eq_ignore_ascii_case(wanted);
    if is(first, "COMMIT") {
        return Told::Commit;
    }
    if is(first, "ROLLBACK") {
        return if is(second, "TO") {
            Told::Unknown
        } else {
            Told::Rollback
        };
    }
    if is(first, "BEGIN") || is(first, "SAVEPOINT") || is(first, "RELEASE") {
        return Told::Harmless;
    }
    if HARMLESS.iter().any(|word| is(first, word)) || is(first, "CREATE") && is(second, "DATABASE")
    {
        return Told::Harmless;
    }
    words_within(text).unwrap_or(Told::Unknown)
}

fn words_within(text: &str) -> Option<Told> {
    let (before, rest) = text.split_once(WORDS_BEGIN)?;
    let (words, after) = rest.split_once(WORDS_END)?;
    let is_ours = before
        .bytes()
        .all(|byte| byte.is_ascii_alphabetic() || byte == b' ');
    let words = is_ours
        .then(|| serde_json::from_str(words).ok())
        .flatten()?;
    Some(Told::Schema(words, format!("{before}{}", after.trim())))
}

/// A change of the schema with the same in SQLite's words, for shadows.
pub(super) fn with_words(text: &str, words: &str) -> String {
    let place = text.match_indices(' ').nth(1);
    let (before, after) = text.split_at(place.map_or(0, |(place, _)| place + 1));
    // No end of a comment is in it: a solidus may be escaped.
    let words = serde_json::Value::from(words).to_string();
    let words = words.replace('/', "\\/");
    format!("{before}{WORDS_BEGIN}{words}{WORDS_END} {after}")
}

/// Bytes that are read from their beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl<'a> Rest<'a> {
    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.bytes(1)?.first().copied()
    }

    /// A whole number of so many bytes, eight at most, the lowest first.
    pub(super) fn number(&mut self, length: usize) -> Option<u64> {
        let bytes = self.bytes(length)?;
        let mut number = 0;
        for byte in bytes.iter().rev() {
            number = number << 8 | u64::from(*byte);
        }
        Some(number)
    }

    /// The same, the highest byte first.
    pub(super) fn high_first(&mut self, length: usize) -> Option<u64> {
        let bytes = self.bytes(length)?;
        let number = bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte));
        Some(number)
    }

    /// A length.
    pub(super) fn length(&mut self) -> Option<usize> {
        let number = match self.byte()? {
            252 => self.number(2)?,
            253 => self.number(3)?,
            254 => self.number(8)?,
            251 | 255 => return None,
            small => u64::from(small),
        };
        usize::try_from(number).ok()
    }

    pub(super) fn table_map(mut self) -> Option<TableMap> {
        let length = usize::from(self.byte()?);
        let name = std::str::from_utf8(self.bytes(length)?).ok()?.to_owned();
        self.byte()?;
        let columns = self.length()?;
        let kinds = self.bytes(columns)?;
        let length = self.length()?;
        let metadata = Rest(self.bytes(length)?);
        TableMap::new(name, kinds, metadata)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_change_of_the_schema_carries_its_words() {
        let words = "CREATE TABLE \"a*/b\" (x TEXT DEFAULT '\u{1F6D2} /* \\')";
        let text = with_words("CREATE UNIQUE INDEX \"i\" ON \"t\" (\"a\")", words);
        assert!(text.starts_with("CREATE UNIQUE /* gridmart \""), "{text}");
        assert!(text.ends_with(" */ INDEX \"i\" ON \"t\" (\"a\")"), "{text}");
        assert_eq!(text.matches("*/").count(), 1, "{text}");
        let own = "CREATE UNIQUE INDEX \"i\" ON \"t\" (\"a\")".to_owned();
        assert_eq!(told(text.as_bytes()), Told::Schema(words.to_owned(), own));
        let dropped = with_words("DROP TABLE \"t\"", "DROP TABLE \"t\"");
        let told_by_server = format!("{dropped} /* generated by server */");
        let own = "DROP TABLE \"t\" /* generated by server */".to_owned();
        let schema = Told::Schema("DROP TABLE \"t\"".to_owned(), own);
        assert_eq!(told(told_by_server.as_bytes()), schema);
    }

    #[test]
    fn what_is_not_gridmarts_is_told_apart() {
        for (text, wanted) in [
            ("BEGIN", Told::Harmless),
            ("COMMIT", Told::Commit),
            ("ROLLBACK", Told::Rollback),
            ("ROLLBACK TO `a`", Told::Unknown),
            ("SAVEPOINT `a`", Told::Harmless),
            ("analyze table t", Told::Harmless),
            ("CREATE DATABASE IF NOT EXISTS x", Told::Harmless),
            ("DROP TABLE `t` /* generated by server */", Told::Unknown),
            (
                "INSERT INTO t VALUES ('/* gridmart \"x\" */')",
                Told::Unknown,
            ),
            ("TRUNCATE t", Told::Unknown),
            ("", Told::Unknown),
        ] {
            assert_eq!(told(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn events_are_read() {
        let mut begin = 14_u64.to_le_bytes().to_vec();
        begin.extend_from_slice(&3_u32.to_le_bytes());
        begin.extend_from_slice(&[1, 0, 0]);
        let wanted = Event::Begin {
            domain: 3,
            number: 14,
            is_alone: true,
        };
        assert_eq!(read(162, &begin), Some(wanted));
        let statement = b"\0\0\0\0\0\0\0\0\x02\0\0\x01\0Zdb\0DROP";
        let wanted = Event::Statement(b"db", false, b"DROP");
        assert_eq!(read(2, statement), Some(wanted));
        assert_eq!(read(2, &statement[..15]), None);
        let wanted = Event::Statement(b"db", false, b"");
        assert_eq!(read(COMPRESSED, statement), Some(wanted));
        assert_eq!(read(27, b"anything"), Some(Event::Other));
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(
            kind in any::<u8>(),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            table in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let map = Rest(&table).table_map();
            match read(kind, &bytes) {
                Some(Event::Rows(_, operation, rest)) => {
                    if let Some(map) = map {
                        let _ = map.rows(operation, rest);
                    }
                }
                Some(Event::Table(_, _, rest)) => drop(rest.table_map()),
                Some(Event::Statement(_, _, text)) => drop(told(text)),
                _ => {}
            }
        }
    }
}
