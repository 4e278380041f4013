//! Values as PostgreSQL's protocol has them: as text and in binary form.

use bytes::{BufMut as _, BytesMut};
use gridmart_fabric::sqlite::functions::value::float_text;
use gridmart_schemas::data::{Numeric, SqlDate, SqlTime, SqlType, Timestamp, TimestampTz, Value};
use time::{Date, Duration, PrimitiveDateTime, Time};
use uuid::Uuid;

use super::wire::backend::{Fault, Field};
use crate::data::sql::{BaseType, Literal, constant};

/// Text, and the other form.
pub(super) const TEXT: i16 = 0;
pub(super) const BINARY: i16 = 1;
/// Numbers of types that no column has, which clients declare all the same.
const UNKNOWN: u32 = 705;
const NAME: u32 = 19;
const OID: u32 = 26;
const BPCHAR: u32 = 1042;
/// The day from which days and microseconds are counted.
const EPOCH: PrimitiveDateTime =
    PrimitiveDateTime::new(time::macros::date!(2000 - 01 - 01), Time::MIDNIGHT);
/// Decimal digits of a digit of a numeric.
const DIGIT: usize = 4;

/// The form of a parameter or column: none is said, one for all, or one for each.
pub(super) fn format_of(formats: &[i16], index: usize) -> i16 {
    match formats {
        [] => TEXT,
        [all] => *all,
        each => each.get(index).copied().unwrap_or(TEXT),
    }
}

/// Refuses forms that there are not, and too many or too few of them.
pub(super) fn require_formats(formats: &[i16], count: usize) -> Result<(), Fault> {
    if formats.len() > 1 && formats.len() != count {
        let message = format!("{} forms came for {count} values", formats.len());
        return Err(Fault::new("08P01", message));
    }
    match formats
        .iter()
        .find(|format| ![TEXT, BINARY].contains(format))
    {
        Some(other) => Err(Fault::new("22023", format!("there is no form {other}"))),
        None => Ok(()),
    }
}

/// The type that a client declares by its number; `None`: it leaves it open.
pub(super) fn declared(oid: u32) -> Result<Option<BaseType>, Fault> {
    match oid {
        0 | UNKNOWN => Ok(None),
        NAME | BPCHAR => Ok(Some(BaseType::Text)),
        OID => Ok(Some(BaseType::Int8)),
        oid => BaseType::from_oid(oid).map(Some).ok_or_else(|| {
            let message =
                format!("parameters of the type with number {oid} are not supported here");
            Fault::new("0A000", message)
        }),
    }
}

/// A column of a result.
pub(super) fn field(name: &str, sql_type: SqlType) -> Field {
    let base = BaseType::from(sql_type);
    Field {
        name: name.to_owned(),
        oid: base.oid(),
        size: match base {
            BaseType::Bool => 1,
            BaseType::Int2 => 2,
            BaseType::Int4 | BaseType::Float4 | BaseType::Date => 4,
            BaseType::Int8
            | BaseType::Float8
            | BaseType::Time
            | BaseType::Timestamp
            | BaseType::TimestampTz => 8,
            BaseType::Uuid => 16,
            _ => -1,
        },
    }
}

/// Puts a value in that form; false: there is none.
pub(super) fn put(out: &mut BytesMut, value: &Value, format: i16, oid: u32) -> bool {
    if *value == Value::Null {
        return false;
    }
    if format == BINARY {
        put_binary(out, value, oid);
    } else {
        put_text(out, value);
    }
    true
}

/// Puts a value as PostgreSQL writes it.
pub(super) fn put_text(out: &mut BytesMut, value: &Value) {
    use std::fmt::Write as _;
    // Writing to a buffer that grows cannot fail.
    let _ = match value {
        Value::Null => Ok(()),
        Value::Bool(truth) => out.write_str(if *truth { "t" } else { "f" }),
        Value::Int2(number) => write!(out, "{number}"),
        Value::Int4(number) => write!(out, "{number}"),
        Value::Int8(number) => write!(out, "{number}"),
        Value::Float4(number) => out.write_str(&float_text(number.get().into(), 32)),
        Value::Float8(number) => out.write_str(&float_text(number.get(), 64)),
        Value::Numeric(number) => out.write_str(number.as_str()),
        Value::Text(text) | Value::Json(text) => out.write_str(text),
        Value::Bytea(bytes) => {
            out.put_slice(b"\\x");
            out.write_str(&hex::encode(bytes))
        }
        Value::Date(date) => write!(out, "{date}"),
        Value::Time(time) => out.write_str(short(&time.to_string())),
        Value::Timestamp(moment) => out.write_str(short(&moment.to_string())),
        Value::TimestampTz(moment) => {
            let text = moment.to_string();
            write!(out, "{}+00", short(text.trim_end_matches('Z')))
        }
        Value::Uuid(uuid) => write!(out, "{uuid}"),
    };
}

