//! PostgreSQL's functions of text. A character is a code point.

use std::cmp::Ordering;

use rusqlite::{
    Connection,
    types::{Value, ValueRef},
};

use super::{
    RESULT_MAX, decimal,
    scalar::{Arguments, Failure, bool_value, pure, strict, text_value},
};

type OfOne = fn(&str) -> String;

pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let of_one: [(&str, OfOne); 4] = [
        ("gridmart_upper", |text| text.chars().map(upper).collect()),
        ("gridmart_lower", |text| text.chars().map(lower).collect()),
        ("gridmart_initcap", initcap),
        ("gridmart_reverse", |text| text.chars().rev().collect()),
    ];
    for (name, function) in of_one {
        strict(connection, name, 1, move |arguments| {
            Ok(text_value(function(arguments.text(0)?)))
        })?;
    }
    strict(connection, "gridmart_substr", -1, substring)?;
    strict(connection, "gridmart_left", 2, |arguments| {
        ends(arguments, true)
    })?;
    strict(connection, "gridmart_right", 2, |arguments| {
        ends(arguments, false)
    })?;
    strict(connection, "gridmart_lpad", 3, |arguments| {
        padded(arguments, true)
    })?;
    strict(connection, "gridmart_rpad", 3, |arguments| {
        padded(arguments, false)
    })?;
    strict(connection, "gridmart_replace", 3, |arguments| {
        let (text, from, to) = (arguments.text(0)?, arguments.text(1)?, arguments.text(2)?);
        if from.is_empty() {
            return Ok(text_value(text));
        }
        bounded(text.len() + text.matches(from).count().saturating_mul(to.len()))?;
        Ok(text_value(text.replace(from, to)))
    })?;
    strict(connection, "gridmart_repeat", 2, |arguments| {
        let (text, times) = (
            arguments.text(0)?,
            usize::try_from(arguments.integer(1)?).unwrap_or(0),
        );
        bounded(text.len().saturating_mul(times))?;
        Ok(text_value(text.repeat(if text.is_empty() {
            0
        } else {
            times
        })))
    })?;
    strict(connection, "gridmart_split_part", 3, split_part)?;
    strict(connection, "gridmart_starts_with", 2, |arguments| {
        Ok(bool_value(
            arguments.text(0)?.starts_with(arguments.text(1)?),
        ))
    })?;
    strict(connection, "gridmart_ascii", 1, |arguments| {
        let first = arguments.text(0)?.chars().next();
        Ok(Value::Integer(
            first.map_or(0, |character| i64::from(u32::from(character))),
        ))
    })?;
    strict(connection, "gridmart_chr", 1, |arguments| {
        let number = arguments.integer(0)?;
        let character = u32::try_from(number)
            .ok()
            .filter(|number| *number != 0)
            .and_then(char::from_u32);
        let failure = || Failure::new("54000", format!("requested character not valid: {number}"));
        character.map(text_value).ok_or_else(failure)
    })?;
    register_of_any(connection)
}

/// Those that leave NULLs out.
fn register_of_any(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_scalar_function("gridmart_concat", -1, pure(), |context| {
        let texts = (0..context.len())
            .filter_map(|index| context.get_raw(index).as_str_or_null().ok().flatten());
        Ok(texts.collect::<String>())
    })?;
    connection.create_scalar_function("gridmart_concat_ws", -1, pure(), |context| {
        let text = |index| context.get_raw(index).as_str_or_null().ok().flatten();
        let Some(separator) = (if context.is_empty() { None } else { text(0) }) else {
            return Ok(None);
        };
        let texts: Vec<&str> = (1..context.len()).filter_map(text).collect();
        Ok(Some(texts.join(separator)))
    })?;
    for (name, wanted, numeric) in [
        ("gridmart_greatest", Ordering::Greater, false),
        ("gridmart_least", Ordering::Less, false),
        ("gridmart_greatest_numeric", Ordering::Greater, true),
        ("gridmart_least_numeric", Ordering::Less, true),
    ] {
        connection.create_scalar_function(name, -1, pure(), move |context| {
            let mut chosen = ValueRef::Null;
            for index in 0..context.len() {
                let value = context.get_raw(index);
                let first = chosen == ValueRef::Null;
                if value != ValueRef::Null && (first || compared(value, chosen, numeric) == wanted)
                {
                    chosen = value;
                }
            }
            Value::try_from(chosen).map_err(|_| Failure::stored("text").to_error())
        })?;
    }
    Ok(())
}

