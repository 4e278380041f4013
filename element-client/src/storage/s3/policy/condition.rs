//! Conditions of policies: an operator, a key, the values that it may have.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
};

use serde::{Deserialize, Deserializer};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Facts, document::OneOrMany, pattern::matches};

/// All must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Conditions(BTreeMap<String, BTreeMap<String, OneOrMany<Value>>>);

/// A value: numbers and truths may be written without quotes.
#[derive(Clone, Debug)]
pub(super) struct Value(String);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self(text)),
            serde_json::Value::Number(number) => Ok(Self(number.to_string())),
            serde_json::Value::Bool(truth) => Ok(Self(truth.to_string())),
            other => Err(serde::de::Error::custom(format!(
                "{other} is no value of a condition"
            ))),
        }
    }
}

/// How several values of a request are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    Any,
    All,
}

/// An operator, taken apart.
#[derive(Clone, Copy, Debug)]
struct Operator<'a> {
    quantifier: Quantifier,
    name: &'a str,
    is_negated: bool,
    if_exists: bool,
}

impl<'a> Operator<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (quantifier, rest) = match text.split_once(':') {
            None => (Quantifier::Any, text),
            Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
            Some(("ForAllValues", rest)) => (Quantifier::All, rest),
            Some(_) => return None,
        };
        let (rest, if_exists) = match rest.strip_suffix("IfExists") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (name, is_negated) = match rest {
            "StringNotEquals" => ("StringEquals", true),
            "StringNotEqualsIgnoreCase" => ("StringEqualsIgnoreCase", true),
            "NumericNotEquals" => ("NumericEquals", true),
            "DateNotEquals" => ("DateEquals", true),
            "NotIpAddress" => ("IpAddress", true),
            "StringNotLike" | "ArnNotEquals" | "ArnNotLike" => ("StringLike", true),
            "ArnEquals" | "ArnLike" => ("StringLike", false),
            "StringEquals"
            | "StringEqualsIgnoreCase"
            | "StringLike"
            | "NumericEquals"
            | "NumericLessThan"
            | "NumericLessThanEquals"
            | "NumericGreaterThan"
            | "NumericGreaterThanEquals"
            | "DateEquals"
            | "DateLessThan"
            | "DateLessThanEquals"
            | "DateGreaterThan"
            | "DateGreaterThanEquals"
            | "Bool"
            | "IpAddress"
            | "Null" => (rest, false),
            _ => return None,
        };
        Some(Self {
            quantifier,
            name,
            is_negated,
            if_exists,
        })
    }

    fn holds(&self, found: Option<&[String]>, wanted: &[Value]) -> bool {
        if self.name == "Null" {
            let is_missing = found.is_none();
            return wanted.iter().any(|value| (value.0 == "true") == is_missing);
        }
        let Some(found) = found else {
            return self.if_exists || self.is_negated || self.quantifier == Quantifier::All;
        };
        let is_one = |found: &String| {
            wanted
                .iter()
                .any(|value| compare(self.name, found, &value.0))
                != self.is_negated
        };
        match self.quantifier {
            Quantifier::Any => found.iter().any(is_one),
            Quantifier::All => found.iter().all(is_one),
        }
    }
}

impl Conditions {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key that begins so is asked for.
    pub(super) fn asks(&self, start: &str) -> bool {
        self.0.values().flat_map(BTreeMap::keys).any(|key| {
            key.get(..start.len())
                .is_some_and(|found| found.eq_ignore_ascii_case(start))
        })
    }

    /// What is wrong with them, in words.
    pub(super) fn fault(&self) -> Option<String> {
        let unknown = self.0.keys().find(|text| Operator::parse(text).is_none())?;
        Some(format!("Invalid condition operator: {unknown}"))
    }

    pub(super) fn hold(&self, facts: &Facts) -> bool {
        self.0.iter().all(|(operator, keys)| {
            let Some(operator) = Operator::parse(operator) else {
                return false;
            };
            keys.iter()
                .all(|(key, wanted)| operator.holds(facts.get(key), wanted.as_slice()))
        })
    }
}

fn compare(operator: &str, found: &str, wanted: &str) -> bool {
    let order = if operator.starts_with("Date") {
        date(found)
            .zip(date(wanted))
            .map(|(found, wanted)| found.cmp(&wanted))
    } else {
        number(found)
            .zip(number(wanted))
            .and_then(|(found, wanted)| found.partial_cmp(&wanted))
    };
    match operator {
        "StringEquals" => found == wanted,
        "StringEqualsIgnoreCase" => found.to_lowercase() == wanted.to_lowercase(),
        "StringLike" => matches(wanted, found),
        "Bool" => found.eq_ignore_ascii_case(wanted),
        "IpAddress" => is_within(found, wanted),
        "NumericEquals" | "DateEquals" => order.is_some_and(std::cmp::Ordering::is_eq),
        "NumericLessThan" | "DateLessThan" => order.is_some_and(std::cmp::Ordering::is_lt),
        "NumericLessThanEquals" | "DateLessThanEquals" => {
            order.is_some_and(std::cmp::Ordering::is_le)
        }
        "NumericGreaterThan" | "DateGreaterThan" => order.is_some_and(std::cmp::Ordering::is_gt),
        "NumericGreaterThanEquals" | "DateGreaterThanEquals" => {
            order.is_some_and(std::cmp::Ordering::is_ge)
        }
        _ => false,
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// RFC 3339, or seconds since 1970.
fn date(text: &str) -> Option<OffsetDateTime> {
    match text.parse() {
        Ok(seconds) => OffsetDateTime::from_unix_timestamp(seconds).ok(),
        Err(_) => OffsetDateTime::parse(text, &Rfc3339).ok(),
    }
}

/// Whether an address is in a network: `10.0.0.0/8`, `2001:db8::/32`, or one
/// address.
fn is_within(address: &str, network: &str) -> bool {
    let (base, bits) = network
        .split_once('/')
        .map_or((network, None), |(base, bits)| (base, Some(bits)));
    let (Ok(address), Ok(base)) = (address.parse::<IpAddr>(), base.parse::<IpAddr>()) else {
        return false;
    };
    let offset = match base {
        IpAddr::V4(_) => 96,
        IpAddr::V6(_) => 0,
    };
    let bits = match bits.map(str::parse::<u32>) {
        None => 128,
        Some(Ok(bits)) if bits <= 128 - offset => bits + offset,
        Some(_) => return false,
    };
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => Ipv6Addr::to_bits(address),
    };
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
    number(address) & mask == number(base) & mask
}