/// Without zeros at the end of the fraction of a second.
fn short(moment: &str) -> &str {
    moment.trim_end_matches('0').trim_end_matches('.')
}

fn put_binary(out: &mut BytesMut, value: &Value, oid: u32) {
    match value {
        Value::Null => {}
        Value::Bool(truth) => out.put_u8((*truth).into()),
        Value::Int2(number) => out.put_i16(*number),
        Value::Int4(number) => out.put_i32(*number),
        Value::Int8(number) => out.put_i64(*number),
        Value::Float4(number) => out.put_f32(number.get()),
        Value::Float8(number) => out.put_f64(number.get()),
        Value::Numeric(number) => put_numeric(out, number),
        Value::Json(text) if oid == BaseType::Jsonb.oid() => {
            // The version of the form.
            out.put_u8(1);
            out.put_slice(text.as_bytes());
        }
        Value::Text(text) | Value::Json(text) => out.put_slice(text.as_bytes()),
        Value::Bytea(bytes) => out.put_slice(bytes),
        Value::Date(date) => {
            let days = (date.get() - EPOCH.date()).whole_days();
            // Years have four digits.
            out.put_i32(i32::try_from(days).unwrap_or(i32::MAX));
        }
        Value::Time(time) => out.put_i64(micros(time.get() - Time::MIDNIGHT)),
        Value::Timestamp(moment) => out.put_i64(micros(moment.get() - EPOCH)),
        Value::TimestampTz(moment) => out.put_i64(micros(moment.get() - EPOCH)),
        Value::Uuid(uuid) => out.put_slice(uuid.as_bytes()),
    }
}

fn micros(since: Duration) -> i64 {
    i64::try_from(since.whole_microseconds()).unwrap_or(i64::MAX)
}

/// Digits of four, with the place of the first.
fn put_numeric(out: &mut BytesMut, number: &Numeric) {
    let text = number.as_str();
    let digits = text.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let padded = format!(
        "{whole:0>left$}{fraction:0<right$}",
        left = whole.len().next_multiple_of(DIGIT),
        right = fraction.len().next_multiple_of(DIGIT)
    );
    let mut groups: Vec<i16> = padded
        .as_bytes()
        .chunks(DIGIT)
        .map(|group| {
            group
                .iter()
                .fold(0, |sum, digit| sum * 10 + i16::from(digit - b'0'))
        })
        .collect();
    let before = whole.len().div_ceil(DIGIT);
    let leading = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..leading);
    while groups.last() == Some(&0) {
        groups.pop();
    }
    // A number has a thousand digits at most.
    let small = |count: usize| i16::try_from(count).unwrap_or(i16::MAX);
    let weight = if groups.is_empty() {
        0
    } else {
        small(before) - small(leading) - 1
    };
    out.put_i16(small(groups.len()));
    out.put_i16(weight);
    out.put_u16(if text.starts_with('-') { 0x4000 } else { 0 });
    out.put_i16(small(fraction.len()));
    for group in groups {
        out.put_i16(group);
    }
}

/// A value of a parameter, as a constant of the type that was found for it.
pub(super) fn read(
    bytes: Option<&[u8]>,
    format: i16,
    wanted: BaseType,
    number: usize,
) -> Result<Literal, Fault> {
    let Some(bytes) = bytes else {
        return Ok(Literal::Null);
    };
    if format == BINARY {
        return read_binary(bytes, wanted, number);
    }
    read_text(bytes, wanted, number)
}

fn read_text(bytes: &[u8], wanted: BaseType, number: usize) -> Result<Literal, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|_| {
        let message = format!("the value of parameter ${number} is not UTF-8");
        Fault::new("22021", message)
    })?;
    constant(text, wanted).map_err(|refusal| {
        let message = format!("parameter ${number}: {}", refusal.message);
        Fault::new(refusal.state, message)
    })
}