/// As SQLite orders values of one type.
fn compared(left: ValueRef<'_>, right: ValueRef<'_>, numeric: bool) -> Ordering {
    match (left, right) {
        (ValueRef::Integer(left), ValueRef::Integer(right)) => left.cmp(&right),
        (ValueRef::Text(left), ValueRef::Text(right)) if numeric => decimal::compare_texts(
            &String::from_utf8_lossy(left),
            &String::from_utf8_lossy(right),
        ),
        (ValueRef::Text(left), ValueRef::Text(right))
        | (ValueRef::Blob(left), ValueRef::Blob(right)) => left.cmp(right),
        // NaN, a text, is greater than every float.
        (ValueRef::Text(_), _) => Ordering::Greater,
        (_, ValueRef::Text(_)) => Ordering::Less,
        _ => {
            let number = |value| super::scalar::float_of(value).unwrap_or(f64::NAN);
            number(left).total_cmp(&number(right))
        }
    }
}

fn bounded(length: usize) -> Result<(), Failure> {
    if length > RESULT_MAX {
        let message = format!("requested length too large: at most {RESULT_MAX} bytes are made");
        return Err(Failure::new("54000", message));
    }
    Ok(())
}

fn upper(character: char) -> char {
    let mut mapped = character.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => character,
    }
}

fn lower(character: char) -> char {
    let mut mapped = character.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => character,
    }
}

/// Lower case of a text, character by character.
pub(super) fn lowered(text: &str) -> String {
    text.chars().map(lower).collect()
}

fn initcap(text: &str) -> String {
    let mut inside = false;
    let mut capital = |character: char| {
        let mapped = if inside {
            lower(character)
        } else {
            upper(character)
        };
        inside = character.is_alphanumeric();
        mapped
    };
    text.chars().map(&mut capital).collect()
}

fn substring(arguments: &Arguments<'_, '_>) -> Result<Value, Failure> {
    let (text, start) = (arguments.text(0)?, arguments.integer(1)?);
    let end = if arguments.len() == 2 {
        i64::MAX
    } else {
        let length = arguments.integer(2)?;
        if length < 0 {
            return Err(Failure::new(
                "22011",
                "negative substring length not allowed",
            ));
        }
        start.saturating_add(length)
    };
    let skipped = usize::try_from(start.saturating_sub(1)).unwrap_or(0);
    let taken = usize::try_from(end.saturating_sub(start.max(1))).unwrap_or(0);
    Ok(text_value(
        text.chars().skip(skipped).take(taken).collect::<String>(),
    ))
}

/// The first or last characters; a negative number: all but so many.
fn ends(arguments: &Arguments<'_, '_>, from_left: bool) -> Result<Value, Failure> {
    let (text, wanted) = (arguments.text(0)?, arguments.integer(1)?);
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let kept = if wanted < 0 {
        length.saturating_add(wanted)
    } else {
        wanted.min(length)
    };
    let kept = usize::try_from(kept).unwrap_or(0);
    let skipped = if from_left {
        0
    } else {
        usize::try_from(length).unwrap_or(0) - kept
    };
    Ok(text_value(
        text.chars().skip(skipped).take(kept).collect::<String>(),
    ))
}

fn padded(arguments: &Arguments<'_, '_>, on_left: bool) -> Result<Value, Failure> {
    let (text, fill) = (arguments.text(0)?, arguments.text(2)?);
    let wanted = usize::try_from(arguments.integer(1)?).unwrap_or(0);
    bounded(wanted.saturating_mul(4))?;
    let length = text.chars().count();
    if wanted <= length || fill.is_empty() {
        return Ok(text_value(text.chars().take(wanted).collect::<String>()));
    }
    let filling: String = fill.chars().cycle().take(wanted - length).collect();
    Ok(text_value(if on_left {
        filling + text
    } else {
        text.to_owned() + &filling
    }))
}

/// The part at a position between delimiters; a negative one counts from the end.
fn split_part(arguments: &Arguments<'_, '_>) -> Result<Value, Failure> {
    let (text, delimiter, position) = (
        arguments.text(0)?,
        arguments.text(1)?,
        arguments.integer(2)?,
    );
    if position == 0 {
        return Err(Failure::new("22023", "field position must not be zero"));
    }
    let parts: Vec<&str> = match (text, delimiter) {
        ("", _) => Vec::new(),
        (_, "") => vec![text],
        _ => text.split(delimiter).collect(),
    };
    let steps = usize::try_from(position.unsigned_abs() - 1).unwrap_or(usize::MAX);
    let part = if position > 0 {
        parts.get(steps)
    } else {
        parts.iter().rev().nth(steps)
    };
    Ok(text_value(*part.unwrap_or(&"")))
}
