//! Constants: what they are, and what they become in a type.

use gridmart_fabric::sqlite::functions::{Decimal, Failure, jsonb, value};
use sqlparser::ast::{self, DollarQuotedString};

use super::super::{
    refusal::{Judgement, Refusal},
    tree::{Expression, Kind, Literal},
    types::BaseType,
};

/// A constant of the text.
pub(super) fn literal(value: &ast::Value) -> Judgement<Expression> {
    let open = |text: &str| {
        Expression::new(
            Kind::Literal(Literal::Text(text.to_owned())),
            BaseType::Unknown,
        )
    };
    let constant = |literal, sql_type| Expression::new(Kind::Literal(literal), sql_type);
    match value {
        ast::Value::Number(digits, false) => number(digits),
        ast::Value::SingleQuotedString(text) | ast::Value::EscapedStringLiteral(text) => {
            no_nul(text)?;
            Ok(open(text))
        }
        ast::Value::DollarQuotedString(DollarQuotedString { value, tag: _ }) => Ok(open(value)),
        ast::Value::Boolean(truth) => Ok(constant(Literal::Bool(*truth), BaseType::Bool)),
        ast::Value::Null => Ok(Expression::null(BaseType::Unknown)),
        _ => Err(Refusal::unsupported("this form of constant")),
    }
}

fn no_nul(text: &str) -> Judgement<()> {
    if text.contains('\0') {
        return Err(Refusal::new(
            "22021",
            "a text may not hold the character NUL",
        ));
    }
    Ok(())
}

fn number(digits: &str) -> Judgement<Expression> {
    if digits.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(number) = digits.parse::<i64>()
    {
        let sql_type = if i32::try_from(number).is_ok() {
            BaseType::Int4
        } else {
            BaseType::Int8
        };
        return Ok(Expression::new(
            Kind::Literal(Literal::Integer(number)),
            sql_type,
        ));
    }
    let plain =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    let number = digits
        .bytes()
        .all(plain)
        .then(|| Decimal::parse(digits))
        .flatten();
    let number = number.ok_or_else(|| Refusal::unsupported("this form of number"))?;
    Ok(Expression::new(
        Kind::Literal(Literal::Numeric(number.to_string())),
        BaseType::Numeric,
    ))
}

/// A text as a constant of a type, as PostgreSQL reads it.
pub(super) fn read(text: &str, wanted: BaseType) -> Judgement<Literal> {
    let failed = |Failure { state, message }: Failure| Refusal::new(state, message);
    let as_text = |read: Result<String, Failure>| read.map(Literal::Text).map_err(failed);
    match wanted {
        BaseType::Unknown | BaseType::Text | BaseType::Varchar => {
            Ok(Literal::Text(text.to_owned()))
        }
        BaseType::Bool => value::boolean(text).map(Literal::Bool).map_err(failed),
        BaseType::Int2 | BaseType::Int4 | BaseType::Int8 => {
            value::integer(text, i64::from(wanted.bits()))
                .map(Literal::Integer)
                .map_err(failed)
        }
        BaseType::Float4 | BaseType::Float8 => value::float(text, i64::from(wanted.bits()))
            .map(Literal::Float)
            .map_err(failed),
        BaseType::Numeric => Decimal::parse(text)
            .map(|number| Literal::Numeric(number.to_string()))
            .ok_or_else(|| wrong(text, wanted)),
        BaseType::Bytea => bytes(text)
            .map(Literal::Bytes)
            .ok_or_else(|| wrong(text, wanted)),
        BaseType::Date => as_text(value::date(text)),
        BaseType::Time => as_text(value::time(text)),
        BaseType::Timestamp => as_text(value::timestamp(text)),
        BaseType::TimestampTz => as_text(value::timestamp_with_zone(text)),
        BaseType::Uuid => as_text(value::uuid(text)),
        BaseType::Jsonb => as_text(jsonb(text)),
        BaseType::Json => match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => Ok(Literal::Text(text.to_owned())),
            Err(_) => Err(wrong(text, wanted)),
        },
    }
}

fn wrong(text: &str, wanted: BaseType) -> Refusal {
    let shown: String = text.chars().take(64).collect();
    Refusal::new(
        "22P02",
        format!("invalid input syntax for type {wanted}: \"{shown}\""),
    )
}

/// `\x` and hexadecimal digits, in pairs; the older form with octal digits.
fn bytes(text: &str) -> Option<Vec<u8>> {
    if let Some(digits) = text.strip_prefix("\\x") {
        let digits: Vec<u8> = digits
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        let nibble = |byte: u8| {
            char::from(byte)
                .to_digit(16)
                .and_then(|nibble| u8::try_from(nibble).ok())
        };
        let pair = |pair: &[u8]| Some(nibble(*pair.first()?)? << 4 | nibble(*pair.get(1)?)?);
        return digits.chunks(2).map(pair).collect();
    }
    let plain = text.is_ascii() && !text.contains('\\');
    plain.then(|| text.as_bytes().to_vec())
}

/// A constant in another type, where that is the same at once; `None` leaves it to
/// the engine.
pub(super) fn converted(literal: &Literal, from: BaseType, to: BaseType) -> Option<Literal> {
    match (literal, to) {
        (Literal::Null, _) => Some(Literal::Null),
        (Literal::Integer(number), BaseType::Int2 | BaseType::Int4 | BaseType::Int8)
            if from.rank() <= to.rank() || fits(*number, to) =>
        {
            fits(*number, to).then_some(Literal::Integer(*number))
        }
        (Literal::Integer(number), BaseType::Numeric) => Some(Literal::Numeric(number.to_string())),
        (Literal::Numeric(digits), BaseType::Float4) => digits
            .parse()
            .ok()
            .filter(|number: &f32| number.is_normal())
            .map(|number| Literal::Float(f64::from(number))),
        (Literal::Integer(number), BaseType::Float4) => i16::try_from(*number)
            .ok()
            .map(|number| Literal::Float(f64::from(number))),
        // Up to 2^53 every whole number is a float.
        (Literal::Integer(number), BaseType::Float8) if number.unsigned_abs() <= 1 << 53 =>
        {
            #[expect(clippy::cast_precision_loss, reason = "it is small enough")]
            Some(Literal::Float(*number as f64))
        }
        (Literal::Numeric(digits), BaseType::Float8) => {
            // One that is too large or too small for a float is for the engine to refuse.
            digits
                .parse()
                .ok()
                .filter(|number: &f64| number.is_normal())
                .map(Literal::Float)
        }
        (Literal::Text(text), BaseType::Text | BaseType::Varchar) if from.is_text() => {
            Some(Literal::Text(text.clone()))
        }
        _ => None,
    }
}

fn fits(number: i64, to: BaseType) -> bool {
    match to {
        BaseType::Int2 => i16::try_from(number).is_ok(),
        BaseType::Int4 => i32::try_from(number).is_ok(),
        _ => true,
    }
}