fn read_binary(bytes: &[u8], wanted: BaseType, number: usize) -> Result<Literal, Fault> {
    let wrong = || {
        let message = format!(
            "the value of parameter ${number} is not {} in binary form",
            wanted.name()
        );
        Fault::new("22P03", message)
    };
    let range = || {
        let message = format!("the value of parameter ${number} is out of range");
        Fault::new("22008", message)
    };
    Ok(match wanted {
        BaseType::Bool => match bytes {
            [truth] => Literal::Bool(*truth != 0),
            _ => return Err(wrong()),
        },
        BaseType::Int2 => {
            Literal::Integer(i16::from_be_bytes(exact(bytes).ok_or_else(wrong)?).into())
        }
        BaseType::Int4 => {
            Literal::Integer(i32::from_be_bytes(exact(bytes).ok_or_else(wrong)?).into())
        }
        BaseType::Int8 => Literal::Integer(i64::from_be_bytes(exact(bytes).ok_or_else(wrong)?)),
        BaseType::Float4 => {
            Literal::Float(f32::from_be_bytes(exact(bytes).ok_or_else(wrong)?).into())
        }
        BaseType::Float8 => Literal::Float(f64::from_be_bytes(exact(bytes).ok_or_else(wrong)?)),
        BaseType::Numeric => {
            let text = read_numeric(bytes).ok_or_else(wrong)?;
            return read_text(text.as_bytes(), wanted, number);
        }
        BaseType::Bytea => Literal::Bytes(bytes.to_vec()),
        BaseType::Date => {
            let days = i32::from_be_bytes(exact(bytes).ok_or_else(wrong)?);
            let date = EPOCH.date().checked_add(Duration::days(days.into()));
            let date = date.and_then(|date: Date| SqlDate::new(date).ok());
            Literal::Text(date.ok_or_else(range)?.to_string())
        }
        BaseType::Time => {
            let micros = i64::from_be_bytes(exact(bytes).ok_or_else(wrong)?);
            let moment = EPOCH.checked_add(Duration::microseconds(micros));
            let moment = moment.filter(|moment| moment.date() == EPOCH.date());
            let time = moment.and_then(|moment| SqlTime::new(moment.time()).ok());
            Literal::Text(time.ok_or_else(range)?.to_string())
        }
        BaseType::Timestamp => {
            let moment = moment(bytes).ok_or_else(wrong)?.ok_or_else(range)?;
            let moment = Timestamp::new(moment).map_err(|_| range())?;
            Literal::Text(moment.to_string())
        }
        BaseType::TimestampTz => {
            let moment = moment(bytes).ok_or_else(wrong)?.ok_or_else(range)?;
            let moment = TimestampTz::new(moment).map_err(|_| range())?;
            Literal::Text(moment.to_string())
        }
        BaseType::Uuid => {
            let uuid = Uuid::from_bytes(exact(bytes).ok_or_else(wrong)?);
            Literal::Text(uuid.to_string())
        }
        BaseType::Jsonb => match bytes.split_first() {
            Some((1, text)) => return read_text(text, wanted, number),
            _ => return Err(wrong()),
        },
        BaseType::Unknown | BaseType::Text | BaseType::Varchar | BaseType::Json => {
            return read_text(bytes, wanted, number);
        }
    })
}

fn exact<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// `None`: not of eight bytes; then `None`: no moment that there is here.
#[expect(
    clippy::option_option,
    reason = "malformed and out of range are told apart"
)]
fn moment(bytes: &[u8]) -> Option<Option<PrimitiveDateTime>> {
    let micros = i64::from_be_bytes(exact(bytes)?);
    Some(EPOCH.checked_add(Duration::microseconds(micros)))
}

