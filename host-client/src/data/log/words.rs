//! Changes of the schema in the words of a server, for shadows on servers of that kind: in
//! the log with each change, and whole beside the rows, for shadows that begin.
//!
//! SQLite's statements do not tell enough for that: a shadow that may become the core needs
//! the foreign keys, checks and indexes as its server has them.

use gridmart_schemas::resource::enumeration::DataEngine;
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use crate::data::engine::{
    EngineError,
    sqlite::{Failure as _, OWN},
};

/// A change of the schema as a server takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// In whose words.
    pub engine: DataEngine,
    /// The change.
    pub statement: String,
    /// The whole schema after it, where the server can tell it with the change; else the
    /// change is kept behind those that were known before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<Whole>,
}

/// The statements that make a whole schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whole {
    /// Tables, with their keys and checks.
    pub tables: Vec<String>,
    /// Indexes.
    pub indexes: Vec<String>,
    /// Foreign keys: each adds one to a table.
    pub references: Vec<String>,
    /// Changes since, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// What a change of the schema makes of the whole schema that is kept, in the caller's
/// transaction.
pub(in crate::data) fn whole_change(
    connection: &Connection,
    words: Option<&Words>,
) -> Result<(), EngineError> {
    let Some(words) = words else {
        return whole_put(connection, None);
    };
    if let Some(whole) = &words.whole {
        return whole_put(connection, Some((&words.engine, whole)));
    }
    let whole = whole_of(connection, &words.engine)?.map(|mut whole| {
        whole.changes.push(words.statement.clone());
        whole
    });
    whole_put(
        connection,
        whole.as_ref().map(|whole| (&words.engine, whole)),
    )
}

/// Keeps the whole schema, in the caller's transaction; without it, there is none from
/// here on.
pub(in crate::data) fn whole_put(
    connection: &Connection,
    whole: Option<(&DataEngine, &Whole)>,
) -> Result<(), EngineError> {
    let text = whole.map(|(_, whole)| serde_json::to_string(whole));
    let text = text
        .transpose()
        .map_err(|error| EngineError::Internal(error.to_string()))?;
    let put = || -> rusqlite::Result<()> {
        if whole.is_none() && !is_there(connection)? {
            return Ok(());
        }
        connection.execute(
            &format!(
                "{OWN}CREATE TABLE IF NOT EXISTS gridmart_words (one INTEGER PRIMARY KEY \
                 CHECK (one = 1), engine TEXT NOT NULL, whole TEXT NOT NULL) STRICT"
            ),
            [],
        )?;
        connection.execute(&format!("{OWN}DELETE FROM gridmart_words"), [])?;
        if let (Some((engine, _)), Some(text)) = (whole, &text) {
            connection.execute(
                &format!("{OWN}INSERT INTO gridmart_words VALUES (1, ?1, ?2)"),
                [engine.as_str(), text],
            )?;
        }
        Ok(())
    };
    put().during("keeping the schema in a server's words")
}

/// The whole schema in the words of that engine, if it is known.
pub(in crate::data) fn whole_of(
    connection: &Connection,
    engine: &DataEngine,
) -> Result<Option<Whole>, EngineError> {
    let read = || -> rusqlite::Result<Option<String>> {
        if !is_there(connection)? {
            return Ok(None);
        }
        let sql = format!("{OWN}SELECT whole FROM gridmart_words WHERE engine = ?1");
        let found = connection.query_row(&sql, [engine.as_str()], |row| row.get(0));
        found.optional()
    };
    let text = read().during("reading the schema in a server's words")?;
    let whole = text.map(|text| serde_json::from_str(&text));
    whole.transpose().map_err(|error| EngineError::Damaged {
        why: format!("the schema in a server's words cannot be read: {error}"),
    })
}

fn is_there(connection: &Connection) -> rusqlite::Result<bool> {
    let sql =
        format!("{OWN}SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'gridmart_words')");
    connection.query_row(&sql, [], |row| row.get(0))
}
