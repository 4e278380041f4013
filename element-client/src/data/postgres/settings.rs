//! The settings of a session: those that clients set and ask for, of which most change
//! nothing here.

use std::{collections::BTreeMap, time::Duration};

use gridmart_schemas::wire::data::ReadFrom;

use super::wire::backend::Fault;
use crate::data::sql::{SETTINGS, setting_of};

/// Settings that clients are told as they come, and when they change, by the names that
/// they know them by.
pub(super) const TOLD: &[(&str, &str)] = &[
    ("server_version", "server_version"),
    ("server_encoding", "server_encoding"),
    ("client_encoding", "client_encoding"),
    ("application_name", "application_name"),
    ("DateStyle", "datestyle"),
    ("IntervalStyle", "intervalstyle"),
    ("TimeZone", "timezone"),
    ("integer_datetimes", "integer_datetimes"),
    ("standard_conforming_strings", "standard_conforming_strings"),
    (
        "default_transaction_read_only",
        "default_transaction_read_only",
    ),
    ("is_superuser", "is_superuser"),
    ("session_authorization", "session_authorization"),
    ("in_hot_standby", "in_hot_standby"),
];

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// As the client came with them.
    first: BTreeMap<&'static str, String>,
    /// As they were set since.
    set: BTreeMap<&'static str, String>,
}

impl Settings {
    /// Of what a client says as it comes; and what of it is passed over.
    pub(super) fn of(parameters: &BTreeMap<String, String>) -> Result<(Self, Vec<Fault>), Fault> {
        let mut settings = Self::default();
        let mut warnings = Vec::new();
        let mut all: Vec<(String, String)> = Vec::new();
        for (name, value) in parameters {
            match name.as_str() {
                "user" | "database" | "replication" => {}
                "options" => all.extend(options(value)?),
                name if name.starts_with("_pq_.") => {}
                _ => all.push((name.clone(), value.clone())),
            }
        }
        for (name, value) in all {
            match setting_of(&name, &value) {
                Ok((name, value)) => {
                    settings
                        .first
                        .insert(name, normal(name, value.unwrap_or_default()));
                }
                // Of its own zone each client knows; moments are told in UTC.
                Err(refusal) if name.eq_ignore_ascii_case("timezone") => {
                    warnings.push(Fault::new(refusal.state, refusal.message));
                }
                Err(refusal) => return Err(Fault::new(refusal.state, refusal.message)),
            }
        }
        Ok((settings, warnings))
    }

    /// Sets it; without a value, to what it was at first.
    pub(super) fn set(&mut self, name: &'static str, value: Option<String>) {
        match value {
            Some(value) => drop(self.set.insert(name, normal(name, value))),
            None => drop(self.set.remove(name)),
        }
    }

    /// What it was set to, if it was.
    pub(super) fn given(&self, name: &str) -> Option<String> {
        self.set.get(name).cloned()
    }

    /// All as at first.
    pub(super) fn reset(&mut self) {
        self.set.clear();
    }

    /// What it is.
    pub(super) fn get(&self, name: &str) -> &str {
        let own = self.set.get(name).or_else(|| self.first.get(name));
        own.map_or_else(|| default(name), String::as_str)
    }

    /// Who may answer reads.
    pub(super) fn read_from(&self) -> ReadFrom {
        match self.get("gridmart.read") {
            "core" => ReadFrom::Core,
            "shadow" => ReadFrom::Shadow,
            _ => ReadFrom::Fresh,
        }
    }

    /// How long a statement may take.
    pub(super) fn statement_timeout(&self) -> Option<Duration> {
        duration(self.get("statement_timeout"))
    }

    /// Whether it is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        matches!(self.get(name), "on" | "true")
    }
}

fn default(name: &str) -> &'static str {
    match name {
        "is_superuser" | "in_hot_standby" => "off",
        name => {
            let known = SETTINGS.iter().find(|(known, _)| *known == name);
            known.map_or("", |(_, value)| value)
        }
    }
}

/// The one form in which a value is shown.
fn normal(name: &str, value: String) -> String {
    match name {
        "client_encoding" => "UTF8".to_owned(),
        "timezone" => "UTC".to_owned(),
        "datestyle" => "ISO, MDY".to_owned(),
        "default_transaction_read_only" => match value.to_lowercase().as_str() {
            "on" | "true" => "on".to_owned(),
            _ => "off".to_owned(),
        },
        "gridmart.read" | "default_transaction_isolation" => value.to_lowercase(),
        _ => value,
    }
}

/// Milliseconds, or with a unit; 0: none.
fn duration(value: &str) -> Option<Duration> {
    let digits = value.trim_end_matches(|one: char| one.is_ascii_alphabetic());
    let number: u64 = digits.trim().parse().ok()?;
    let millis = match value.get(digits.len()..)? {
        "s" => number.checked_mul(1000)?,
        "min" => number.checked_mul(60_000)?,
        "h" => number.checked_mul(3_600_000)?,
        _ => number,
    };
    (millis > 0).then(|| Duration::from_millis(millis))
}

/// `-c NAME=VALUE` or `--NAME=VALUE`, several of them.
fn options(text: &str) -> Result<Vec<(String, String)>, Fault> {
    let wrong = || {
        let shown: String = text.chars().take(80).collect();
        Fault::new(
            "42601",
            format!("invalid command-line arguments: {shown:?}"),
        )
    };
    let mut words = words(text).into_iter();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        let setting = if word == "-c" {
            words.next().ok_or_else(wrong)?
        } else {
            let rest = word.strip_prefix("--").or_else(|| word.strip_prefix("-c"));
            rest.ok_or_else(wrong)?.to_owned()
        };
        let (name, value) = setting.split_once('=').ok_or_else(wrong)?;
        found.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(found)
}

/// Words between blanks; a backslash keeps the character after it.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character.is_whitespace() {
            words.push(String::new());
            continue;
        }
        let kept = if character == '\\' {
            characters.next().unwrap_or('\\')
        } else {
            character
        };
        if let Some(word) = words.last_mut() {
            word.push(kept);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(parameters: &[(&str, &str)]) -> Result<(Settings, Vec<Fault>), Fault> {
        let parameters = parameters.iter();
        let owned = parameters.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::of(&owned.collect())
    }

    #[test]
    fn a_client_comes_with_settings() {
        let options = "-c statement_timeout=5s --gridmart.read=core";
        let (mut settings, warnings) = came(&[
            ("user", "GM1"),
            ("DateStyle", "ISO"),
            ("client_encoding", "utf-8"),
            ("TimeZone", "Europe/Berlin"),
            ("application_name", "psql"),
            ("options", options),
        ])
        .unwrap();
        assert_eq!(warnings.len(), 1);
        assert_eq!(settings.get("timezone"), "UTC");
        assert_eq!(settings.get("client_encoding"), "UTF8");
        assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(5)));
        assert_eq!(settings.read_from(), ReadFrom::Core);
        settings.set("application_name", Some("other".to_owned()));
        assert_eq!(settings.get("application_name"), "other");
        settings.reset();
        assert_eq!(settings.get("application_name"), "psql");
        assert_eq!(
            came(&[("client_encoding", "LATIN1")]).unwrap_err().state,
            "22023"
        );
        assert_eq!(came(&[("work_mem", "1GB")]).unwrap_err().state, "42704");
        assert_eq!(came(&[("options", "-x")]).unwrap_err().state, "42601");
        assert_eq!(words(r"-c a=b\ c d"), ["-c", "a=b c", "d"]);
    }
}
