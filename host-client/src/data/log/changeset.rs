//! Changes of rows as bytes: the changeset format of SQLite's session extension.
//!
//! It is written here rather than by the extension: a session takes of an update
//! the changed columns only, looks each row up a second time, and costs a set-up
//! per statement, where the entries of a group commit are one statement each.
//! What differs from what the extension writes: changes stand in the order in
//! which they were made, a row may have several, and an update has the whole old
//! row. The extension's own functions read and apply it (a test does).
//!
//! Invariant: reading never panics and never takes more memory than the bytes
//! that are read.

use rusqlite::types::ValueRef;

use super::varint;

const TABLE: u8 = b'T';
const INSERT: u8 = 18;
const DELETE: u8 = 9;
const UPDATE: u8 = 23;

const UNDEFINED: u8 = 0;
const INTEGER: u8 = 1;
const FLOAT: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;
const NULL: u8 = 5;

/// Columns of a table at most: SQLite's own limit.
const COLUMNS_MAX: u64 = 2000;

/// Bytes that are no changeset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the changes of rows are damaged at byte {at}: {what}")]
pub struct ChangesetError {
    at: usize,
    what: &'static str,
}

/// A value of a row; `None` in an update's new row is a column that stays.
pub type Cell<'a> = Option<ValueRef<'a>>;

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is new.
    Insert,
    /// It is gone.
    Delete,
    /// Columns that are not of its key are different.
    Update,
}

/// The table that the changes after it belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableHead<'a> {
    /// Its name.
    pub name: &'a str,
    /// For each column its place in the key, from 1 on; 0 if it is not of it.
    pub key: &'a [u8],
}

/// A change of a row. There are as many cells as columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Change<'a> {
    /// Which.
    pub operation: Operation,
    /// The whole row before; empty for an insert.
    pub old: Vec<Cell<'a>>,
    /// The row after; empty for a delete.
    pub new: Vec<Cell<'a>>,
}

impl Change<'_> {
    /// Whether a row is as it was: somebody has set what it had.
    pub fn changes_nothing(&self) -> bool {
        self.operation == Operation::Update && self.new.iter().all(Option::is_none)
    }
}

/// What stands in a changeset.
#[derive(Clone, Debug, PartialEq)]
pub enum Item<'a> {
    /// Another table begins.
    Table(TableHead<'a>),
    /// A change in the table that was last named.
    Change(Change<'a>),
}

/// Adds the head of a table.
pub fn put_table(buffer: &mut Vec<u8>, name: &str, key: &[u8]) {
    buffer.push(TABLE);
    varint::put(buffer, key.len() as u64);
    buffer.extend_from_slice(key);
    buffer.extend_from_slice(name.as_bytes());
    buffer.push(0);
}

/// Adds what every change begins with; `indirect` tells that a trigger or a
/// foreign key made it.
pub fn put_operation(buffer: &mut Vec<u8>, operation: Operation, indirect: bool) {
    buffer.push(match operation {
        Operation::Insert => INSERT,
        Operation::Delete => DELETE,
        Operation::Update => UPDATE,
    });
    buffer.push(u8::from(indirect));
}

/// Adds a cell.
pub fn put_cell(buffer: &mut Vec<u8>, cell: Cell<'_>) {
    match cell {
        None => buffer.push(UNDEFINED),
        Some(ValueRef::Null) => buffer.push(NULL),
        Some(ValueRef::Integer(number)) => {
            buffer.push(INTEGER);
            buffer.extend_from_slice(&number.to_be_bytes());
        }
        Some(ValueRef::Real(number)) => {
            buffer.push(FLOAT);
            buffer.extend_from_slice(&number.to_bits().to_be_bytes());
        }
        Some(ValueRef::Text(bytes)) => put_bytes(buffer, TEXT, bytes),
        Some(ValueRef::Blob(bytes)) => put_bytes(buffer, BLOB, bytes),
    }
}

fn put_bytes(buffer: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    buffer.push(kind);
    varint::put(buffer, bytes.len() as u64);
    buffer.extend_from_slice(bytes);
}

/// Reads a changeset, item by item; after an error it ends.
pub struct Reader<'a> {
    all: usize,
    rest: &'a [u8],
    columns: usize,
}

