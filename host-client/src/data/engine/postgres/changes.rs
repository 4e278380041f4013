//! What logical decoding tells (`pgoutput`, version 1, values in their binary forms): read
//! from bytes, without I/O.
//!
//! Invariant: reading never panics, and takes no more memory than the bytes that are read.

use std::{fmt, num::ParseIntError, str::FromStr};

/// A place in the server's own log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lsn(pub(super) u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl FromStr for Lsn {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (high, low) = text.split_once('/').unwrap_or(("", text));
        let (high, low) = (
            u32::from_str_radix(high, 16)?,
            u32::from_str_radix(low, 16)?,
        );
        Ok(Self(u64::from(high) << 32 | u64::from(low)))
    }
}

/// What follows a message of gridmart's.
pub(super) const PREFIX: &str = "gridmart";

const NULL: u8 = b'n';
const UNCHANGED: u8 = b'u';
const BINARY: u8 = b'b';

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// Nothing.
    Null,
    /// As it was: a large value that an update leaves alone.
    Unchanged,
    /// In the binary form of its type.
    Value(Vec<u8>),
}

/// A table, as the rows after it have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    /// Its number.
    pub(super) id: u32,
    /// Its name.
    pub(super) name: String,
    /// PostgreSQL's numbers of its columns' types.
    pub(super) types: Vec<u32>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A transaction begins.
    Begin,
    /// It was committed: where it ends, and when, in microseconds since 2000.
    Commit(Lsn, i64),
    /// A table.
    Relation(Relation),
    /// A row is new.
    Insert(u32, Vec<Field>),
    /// A row is another: before and after.
    Update(u32, Vec<Field>, Vec<Field>),
    /// A row is gone.
    Delete(u32, Vec<Field>),
    /// Gridmart's own words.
    Told(Vec<u8>),
    /// What tells nothing here.
    Other,
}

/// Reads one message; `None`: it cannot be read.
pub(super) fn read(bytes: &[u8]) -> Option<Message> {
    let mut rest = Rest(bytes);
    Some(match rest.byte()? {
        b'B' => Message::Begin,
        b'C' => {
            rest.byte()?;
            rest.eight()?;
            let end = Lsn(u64::from_be_bytes(rest.eight()?));
            Message::Commit(end, i64::from_be_bytes(rest.eight()?))
        }
        b'R' => Message::Relation(relation(&mut rest)?),
        b'I' => {
            let id = rest.number()?;
            rest.expect(b'N')?;
            Message::Insert(id, rest.fields()?)
        }
        b'U' => {
            let id = rest.number()?;
            // The whole old row: tables are set so.
            rest.expect(b'O')?;
            let old = rest.fields()?;
            rest.expect(b'N')?;
            Message::Update(id, old, rest.fields()?)
        }
        b'D' => {
            let id = rest.number()?;
            rest.expect(b'O')?;
            Message::Delete(id, rest.fields()?)
        }
        b'M' => {
            rest.byte()?;
            rest.eight()?;
            if rest.text()? != PREFIX {
                return Some(Message::Other);
            }
            let length = usize::try_from(rest.number()?).ok()?;
            Message::Told(rest.bytes(length)?.to_vec())
        }
        // Tables are never truncated here, types are those that are known.
        b'T' => return None,
        _ => Message::Other,
    })
}

fn relation(rest: &mut Rest<'_>) -> Option<Relation> {
    let id = rest.number()?;
    rest.text()?;
    let name = rest.text()?.to_owned();
    rest.byte()?;
    let columns = rest.short()?;
    let mut types = Vec::new();
    for _ in 0..columns {
        rest.byte()?;
        rest.text()?;
        types.push(rest.number()?);
        rest.number()?;
    }
    Some(Relation { id, name, types })
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.byte()? == wanted).then_some(())
    }

    fn short(&mut self) -> Option<u16> {
        self.bytes(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn number(&mut self) -> Option<u32> {
        self.bytes(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn eight(&mut self) -> Option<[u8; 8]> {
        self.bytes(8)?.try_into().ok()
    }

    fn text(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = std::str::from_utf8(self.bytes(end)?).ok()?;
        self.byte()?;
        Some(text)
    }

    fn fields(&mut self) -> Option<Vec<Field>> {
        let count = self.short()?;
        let mut fields = Vec::new();
        for _ in 0..count {
            fields.push(match self.byte()? {
                NULL => Field::Null,
                UNCHANGED => Field::Unchanged,
                BINARY => {
                    let length = usize::try_from(self.number()?).ok()?;
                    Field::Value(self.bytes(length)?.to_vec())
                }
                // All types here have a binary form: none comes as text.
                _ => return None,
            });
        }
        Some(fields)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_are_read_and_damage_is_none() {
        let mut relation = b"R\0\0\0\x07public\0t\0f\0\x01\x01id\0".to_vec();
        relation.extend_from_slice(&23_u32.to_be_bytes());
        relation.extend_from_slice(&(-1_i32).to_be_bytes());
        let told = Relation {
            id: 7,
            name: "t".to_owned(),
            types: vec![23],
        };
        assert_eq!(read(&relation), Some(Message::Relation(told)));
        let update = b"U\0\0\0\x07O\0\x02b\0\0\0\x01xnN\0\x02ub\0\0\0\0";
        let fields = |fields: &[Field]| fields.to_vec();
        let old = fields(&[Field::Value(vec![b'x']), Field::Null]);
        let new = fields(&[Field::Unchanged, Field::Value(Vec::new())]);
        assert_eq!(read(update), Some(Message::Update(7, old, new)));
        let mut commit = vec![b'C', 0];
        commit.extend_from_slice(&1_u64.to_be_bytes());
        commit.extend_from_slice(&2_u64.to_be_bytes());
        commit.extend_from_slice(&3_i64.to_be_bytes());
        assert_eq!(read(&commit), Some(Message::Commit(Lsn(2), 3)));
        let own = b"M\x01\0\0\0\0\0\0\0\0gridmart\0\0\0\0\x02{}";
        assert_eq!(read(own), Some(Message::Told(b"{}".to_vec())));
        for damaged in [&update[..9], b"", b"T", b"M\x01", b"I\0\0\0\x07K"] {
            assert_eq!(read(damaged), None, "{damaged:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
