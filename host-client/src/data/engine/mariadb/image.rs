//! Rows as the binary log has them: each value in the form of its column's type. Types that
//! no column of gridmart's has are not read.

use std::fmt::Write as _;

use mysql_async::Value;

use super::events::Rest;

const TINY: u8 = 1;
const SHORT: u8 = 2;
const LONG: u8 = 3;
const FLOAT: u8 = 4;
const DOUBLE: u8 = 5;
const LONGLONG: u8 = 8;
const DATE: u8 = 10;
const NEWDATE: u8 = 14;
const VARCHAR: u8 = 15;
const BIT: u8 = 16;
const TIMESTAMP2: u8 = 17;
const DATETIME2: u8 = 18;
const TIME2: u8 = 19;
const NEWDECIMAL: u8 = 246;
const ENUM: u8 = 247;
const SET: u8 = 248;
const TINY_BLOB: u8 = 249;
const BLOB: u8 = 252;
const STRING: u8 = 254;

/// Digits that four bytes have.
const GROUP: usize = 9;
/// Bytes for fewer digits.
const GROUP_BYTES: [usize; GROUP] = [0, 1, 1, 2, 2, 3, 3, 4, 4];
/// Digits of a number, at most.
const DIGITS_MAX: usize = 65;

/// What was done to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Insert,
    Update,
    Delete,
}

/// A row before and after.
#[derive(Debug, PartialEq)]
pub(super) struct Changed {
    pub(super) before: Option<Vec<Value>>,
    pub(super) after: Option<Vec<Value>>,
}

/// A table as rows after it have it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TableMap {
    pub(super) name: String,
    columns: Vec<Column>,
}

#[derive(Debug, PartialEq, Eq)]
struct Column {
    kind: u8,
    /// Two bytes at most; what they are depends on the type.
    metadata: [u8; 2],
}

impl TableMap {
    pub(super) fn new(name: String, kinds: &[u8], mut metadata: Rest<'_>) -> Option<Self> {
        let column = |kind: &u8| {
            let mut column = Column {
                kind: *kind,
                metadata: [0; 2],
            };
            let length = match *kind {
                FLOAT | DOUBLE | TINY_BLOB..=BLOB | TIMESTAMP2 | DATETIME2 | TIME2 => 1,
                VARCHAR | NEWDECIMAL | STRING | ENUM | SET | BIT => 2,
                _ => 0,
            };
            for (place, byte) in column.metadata.iter_mut().zip(metadata.bytes(length)?) {
                *place = *byte;
            }
            Some(column)
        };
        let columns: Option<Vec<Column>> = kinds.iter().map(column).collect();
        let columns = columns.filter(|columns| !columns.is_empty())?;
        Some(Self { name, columns })
    }

    /// Rows of the table; `None`: they cannot be read, or are not whole.
    pub(super) fn rows(&self, operation: Operation, mut rest: Rest<'_>) -> Option<Vec<Changed>> {
        if rest.length()? != self.columns.len() {
            return None;
        }
        let images = if operation == Operation::Update { 2 } else { 1 };
        for _ in 0..images {
            let used = rest.bytes(self.columns.len().div_ceil(8))?;
            let is_whole = (0..self.columns.len()).all(|index| bit(used, index));
            if !is_whole {
                return None;
            }
        }
        let mut rows = Vec::new();
        while !rest.0.is_empty() {
            let first = self.row(&mut rest)?;
            rows.push(match operation {
                Operation::Insert => Changed {
                    before: None,
                    after: Some(first),
                },
                Operation::Update => Changed {
                    before: Some(first),
                    after: Some(self.row(&mut rest)?),
                },
                Operation::Delete => Changed {
                    before: Some(first),
                    after: None,
                },
            });
        }
        Some(rows)
    }

    fn row(&self, rest: &mut Rest<'_>) -> Option<Vec<Value>> {
        let nulls = rest.bytes(self.columns.len().div_ceil(8))?;
        let values = self.columns.iter().enumerate().map(|(index, column)| {
            if bit(nulls, index) {
                return Some(Value::NULL);
            }
            column.value(rest)
        });
        values.collect()
    }
}

fn bit(bits: &[u8], index: usize) -> bool {
    let byte = bits.get(index / 8).copied().unwrap_or_default();
    byte >> (index % 8) & 1 == 1
}

impl Column {
    fn value(&self, rest: &mut Rest<'_>) -> Option<Value> {
        let [first, second] = self.metadata;
        Some(match self.kind {
            TINY => Value::Int(signed(rest.number(1)?, 8)),
            SHORT => Value::Int(signed(rest.number(2)?, 16)),
            LONG => Value::Int(signed(rest.number(4)?, 32)),
            LONGLONG => Value::Int(signed(rest.number(8)?, 64)),
            FLOAT => Value::Float(f32::from_le_bytes(rest.bytes(4)?.try_into().ok()?)),
            DOUBLE => Value::Double(f64::from_le_bytes(rest.bytes(8)?.try_into().ok()?)),
            NEWDECIMAL => Value::Bytes(decimal(rest, first.into(), second.into())?),
            VARCHAR => {
                let is_short = u16::from_le_bytes(self.metadata) < 256;
                bytes(rest, if is_short { 1 } else { 2 })?
            }
            TINY_BLOB..=BLOB if (1..=4).contains(&first) => bytes(rest, first.into())?,
            DATE | NEWDATE => {
                let packed = rest.number(3)?;
                date(packed >> 5, packed & 31, Clock::default())?
            }
            DATETIME2 => {
                let packed = rest.high_first(5)?.checked_sub(1 << 39)?;
                let mut clock = Clock::of(packed & 0x1_FFFF)?;
                clock.micro = fraction(rest, first)?;
                let months = packed >> 22;
                let month = ((months / 13) << 4) | (months % 13);
                date(month, packed >> 17 & 31, clock)?
            }
            TIME2 => {
                let packed = rest.high_first(3)?.checked_sub(1 << 23)?;
                let mut clock = Clock::of(packed)?;
                clock.micro = fraction(rest, first)?;
                Value::Time(
                    false,
                    0,
                    clock.hour,
                    clock.minute,
                    clock.second,
                    clock.micro,
                )
            }
            _ => return None,
        })
    }
}

