//! Statements about transactions and the session.

use sqlparser::ast::{
    self, Expr, Reset, ResetStatement, Set, TransactionAccessMode, TransactionIsolationLevel,
    TransactionMode,
};

use super::{
    super::{
        limits::NAME_MAX,
        refusal::{Judgement, Refusal},
    },
    folded, parts_of,
};

/// Control of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transaction {
    /// BEGIN. Whatever isolation is asked for, that is given or a stronger one.
    Begin {
        /// READ ONLY or READ WRITE, if it was said.
        read_only: Option<bool>,
        /// Whether all of it has to see one state of the database: REPEATABLE READ or
        /// SERIALIZABLE, if anything was said.
        strict: Option<bool>,
    },
    /// COMMIT
    Commit,
    /// ROLLBACK
    Rollback,
    /// SAVEPOINT
    Savepoint(String),
    /// ROLLBACK TO
    RollbackTo(String),
    /// RELEASE
    Release(String),
}

/// A setting of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Session {
    /// SET
    Set {
        /// The setting, in lower case.
        name: &'static str,
        /// Its value; none: the default.
        value: Option<String>,
        /// Until the transaction ends.
        local: bool,
    },
    /// SHOW
    Show(&'static str),
    /// RESET ALL
    ResetAll,
    /// SET TRANSACTION, or SET SESSION CHARACTERISTICS AS TRANSACTION.
    Modes {
        /// READ ONLY or READ WRITE, if it was said.
        read_only: Option<bool>,
        /// REPEATABLE READ or SERIALIZABLE, if anything was said.
        strict: Option<bool>,
        /// Of all transactions from now on, not of this one alone.
        session: bool,
    },
}

/// How a setting takes its value.
#[derive(Clone, Copy)]
enum Takes {
    /// One of these.
    One(&'static [&'static str]),
    Number {
        least: i64,
        most: i64,
    },
    /// Milliseconds, or with a unit.
    Duration,
    /// Up to 63 bytes.
    Text,
    /// It can be shown and not changed.
    Shown,
}

/// The settings that there are.
const KNOWN: &[(&str, Takes)] = &[
    ("gridmart.read", Takes::One(&["core", "shadow", "fresh"])),
    ("client_encoding", Takes::One(&["utf8", "utf-8", "unicode"])),
    (
        "timezone",
        Takes::One(&["utc", "gmt", "etc/utc", "universal", "zulu"]),
    ),
    (
        "datestyle",
        Takes::One(&[
            "iso", "iso, mdy", "iso,mdy", "iso, ymd", "iso,ymd", "iso, dmy", "iso,dmy",
        ]),
    ),
    ("intervalstyle", Takes::One(&["postgres"])),
    ("bytea_output", Takes::One(&["hex"])),
    ("standard_conforming_strings", Takes::One(&["on", "true"])),
    (
        "extra_float_digits",
        Takes::Number {
            least: -15,
            most: 3,
        },
    ),
    ("statement_timeout", Takes::Duration),
    ("lock_timeout", Takes::Duration),
    ("idle_in_transaction_session_timeout", Takes::Duration),
    ("application_name", Takes::Text),
    (
        "client_min_messages",
        Takes::One(&["debug", "log", "notice", "warning", "error"]),
    ),
    (
        "search_path",
        Takes::One(&["public", "\"$user\", public", "\"$user\",public"]),
    ),
    (
        "default_transaction_read_only",
        Takes::One(&["on", "off", "true", "false"]),
    ),
    ("server_version", Takes::Shown),
    ("server_encoding", Takes::Shown),
    ("integer_datetimes", Takes::Shown),
    ("server_version_num", Takes::Shown),
    (
        "default_transaction_isolation",
        Takes::One(&[
            "read uncommitted",
            "read committed",
            "repeatable read",
            "serializable",
        ]),
    ),
    ("transaction_isolation", Takes::Shown),
    ("transaction_read_only", Takes::Shown),
    ("max_identifier_length", Takes::Shown),
];

/// What BEGIN, SET and the like come to; `None` where it is no such statement.
pub(in crate::data::sql) fn transaction(
    statement: &ast::Statement,
) -> Judgement<Option<Transaction>> {
    let control = match statement {
        ast::Statement::StartTransaction {
            modes,
            begin: _,
            transaction: _,
            modifier: None,
            statements,
            exception: None,
            has_end_keyword: false,
        } if statements.is_empty() => Transaction::Begin {
            read_only: read_only(modes),
            strict: strict(modes)?,
        },
        ast::Statement::Commit {
            chain: false,
            end: _,
            modifier: None,
        } => Transaction::Commit,
        ast::Statement::Rollback {
            chain: false,
            savepoint: None,
        } => Transaction::Rollback,
        ast::Statement::Rollback {
            chain: false,
            savepoint: Some(name),
        } => Transaction::RollbackTo(savepoint(name)?),
        ast::Statement::Savepoint { name } => Transaction::Savepoint(savepoint(name)?),
        ast::Statement::ReleaseSavepoint { name } => Transaction::Release(savepoint(name)?),
        ast::Statement::StartTransaction { .. }
        | ast::Statement::Commit { .. }
        | ast::Statement::Rollback { .. } => {
            return Err(Refusal::unsupported("this form of transaction control"));
        }
        _ => return Ok(None),
    };
    Ok(Some(control))
}

