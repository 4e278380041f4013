//! LIKE and ILIKE.

use rusqlite::Connection;

use super::{
    scalar::{Failure, bool_value, strict},
    text::lowered,
};

#[derive(Clone, Copy, PartialEq)]
enum Part {
    /// `%`
    Any,
    /// `_`
    One,
    Exactly(char),
    /// The escape character, with nothing behind it.
    Broken,
}

pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    strict(connection, "gridmart_like", 3, |arguments| {
        let parts = parts_of(arguments.text(1)?, escape_of(arguments.text(2)?)?);
        matches(arguments.text(0)?, &parts).map(bool_value)
    })?;
    strict(connection, "gridmart_ilike", 3, |arguments| {
        let escape = escape_of(arguments.text(2)?)?;
        let parts = parts_of(&lowered(arguments.text(1)?), escape);
        matches(&lowered(arguments.text(0)?), &parts).map(bool_value)
    })
}

/// Whether LIKE can answer for every text with this pattern and escape.
pub fn pattern_well_formed(pattern: &str, escape: &str) -> bool {
    escape_of(escape).is_ok_and(|escape| !parts_of(pattern, escape).contains(&Part::Broken))
}

fn escape_of(text: &str) -> Result<Option<char>, Failure> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (escape, None) => Ok(escape),
        _ => Err(Failure::new(
            "22019",
            "invalid escape string: it must be empty or one character",
        )),
    }
}

fn parts_of(pattern: &str, escape: Option<char>) -> Vec<Part> {
    let mut characters = pattern.chars();
    let mut parts = Vec::new();
    while let Some(character) = characters.next() {
        parts.push(match character {
            _ if Some(character) == escape => characters.next().map_or(Part::Broken, Part::Exactly),
            '%' => Part::Any,
            '_' => Part::One,
            _ => Part::Exactly(character),
        });
    }
    parts
}

/// Tries the last `%` again one character further where the rest does not fit:
/// earlier ones need not be tried again.
fn matches(text: &str, parts: &[Part]) -> Result<bool, Failure> {
    let mut rest = text.chars();
    let mut at = 0;
    let mut retry: Option<(std::str::Chars<'_>, usize)> = None;
    loop {
        let before = rest.clone();
        match (parts.get(at), rest.next()) {
            (Some(Part::Broken), Some(_)) => {
                let message = "LIKE pattern must not end with escape character";
                return Err(Failure::new("22025", message));
            }
            (Some(Part::Any), _) => {
                rest = before.clone();
                retry = Some((before, at));
                at += 1;
                continue;
            }
            (Some(Part::One), Some(_)) => {
                at += 1;
                continue;
            }
            (Some(Part::Exactly(wanted)), Some(character)) if *wanted == character => {
                at += 1;
                continue;
            }
            (None, None) => return Ok(true),
            (_, None) => return Ok(false),
            _ => {}
        }
        let Some((mut from, any)) = retry.take() else {
            return Ok(false);
        };
        if from.next().is_none() {
            return Ok(false);
        }
        rest = from.clone();
        retry = Some((from, any));
        at = any + 1;
    }
}
