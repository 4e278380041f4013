//! Texts as PostgreSQL reads and writes them, and the stored forms of types.
//!
//! Everything is read in UTC. Dates and times are read in ISO 8601 only; of what
//! PostgreSQL reads besides that, nothing is guessed.

use super::scalar::Failure;

/// Days from year 0001-01-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_162;

/// Days in 0001-01-01 … 9999-12-31.
const DAYS: i64 = 3_652_059;

/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400_000_000;

fn syntax(type_name: &str, text: &str) -> Failure {
    let shown: String = text.chars().take(64).collect();
    Failure::new(
        "22P02",
        format!("invalid input syntax for type {type_name}: \"{shown}\""),
    )
}

fn moment_syntax(type_name: &str, text: &str) -> Failure {
    let Failure { message, .. } = syntax(type_name, text);
    Failure::new("22007", message)
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}'])
}

/// A boolean in any of PostgreSQL's spellings.
pub fn boolean(text: &str) -> Result<bool, Failure> {
    let word = trimmed(text).to_ascii_lowercase();
    let begins = |whole: &str, least: usize| word.len() >= least && whole.starts_with(&word);
    match word.as_str() {
        "1" => Ok(true),
        "0" => Ok(false),
        _ if begins("true", 1) || begins("yes", 1) || word == "on" => Ok(true),
        _ if begins("false", 1) || begins("no", 1) || begins("off", 2) => Ok(false),
        _ => Err(syntax("boolean", text)),
    }
}

/// A whole number of 16, 32 or 64 bits.
pub fn integer(text: &str, bits: i64) -> Result<i64, Failure> {
    let name = integer_name(bits);
    let digits = trimmed(text);
    let number = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(syntax(name, text));
    }
    let shown: String = text.chars().take(64).collect();
    let outside = || {
        Failure::new(
            "22003",
            format!("value \"{shown}\" is out of range for type {name}"),
        )
    };
    let number: i64 = digits.parse().map_err(|_| outside())?;
    integer_fits(number, bits)
        .then_some(number)
        .ok_or_else(outside)
}

/// PostgreSQL's name of a whole number's type.
pub fn integer_name(bits: i64) -> &'static str {
    match bits {
        16 => "smallint",
        32 => "integer",
        _ => "bigint",
    }
}

pub(super) fn integer_fits(number: i64, bits: i64) -> bool {
    match bits {
        16 => i16::try_from(number).is_ok(),
        32 => i32::try_from(number).is_ok(),
        _ => true,
    }
}