fn read_numeric(bytes: &[u8]) -> Option<String> {
    let mut words = bytes.chunks_exact(2);
    let mut word = || Some(u16::from_be_bytes(exact(words.next()?)?));
    let count = word()?;
    let weight = i32::from(word()?.cast_signed());
    let sign = word()?;
    let scale = usize::from(word()?);
    if !bytes.len().is_multiple_of(2) || bytes.len() != 8 + 2 * usize::from(count) {
        return None;
    }
    match sign {
        0 | 0x4000 => {}
        0xc000 => return Some("NaN".to_owned()),
        0xd000 => return Some("Infinity".to_owned()),
        0xf000 => return Some("-Infinity".to_owned()),
        _ => return None,
    }
    // More than any number has: its text is refused as too long.
    if !(-1000..1000).contains(&weight) || scale > 2000 {
        return Some("9".repeat(1001));
    }
    let mut digits = Vec::with_capacity(count.into());
    for _ in 0..count {
        digits.push(word().filter(|digit| *digit < 10_000)?);
    }
    let at = |place: i32| {
        let index = usize::try_from(weight - place).ok();
        index
            .and_then(|index| digits.get(index))
            .copied()
            .unwrap_or(0)
    };
    let group = |text: String, place| format!("{text}{:04}", at(place));
    let whole = (0..=weight.max(0)).rev().fold(String::new(), group);
    let groups = i32::try_from(scale.div_ceil(DIGIT)).ok()?;
    let fraction = (-groups..0).rev().fold(String::new(), group);
    let mut text = if sign == 0 {
        String::new()
    } else {
        "-".to_owned()
    };
    text.push_str(&whole);
    if scale > 0 {
        text.push('.');
        text.push_str(fraction.get(..scale)?);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::data::{Float4, Float8};
    use proptest::prelude::*;

    use super::*;

    fn binary(value: &Value, base: BaseType) -> Vec<u8> {
        let mut out = BytesMut::new();
        assert!(put(&mut out, value, BINARY, base.oid()));
        out.to_vec()
    }

    fn text(value: &Value) -> String {
        let mut out = BytesMut::new();
        put_text(&mut out, value);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn values_are_written_as_postgresql_writes_them() {
        let moment = "2026-01-02 03:04:05.100000Z".parse().unwrap();
        assert_eq!(
            text(&Value::TimestampTz(moment)),
            "2026-01-02 03:04:05.1+00"
        );
        let time = "10:00:00.000000".parse().unwrap();
        assert_eq!(text(&Value::Time(time)), "10:00:00");
        assert_eq!(text(&Value::Bytea(vec![0, 255])), "\\x00ff");
        assert_eq!(text(&Value::Float8(Float8::new(1e20))), "1e+20");
        assert_eq!(text(&Value::Float4(Float4::new(0.1))), "0.1");
        assert_eq!(text(&Value::Bool(true)), "t");
    }

    #[test]
    fn numerics_have_postgresqls_binary_form() {
        let form = |text: &str| {
            let bytes = binary(&Value::Numeric(text.parse().unwrap()), BaseType::Numeric);
            let words = bytes
                .chunks(2)
                .map(|two| i16::from_be_bytes([two[0], two[1]]));
            words.collect::<Vec<i16>>()
        };
        assert_eq!(form("0"), [0, 0, 0, 0]);
        assert_eq!(form("0.00"), [0, 0, 0, 2]);
        assert_eq!(form("1"), [1, 0, 0, 0, 1]);
        assert_eq!(form("12345.6789"), [3, 1, 0, 4, 1, 2345, 6789]);
        assert_eq!(form("-0.00012"), [2, -1, 0x4000, 5, 1, 2000]);
        assert_eq!(form("10000"), [1, 1, 0, 0, 1]);
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for (bytes, wanted, state) in [
            (&[0_u8][..], BaseType::Int4, "22P03"),
            (&[0; 9], BaseType::Int8, "22P03"),
            (&[2, b'{', b'}'], BaseType::Jsonb, "22P03"),
            (&[0x7f, 0xff, 0xff, 0xff], BaseType::Date, "22008"),
            (&[0xff; 8], BaseType::Time, "22008"),
            (
                &[0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10],
                BaseType::Numeric,
                "22P03",
            ),
            (&[0xff], BaseType::Text, "22021"),
        ] {
            let refused = read(Some(bytes), BINARY, wanted, 1).unwrap_err();
            assert_eq!(refused.state, state, "{wanted:?}");
        }
        assert_eq!(
            read(Some(b"x"), TEXT, BaseType::Int4, 1).unwrap_err().state,
            "22P02"
        );
        assert_eq!(
            read(None, BINARY, BaseType::Int4, 1).unwrap(),
            Literal::Null
        );
    }

    proptest! {
        #[test]
        fn a_numeric_comes_back(number in "-?[0-9]{1,40}(\\.[0-9]{1,40})?") {
            let number: Numeric = number.parse().unwrap();
            let bytes = binary(&Value::Numeric(number.clone()), BaseType::Numeric);
            let back: Numeric = read_numeric(&bytes).unwrap().parse().unwrap();
            prop_assert_eq!(back, number);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            for wanted in BaseType::COLUMNS {
                let _ = read(Some(&bytes), BINARY, wanted, 1);
                let _ = read(Some(&bytes), TEXT, wanted, 1);
            }
        }

        #[test]
        fn moments_come_back(micros in -63_082_281_600_000_000_i64..252_455_615_999_999_999) {
            let read = read(Some(&micros.to_be_bytes()), BINARY, BaseType::Timestamp, 1);
            let Literal::Text(text) = read.unwrap() else { panic!("a moment is a text") };
            let value = Value::Timestamp(text.parse().unwrap());
            prop_assert_eq!(binary(&value, BaseType::Timestamp), micros.to_be_bytes());
        }
    }
}