fn read_only(modes: &[TransactionMode]) -> Option<bool> {
    // The last one said counts.
    modes.iter().rev().find_map(|mode| match mode {
        TransactionMode::AccessMode(TransactionAccessMode::ReadOnly) => Some(true),
        TransactionMode::AccessMode(TransactionAccessMode::ReadWrite) => Some(false),
        TransactionMode::IsolationLevel(_) => None,
    })
}

fn strict(modes: &[TransactionMode]) -> Judgement<Option<bool>> {
    let level = modes.iter().rev().find_map(|mode| match mode {
        TransactionMode::IsolationLevel(level) => Some(level),
        TransactionMode::AccessMode(_) => None,
    });
    Ok(match level {
        None => None,
        Some(
            TransactionIsolationLevel::ReadUncommitted | TransactionIsolationLevel::ReadCommitted,
        ) => Some(false),
        Some(
            TransactionIsolationLevel::RepeatableRead | TransactionIsolationLevel::Serializable,
        ) => Some(true),
        Some(TransactionIsolationLevel::Snapshot) => {
            return Err(Refusal::unsupported("ISOLATION LEVEL SNAPSHOT"));
        }
    })
}

fn savepoint(name: &ast::Ident) -> Judgement<String> {
    let name = folded(name)?;
    if name.len() > NAME_MAX {
        return Err(Refusal::new(
            "42622",
            format!("names have at most {NAME_MAX} bytes"),
        ));
    }
    Ok(name)
}

pub(in crate::data::sql) fn session(statement: &ast::Statement) -> Judgement<Option<Session>> {
    match statement {
        ast::Statement::Set(set) => setting(set).map(Some),
        ast::Statement::ShowVariable { variable } => {
            let words: Vec<String> = variable.iter().map(folded).collect::<Judgement<_>>()?;
            let name = match words.join(" ").as_str() {
                "time zone" => "timezone".to_owned(),
                "transaction isolation level" => "transaction_isolation".to_owned(),
                _ => words.join("."),
            };
            Ok(Some(Session::Show(known(&name)?.0)))
        }
        ast::Statement::Reset(ResetStatement { reset }) => match reset {
            Reset::ALL => Ok(Some(Session::ResetAll)),
            Reset::ConfigurationParameter(name) => {
                let (name, takes) = known(&parts_of(name)?.join("."))?;
                changeable(name, takes)?;
                Ok(Some(Session::Set {
                    name,
                    value: None,
                    local: false,
                }))
            }
            Reset::SessionAuthorization => Err(Refusal::unsupported("RESET SESSION AUTHORIZATION")),
        },
        _ => Ok(None),
    }
}

fn setting(set: &Set) -> Judgement<Session> {
    let (scope, name, values) = match set {
        Set::SingleAssignment {
            scope,
            hivevar: false,
            variable,
            values,
        } => (
            scope.as_ref(),
            parts_of(variable)?.join("."),
            values.as_slice(),
        ),
        Set::SetTimeZone { local, value } => {
            let scope = if *local {
                Some(&ast::ContextModifier::Local)
            } else {
                None
            };
            (scope, "timezone".to_owned(), std::slice::from_ref(value))
        }
        Set::SetNames {
            charset_name,
            collation_name: None,
        } => {
            let value = Some(charset_name.value.to_lowercase());
            let (name, takes) = known("client_encoding")?;
            let value = checked(name, takes, value)?;
            return Ok(Session::Set {
                name,
                value,
                local: false,
            });
        }
        Set::SetTransaction {
            modes,
            snapshot: None,
            session,
        } => {
            return Ok(Session::Modes {
                read_only: read_only(modes),
                strict: strict(modes)?,
                session: *session,
            });
        }
        _ => return Err(Refusal::unsupported("this form of SET")),
    };
    let local = match scope {
        None | Some(ast::ContextModifier::Session) => false,
        Some(ast::ContextModifier::Local) => true,
        Some(ast::ContextModifier::Global) => return Err(Refusal::unsupported("SET GLOBAL")),
    };
    let (name, takes) = known(&name)?;
    changeable(name, takes)?;
    let words: Vec<String> = values.iter().map(word).collect::<Judgement<_>>()?;
    let text = words.join(", ");
    let value = if text.eq_ignore_ascii_case("default") {
        None
    } else {
        Some(text)
    };
    let value = checked(name, takes, value)?;
    Ok(Session::Set { name, value, local })
}

