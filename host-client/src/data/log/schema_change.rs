//! Changes of the schema, as bytes, and the schema as it was at a position.

use gridmart_schemas::data::{Position, Schema};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::words::Words;
use crate::data::engine::{
    EngineError,
    sqlite::{Failure as _, OWN, schema::describe, state_of},
};

/// A statement that changes the schema, and what it changed: so that entries
/// before it can be read by the columns that they had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaChange {
    /// The statement, in the engine's language.
    pub statement: String,
    /// The schema before it.
    pub before: Schema,
    /// The same as the server takes it that keeps the core, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Words>,
}

/// A change of the schema as a server's own log tells it.
#[derive(Serialize, Deserialize)]
struct Told {
    statement: String,
    words: Words,
}

impl SchemaChange {
    /// What a server's own log is to tell of a change: the statement for SQLite, and the
    /// server's own words.
    pub(in crate::data) fn tell(statement: &str, words: Words) -> Result<String, EngineError> {
        let told = Told {
            statement: statement.to_owned(),
            words,
        };
        serde_json::to_string(&told).map_err(|error| EngineError::Internal(error.to_string()))
    }

    /// The change that a server's own log tells; older Hosts have told the statement alone.
    pub(in crate::data) fn told(text: &str, before: Schema) -> Self {
        let told: Option<Told> = serde_json::from_str(text).ok();
        let (statement, words) = told.map_or_else(
            || (text.to_owned(), None),
            |told| (told.statement, Some(told.words)),
        );
        Self {
            statement,
            before,
            words,
        }
    }

    /// Writes it as the body of an entry.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads the body of an entry.
    pub fn decode(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }
}

/// The schemas that a database has had since a position.
#[derive(Clone, Debug)]
pub(in crate::data) struct Schemas {
    /// Schemas, each with the entry that ended it, oldest first.
    before: Vec<(Position, Schema)>,
    now: Schema,
}

impl Schemas {
    /// From the log, which has to be kept from there on.
    pub(in crate::data) fn of(
        connection: &Connection,
        since: Position,
    ) -> Result<Self, EngineError> {
        let sql = format!(
            "{OWN}SELECT position, body FROM gridmart_log WHERE position > ?1 AND kind = 2
             ORDER BY position"
        );
        let read = || -> rusqlite::Result<Vec<(Position, Vec<u8>)>> {
            let mut statement = connection.prepare(&sql)?;
            let changes = statement.query_map([since.number()], |row| {
                Ok((Position::new(row.get(0)?), row.get(1)?))
            })?;
            changes.collect()
        };
        let changes = read().during("reading changes of the schema")?;
        let before = changes.into_iter().map(|(position, body)| {
            let change = SchemaChange::decode(&body).map_err(|error| EngineError::Damaged {
                why: format!("entry {position} cannot be read: {error}"),
            })?;
            Ok((position, change.before))
        });
        Ok(Self {
            before: before.collect::<Result<_, EngineError>>()?,
            now: describe(connection, state_of(connection)?.last.position)?,
        })
    }

    /// The schema that an entry was written under.
    pub(in crate::data) fn at(&self, entry: Position) -> &Schema {
        let later = self.before.partition_point(|(end, _)| *end < entry);
        self.before
            .get(later)
            .map_or(&self.now, |(_, schema)| schema)
    }
}