impl<'a> Reader<'a> {
    /// From the first item on.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            all: bytes.len(),
            rest: bytes,
            columns: 0,
        }
    }

    fn item(&mut self) -> Result<Item<'a>, ChangesetError> {
        let operation = match self.byte()? {
            TABLE => return self.table().map(Item::Table),
            INSERT => Operation::Insert,
            DELETE => Operation::Delete,
            UPDATE => Operation::Update,
            _ => return Err(self.damaged("an unknown operation")),
        };
        if self.columns == 0 {
            return Err(self.damaged("a change without a table"));
        }
        self.byte()?;
        let old = match operation {
            Operation::Insert => Vec::new(),
            Operation::Delete | Operation::Update => self.cells()?,
        };
        let new = match operation {
            Operation::Delete => Vec::new(),
            Operation::Insert | Operation::Update => self.cells()?,
        };
        Ok(Item::Change(Change {
            operation,
            old,
            new,
        }))
    }

    fn table(&mut self) -> Result<TableHead<'a>, ChangesetError> {
        let columns = self.number()?;
        if columns == 0 || columns > COLUMNS_MAX {
            return Err(self.damaged("a table of no columns, or of too many"));
        }
        let columns = usize::try_from(columns).unwrap_or(usize::MAX);
        let key = self.bytes(columns)?;
        let end = self.rest.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| self.damaged("a name without its end"))?;
        let name = self.bytes(end)?;
        self.byte()?;
        let name = std::str::from_utf8(name).map_err(|_| self.damaged("a name that is no text"))?;
        self.columns = columns;
        Ok(TableHead { name, key })
    }

    fn cells(&mut self) -> Result<Vec<Cell<'a>>, ChangesetError> {
        // A cell is a byte at least: no more is reserved than can come.
        let mut cells = Vec::with_capacity(self.columns.min(self.rest.len()));
        for _ in 0..self.columns {
            cells.push(self.cell()?);
        }
        Ok(cells)
    }

    fn cell(&mut self) -> Result<Cell<'a>, ChangesetError> {
        Ok(Some(match self.byte()? {
            UNDEFINED => return Ok(None),
            NULL => ValueRef::Null,
            INTEGER => ValueRef::Integer(i64::from_be_bytes(self.eight()?)),
            FLOAT => ValueRef::Real(f64::from_bits(u64::from_be_bytes(self.eight()?))),
            TEXT => ValueRef::Text(self.sized()?),
            BLOB => ValueRef::Blob(self.sized()?),
            _ => return Err(self.damaged("an unknown kind of value")),
        }))
    }

    fn sized(&mut self) -> Result<&'a [u8], ChangesetError> {
        let length = self.number()?;
        let length =
            usize::try_from(length).map_err(|_| self.damaged("a value that is too long"))?;
        self.bytes(length)
    }

    fn eight(&mut self) -> Result<[u8; 8], ChangesetError> {
        let bytes = self.bytes(8)?;
        bytes
            .try_into()
            .map_err(|_| self.damaged("a number that ends early"))
    }

    fn byte(&mut self) -> Result<u8, ChangesetError> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], ChangesetError> {
        let taken = self.rest.split_at_checked(length);
        let (taken, rest) = taken.ok_or_else(|| self.damaged("it ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64, ChangesetError> {
        let number = varint::take(&mut self.rest);
        number.ok_or_else(|| self.damaged("a number that ends early"))
    }

    const fn damaged(&self, what: &'static str) -> ChangesetError {
        ChangesetError {
            at: self.all - self.rest.len(),
            what,
        }
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Item<'a>, ChangesetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let item = self.item();
        if item.is_err() {
            self.rest = &[];
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn changes_come_back() {
        let mut bytes = Vec::new();
        put_table(&mut bytes, "café", &[1, 0]);
        put_operation(&mut bytes, Operation::Update, true);
        let old = vec![Some(ValueRef::Integer(-1)), Some(ValueRef::Real(-0.0))];
        let new = vec![None, Some(ValueRef::Null)];
        for cell in old.iter().chain(&new) {
            put_cell(&mut bytes, *cell);
        }
        let items: Vec<_> = Reader::new(&bytes).collect::<Result<_, _>>().unwrap();
        let head = TableHead {
            name: "café",
            key: &[1, 0],
        };
        let change = Change {
            operation: Operation::Update,
            old,
            new,
        };
        assert_eq!(items, [Item::Table(head), Item::Change(change)]);
    }

    #[test]
    fn damage_is_told() {
        for bytes in [
            &b"X"[..],
            b"T",
            b"T\x00",
            b"T\x01\x01t",
            &[INSERT, 0, NULL],
            &[TABLE, 1, 1, b't', 0, INSERT, 0, 9],
            &[
                TABLE, 1, 1, b't', 0, INSERT, 0, BLOB, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                0xFF, 0xFF,
            ],
        ] {
            assert!(Reader::new(bytes).any(|item| item.is_err()), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(prop_oneof![
            prop::sample::select(vec![TABLE, INSERT, DELETE, UPDATE, 0, 1, 2, 3, 4, 5]),
            any::<u8>(),
        ], 0..200)) {
            let errors = Reader::new(&bytes).filter(Result::is_err).count();
            prop_assert!(errors <= 1);
        }
    }
}
