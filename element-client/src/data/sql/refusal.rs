//! Why a statement is not run.

use std::fmt;

/// A refusal as PostgreSQL's protocol tells it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{state}: {message}")]
pub struct Refusal {
    /// SQLSTATE, five characters.
    pub state: &'static str,
    /// What is refused, and what to do.
    pub message: String,
    /// Where in the text, counted in characters from 1.
    pub position: Option<usize>,
}

/// What a step of the judge comes to.
pub(in crate::data::sql) type Judgement<T> = Result<T, Refusal>;

impl Refusal {
    pub(in crate::data::sql) fn new(state: &'static str, message: impl Into<String>) -> Self {
        Self {
            state,
            message: message.into(),
            position: None,
        }
    }

    /// A refusal of who runs statements, in the same form.
    pub fn of(state: &'static str, message: impl Into<String>) -> Self {
        Self::new(state, message)
    }

    /// A construct outside of the subset.
    pub(in crate::data::sql) fn unsupported(construct: impl fmt::Display) -> Self {
        Self::new(
            "0A000",
            format!("{construct} is not supported here: write the statement without it"),
        )
    }

    /// A table that does not exist or may not be seen: nobody learns which.
    pub(in crate::data::sql) fn no_table(name: &str) -> Self {
        Self::new(
            "42P01",
            format!("relation \"{}\" does not exist", shown(name)),
        )
    }

    /// A column that does not exist or may not be seen.
    pub(in crate::data::sql) fn no_column(name: &str) -> Self {
        Self::new(
            "42703",
            format!("column \"{}\" does not exist", shown(name)),
        )
    }

    pub(in crate::data::sql) fn no_function(name: &str, arguments: &str) -> Self {
        Self::new(
            "42883",
            format!(
                "function {}({arguments}) does not exist or is not supported here",
                shown(name)
            ),
        )
    }

    /// Types that do not fit.
    pub(in crate::data::sql) fn mismatch(message: impl Into<String>) -> Self {
        Self::new("42804", message)
    }

    pub(in crate::data::sql) fn syntax(message: impl Into<String>) -> Self {
        Self::new("42601", message)
    }

    pub(in crate::data::sql) fn forbidden(message: impl Into<String>) -> Self {
        Self::new("42501", message)
    }

    /// Too much of something.
    pub(in crate::data::sql) fn too_much(what: &str, most: usize) -> Self {
        Self::new(
            "54000",
            format!("the statement has too many {what}: at most {most} are taken"),
        )
    }

    /// Says where, unless that was said already nearer to it.
    pub(in crate::data::sql) fn at(mut self, position: Option<usize>) -> Self {
        self.position = self.position.or(position);
        self
    }
}

/// As much of a name as a message shows.
fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}