fn word(value: &Expr) -> Judgement<String> {
    let wrong = || Refusal::new("22023", "a setting takes a constant");
    match value {
        Expr::Identifier(ident) => Ok(ident.value.clone()),
        Expr::Value(ast::ValueWithSpan { value, span: _ }) => match value {
            ast::Value::SingleQuotedString(text) | ast::Value::Number(text, _) => Ok(text.clone()),
            ast::Value::Boolean(truth) => Ok(truth.to_string()),
            _ => Err(wrong()),
        },
        Expr::UnaryOp {
            op: ast::UnaryOperator::Minus,
            expr,
        } => Ok(format!("-{}", word(expr)?)),
        _ => Err(wrong()),
    }
}

/// Names of the settings, and what they are at first.
pub const SETTINGS: &[(&str, &str)] = &[
    ("application_name", ""),
    ("bytea_output", "hex"),
    ("client_encoding", "UTF8"),
    ("client_min_messages", "notice"),
    ("datestyle", "ISO, MDY"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("extra_float_digits", "1"),
    ("gridmart.read", "fresh"),
    ("idle_in_transaction_session_timeout", "0"),
    ("integer_datetimes", "on"),
    ("intervalstyle", "postgres"),
    ("lock_timeout", "0"),
    ("max_identifier_length", "63"),
    ("search_path", "\"$user\", public"),
    ("server_encoding", "UTF8"),
    (
        "server_version",
        concat!("15.0 (gridmart ", env!("CARGO_PKG_VERSION"), ")"),
    ),
    ("server_version_num", "150000"),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "0"),
    ("timezone", "UTC"),
    ("transaction_isolation", "read committed"),
    ("transaction_read_only", "off"),
];

/// A setting as SET would have it, of a client that gives it as it comes.
///
/// # Errors
/// There is no such setting, or it does not take the value.
pub fn setting_of(name: &str, value: &str) -> Result<(&'static str, Option<String>), Refusal> {
    let (name, takes) = known(name)?;
    changeable(name, takes)?;
    let value = checked(name, takes, Some(value.to_owned()))?;
    Ok((name, value))
}

/// The name of a setting as it is known, for whoever wants to see it.
///
/// # Errors
/// There is no such setting.
pub fn shown_setting(name: &str) -> Result<&'static str, Refusal> {
    known(name).map(|(name, _)| name)
}

fn known(name: &str) -> Judgement<(&'static str, Takes)> {
    let name = name.to_ascii_lowercase();
    let found = KNOWN.iter().find(|(known, _)| *known == name).copied();
    found.ok_or_else(|| {
        let shown: String = name.chars().take(64).collect();
        Refusal::new(
            "42704",
            format!("unrecognized configuration parameter \"{shown}\""),
        )
    })
}

fn changeable(name: &str, takes: Takes) -> Judgement<()> {
    if matches!(takes, Takes::Shown) {
        return Err(Refusal::new(
            "55P02",
            format!("parameter \"{name}\" cannot be changed"),
        ));
    }
    Ok(())
}

fn checked(name: &str, takes: Takes, value: Option<String>) -> Judgement<Option<String>> {
    let Some(value) = value else {
        return Ok(None);
    };
    let fits = match takes {
        Takes::One(words) => words.contains(&value.to_lowercase().as_str()),
        Takes::Number { least, most } => value
            .parse()
            .is_ok_and(|number: i64| (least..=most).contains(&number)),
        Takes::Duration => is_duration(&value),
        Takes::Text => value.len() <= NAME_MAX,
        Takes::Shown => false,
    };
    if !fits {
        let shown: String = value.chars().take(64).collect();
        let expected = match takes {
            Takes::One(words) => format!(": it takes {}", words.join(", ")),
            _ => String::new(),
        };
        return Err(Refusal::new(
            "22023",
            format!("invalid value for parameter \"{name}\": \"{shown}\"{expected}"),
        ));
    }
    Ok(Some(value))
}

fn is_duration(value: &str) -> bool {
    let digits = value.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit = value.get(digits.len()..).unwrap_or("");
    let number = digits
        .trim()
        .parse::<u32>()
        .is_ok_and(|number| i32::try_from(number).is_ok());
    number && matches!(unit, "" | "ms" | "s" | "min" | "h")
}
