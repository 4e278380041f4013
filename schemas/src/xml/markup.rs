//! What stands between the angle brackets: attributes, references, the XML
//! declaration, processing instructions.

use std::borrow::Cow;

use super::{DocumentErrorKind as Kind, name::is_plain_name};
use crate::scalar::{is_xml_character, is_xml_space};

/// Most attributes of one element, namespace declarations included.
pub(super) const ATTRIBUTES_MAX: usize = 64;

/// The refusal of what is not XML.
pub(super) fn ill(detail: impl Into<String>) -> Kind {
    Kind::NotWellFormed {
        detail: detail.into(),
    }
}

/// Cuts off the delimiters that quick-xml has found.
pub(super) fn inside<'a>(raw: &'a str, before: &str, after: &str) -> &'a str {
    let raw = raw.strip_prefix(before).unwrap_or(raw);
    raw.strip_suffix(after).unwrap_or(raw)
}

pub(super) fn split_at_space(text: &str) -> (&str, &str) {
    text.split_at(text.find(is_xml_space).unwrap_or(text.len()))
}

/// Line ends as every XML reader sees them: LF.
pub(super) fn unify_line_ends(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Reads `S name S? = S? "value"` until nothing is left; values are decoded.
pub(super) fn parse_attributes(mut rest: &str) -> Result<Vec<(&str, String)>, Kind> {
    let mut attributes: Vec<(&str, String)> = Vec::new();
    loop {
        let trimmed = rest.trim_start_matches(is_xml_space);
        if trimmed.is_empty() {
            return Ok(attributes);
        }
        if trimmed.len() == rest.len() {
            return Err(ill("white space is missing between attributes"));
        }
        if attributes.len() == ATTRIBUTES_MAX {
            return Err(Kind::TooMany {
                what: "attributes",
                max: ATTRIBUTES_MAX,
            });
        }
        let (name, value) = trimmed
            .split_once('=')
            .ok_or_else(|| ill("an attribute without a value"))?;
        let name = name.trim_end_matches(is_xml_space);
        let value = value.trim_start_matches(is_xml_space);
        let quote = value
            .chars()
            .next()
            .filter(|quote| matches!(quote, '"' | '\''))
            .ok_or_else(|| ill(format!("the value of attribute {name} is not quoted")))?;
        let (value, after) = value[1..]
            .split_once(quote)
            .ok_or_else(|| ill(format!("the value of attribute {name} is not closed")))?;
        attributes.push((name, decode_attribute(value)?));
        rest = after;
    }
}

/// Resolves references; every literal white-space character becomes a space.
fn decode_attribute(raw: &str) -> Result<String, Kind> {
    if raw.contains('<') {
        return Err(ill("`<` cannot stand in an attribute"));
    }
    let unified = unify_line_ends(raw);
    let mut value = String::with_capacity(unified.len());
    let mut rest: &str = &unified;
    while let Some((before, after)) = rest.split_once('&') {
        push_spaced(&mut value, before);
        let (reference, after) = after
            .split_once(';')
            .ok_or_else(|| ill("`&` without `;`"))?;
        value.push(resolve_reference(reference)?);
        rest = after;
    }
    push_spaced(&mut value, rest);
    Ok(value)
}

fn push_spaced(value: &mut String, text: &str) {
    value.extend(text.chars().map(|character| {
        if is_xml_space(character) {
            ' '
        } else {
            character
        }
    }));
}

/// The character that a predefined entity or a character reference means.
pub(super) fn resolve_reference(reference: &str) -> Result<char, Kind> {
    let predefined = match reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => None,
    };
    if let Some(character) = predefined {
        return Ok(character);
    }
    let Some(number) = reference.strip_prefix('#') else {
        return if is_plain_name(reference) {
            Err(Kind::Forbidden {
                what: format!("entity &{reference};"),
            })
        } else {
            Err(ill(format!("&{reference}; is not a reference")))
        };
    };
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    let code = if is_number {
        u32::from_str_radix(digits, radix).ok()
    } else {
        None
    };
    code.and_then(char::from_u32)
        .filter(|character| is_xml_character(*character))
        .ok_or_else(|| ill(format!("&{reference}; is not a character of XML")))
}

/// Reads what stands between `<?xml` and `?>`.
pub(super) fn check_declaration(raw: &str) -> Result<(), Kind> {
    let attributes = parse_attributes(raw)?;
    let mut rest = attributes
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .peekable();
    if rest.next() != Some(("version", "1.0")) {
        return Err(ill("the XML declaration has to begin with version=\"1.0\""));
    }
    if let Some((_, encoding)) = rest.next_if(|(name, _)| *name == "encoding")
        && !encoding.eq_ignore_ascii_case("utf-8")
    {
        return Err(Kind::Encoding {
            detail: format!("it is declared as {encoding:?}"),
        });
    }
    if let Some((_, standalone)) = rest.next_if(|(name, _)| *name == "standalone")
        && !matches!(standalone, "yes" | "no")
    {
        return Err(ill("standalone has to be yes or no"));
    }
    match rest.next() {
        None => Ok(()),
        Some((name, _)) => Err(ill(format!(
            "{name} does not belong into the XML declaration"
        ))),
    }
}

/// A processing instruction says nothing to us, but has to be well-formed.
pub(super) fn check_instruction(raw: &str) -> Result<(), Kind> {
    let (target, _) = split_at_space(raw);
    if is_plain_name(target) && !target.eq_ignore_ascii_case("xml") {
        Ok(())
    } else {
        Err(ill(format!(
            "{target:?} cannot name a processing instruction"
        )))
    }
}
