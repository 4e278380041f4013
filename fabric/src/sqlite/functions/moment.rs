//! Dates and times: arithmetic, parts, truncation. All in UTC.

use rusqlite::{Connection, types::Value};

use super::{
    decimal::Decimal,
    scalar::{Arguments, Failure, strict, text_value},
    value::{DAY, civil, days_of, days_text, moment_text, stored_days, stored_moment, stored_time},
};

pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    strict(connection, "gridmart_date_add", 2, |arguments| {
        let days = stored_days(arguments.text(0)?)?.saturating_add(arguments.integer(1)?);
        days_text(days).map(text_value)
    })?;
    strict(connection, "gridmart_date_sub", 2, |arguments| {
        let days = stored_days(arguments.text(0)?)?.saturating_sub(arguments.integer(1)?);
        days_text(days).map(text_value)
    })?;
    strict(connection, "gridmart_date_between", 2, |arguments| {
        let days = stored_days(arguments.text(0)?)? - stored_days(arguments.text(1)?)?;
        Ok(Value::Integer(days))
    })?;
    strict(connection, "gridmart_make_date", 3, |arguments| {
        let (year, month, day) = (
            arguments.integer(0)?,
            arguments.integer(1)?,
            arguments.integer(2)?,
        );
        let days = days_of(year, month, day).ok_or_else(|| {
            Failure::new(
                "22008",
                format!("date field value out of range: {year}-{month:02}-{day:02}"),
            )
        })?;
        days_text(days).map(text_value)
    })?;
    strict(connection, "gridmart_extract", 3, extract)?;
    strict(connection, "gridmart_date_trunc", 2, truncate)
}

/// A moment taken apart.
struct Moment {
    days: i64,
    micros: i64,
}

/// The third argument names the type: `date`, `time` or `timestamp`.
fn extract(arguments: &Arguments<'_, '_>) -> Result<Value, Failure> {
    let field = arguments.text(0)?.to_ascii_lowercase();
    let (text, kind) = (arguments.text(1)?, arguments.text(2)?);
    let moment = match kind {
        "date" => Moment {
            days: stored_days(text)?,
            micros: 0,
        },
        "time" => Moment {
            days: 0,
            micros: stored_time(text)?,
        },
        _ => {
            let micros = stored_moment(text)?;
            Moment {
                days: micros.div_euclid(DAY),
                micros: micros.rem_euclid(DAY),
            }
        }
    };
    let of_day = match kind {
        "date" => None,
        _ => part_of_day(&field, &moment),
    };
    let part = match (of_day, kind) {
        (Some(part), _) => Some(part),
        (None, "time") => None,
        (None, _) => part_of_date(&field, &moment, kind)?,
    };
    part.map(|number| text_value(number.to_string()))
        .ok_or_else(|| {
            Failure::new(
                "0A000",
                format!("unit \"{field}\" not supported for type {kind}"),
            )
        })
}

fn scaled(unscaled: i64, scale: usize) -> Option<Decimal> {
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    Decimal::parse(&format!("{sign}{whole}.{fraction}"))
}

fn part_of_day(field: &str, moment: &Moment) -> Option<Decimal> {
    let micros = moment.micros;
    match field {
        "hour" => Some(Decimal::from_integer(micros / 3_600_000_000)),
        "minute" => Some(Decimal::from_integer(micros / 60_000_000 % 60)),
        "second" => scaled(micros % 60_000_000, 6),
        "milliseconds" => scaled(micros % 60_000_000, 3),
        "microseconds" => Some(Decimal::from_integer(micros % 60_000_000)),
        "epoch" => scaled(moment.days * DAY + micros, 6),
        _ => None,
    }
}

fn part_of_date(field: &str, moment: &Moment, kind: &str) -> Result<Option<Decimal>, Failure> {
    let days = moment.days;
    let (year, month, day) = civil(days)?;
    let day_of_year = || days - days_of(year, 1, 1).unwrap_or(days) + 1;
    // Monday is 1; 1970-01-01 was a Thursday.
    let weekday = (days + 3).rem_euclid(7) + 1;
    let number = match field {
        "year" => year,
        "month" => month,
        "day" => day,
        "quarter" => (month + 2) / 3,
        "dow" => weekday % 7,
        "isodow" => weekday,
        "doy" => day_of_year(),
        "week" => iso_week(days, weekday)?.1,
        "isoyear" => iso_week(days, weekday)?.0,
        "decade" => year / 10,
        "century" => (year + 99) / 100,
        "millennium" => (year + 999) / 1_000,
        "epoch" if kind == "date" => days * 86_400,
        _ => return Ok(None),
    };
    Ok(Some(Decimal::from_integer(number)))
}

/// The week that holds this day's Thursday, and the year it is counted in.
fn iso_week(days: i64, weekday: i64) -> Result<(i64, i64), Failure> {
    let thursday = days - weekday + 4;
    // The last days of 9999 may belong to a week of a year that is not kept.
    let (year, ..) = civil(thursday)?;
    let first = days_of(year, 1, 1).unwrap_or(thursday);
    Ok((year, (thursday - first) / 7 + 1))
}

fn truncate(arguments: &Arguments<'_, '_>) -> Result<Value, Failure> {
    let (field, text) = (arguments.text(0)?.to_ascii_lowercase(), arguments.text(1)?);
    let micros = stored_moment(text)?;
    let (days, of_day) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let (year, month, _) = civil(days)?;
    let step = |width: i64| Ok(days * DAY + of_day - of_day % width);
    let day = |year: i64, month: i64| {
        let message = "timestamp out of range";
        days_of(year, month, 1)
            .map(|days| days * DAY)
            .ok_or_else(|| Failure::new("22008", message))
    };
    let cut = match field.as_str() {
        "microseconds" => step(1),
        "milliseconds" => step(1_000),
        "second" => step(1_000_000),
        "minute" => step(60_000_000),
        "hour" => step(3_600_000_000),
        "day" => Ok(days * DAY),
        "week" => Ok((days - (days + 3).rem_euclid(7)) * DAY),
        "month" => day(year, month),
        "quarter" => day(year, (month - 1) / 3 * 3 + 1),
        "year" => day(year, 1),
        "decade" => day(year / 10 * 10, 1),
        "century" => day((year - 1) / 100 * 100 + 1, 1),
        _ => {
            let message = format!("unit \"{field}\" not recognized for type timestamp");
            Err(Failure::new("22023", message))
        }
    }?;
    let zone = if text.ends_with('Z') { "Z" } else { "" };
    Ok(text_value(moment_text(cut)? + zone))
}