/// A float of 32 or 64 bits; one of 32 bits is widened.
pub fn float(text: &str, bits: i64) -> Result<f64, Failure> {
    let name = if bits == 32 {
        "real"
    } else {
        "double precision"
    };
    let word = trimmed(text);
    let lower = word.to_ascii_lowercase();
    match lower.as_str() {
        "nan" => return Ok(f64::NAN),
        "inf" | "infinity" | "+inf" | "+infinity" => return Ok(f64::INFINITY),
        "-inf" | "-infinity" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e');
    if !lower.bytes().all(plain) {
        return Err(syntax(name, text));
    }
    let number: f64 = if bits == 32 {
        f64::from(lower.parse::<f32>().map_err(|_| syntax(name, text))?)
    } else {
        lower.parse().map_err(|_| syntax(name, text))?
    };
    let mantissa = lower.split('e').next().unwrap_or("");
    let lost = number == 0.0 && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    if number.is_infinite() || lost {
        let shown: String = text.chars().take(64).collect();
        return Err(Failure::new(
            "22003",
            format!("\"{shown}\" is out of range for type {name}"),
        ));
    }
    Ok(number)
}

/// The shortest text that reads back as the same float, in PostgreSQL's form.
pub fn float_text(number: f64, bits: i64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float4 was widened before"
    )]
    let (scientific, fixed_below) = if bits == 32 {
        (format!("{:e}", number as f32), 6)
    } else {
        (format!("{number:e}"), 15)
    };
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number == 0.0 || (-4..fixed_below).contains(&exponent) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float4 was widened before"
        )]
        return if bits == 32 {
            format!("{}", number as f32)
        } else {
            format!("{number}")
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// A uuid in any of PostgreSQL's spellings, as it is stored.
pub fn uuid(text: &str) -> Result<String, Failure> {
    let inner = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or(text);
    let mut digits = String::with_capacity(32);
    let mut hyphen_allowed = false;
    for character in inner.chars() {
        match character {
            '-' if hyphen_allowed => hyphen_allowed = false,
            '0'..='9' | 'a'..='f' | 'A'..='F' if digits.len() < 32 => {
                digits.push(character.to_ascii_lowercase());
                hyphen_allowed = digits.len().is_multiple_of(4) && digits.len() < 32;
            }
            _ => return Err(syntax("uuid", text)),
        }
    }
    if digits.len() != 32 {
        return Err(syntax("uuid", text));
    }
    let part = |from: usize, to: usize| digits[from..to].to_owned();
    Ok([
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-"))
}

/// A date, as it is stored.
pub fn date(text: &str) -> Result<String, Failure> {
    let trimmed = trimmed(text);
    if let Some((days, "")) = date_read(trimmed) {
        return days_text(days?);
    }
    // Of a moment, the day is taken.
    moment_read("date", trimmed).and_then(|(micros, _)| days_text(micros.div_euclid(DAY)))
}

/// A time of day, as it is stored.
pub fn time(text: &str) -> Result<String, Failure> {
    let (micros, rest) = time_read(trimmed(text)).ok_or_else(|| moment_syntax("time", text))?;
    if !rest.is_empty() {
        return Err(moment_syntax("time", text));
    }
    Ok(time_text(micros?))
}

/// A moment without zone, as it is stored; a zone in the text says nothing.
pub fn timestamp(text: &str) -> Result<String, Failure> {
    moment_read("timestamp", trimmed(text)).and_then(|(micros, _)| moment_text(micros))
}

/// A moment with zone, as it is stored; without one it is in UTC.
pub fn timestamp_with_zone(text: &str) -> Result<String, Failure> {
    let name = "timestamp with time zone";
    let (micros, offset) = moment_read(name, trimmed(text))?;
    Ok(moment_text(micros - offset)? + "Z")
}

/// A stored time or moment as PostgreSQL shows it: without zeros at the end of its
/// fraction, UTC as `+00`.
pub fn moment_shown(stored: &str) -> String {
    let (plain, zone) = match stored.strip_suffix('Z') {
        Some(plain) => (plain, "+00"),
        None => (stored, ""),
    };
    let short = if plain.contains('.') {
        plain.trim_end_matches('0').trim_end_matches('.')
    } else {
        plain
    };
    format!("{short}{zone}")
}

/// Days since 1970 of a stored date, or of what a stored moment begins with.
pub(super) fn stored_days(text: &str) -> Result<i64, Failure> {
    match date_read(text) {
        Some((days, _)) => days,
        None => Err(Failure::stored("date")),
    }
}

/// Microseconds since 1970 of a stored moment, with or without its Z.
pub(super) fn stored_moment(text: &str) -> Result<i64, Failure> {
    let plain = text.strip_suffix('Z').unwrap_or(text);
    let (days, rest) = date_read(plain).ok_or_else(|| Failure::stored("timestamp"))?;
    if rest.is_empty() {
        return Ok(days? * DAY);
    }
    let time = rest
        .strip_prefix(' ')
        .ok_or_else(|| Failure::stored("timestamp"))?;
    Ok(days? * DAY + stored_time(time)?)
}

/// Microseconds of the day of a stored time.
pub(super) fn stored_time(text: &str) -> Result<i64, Failure> {
    match time_read(text) {
        Some((micros, "")) => micros,
        _ => Err(Failure::stored("time")),
    }
}

/// The stored form of a day.
pub(super) fn days_text(days: i64) -> Result<String, Failure> {
    let (year, month, day) = civil(days)?;
    Ok(format!("{year:04}-{month:02}-{day:02}"))
}

/// The stored form of a moment without zone.
pub(super) fn moment_text(micros: i64) -> Result<String, Failure> {
    let day = days_text(micros.div_euclid(DAY))
        .map_err(|_| Failure::new("22008", "timestamp out of range"))?;
    Ok(format!("{day} {}", time_text(micros.rem_euclid(DAY))))
}

pub(super) fn time_text(micros: i64) -> String {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    format!(
        "{:02}:{:02}:{:02}.{fraction:06}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// The days since 1970 of a day in the years 0001 to 9999.
pub(super) fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=9_999).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    // Years begin in March, so that the leap day is the last of its year.
    let (shifted_year, shifted_month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, year_of_era) = (shifted_year.div_euclid(400), shifted_year.rem_euclid(400));
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Year, month and day of a day since 1970.
pub(super) fn civil(days: i64) -> Result<(i64, i64, i64), Failure> {
    if !(-DAYS_TO_1970..DAYS - DAYS_TO_1970).contains(&days) {
        return Err(Failure::new(
            "22008",
            "date out of range: years 0001 to 9999 are kept",
        ));
    }
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Ok((year, month, day))
}

/// Digits at the beginning, `least` to `most` of them, and what follows.
fn digits(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let length = text
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    if length < least {
        return None;
    }
    let (number, rest) = text.split_at(length);
    Some((number.parse().ok()?, rest))
}

type Read<'a> = Option<(Result<i64, Failure>, &'a str)>;

fn date_read(text: &str) -> Read<'_> {
    let (year, rest) = digits(text, 4, 4)?;
    let (month, rest) = digits(rest.strip_prefix('-')?, 1, 2)?;
    let (day, rest) = digits(rest.strip_prefix('-')?, 1, 2)?;
    let days = days_of(year, month, day).ok_or_else(|| {
        Failure::new(
            "22008",
            "date/time field value out of range: years 0001 to 9999 are kept",
        )
    });
    Some((days, rest))
}

fn time_read(text: &str) -> Read<'_> {
    let (hours, rest) = digits(text, 1, 2)?;
    let (minutes, mut rest) = digits(rest.strip_prefix(':')?, 2, 2)?;
    let (mut seconds, mut micros) = (0, 0);
    if let Some(after) = rest.strip_prefix(':') {
        (seconds, rest) = digits(after, 2, 2)?;
        if let Some(after) = rest.strip_prefix('.') {
            let length = after.bytes().take_while(u8::is_ascii_digit).count();
            let (fraction, after) = after.split_at(length);
            micros = fraction_micros(fraction);
            rest = after;
        }
    }
    let whole = (hours * 3_600 + minutes * 60 + seconds) * 1_000_000 + micros;
    let fits = minutes < 60 && seconds <= 60 && whole < DAY;
    let micros = if fits {
        Ok(whole)
    } else {
        Err(Failure::new(
            "22008",
            "date/time field value out of range: times of day are 00:00:00 to 23:59:59.999999",
        ))
    };
    Some((micros, rest))
}

/// A fraction of a second in microseconds, rounded.
fn fraction_micros(fraction: &str) -> i64 {
    let mut digits = fraction.bytes().map(|byte| i64::from(byte - b'0'));
    let micros = (0..6).fold(0, |sum, _| sum * 10 + digits.next().unwrap_or(0));
    micros + i64::from(digits.next().unwrap_or(0) >= 5)
}

/// Microseconds since 1970, and how many the zone is ahead of UTC.
fn moment_read(type_name: &str, text: &str) -> Result<(i64, i64), Failure> {
    let wrong = || moment_syntax(type_name, text);
    let (days, rest) = date_read(text).ok_or_else(wrong)?;
    let days = days?;
    if rest.is_empty() {
        return Ok((days * DAY, 0));
    }
    let rest = rest.strip_prefix([' ', 'T']).ok_or_else(wrong)?;
    let (micros, rest) = time_read(rest).ok_or_else(wrong)?;
    let offset = offset_read(rest.trim_start()).ok_or_else(wrong)?;
    Ok((days * DAY + micros?, offset))
}

fn offset_read(text: &str) -> Option<i64> {
    if text.is_empty() || text.eq_ignore_ascii_case("z") || text.eq_ignore_ascii_case("utc") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, rest) = digits(&text[1..], 2, 2)?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = if rest.is_empty() {
        (0, rest)
    } else {
        digits(rest, 2, 2)?
    };
    let fits = rest.is_empty() && hours < 16 && minutes < 60;
    fits.then_some(sign * (hours * 60 + minutes) * 60_000_000)
}
