//! What clients ask about the database itself: tables, columns, keys, types, as
//! PostgreSQL tells them in `pg_catalog` and `information_schema`.
//!
//! A question is answered by a private database in memory, which is made for it and holds
//! what its person may see and nothing else (`contents`, `functions`): a question that is
//! read wrongly tells nobody of anything. Its text is written anew for SQLite
//! (`rewrite`), and the types of its columns are found on the way (`columns`). What is
//! not known is refused: this is a place for clients' own questions, not for people's
//! statements.

mod columns;
mod contents;
mod functions;
mod rewrite;
mod run;
mod shape;

pub(super) use self::{
    contents::{Contents, Listed},
    run::{Question, question},
};
use crate::data::sql::StatementText;

/// Functions about the session and the database, asked for beside any table.
const FUNCTIONS: &[&str] = &[
    "version",
    "current_schema",
    "current_schemas",
    "current_database",
    "current_setting",
    "format_type",
    "obj_description",
    "col_description",
    "shobj_description",
    "to_regclass",
    "to_regtype",
    "has_table_privilege",
    "has_schema_privilege",
    "has_database_privilege",
    "has_column_privilege",
];

/// Whether a statement is such a question. No table or column of anybody's has a name
/// that begins as the catalog's do.
pub(super) fn is_asked(statement: StatementText<'_>) -> bool {
    let first = statement.first_word().unwrap_or("");
    if !["select", "with"]
        .iter()
        .any(|word| first.eq_ignore_ascii_case(word))
    {
        return false;
    }
    statement.words().any(|(word, is_call)| {
        let word = word.to_ascii_lowercase();
        word.starts_with("pg_")
            || word == "information_schema"
            || word == "current_catalog"
            || is_call && FUNCTIONS.contains(&word.as_str())
            || !is_call && word == "current_schema"
    })
}

#[cfg(test)]
mod tests;
