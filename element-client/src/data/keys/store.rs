//! The keys on the disk: SQLite, synced before a change is answered. Everything here
//! blocks.

use std::path::Path;

use gridmart_fabric::sqlite::{During as _, StoreError, open_writer};
use gridmart_schemas::{id::PersonName, scalar::UtcTime};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use time::OffsetDateTime;

use super::Verifier;

/// In the data folder.
pub(in crate::data) const FILE: &str = "access-keys.sqlite";

/// Appended to, never changed.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE access_key (
        id TEXT NOT NULL PRIMARY KEY,
        person TEXT NOT NULL,
        label TEXT NOT NULL,
        created INTEGER NOT NULL,
        salt BLOB NOT NULL,
        iterations INTEGER NOT NULL,
        stored_key BLOB NOT NULL,
        server_key BLOB NOT NULL
    ) STRICT;
    CREATE INDEX access_key_of ON access_key (person);
    CREATE TABLE secret (only INTEGER PRIMARY KEY CHECK (only = 1), bytes BLOB NOT NULL) STRICT;
    INSERT INTO secret VALUES (1, randomblob(32));
"];

/// A key as it is kept.
#[derive(Clone, Debug)]
pub(in crate::data) struct KnownKey {
    pub(in crate::data) id: String,
    pub(in crate::data) person: PersonName,
    pub(in crate::data) label: String,
    pub(in crate::data) created: UtcTime,
    pub(in crate::data) verifier: Verifier,
}

/// See the module.
pub(in crate::data) struct Keys {
    connection: Mutex<Connection>,
    /// Salts of names that nobody has are made of it.
    secret: Vec<u8>,
}

const COLUMNS: &str = "id, person, label, created, salt, iterations, stored_key, server_key";

impl Keys {
    /// Opens the file of a data folder, or makes it.
    pub(in crate::data) fn open(folder: &Path) -> Result<Self, StoreError> {
        let connection = open_writer(&folder.join(FILE), MIGRATIONS)?;
        let secret = connection
            .query_row("SELECT bytes FROM secret", [], |row| row.get(0))
            .during("reading the secret for unknown names")?;
        Ok(Self {
            connection: Mutex::new(connection),
            secret,
        })
    }

    /// The key of this id.
    pub(in crate::data) fn find(&self, id: &str) -> Result<Option<KnownKey>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM access_key WHERE id = ?1");
        let connection = self.connection.lock();
        let found = connection
            .query_row(&sql, [id], read)
            .optional()
            .during("looking up an access key")?;
        Ok(found)
    }

    /// What stands for the key of a name that nobody has.
    pub(in crate::data) fn mock(&self, name: &str) -> Verifier {
        Verifier::mock(&self.secret, name)
    }

    /// The keys of a person, by id.
    pub(in crate::data) fn of(&self, person: &PersonName) -> Result<Vec<KnownKey>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM access_key WHERE person = ?1 ORDER BY id");
        let connection = self.connection.lock();
        let mut statement = connection.prepare(&sql).during("listing access keys")?;
        let rows = statement.query_map([person.as_str()], read);
        let rows = rows.during("listing access keys")?;
        rows.collect::<Result<_, _>>().during("listing access keys")
    }

    /// Keeps a new key: on the disk when this returns.
    pub(in crate::data) fn put(&self, key: &KnownKey) -> Result<(), StoreError> {
        let KnownKey {
            id,
            person,
            label,
            created,
            verifier,
        } = key;
        let sql =
            format!("INSERT INTO access_key ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
        let created = created.to_offset_date_time().unix_timestamp();
        let values = params![
            id,
            person.as_str(),
            label,
            created,
            verifier.salt,
            verifier.iterations,
            verifier.stored_key,
            verifier.server_key
        ];
        let kept = self.connection.lock().execute(&sql, values);
        kept.during("keeping an access key").map(drop)
    }

    /// Makes a key of that person worthless: gone from the disk when this returns. False
    /// if there is none.
    pub(in crate::data) fn remove(
        &self,
        id: &str,
        person: &PersonName,
    ) -> Result<bool, StoreError> {
        let sql = "DELETE FROM access_key WHERE id = ?1 AND person = ?2";
        let gone = self.connection.lock().execute(sql, [id, person.as_str()]);
        Ok(gone.during("removing an access key")? > 0)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<KnownKey> {
    let unreadable = |column: usize, error: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error)
    };
    let person: String = row.get(1)?;
    let created = OffsetDateTime::from_unix_timestamp(row.get(3)?)
        .map_err(|error| unreadable(3, error.into()))?;
    Ok(KnownKey {
        id: row.get(0)?,
        person: person.parse().map_err(|error| {
            let error: <PersonName as std::str::FromStr>::Err = error;
            unreadable(1, error.into())
        })?,
        label: row.get(2)?,
        created: UtcTime::new(created).map_err(|error| unreadable(3, error.into()))?,
        verifier: Verifier {
            salt: row.get(4)?,
            iterations: row.get(5)?,
            stored_key: row.get(6)?,
            server_key: row.get(7)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_outlive_a_start_and_hold_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let (ada, eve): (PersonName, PersonName) = ("ada".parse().unwrap(), "eve".parse().unwrap());
        let key = KnownKey {
            id: "GM1".to_owned(),
            person: ada.clone(),
            label: "laptop".to_owned(),
            created: UtcTime::now(),
            verifier: Verifier::of("hunter2hunter2"),
        };
        let keys = Keys::open(folder.path()).unwrap();
        let mock = keys.mock("nobody");
        keys.put(&key).unwrap();
        assert!(keys.put(&key).is_err(), "an id is given once");
        drop(keys);
        let keys = Keys::open(folder.path()).unwrap();
        assert_eq!(keys.mock("nobody"), mock);
        let found = keys.find("GM1").unwrap().unwrap();
        assert_eq!(found.verifier, key.verifier);
        assert_eq!(keys.of(&ada).unwrap().len(), 1);
        assert!(!keys.remove("GM1", &eve).unwrap());
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(7).any(|part| part == b"hunter2"));
        }
        assert!(keys.remove("GM1", &ada).unwrap());
        assert!(keys.find("GM1").unwrap().is_none());
    }
}