/// A number of so many bits whose highest is its sign.
fn signed(number: u64, bits: u32) -> i64 {
    let unused = 64 - bits;
    (number << unused).cast_signed() >> unused
}

fn bytes(rest: &mut Rest<'_>, length_bytes: usize) -> Option<Value> {
    let length = usize::try_from(rest.number(length_bytes)?).ok()?;
    Some(Value::Bytes(rest.bytes(length)?.to_vec()))
}

#[derive(Clone, Copy, Default)]
struct Clock {
    hour: u8,
    minute: u8,
    second: u8,
    micro: u32,
}

impl Clock {
    /// Five bits for the hour, six for minute and second each.
    fn of(packed: u64) -> Option<Self> {
        Some(Self {
            hour: u8::try_from(packed >> 12).ok()?,
            minute: u8::try_from(packed >> 6 & 63).ok()?,
            second: u8::try_from(packed & 63).ok()?,
            micro: 0,
        })
    }
}

/// A year and month in four bits.
fn date(month: u64, day: u64, clock: Clock) -> Option<Value> {
    Some(Value::Date(
        u16::try_from(month >> 4).ok()?,
        u8::try_from(month & 15).ok()?,
        u8::try_from(day).ok()?,
        clock.hour,
        clock.minute,
        clock.second,
        clock.micro,
    ))
}

/// Microseconds, of which so many digits are kept.
fn fraction(rest: &mut Rest<'_>, digits: u8) -> Option<u32> {
    let length = usize::from(digits.div_ceil(2));
    let kept = u32::try_from(rest.high_first(length)?).ok()?;
    match digits {
        0 => Some(0),
        1 | 2 => kept.checked_mul(10_000),
        3 | 4 => kept.checked_mul(100),
        5 | 6 => Some(kept),
        _ => None,
    }
}

/// Groups of digits, of a negative number with all bits turned.
fn decimal(rest: &mut Rest<'_>, digits: usize, scale: usize) -> Option<Vec<u8>> {
    let whole = digits.checked_sub(scale)?;
    if digits > DIGITS_MAX {
        return None;
    }
    let size = |digits: usize| digits / GROUP * 4 + GROUP_BYTES[digits % GROUP];
    let mut bytes = rest.bytes(size(whole) + size(scale))?.to_vec();
    let head = bytes.first_mut()?;
    let is_negative = *head & 0x80 == 0;
    *head ^= 0x80;
    if is_negative {
        for byte in &mut bytes {
            *byte = !*byte;
        }
    }
    let mut rest = Rest(&bytes);
    let mut text = String::with_capacity(digits + 3);
    let mut group = |text: &mut String, digits: usize| {
        let length = if digits == GROUP {
            4
        } else {
            GROUP_BYTES[digits]
        };
        let number = rest.high_first(length)?;
        if digits > 0 {
            let _ = write!(text, "{number:0digits$}");
        }
        Some(())
    };
    group(&mut text, whole % GROUP)?;
    for _ in 0..whole / GROUP {
        group(&mut text, GROUP)?;
    }
    let leading = text.len() - text.trim_start_matches('0').len();
    text.drain(..leading);
    if text.is_empty() {
        text.push('0');
    }
    if is_negative {
        text.insert(0, '-');
    }
    if scale > 0 {
        text.push('.');
        for _ in 0..scale / GROUP {
            group(&mut text, GROUP)?;
        }
        group(&mut text, scale % GROUP)?;
    }
    Some(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_digit_by_digit() {
        let read = |bytes: &[u8], digits, scale| {
            let text = decimal(&mut Rest(bytes), digits, scale)?;
            String::from_utf8(text).ok()
        };
        let positive = [0x81, 0x0D, 0xFB, 0x38, 0xD2, 0x04, 0xD2];
        assert_eq!(read(&positive, 14, 4).as_deref(), Some("1234567890.1234"));
        let negative = positive.map(|byte: u8| !byte);
        assert_eq!(read(&negative, 14, 4).as_deref(), Some("-1234567890.1234"));
        assert_eq!(read(&[0x80, 0x05], 4, 2).as_deref(), Some("0.05"));
        assert_eq!(read(&[0x80], 2, 0).as_deref(), Some("0"));
        assert_eq!(read(&positive[..3], 14, 4), None);
        assert_eq!(read(&positive, 4, 14), None);
    }

    #[test]
    fn rows_that_are_not_whole_are_refused() {
        let map = TableMap::new("t".to_owned(), &[LONG, VARCHAR], Rest(&[0x20, 0])).unwrap();
        let row = b"\x02\x03\0\x07\0\0\0\x02ab\x02\x08\0\0\0";
        let rows = map.rows(Operation::Insert, Rest(row)).unwrap();
        let text = Value::Bytes(b"ab".to_vec());
        assert_eq!(rows[0].after, Some(vec![Value::Int(7), text]));
        assert_eq!(rows[1].after, Some(vec![Value::Int(8), Value::NULL]));
        assert_eq!(map.rows(Operation::Insert, Rest(b"\x02\x01\0")), None);
        assert_eq!(map.rows(Operation::Insert, Rest(&row[..9])), None);
        assert_eq!(map.rows(Operation::Update, Rest(row)), None);
    }
}
